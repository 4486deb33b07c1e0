"""The adapter to Stable-Baselines3."""

from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecMonitor

from agents.sb3 import SB3VecEnv
from tests.designers import assert_names, make


@pytest.mark.parametrize("representation", ["narrow", "turtlecast", "wide", "cellular"])
def test_the_adapter_is_the_batched_environment(representation):
    settings = {"step_limit": 6, "frozen_share": 0.2, "autoreset_mode": "SameStep"}
    adapter = SB3VecEnv(make("zelda", representation, 4, **settings))
    batch = make("zelda", representation, 4, **settings)
    assert adapter.seed(3) == [3, 4, 5, 6]
    ours, theirs = adapter.reset(), batch.reset(seed=3)[0]
    adapter.action_space.seed(0)
    returns = np.zeros(4)
    ends = cuts = 0
    for _ in range(30):
        for key, part in theirs.items():
            np.testing.assert_array_equal(ours[key], part)
            assert ours[key].dtype == part.dtype
        chosen = np.stack([adapter.action_space.sample() for _ in range(4)])
        ours, rewards, done, infos = adapter.step(chosen)
        theirs, their_rewards, terminations, truncations, their_infos = batch.step(
            adapter.code.decode(chosen.reshape(4, -1))
        )
        np.testing.assert_array_equal(rewards, their_rewards.astype(np.float32))
        assert rewards.dtype == np.float32
        np.testing.assert_array_equal(done, terminations | truncations)
        returns += their_rewards
        assert ("return" in adapter.ended) == done.any()
        for lane in range(4):
            if not done[lane]:
                assert infos[lane] == {}
                continue
            ends, cuts = ends + 1, cuts + truncations[lane]
            final = their_infos["final_info"]
            assert infos[lane]["TimeLimit.truncated"] == truncations[lane]
            assert infos[lane]["is_success"] == final["success"][lane]
            assert infos[lane]["episode"]["r"] == pytest.approx(returns[lane])
            assert infos[lane]["episode"]["l"] == final["steps"][lane]
            last = infos[lane]["terminal_observation"]
            assert adapter.observation_space.contains(last)
            for key, part in their_infos["final_obs"][lane].items():
                np.testing.assert_array_equal(last[key], part)
        if done.any():
            np.testing.assert_allclose(adapter.ended["return"], returns[done])
            np.testing.assert_array_equal(adapter.ended["length"], their_infos["final_info"]["steps"][done])
            np.testing.assert_array_equal(adapter.ended["regions"], their_infos["final_info"]["regions"][done])
        returns[done] = 0
    assert ends > 4
    assert cuts > 0 or representation == "cellular"


def test_the_adapter_answers_what_the_library_asks():
    batch = make("binary", "narrow", 3, autoreset_mode="SameStep", render_mode="rgb_array", tile_size=8)
    adapter = SB3VecEnv(batch)
    level = np.ones((5, 6), np.uint8)
    adapter.set_options({"levels": level})
    adapter.reset()
    assert (batch.levels == level).all()
    adapter.reset()
    assert not (batch.levels == level).all()
    assert_names(lambda: adapter.set_options([{}, {}, {}]), ["one dictionary"])
    assert adapter.get_attr("shape", [0, 2]) == [(5, 6), (5, 6)]
    assert adapter.env_is_wrapped(VecMonitor) == [False] * 3
    assert adapter.env_method("render", indices=[1])[0][2].shape == adapter.get_images()[2].shape
    images = adapter.get_images()
    assert len(images) == 3
    assert images[0].dtype == np.uint8
    adapter.set_attr("note", "kept")
    assert adapter.get_attr("note") == ["kept"] * 3
    adapter.close()


@pytest.mark.parametrize("mode", ["NextStep", "Disabled"])
def test_the_adapter_needs_the_same_step_mode(mode):
    assert_names(lambda: SB3VecEnv(make("binary", "narrow", autoreset_mode=mode)), ["SameStep", mode])


@pytest.mark.parametrize("representation", ["narrow", "wide", "cellular"])
def test_the_librarys_own_policy_trains(representation):
    adapter = VecMonitor(SB3VecEnv(make("binary", representation, 4, step_limit=8, autoreset_mode="SameStep")))
    model = PPO(
        "MultiInputPolicy", adapter, n_steps=8, batch_size=16, n_epochs=1, seed=0, policy_kwargs={"net_arch": [8]}
    )
    before = {name: weights.clone() for name, weights in model.policy.state_dict().items()}
    model.learn(64)
    assert model.num_timesteps == 64
    assert any((before[name] != weights).any() for name, weights in model.policy.state_dict().items())
    mean, _ = evaluate_policy(model, adapter, n_eval_episodes=4)
    assert np.isfinite(mean)
