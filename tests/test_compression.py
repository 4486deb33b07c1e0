"""Models made smaller: what files keep, what pruning, eight bits and distillation leave, and what they cost."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load as load_arrays
from torch import nn

from agents.designer import PolicyDesigner
from agents.networks import DesignerNetwork, NetworkConfig
from agents.tasks import Task
from envs import UserError, construct
from experiments import compress, finetune
from experiments.run import main
from generators.corpus import CorpusOptions, corpus_of_levels, load_corpus
from generators.generator import FitOptions
from generators.integers import IntegerLinear, to_floats, to_integers
from generators.latents import latent_decoder
from generators.neural import NeuralGenerator
from generators.saving import WEIGHTS_FILE
from generators.storage import INT8, SPARSE, pack, restored, rounded, unpack
from generators.suite import all_families, load_generator, make_generator
from search.compression import distil, prune, prune_designer, quantise, quantise_designer, smaller_config
from tests.tracked import read_tensorboard

torch.set_num_threads(1)

NEURAL = [name for name, kind in all_families().items() if issubclass(kind, NeuralGenerator)]
FIT = FitOptions(minutes=0, steps=3, batch=4, warm_up=1, patience=0)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="module")
def corpus():
    return corpus_of_levels("sokoban", construct("sokoban", 60, seed=1))


@pytest.fixture(scope="module")
def fitted(corpus):
    """Every neural family, as small as it can be and trained for a moment; tests do not change them."""
    made = {}

    def get(family):
        if family not in made:
            made[family] = make_generator(family, corpus, **all_families()[family].small)
            made[family].fit(corpus, FIT)
        return made[family]

    return get


# Files.


def test_rounding_keeps_each_number_to_half_a_step():
    matrix = np.random.default_rng(0).normal(size=(7, 3, 5)).astype(np.float32)
    matrix[2] = 0
    matrix[3] *= 1e-6
    whole, scales = rounded(matrix)
    assert whole.dtype == np.int8
    assert (np.abs(whole).reshape(7, -1).max(axis=1) == [127, 127, 0, 127, 127, 127, 127]).all()
    error = np.abs(restored(whole, scales) - matrix).reshape(7, -1).max(axis=1)
    assert (error <= scales * 0.501).all()
    assert np.allclose(scales, np.where(scales == 1, 1, np.abs(matrix).reshape(7, -1).max(axis=1) / 127), rtol=1e-4)


def test_what_was_rounded_once_is_not_rounded_again():
    matrix = np.random.default_rng(1).normal(size=(200, 40)).astype(np.float32) * np.logspace(-6, 6, 200)[:, None]
    once = restored(*rounded(matrix.astype(np.float32)))
    assert (restored(*rounded(once)) == once).all()
    assert (once != matrix).any()


def test_packing_and_unpacking():
    random = np.random.default_rng(2)
    sparse = random.normal(size=(9, 4, 7)).astype(np.float32) * (random.random((9, 4, 7)) < 0.3)
    arrays = {
        "layer.weight": random.normal(size=(16, 8)).astype(np.float32),
        "sparse": sparse,
        "layer.bias": random.normal(size=100).astype(np.float32),
        "few": np.ones((2, 2), np.float32),
        "whole": np.arange(200).reshape(20, 10),
    }
    for storage in ("", INT8, SPARSE):
        found = unpack(pack(arrays, storage))
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            if storage != INT8 or name not in ("layer.weight", "sparse"):
                assert (found[name] == array).all()
    assert pack(arrays, INT8)["layer.weight"].dtype == np.int8
    packed = pack(arrays, SPARSE)
    assert packed["sparse"].nbytes + packed["sparse.places"].nbytes < sparse.nbytes / 2
    assert packed["layer.weight"].shape == (16, 8)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a.scale", lambda array: array[:-1]),
        ("a", lambda array: array.astype(np.int16)),
        ("b.places", lambda array: array[:-1]),
        ("b.places", lambda array: array ^ 255),
        ("b.shape", lambda array: array + 1),
        ("b.shape", lambda array: -array),
        ("b", lambda array: array[:-1]),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(name, change):
    matrix = np.eye(16, dtype=np.float32)
    arrays = {**pack({"a": matrix}, INT8), **pack({"b": matrix}, SPARSE)}
    assert (unpack(arrays)["b"] == matrix).all()
    with pytest.raises(ValueError, match="does not fit"):
        unpack({**arrays, name: change(arrays[name])})


# Products of whole numbers.


def test_an_integer_layer_is_near_the_layer_that_it_was_made_of():
    torch.manual_seed(0)
    layer = nn.Linear(300, 250)
    inputs = torch.randn(64, 300)
    network = nn.Sequential(layer, nn.ReLU(), nn.Linear(250, 3))
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    wanted = layer(inputs)
    found = to_integers(network)
    assert found in (0, 300 * 250)
    if not found:
        pytest.skip("torch has no products of whole numbers here")
    made = network[0]
    assert isinstance(made, IntegerLinear)
    assert type(network[2]) is nn.Linear
    assert made.weight.dtype == torch.int8
    with torch.no_grad():
        apart = (made(inputs) - wanted).abs().mean() / wanted.abs().mean()
    assert 0 < apart < 0.05
    assert network.state_dict().keys() == state.keys()
    assert torch.allclose(network.state_dict()["0.weight"], state["0.weight"], atol=1e-3)
    # The same weights as float32: what is left is the rounding of what comes in.
    rounded_state = network.state_dict()
    with torch.no_grad():
        whole = network(inputs)
    slopes = inputs.clone().requires_grad_()
    network(slopes).sum().backward()
    assert slopes.grad.abs().sum() > 0
    to_floats(network)
    assert type(network[0]) is nn.Linear
    assert torch.equal(network.state_dict()["0.weight"], rounded_state["0.weight"])
    with torch.no_grad():
        assert torch.allclose(network(inputs), whole, atol=0.05)


# Generators.


@pytest.mark.parametrize("family", NEURAL)
def test_every_family_is_pruned(family, fitted, corpus, tmp_path):
    generator = fitted(family)
    before = {name: array.copy() for name, array in generator.arrays().items()}
    for options in (None, FIT):
        pruned = prune(generator, 0.6, corpus, options)
        matrices = {name: weight for name, weight in pruned.network.named_parameters() if weight.ndim > 1}
        zeros = sum(int((weight == 0).sum()) for weight in matrices.values())
        old = sum(int((before[name] == 0).sum()) for name in matrices)
        assert zeros > old + 0.2 * sum(weight.numel() for weight in matrices.values())
        assert pruned.sample(3, seed=1).shape == (3, *corpus.shape)
    moved = {name for name, weight in matrices.items() if (weight.detach().numpy() != before[name]).any()}
    assert moved
    assert pruned.facts["compression"] == {"method": "pruned", "share": 0.6}
    assert pruned.facts["corpus"] == corpus.record()
    assert all((array == before[name]).all() for name, array in generator.arrays().items())
    pruned.save_pretrained(tmp_path / "pruned")
    loaded = load_generator(tmp_path / "pruned")
    assert (loaded.sample(5, seed=3) == pruned.sample(5, seed=3)).all()
    assert all((array == loaded.arrays()[name]).all() for name, array in pruned.arrays().items())
    generator.save_pretrained(tmp_path / "whole")
    assert size(tmp_path / "pruned") < size(tmp_path / "whole")


def test_pruning_empties_no_matrix(fitted, corpus):
    """However small the numbers of one matrix are beside those of others, the greatest of them stay."""
    generator = make_generator("recurrent", corpus, **all_families()["recurrent"].small)
    generator.restore(
        {**fitted("recurrent").arrays(), "scores.weight": fitted("recurrent").arrays()["scores.weight"] / 1e4}
    )
    pruned = prune(generator, 0.9)
    for name, weight in pruned.network.named_parameters():
        if weight.ndim > 1 and (generator.arrays()[name] != 0).any():
            assert (weight != 0).any(), name
    kept = pruned.arrays()["scores.weight"] != 0
    before = np.abs(generator.arrays()["scores.weight"])
    assert before[kept].min() >= before[~kept].max()


def size(folder):
    return sum(array.nbytes for array in load_arrays((folder / WEIGHTS_FILE).read_bytes()).values())


@pytest.mark.parametrize("family", NEURAL)
def test_every_family_is_quantised(family, fitted, corpus, tmp_path):
    generator = fitted(family)
    quantised = quantise(generator)
    for name, array in generator.arrays().items():
        found = quantised.arrays()[name]
        if array.dtype == np.float32 and array.ndim > 1:
            far = np.abs(array).reshape(len(array), -1).max(axis=1) / 250
            assert (np.abs(found - array).reshape(len(array), -1).max(axis=1) <= far + 1e-12).all()
        else:
            assert (found == array).all()
    assert quantised.parameters() == generator.parameters()
    quantised.save_pretrained(tmp_path / "int8")
    generator.save_pretrained(tmp_path / "whole")
    stored = load_arrays((tmp_path / "int8" / WEIGHTS_FILE).read_bytes())
    assert any(array.dtype == np.int8 for array in stored.values())
    assert size(tmp_path / "int8") < 0.75 * size(tmp_path / "whole")
    loaded = load_generator(tmp_path / "int8")
    assert loaded.facts["storage"] == INT8
    assert (loaded.sample(5, seed=3) == quantised.sample(5, seed=3)).all()
    # Saved again, nothing changes.
    loaded.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS_FILE).read_bytes() == (tmp_path / "int8" / WEIGHTS_FILE).read_bytes()
    scores = loaded.score(corpus.test.levels)
    assert scores is None or np.isfinite(scores.nats).all()


@pytest.mark.parametrize("family", NEURAL)
def test_every_family_is_distilled(family, fitted, corpus):
    teacher = fitted(family)
    before = {name: array.copy() for name, array in teacher.arrays().items()}
    student = distil(teacher, teacher.config, corpus, FIT, levels=20)
    assert student.sample(2, seed=1).shape == (2, *corpus.shape)
    assert student.facts["corpus"] == corpus.record()
    facts = student.facts["compression"]
    assert facts["method"] == "distilled"
    assert facts["weight of its opinion"] == (0.5 if family in ("tile_lm", "pixelcnn", "recurrent") else 0.0)
    assert any("20 were sampled" in line for line in student.facts["corpus_card"])
    assert "loss" not in vars(student)
    assert all((array == before[name]).all() for name, array in teacher.arrays().items())


def test_large_layers_of_a_loaded_generator_compute_with_whole_numbers(corpus, tmp_path):
    generator = make_generator("vae", corpus, width=260, depth=1, latents=4)
    generator.fit(corpus, FIT)
    quantise(generator).save_pretrained(tmp_path)
    loaded = load_generator(tmp_path)
    layers = [module for module in loaded.network.modules() if isinstance(module, IntegerLinear)]
    if not layers:
        pytest.skip("torch has no products of whole numbers here")
    assert loaded.parameters() == generator.parameters()
    # Fixed tiles are sought along slopes.
    fixed = np.where(
        np.arange(generator.spec.cells).reshape(corpus.shape) < 3, corpus.train.levels[0].astype(np.int64), -1
    )
    assert (loaded.sample(3, seed=1, fixed_tiles=fixed) == fixed)[:, fixed >= 0].all()
    # Each latent's level is the same whatever comes with it.
    latents = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    decoder = latent_decoder(tmp_path)
    assert (decoder.decode(latents)[:1] == decoder.decode(latents[:1])).all()
    assert not any(isinstance(module, IntegerLinear) for module in decoder.generator.network.modules())
    # Trained anew, it is an ordinary generator.
    loaded.fit(corpus, FIT)
    assert "storage" not in loaded.facts
    loaded.save_pretrained(tmp_path / "again")
    assert load_generator(tmp_path / "again").arrays()["inward.weight"].dtype == np.float32


def test_a_teachers_opinion_teaches(corpus):
    """A student told by a teacher what is likely comes nearer to it than one that is told what is true, as fast."""
    teacher = make_generator("recurrent", corpus, width=64, embedding=8)
    teacher.fit(corpus, FitOptions(minutes=0, steps=150, batch=16, warm_up=5, patience=0))
    options = FitOptions(minutes=0, steps=120, batch=16, warm_up=5, patience=0, seed=3)
    config = smaller_config(teacher, 0.6)
    assert 32 <= config.width < 64
    levels = teacher.sample(60, seed=9)

    def apart(student):
        own, known = student.score(levels).nats, teacher.score(levels).nats
        return float((own - known).mean())

    told = distil(teacher, config, corpus, options, levels=0, soft=0.9)
    alone = distil(teacher, config, corpus, options, levels=0, soft=0.0)
    assert told.parameters() <= 0.6 * teacher.parameters()
    assert apart(told) < apart(alone)


def test_teachers_and_students_that_decide_other_things_are_refused(fitted, corpus):
    teacher = fitted("recurrent")
    other = type(teacher.config)(**{**vars(teacher.config), "order": "column"})
    with pytest.raises(UserError, match="in another order"):
        distil(teacher, other, corpus, FIT, levels=0)
    distil(teacher, other, corpus, FIT, levels=4, soft=0)


def test_what_cannot_be_made_smaller_is_refused(fitted, corpus, tmp_path):
    generator = fitted("recurrent")
    for share in (0, 1, 1.5, -1):
        with pytest.raises(UserError, match="between 0 and 1"):
            prune(generator, share)
    with pytest.raises(UserError, match="--student"):
        smaller_config(generator, 0.0001)
    with pytest.raises(UserError, match="from 0 to 1"):
        distil(generator, generator.config, corpus, FIT, soft=2)
    damaged = quantise(generator)
    damaged.save_pretrained(tmp_path)
    arrays = load_arrays((tmp_path / WEIGHTS_FILE).read_bytes())
    name = next(name for name in arrays if name.endswith(".scale"))
    from safetensors.numpy import save

    (tmp_path / WEIGHTS_FILE).write_bytes(save({**arrays, name: arrays[name][:-1].copy()}))
    with pytest.raises(UserError, match="does not fit its scales"):
        load_generator(tmp_path)


# Designers.


@pytest.fixture(scope="module")
def designer():
    environment = {"problem": "binary", "representation": "narrow", "shape": [5, 6]}
    torch.manual_seed(0)
    interface = Task(environment).interface
    network = DesignerNetwork(interface, NetworkConfig(kind="mlp", width=300, depth=2))
    return PolicyDesigner(network, environment, {"training": {"steps": 3}})


@pytest.mark.parametrize("way", ["pruned", "int8"])
def test_designers_are_made_smaller(designer, way, tmp_path):
    before = {name: tensor.clone() for name, tensor in designer.network.state_dict().items()}
    made = prune_designer(designer, 0.7) if way == "pruned" else quantise_designer(designer)
    made.save_pretrained(tmp_path / way, "card")
    designer.save_pretrained(tmp_path / "whole", "card")
    assert size(tmp_path / way) < (0.6 if way == "pruned" else 0.3) * size(tmp_path / "whole")
    loaded = PolicyDesigner.from_pretrained(tmp_path / way)
    first, second = made.design(count=3, seed=2), loaded.design(count=3, seed=2)
    assert (first.levels == second.levels).all()
    assert loaded.facts["training"] == {"steps": 3}
    for name, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, made.network.state_dict()[name])
    if way == "pruned":
        zeros = sum(int((tensor == 0).sum()) for name, tensor in loaded.network.state_dict().items() if tensor.ndim > 1)
        assert zeros > 0.5 * sum(tensor.numel() for tensor in before.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in designer.network.state_dict().items())


# The command.


def call(*arguments):
    """Runs the experiment here; returns its exit code, what it printed, and what it printed on standard error."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(compress.Options, compress.compress, [str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code or 0
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        corpus = load_corpus("zelda", CorpusOptions(levels=60, shape=(5, 6)))
    generator = make_generator("tile_lm", corpus, width=32, depth=1, heads=2, radius=1)
    generator.fit(corpus, FitOptions(minutes=0, steps=20, batch=8, warm_up=2, patience=0))
    folder = tmp_path_factory.mktemp("source") / "teacher"
    generator.save_pretrained(folder / "generator")
    return folder


