"""Every family of generators keeps the contract; a new file in generators/families/ is tested without an edit here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import envs
from envs import UserError
from envs.checks.compare import CheckError
from generators.checks import check_family
from generators.corpus import corpus_of_levels
from generators.suite import all_families, get_family, load_generator, make_generator

torch.set_num_threads(1)


@pytest.mark.parametrize("name", all_families())
def test_the_contract(name):
    check_family(name)


@pytest.mark.parametrize("name", all_families())
@pytest.mark.parametrize(("problem", "shape"), [("zelda", (7, 11)), ("binary", (6, 9))])
def test_odd_shapes(name, problem, shape):
    corpus = corpus_of_levels(problem, envs.construct(problem, 30, seed=2, shape=shape))
    family = get_family(name)
    generator = make_generator(name, corpus, **family.small)
    from generators.generator import FitOptions

    generator.fit(corpus, FitOptions(minutes=0, steps=2, batch=4))
    levels = generator.sample(3, seed=1)
    assert levels.shape == (3, *shape)
    assert levels.max() < len(corpus.problem.tiles)


def test_levels_of_three_axes_are_learned_or_refused():
    corpus = corpus_of_levels("voxel", envs.construct("voxel", 12, seed=2, shape=(5, 5, 5)))
    for name, family in all_families().items():
        if 3 not in family.axes:
            with pytest.raises(UserError, match="axes"):
                make_generator(name, corpus)


def test_unknown_families_are_named():
    with pytest.raises(UserError, match="tile_ml"):
        get_family("tile_ml")


def test_a_folder_without_a_generator_is_named(tmp_path):
    with pytest.raises(UserError, match=r"config\.json"):
        load_generator(tmp_path)


def test_the_check_finds_what_is_wrong():
    class Broken(get_family("commonest")):
        def draw(self, request, sampling):
            return np.zeros((request.n, *self.spec.shape), np.int64) + 200

    with pytest.raises(CheckError):
        check_family(Broken)
