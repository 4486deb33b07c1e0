"""Exported generators: near torch, equal levels at equal seeds in batches of any size, without torch; what is refused.

A new family is tested without an edit here.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import math
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from envs import UserError, construct
from experiments import export
from experiments.run import main
from generators.corpus import corpus_of_levels
from generators.exported import CONFIG_FILE, load_exported
from generators.exporting import count_rounded, quantised
from generators.generator import FitOptions
from generators.latents import latent_decoder
from generators.neural import NeuralGenerator
from generators.runtime import OnnxNetworks
from generators.sampler import LatentSampler
from generators.samplers import all_samplers
from generators.suite import all_families, load_generator, make_generator
from tests.designers import assert_names

torch.set_num_threads(1)

NEURAL = [name for name, kind in all_families().items() if issubclass(kind, NeuralGenerator)]

#: What exported models must do without.
BLOCKED = ("torch", "onnx", "onnxscript", "safetensors", "scipy", "diffusers", "stable_baselines3", "ray", "tyro")


@pytest.fixture(scope="module")
def corpus():
    return corpus_of_levels("sokoban", construct("sokoban", 60, seed=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def exported(corpus, folder):
    """Every neural family, as small as it can be, trained for a moment and exported once; tests do not change them."""
    made = {}

    def get(family):
        if family not in made:
            generator = make_generator(family, corpus, **all_families()[family].small)
            generator.fit(corpus, FitOptions(minutes=0, steps=3, batch=4, warm_up=1, patience=0))
            subject = export.generator_subject(generator, levels=6)
            found = export.export_subject(subject, int8=True, repeats=1)
            for place, int8 in ((folder / family, False), (folder / "int8" / family, True)):
                place.mkdir(parents=True)
                export.write_export(place, subject, {"": found}, int8)
            made[family] = generator, found
        return made[family]

    return get


def assert_nearly_all_equal(found, expected):
    """Where a draw falls within the last digits of a number, either tile is right: one level in some may differ."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype == np.uint8
    different = (found != expected).reshape(len(found), -1).any(axis=1).sum()
    allowed = max(1, len(found) // 8) if len(found) > 2 else 0
    assert different <= allowed, f"{different} of {len(found)} levels differ"


def other_options(sampling):
    """Returns other values than the defaults for the options of a sampling, as far as they go together."""
    found = {}
    for entry in dataclasses.fields(sampling):
        hint = typing.get_type_hints(sampling)[entry.name]
        if hint is bool:
            other = not entry.default
        elif hint is int:
            other = entry.default + 1
        elif hint is float:
            other = entry.default / 2 or 0.5
        elif typing.get_origin(hint) is typing.Literal:
            other = next(value for value in typing.get_args(hint) if value != entry.default)
        else:
            continue
        with contextlib.suppress(UserError):
            sampling(**found, **{entry.name: other}).check()
            found[entry.name] = other
    return found


def around(generator):
    """Returns conditions on and tiles fixed in 3 levels."""
    spec = generator.spec
    condition = {metric.name: np.linspace(metric.low, metric.high, 3) for metric in spec.conditions}
    like = generator.sample(3, seed=8).astype(np.int64)
    return condition, np.where(np.random.default_rng(0).random(like.shape) < 0.3, like, -1)


@pytest.mark.parametrize("family", NEURAL)
def test_every_family_is_exported(family, exported, folder):
    generator, found = exported(family)
    assert set(found.models) == set(generator.graphs())
    total = found.rows[-1]
    assert 0 <= total.difference <= export.TOLERANCE
    assert found.equal >= found.levels - 1
    loaded = load_exported(folder / family)
    assert loaded.spec == generator.spec
    assert (loaded.name, loaded.title, loaded.Sampling) == (family, generator.title, generator.Sampling)
    assert loaded.facts["corpus"] == generator.facts["corpus"]
    # Batches of other sizes than that of the export, beyond the chunk too.
    loaded.chunk = generator.chunk = 13
    for n, seed in ((1, 3), (16, 5)):
        assert_nearly_all_equal(loaded.sample(n, seed), generator.sample(n, seed))
    condition, fixed = around(generator)
    levels = loaded.sample(3, 6, condition, fixed)
    assert_nearly_all_equal(levels, generator.sample(3, 6, condition, fixed))
    assert (levels == fixed)[fixed >= 0].all()
    options = other_options(generator.Sampling)
    assert_nearly_all_equal(loaded.sample(3, 7, **options), generator.sample(3, 7, **options))


@pytest.mark.parametrize("family", NEURAL)
def test_the_folder_tells_how_near_it_comes(family, exported, folder):
    generator, found = exported(family)
    total = found.rows[-1]
    for place, int8 in ((folder / family, False), (folder / "int8" / family, True)):
        told = json.loads((place / CONFIG_FILE).read_text())["export"]
        assert told["int8"] is int8
        assert told["maximum_difference"] == total.difference
        assert told["int8_maximum_difference"] == total.int8_difference
        assert (told["equal_levels"], told["levels_compared"]) == (found.equal, found.levels)
        card = (place / "card.md").read_text()
        assert card.startswith(f"# {generator.title} for sokoban")
        assert f"| {total.difference:.1e} |" in card
        assert f"{found.equal} of {found.levels} levels are equal" in card
        assert {path.stem for path in place.glob("*.onnx")} == set(generator.graphs())


@pytest.mark.parametrize("family", NEURAL)
def test_eight_bits(family, exported, folder):
    generator, found = exported(family)
    total = found.rows[-1]
    # Families of convolutions alone keep these.
    assert 0 < total.rounded <= 1
    assert total.difference < total.int8_difference
    loaded = load_exported(folder / "int8" / family)
    condition, fixed = around(generator)
    levels = loaded.sample(3, 6, condition, fixed)
    assert levels.shape == (3, *generator.spec.shape)
    assert (levels == fixed)[fixed >= 0].all()
    np.testing.assert_array_equal(levels, loaded.sample(3, 6, condition, fixed))


def test_eight_bits_of_nothing():
    """Where nothing can be asked, a matrix has no rows; what it is multiplied by has no range."""
    weights = [np.zeros((0, 3), np.float32), np.arange(3, dtype=np.float32)]
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["asked", "weight", "bias"], ["scores"], name="linear")],
        "graph",
        [helper.make_tensor_value_info("asked", TensorProto.FLOAT, ["levels", 0])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["levels", 3])],
        [numpy_helper.from_array(array, name) for array, name in zip(weights, ("weight", "bias"), strict=True)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9).SerializeToString()
    rounded = quantised(model)
    assert count_rounded(model, rounded) == (0, 3)
    (scores,) = OnnxNetworks({"graph": rounded})("graph", np.zeros((2, 0), np.float32))
    np.testing.assert_array_equal(scores, [[0, 1, 2], [0, 1, 2]])


