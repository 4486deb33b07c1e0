"""The report on a search: read, drawn and written from what a search leaves."""

from __future__ import annotations

import contextlib
import io
import json
import math
import re
from dataclasses import replace

import numpy as np
import optuna
import pytest
import torch
from PIL import Image
from torch import nn

from agents.designer import PolicyDesigner
from agents.networks import DesignerNetwork
from agents.tasks import Task
from envs import UserError, construct
from experiments import search_report
from experiments.run import main
from generators.corpus import corpus_of_levels
from generators.generator import FitOptions
from generators.suite import make_generator
from search import pictures
from search.diagrams import draw_networks, network_box
from search.objectives import OBJECTIVES, Constraint
from search.results import gather, summarise
from search.rungs import Ladder
from search.space import Space
from search.studies import Plan
from search.trials import DEFAULT, TrialRecord

torch.set_num_threads(1)

PLAN = Plan(
    tuple(OBJECTIVES[name] for name in ("joint", "diversity", "milliseconds")),
    (Constraint("parameters", "<=", 400_000),),
    "random",
    Ladder("successive", 3, 3),
)


def measured(settings, share, random):
    """Figures that follow from settings: wider is better and dearer, and a high learning rate is bad."""
    width, rate = settings["model"]["width"], settings["fit"]["learning_rate"]
    good = 0.25 * math.log2(width / 16) - 6 * abs(math.log10(rate) + 3) / 10 + 0.4 * math.log10(share)
    joint = float(np.clip(0.4 + good + 0.03 * random.normal(), 0.01, 0.99))
    diversity = float(np.clip(joint * (0.9 + 0.1 * random.random()), 0, 1))
    return {"joint": joint, "joint_low": joint - 0.05, "joint_high": joint + 0.05, "diversity": diversity, "nats": 1.2}


def make_records(count, seed, plan=PLAN):
    space = Space.of_family("recurrent")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    random = np.random.default_rng(seed)
    records = []
    for number in range(count):
        settings = json.loads(json.dumps(space.default() if number == 0 else space.suggest(study.ask())))
        width = settings["model"]["width"]
        costs = {"parameters": 15.0 * width**2, "macs": 900.0 * width**2, "milliseconds": 0.2 + width**2 / 9000}
        costs |= {"milliseconds_alone": 3.0, "memory": 1e6}
        excess = {"parameters <= 400000": costs["parameters"] / 4e5 - 1}
        origin = DEFAULT if number == 0 else ""
        proxies = {"gradient_norm": random.normal(), "synflow": width + 30 * random.normal(), "jacobian": math.nan}
        known = {"settings": settings, "costs": costs, "excess": excess, "origin": origin}
        if number == 7:
            records.append(TrialRecord(number, number, "failed", error="the loss is no number", **known))
            continue
        if number == 9:
            records.append(TrialRecord(number, number, "refused", **known))
            continue
        rungs = []
        for part in plan.ladder.parts():
            share = sum(one.share for one in plan.ladder.parts()[: part.rung + 1])
            figures = measured(settings, share, random)
            rungs.append({"rung": part.rung, "share": share, "figures": figures, "seconds": 60 * part.share})
            if number and random.random() < 0.45:
                break
        state = "finished" if len(rungs) == 3 else "stopped"
        records.append(TrialRecord(number, number, state, rungs=rungs, proxies=proxies, **known))
    return [*records, TrialRecord(3, count, "lost"), TrialRecord(count, count + 1, "copy", settings=settings)]


