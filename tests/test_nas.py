"""Searches from the command line: what they leave, how they go on, and what they refuse."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
import torch
import yaml

from agents.designer import PolicyDesigner
from experiments import nas
from experiments.run import main
from generators.generator import FitOptions
from generators.options import options_of
from generators.suite import get_family, load_generator
from search.objectives import OBJECTIVES
from search.presets import Preset, find_preset
from search.results import gather
from search.studies import Plan
from search.workers import Answer, begin_workers
from tests.searching import HereWorkers
from tests.tracked import read_tensorboard

torch.set_num_threads(1)

BRIEF = ["--family", "vae", "--problem", "zelda", "--corpus-levels", "60", "--shape", "5", "6", "--steps", "26"]
BRIEF += ["--samples", "20", "--levels", "20", "--retrain-seeds", "2", "--proxies", "off", "--fit", "patience", "77"]

#: Small enough for seconds.
SPACE = """
kind: space
subject: vae
model:
  width: {type: whole, low: 8, high: 512, log: true}
  depth: {type: choice, values: [1, 2]}
fit:
  batch: 8
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def call(*arguments, processes=False):
    """Runs the experiment; returns its exit code, what it printed, and what it printed on standard error.

    Trials are trained in this process, unless processes of their own are asked for, which take long to begin.
    """
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        workers = begin_workers if processes else lambda subject, number, *_: HereWorkers(subject, number)
        patch.setattr(nas, "begin_workers", workers)
        try:
            main(nas.Options, nas.search, [str(argument) for argument in arguments])
        except SystemExit as left:
            code = left.code or 0
    return code, out.getvalue(), err.getvalue()


def refused(result, *words):
    code, _, err = result
    assert code == 2, err
    said = err.replace("\r", "\n").strip().splitlines()[-1].strip()
    assert said.startswith("error: ")
    assert said.endswith(".")
    assert "Traceback" not in err
    for word in words:
        assert str(word) in said


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TILEWRIGHT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        out = tmp_path_factory.mktemp("runs")
        (out / "given.yaml").write_text(SPACE)
        code, text, err = call(
            *BRIEF, "--space", out / "given.yaml", "--trials", "5", "--out", out, "--name", "first", "--use", "mine"
        )
    assert code == 0, err
    return out / "nas" / "first", text


def test_what_a_search_leaves(finished):
    folder, text = finished
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "space.yaml", "journal.log", "trials", "retrained", "result.json", "preset.yaml"} <= names
    assert "Trained from scratch" in (folder / "report.html").read_text()
    result = json.loads((folder / "result.json").read_text())
    assert len({trial["number"] for trial in result["trials"]}) == 5
    assert result["trials"][0]["origin"] == "default"
    assert result["plan"]["steps"] == 26
    assert result["trials"][0]["rungs"][0]["figures"]["joint_high"] >= 0
    for trial in result["trials"]:
        assert trial["settings"]["fit"]["batch"] == 8
        assert 8 <= trial["settings"]["model"]["width"] <= 512
    whole = next(trial for trial in result["trials"] if trial["state"] == "finished")
    generator = load_generator(folder / "trials" / f"{whole['number']:04d}" / "candidate")
    assert generator.parameters() == whole["figures"]["parameters"]
    assert generator.sample(3, 0).shape == (3, 5, 6)
    for who in result["retrained"]["runs"]:
        assert len(result["retrained"]["runs"][who]) == 2
        again = folder / result["retrained"]["runs"][who][0]["folder"] / "candidate"
        assert load_generator(again).parameters() == result["retrained"]["summary"][who]["parameters"]["mean"]
    told = read_tensorboard(folder)
    assert [step for step, _ in told.figures["trial"]] == [1, 2, 3, 4, 5]
    assert {number for _, number in told.figures["trial"]} == {trial["number"] for trial in result["trials"]}
    for trial in result["trials"]:
        [step] = [step for step, number in told.figures["trial"] if number == trial["number"]]
        assert dict(told.figures["parameters"])[step] == trial["figures"]["parameters"]
    assert told.figures["results/retrained/default/joint/mean"][0][0] == 5
    assert {name.partition("/")[0] for name in told.drawn} == {"report"}
    assert "front" in text
    assert "optuna-dashboard" in text
    assert "train_generator --problem zelda --preset mine" in text