@pytest.mark.parametrize("family", [name for name, kind in all_samplers().items() if issubclass(kind, LatentSampler)])
def test_latents_are_decoded(family, exported, folder):
    generator, _ = exported(family)
    ours, theirs = latent_decoder(generator), latent_decoder(load_exported(folder / family))
    points = np.random.default_rng(0).standard_normal((40, ours.latents)).astype(np.float32)
    levels = theirs.decode(points)
    assert_nearly_all_equal(levels, ours.decode(points))
    np.testing.assert_array_equal(theirs.decode(points[:5]), levels[:5])


def test_all_of_it_runs_without_torch(exported, folder, tmp_path):
    expected = {name: exported(name)[0].sample(4, seed=2) for name in NEURAL}
    script = f"""
import sys
sys.modules.update(dict.fromkeys({BLOCKED}))
import numpy
from generators.exported import load_exported
import agents.exported
levels = {{name: load_exported(f"{folder}/{{name}}").sample(4, seed=2) for name in {NEURAL}}}
numpy.savez("{tmp_path}/levels.npz", **levels)
"""
    subprocess.run([sys.executable, "-c", script], check=True, cwd=Path(__file__).parent.parent)
    found = np.load(tmp_path / "levels.npz")
    for name, levels in expected.items():
        assert (found[name] == levels).all(axis=(1, 2)).sum() >= 3, name


# What is refused.


