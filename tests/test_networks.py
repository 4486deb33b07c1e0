"""Networks of designers: what they see, what they answer, and their descriptions."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from gymnasium import spaces

import envs
from agents.interface import ActionCode, Interface
from agents.networks import DesignerNetwork, NetworkConfig, NetworkRecord
from envs.look_ahead import all_actions
from generators.devices import check_device
from tests.designers import SMALL, assert_names, make, tensors
from tests.shapes import FREE_FORMS

IDS = [(problem, form) for problem in envs.all_problems() for form in FREE_FORMS]


@pytest.mark.parametrize("kind", ["auto", "mlp", "conv"])
@pytest.mark.parametrize(("problem", "representation"), IDS)
def test_networks_of_every_environment(problem, representation, kind):
    controls = [envs.get_problem(problem).metrics[0].name]
    for options in ({}, {"look_ahead": True}, {"controls": controls, "frozen_share": 0.3}):
        sensible = envs.get_representation(representation).can_look_ahead
        if options.get("look_ahead") and (representation in ("narrowmulti", "cellular") or not sensible):
            continue
        env = make(problem, representation, **options)
        observations = env.reset(seed=0)[0]
        torch.manual_seed(0)
        network = DesignerNetwork(Interface.of(env), dataclasses.replace(SMALL, kind=kind))
        logits, values = network(tensors(observations))
        code = ActionCode.of(env.single_action_space, len(env.shape))
        assert logits.shape == (3, code.choices, code.options)
        assert values.shape == (3,)
        assert torch.isfinite(logits).all()
        assert torch.isfinite(values).all()
        actions = code.decode(torch.distributions.Categorical(logits=logits).sample().numpy())
        assert env.action_space.contains(actions)
        env.step(actions)


@pytest.mark.parametrize(("problem", "representation"), IDS)
def test_action_codes_reach_every_action_once(problem, representation):
    env = make(problem, representation)
    space = env.single_action_space
    code = ActionCode.of(space, len(env.shape))
    if not code.joint:
        assert isinstance(code.space(), spaces.MultiDiscrete)
        assert code.space() == space
        chosen = np.stack([code.space().sample() for _ in range(5)])
        np.testing.assert_array_equal(code.decode(chosen), chosen)
        return
    assert code.space() == spaces.Discrete(code.options)
    actions = code.decode(np.arange(code.options)[:, None])
    np.testing.assert_array_equal(actions, all_actions(space, len(env.shape)))
    assert all(space.contains(action) for action in actions)
    assert len({tuple(np.atleast_1d(action)) for action in actions}) == code.options == np.prod(code.sizes)


def test_action_codes_know_two_kinds_of_space():
    assert_names(lambda: ActionCode.of(spaces.Box(0, 1, (2,))), ["Discrete", "Box"])


def _cells_that_move(network, observations, place, shape):
    """The options whose logits change with the tile at a place, bool (height, width, tiles)."""
    height, width = shape
    before = network(tensors(observations))[0]
    maps = observations["map"].copy()
    cell = place[0] * width + place[1]
    maps[:, cell] = (maps[:, cell] + 1) % 2
    after = network(tensors({**observations, "map": maps}))[0]
    moved = (before != after)[0]
    if network.code.joint:
        # As an action says it: column, row, tile.
        columns, rows, tiles = network.code.decode(np.arange(network.code.options)[:, None]).T
        found = np.zeros((height, width, tiles.max() + 1), bool)
        found[rows, columns, tiles] = moved[0].numpy()
        return found
    return moved.numpy().reshape(height, width, -1)


@pytest.mark.parametrize(("representation", "look_ahead"), [("wide", False), ("wide", True), ("cellular", False)])
def test_heads_stand_on_their_cells(representation, look_ahead):
    shape, place = (7, 10), (2, 6)
    env = make("binary", representation, 1, shape=shape, look_ahead=look_ahead)
    observations = env.reset(seed=0, options={"levels": np.zeros(shape, np.uint8)})[0]
    torch.manual_seed(1)
    network = DesignerNetwork(Interface.of(env), NetworkConfig(channels=8, blocks=0))
    if look_ahead:
        # Options that change nothing are left out of account: let all change something.
        columns = observations["look_ahead"].reshape(1, -1, network.interface.look_ahead)
        columns[:, :, -1] = 1
    moved = _cells_that_move(network, observations, place, shape)
    rows, columns = np.indices(shape)
    near = (abs(rows - place[0]) <= 2) & (abs(columns - place[1]) <= 2)
    assert moved[place].all()
    assert not moved[~near].any()
    assert moved[near].any(axis=1).mean() > 0.8


@pytest.mark.parametrize(("representation", "look_ahead"), [("wide", False), ("wide", True), ("cellular", False)])
def test_heads_stand_on_their_cells_on_three_axes(representation, look_ahead):
    shape, place = (8, 6, 7), (3, 1, 5)
    env = make("voxel", representation, 1, shape=shape, look_ahead=look_ahead)
    observations = env.reset(seed=0, options={"levels": np.zeros(shape, np.uint8)})[0]
    torch.manual_seed(1)
    network = DesignerNetwork(Interface.of(env), NetworkConfig(channels=8, blocks=0))
    if look_ahead:
        observations["look_ahead"].reshape(1, -1, network.interface.look_ahead)[:, :, -1] = 1
    before = network(tensors(observations))[0]
    maps = observations["map"].copy()
    maps[0, np.ravel_multi_index(place, shape)] = 1
    moved = (before != network(tensors({**observations, "map": maps}))[0])[0].numpy()
    found = np.zeros((*shape, 2), bool)
    if network.code.joint:
        # As an action says it: column, row, storey, tile.
        columns, rows, storeys, tiles = network.code.decode(np.arange(network.code.options)[:, None]).T
        found[storeys, rows, columns, tiles] = moved[0]
    else:
        found = moved.reshape(*shape, -1)
    near = (abs(np.indices(shape) - np.reshape(place, (3, 1, 1, 1))) <= 2).all(axis=0)
    assert found[place].all()
    assert not found[~near].any()
    assert found[near].any(axis=1).mean() > 0.8


@pytest.mark.parametrize("representation", ["wide", "cellular"])
def test_heads_write_their_own_tile(representation):
    env = make("zelda", representation, 2)
    observations = env.reset(seed=0)[0]
    for tile in range(8):
        network = DesignerNetwork(Interface.of(env), SMALL)
        with torch.no_grad():
            network.body.policy.bias[tile] += 100
        actions = network.code.decode(network(tensors(observations))[0].argmax(dim=2).numpy())
        assert (actions[:, 2:] == tile).all() if representation == "wide" else (actions == tile).all()


@pytest.mark.parametrize("representation", ["narrow", "turtle", "wide", "narrowcast", "turtlecast"])
def test_scorers_prefer_what_looking_ahead_shows_to_be_better(representation):
    env = make("zelda", representation, 1, look_ahead=True)
    observations = env.reset(seed=0)[0]
    torch.manual_seed(0)
    network = DesignerNetwork(Interface.of(env), SMALL)
    actions = all_actions(env.single_action_space)
    for option in range(0, len(actions), 7):
        shown = np.zeros((len(actions), network.interface.look_ahead), np.float32)
        shown[:, -1] = 1
        shown[option, 2] = 20
        chosen = network(tensors({**observations, "look_ahead": shown.reshape(1, -1)}))[0].argmax(dim=2)
        np.testing.assert_array_equal(network.code.decode(chosen.numpy())[0], actions[option])


@pytest.mark.parametrize("representation", ["wide", "narrow", "cellular"])
def test_shared_blocks_are_one_block_applied_again(representation):
    env = make("zelda", representation)
    observations, interface = tensors(env.reset(seed=0)[0]), Interface.of(env)
    config = dataclasses.replace(SMALL, kind="conv", shared=True)
    networks = [DesignerNetwork(interface, dataclasses.replace(config, blocks=blocks)) for blocks in (0, 1, 4)]
    sizes = [sum(weights.numel() for weights in network.parameters()) for network in networks]
    assert sizes[0] < sizes[1] == sizes[2]
    # With the same weights, more applications say something else; and unshared blocks with equal weights the same.
    networks[1].load_state_dict(networks[2].state_dict())
    once, often = networks[1](observations), networks[2](observations)
    assert not torch.equal(once[0], often[0])
    apart = DesignerNetwork(interface, dataclasses.replace(config, blocks=4, shared=False))
    state = networks[2].state_dict()
    block = {name.partition(".blocks.0.")[2]: part for name, part in state.items() if ".blocks.0." in name}
    again = {f"body.blocks.{number}.{name}": part for number in range(4) for name, part in block.items()}
    apart.load_state_dict({**state, **again})
    assert torch.equal(apart(observations)[0], often[0])
    (often[0].square().mean() + often[1].mean()).backward()
    assert networks[2].body.blocks[0].weight.grad.abs().max() > 0
    record = NetworkRecord.parse(json.loads(json.dumps(networks[2].description()))).build()
    record.load_state_dict(networks[2].state_dict())
    assert torch.equal(record(observations)[0], often[0])


def test_a_description_from_before_blocks_could_be_shared():
    description = DesignerNetwork(Interface.of(make("binary", "wide")), SMALL).description()
    del description["network"]["shared"]
    assert NetworkRecord.parse(json.loads(json.dumps(description))).network == SMALL


@pytest.mark.parametrize(("representation", "look_ahead"), [("wide", True), ("cellular", False), ("turtle", True)])
def test_descriptions_build_the_same_network_again(representation, look_ahead):
    env = make("sokoban", representation, look_ahead=look_ahead, controls=["crate"])
    network = DesignerNetwork(Interface.of(env), SMALL)
    record = NetworkRecord.parse(json.loads(json.dumps(network.description())))
    assert (record.interface, record.network) == (network.interface, network.config)
    again = record.build()
    again.load_state_dict(network.state_dict())
    observations = tensors(env.reset(seed=0)[0])
    for ours, theirs in zip(network(observations), again(observations), strict=True):
        assert torch.equal(ours, theirs)


def _damage(path, value):
    def damaged(description):
        *way, last = path
        for key in way:
            description = description[key]
        if value is KeyError:
            del description[last]
        else:
            description[last] = value

    return damaged


DAMAGES = [
    _damage(["interface"], KeyError),
    _damage(["network"], KeyError),
    _damage(["interface"], "small"),
    _damage(["network"], None),
    _damage(["network", "kind"], "transformer"),
    _damage(["network", "kind"], "scorer"),
    _damage(["network", "kind"], ["mlp"]),
    _damage(["network", "layers"], 3),
    _damage(["network", "width"], -4),
    _damage(["network", "width"], "wide"),
    _damage(["network", "channels"], 0),
    _damage(["interface", "tiles"], KeyError),
    _damage(["interface", "tiles"], -3),
    _damage(["interface", "map_shape"], 5),
    _damage(["interface", "map_shape"], [4]),
    _damage(["interface", "sizes"], "many"),
    _damage(["interface", "colour"], 1),
]


@pytest.mark.parametrize("damage", range(len(DAMAGES)))
def test_damaged_descriptions(damage):
    env = make("binary", "wide")
    description = json.loads(json.dumps(DesignerNetwork(Interface.of(env), SMALL).description()))
    DAMAGES[damage](description)
    assert_names(lambda: NetworkRecord.parse(description).build(), [])


def test_networks_that_cannot_be():
    interface = Interface.of(make("binary", "narrow"))
    assert_names(lambda: DesignerNetwork(interface, NetworkConfig(kind="mpl")), ["'mpl'", "did you mean 'mlp'", "conv"])
    assert_names(lambda: DesignerNetwork(interface, NetworkConfig(kind="scorer")), ["look_ahead", "conv"])
    assert_names(lambda: DesignerNetwork(interface, NetworkConfig(width=0)), ["width", "at least", "0"])


@pytest.mark.parametrize("name", ["cuda:99", "abacus", ""])
def test_devices_that_are_not_there(name):
    assert check_device("cpu") == "cpu"
    assert_names(lambda: check_device(name), [repr(name), "cpu"])