def leave(folder, records, generators=None, seeds=3, plan=PLAN):
    """Writes what a search leaves; returns its result."""
    folder.mkdir(parents=True)
    result = gather(records, plan, 1234.5)
    random = np.random.default_rng(1)
    trials = {trial["number"]: trial for trial in result["trials"]}
    if seeds:
        runs = {}
        for who in ("default", "pick"):
            trial = trials[result[who]]
            runs[who] = []
            for seed in range(1, seeds + 1):
                figures = trial["costs"] | measured(trial["settings"], 1.0, random)
                runs[who].append({"seed": seed, "figures": figures, "folder": f"retrained/{who}-{seed}"})
                if generators and seed == 1:
                    generators[who].save_pretrained(folder / "retrained" / f"{who}-{seed}" / "candidate")
        result["retrained"] = {"levels": 500, "minutes": 2.0, "steps": 0, "runs": runs, "summary": summarise(runs, 500)}
        result["confirmed"] = True
    (folder / "result.json").write_text(json.dumps(result))
    config = {"options": {"family": "recurrent", "problem": "zelda", "trials": 60}, "subject": "recurrent for zelda"}
    (folder / "config.json").write_text(json.dumps(config))
    return result


@pytest.fixture(scope="module")
def generators():
    corpus = corpus_of_levels("zelda", construct("zelda", 60, seed=1))
    made = {}
    for who, model in (("default", {}), ("pick", {"width": 48, "layers": 2, "cell": "gru"})):
        made[who] = make_generator("recurrent", corpus, **model)
        made[who].fit(corpus, FitOptions(minutes=0, steps=2, batch=4, warm_up=1))
    return made


@pytest.fixture(scope="module")
def searched(tmp_path_factory, generators):
    """A search that tests do not change: its folder, a random one's, and its result."""
    root = tmp_path_factory.mktemp("nas")
    result = leave(root / "found", make_records(60, 0), generators)
    leave(root / "random", make_records(40, 5))
    return root / "found", root / "random", result


@pytest.fixture(scope="module")
def written(searched):
    folder, random, _ = searched
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(search_report.Options, search_report.report, [str(folder), "--random", str(random)])
    return folder, out.getvalue()


def test_what_is_written(written, searched):
    folder, text = written
    assert str(folder / "report.html") in text
    markdown = (folder / "report.md").read_text()
    drawn = re.findall(r"\(report/(\w+)\.png\)", markdown)
    for name in ("retrained", "fronts", "random", "architecture", "parallel", "rungs", "proxies"):
        assert name in drawn
    for name in drawn:
        picture = np.asarray(Image.open(folder / "report" / f"{name}.png").convert("L"))
        assert min(picture.shape) > 150
        assert picture.std() > 5
        # Nothing is cut off at the edges.
        edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (edges == 255).all(), name