def test_what_disagrees_with_torch_is_refused(corpus, exported, monkeypatch):
    """Here what comes of the export has the weights of another model."""
    other, found = exported("masked_lm")
    generator = make_generator("masked_lm", corpus, **all_families()["masked_lm"].small)
    generator.restore({name: array + np.float32(1e-3) * (array > 0) for name, array in other.arrays().items()})
    subject = export.generator_subject(generator, levels=4)
    monkeypatch.setitem(export.FORMATS, "onnx", lambda *_: found.models["logits"])
    assert_names(
        lambda: export.export_subject(subject, repeats=1), ["disagrees with torch", "graph logits", "0.0001 is allowed"]
    )


@pytest.mark.parametrize("family", [name for name in all_families() if name not in NEURAL])
def test_families_without_networks_are_refused(family, corpus):
    generator = make_generator(family, corpus)
    assert_names(lambda: export.generator_subject(generator), [family, "no network to export", *NEURAL])


@pytest.fixture
def copied(exported, folder, tmp_path):
    """A copy of an exported VAE, to be damaged."""
    exported("vae")
    shutil.copytree(folder / "vae", tmp_path / "copy")
    return tmp_path / "copy"


def test_models_that_are_cut_short_are_refused(copied):
    path = copied / "decode.onnx"
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        path.write_bytes(content)
        assert_names(lambda: load_exported(copied), ["decode.onnx", "damaged", "export the model again"])
    path.unlink()
    assert_names(lambda: load_exported(copied), ["decode.onnx", "cannot be read", "export the model again"])


def test_models_of_nonsense_are_refused(copied):
    """A digest can be written by anybody."""
    from generators.exported import digest_of

    for content in (b"", b"nonsense" * 99):
        (copied / "decode.onnx").write_bytes(content)
        changed(copied, graphs={"decode": digest_of(content)})
        assert_names(lambda: load_exported(copied), ["decode", "damaged", "export the model again"])


def changed(place, **values):
    """Changes parts of a config.json."""
    config = json.loads((place / CONFIG_FILE).read_text())
    for name, value in values.items():
        config[name] = {**config.get(name, {}), **value} if isinstance(value, dict) else value
    (place / CONFIG_FILE).write_text(json.dumps(config))


@pytest.mark.parametrize(
    "values",
    [
        {"family": "nonsense"},
        {"family": ["vae"]},
        {"family": "tile_lm"},
        {"chunk": 0},
        {"chunk": "many"},
        {"keeps_fixed_tiles": "never"},
        {"holds_counts": "never"},
        {"graphs": []},
        {"graphs": {"../decode": "0"}},
        {"spec": {"problem": "nonsense"}},
        {"spec": {"problem": "zelda"}},
        {"spec": {"shape": [100_000, 100_000]}},
        {"spec": {"shape": [6, 5]}},
        {"spec": {"tiles": ["empty"]}},
        {"spec": []},
        {"spec": {"conditions": []}},
        {"settings": {"latents": 10**9}},
        {"settings": {"latents": 3}},
        {"settings": {"latents": math.nan}},
        {"settings": {"latents": "a"}},
        {"settings": {"more": 1}},
        {"settings": []},
        {"sampling": {"warmth": 1}},
        {"sampling": {"temperature": -1}},
        {"sampling": 5},
    ],
)
def test_damaged_configurations_are_named(copied, values):
    changed(copied, **values)

    def use():
        loaded = load_exported(copied)
        return loaded.sample(2, fixed_tiles=np.zeros(loaded.spec.shape, int))

    assert_names(use, ["export the model again"])


def test_folders_of_something_else_are_refused(copied, exported, tmp_path):
    from agents.exported import load_exported_designer

    assert_names(lambda: load_exported(tmp_path / "none"), ["config.json", "cannot be read"])
    assert_names(lambda: load_exported_designer(copied), ["does not describe an exported designer"])
    assert_names(lambda: load_generator(copied), ["does not describe a generator"])
    exported("vae")[0].save_pretrained(tmp_path / "saved")
    assert_names(lambda: load_exported(tmp_path / "saved"), ["does not describe an exported generator", "export"])
    (copied / CONFIG_FILE).write_text("{")
    assert_names(lambda: load_exported(copied), ["config.json is damaged"])
    assert_names(lambda: load_exported(copied, threads=0), ["config.json is damaged"])


