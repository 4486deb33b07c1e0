"""Spaces: every family has one, all of it can be used, and people can write their own."""

from __future__ import annotations

import dataclasses
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import optuna
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

import envs
from agents.interface import Interface
from agents.networks import DesignerNetwork
from agents.presets import preset
from envs import UserError
from generators.corpus import corpus_of_levels
from generators.families.gan import GanConfig
from generators.families.stylegan import StyleganConfig
from generators.families.tile_lm import TileLMConfig
from generators.generator import FitOptions
from generators.neural import NeuralGenerator
from generators.searchable import Choice, Real, Several, Whole, searchable
from generators.spec import LevelSpec
from generators.suite import all_families, get_family, make_generator
from search.space import Space
from tests.designers import assert_names, make

torch.set_num_threads(1)
optuna.logging.set_verbosity(optuna.logging.WARNING)

LEARNED = [name for name, family in all_families().items() if issubclass(family, NeuralGenerator)]


class Ends:
    """A trial that answers with the lowest or the highest of each range, and some values as given."""

    def __init__(self, high, **chosen):
        self.high, self.chosen, self.choices = high, chosen, {}

    def suggest_int(self, name, low, high, *, step=1, log=False):
        return high if self.high else low

    def suggest_float(self, name, low, high, *, log=False):
        return high if self.high else low

    def suggest_categorical(self, name, choices):
        self.choices[name] = choices
        return self.chosen.get(name, choices[-1 if self.high else 0])


def corners(space):
    """Settings at the ends of all ranges, with each value of each choice."""
    found = []
    for high in (False, True):
        plain = Ends(high)
        found.append(space.suggest(plain))
        found += [
            space.suggest(Ends(high, **{name: value})) for name, values in plain.choices.items() for value in values
        ]
    return found


def draws(space, number, seed=0):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    return [space.suggest(study.ask()) for _ in range(number)]


def asked_again(space, chosen):
    """The settings of a trial with the parameters of settings, all of which must be asked for and in range."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = space.params(chosen)
        trial = FixedTrial(params)
        found = space.suggest(trial)
    assert trial.params == params
    return found


def interface_of(problem, representation, **options):
    return Interface.of(make(problem, representation, **options))


@pytest.fixture(scope="module")
def sokoban():
    return corpus_of_levels("sokoban", envs.construct("sokoban", 40, seed=1, shape=(7, 7)), repeats=True)


# Every family's space.


@pytest.mark.parametrize("name", LEARNED)
def test_all_of_a_family_s_space_can_be_used(name, sokoban):
    family, space = get_family(name), Space.of_family(name)
    assert {"model", "fit"} <= {part for part, ranges in space.parts.items() if ranges}
    assert space.configs(space.default())["model"] == family.Config()
    assert space.configs(space.default())["fit"] == family.resolved(FitOptions())
    assert asked_again(space, space.default()) == space.default()
    for chosen in draws(space, 200):
        configs = space.configs(chosen)  # checks them
        assert asked_again(space, chosen) == chosen
        assert {**chosen["model"]}.items() <= dataclasses.asdict(configs["model"]).items()
    spec = LevelSpec.of(sokoban)
    ends = corners(space)
    assert all(asked_again(space, chosen) == chosen for chosen in ends)
    for config in {space.configs(chosen)["model"] for chosen in ends}:
        with torch.device("meta"):
            assert family(spec, config).parameters() > 0


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_drawn_can_be_trained(name, sokoban):
    space = Space.of_family(name)
    (chosen,) = draws(space, 1, seed=3)
    # Not a size of the network, and nobody's time is to be spent on constructing levels.
    few = {"source_levels": 40} if name == "cyclegan" else {}
    generator = make_generator(name, sokoban, **chosen["model"], **few)
    fit = dataclasses.replace(space.configs(chosen)["fit"], minutes=0, steps=2, batch=8)
    assert math.isfinite(generator.fit(sokoban, fit).held_out)
    assert generator.sample(2, seed=1).shape == (2, 7, 7)


@pytest.mark.parametrize("name", sorted(set(all_families()) - set(LEARNED)))
def test_what_learns_no_weights_has_no_space(name):
    with pytest.raises(UserError, match=r"nothing to search.*tile_lm"):
        Space.of_family(name)


def test_a_subclass_declares_its_own_ranges_and_keeps_others():
    assert {"latent_size", "hidden", "penalty"} <= set(searchable(GanConfig))
    assert searchable(StyleganConfig)["objective"].values == ("wasserstein", "logistic")


def test_conditional_fields_keep_their_defaults_where_they_do_not_matter():
    space = Space.of_family("masked_lm")
    for chosen in draws(space, 60):
        model = chosen["model"]
        assert model["heads"] == 4 or model["blocks"] == "attention"
        assert model["kernel"] == 3 or model["blocks"] != "attention"
        assert model["width"] % model["heads"] == 0


@pytest.mark.parametrize("name", ["masked_lm", "diffusion"])
def test_a_study_begins_with_what_is_put_into_it(name, tmp_path):
    """Through a journal on disk, whose numbers come back as they were, and by a sampler that learns."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal.log")))
    study = optuna.create_study(storage=storage, sampler=optuna.samplers.TPESampler(n_startup_trials=2, seed=0))
    space = Space.of_family(name)
    known = [space.default(), *draws(space, 2, seed=5)]
    for chosen in known:
        study.enqueue_trial(space.params(chosen))
    for chosen in known:
        trial = study.ask()
        assert space.suggest(trial) == chosen
        study.tell(trial, len(str(chosen)))
    for _ in range(3):
        trial = study.ask()
        chosen = space.suggest(trial)
        assert space.suggest(FixedTrial(space.params(chosen))) == chosen
        study.tell(trial, 1.0)


