"""Exported designers: near torch, equal levels at equal seeds, without torch or critics; and what is refused.

A new representation is tested without an edit here.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import envs
from agents.designer import PolicyDesigner
from agents.exported import CONFIG_FILE, load_exported_designer
from agents.interface import Interface
from agents.networks import DesignerNetwork
from agents.tasks import Task
from envs.vector_env import DesignVectorEnv
from experiments import export
from generators.corpus import corpus_of_levels
from generators.exported import load_exported
from generators.packing import PackedGenerator
from generators.suite import all_families, make_generator
from search.compression import prune_designer, quantise, quantise_designer
from tests.designers import SMALL, assert_names, options_of

torch.set_num_threads(1)

#: Each representation that needs no generator; networks that look ahead; and the other kinds of networks.
DESIGNERS = {
    **{name: ("sokoban", name, {}, "auto") for name, form in envs.all_representations().items() if not form.needs},
    "looking ahead": ("zelda", "turtle", {"look_ahead": True, "crop": [3, 3]}, "auto"),
    "convolutions": ("sokoban", "narrow", {"frozen_share": 0.2}, "conv"),
    "dense": ("binary", "wide", {}, "mlp"),
    "storeys": ("voxel", "turtle", {}, "conv"),
    "controlled": ("binary", "narrow", {"controls": ["regions"]}, "auto"),
}


def made_designer(name):
    problem, representation, options, kind = DESIGNERS[name]
    torch.manual_seed(0)
    options = options_of(problem, representation, step_limit=25, **options)
    network = DesignerNetwork(Interface.of(DesignVectorEnv(**options)), replace(SMALL, kind=kind))
    # What has learned nothing weighs all actions alike.
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(0.3 * torch.randn_like(weights))
    return PolicyDesigner(network, options, {"training": {"steps": 7}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def exported(folder):
    """Each designer, exported once."""
    made = {}

    def get(name):
        if name not in made:
            designer = made_designer(name)
            subject = export.designer_subject(designer, levels=5, card="# A designer")
            found = export.export_subject(subject, int8=True, repeats=1)
            for place, int8 in ((folder / name, False), (folder / "int8" / name, True)):
                place.mkdir(parents=True)
                export.write_export(place, subject, {"": found}, int8)
            made[name] = designer, found
        return made[name]

    return get


def assert_equal_designs(found, expected):
    np.testing.assert_array_equal(found.starts, expected.starts)
    different = (found.levels != expected.levels).reshape(len(found.levels), -1).any(axis=1).sum()
    assert different <= 1, f"{different} of {len(found.levels)} levels differ"


@pytest.mark.parametrize("name", DESIGNERS)
def test_every_designer_is_exported(name, exported, folder):
    designer, found = exported(name)
    assert found.rows[-1].difference <= export.TOLERANCE
    loaded = load_exported_designer(folder / name)
    assert loaded.name == designer.name
    assert loaded.shape == designer.shape
    assert loaded.facts["training"] == {"steps": 7}
    assert loaded.facts["export"]["maximum_difference"] == found.rows[-1].difference
    for count, seed in ((1, 3), (9, 4)):
        assert_equal_designs(loaded.design(count=count, seed=seed), designer.design(count=count, seed=seed))
    starts = designer.design(count=4, seed=9).starts
    frozen = np.random.default_rng(0).random(starts.shape) < 0.4
    if DESIGNERS[name][1] != "sequence":
        designs = loaded.design(starts, seed=1, frozen=frozen)
        assert_equal_designs(designs, designer.design(starts, seed=1, frozen=frozen))
        assert (designs.levels == designs.starts)[frozen].all()
    designer.deterministic = True
    surest = load_exported_designer(folder / name, deterministic=True)
    assert_equal_designs(surest.design(count=3, seed=5), designer.design(count=3, seed=5))
    designer.deterministic = False
    rounded = load_exported_designer(folder / "int8" / name)
    assert rounded.facts["export"]["int8"] is True
    assert rounded.design(count=3, seed=1).levels.shape == (3, *designer.shape)


@pytest.mark.parametrize("name", DESIGNERS)
def test_critics_are_left_out(name, exported, folder):
    designer, _ = exported(name)
    model = onnx.load(folder / name / "act.onnx")
    assert [entry.name for entry in model.graph.input] == list(designer.parts)
    assert [entry.name for entry in model.graph.output] == ["scores"]
    names = [entry.name for entry in model.graph.initializer]
    critic = [name for name, _ in designer.network.named_parameters() if "value" in name]
    assert critic
    assert not [entry for entry in names if any(part in entry for part in critic)]
    kept = sum(weights.numel() for key, weights in designer.network.named_parameters() if key not in critic)
    # Beside the weights there are a few constants: what a tile is as a plane, shapes.
    numbers = sum(int(np.prod(entry.dims)) for entry in model.graph.initializer)
    assert kept <= numbers < kept + 300


@pytest.mark.parametrize("change", [quantise_designer, lambda designer: prune_designer(designer, 0.5)])
def test_designers_that_were_made_smaller_are_exported(change, tmp_path):
    smaller = change(made_designer("narrow"))
    assert "storage" in smaller.facts
    subject = export.designer_subject(smaller, levels=4)
    export.write_export(tmp_path, subject, {"": export.export_subject(subject, repeats=1)})
    loaded = load_exported_designer(tmp_path)
    assert_equal_designs(loaded.design(count=7, seed=2), smaller.design(count=7, seed=2))
    # How it was made smaller is told; how its weights were stored is not true of the export.
    assert "compression" in loaded.facts
    assert "storage" not in loaded.facts


@pytest.fixture(scope="module")
def latent_designer():
    """A designer that moves through the latents of a generator that has eight-bit weights."""
    corpus = corpus_of_levels("sokoban", envs.construct("sokoban", 40, seed=1))
    packed = PackedGenerator.of(quantise(make_generator("vae", corpus, **all_families()["vae"].small)))
    options = {"problem": "sokoban", "representation": "latent", "shape": [5, 5], "steps": 5}
    torch.manual_seed(0)
    network = DesignerNetwork(Task(options, generator=packed).interface, SMALL)
    return PolicyDesigner(network, options, generator=packed)


def test_designers_in_latents_take_their_generator_along(latent_designer, tmp_path):
    latent_designer.save_pretrained(tmp_path / "run" / "designer", "# A designer")
    options = export.Options(tmp_path / "run", levels=5, repeats=1, int8=True, out=tmp_path)
    export.export(options)
    place = tmp_path / "export" / "run"
    loaded = load_exported_designer(place)
    assert_equal_designs(loaded.design(count=7, seed=2), latent_designer.design(count=7, seed=2))
    # A level must not depend on what is decoded beside it.
    assert load_exported(place / "generator").facts["export"]["int8"] is False
    assert loaded.facts["export"]["int8"] is True
    shutil.rmtree(place / "generator")
    assert_names(lambda: load_exported_designer(place), ["config.json", "decoder"])


def test_all_of_it_runs_without_torch(exported, folder, tmp_path):
    names = ["narrow", "wide", "looking ahead"]
    expected = {name: exported(name)[0].design(count=4, seed=2).levels for name in names}
    script = f"""
