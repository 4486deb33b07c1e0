"""The service's routes: what they answer, and that it is true."""

from __future__ import annotations

import base64
import io
import itertools
import json
import zipfile

import gymnasium
import numpy as np
import pytest
from PIL import Image

import envs
from envs.art import is_tall, sprite
from envs.level_io import read_levels
from service.models import BUNDLED_DESIGNERS, Catalogue
from tests.serving import HOPELESS, WINNABLE, client, events, record, save_generator

SOKOBAN = envs.get_problem("sokoban")


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A client of a service with a small trained generator, and all that comes with the project."""
    folder = save_generator(tmp_path_factory.mktemp("models") / "tiny")
    with client(Catalogue.of([folder])) as opened:
        yield opened


def post(service, path, **body):
    """Returns what a request is answered with, which must be a success."""
    response = service.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def assert_wins(problem, level, solution):
    """Replays moves through the play environment."""
    env = gymnasium.make(f"tilewright/play-{problem.name}-v0", levels=np.array(level, np.uint8), max_steps=100_000)
    env.reset()
    for move in solution:
        _, reward, terminated, _, info = env.step(problem.rules.actions.index(move))
        assert not terminated or info["won"]
    assert info["won"]
    assert reward == 1


def test_health_tells_what_is_served(service):
    told = service.get("/api/health").json()
    assert told["status"] == "ok"
    assert told["models"] == len(service.get("/api/generators").json()) + len(service.get("/api/designers").json())
    assert told["queue"] == 0
    assert told["limits"] == {"count": 64, "cells": 4096, "seconds": 10}


def test_every_problem_is_listed(service):
    listed = {one["name"]: one for one in service.get("/api/problems").json()}
    assert set(listed) == set(envs.all_problems())
    for name, problem in envs.all_problems().items():
        told = listed[name]
        assert [tile["name"] for tile in told["tiles"]] == [tile.name for tile in problem.tiles]
        assert told["shape"] == list(problem.default_shape)
        assert told["actions"] == list(problem.rules.actions)
        assert told["sprites"][: len(problem.rules.sprites)] == list(problem.rules.sprites)
        assert told["sprites"][-2:] == ["floor", "outside"]
        assert told["tall"] == [is_tall(name) for name in told["sprites"]]
        for metric in told["metrics"]:
            assert metric["low"] <= metric["target"][0] <= metric["target"][1] <= metric["high"]
    assert listed["sokoban"]["count_rules"][0] == "1 player"
    assert "as many crate as target tiles" in listed["sokoban"]["count_rules"]
    assert {one["name"] for one in listed["voxel"]["formats"]} == {"text"}
    assert {one["name"] for one in listed["maze"]["formats"]} == {"text", "tiled", "png"}
    assert {"xsb", "boxoban"} < {one["name"] for one in listed["sokoban"]["formats"]}
    assert {one["name"]: one["write"] for one in listed["smb"]["formats"]}["vglc"] is False


def test_the_sheet_shows_the_tiles_in_their_order(service):
    told = {one["name"]: one for one in service.get("/api/problems").json()}["zelda"]
    response = service.get("/api/problems/zelda/tiles.png", params={"size": 16})
    assert response.headers["content-type"] == "image/png"
    sheet = np.asarray(Image.open(io.BytesIO(response.content)))
    assert sheet.shape == (16, 16 * len(told["sprites"]), 4)
    for i, name in enumerate(told["sprites"]):
        assert (sheet[:, 16 * i : 16 * (i + 1)] == sprite(name, 16)).all()


def test_generators_are_listed_with_their_conditions(service):
    listed = {one["name"]: one for one in service.get("/api/generators").json()}
    assert listed["tiny"]["family"] == "vae"
    assert listed["tiny"]["engine"] == "torch"
    assert listed["tiny"]["parameters"] > 1000
    assert "sol-length" in {one["name"] for one in listed["tiny"]["conditions"]}
    assert listed["tiny"]["default"]
    assert not listed["sokoban-markov"]["default"]
    for problem in envs.all_problems():
        assert sum(one["default"] for one in listed.values() if one["problem"] == problem) == 1


def test_designers_are_listed_with_their_targets(service):
    listed = {one["name"]: one for one in service.get("/api/designers").json()}
    assert {path.name for path in BUNDLED_DESIGNERS.iterdir()} < set(listed)
    assert set(listed["sokoban-hill-climber"]["targets"]) == {metric.name for metric in SOKOBAN.metrics}
    assert 0 < listed["zelda-narrow"]["steps"] <= 20_000


@pytest.mark.parametrize("name", ["tiny", "sokoban-markov", "sokoban-constructive"])
def test_samples_are_measured_and_certified(service, name):
    told = post(service, f"/api/generators/{name}/sample", count=5, seed=3)
    assert len(told["levels"]) == told["tried"] == 5
    levels = np.array([entry["level"] for entry in told["levels"]], np.uint8)
    measured = envs.measure(SOKOBAN, levels)
    for i, entry in enumerate(told["levels"]):
        assert entry["metrics"] == {metric: float(values[i]) for metric, values in measured.items()}
        assert entry["quality"] == pytest.approx(envs.quality(SOKOBAN, levels[i])[0])
        assert (entry["solution"] is not None) == (entry["playable"] is True)
        if entry["playable"]:
            assert_wins(SOKOBAN, entry["level"], entry["solution"])
    assert post(service, f"/api/generators/{name}/sample", count=5, seed=3)["levels"] == told["levels"]
    assert post(service, f"/api/generators/{name}/sample", count=5, seed=4)["levels"] != told["levels"]


def test_samples_are_those_of_the_generator(service, tmp_path):
    from generators.suite import load_generator

    generator = load_generator(save_generator(tmp_path / "tiny"))
    told = post(service, "/api/generators/tiny/sample", count=4, seed=9, targets={"crate": 2}, solve=False)
    wanted = generator.sample(4, seed=9, condition={"crate": 2})
    assert np.array_equal([entry["level"] for entry in told["levels"]], wanted)
    assert {entry["playable"] for entry in told["levels"]} == {None}
    assert told["asked"] == {"crate": [2, 2]}


def test_fixed_tiles_stay_and_playable_levels_are_won(service):
    fixed = [[None] * 5 for _ in range(5)]
    fixed[0] = [1, 1, 2, 1, 1]
    told = post(service, "/api/generators/tiny/sample", count=3, seed=1, fixed=fixed, playable=True)
    assert told["levels"]
    for entry in told["levels"]:
        assert entry["level"][0] == fixed[0]
        assert entry["playable"] is True
        assert entry["repaired"] == (entry["edits"] > 0)
        assert_wins(SOKOBAN, entry["level"], entry["solution"])
    repaired = sum(entry["repaired"] for entry in told["levels"])
    # An untrained model's levels are hardly ever playable, so that this is a test of repair.
    assert repaired
    assert any(f"{repaired} levels were repaired" in remark for remark in told["remarks"])
    assert any(f"of {told['tried']} samples" in remark for remark in told["remarks"])


def test_small_samples_come_with_a_shortest_solution(service):
    told = post(service, "/api/generators/sokoban-constructive/sample", count=20, seed=5)
    lengths = [len(entry["solution"]) for entry in told["levels"]]
    assert lengths == [entry["metrics"]["sol-length"] for entry in told["levels"]]


def test_what_the_generator_cannot_be_told_is_chosen(service):
    free = post(service, "/api/generators/sokoban-constructive/sample", count=3, seed=5)
    told = post(service, "/api/generators/sokoban-constructive/sample", count=3, seed=5, targets={"sol-length": 30})
    assert told["tried"] == 12
    error = [abs(entry["metrics"]["sol-length"] - 30) for entry in told["levels"]]
    assert error == sorted(error)
    assert error[0] < min(abs(entry["metrics"]["sol-length"] - 30) for entry in free["levels"])
    assert "cannot be told sol-length" in told["remarks"][0]


def test_conditions_beyond_what_was_learned_are_remarked_on(service):
    told = post(service, "/api/generators/tiny/sample", targets={"crate": [20, 24]})
    assert "has seen crate from" in told["remarks"][0]


def test_of_a_target_interval_is_drawn_what_the_generator_knows(service):
    asked = []

    class Source:
        def sample_all(self, asks):
            asked.extend(asks)
            return [np.zeros((ask.n, 5, 5), np.uint8) for ask in asks]

    service.app.state.service.catalogue.generators["asked"] = record("asked", Source(), [("crate", 1, 3)])
    try:
        for interval in ([1, 3], [-10, 3], [1, 1000]):
            post(service, "/api/generators/asked/sample", count=8, targets={"crate": interval})
    finally:
        del service.app.state.service.catalogue.generators["asked"]
    for ask in asked:
        values = ask.condition["crate"]
        assert values.shape == (8,)
        assert 1 <= values.min() < values.max() <= 3


@pytest.mark.parametrize("problem", list(envs.all_problems()))
def test_every_problem_can_be_measured_solved_and_played(service, problem):
    task = envs.get_problem(problem)
    built = post(service, f"/api/problems/{problem}/construct", count=1, seed=2)["levels"][0]
    entry = post(service, f"/api/problems/{problem}/measure", level=built["level"])
    assert entry == {**built, "seed": None}
    assert entry["playable"] is True
    solved = post(service, f"/api/problems/{problem}/solve", level=built["level"])
    assert solved["status"] == "solved"
    assert solved["moves"] == len(solved["solution"])
    assert_wins(task, built["level"], solved["solution"])
    game = post(service, f"/api/problems/{problem}/play", level=built["level"], actions=solved["solution"], last=True)
    assert game["won"]
    assert not game["lost"]
    assert len(game["frames"]) == len(game["actors"]) == 1
    assert game["moves"] == solved["moves"]


def test_frames_are_what_the_player_sees(service):
    told = post(service, "/api/problems/sokoban/play", level=WINNABLE, actions=["up", "left"])
    rules = SOKOBAN.rules
    state = rules.start(np.array(WINNABLE, np.uint8))
    assert told["frames"][0] == rules.board(state).tolist()
    for frame, action in zip(told["frames"][1:], ("up", "left"), strict=True):
        state = rules.step(state, rules.actions.index(action))
        assert frame == rules.board(state).tolist()
    later = post(service, "/api/problems/sokoban/play", level=WINNABLE, actions=["up", "left"], since=2)
    assert later["frames"] == told["frames"][2:]


def test_what_stands_between_cells_comes_as_actors(service):
    course = envs.construct("smb", 1, seed=0)[0]
    told = post(service, "/api/problems/smb/play", level=course.tolist(), actions=["right"] * 8, last=True)
    rules = envs.get_rules("smb")
    state = rules.start(course)
    for _ in range(8):
        state = rules.step(state, rules.actions.index("right"))
    assert told["frames"] == [rules.ground(state).tolist()]
    assert told["actors"][0][0] == vars(rules.actors(state)[0])


def test_moves_after_the_end_are_not_made(service):
    solution = post(service, "/api/problems/sokoban/solve", level=WINNABLE)["solution"]
    game = post(service, "/api/problems/sokoban/play", level=WINNABLE, actions=[*solution, "up", "up"])
    assert game["moves"] == len(solution)
    assert len(game["frames"]) == len(solution) + 1


def test_a_level_that_cannot_be_won(service):
    assert post(service, "/api/problems/sokoban/measure", level=HOPELESS)["playable"] is False
    told = post(service, "/api/problems/sokoban/solve", level=HOPELESS)
    assert told["status"] == "unsolvable"
    assert told["solution"] is told["moves"] is None


def test_what_walks_in_two_regions_is_not_playable(service):
    split = [[0, 0, 1], [1, 1, 1], [1, 0, 0]]
    told = post(service, "/api/problems/binary/solve", level=split)
    assert (told["status"], told["playable"]) == ("solved", False)
    assert post(service, "/api/problems/binary/measure", level=split)["solution"] is None


def test_repair_keeps_what_is_locked(service):
    locked = [[row == 1 for _ in range(5)] for row in range(5)]
    told = post(service, "/api/problems/sokoban/repair", level=HOPELESS, fixed=locked)
    assert told["level"][1] == HOPELESS[1]
    free = post(service, "/api/problems/sokoban/repair", level=HOPELESS)
    assert free["playable"]
    assert free["repaired"]
    assert free["edits"] == int((np.array(free["level"]) != HOPELESS).sum())
    assert_wins(SOKOBAN, free["level"], free["solution"])


def test_a_playable_level_is_not_repaired(service):
    told = post(service, "/api/problems/sokoban/repair", level=WINNABLE)
    assert (told["level"], told["repaired"], told["edits"]) == (WINNABLE, False, 0)


def test_a_designer_is_watched_to_its_end(service):
    response = service.post("/api/designers/sokoban-wide/run", json={"seed": 5})
    assert response.headers["content-type"].startswith("text/event-stream")
    told = events(response)
    assert [name for name, _ in told] == ["step"] * (len(told) - 1) + ["end"]
    steps = [data for _, data in told[:-1]]
    assert [step["step"] for step in steps] == list(range(len(steps)))
    for before, after in itertools.pairwise(steps):
        changed = np.argwhere(np.array(before["level"]) != np.array(after["level"])).tolist()
        assert after["changed"] == changed
    end = told[-1][1]
    assert end["entry"]["level"] == steps[-1]["level"]
    assert end["entry"]["metrics"] == steps[-1]["metrics"]
    assert end["why"]


def test_a_designer_builds_what_the_window_shows(service):
    from agents.builders import PolicyBuilder
    from agents.designer import PolicyDesigner

    start = envs.construct("sokoban", 1, seed=4)[0]
    builder = PolicyBuilder(PolicyDesigner.from_pretrained(BUNDLED_DESIGNERS / "sokoban-wide"), "theirs")
    builder.begin(7, start)
    paid = 0.0
    while not builder.over:
        builder.advance()
    told = events(service.post("/api/designers/sokoban-wide/run", json={"seed": 7, "level": start.tolist()}))
    assert told[-1][1]["entry"]["level"] == builder.level.tolist()
    paid = sum(data["reward"] for name, data in told if name == "step")
    assert paid == pytest.approx(builder.paid, abs=1e-4)


def test_a_designer_leaves_what_is_locked_and_tells_of_every_so_many_steps(service):
    locked = [[column < 3 for column in range(5)] for _ in range(5)]
    start = envs.construct("sokoban", 1, seed=0)[0] * 0
    body = {"level": start.tolist(), "locked": locked, "every": 2, "seed": 1}
    told = events(service.post("/api/designers/sokoban-wide/run", json=body))
    steps = [data["step"] for name, data in told if name == "step"]
    assert steps[:2] == [0, 2]
    assert (np.array(told[-1][1]["entry"]["level"])[:, :3] == 0).all()
    assert told[-1][1]["changes"] > 0


def test_a_designer_heeds_its_targets(service):
    start = envs.construct("zelda", 1, seed=0)[0].tolist()
    for enemies in (1, 7):
        body = {"level": start, "targets": {"enemies": enemies}, "seed": 0}
        told = events(service.post("/api/designers/zelda-hill-climber/run", json=body))
        assert told[-1][1]["entry"]["metrics"]["enemies"] == enemies


@pytest.mark.parametrize("format", ["text", "tiled", "xsb", "png", "boxoban"])
def test_files_are_converted_there_and_back(service, format):
    there = post(
        service, "/api/convert", problem="sokoban", content="#####\n#@$.#\n#####\n", **{"from": "xsb"}, to=format
    )
    assert there["base64"] == (format == "png")
    assert there["metrics"][0]["sol-length"] == 1
    back = post(service, "/api/convert", problem="sokoban", content=there["content"], **{"from": format}, to="xsb")
    assert back["levels"] == there["levels"] == [[[1] * 5, [1, 2, 3, 4, 1], [1] * 5]]
    assert back["content"].endswith("#####\n#@$.#\n#####\n")


def test_an_uploaded_file_is_converted(service):
    response = service.post(
        "/api/convert/file",
        files={"file": ("anything", "#####\n#@$.#\n#####\n")},
        data={"problem": "sokoban", "from": "xsb", "to": "png", "size": "8"},
    )
    assert response.status_code == 200
    told = response.json()
    picture = Image.open(io.BytesIO(base64.b64decode(told["content"])))
    assert picture.size == (5 * 8, 3 * 8)


def test_downloads_can_be_read(service, tmp_path):
    level = np.array(WINNABLE, np.uint8)
    body = {"level": WINNABLE}
    picture = service.post("/api/problems/sokoban/level.png", json={**body, "size": 16})
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(picture.content))), envs.render(SOKOBAN, level, 16))
    bare = service.post("/api/problems/sokoban/level.png", json={**body, "border": False})
    (tmp_path / "bare.png").write_bytes(bare.content)
    assert np.array_equal(read_levels(tmp_path / "bare.png", SOKOBAN)[0], level)
    for name in ("level.tmj", "level.txt"):
        response = service.post(f"/api/problems/sokoban/{name}", json=body)
        assert response.headers["content-disposition"].startswith("attachment")
        (tmp_path / name).write_bytes(response.content)
        assert np.array_equal(read_levels(tmp_path / name, SOKOBAN)[0], level)
    archive = zipfile.ZipFile(io.BytesIO(service.post("/api/problems/sokoban/level.zip", json=body).content))
    map_name, tiles_name = archive.namelist()
    assert json.loads(archive.read(map_name))["tilesets"][0]["image"] == tiles_name
    xsb = service.post("/api/problems/sokoban/level.txt", json={**body, "format": "xsb"})
    assert xsb.text.splitlines()[:2] == ["#####", "#.--#"]


def test_a_level_of_three_axes(service):
    built = post(service, "/api/problems/voxel/construct")["levels"][0]["level"]
    assert np.shape(built) == (7, 7, 7)
    assert service.post("/api/problems/voxel/level.png", json={"level": built}).status_code == 200
    text = service.post("/api/problems/voxel/level.txt", json={"level": built}).text
    back = post(service, "/api/convert", problem="voxel", content=text, **{"from": "text"}, to="text")
    assert back["levels"] == [built]


def test_the_documentation_shows_every_route(service):
    schema = service.get("/openapi.json").json()
    page = service.get("/docs").text
    for path, methods in schema["paths"].items():
        assert path in page
        for operation in methods.values():
            assert operation["summary"] in page
    policy = service.get("/docs").headers["content-security-policy"]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policy
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page


def test_the_examples_of_the_documentation_work(service):
    """Every example of a request is answered, on sokoban and on a generator and a designer of it."""
    schema = service.get("/openapi.json").json()
    parts = schema["components"]["schemas"]
    for path, methods in schema["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json")
        if not content:
            continue
        fields = parts[content["schema"]["$ref"].rpartition("/")[2]]["properties"]
        body = {name: field["examples"][0] for name, field in fields.items() if "examples" in field}
        name = "sokoban-wide" if "designers" in path else "tiny"
        address = path.replace("{problem}", "sokoban").replace("{name}", name)
        assert service.post(address, json=body).status_code == 200, (address, body)


def test_prometheus_counts_routes_and_batches(service):
    post(service, "/api/generators/tiny/sample", count=2)
    service.get("/api/nonsense/one")
    service.request("NONSENSE", "/api/problems")
    text = service.get("/metrics").text
    assert 'tilewright_requests_total{method="POST",route="/api/generators/{name}/sample",status="200"}' in text
    assert 'tilewright_batch_requests_count{generator="tiny"}' in text
    assert "tilewright_queue 0.0" in text
    assert "nonsense" not in text.lower()


def test_the_page_is_served_with_its_tag(service):
    response = service.get("/")
    assert response.headers["content-type"].startswith("text/html")
    assert "script-src 'self';" in response.headers["content-security-policy"]
    assert "unsafe-inline" not in response.headers["content-security-policy"]
    again = service.get("/", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304