class TableWorkers:
    """Workers whose candidates come out as a table says."""

    def __init__(self, joint):
        self.joint, self.trained, self.waiting = joint, [], {}

    def idle(self):
        return [worker for worker in (0, 1) if worker not in self.waiting]

    def give(self, worker, order):
        assert (order.minutes, order.steps) == (7, 0)
        self.trained.append(order.settings["model"]["width"])
        self.waiting[worker] = order

    def answers(self, seconds):
        worker, order = self.waiting.popitem()
        figures = {"joint": self.joint[order.settings["model"]["width"]], "milliseconds": 2.0}
        return [(worker, Answer(figures=figures), "")]


@pytest.mark.parametrize(
    ("joint", "picks", "feasible", "pick", "failed", "trained"),
    [
        # The first holds; then the second, once the first did not; then none.
        ((0.3, 0.6, 0.9, 0.9), 3, True, 1, None, {0, 1}),
        ((0.3, 0.3, 0.6, 0.9), 3, True, 2, 1, {0, 1, 2}),
        ((0.3, 0.3, 0.2, 0.1), 3, True, 0, 1, {0, 1, 2, 3}),
        ((0.3, 0.3, 0.6, 0.9), 1, True, 0, 1, {0, 1}),
        # Nothing to hold against a default that cannot be picked.
        ((0.3, 0.2, 0.6, 0.9), 3, False, 1, None, {0, 1}),
    ],
)
def test_the_next_contender_is_tried_where_a_pick_does_not_hold(
    tmp_path, joint, picks, feasible, pick, failed, trained
):
    trials = [{"number": i, "settings": {"model": {"width": i}}, "feasible": i > 0 or feasible} for i in range(4)]
    result = {"trials": trials, "default": 0, "pick": 1, "contenders": [1, 2, 3], "reason": "It is."}
    workers = TableWorkers(joint)
    options = nas.Options(retrain_seeds=2, retrain_picks=picks, retrain_minutes=7, levels=500)
    plan = Plan((OBJECTIVES["joint"], OBJECTIVES["milliseconds"]), steps=13)
    nas.retrain_picks(options, plan, workers, result, tmp_path)
    assert set(workers.trained) == trained
    assert len(workers.trained) == 2 * len(trained)
    assert (result["pick"], result.get("searched_pick")) == (pick, failed)
    assert result.get("confirmed") == (None if not feasible else pick != 0)
    assert result["retrained"]["summary"]["pick"]["joint"]["mean"] == joint[pick or 1]
    assert result["retrained"]["summary"]["default"]["joint"]["mean"] == joint[0]
    assert ("did not stand the rule" in result["reason"]) == (failed is not None)


def test_the_pick_is_a_preset(finished):
    folder, _ = finished
    preset = find_preset("mine", folder.parent.parent)
    preset.check_subject("family", "vae")
    result = json.loads((folder / "result.json").read_text())
    settings = {trial["number"]: trial["settings"] for trial in result["trials"]}[result["pick"]]
    # What was given for all trials is a part of what was found, or trainings with the preset would be others.
    assert preset.settings == {**settings, "fit": {**settings["fit"], "patience": 77}}
    who = "default" if result["pick"] == result["default"] else "pick"
    assert preset.found["joint"] == result["retrained"]["summary"][who]["joint"]["mean"]
    assert preset.found["trial"] == result["pick"]
    preset.words("model", get_family("vae").Config)
    options_of(FitOptions, preset.settings["fit"], "setting")
    assert yaml.safe_load((folder / "preset.yaml").read_text())["problem"] == "zelda"


