"""The trained models that come with the project: whole, equal by torch and exported, and better than a baseline."""

from __future__ import annotations

import numpy as np
import pytest

from agents.designer import PolicyDesigner
from agents.exported import load_exported_designer
from envs import get_problem
from envs.records import read_config
from generators.exported import load_exported
from generators.judging.playability import play_levels
from generators.suite import load_generator
from service.models import BUNDLED_DESIGNERS, BUNDLED_GENERATORS, Catalogue
from service.sources import Ask, fitted

pytest.importorskip("onnxruntime", reason="exported models need onnxruntime, of the extras `export` and `serve`")

GENERATORS = sorted(BUNDLED_GENERATORS.iterdir())
DESIGNERS = sorted(BUNDLED_DESIGNERS.iterdir())


def name_of(folder):
    return folder.name


@pytest.mark.parametrize("folder", GENERATORS, ids=name_of)
def test_a_generator_samples_the_same_levels_exported(folder):
    saved, exported = load_generator(folder), load_exported(folder / "onnx")
    levels = exported.sample(8, seed=5)
    # Where a draw falls within the last digits of a probability, either tile is right.
    assert (saved.sample(8, seed=5) == levels).all(axis=tuple(range(1, levels.ndim))).sum() >= 7
    assert exported.spec == saved.spec


@pytest.mark.parametrize("folder", GENERATORS, ids=name_of)
def test_a_generator_is_better_than_a_markov_chain_and_its_card_is_complete(folder):
    config = read_config(folder / "onnx" / "config.json")
    problem = get_problem(config["spec"]["problem"])
    ours = load_exported(folder / "onnx").sample(16, seed=3)
    theirs = fitted(problem, 200).sample_all([Ask(16, 3)])[0]
    mine, baseline = (play_levels(problem, levels, workers=1).playable.mean() for levels in (ours, theirs))
    # A course of smb that a Markov chain writes can always be won too.
    assert mine > baseline or mine == 1
    assert len(np.unique(ours, axis=0)) >= 14
    card = (folder / "onnx" / "card.md").read_text()
    assert all(f"## {part}" in card for part in ("Data", "Limits", "Export"))
    assert "Licence: made by this program." in card


@pytest.mark.parametrize("folder", DESIGNERS, ids=name_of)
def test_a_designer_designs_the_same_levels_exported(folder):
    saved, exported = (
        maker.design(count=3, seed=2)
        for maker in (PolicyDesigner.from_pretrained(folder), load_exported_designer(folder / "onnx"))
    )
    assert (saved.levels == exported.levels).all(axis=tuple(range(1, saved.levels.ndim))).sum() >= 2


@pytest.mark.parametrize("engine", ["onnx", "torch"])
def test_all_are_served_by_either_engine(engine):
    catalogue = Catalogue.of(engine=engine)
    for folders, listed in ((GENERATORS, catalogue.generators), (DESIGNERS, catalogue.designers)):
        assert {listed[folder.name].engine for folder in folders} == {engine}
        assert next(iter(listed)).startswith("zelda")
