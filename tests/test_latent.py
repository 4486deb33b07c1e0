"""Levels designed by moving through latents: against a plain loop over lanes, and with trained generators."""

from __future__ import annotations

import dataclasses
import pickle

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as check_by_gymnasium

import envs
import generators
from agents.baselines import RandomDesigner
from envs import UserError
from envs.checks import check_representation, check_vector_env, difference
from envs.representation import Canvas
from envs.vector_env import DesignVectorEnv
from generators.families.vqvae import VectorQuantisedAutoencoder, principal_axes
from generators.generator import FitOptions
from generators.latents import BATCH


class Toy:
    """Writes each tile by where a random mixture of the latents lies, in whole numbers; cares for nothing fixed.

    Args:
        problem: the name of the problem.
        shape: of the levels.
        latents: how many.
        tiles: of how many kinds.
    """

    def __init__(self, problem="sokoban", shape=(5, 5), latents=3, tiles=5):
        self.problem, self.shape, self.latents, self.tiles = problem, shape, latents, tiles
        self.weights = np.random.default_rng(7).integers(-9, 10, (latents, int(np.prod(shape))))
        self.asked = []

    def decode(self, latents, fixed=None):
        assert latents.dtype == np.float32
        assert latents.shape == (len(latents), self.latents)
        assert fixed is None or (fixed.dtype == np.int16 and fixed.shape == (len(latents), *self.shape))
        self.asked.append((latents.copy(), fixed))
        levels = np.rint(latents * 16).astype(np.int64) @ self.weights // 40 % self.tiles
        return levels.reshape(-1, *self.shape).astype(np.uint8)


def make(lanes=4, autoreset="Disabled", decoder=None, **options):
    decoder = Toy() if decoder is None else decoder
    return DesignVectorEnv(decoder.problem, "latent", lanes, autoreset_mode=autoreset, decoder=decoder, **options)


LATENT = envs.get_representation("latent")


@pytest.mark.parametrize(
    ("decoder", "shape"),
    [
        (Toy(tiles=4), (5, 5)),
        (Toy(shape=(5, 4), tiles=4), (5, 11)),
        (Toy(shape=(2, 3, 2), tiles=4), (2, 3, 5)),
        (Toy(latents=1, tiles=4), (5, 6)),
    ],
)
@pytest.mark.parametrize("mode", ["step", "point"])
def test_the_contract_of_representations(decoder, shape, mode):
    design = dataclasses.replace(LATENT, decoder=decoder, mode=mode)
    check_representation(design, cases=[(shape, 4)], ragged=False)


WIDE = {"problem": "binary", "shape": (4, 3), "tiles": 2}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "point"},
        {"mode": "point", "steps": 3, "frozen_share": 0.3, "controls": ["crate"]},
        {"end_on_success": False, "reward_every": 0, "play_every": 0, "steps": 5},
        {"reward_every": 3, "play_every": 2, "weights": {"crate": 2.0}, "step_size": 2},
    ],
)
def test_the_contract_of_environments(options):
    telescopes = not {"controls", "weights"} & set(options)
    check_vector_env(lambda lanes, mode: make(lanes, mode, **options), steps=25, telescopes=telescopes)


@pytest.mark.parametrize("mode", ["step", "point"])
def test_the_contract_of_environments_of_several_segments(mode):
    def made(lanes, autoreset):
        return make(lanes, autoreset, Toy(**WIDE), shape=(4, 8), mode=mode, end_on_success=False)

    check_vector_env(made, steps=60)


def test_gymnasium_makes_it_single_and_batched():
    env = gymnasium.make("tilewright/sokoban-latent-v0", decoder=Toy(), disable_env_checker=True)
    check_by_gymnasium(env.unwrapped, skip_render_check=True)
    batch = gymnasium.make_vec("tilewright/sokoban-latent-v0", num_envs=3, decoder=Toy())
    assert batch.action_space.shape == (3, 3)
    assert batch.observation_space["latent"].shape == (3, 3)
    observation, _ = batch.reset(seed=4)
    single, _ = env.reset(seed=4)
    assert difference({key: part[0] for key, part in observation.items()}, single) is None