def test_a_finished_search_goes_on_with_more_trials_and_trains_nothing_twice(finished):
    folder, _ = finished
    out = folder.parent.parent
    before = json.loads((folder / "result.json").read_text())
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("trials/*/trial.json")}
    refused(call(*BRIEF, "--out", out, "--name", "first"), "--resume", "--overwrite")
    config = (folder / "config.json").read_bytes()
    for word, other, words in (
        ("26", "52", ["steps 26, not 52"]),
        ("60", "50", ["corpus_levels 60, not 50"]),
        ("77", "78", ["patience 77, not 78"]),
        ("20", "30", ["samples 20, not 30"]),
    ):
        changed = [one if one != word else other for one in BRIEF]
        refused(call(*changed, "--out", out, "--name", "first", "--resume"), *words)
    refused(call(*BRIEF, "--out", out, "--name", "first", "--resume", "--preset", "mine"), "--preset", "beginning")
    assert (folder / "config.json").read_bytes() == config
    words = ["--out", out, "--name", "first", "--resume", "--trials", "6", "--retrain-seeds", "0"]
    code, _, err = call(*BRIEF, *words, processes=True)
    assert code == 0, err
    after = json.loads((folder / "result.json").read_text())
    assert len(after["trials"]) == 6
    assert after["trials"][:5] == before["trials"]
    assert [step for step, _ in read_tensorboard(folder).figures["trial"]] == [1, 2, 3, 4, 5, 6]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    # What one search found is where another begins, and so is a preset.
    (out / "again.yaml").write_text(SPACE)
    settings = {**before["trials"][0]["settings"], "model": {"width": 24, "depth": 1}}
    Preset("family", "vae", "zelda", settings).write(out / "narrow.yaml")
    words = ["--space", out / "again.yaml", "--preset", out / "narrow.yaml", "--warm-start", folder, "--out", out]
    code, _, err = call(*BRIEF, *words, "--name", "next", "--trials", "2", "--retrain-seeds", "0")
    assert code == 0, err
    then = json.loads((folder.parent / "next" / "result.json").read_text())
    assert then["trials"][1]["origin"] == f"preset {out / 'narrow.yaml'}"
    assert then["trials"][1]["settings"] == settings
    fronts = {f"trial {number} of first" for number in after["front"] if number}
    assert {trial["origin"] for trial in then["trials"][2:]} <= fronts


def test_a_designers_network_is_searched_for(tmp_path):
    words = ["--designer", "narrow", "--problem", "binary", "--shape", "4", "5", "--steps", "400", "--trials", "2"]
    words += ["--samples", "10", "--retrain-seeds", "0", "--rungs", "2", "--constraints", "parameters <= 10000000"]
    code, text, err = call(*words, "--out", tmp_path, "--name", "run")
    assert code == 0, err
    result = json.loads((tmp_path / "nas" / "run" / "result.json").read_text())
    assert result["quality"] == "success"
    default = result["trials"][0]
    assert default["state"] == "finished"
    designer = PolicyDesigner.from_pretrained(tmp_path / "nas" / "run" / "trials" / "0000" / "candidate")
    assert designer.problem.name == "binary"
    assert "pcgrl --problem binary --preset" in text
    preset = find_preset(str(tmp_path / "nas" / "run"), tmp_path)
    preset.check_subject("designer", "narrow")


