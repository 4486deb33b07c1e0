"""What a trial trains and measures: candidates of all families, and designers."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.designer import PolicyDesigner
from agents.networks import NetworkConfig
from agents.training import PPOConfig
from envs import UserError
from envs.records import read_metrics
from generators.corpus import CorpusOptions, load_corpus
from generators.generator import FitOptions
from generators.kept_corpus import load_kept_corpus
from generators.suite import all_families, get_family, load_generator
from generators.training import CHECKPOINT_FILE, Asked
from search.objectives import OBJECTIVES, Constraint, choose_objectives, excesses, objectives_of
from search.subjects import CORPUS_FILE, DesignerSubject, GeneratorSubject

torch.set_num_threads(1)

LEVELS = CorpusOptions(levels=80, shape=(5, 7), held_out=0.2, test=0.2)
FIT = FitOptions(batch=8, warm_up=2)

#: Families whose space is empty have no network.
FAMILIES = [name for name, kind in all_families().items() if hasattr(kind, "of_corpus")]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Times nothing more often than it must."""
    monkeypatch.setattr("search.costs._SECONDS", 0.0)


def subject_of(family="vae", problem="zelda", **options):
    return GeneratorSubject(family, problem, LEVELS, **{"fit": FIT, "seconds": 0.05, **options})


def candidate_of(family="vae", seed=1, **options):
    return subject_of(family, **options).candidate({"model": dict(get_family(family).small)}, seed)