BRIEF = ["--steps", "5", "--samples", "30", "--teacher-levels", "20", "--fit", "batch", "4"]


def test_what_the_command_leaves(source, tmp_path):
    code, _, err = call(source, "--out", tmp_path, *BRIEF)
    assert code == 0, err
    folder = tmp_path / "compress" / "teacher"
    rows = json.loads((folder / "compression.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["original", "pruned", "int8", "distilled"]
    original, pruned, int8, distilled = rows
    assert pruned["nonzero"] < 0.6 * original["nonzero"]
    assert max(pruned["size"], int8["size"], distilled["size"]) < original["size"]
    assert distilled["weights"] <= 0.4 * original["weights"]
    for row in rows:
        assert 0 <= row["joint"]["low"] <= row["joint"]["mean"] <= row["joint"]["high"] <= 1
        assert row["nats"]["mean"] > 0
        assert row["milliseconds"] > 0
    told = read_tensorboard(folder).figures
    for way in ("pruned", "distilled"):
        steps = [step for step, _ in told[f"{way}/held_out"]]
        assert steps
        assert steps == sorted(set(steps))
    assert dict(told["int8/size"]).popitem()[1] == int8["size"]
    assert told["original/joint/mean"][0][1] == pytest.approx(original["joint"]["mean"])
    table = (folder / "compression.md").read_text()
    assert table.count("\n|") == len(rows) + 1
    for way in ("pruned", "int8", "distilled"):
        generator = load_generator(folder / way)
        assert generator.facts["compression"]["method"] == way
        assert "## Made smaller" in (folder / way / "generator" / "card.md").read_text()
        assert json.loads((folder / way / "config.json").read_text())["compression"]["method"] == way
    again = call(source, "--out", tmp_path, *BRIEF)
    assert again[0] == 2
    assert "--overwrite" in again[2]
    code, _, err = call(folder / "int8", "--out", tmp_path, *BRIEF)
    assert code == 2
    assert "eight bits already" in err
    with pytest.raises(UserError, match="eight-bit weights cannot be trained"):
        finetune.train(finetune.Options(folder / "int8", out=tmp_path, steps=64, samples=5))


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--to", "pruned", "--share", "1"], "--share"),
        (["--to", "pruned", "pruned"], "each way once"),
        (["--student", "width", "64"], "smaller settings"),
        (["--student", "widht", "8"], "did you mean 'width'"),
        (["--preset", "nothing"], "no preset 'nothing'"),
        (["--fit", "steps", "3"], "--steps"),
        (["--samples", "0"], "at least 1"),
        (["--to", "int8", "--share", "0.2"], "--to pruned"),
        (["--to", "int8", "--steps", "3"], "--to pruned or distilled"),
        (["--to", "pruned", "--soft", "0.2"], "--to distilled"),
        (["--corpus-levels", "9"], "--corpus"),
        (["--student", "width", "8", "--smaller", "0.2"], "--smaller"),
    ],
)
def test_what_the_command_refuses(source, tmp_path, arguments, word):
    code, _, err = call(source, "--out", tmp_path, *arguments)
    assert code == 2, err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert word in err
    assert not (tmp_path / "compress").exists()