def test_stable_baselines_own_check():
    sb3 = pytest.importorskip("stable_baselines3.common.env_checker", reason="the train extra is not installed")
    sb3.check_env(gymnasium.make("tilewright/sokoban-latent-v0", decoder=Toy()).unwrapped, skip_render_check=True)


@pytest.mark.parametrize("mode", ["step", "point"])
@pytest.mark.parametrize("shape", [(5, 5), (5, 12)])
def test_edits_are_those_of_a_plain_loop_over_lanes(mode, shape):
    toy, random = Toy(), np.random.default_rng(3)
    design = dataclasses.replace(LATENT, decoder=toy, mode=mode, steps=7)
    lanes = 5
    frozen = random.random((lanes, *shape)) < 0.3
    canvas = Canvas(
        levels=random.integers(0, 5, (lanes, *shape)).astype(np.uint8),
        frozen=frozen,
        shapes=np.tile(shape, (lanes, 1)),
        cursors=np.zeros((lanes, 2), np.int64),
        remaining=np.full(lanes, 10**9),
        free=np.zeros(lanes, np.int64),
        number_of_tiles=5,
        notes=design.notes(lanes, shape, 5),
    )
    design.place(canvas, np.arange(lanes), random.random((lanes, design.draws(shape))))
    points = [
        {left: canvas.notes["points"][i, s].copy() for s, left in enumerate(design.lefts(shape))} for i in range(5)
    ]
    assert list(points[0]) == ([0] if shape[1] == 5 else [0, 5, 7])
    levels, taken = canvas.levels.copy(), [0] * lanes
    for _ in range(12):
        bound = 1 if mode == "step" else 3
        actions = random.uniform(-bound, bound, (lanes, 3)).astype(np.float32)
        active = random.random(lanes) < 0.8
        changed = design.edit(canvas, actions, active, np.zeros((lanes, 0)))
        for i in range(lanes):
            count = 0
            if active[i] and taken[i] < 7:
                left = list(points[i])[taken[i] % len(points[i])]
                point = points[i][left] + np.float32(0.5) * actions[i] if mode == "step" else actions[i]
                points[i][left] = np.clip(point, -4, 4)
                made = toy.decode(points[i][left][None])[0]
                for y in range(5):
                    for x in range(5):
                        if not frozen[i, y, left + x] and levels[i, y, left + x] != made[y, x]:
                            levels[i, y, left + x] = made[y, x]
                            count += 1
                taken[i] += 1
            assert changed[i] == count
            left = list(points[i])[taken[i] % len(points[i])]
            np.testing.assert_array_equal(design.observe(canvas)["latent"][i], points[i][left])
            assert canvas.cursors[i].tolist() == [0, left]
            assert design.finished(canvas)[i] == (taken[i] == 7)
        np.testing.assert_array_equal(canvas.levels, levels)


def test_an_episode_begins_with_the_level_of_points_from_the_prior():
    env = make(2000, decoder=Toy(latents=4), mode="point")
    observation, _ = env.reset(seed=0)
    points = observation["latent"]
    np.testing.assert_array_equal(env.levels, Toy(latents=4).decode(points))
    np.testing.assert_array_equal(observation["map"], env.levels.reshape(2000, -1))
    assert abs(points.mean()) < 0.05
    assert points.std() == pytest.approx(1, abs=0.05)
    assert (np.abs(points) < 1).mean() == pytest.approx(0.683, abs=0.03)
    assert np.abs(np.corrcoef(points.T) - np.eye(4)).max() < 0.1
    assert "budget" not in observation


def test_given_levels_stand_until_the_first_action():
    own = np.random.default_rng(0).integers(0, 5, (3, 5, 5))
    free = make(4)
    drawn = free.reset(seed=0)[0]["latent"]
    for options, reset in (({"start_levels": own}, {}), ({}, {"levels": own[[0, 1, 2, 0]]})):
        env = make(4, **options)
        observation, _ = env.reset(seed=0, options=reset)
        assert all((own == level).all(axis=(1, 2)).any() for level in env.levels)
        if reset:
            np.testing.assert_array_equal(observation["latent"], drawn)
        actions = np.full((4, 3), 0.25, np.float32)
        moved = env.step(actions)[0]["latent"]
        np.testing.assert_allclose(moved, np.clip(observation["latent"] + 0.125, -4, 4), rtol=1e-6)
        np.testing.assert_array_equal(env.levels, Toy().decode(moved))