# Designers.


@pytest.mark.parametrize(
    ("representation", "look_ahead"), [("wide", True), ("wide", False), ("narrow", True), ("turtle", False)]
)
def test_all_of_the_designers_space_can_be_used(representation, look_ahead):
    options = {"look_ahead": True} if look_ahead else {}
    interface = interface_of("zelda", representation, **options)
    usual = preset(representation, look_ahead=look_ahead)
    space = Space.of_designer(interface, usual.network, usual.ppo)
    default = space.configs(space.default())["network"]
    networks = [DesignerNetwork(interface, config).state_dict() for config in (default, usual.network)]
    assert networks[0].keys() == networks[1].keys()
    assert asked_again(space, space.default()) == space.default()
    kinds = {chosen["network"]["kind"] for chosen in draws(space, 40)}
    assert kinds == {"mlp", "conv", *(["scorer"] if look_ahead else [])}
    for chosen in [*draws(space, 100), *corners(space)]:
        assert asked_again(space, chosen) == chosen
        configs = space.configs(chosen)
        configs["ppo"].check()
    for chosen in corners(space):
        with torch.device("meta"):
            DesignerNetwork(interface, space.configs(chosen)["network"])


# Files.


@pytest.mark.parametrize("name", LEARNED)
def test_a_written_space_comes_back(name, tmp_path):
    space = Space.of_family(name)
    assert Space.read(space.write(tmp_path / "space.yaml")) == space
    assert f"subject: {name}" in (tmp_path / "space.yaml").read_text()


def test_a_designers_space_comes_back(tmp_path):
    space = Space.of_designer(interface_of("binary", "wide"))
    assert Space.read(space.write(tmp_path / "space.yaml"), space) == space
    assert_names(lambda: Space.read(tmp_path / "space.yaml"), ["space.yaml", "designer"])
    assert_names(lambda: Space.read(tmp_path / "space.yaml", Space.of_family("vae")), ["'designer'", "subject: vae"])


TEXT = """
kind: space
subject: tile_lm
model:
  width: {type: whole, low: 32, high: 96, multiple_of: heads}
  heads: {type: choice, values: [2, 4]}
  depth: 3
  order: column
  radius: {type: whole, low: 1, high: 3, when: {heads: [4]}}
fit:
  learning_rate: {type: real, low: 1e-4, high: 5e-3, log: true}
  warm_up: {type: whole, low: 0, high: 200, step: 50}
sampling:
  temperature: {type: real, low: 0.5, high: 1.5}
"""


def read(tmp_path, text, base=None):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return Space.read(path, base)


def test_a_space_by_hand(tmp_path):
    space = read(tmp_path, TEXT)
    assert space.default()["model"] == {"width": 64, "heads": 4, "depth": 3, "order": "column", "radius": 3}
    assert space.default()["fit"] == {"learning_rate": 3e-3, "warm_up": 100}
    assert set(space.params(space.default())) == {
        *("model.width", "model.heads", "model.radius", "fit.learning_rate", "fit.warm_up", "sampling.temperature")
    }
    for chosen in draws(space, 100):
        assert (chosen["model"]["depth"], chosen["model"]["order"]) == (3, "column")
        assert chosen["model"]["width"] % chosen["model"]["heads"] == 0
        assert chosen["model"]["heads"] == 4 or chosen["model"]["radius"] == 3
        assert 1e-4 <= chosen["fit"]["learning_rate"] <= 5e-3
        assert space.configs(chosen)["model"].expansion == TileLMConfig().expansion
    assert read(tmp_path, space.write(tmp_path / "again.yaml").read_text()) == space


def changed(old, new):
    assert old in TEXT
    return TEXT.replace(old, new)