def test_the_command_on_a_designer(designer, tmp_path):
    designer.save_pretrained(tmp_path / "run" / "designer", "card")
    code, _, err = call(tmp_path / "run", "--out", tmp_path, "--samples", "3")
    assert code == 0, err
    rows = json.loads((tmp_path / "compress" / "run" / "compression.json").read_text())["rows"]
    assert [row["designer"] for row in rows] == ["original", "pruned", "int8"]
    assert rows[1]["size"] < rows[0]["size"]
    assert rows[2]["size"] < 0.3 * rows[0]["size"]
    told = read_tensorboard(tmp_path / "compress" / "run")
    assert told.figures["int8/size"][0][1] == rows[2]["size"]
    assert told.options["options/samples"] == "3"
    for words, said in (
        (["--to", "distilled"], "not distilled"),
        (["--corpus", "constructed"], "--corpus is for generators"),
        (["--to", "pruned", "--steps", "9"], "--steps is for generators"),
    ):
        code, _, err = call(tmp_path / "run", "--out", tmp_path, *words)
        assert code == 2
        assert said in err
    within = tmp_path / "compress" / "run"
    code, _, err = call(within / "pruned", "--out", tmp_path, "--name", "run", "--to", "int8", "--overwrite")
    assert code == 2
    assert "another --name" in err
    assert (within / "pruned" / "designer" / "config.json").exists()