def test_frozen_tiles_are_given_to_the_decoder_and_stay():
    toy = Toy()
    env = make(6, decoder=toy, frozen_share=0.5, end_on_success=False)
    observation, _ = env.reset(seed=0)
    levels, frozen = env.levels, env.frozen
    assert 0.3 < frozen.mean() < 0.7
    np.testing.assert_array_equal(levels, Toy().decode(observation["latent"]))
    env.action_space.seed(0)
    for _ in range(8):
        env.step(env.action_space.sample())
        asked = toy.asked[-1][1]
        np.testing.assert_array_equal(asked, np.where(frozen, levels.astype(np.int16), -1))
        np.testing.assert_array_equal(env.levels[frozen], levels[frozen])
    assert (env.levels != levels).any()
    toy.asked.clear()
    plain = make(6, decoder=toy)
    plain.reset(seed=0)
    plain.step(plain.action_space.sample())
    assert all(fixed is None for _, fixed in toy.asked)


@pytest.mark.parametrize(
    ("options", "shape", "length"),
    [
        ({}, (4, 3), 8),
        ({"mode": "point"}, (4, 3), 1),
        ({"steps": 5}, (4, 3), 5),
        ({}, (4, 8), 24),
        ({"mode": "point"}, (4, 8), 3),
    ],
)
def test_how_long_episodes_are(options, shape, length):
    env = make(1, decoder=Toy(**WIDE), shape=shape, end_on_success=False, **options)
    env.reset(seed=0)
    ends = [tuple(part.item() for part in env.step(env.action_space.sample())[2:4]) for _ in range(length)]
    assert ends == [(False, False)] * (length - 1) + [(True, False)]
    with pytest.raises(UserError, match="have ended"):
        env.step(env.action_space.sample())


def test_success_ends_an_episode():
    for end in (True, False):
        env = make(1, decoder=Toy(**WIDE), shape=(4, 3), targets={"regions": (0, 9)}, end_on_success=end)
        env.reset(seed=0)
        _, _, terminations, _, infos = env.step(env.action_space.sample())
        assert infos["strict_success"][0]
        assert terminations[0] == end


def test_points_stay_within_reach():
    env = make(1, step_size=100, end_on_success=False)
    env.reset(seed=0)
    observation = env.step(np.array([[1, -1, 0]], np.float32))[0]
    assert observation["latent"][0, :2].tolist() == [4, -4]


def test_random_designers_move_through_latents():
    designer = RandomDesigner({"problem": "sokoban", "representation": "latent", "decoder": Toy()})
    designs = designer.design(count=3, seed=1)
    assert designs.steps.max() == 8
    assert (designs.levels != designs.starts).any()


class Silly(Toy):
    def __init__(self, returned):
        super().__init__()
        self.returned = returned

    def decode(self, latents, fixed=None):
        return self.returned(len(latents))