def test_whoever_ends_last_trains_anew(finished, monkeypatch):
    folder, _ = finished
    # As it is where another driver has a trial in training.
    monkeypatch.setattr(nas, "gather", lambda *given: {**gather(*given), "states": {"finished": 5, "running": 1}})
    monkeypatch.setattr(nas, "retrain_picks", None)
    words = ["--out", folder.parent.parent, "--name", "first", "--resume", "--trials", "5"]
    code, text, err = call(*BRIEF, *words)
    assert code == 0, err
    assert "Another process is still training" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--family", "tile_ml"], ["tile_ml", "tile_lm"]),
        (["--family", "ngram"], ["ngram", "nothing to search"]),
        (["--problem", "zleda"], ["zleda", "zelda"]),
        (["--designer", "turtel"], ["turtel", "turtle"]),
        (["--objectives", "jiont"], ["jiont", "joint"]),
        (["--objectives", "nats", "success"], ["success"]),
        (["--objectives", "parameters", "joint"], ["quality", "parameters"]),
        (["--objectives", "joint", "joint"], ["joint joint"]),
        (["--constraints", "parameters < 5"], ["parameters < 5", "<="]),
        (["--constraints", "size <= 5"], ["size"]),
        (["--rungs", "0"], ["--rungs"]),
        (["--rung-levels", "0.5"], ["--rung-levels"]),
        (["--trials", "0"], ["--trials"]),
        (["--samples", "1"], ["--samples"]),
        (["--search-minutes", "-1"], ["--search-minutes"]),
        (["--minutes", "-1"], ["--minutes"]),
        (["--retries", "-1"], ["--retries"]),
        (["--levels", "0"], ["--levels"]),
        (["--retrain-minutes", "nan"], ["--retrain-minutes", "at least 0"]),
        (["--retrain-picks", "0"], ["--retrain-picks", "at least 1"]),
        (["--retrain-seeds", "0", "--retrain-minutes", "5"], ["--retrain-minutes", "--retrain-seeds"]),
        (["--workers", "0"], ["--workers", "1"]),
        (["--gpus-per-worker", "1"], ["--gpus-per-worker", "--ray-address"]),
        (["--no-send-sources"], ["send-sources", "--ray-address"]),
        (["--halving", "none", "--rungs", "4"], ["--rungs", "--halving"]),
        (["--change-share", "0.4"], ["--change-share", "designers"]),
        (["--designer", "turtle", "--conditions", "path-length"], ["--conditions", "generators"]),
        (["--designer", "turtle", "--rung-levels", "0.3", "0.6", "1"], ["--rung-levels", "generators"]),
        (["--fit", "steps", "9"], ["steps", "--steps"]),
        (["--space", "/nonexistent.yaml"], ["/nonexistent.yaml"]),
        (["--preset", "nothing"], ["nothing", "--use"]),
        (["--warm-start", "/nonexistent"], ["/nonexistent"]),
        (["--resume", "--name", "none"], ["none", "--resume"]),
        (["--resume", "--overwrite"], ["--resume", "--overwrite"]),
        (["--use", "a b"], ["a b"]),
        (["--storage", "nonsense"], ["storage"]),
        (["--storage", "sqlite:////nonexistent/x.db"], ["folder"]),
        (["--fit", "lerning_rate", "1"], ["lerning_rate", "learning_rate"]),
        (["--corpus", "folder", "/nonexistent"], ["/nonexistent"]),
        (["--seed", "-1"], ["--seed"]),
    ],
)
def test_slips_are_named(tmp_path, arguments, words):
    begun = [] if "--designer" in arguments else BRIEF
    for _ in range(2):
        # The same again: a command that was refused has begun nothing that a second one would have to go on with.
        refused(call(*begun, "--out", tmp_path, *arguments, processes=True), *words)
    assert not list(tmp_path.rglob("trial.json"))


def test_searches_that_another_cannot_begin_from(tmp_path, finished):
    folder, _ = finished
    words = ["--out", tmp_path, "--corpus-levels", "60", "--warm-start"]
    refused(call("--family", "pixelcnn", *words, folder), "vae", "pixelcnn")
    (tmp_path / "damaged").mkdir()
    result = json.loads((folder / "result.json").read_text())
    for change in ({"trials": 3}, {"front": [99]}, {"trials": [{"number": 0}]}):
        (tmp_path / "damaged" / "result.json").write_text(json.dumps({**result, **change}))
        refused(call(*words, tmp_path / "damaged"), "result.json is damaged", next(iter(change)).rstrip("s"))


def test_a_space_cannot_say_what_options_say(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE + "  steps: {type: whole, low: 0, high: 9}\n")
    refused(call(*BRIEF, "--out", tmp_path, "--space", tmp_path / "space.yaml"), "fit steps", "--steps")