WRONG = {
    "no YAML": ("kind: [", ["mine.yaml", "YAML"]),
    "no mapping": ("- 3", ["mine.yaml", "kind: space"]),
    "code": ("kind: !!python/object/apply:os.getcwd []", ["mine.yaml", "YAML"]),
    "another kind": (changed("kind: space", "kind: preset"), ["kind: space"]),
    "unknown family": (changed("tile_lm", "tile_ml"), ["tile_ml", "did you mean 'tile_lm'"]),
    "unknown part": (changed("fit:", "fitting:"), ["fitting", "fit"]),
    "a part that is no mapping": ("kind: space\nsubject: vae\nmodel: 3", ["model", "3"]),
    "unknown field": (changed("depth:", "layers:"), ["model", "layers", "depth"]),
    "unknown type": (changed("type: whole, low: 32", "type: int, low: 32"), ["model.width", "'int'", "whole"]),
    "no type": (changed("{type: choice, values", "{values"), ["model.heads", "choice"]),
    "unknown word": (changed("high: 96", "top: 96"), ["model.width", "top"]),
    "a word that is missing": (changed("low: 32, ", ""), ["model.width", "'low'", "missing"]),
    "a value of another type": (changed("high: 96", "high: wide"), ["model.width", "'high'", "int", "wide"]),
    "a choice of another type": (changed("[2, 4]", "[2, four]"), ["model.heads", "four"]),
    "a choice that is no list": (changed("[2, 4]", "4"), ["model.heads", "list"]),
    "a choice of nothing": (changed("[2, 4]", "[]"), ["model.heads", "at least one"]),
    "the same choice twice": (changed("[2, 4]", "[4, 4]"), ["model.heads", "once"]),
    "a fixed value of another type": (changed("depth: 3", "depth: deep"), ["model.depth", "deep"]),
    "a fixed value that cannot be": (changed("depth: 3", "depth: 0"), ["model depth 0,", "at least 1", "narrower"]),
    "a range of another type": (
        changed("depth: 3", "depth: {type: real, low: 1, high: 9}"),
        ["model.depth", "real", "whole"],
    ),
    "low above high": (changed("low: 32", "low: 320"), ["model.width", "320", "96"]),
    "no logarithm": (changed("low: 1e-4", "low: 0"), ["fit.learning_rate", "above 0", "log"]),
    "log with a step": (changed("step: 50", "step: 50, log: true"), ["fit.warm_up", "log"]),
    "default outside": (changed("low: 32", "low: 80"), ["model.width", "default 64", "widen"]),
    "default between steps": (changed("step: 50", "step: 30"), ["fit.warm_up", "default 100"]),
    "when of an unknown field": (changed("when: {heads", "when: {head"), ["model.radius", "'heads'"]),
    "when without a list": (changed("{heads: [4]}", "{heads: 4}"), ["model.radius", "list"]),
    "when that is no mapping": (changed("{heads: [4]}", "[heads]"), ["model.radius", "mapping"]),
    "a circle": (changed("[2, 4]}", "[2, 4], when: {radius: [3]}}"), ["model.radius", "model.heads", "when"]),
    "multiples of a word": (changed("multiple_of: heads", "multiple_of: order"), ["model.width", "order"]),
    "no multiple": (changed("[2, 4]", "[2, 4, 97]"), ["model.width", "97", "widen"]),
    "what does not go together": (
        changed(", multiple_of: heads", ""),
        ["model width ", " with heads ", "multiple_of", "when"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_slips_are_named(name, tmp_path):
    text, words = WRONG[name]
    assert_names(lambda: read(tmp_path, text), ["mine.yaml", *words])


def test_a_file_that_is_not_there(tmp_path):
    assert_names(lambda: Space.read(tmp_path / "none.yaml"), ["none.yaml", "cannot be read"])


def test_tuples_in_files(tmp_path):
    head = "kind: space\nsubject: diffusion\nmodel:\n  channels: "
    space = read(tmp_path, head + "{type: several, each: {low: 32, high: 64, step: 16}, least: 1, most: 2}")
    assert space.params({"model": {"channels": [48, 64]}}) == {
        "model.channels.length": 2,
        "model.channels.0": 48,
        "model.channels.1": 64,
    }
    fixed = read(tmp_path, head + "[16, 32]")
    assert fixed.params(fixed.default()) == {}
    assert fixed.configs(fixed.default())["model"].channels == (16, 32)
    for wrong, words in {
        "{type: several, least: 1, most: 2}": ["each"],
        "{type: several, each: {low: 32, high: 64}, least: 2, most: 1}": ["least", "2"],
        "{type: several, each: {low: 32, high: 64, multiple_of: layers}, least: 1, most: 1}": ["multiple_of"],
        "{type: choice, values: [[16], [32]]}": ["several"],
        "{type: several, each: {low: 60, high: 68}, least: 1, most: 1}": ["channels", "multiples of 8"],
        "sixteen": ["channels", "sixteen"],
    }.items():
        assert_names(lambda text=wrong: read(tmp_path, head + text), ["model", "channels", *words])


# Settings.


def test_settings_that_are_not_in_the_space():
    space = Space.of_family("masked_lm")
    for model, words in (
        ({"width": 500}, ["model.width", "500"]),
        ({"width": 30}, ["model.width 32"]),
        ({"blocks": "cellular", "heads": 8}, ["model.heads 4"]),
        ({"depth": 3}, ["depth"]),
        ({"width": "wide"}, ["model.width", "wide"]),
    ):
        assert_names(lambda given=model: space.params({"model": given}), words)
    assert_names(lambda: space.params({"network": {}}), ["network", "model"])
    assert_names(lambda: space.configs({"model": {"depth": 3}}), ["depth"])
    assert_names(lambda: space.configs({"network": {}}), ["network", "model"])
    assert space.configs({"model": {"things": False}})["model"].things is False


@dataclass(frozen=True)
class Chain:
    first: Annotated[Literal["a", "b"], Choice()] = "a"
    third: Annotated[int, Whole(0, 9, when={"second": (True,)})] = 5
    second: Annotated[bool, Choice(when={"first": ("b",)})] = True
    numbers: Annotated[tuple[int, ...], Several(Whole(2, 8, step=2), 1, 3, when={"first": ("a",)})] = (4,)
    share: Annotated[float | None, Real(0.0, 1.0, when={"third": (5,)})] = 0.5
    plain: int = 3


def test_conditions_reach_through_others():
    space = Space("chain", {"it": searchable(Chain)}, {"it": Chain()})
    assert list(space.default()["it"]) == ["first", "third", "second", "numbers", "share"]
    # `second` is True by default, but does not matter where `first` is "a": nor does what waits for it.
    assert set(space.params({"it": {"numbers": [8, 2]}})) == {
        "it.first",
        "it.numbers.length",
        "it.numbers.0",
        "it.numbers.1",
    }
    assert set(space.params({"it": {"first": "b"}})) == {"it.first", "it.second", "it.third", "it.share"}
    assert set(space.params({"it": {"first": "b", "third": 6}})) == {"it.first", "it.second", "it.third"}
    for chosen in [*draws(space, 50), *corners(space)]:
        assert asked_again(space, chosen) == chosen


@given(st.integers(1, 300), st.integers(0, 300), st.integers(1, 40), st.integers(-10, 700))
def test_rounding_finds_the_nearest_multiple_in_range(low, more, divisor, value):
    multiples = [number for number in range(low, low + more + 1) if number % divisor == 0]
    found = Whole(low, low + more).rounded(value, divisor)
    assert (found in multiples) if multiples else found is None
    assert found is None or abs(found - value) == min(abs(number - value) for number in multiples)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_any_space_of_a_few_fields_round_trips(tmp_path_factory, data):
    """Whatever ranges hold the defaults: written and read they are the same, and every draw has its parameters."""
    default = TileLMConfig()
    ranges = {}
    known = ["width", "depth", "expansion", "radius", "dropout", "order", "heads"]
    for name in data.draw(st.sets(st.sampled_from(known))):
        value = getattr(default, name)
        when = data.draw(st.sampled_from([{}, {"order": ("layers",)}])) if name != "order" else {}
        if name == "order":
            ranges[name] = Choice(tuple(data.draw(st.permutations(["layers", "row", "snake"]))))
        elif name == "heads":
            ranges[name] = Choice((1, 2, 4), when)
        elif name == "dropout":
            ranges[name] = Real(0.0, data.draw(st.floats(0, 0.9)), when=when)
        else:
            low, high = data.draw(st.integers(1, value)), data.draw(st.integers(value, 2 * value + 3))
            multiple = "heads" if name == "width" else ""
            ranges[name] = Whole(low, high, data.draw(st.booleans()), multiple_of=multiple, when=when)
    base = Space.of_family("tile_lm")
    space = Space("tile_lm", {"model": ranges}, base.defaults)
    path = space.write(tmp_path_factory.mktemp("spaces") / "space.yaml")
    assert Space.read(path) == space
    assert yaml.safe_load(path.read_text())["subject"] == "tile_lm"
    for chosen in [space.default(), *draws(space, 3, seed=data.draw(st.integers(0, 99)))]:
        assert asked_again(space, chosen) == chosen
        space.configs(chosen)["model"].check()


def test_the_example_of_the_documentation(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "search.md").read_text()
    space = read(tmp_path, page.partition("```yaml\n")[2].partition("```")[0])
    assert space.default()["model"]["layers"] == 6
    assert "sampling.temperature" in space.params(space.default())