@pytest.mark.parametrize(
    "returned",
    [
        lambda n: np.zeros((n, 4, 5), np.uint8),
        lambda n: np.zeros((n, 5, 5)),
        lambda n: np.full((n, 5, 5), 5, np.uint8),
        lambda n: np.zeros((1, 5, 5), np.uint8),
    ],
)
def test_decoders_that_return_something_else(returned):
    with pytest.raises(UserError, match=r"must return tiles 0 to 4, uint8 \(4, 5, 5\)"):
        make(4, decoder=Silly(returned)).reset(seed=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["needs a decoder", "generators.latent_decoder(folder)"]),
        ({"decoder": "a folder"}, ["decode(latents, fixed)", "a folder"]),
        ({"decoder": Toy("zelda")}, ["levels of zelda", "sokoban"]),
        ({"decoder": Toy(shape=(5, 6))}, ["(5, 6)", "(5, 5)"]),
        ({"decoder": Toy(shape=(4, 5))}, ["(4, 5)", "shape=(4, 5)"]),
        ({"decoder": Toy(), "shape": (6, 5), "min_shape": (5, 5)}, ["(6, 5)"]),
        ({"decoder": Toy(shape=(5, 3)), "min_shape": (5, 4)}, ["min_shape"]),
        ({"decoder": Toy(), "mode": "jump"}, ["point, step", "jump"]),
        ({"decoder": Toy(), "steps": 0}, ["steps", "0"]),
        ({"decoder": Toy(), "step_size": 0}, ["step_size", "0"]),
        ({"decoder": Toy(), "change_share": 0.5}, ["without a change budget"]),
        ({"decoder": Toy(), "look_ahead": True}, ["look_ahead"]),
        ({"decoder": Toy(), "latents": 5}, ["latents", "decoder"]),
    ],
)
def test_what_cannot_be_used_is_refused(options, words):
    with pytest.raises(UserError) as raised:
        DesignVectorEnv("sokoban", "latent", **options)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        (np.zeros((2, 3)), ["(4, 3)", "(2, 3)"]),
        (np.full((4, 3), 1.5), ["lane 0", "1.5", "from -1 to 1"]),
        (np.array([[0, 0, 0]] * 3 + [[0, np.nan, 0]]), ["lane 3", "nan"]),
        (np.full((4, 3), -np.inf), ["lane 0", "-inf"]),
        (np.full((4, 3), "a"), ["numbers of shape (4, 3)"]),
        ([[0.0], [1.0, 2.0], [], []], ["differ in length"]),
    ],
)
def test_actions_that_cannot_be_used(actions, words):
    env = make(4)
    env.reset(seed=0)
    levels = env.levels
    with pytest.raises(UserError) as raised:
        env.step(actions)
    for word in words:
        assert word in str(raised.value)
    np.testing.assert_array_equal(env.levels, levels)
    env.step(np.zeros((4, 3), np.int64))
    with pytest.raises(UserError, match="no masks"):
        env.action_masks()


# Trained generators.


@pytest.fixture(scope="module")
def fitted():
    """A generator of each family that has latents, trained for a moment."""
    corpus = generators.corpus_of_levels("sokoban", envs.construct("sokoban", 60), repeats=True)
    made = {}
    for name in ("vae", "gan", "stylegan", "vqvae"):
        generator = generators.make_generator(name, corpus, **generators.get_family(name).small)
        generator.fit(corpus, FitOptions(minutes=0, steps=30, patience=0, learning_rate=0.02))
        made[name] = generator
    return made


@pytest.mark.parametrize("name", ["vae", "gan", "stylegan", "vqvae"])
def test_generators_decode_latents(fitted, name, tmp_path):
    decoder = generators.latent_decoder(fitted[name])
    assert isinstance(decoder, envs.LatentDecoder)
    assert (decoder.problem, decoder.shape) == ("sokoban", (5, 5))
    assert decoder.latents == {"vae": 4, "gan": 8, "stylegan": 8, "vqvae": 9 * 4}[name]
    points = np.random.default_rng(0).standard_normal((2 * BATCH + 5, decoder.latents)).astype(np.float32)
    levels = decoder.decode(points)
    assert levels.dtype == np.uint8
    assert levels.shape == (len(points), 5, 5)
    assert len(np.unique(levels, axis=0)) > 1, "latents make a difference"
    np.testing.assert_array_equal(decoder.decode(points[::-1])[::-1], levels)
    for count in (1, 7):
        np.testing.assert_array_equal(decoder.decode(points[:count]), levels[:count])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(decoder)).decode(points), levels)
    fixed = np.full(levels.shape, -1, np.int16)
    fixed[:, 0, 0], fixed[3:, 2, 2] = 4, 3
    around = decoder.decode(points, fixed)
    assert (around[:, 0, 0] == 4).all()
    assert (around[3:, 2, 2] == 3).all()
    fitted[name].save_pretrained(tmp_path)
    np.testing.assert_array_equal(generators.latent_decoder(tmp_path).decode(points), levels)
    for wrong in (points[:, 1:], points[0], np.full_like(points, np.nan)):
        with pytest.raises(UserError, match="Latents must be finite"):
            decoder.decode(wrong)
    with pytest.raises(UserError, match="fixed must be"):
        decoder.decode(points, fixed[:3])