def test_requests_are_checked(exported, folder):
    exported("vae")
    loaded = load_exported(folder / "vae")
    assert_names(lambda: loaded.sample(0), ["at least 1"])
    assert_names(lambda: loaded.sample(1, nonsense=1), ["sampling option of vae"])
    assert_names(lambda: loaded.sample(1, condition={"nonsense": 1}), ["condition"])
    assert_names(lambda: loaded.sample(1, fixed_tiles=np.full((5, 5), 99)), ["fixed_tiles"])
    assert_names(lambda: load_exported(folder / "vae", threads=0), ["threads"])


def test_onnxruntime_is_missing(exported, folder, monkeypatch):
    exported("vae")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert_names(lambda: load_exported(folder / "vae"), ["onnxruntime", "pip install onnxruntime"])


# The command.


def call(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(export.Options, export.export, [str(argument) for argument in arguments])
            code = 0
        except SystemExit as ended:
            code = ended.code
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def source(corpus, tmp_path_factory):
    """The folder of a run that left a generator. Nothing can be asked of it, so that it begins with no memory."""
    run = tmp_path_factory.mktemp("run") / "rooms"
    generator = make_generator("tile_lm", corpus, (), **all_families()["tile_lm"].small)
    generator.fit(corpus, FitOptions(minutes=0, steps=3, batch=4, warm_up=1, patience=0))
    generator.facts["sampling"] = {"temperature": 0.5}
    generator.save_pretrained(run / "generator", "# A card of its own\n")
    return run


def test_the_command(source, exported, tmp_path, monkeypatch):
    arguments = (source, "--to", "onnx", "--levels", "4", "--repeats", "1", "--out", tmp_path)
    code, out, err = call(*arguments, "--int8")
    assert code == 0, err
    place = tmp_path / "export" / "rooms"
    assert f"load_exported('{place}')" in out
    assert "In eight bits" in out
    assert load_exported(place).facts["export"]["int8"] is True
    assert load_exported(place).facts["export"]["format"] == "onnx"
    assert (place / "card.md").read_text().startswith("# A card of its own\n")
    assert "maximum difference" in (place / "export.md").read_text()
    rows = json.loads((place / "export.json").read_text())["rows"]
    assert [row["graph"] for row in rows] == ["step", "a level"]
    assert [path.name for path in place.parent.iterdir()] == ["rooms"]
    generator, loaded = load_generator(source), load_exported(place)
    assert_nearly_all_equal(loaded.sample(16, seed=1), generator.sample(16, seed=1))
    assert loaded.sampling_options() == generator.sampling_options() == type(generator).Sampling(temperature=0.5)
    assert_refused(call(*arguments), "--overwrite")
    # Written anew, nothing stays of what was there; the folder of the generator itself will do.
    other = exported("tile_lm")[1]
    monkeypatch.setattr(export, "export_subject", lambda *_: other)
    code, _, err = call(source / "generator", *arguments[1:], "--overwrite")
    assert code == 0, err
    assert {path.stem for path in place.glob("*.onnx")} == {"begin", "step"}
    assert json.loads((place / CONFIG_FILE).read_text())["export"]["int8"] is False
    assert [path.name for path in place.parent.iterdir()] == ["rooms"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--levels", "1"], "--levels must be at least 2"),
        (["--repeats", "0"], "--repeats must be at least 1"),
        (["--seed", "-1"], "--seed"),
    ],
)
def test_what_the_command_refuses(source, tmp_path, arguments, word):
    assert_refused(call(source, "--out", tmp_path, *arguments), word)
    assert not (tmp_path / "export").exists()


def assert_refused(result, *words):
    code, _, err = result
    assert code == 2, err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


def test_folders_that_the_command_refuses(source, corpus, tmp_path):
    assert_refused(call(tmp_path / "none", "--out", tmp_path), "config.json")
    markov = make_generator("markov", corpus)
    markov.fit(corpus)
    markov.save_pretrained(tmp_path / "chain")
    assert_refused(call(tmp_path / "chain", "--out", tmp_path), "markov", "no network")
    mine = tmp_path / "export" / "rooms"
    mine.mkdir(parents=True)
    (mine / "work.txt").write_text("mine")
    assert_refused(call(source, "--out", tmp_path, "--overwrite"), "holds no export", "--name")
    assert (mine / "work.txt").read_text() == "mine"


@pytest.mark.parametrize("library", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_library_is_named(source, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    assert_refused(call(source, "--out", tmp_path), library, 'pip install "tilewright[export]"')
    assert not (tmp_path / "export").exists()