import sys
sys.modules.update(dict.fromkeys(("torch", "onnx", "safetensors", "stable_baselines3", "ray", "tyro")))
import numpy
from agents.exported import load_exported_designer
levels = {{name: load_exported_designer(f"{folder}/{{name}}").design(count=4, seed=2).levels for name in {names}}}
numpy.savez("{tmp_path}/levels.npz", **levels)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent.parent)
    found = np.load(tmp_path / "levels.npz")
    for name, levels in expected.items():
        assert (found[name] == levels).all(axis=(1, 2)).sum() >= 3, name


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "designer"},
        {"environment": {"problem": "nonsense"}},
        {"environment": {"problem": "zelda"}},
        {"environment": {"representation": "wide"}},
        {"environment": {"shape": [6, 6]}},
        {"environment": {"nonsense": 1}},
        {"environment": []},
        {"action": {"sizes": [3]}},
        {"action": {"sizes": 3}},
        {"action": {"numbers": 2}},
        {"action": []},
        {"parts": ["map"]},
        {"parts": [1]},
        {"parts": 1},
        {"graphs": []},
    ],
)
def test_damaged_configurations_are_named(exported, folder, tmp_path, values):
    exported("narrow")
    place = tmp_path / "copy"
    shutil.copytree(folder / "narrow", place)
    config = json.loads((place / CONFIG_FILE).read_text())
    for name, value in values.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    (place / CONFIG_FILE).write_text(json.dumps(config))
    assert_names(
        lambda: load_exported_designer(place), ["config.json" if "kind" in values else "export the model again"]
    )


def test_a_model_that_is_cut_short_is_refused(exported, folder, tmp_path):
    exported("narrow")
    shutil.copytree(folder / "narrow", tmp_path / "copy")
    path = tmp_path / "copy" / "act.onnx"
    path.write_bytes(path.read_bytes()[:-100])
    assert_names(lambda: load_exported_designer(tmp_path / "copy"), ["act.onnx", "damaged"])