def equal(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


def loss_of(candidate):
    """The loss on the first training levels."""
    generator, levels = candidate.generator, candidate.corpus.train.levels[:16].astype(np.int64)
    values = np.full((16, len(generator.spec.conditions)), np.nan)
    asked = Asked.of(generator.spec, values, np.full(16, -1), "cpu")
    generator.network.eval()
    with torch.no_grad():
        return float(generator.loss(torch.from_numpy(levels), asked, torch.Generator().manual_seed(0))[0])


# Generators.


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_trained_measured_and_saved(family, tmp_path):
    candidate = candidate_of(family)
    costs = candidate.costs()
    assert costs.keys() == {name for name, objective in objectives_of("generator").items() if objective.cost}
    assert all(value > 0 for value in costs.values())
    candidate.train(0, 3, 1.0, None)
    candidate.train(0, 2, 0.5, None)
    figures = candidate.measure(8, 3)
    assert {*candidate.subject.figures(), "diverged"} <= figures.keys() | costs.keys()
    assert ("nats" in figures) == ("nats" in candidate.subject.figures())
    assert all(math.isfinite(value) for value in figures.values())
    assert figures["joint_low"] <= figures["joint"] <= figures["joint_high"] <= 1
    assert figures == candidate.measure(8, 3)
    candidate.save(tmp_path)
    loaded = load_generator(tmp_path)
    assert equal(loaded.arrays(), candidate.weights())
    assert loaded.facts["fit"]["steps"] == 5
    # Judged by all levels that there are, whatever part of them the last training saw.
    assert loaded.facts["corpus"]["digest"] == candidate.corpus.digest


@pytest.mark.parametrize("family", ["vae", "gan", "recurrent"])
def test_costs_are_those_of_the_architecture(family):
    first, second = (candidate_of(family).costs() for _ in range(2))
    assert all(first[name] == second[name] for name in ("parameters", "macs", "memory"))
    name = {"gan": "channels"}.get(family, "width")
    settings = {"model": {**get_family(family).small, name: 64}}
    wider = subject_of(family).candidate(settings, 1).costs()
    assert all(wider[name] > first[name] for name in ("parameters", "macs", "memory"))


@pytest.mark.parametrize("family", FAMILIES)
def test_proxies_are_numbers_where_they_are_defined(family):
    candidate = candidate_of(family)
    before = candidate.weights()
    found = candidate.proxies()
    # The last layer of a GAN that runs reads what is asked; the gates of recurrent layers have no linear form.
    missing = {"gan": {"jacobian", "synflow"}, "stylegan": {"jacobian", "synflow"}, "recurrent": {"synflow"}}
    assert {name for name, value in found.items() if math.isnan(value)} == missing.get(family, set())
    assert found["gradient_norm"] > 0
    assert equal(candidate.weights(), before)
    candidate.train(0, 2, 1.0, None)
    np.testing.assert_equal(candidate.proxies(), found)
    other = candidate_of(family, seed=2).proxies()
    assert other["gradient_norm"] != found["gradient_norm"]


def test_training_goes_on_from_the_weights_there_are(tmp_path):
    candidate = candidate_of(seed=4)
    first = loss_of(candidate)
    candidate.train(0, 60, 1.0, tmp_path)
    second = loss_of(candidate)
    candidate.train(0, 60, 1.0, tmp_path)
    assert loss_of(candidate) < second < first
    for rung in (1, 2):
        assert read_metrics(tmp_path / f"rung-{rung}" / "metrics.csv")["steps"][-1] == 60
        assert not (tmp_path / f"rung-{rung}" / CHECKPOINT_FILE).exists()
    assert candidate.done.steps == 120


def test_equal_seeds_give_equal_candidates():
    made = [candidate_of(seed=seed) for seed in (5, 5, 6)]
    for candidate in made:
        for steps in (4, 6):
            candidate.train(0, steps, 0.5, None)
    assert equal(made[0].weights(), made[1].weights())
    assert not equal(made[0].weights(), made[2].weights())


def test_a_share_of_the_levels_is_the_first_of_them(monkeypatch):
    corpus = load_corpus("zelda", LEVELS)
    half = corpus.beginning(0.5)
    assert np.array_equal(half.train.levels, corpus.train.levels[: len(corpus.train) // 2])
    assert half.held_out is corpus.held_out
    assert np.array_equal(half.metrics(), corpus.metrics()[: len(half.train)])
    assert "the first 40 of 80" in half.notes[-1]
    assert corpus.beginning(1.0) is corpus
    with pytest.raises(UserError, match="above 0 and at most 1"):
        corpus.beginning(0.0)
    shown = []
    candidate = candidate_of()
    step = type(candidate.generator).train_step
    monkeypatch.setattr(
        type(candidate.generator),
        "train_step",
        lambda self, levels, *rest: (shown.extend(levels.numpy()), step(self, levels, *rest))[1],
    )
    candidate.options = replace(candidate.options, symmetries=False)
    candidate.train(0, 8, 0.25, None)
    few = {level.tobytes() for level in corpus.train.levels[:20]}
    assert {level.astype(np.uint8).tobytes() for level in shown} == few


def test_a_training_that_diverges_leaves_the_weights_from_before():
    candidate = candidate_of()
    candidate.train(0, 20, 1.0, None)
    before, figures = candidate.weights(), candidate.measure(8, 1)
    assert figures["diverged"] == 0
    options = candidate.options
    candidate.options = replace(options, learning_rate=1e30, clip=0.0, warm_up=0)
    candidate.train(0, 20, 1.0, None)
    assert candidate.diverged
    assert equal(candidate.weights(), before)
    assert candidate.measure(8, 1) == {**figures, "diverged": 1.0}


def test_budgets_in_minutes_are_of_the_processor():
    candidate = candidate_of()
    candidate.train(0.01, 0, 1.0, None)
    assert 0.5 < candidate.done.seconds < 2
    with pytest.raises(UserError, match="training time or a number of steps"):
        candidate.train(0, 0, 1.0, None)


def test_the_cells_that_never_vary_are_those_of_the_levels_learned_from():
    """Weights go on where a tile LM learns from more levels than before, in which other cells vary."""
    candidate = candidate_of("tile_lm", problem="sokoban")
    sequence = candidate.generator.network.sequence
    whole = int((sequence.constant >= 0).sum())
    assert whole < sequence.total
    candidate.train(0, 2, 0.02, None)
    part = int((candidate.generator.network.sequence.constant >= 0).sum())
    assert part > whole
    before = candidate.weights()["head.weight"]
    candidate.train(0, 2, 1.0, None)
    assert int((candidate.generator.network.sequence.constant >= 0).sum()) == whole
    assert 0 < np.abs(candidate.weights()["head.weight"] - before).max() < 0.1


@pytest.mark.parametrize("family", ["vae", "tile_lm", "recurrent", "vqvae"])
def test_inheriting_from_an_equal_parent_gives_its_loss(family):
    parent, child = candidate_of(family), candidate_of(family, seed=9)
    parent.train(0, 20, 1.0, None)
    assert loss_of(child) != loss_of(parent)
    assert child.inherit(parent.weights()) == 1.0
    assert loss_of(child) == loss_of(parent)


def test_inheriting_from_a_smaller_parent_takes_a_share():
    parent = candidate_of("tile_lm")
    child = subject_of("tile_lm").candidate({"model": {**get_family("tile_lm").small, "width": 32, "depth": 2}}, 2)
    share = child.inherit(parent.weights())
    assert 0.2 < share < 0.6
    child.train(0, 1, 1.0, None)


def test_subjects_can_be_sent_and_begin_with_what_they_were_given():
    subject = pickle.loads(pickle.dumps(subject_of(sampling={"temperature": "0.5"})))
    assert subject.title == "vae on zelda"
    default = subject.default()
    assert default["fit"]["batch"] == 8
    candidate = subject.candidate(default, 0)
    assert candidate.sampling["temperature"] == 0.5
    assert candidate.options.learning_rate == get_family("vae").defaults["learning_rate"]
    with pytest.raises(UserError, match="width"):
        subject.candidate({"model": {"width": "wide"}}, 0)
    with pytest.raises(UserError, match="choose one of"):
        GeneratorSubject("ngram", "zelda").space()


def test_a_study_keeps_its_corpus(tmp_path, monkeypatch):
    file = tmp_path / CORPUS_FILE
    corpus = load_kept_corpus("zelda", LEVELS, file)
    import generators.kept_corpus

    def never(*_):
        raise AssertionError("read again")

    with monkeypatch.context() as without:
        without.setattr(generators.kept_corpus, "load_corpus", never)
        again = load_kept_corpus("zelda", LEVELS, file)
        assert again.record() == corpus.record()
        assert again.card() == corpus.card()
        without.setattr(type(corpus.problem), "measure", never)
        for split in ("train", "held_out"):
            assert np.array_equal(again.metrics(split), corpus.metrics(split))
            assert np.array_equal(again.part(split).labels, corpus.part(split).labels)
    # A file of other levels, and a damaged one, are written anew.
    other = load_kept_corpus("zelda", replace(LEVELS, levels=40), file)
    assert len(other.train) == 40
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", whole[:-200] + bytes(200)):
        file.write_bytes(damaged)
        assert load_kept_corpus("zelda", LEVELS, file).digest == corpus.digest
        assert file.read_bytes() != damaged


# Designers.

ENVIRONMENT = {"problem": "binary", "representation": "turtle", "shape": [5, 6]}
PPO = {"rollout": 8, "batch": 32, "epochs": 1}


def designer_of(seed=1, **network):
    subject = DesignerSubject(ENVIRONMENT, NetworkConfig(width=32), PPOConfig(lanes=8))
    return subject.candidate({"network": network, "ppo": PPO}, seed)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_designers_are_trained_measured_and_saved(kind, tmp_path):
    candidate = designer_of(kind=kind, channels=8)
    costs, proxies = candidate.costs(), candidate.proxies()
    assert all(value > 0 for value in costs.values())
    assert all(math.isfinite(value) for value in proxies.values())
    assert proxies == designer_of(kind=kind, channels=8).proxies()
    candidate.train(0, 128, 1.0, tmp_path)
    first = candidate.weights()
    candidate.train(0, 64, 1.0, tmp_path)
    assert candidate.steps == 192
    assert not equal(first, candidate.weights())
    assert len(read_metrics(tmp_path / "rung-1" / "metrics.csv")["steps"]) == 2
    figures = candidate.measure(6, 3)
    assert {"success", "strict_success", "return"} <= figures.keys()
    assert set(candidate.subject.figures()) <= figures.keys() | costs.keys()
    candidate.save(tmp_path / "designer")
    loaded = PolicyDesigner.from_pretrained(tmp_path / "designer")
    designs = loaded.design(count=6, seed=3)
    assert designs.success.mean() == figures["success"]
    assert designs.returns.mean() == pytest.approx(figures["return"])


def test_a_designers_return_is_the_improvement_of_its_levels():
    candidate = designer_of()
    designs = candidate._designer().design(count=5, seed=2)
    problem = candidate._designer().problem
    low, high = np.array([metric.target for metric in problem.metrics], np.float64).T
    low, high = (np.clip(end, *np.array([m.bounds((5, 6)) for m in problem.metrics]).T) for end in (low, high))
    weights = [metric.weight for metric in problem.metrics]

    def loss(levels):
        values = problem.measure(levels)
        return (np.maximum(low - values, 0) + np.maximum(values - high, 0)) @ weights

    assert designs.returns == pytest.approx(loss(designs.starts) - loss(designs.levels), abs=1e-4)
    assert np.abs(designs.returns).max() > 0


def test_designers_of_equal_seeds_are_equal_and_inherit():
    made = [designer_of(seed) for seed in (3, 3, 4)]
    for candidate in made:
        candidate.train(0, 64, 1.0, None)
        candidate.train(0, 64, 1.0, None)
    assert equal(made[0].weights(), made[1].weights())
    assert not equal(made[0].weights(), made[2].weights())
    child = designer_of(7)
    assert child.inherit(made[0].weights()) == 1.0
    assert equal(child.weights(), made[0].weights())
    wider = designer_of(7, width=64)
    assert 0 < wider.inherit(made[0].weights()) < 1


def test_a_designer_that_diverges_keeps_the_weights_from_before(monkeypatch):
    candidate = designer_of()
    before = candidate.weights()
    candidate.ppo = replace(candidate.ppo, learning_rate=1e30)
    candidate.train(0, 256, 1.0, None)
    assert candidate.diverged
    assert equal(candidate.weights(), before)
    assert candidate.measure(4, 1)["diverged"] == 1


# Objectives and constraints.


def test_the_table_of_objectives_is_sound():
    for name, objective in OBJECTIVES.items():
        assert objective.name == name
        assert objective.explanation.endswith(".")
        assert objective.kinds
    known = subject_of().figures()
    chosen = choose_objectives(("joint", "macs"), known, "vae")
    assert [one.direction for one in chosen] == ["maximize", "minimize"]
    assert [one.loss(2.0) for one in chosen] == [-2.0, 2.0]
    for names, words in (
        ((), "different objectives"),
        (("joint", "joint"), "different objectives"),
        (("success",), "not known of vae"),
        (("joints",), "did you mean 'joint'"),
    ):
        with pytest.raises(UserError, match=words):
            choose_objectives(names, known, "vae")
    assert "nats" not in subject_of("gan").figures()


def test_constraints_are_read_and_kept():
    known = subject_of().figures()
    small = Constraint.parse("parameters<=1e6", known, "vae")
    good = Constraint.parse(" joint >= 0.5 ", known, "vae")
    assert str(small) == "parameters <= 1e+06"
    figures = {"parameters": 1.5e6, "joint": 0.75}
    assert excesses((small, good), figures) == pytest.approx((0.5, -0.5))
    assert excesses((small,), {"parameters": 1e6}) == (0.0,)
    assert excesses((good,), {}) == (math.inf,)
    assert Constraint.parse("nats <= 0", known, "vae").excess({"nats": 0.5}) == 0.5
    for text, words in (
        ("parameters < 5", "a figure, <= or >="),
        ("parameters <= many", "finite number"),
        ("parameters <= inf", "finite number"),
        ("size <= 5", "Unknown figure 'size'"),
        ("return >= 5", "not known of vae"),
        ("", "a figure, <= or >="),
    ):
        with pytest.raises(UserError, match=words):
            Constraint.parse(text, known, "vae")
