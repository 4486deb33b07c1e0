"""Prompts over the service: what is understood, what samples come of them, and who is told what cannot be had."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import envs
from service.models import Catalogue
from tests.serving import client, save_generator, server

SOKOBAN = envs.get_problem("sokoban")
CRATE = SOKOBAN.tile_ids["crate"]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    """A small masked tile LM, which holds numbers of tiles, and what needs no training."""
    return Catalogue.of([save_generator(tmp_path_factory.mktemp("models") / "tiny", "masked_lm")], bundled=False)


@pytest.fixture(scope="module")
def service(catalogue):
    with client(catalogue) as opened:
        yield opened


def sample(service, prompt, generator="tiny", **body):
    """Returns what a prompt is answered with, and how many crates its levels have."""
    response = service.post(f"/api/generators/{generator}/sample", json={"count": 6, "prompt": prompt, **body})
    assert response.status_code == 200, response.text
    told = response.json()
    levels = np.array([entry["level"] for entry in told["levels"]])
    return told, (levels == CRATE).sum(axis=(1, 2)).tolist()


def test_a_prompt_is_read(service):
    body = {"problem": "sokoban", "text": "at least two crates and a dragon"}
    told = service.post("/api/prompt", json=body).json()
    most = next(metric for metric in SOKOBAN.metrics if metric.name == "crate").bounds(SOKOBAN.default_shape)[1]
    assert told["targets"] == {"crate": [2, most]}
    assert told["understood"] == ["at least 2 crates"]
    assert len(told["remarks"]) == 1
    assert "'dragon'" in told["remarks"][0]


def test_a_prompt_means_levels_of_the_generators_size(service):
    body = {"problem": "smb", "text": "many enemies", "generator": "smb-markov"}
    told = service.post("/api/prompt", json=body).json()["targets"]
    whole = service.post("/api/prompt", json={**body, "generator": None}).json()["targets"]
    # A window is a quarter of a level.
    assert told["enemies"][0] < whole["enemies"][0]
    order = {"prompt": body["text"], "count": 1, "solve": False}
    assert service.post("/api/generators/smb-markov/sample", json=order).json()["asked"] == told


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"problem": "zelda", "text": "a bat", "generator": "tiny"}, "tiny makes levels of sokoban, not zelda"),
        ({"problem": "zelda", "text": "a bat", "generator": "none"}, "There is no generator of that name"),
        ({"problem": "sokoban", "text": "  "}, "The prompt is empty"),
        ({"problem": "sokoban", "text": ""}, "at least 1 character"),
        ({"problem": "sokoban", "text": "crates " * 200}, "at most 1000 characters"),
        ({"problem": "chess", "text": "three crates"}, "There is no problem of that name"),
    ],
)
def test_what_is_no_prompt_is_refused(service, body, words):
    response = service.post("/api/prompt", json=body)
    assert response.status_code in (404, 422)
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_numbers_of_tiles_are_held(service, number):
    told, crates = sample(service, f"{number} crates")
    assert crates == [number] * 6
    assert told["asked"]["crate"] == [number, number]


def test_the_best_of_several_samples_are_taken(service):
    plain, _ = sample(service, None)
    told, _ = sample(service, "a long solution and many walls")
    walls = [
        np.mean(np.array([entry["level"] for entry in one["levels"]]) == SOKOBAN.tile_ids["solid"])
        for one in (plain, told)
    ]
    assert walls[1] > walls[0]
    assert told["tried"] > plain["tried"]


def test_what_is_missing_is_told(service):
    told, _ = sample(service, "three crates and a dragon", generator="sokoban-markov")
    assert any("'dragon'" in remark for remark in told["remarks"])


def test_targets_go_before_words(service):
    _, free = sample(service, None)
    told, crates = sample(service, "one crate", targets={"crate": [3, 3]})
    assert told["asked"]["crate"] == [3, 3]
    assert free == crates == [3] * 6


def test_numbers_that_fixed_tiles_exclude_are_not_held(service):
    fixed = [[None] * 5 for _ in range(5)]
    fixed[2] = [None, CRATE, CRATE, CRATE, None]
    told, _ = sample(service, "one crate", fixed=fixed)
    assert any("leave no room for 1 crate" in remark for remark in told["remarks"])
    for entry in told["levels"]:
        level = np.array(entry["level"])
        assert (level == SOKOBAN.tile_ids["player"]).sum() == 1
        assert (level == CRATE).sum() == (level == SOKOBAN.tile_ids["target"]).sum()


def test_who_can_be_asked_for_nothing_says_so(catalogue):
    built = Catalogue(Catalogue.of().generators)
    with client(built) as opened:
        told, _ = sample(opened, "three crates", generator="sokoban-constructive", count=1)
    assert any("cannot be asked for 3 crates" in remark for remark in told["remarks"])


def test_what_the_page_was_told_that_a_prompt_asks_for_changes_nothing(service):
    text = "at least two crates and a long solution"
    targets = service.post("/api/prompt", json={"problem": "sokoban", "text": text}).json()["targets"]
    plain, _ = sample(service, text)
    again, _ = sample(service, text, targets=targets)
    assert [entry["level"] for entry in again["levels"]] == [entry["level"] for entry in plain["levels"]]


def test_prompts_of_several_clients_are_not_mixed_up(catalogue):
    prompts = [None, "one crate", "two crates", "three crates", "no walls"] * 3

    with server(catalogue) as opened:
        alone = [sample(opened, prompt, seed=seed)[0]["levels"] for seed, prompt in enumerate(prompts)]
        with ThreadPoolExecutor(len(prompts)) as threads:
            crowd = list(threads.map(lambda one: sample(opened, one[1], seed=one[0])[0]["levels"], enumerate(prompts)))
    assert crowd == alone