@pytest.mark.parametrize("name", ["vae", "gan", "stylegan", "vqvae"])
def test_environments_over_generators(fitted, name):
    decoder = generators.latent_decoder(fitted[name])
    assert spaces.utils.flatdim(make(1, decoder=decoder).single_action_space) == decoder.latents

    def made(lanes, mode):
        return make(lanes, mode, decoder, frozen_share=0.2, steps=4, end_on_success=False)

    check_vector_env(made, steps=12)


def test_a_narrow_generator_writes_a_wide_level_segment_by_segment():
    task = envs.get_problem("smb")
    windows = envs.construct("smb", 8, shape=(14, 112)).reshape(8, 14, 4, 28).swapaxes(1, 2).reshape(-1, 14, 28)
    generator = generators.make_generator(
        "vae", generators.corpus_of_levels("smb", windows, repeats=True), **generators.get_family("vae").small
    )
    decoder = generators.latent_decoder(generator)
    env = DesignVectorEnv("smb", "latent", 2, decoder=decoder, mode="point", play_every=0, end_on_success=False)
    assert env.shape == task.default_shape == (14, 114)
    env.reset(seed=0)
    actions = np.random.default_rng(0).uniform(-3, 3, (5, 2, 4)).astype(np.float32)
    lefts = []
    for action in actions:
        lefts.append(int(env.cursors[0, 1]))
        _, _, terminations, _, _ = env.step(action)
        np.testing.assert_array_equal(env.levels[:, :, lefts[-1] : lefts[-1] + 28], decoder.decode(action))
    assert lefts == [0, 28, 56, 84, 86]
    assert terminations.all()


def test_generators_without_latents_are_refused(fitted):
    corpus = generators.corpus_of_levels("sokoban", envs.construct("sokoban", 10), repeats=True)
    with pytest.raises(UserError, match="gan, stylegan, vae, vqvae"):
        generators.latent_decoder(generators.make_generator("markov", corpus))


def test_what_decodes_is_made_once(fitted, monkeypatch):
    generator = fitted["vqvae"]
    decoder = generators.latent_decoder(generator)
    point = np.zeros((1, decoder.latents), np.float32)
    first = decoder.decode(point)
    monkeypatch.setattr("generators.families.vqvae.principal_axes", lambda *_: pytest.fail("axes are sought"))
    generator.sample(2)
    monkeypatch.setattr(generator, "graphs", lambda: pytest.fail("graphs are made"))
    np.testing.assert_array_equal(decoder.decode(point), first)


def test_principal_axes():
    random = np.random.default_rng(0)
    turned = np.linalg.qr(random.standard_normal((3, 3)))[0]
    vectors = (random.standard_normal((50_000, 3)) * [3, 0.5, 1] @ turned + [1, 2, 3]).astype(np.float32)
    weights = np.ones(len(vectors), np.float32)
    weights[1000:2000] = 0
    vectors[1000:2000] = 1e3
    mean, axes = principal_axes(vectors, weights, 2)
    assert mean == pytest.approx([1, 2, 3], abs=0.05)
    assert np.linalg.norm(axes, axis=1) == pytest.approx([3, 1], abs=0.03)
    assert np.abs(axes[0] @ turned[0]) == pytest.approx(3, abs=0.03)
    assert np.abs(axes[1] @ turned[2]) == pytest.approx(1, abs=0.03)


def test_codes_in_use_can_all_be_reached(fitted):
    generator = fitted["vqvae"]
    assert isinstance(generator, VectorQuantisedAutoencoder)
    codebook = generator.network.autoencoder.codebook
    mean, axes = principal_axes(codebook.vectors.numpy(), codebook.uses.numpy(), 4)
    # As many axes as numbers: every code lies at a point of its own.
    places = (codebook.vectors.numpy() - mean) @ np.linalg.pinv(axes)
    codes = np.arange(len(places))
    grid = np.repeat(codes[:, None], 9, axis=1).reshape(-1, *generator.code_shape)
    decoder = generators.latent_decoder(generator)
    np.testing.assert_array_equal(decoder.decode(np.tile(places, (1, 9)).astype(np.float32)), generator.decode(grid))