def test_the_page_loads_nothing(written):
    page = (written[0] / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(re.findall(r"<img", page))
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_all_trials_are_accounted_for(written, searched):
    folder, _, result = searched
    markdown = (folder / "report.md").read_text()
    assert sum(result["states"].values()) == 62
    assert re.search(r"\| all \| 62 \|", markdown)
    assert "| lost with a worker; another trial stands in its place | 1 |" in markdown
    assert "Trial 7: the loss is no number" in markdown


def test_the_pick_stands_beside_the_default(written, searched):
    folder, _, result = searched
    markdown = (folder / "report.md").read_text()
    trials = {trial["number"]: trial for trial in result["trials"]}
    pick, default = trials[result["pick"]], trials[result["default"]]
    assert result["pick"] != result["default"]
    assert (
        f"| model.width | {default['settings']['model']['width']} | {pick['settings']['model']['width']} |" in markdown
    )
    assert f"{100 * pick['figures']['joint']:.1f} % (" in markdown
    mean = result["retrained"]["summary"]["pick"]["joint"]["mean"]
    assert f"| pick | 3 | {100 * mean:.1f} % (" in markdown
    assert "| random search's pick | 3 |" in markdown
    assert result["reason"] in markdown


def test_a_search_without_all_that(tmp_path):
    """One trial alone, nothing trained anew, no proxies: a report all the same."""
    records = [record for record in make_records(1, 0) if record.state == "finished"]
    records[0].proxies.clear()
    leave(tmp_path / "one", records, seeds=0)
    files = search_report.write_report(tmp_path / "one")
    markdown = files[0].read_text()
    assert "The default itself is the pick." in markdown
    assert "too few to tell" in markdown or "scikit-learn" in markdown
    leave(tmp_path / "none", [TrialRecord(0, 0, "failed", origin=DEFAULT, error="no memory")], seeds=0)
    assert "no memory" in search_report.write_report(tmp_path / "none")[0].read_text()


def test_one_objective_is_drawn_against_the_cost(tmp_path):
    plan = Plan((OBJECTIVES["joint"],), (), "tpe", Ladder("none"))
    records = make_records(20, 3, plan)
    for record in records:
        if record.state == "stopped":
            record.rungs[:] = []
    leave(tmp_path / "one", [one for one in records if one.rungs or one.state != "stopped"], plan=plan, seeds=0)
    assert search_report.write_report(tmp_path / "one")[0].exists()


def test_what_is_refused(searched, tmp_path):
    with pytest.raises(UserError, match="holds no finished search"):
        search_report.write_report(tmp_path)
    folder = tmp_path / "damaged"
    leave(folder, make_records(3, 0), seeds=0)
    (folder / "result.json").write_text("{}")
    with pytest.raises(UserError, match=r"result\.json is damaged"):
        search_report.write_report(folder)
    other = tmp_path / "other"
    leave(other, make_records(3, 0), seeds=0)
    (other / "config.json").write_text(json.dumps({"options": {}, "subject": "vae for sokoban"}))
    with pytest.raises(UserError, match="two searches of the same"):
        search_report.write_report(searched[0], other)
    # Another budget is no fair comparison.
    longer = tmp_path / "longer"
    leave(longer, make_records(3, 0), seeds=0, plan=replace(PLAN, minutes=4.0))
    with pytest.raises(UserError, match=r"the minutes 4\.0, that .* 2\.0"):
        search_report.write_report(searched[0], longer)


def test_importances_find_what_matters(searched):
    pytest.importorskip("sklearn")
    from search.importances import importances

    shares, trials, rung = importances(searched[2], "joint")
    assert rung == 0
    assert trials == 58
    assert sum(shares.values()) == pytest.approx(1)
    assert set(list(shares)[:2]) == {"model.width", "fit.learning_rate"}
    assert next(iter(importances(searched[2], "milliseconds")[0])) == "model.width"
    assert importances(searched[2], "joint")[0] == shares


def test_the_front_of_two_objectives():
    trials = [{"figures": {"joint": joint, "milliseconds": time}} for joint, time in ((0.5, 1), (0.6, 2), (0.4, 2))]
    assert pictures._best_of_two(trials, "joint", "milliseconds") == trials[:2]


# Diagrams.


def test_a_network_as_boxes():
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Linear(8, 3)
            self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.LayerNorm(8)) for _ in range(4))
            self.first = nn.Embedding(5, 8)

        def forward(self, tiles):
            tokens = self.first(tiles)
            for block in self.blocks:
                tokens = block(tokens)
            return self.last(tokens)

    network = Network()
    box = network_box("network", network, lambda: network(torch.zeros(1, 6, dtype=torch.long)))
    # In the order of the calls, alike ones as one.
    assert [child.title for child in box.children] == [
        "first: Embedding 5 of 8",
        "blocks: ModuleList",
        "last: Linear 8 to 3",
    ]
    assert [child.shape for child in box.children] == ["6 x 8", "", "6 x 3"]
    (block,) = box.children[1].children
    assert block.times == 4
    assert [child.title for child in block.children] == ["0: Linear 8 to 8", "2: LayerNorm"]
    assert box.numbers == sum(weight.numel() for weight in network.parameters())
    assert draw_networks({"default": box, "pick": block}).startswith(b"\x89PNG")


def test_a_designers_network_is_drawn(tmp_path):
    environment = {"problem": "binary", "representation": "narrow", "shape": [5, 6]}
    designer = PolicyDesigner(DesignerNetwork(Task(environment).interface, Task(environment).network), environment)
    designer.save_pretrained(tmp_path, "card")
    box = search_report.saved_box(tmp_path)
    assert box.numbers == sum(weight.numel() for weight in designer.network.parameters())
    assert any(child.shape for child in box.children[0].children)
