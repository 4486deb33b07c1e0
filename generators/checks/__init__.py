"""The contract of a family of generators, as code: anyone who adds one can run it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from envs import UserError, construct
from envs.checks.compare import require
from envs.counts import CountRule, kept
from generators.corpus import Corpus, corpus_of_levels
from generators.generator import FitOptions, Generator
from generators.options import explained
from generators.saving import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from generators.spec import LABEL, LevelSpec
from generators.suite import all_families, get_family, load_generator, make_generator

#: The updates of a check's training.
STEPS = 6


def check_family(
    family: str | type[Generator], problem: str = "sokoban", shape: tuple[int, ...] | None = None, *, levels: int = 60
) -> Generator:
    """Checks that a family keeps the contract of `generators.generator.Generator`.

    It holds that the class declares what it must; that it can be fitted; that samples are valid levels, equal for equal
    seeds whatever torch's and NumPy's global generators do, and leave these alone; that fixed tiles stay; that numbers
    of tiles are held, where it keeps count rules; that it can be asked for what its spec says, and refuses what it does
    not; that scores are finite; that a saved generator comes back the same; and that damaged files are refused in one
    sentence.

    Args:
        family: its name, or its class, which may then be one that is not in the suite.
        problem: whose constructed levels it is fitted to.
        shape: of the levels; None is the problem's default.
        levels: how many there are.

    Returns:
        The fitted generator.

    Raises:
        CheckError: something does not hold.
    """
    kind = get_family(family) if isinstance(family, str) else family
    _check_declaration(kind)
    corpus = corpus_of_levels(problem, construct(problem, levels, seed=1, shape=shape))
    generator = _made(kind, corpus)
    fit = generator.fit(corpus, FitOptions(minutes=0, steps=STEPS, batch=8, warm_up=1, seed=1))
    require(fit.steps <= STEPS, f"{kind.name} made {fit.steps} updates where {STEPS} were asked for.")
    require(
        generator.facts.get("corpus") == corpus.record(),
        f"{kind.name} does not keep what it was fitted to: end fit with `return self.note(corpus, fit)`.",
    )
    _check_samples(generator)
    _check_fixed_tiles(generator, corpus)
    _check_counts(generator)
    _check_conditions(generator)
    _check_scores(generator, corpus.test.levels[:4])
    with tempfile.TemporaryDirectory() as folder:
        if family == kind.name:
            _check_saving(generator, Path(folder))
    return generator


def _made(kind: type[Generator], corpus: Corpus) -> Generator:
    if all_families().get(kind.name) is kind:
        return make_generator(kind.name, corpus, **kind.small)
    return kind(LevelSpec.of(corpus), kind.Config(**kind.small))


def _check_declaration(kind: type[Generator]) -> None:
    for name in ("name", "title", "paper"):
        text = getattr(kind, name, "")
        require(isinstance(text, str) and bool(text), f"{kind.__qualname__} must declare {name}, some text.")
    require(
        kind.keeps_fixed_tiles in ("construction", "resampling"),
        f"{kind.name} holds fixed tiles by {kind.keeps_fixed_tiles!r}; it must be 'construction' or 'resampling'.",
    )
    for options in (kind.Config, kind.Sampling):
        require(
            is_dataclass(options) and options.__dataclass_params__.frozen,  # type: ignore[attr-defined]
            f"{kind.name}'s {options.__qualname__} must be a frozen dataclass.",
        )
        words = explained(options)
        for entry in fields(options):
            require(entry.name in words, f"{kind.name}'s {options.__qualname__} does not explain {entry.name}.")
        options()
    require(
        not kind.holds_counts or getattr(kind.Sampling(), "constrained", None) is True,
        f"{kind.name} holds numbers of tiles and must have the sampling option constrained, True by default.",
    )


def _valid(generator: Generator, levels: Any, n: int, what: str) -> None:
    name, spec = generator.name, generator.spec
    require(isinstance(levels, np.ndarray) and levels.dtype == np.uint8, f"{name}: {what} must be a uint8 array.")
    require(levels.shape == (n, *spec.shape), f"{name}: {what} have shape {levels.shape}, not {(n, *spec.shape)}.")
    require(int(levels.max()) < len(spec.tiles), f"{name}: {what} hold the tile {int(levels.max())}.")
    require(bool(levels.flags.c_contiguous), f"{name}: {what} must be contiguous.")


def _equal(first: NDArray, second: NDArray) -> bool:
    return bool(np.array_equal(first, second))


def _check_samples(generator: Generator) -> None:
    name = generator.name
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 (to see whether it is used)
    before = torch.get_rng_state()
    first = generator.sample(5, seed=3)
    require(bool(torch.equal(before, torch.get_rng_state())), f"{name} draws from torch's global generator.")
    _valid(generator, first, 5, "samples")
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    require(_equal(first, generator.sample(5, seed=3)), f"{name} samples other levels with the same seed.")
    _valid(generator, generator.sample(1), 1, "a single sample")
    many = generator.sample(generator.chunk + 3, seed=5) if generator.chunk <= 256 else None
    if many is not None:
        _valid(generator, many, generator.chunk + 3, "samples of more than one chunk")
    if not generator.baseline:
        require(not _equal(first, generator.sample(5, seed=4)), f"{name} samples the same levels with another seed.")
    for n in (0, -1, 1.5, True):
        _refused(lambda n=n: generator.sample(n), f"{name} takes {n!r} for a number of levels.")
    _refused(lambda: generator.sample(1, seed=-1), f"{name} takes a negative seed.")
    _refused(lambda: generator.sample(1, nonsense=1), f"{name} takes a sampling option called nonsense.")


def _refused(action: Any, message: str) -> None:
    try:
        action()
    except UserError:
        return
    require(False, message)


def _check_fixed_tiles(generator: Generator, corpus: Corpus) -> None:
    name, shape = generator.name, generator.spec.shape
    random = np.random.default_rng(0)
    model = corpus.train.levels[:4].astype(np.int64)
    fixed = np.where(random.random(model.shape) < 0.3, model, -1)
    levels = generator.sample(4, seed=1, fixed_tiles=fixed)
    _valid(generator, levels, 4, "samples around fixed tiles")
    require(bool((levels == fixed)[fixed >= 0].all()), f"{name} does not keep fixed tiles.")
    whole = generator.sample(2, seed=1, fixed_tiles=model[0])
    require(bool((whole == model[0]).all()), f"{name} changes levels that are fixed altogether.")
    free = generator.sample(3, seed=2, fixed_tiles=np.full(shape, -1))
    require(_equal(free, generator.sample(3, seed=2)), f"{name} samples otherwise where no tile is fixed.")
    for wrong in (np.zeros((*shape, 2), np.int64), np.full(shape, len(generator.spec.tiles)), np.full(shape, -2)):
        _refused(
            lambda wrong=wrong: generator.sample(1, fixed_tiles=wrong),
            f"{name} takes fixed tiles of shape {wrong.shape} and values up to {wrong.max()}.",
        )
    _refused(
        lambda: generator.sample(1, fixed_tiles=np.zeros(shape, np.float64)), f"{name} takes fixed tiles of fractions."
    )


def _check_counts(generator: Generator) -> None:
    name, tiles = generator.name, generator.spec.tiles
    counted = {tile for rule in generator.spec.count_rules() for tile in rule.coefficients}
    if not generator.keeps_counts():
        return
    before = generator.sample(4, seed=2)
    for tile in tiles[1:]:
        if tile in counted:
            continue
        held = generator.keeping([CountRule({tile: 1}, 3, 3)])
        levels = held.sample(12, seed=2)
        require(bool(kept(held.spec.count_rules(), levels, tiles).all()), f"{name} does not hold 3 tiles of {tile!r}.")
    require(
        _equal(before, generator.sample(4, seed=2)), f"{name} samples otherwise once a copy holds numbers of tiles."
    )


def _check_conditions(generator: Generator) -> None:
    name, spec = generator.name, generator.spec
    for metric in spec.conditions:
        asked = {metric.name: np.linspace(metric.low, metric.high, 3)}
        _valid(generator, generator.sample(3, condition=asked), 3, f"samples asked for {metric.name}")
        _refused(
            lambda metric=metric: generator.sample(3, condition={metric.name: [1, 2]}),
            f"{name} takes two values of {metric.name} for three levels.",
        )
    if spec.labels:
        _valid(generator, generator.sample(2, condition={LABEL: spec.labels[0]}), 2, "samples of a class")
    _refused(lambda: generator.sample(1, condition={"nonsense": 1}), f"{name} takes a condition called nonsense.")


def _check_scores(generator: Generator, levels: NDArray[np.uint8]) -> None:
    name = generator.name
    scores = generator.score(levels)
    if scores is None:
        return
    require(scores.nats.shape == (len(levels),), f"{name} scores {len(levels)} levels by {scores.nats.shape} numbers.")
    require(bool(np.isfinite(scores.nats).all()), f"{name} scores levels by {scores.nats}.")
    require(bool((scores.nats >= 0).all()), f"{name} takes levels for likelier than certain: {scores.nats}.")
    again = generator.score(levels)
    require(again is not None and _equal(again.nats, scores.nats), f"{name} scores the same levels differently.")
    if scores.predicted is not None:
        _valid(generator, scores.predicted, len(levels), "predicted tiles")


def _check_saving(generator: Generator, folder: Path) -> None:
    name = generator.name
    place = folder / "model"
    generator.save_pretrained(place)
    for file in (CONFIG_FILE, WEIGHTS_FILE, CARD_FILE):
        require((place / file).is_file(), f"{name} is saved without {file}.")
    loaded = load_generator(place)
    require(loaded.spec == generator.spec, f"{name} comes back with another spec.")
    require(loaded.config == generator.config, f"{name} comes back with another configuration.")
    require(loaded.facts == json.loads(json.dumps(generator.facts)), f"{name} comes back with other facts.")
    require(loaded.parameters() == generator.parameters(), f"{name} comes back with another number of parameters.")
    require(_equal(loaded.sample(5, seed=3), generator.sample(5, seed=3)), f"{name} comes back sampling other levels.")
    weights = (place / WEIGHTS_FILE).read_bytes()
    (place / WEIGHTS_FILE).write_bytes(weights[: len(weights) // 2])
    _refused(lambda: load_generator(place), f"{name} loads half a file of weights.")
    (place / WEIGHTS_FILE).write_bytes(weights)
    config = json.loads((place / CONFIG_FILE).read_text())
    for key, value in (("family", "nonsense"), ("spec", {}), ("config", {"nonsense": 1}), ("kind", "designer")):
        (place / CONFIG_FILE).write_text(json.dumps({**config, key: value}))
        _refused(lambda: load_generator(place), f"{name} loads with {key} {value!r}.")
    other = {**config["spec"], "tiles": [*config["spec"]["tiles"][:-1], "nonsense"]}
    (place / CONFIG_FILE).write_text(json.dumps({**config, "spec": other}))
    _refused(lambda: load_generator(place), f"{name} loads for a problem with other tiles.")
