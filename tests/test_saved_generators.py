"""What comes with a saved generator is not believed: damaged files are named in one sentence, and cost no memory."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import load, save
from safetensors.torch import save_file

import envs
from envs import UserError
from generators.corpus import corpus_of_levels
from generators.generator import FitOptions
from generators.saving import CONFIG_FILE, WEIGHTS_FILE
from generators.suite import all_families, get_family, load_generator, make_generator

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Returns the folder of a saved generator of each family."""
    folder = tmp_path_factory.mktemp("saved")
    corpus = corpus_of_levels("sokoban", envs.construct("sokoban", 40, seed=1))
    for name in ("ngram", "vae"):
        generator = make_generator(name, corpus, **get_family(name).small)
        generator.fit(corpus, FitOptions(minutes=0, steps=2, batch=4))
        generator.save_pretrained(folder / name)
    return folder


@pytest.mark.parametrize("sampling", [{"warmth": 1}, {"temperature": -1}, 5, [["temperature", 1]]])
def test_ways_of_sampling_that_there_are_not_are_named(saved, tmp_path, sampling):
    place = tmp_path / "copy"
    shutil.copytree(saved / "vae", place)
    config = json.loads((place / CONFIG_FILE).read_text())
    (place / CONFIG_FILE).write_text(json.dumps({**config, "sampling": sampling}))
    with pytest.raises(UserError, match=r"config\.json"):
        load_generator(place)


def changed(saved, tmp_path, family, part, **values):
    """Returns a copy of a saved generator with other values in a part of its config.json."""
    place = tmp_path / "copy"
    shutil.copytree(saved / family, place)
    config = json.loads((place / CONFIG_FILE).read_text())
    (config["spec"]["conditions"][0] if part == "condition" else config[part]).update(values)
    (place / CONFIG_FILE).write_text(json.dumps(config))
    return place


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("spec", {"shape": [100_000, 100_000]}),
        ("spec", {"shape": [10**30, 1]}),
        ("spec", {"shape": [True, 5]}),
        ("spec", {"shape": [-5, 5]}),
        ("spec", {"labels": [["a"]]}),
        ("spec", {"fewest": [-1] * 5}),
        ("spec", {"most": [math.nan] * 5}),
        ("spec", {"most": [10**9] * 5}),
        ("spec", {"frequencies": ["x"] * 5}),
        ("spec", {"rules_kept": ["x"] * 3}),
        ("condition", {"scale": math.nan}),
        ("condition", {"scale": 0.0}),
        ("condition", {"mean": None}),
        ("condition", {"name": "nonsense"}),
        ("condition", {"edges": [3, 2, 1]}),
        ("config", {"width": 10**9}),
        ("config", {"width": 20_000}),
        ("config", {"depth": 10**9}),
        ("config", {"latents": math.inf}),
        ("config", {"latents": 10**400}),
        ("config", {"kl_weight": math.nan}),
    ],
)
def test_damaged_configurations_are_named(saved, tmp_path, part, values):
    with pytest.raises(UserError, match=r"config\.json"):
        load_generator(changed(saved, tmp_path, "vae", part, **values))


def test_contexts_longer_than_any_level_are_named(saved, tmp_path):
    with pytest.raises(UserError, match="context"):
        load_generator(changed(saved, tmp_path, "ngram", "config", context=10**9))


def test_weights_that_are_no_numbers_are_named(saved, tmp_path):
    place = changed(saved, tmp_path, "vae", "config")
    arrays = load((place / WEIGHTS_FILE).read_bytes())
    (place / WEIGHTS_FILE).write_bytes(save({name: array * np.float32(np.nan) for name, array in arrays.items()}))
    with pytest.raises(UserError, match="finite"):
        load_generator(place)
    halves = {name: torch.from_numpy(np.array(array)).to(torch.bfloat16) for name, array in arrays.items()}
    save_file(halves, place / WEIGHTS_FILE)
    with pytest.raises(UserError, match="damaged"):
        load_generator(place)


@pytest.mark.parametrize("name", [name for name, family in all_families().items() if not family.baseline])
def test_default_models_are_not_taken_for_too_large(name):
    corpus = corpus_of_levels("zelda", envs.construct("zelda", 30, seed=1))
    generator = make_generator(name, corpus)
    type(generator).check_size(generator.spec, generator.config, sum(a.size for a in generator.arrays().values()))


def test_ragged_values_are_named(saved):
    generator = load_generator(saved / "vae")
    with pytest.raises(UserError, match="fixed_tiles"):
        generator.sample(1, fixed_tiles=[[0, 1], [0]])
    with pytest.raises(UserError, match="label"):
        generator.spec._label_numbers([[0, 1], [0]], 2)
