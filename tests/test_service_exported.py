"""Exported models over the service: they answer as those that they were exported from."""

from __future__ import annotations

import subprocess
import sys

import pytest

import envs
from agents.designer import PolicyDesigner
from agents.networks import DesignerNetwork
from agents.tasks import Task
from generators.corpus import corpus_of_levels
from generators.packing import PackedGenerator
from generators.suite import get_family, make_generator
from service.models import Catalogue
from tests.designers import SMALL
from tests.playroom import save_designer
from tests.serving import client, save_generator

pytest.importorskip("onnx", reason="exporting needs the extra `export`")

from experiments.export import Options, export


def exported(source, folder, name):
    """Exports a model; returns the folder."""
    export(Options(source, levels=4, repeats=1, name=name, out=folder))
    return folder / "export" / name


def answers(folder, path, body):
    """Returns what a service of one model answers, and how it lists the model."""
    with client(Catalogue.of([folder], bundled=False)) as opened:
        kind = path.split("/")[2]
        listed = next(one for one in opened.get(f"/api/{kind}").json() if one["name"] == folder.name)
        response = opened.post(path, json=body)
        assert response.status_code == 200, response.text
        return response, listed


@pytest.mark.parametrize("family", ["masked_lm", "vae"])
def test_an_exported_generator_answers_as_the_one_it_was_made_of(tmp_path, family):
    ours = save_generator(tmp_path / "tiny", family)
    theirs = exported(ours, tmp_path, "tiny")
    fixed = [[1] * 5, *([None] * 5 for _ in range(4))]
    path, body = "/api/generators/tiny/sample", {"count": 5, "seed": 3, "prompt": "two crates", "fixed": fixed}
    (first, listed), (second, listed_too) = (answers(folder, path, body) for folder in (ours, theirs))
    assert (listed["engine"], listed_too["engine"]) == ("torch", "onnx")
    assert listed["parameters"] == listed_too["parameters"]
    assert listed["conditions"] == listed_too["conditions"]
    assert first.json()["levels"] == second.json()["levels"]


def test_an_exported_designer_answers_as_the_one_it_was_made_of(tmp_path):
    ours = save_designer(tmp_path / "tiny", "sokoban", "narrow")
    theirs = exported(ours, tmp_path, "tiny")
    path, body = "/api/designers/tiny/run", {"seed": 3, "every": 5}
    (first, listed), (second, listed_too) = (answers(folder, path, body) for folder in (ours, theirs))
    assert (listed["engine"], listed_too["engine"]) == ("torch", "onnx")
    assert {**listed, "engine": "", "card": ""} == {**listed_too, "engine": "", "card": ""}
    assert first.text == second.text


def test_an_exported_designer_in_latents_is_served_and_not_its_generator(tmp_path):
    corpus = corpus_of_levels("sokoban", envs.construct("sokoban", 40, seed=1))
    packed = PackedGenerator.of(make_generator("vae", corpus, **get_family("vae").small))
    options = {"problem": "sokoban", "representation": "latent", "steps": 5}
    network = DesignerNetwork(Task(options, generator=packed).interface, SMALL)
    ours = tmp_path / "tiny"
    PolicyDesigner(network, options, generator=packed).save_pretrained(ours / "designer", "# A designer")
    theirs = exported(ours, tmp_path, "tiny")
    path, body = "/api/designers/tiny/run", {"seed": 3}
    (first, listed), (second, listed_too) = (answers(folder, path, body) for folder in (ours, theirs))
    assert (listed["engine"], listed_too["engine"]) == ("torch", "onnx")
    assert listed["shape"] == listed_too["shape"] == [5, 5]
    assert first.text == second.text


def test_the_engine_decides_which_of_two_is_served(tmp_path):
    ours = save_generator(tmp_path / "tiny")
    exported(ours, tmp_path, "tiny").rename(ours / "onnx")
    engines = [Catalogue.of([ours], engine, bundled=False).generators["tiny"].engine for engine in ("onnx", "torch")]
    assert engines == ["onnx", "torch"]


def test_a_service_of_exported_models_needs_no_torch(tmp_path):
    place = exported(save_generator(tmp_path / "tiny"), tmp_path, "tiny")
    code = f"""
import sys
sys.modules["torch"] = None
from pathlib import Path
from starlette.testclient import TestClient
from service.app import make_app
from service.models import Catalogue
with TestClient(make_app(Catalogue.of([Path({str(place)!r})], bundled=False)), base_url="http://127.0.0.1") as opened:
    for name in ("tiny", "sokoban-markov"):
        told = opened.post(f"/api/generators/{{name}}/sample", json={{"count": 2, "playable": True}})
        assert told.status_code == 200, told.text
        print(len(told.json()["levels"]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["2", "2"]
