"""What the service refuses, and how: limits, tokens, other sites, paths, overload, hang-ups, faults of its own."""

from __future__ import annotations

import base64
import builtins
import dataclasses
import io
import json
import logging
import re
import shutil
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL import Image, ImageFile
from pydantic import ValidationError

import envs
from envs import UserError
from generators.exported import load_exported
from service import models
from service.app import make_app
from service.limits import Limits
from service.models import Catalogue
from service.pages import FOLDER
from service.requests import LevelBody, PlayBody, RepairBody, SampleBody
from tests.serving import HARD, WINNABLE, Blocked, client, events, record, save_generator, server, wait_for


@pytest.fixture(scope="module")
def service():
    """A client of a service with narrow limits."""
    limits = Limits(body=20_000, cells=400, count=4, seconds=3.0, steps=50, pixels=100_000)
    with client(Catalogue.of(), limits) as opened:
        yield opened


def refused(response, status, words, field=None):
    """Asserts that a request was refused in one sentence."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert words in error["message"], error
    assert error["message"].endswith(".")
    assert "Traceback" not in error["message"]
    assert error["field"] == field


SAMPLE, MEASURE = "/api/generators/sokoban-constructive/sample", "/api/problems/sokoban/measure"
LARGE = [[0] * 21 for _ in range(21)]


@pytest.mark.parametrize(
    ("path", "body", "status", "words", "field"),
    [
        (SAMPLE, {"count": 5}, 422, "At most 4 levels", "count"),
        (SAMPLE, {"count": 0}, 422, "greater than or equal to 1", "count"),
        (SAMPLE, {"count": 1.5}, 422, "valid integer", "count"),
        (SAMPLE, {"seed": -1}, 422, "greater than or equal to 0", "seed"),
        (SAMPLE, {"seed": 2**31}, 422, "less than", "seed"),
        (SAMPLE, {"targets": {"crates": 2}}, 422, "no metric 'crates'", "targets.crates"),
        (SAMPLE, {"targets": {"crate": [3, 1]}}, 422, "give the lesser first", "targets"),
        (SAMPLE, {"targets": {"crate": [-1.7e308, 1.7e308]}}, 422, "must lie within", "targets.crate"),
        (SAMPLE, {"targets": {"crate": "2 or so"}}, 422, "a number", "targets"),
        (SAMPLE, {"fixed": [[None] * 5]}, 422, "must have the shape [5, 5]", "fixed"),
        (SAMPLE, {"fixed": [[None] * 5] * 4 + [[None]]}, 422, "must have the shape [5, 5]", "fixed"),
        (SAMPLE, {"fixed": [[5] * 5] * 5}, 422, "tile ids 0 to 4", "fixed"),
        (SAMPLE, {"fixed": [["wall"] * 5] * 5}, 422, "grid", "fixed"),
        (SAMPLE, {"colour": "red"}, 422, "not permitted", "colour"),
        (MEASURE, {"level": LARGE}, 413, "at most 400 tiles", "level"),
        (MEASURE, {"level": [[0, 0], [0]]}, 422, "differ in length", "level"),
        (MEASURE, {"level": [[0] * 5] * 4 + [[9] * 5]}, 422, "tile ids 0 to 4", "level"),
        (MEASURE, {"level": [[300] * 5] * 5}, 422, "whole numbers from 0", "level"),
        (MEASURE, {"level": [[0.5] * 5] * 5}, 422, "whole numbers from 0", "level"),
        (MEASURE, {"level": [[True] * 5] * 5}, 422, "whole numbers from 0", "level"),
        (MEASURE, {"level": []}, 422, "must have 2 axes", "level"),
        (MEASURE, {"level": [WINNABLE, WINNABLE]}, 422, "One sokoban level", "level"),
        (MEASURE, {}, 422, "grid of tile ids", "level"),
        ("/api/problems/sokoban/solve", {"level": WINNABLE, "seconds": 4}, 422, "at most 3 seconds", "seconds"),
        ("/api/problems/sokoban/solve", {"level": WINNABLE, "seconds": 0}, 422, "greater than 0", "seconds"),
        ("/api/problems/sokoban/solve", {"level": WINNABLE, "seconds": "inf"}, 422, "finite", "seconds"),
        ("/api/problems/sokoban/play", {"level": WINNABLE, "actions": ["jump"]}, 422, "no move 'jump'", "actions"),
        ("/api/problems/sokoban/play", {"level": WINNABLE, "actions": ["up"] * 51}, 422, "At most 50", "actions"),
        ("/api/problems/sokoban/play", {"level": [[0] * 5] * 5}, 422, "cannot be played", "level"),
        ("/api/problems/sokoban/repair", {"level": WINNABLE, "fixed": [[True]]}, 422, "shape [5, 5]", "fixed"),
        ("/api/problems/sokoban/repair", {"level": WINNABLE, "fixed": [[True], []]}, 422, "equally long", "fixed"),
        ("/api/problems/sokoban/construct", {"count": 5}, 422, "At most 4 levels", "count"),
        ("/api/problems/sokoban/level.png", {"level": [[0] * 20] * 20, "size": 64}, 422, "100000 pixels", "size"),
        ("/api/problems/sokoban/level.png", {"level": WINNABLE, "size": 65}, 422, "less than or equal to 64", "size"),
        ("/api/problems/sokoban/level.txt", {"level": WINNABLE, "format": "vglc"}, 422, "no format 'vglc'", "to"),
        ("/api/problems/sokoban/level.txt", {"level": WINNABLE, "format": "png"}, 422, "no text", "format"),
        ("/api/problems/voxel/level.tmj", {"level": [[[0] * 3] * 3] * 3}, 422, "no format 'tiled'", "to"),
        ("/api/problems/chess/measure", {"level": WINNABLE}, 404, "no problem of that name", "problem"),
        ("/api/generators/none/sample", {}, 404, "no generator of that name", "name"),
        ("/api/designers/none/run", {}, 404, "no designer of that name", "name"),
        ("/api/designers/sokoban-wide/run", {"level": [[0] * 6] * 6}, 422, "shape [5, 5]; got [6, 6]", "level"),
        ("/api/designers/sokoban-wide/run", {"locked": [[True]]}, 422, "shape [5, 5]", "locked"),
        ("/api/designers/sokoban-wide/run", {"every": 0}, 422, "greater than or equal to 1", "every"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_sentence(service, path, body, status, words, field):
    refused(service.post(path, json=body), status, words, field)


@pytest.mark.parametrize(
    ("body", "status", "words", "field"),
    [
        ({"content": "#####\n#@x.#\n#####", "from": "text"}, 422, "line 2, column 3", "content"),
        ({"content": "", "from": "xsb"}, 422, "is empty", "content"),
        ({"content": "{}", "from": "tiled"}, 422, "no Tiled map", "content"),
        ({"content": "[" * 9000, "from": "tiled"}, 422, "malformed JSON", "content"),
        ({"content": "no base64!", "from": "png"}, 422, "base64", "content"),
        ({"content": base64.b64encode(b"no picture").decode(), "from": "png"}, 422, "no PNG", "content"),
        ({"content": "\ud800", "from": "text"}, 422, "not Unicode", "content"),
        ({"content": "#####", "from": "exe"}, 422, "no format 'exe'", "from"),
        ({"content": "##\n##\n\n" * 5, "from": "text"}, 413, "at most 4 levels; this one holds more", "content"),
        (
            {"content": "##\n##\n\n" * 500 + "?", "from": "text"},
            413,
            "at most 4 levels; this one holds more",
            "content",
        ),
        ({"content": "\n".join(["#" * 30] * 30), "from": "text"}, 413, "at most 400 tiles", "content"),
        ({"content": "#####", "from": "text", "problem": "../etc"}, 404, "no problem of that name", "problem"),
    ],
)
def test_files_that_cannot_be_read_are_refused(service, body, status, words, field):
    text = json.dumps({"problem": "sokoban", "to": "text", **body})
    response = service.post("/api/convert", content=text, headers={"Content-Type": "application/json"})
    refused(response, status, words, field)
    assert "/tmp" not in response.text


@pytest.mark.parametrize("form", [False, True])
def test_a_map_cannot_have_other_files_read(service, tmp_path, monkeypatch, form):
    secret = tmp_path / "secret.json"
    secret.write_text('{"tilecount": "secret"}')
    opened = []
    plain = builtins.open
    monkeypatch.setattr(builtins, "open", lambda path, *rest, **more: opened.append(path) or plain(path, *rest, **more))
    content = json.dumps({"layers": [], "tilesets": [{"firstgid": 1, "source": str(secret)}]})
    fields = {"problem": "sokoban", "from": "tiled", "to": "text"}
    if form:
        response = service.post("/api/convert/file", files={"file": ("map", content)}, data=fields)
    else:
        response = service.post("/api/convert", json={**fields, "content": content})
    refused(response, 422, "embed the tileset", "content")
    assert "secret" not in response.text
    assert opened
    assert not any("secret" in str(path) for path in opened)


def test_a_designer_is_asked_only_for_what_it_heeds():
    catalogue = Catalogue.of()
    catalogue.designers["deaf"] = dataclasses.replace(catalogue.designers["binary-narrow"], targets=("regions",))
    with client(catalogue) as opened:
        response = opened.post("/api/designers/deaf/run", json={"targets": {"path-length": 20}})
    refused(response, 422, "cannot be asked for path-length; it can for regions", "targets.path-length")


def test_a_picture_that_unpacks_to_too_much_is_refused_by_its_header(service, monkeypatch):
    def unpack(*_):
        raise AssertionError("it was unpacked")

    monkeypatch.setattr(ImageFile.ImageFile, "load", unpack)
    large = io.BytesIO()
    Image.new("1", (6000, 6000)).save(large, "PNG")
    assert len(large.getvalue()) < 10_000
    body = {"problem": "sokoban", "from": "png", "to": "text", "content": base64.b64encode(large.getvalue()).decode()}
    refused(service.post("/api/convert", json=body), 413, "6000 x 6000", "content")


def test_a_large_body_is_refused_whether_or_not_it_tells_its_length(service):
    body = b'{"level": [' + b" " * 30_000 + b"]}"
    headers = {"Content-Type": "application/json"}
    refused(service.post(MEASURE, content=body, headers=headers), 413, "at most 20000 bytes")
    in_parts = (body[i : i + 1000] for i in range(0, len(body), 1000))
    refused(service.post(MEASURE, content=in_parts, headers=headers), 413, "at most 20000 bytes")
    refused(service.post(MEASURE, content=b"{}", headers={**headers, "Content-Length": "many"}), 413, "20000 bytes")


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (LevelBody, {"level": [["", ""] * 1000]}),
        (LevelBody, {"level": [[["", ""] * 1000]]}),
        (LevelBody, {"level": [""] * 1000}),
        (LevelBody, {"level": [[0]], **dict.fromkeys(map(str, range(1000)))}),
        (SampleBody, {"fixed": [["a"] * 1000]}),
        (SampleBody, {"targets": dict.fromkeys(map(str, range(1000)), "many")}),
        (SampleBody, {"targets": {"crate": ["few"] * 1000}}),
        (RepairBody, {"level": [[0]], "fixed": [["a"] * 1000]}),
        (PlayBody, {"level": [[0]], "actions": [1] * 1000}),
    ],
)
def test_of_a_body_that_is_wrong_all_over_few_mistakes_are_collected(model, body):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(body)
    assert caught.value.error_count() <= 4


def test_a_body_that_is_no_json_is_refused(service):
    refused(service.post(MEASURE, content=b"{", headers={"Content-Type": "application/json"}), 400, "no JSON")
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = service.post(MEASURE, content=b'{"level": [[1]]}', headers={"Content-Type": kind})
        refused(response, 415, "must be application/json")
    refused(service.post("/api/convert/file", json={}), 415, "must be multipart/form-data")


def test_addresses_that_are_not_there(service):
    refused(service.get("/api/nothing"), 404, "nothing at this address")
    refused(service.get("/nothing.js"), 404, "nothing at this address")
    refused(service.get(MEASURE), 405, "does not know that method")
    refused(service.delete("/api/problems"), 405, "does not know that method")


UPWARDS = ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "....//app.py", "/etc/passwd", "..\\app.py", "%00", "~"]


@pytest.mark.parametrize("name", UPWARDS)
def test_no_path_from_a_request_reaches_the_file_system(service, monkeypatch, name):
    """Everything is looked up by its name, among what was read at the start."""
    import pathlib

    def fail(*arguments, **options):
        raise AssertionError("a file was looked for")

    assert (FOLDER.parent / "app.py").is_file()
    with monkeypatch.context() as patched:
        for method in ("open", "read_bytes", "read_text", "stat", "is_file", "exists", "iterdir"):
            patched.setattr(pathlib.Path, method, fail)
        responses = [
            service.get(f"/{name}"),
            service.post(f"/api/generators/{quote(name, safe='%')}/sample", json={}),
            service.post(f"/api/designers/{quote(name, safe='%')}/run", json={}),
            service.post(f"/api/problems/{quote(name, safe='%')}/measure", json={"level": WINNABLE}),
            service.get(f"/api/problems/{quote(name, safe='%')}/tiles.png"),
        ]
    for response in responses:
        assert response.status_code in (404, 405, 422), response.text
        assert "import" not in response.text
        assert "root:" not in response.text


def test_the_name_of_an_uploaded_file_does_not_matter(service, tmp_path):
    for name in ("../../escape.txt", str(tmp_path / "escape.txt"), "level.txt\x00.png"):
        response = service.post(
            "/api/convert/file",
            files={"file": (name, "#####\n#@$.#\n#####\n")},
            data={"problem": "sokoban", "from": "xsb", "to": "text"},
        )
        assert response.json()["name"] == "level.txt"
    assert list(tmp_path.iterdir()) == []


# Who may ask.


def test_pages_of_other_sites_are_refused(service):
    refused(service.get("/api/problems", headers={"Origin": "http://evil.example"}), 403, "other sites")
    refused(service.get("/api/problems", headers={"Origin": "null"}), 403, "other sites")
    refused(service.get("/api/problems", headers={"Origin": "http://["}), 403, "other sites")
    refused(service.post(MEASURE, json={}, headers={"Origin": "http://127.0.0.1:1"}), 403, "other sites")
    assert service.get("/api/problems", headers={"Origin": "http://127.0.0.1"}).status_code == 200
    assert "access-control-allow-origin" not in service.get("/api/problems").headers


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "["])
def test_names_that_were_made_to_point_here_are_refused(service, host):
    for path in ("/api/problems", "/", "/metrics"):
        refused(service.get(path, headers={"Host": host}), 403, "go by that name")


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "127.0.0.1:8000", "[::1]:8000", "192.168.0.7"])
def test_addresses_and_localhost_are_taken(service, host):
    assert service.get("/api/problems", headers={"Host": host}).status_code == 200


def test_names_that_were_given_are_taken():
    with client(hosts=("Studio.example",)) as opened:
        assert opened.get("/api/problems", headers={"Host": "studio.example:80"}).status_code == 200
        assert opened.get("/api/problems", headers={"Host": "other.example"}).status_code == 403


def test_a_token_closes_all_but_health_and_the_page():
    with client(token="open-sesame") as opened:
        for path in ("/api/problems", "/metrics", "/docs", "/openapi.json", "/api/nothing"):
            response = opened.get(path)
            refused(response, 401, "Authorization: Bearer TOKEN")
            assert response.headers["www-authenticate"] == "Bearer"
            for wrong in ("Bearer open", "Bearer open-sesame2", "Basic open-sesame", "Bearer", "Bearer é"):
                headers = {"Authorization": wrong.encode("latin-1")}
                assert opened.get(path, headers=headers).status_code == 401
        assert opened.get("/api/health").status_code == 200
        assert opened.get("/").status_code == 200
        right = {"Authorization": "Bearer open-sesame"}
        assert opened.get("/api/problems", headers={**right, "Host": "a.proxy.example"}).status_code == 200
        assert opened.get("/metrics", headers=right).status_code == 200


def test_a_token_does_not_close_files_of_the_page_whose_names_begin_alike():
    with client(token="open-sesame") as opened:
        assert all(opened.get(path).status_code != 401 for path in ("/metrics.js", "/docs.css", "/apitude"))
        assert opened.get("/api/").status_code == 401


def test_a_browser_that_brings_the_token_once_keeps_it():
    with client(token="open-sesame") as opened:
        response = opened.get("/?token=wrong&level=3", follow_redirects=False)
        assert response.status_code == 200
        assert not response.cookies
        response = opened.get("/?token=open-sesame&level=3&seed=", follow_redirects=False)
        assert response.status_code == 303
        assert response.headers["location"] == "/?level=3"
        kept = response.headers["set-cookie"].lower()
        assert "httponly" in kept
        assert "samesite=strict" in kept
        assert opened.get("/api/problems").status_code == 200
        name, value = next(iter(opened.cookies.items()))
        assert name.endswith("-80")
        cookie = {"Cookie": f'foo={{"a":1}}; {name}={value}'}
        opened.cookies.clear()
        assert opened.get("/api/problems").status_code == 401
        assert opened.get("/api/problems", headers=cookie).status_code == 200
        elsewhere = opened.get("http://127.0.0.1//evil.example/?token=open-sesame", follow_redirects=False)
        assert elsewhere.headers["location"] == "/evil.example/"
        refused(opened.get("/api/problems", headers={"Origin": "http://evil.example"}), 403, "other sites")


def test_the_token_is_compared_in_constant_time(monkeypatch):
    import hmac

    compared = []
    plain = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or plain(a, b))
    with client(token="open-sesame") as opened:
        opened.get("/api/problems", headers={"Authorization": "Bearer guess"})
    assert compared == [(b"guess", b"open-sesame")]


@pytest.mark.parametrize("token", ["two words", "é", "line\n"])
def test_a_token_that_cannot_be_sent_is_refused_at_the_start(token):
    with pytest.raises(UserError, match="printable ASCII"):
        make_app(Catalogue(), token=token)


@pytest.mark.parametrize(
    ("name", "value"), [("body", 0), ("count", -1), ("workers", -1), ("seconds", 0.0), ("seconds", float("nan"))]
)
def test_limits_that_make_no_sense_are_refused_at_the_start(name, value):
    with pytest.raises(UserError, match=f"The limit {name} must be at least"):
        make_app(Catalogue(), Limits(**{name: value}))


# Too much at once.


def blocked_service(limits, names=("first",)):
    """Returns sources that wait, and a catalogue of them."""
    sources = {name: Blocked() for name in names}
    return sources, Catalogue({name: record(name, source) for name, source in sources.items()})


def test_overload_is_answered_at_once():
    sources, catalogue = blocked_service(None)
    with server(catalogue, Limits(workers=1, queue=3)) as opened:
        answers = []

        def ask(seed):
            answers.append(opened.post("/api/generators/first/sample", json={"seed": seed, "solve": False}))

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: opened.get("/api/health").json()["queue"] == 4)
        for _ in range(5):
            # The others are not done before this is answered.
            response = opened.post("/api/generators/first/sample", json={})
            refused(response, 503, "busy with 4 requests")
            assert int(response.headers["retry-after"]) >= 1
        refused(opened.post("/api/problems/sokoban/measure", json={"level": WINNABLE}), 503, "busy")
        assert opened.get("/api/problems/sokoban/tiles.png").status_code == 200
        assert opened.get("/api/problems").status_code == 200
        sources["first"].go.set()
        for thread in threads:
            thread.join()
        assert {response.status_code for response in answers} == {200}
        assert opened.get("/api/health").json()["queue"] == 0
        assert opened.post("/api/generators/first/sample", json={"solve": False}).status_code == 200


def test_computing_does_not_hold_up_the_rest():
    """While every worker searches, the service answers what needs no computing."""
    body = {"level": HARD.tolist(), "seconds": 8}
    with server(Catalogue(), Limits(workers=1, cells=400)) as opened:
        opened.post("/api/problems/sokoban/solve", json={"level": WINNABLE})
        thread = threading.Thread(target=opened.post, args=("/api/problems/sokoban/solve",), kwargs={"json": body})
        thread.start()
        wait_for(lambda: opened.get("/api/health").json()["queue"] == 1)
        for _ in range(3):
            assert opened.get("/api/problems").status_code == 200
            assert opened.get("/api/health").json()["queue"] == 1
        thread.join()


@pytest.mark.parametrize("path", ["solve", "queue"])
def test_who_hangs_up_stops_the_work(path):
    """A search that nobody waits for ends at once, and what has not begun never does."""
    with server(Catalogue(), Limits(workers=1, seconds=60, cells=400)) as opened:
        opened.post("/api/problems/sokoban/solve", json={"level": WINNABLE})
        body = {"level": HARD.tolist(), "seconds": 60}
        hanging = [httpx.Client(base_url=opened.base_url, timeout=0.5) for _ in range(1 if path == "solve" else 3)]

        def ask(one):
            with pytest.raises(httpx.ReadTimeout):
                one.post("/api/problems/sokoban/solve", json=body)
            one.close()

        threads = [threading.Thread(target=ask, args=(one,)) for one in hanging]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_for(lambda: opened.get("/api/health").json()["queue"] == 0, 30)
        assert f'solve",status="499"}} {float(len(hanging))}' in opened.get("/metrics").text


def test_who_hangs_up_on_a_designer_stops_it(monkeypatch):
    from agents.builders import ClimberBuilder

    steps = []
    plain = ClimberBuilder.advance

    def slow(self):
        steps.append(time.perf_counter())
        time.sleep(0.05)
        self.over, self.steps = False, self.steps + 1
        return plain(self)

    monkeypatch.setattr(ClimberBuilder, "advance", slow)
    with server(Catalogue.of(), Limits(workers=1)) as opened:
        with opened.stream("POST", "/api/designers/binary-hill-climber/run", json={}) as response:
            lines = response.iter_lines()
            assert next(lines) == "event: step"
            wait_for(lambda: len(steps) > 2)
        wait_for(lambda: opened.get("/api/health").json()["queue"] == 0, 10)
        count = len(steps)
        time.sleep(0.3)
        assert len(steps) == count


def test_slow_designers_tell_of_what_they_did_in_a_moment(monkeypatch):
    from service import designing

    monkeypatch.setattr(designing, "_TURN", 0.0)
    with client(Catalogue.of()) as opened:
        response = opened.post("/api/designers/zelda-hill-climber/run", json={"every": 1000, "seed": 1})
    steps = [data["step"] for name, data in events(response) if name == "step"]
    assert len(steps) > 2
    assert steps == list(range(len(steps)))


def test_who_hangs_up_before_the_model_is_called_is_not_sampled_for():
    sources, catalogue = blocked_service(None)
    with server(catalogue, Limits(workers=2)) as opened:
        first = threading.Thread(
            target=opened.post, args=("/api/generators/first/sample",), kwargs={"json": {"solve": False}}
        )
        first.start()
        assert sources["first"].begun.acquire(timeout=10)
        with httpx.Client(base_url=opened.base_url, timeout=0.3) as impatient, pytest.raises(httpx.ReadTimeout):
            impatient.post("/api/generators/first/sample", json={"seed": 77, "solve": False})
        time.sleep(0.3)
        sources["first"].go.set()
        first.join()
        wait_for(lambda: opened.get("/api/health").json()["queue"] == 0)
    assert sources["first"].calls == [[0]]


# Its own faults.


def test_a_fault_is_told_in_one_sentence_and_logged(caplog):
    class Broken:
        def sample_all(self, asks):
            raise RuntimeError("secret detail")

    with client(Catalogue({"broken": record("broken", Broken())})) as opened, caplog.at_level(logging.ERROR):
        response = opened.post("/api/generators/broken/sample", json={})
        refused(response, 500, "went wrong here")
        assert "secret" not in response.text
        assert response.headers["x-content-type-options"] == "nosniff"
        assert opened.get("/api/health").json()["queue"] == 0
    assert any("secret detail" in str(entry.exc_info[1]) for entry in caplog.records if entry.exc_info)


def test_a_designer_that_fails_in_the_middle_says_so(monkeypatch, caplog):
    from agents.builders import ClimberBuilder

    def fail(self):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(ClimberBuilder, "advance", fail)
    with client(Catalogue.of()) as opened:
        text = opened.post("/api/designers/binary-hill-climber/run", json={}).text
    assert text.count("event: error") == 1
    assert "secret" not in text
    assert "secret detail" in caplog.text


def test_one_request_that_cannot_be_done_does_not_spoil_the_others(tmp_path):
    """Requests of one batch fail each by itself."""

    class Picky(Blocked):
        def sample_all(self, asks):
            found = super().sample_all(asks)
            if any(ask.seed == 13 for ask in asks):
                raise UserError("Thirteen cannot be sampled.")
            return found

    source = Picky()
    with server(Catalogue({"picky": record("picky", source)}), Limits(workers=1)) as opened:
        answers = {}

        def ask(seed):
            answers[seed] = opened.post("/api/generators/picky/sample", json={"seed": seed, "solve": False})

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in (1, 12, 13, 14)]
        threads[0].start()
        assert source.begun.acquire(timeout=10)
        for thread in threads[1:]:
            thread.start()
        wait_for(lambda: opened.get("/api/health").json()["queue"] == 4)
        time.sleep(0.2)
        source.go.set()
        for thread in threads:
            thread.join()
        counted = opened.get("/metrics").text
    assert sorted(source.calls[1]) == [12, 13, 14]
    assert 'tilewright_levels_total{generator="picky"} 3.0' in counted
    refused(answers[13], 422, "Thirteen cannot be sampled")
    for seed in (12, 14):
        assert answers[seed].json()["levels"][0]["level"][0][0] == seed % 5


# What is served.


def test_models_are_read_from_run_folders_and_their_names_do_not_clash(tmp_path):
    runs = [save_generator(tmp_path / place / "mine" / "generator").parent for place in ("first", "second")]
    catalogue = Catalogue.of(runs)
    assert list(catalogue.generators)[:2] == ["mine", "mine-2"]
    assert catalogue.loaded == 0


def test_models_are_not_hidden_by_what_is_built_in(tmp_path, monkeypatch):
    monkeypatch.chdir(save_generator(tmp_path / "sokoban-markov"))
    catalogue = Catalogue.of([Path()], bundled=False)
    assert catalogue.generators["sokoban-markov"].family == "vae"
    assert catalogue.generators["sokoban-markov-2"].family == "markov"
    assert catalogue.generators["sokoban-markov-2"].name == "sokoban-markov-2"


def test_models_that_need_torch_are_left_out_without_it(tmp_path, monkeypatch, caplog):
    folder = save_generator(tmp_path / "tiny")
    assert Catalogue.of([folder], bundled=False).generators["tiny"].engine == "torch"
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(UserError, match="needs torch"):
        Catalogue.of([folder])
    monkeypatch.setattr(models, "BUNDLED_GENERATORS", tmp_path)
    assert "tiny" not in Catalogue.of().generators
    assert "tiny is not served: The model in" in caplog.text


def test_a_folder_without_a_model_is_refused_at_the_start(tmp_path):
    with pytest.raises(UserError, match="There is no folder"):
        Catalogue.of([tmp_path / "none"])
    with pytest.raises(UserError, match="holds no model"):
        Catalogue.of([tmp_path])
    (tmp_path / "config.json").write_text('{"kind": "sandwich"}')
    with pytest.raises(UserError, match="neither a generator nor a designer"):
        Catalogue.of([tmp_path])
    (tmp_path / "config.json").write_text('{"kind": "generator", "spec": {}}')
    with pytest.raises(UserError, match="cannot be used"):
        Catalogue.of([tmp_path])
    (tmp_path / "config.json").write_text('{"kind": "designer"}')
    with pytest.raises(UserError, match="is damaged"):
        Catalogue.of([tmp_path])
    (tmp_path / "config.json").write_text(
        '{"kind": "designer", "environment": {"problem": "a", "representation": "b"}}'
    )
    with pytest.raises(UserError, match=rf"{tmp_path}.*cannot be used: Unknown problem"):
        Catalogue.of([tmp_path])


@pytest.mark.parametrize("parameters", ['"many"', "null", "[1]", "1e999"])
def test_what_is_damaged_in_an_exported_model_is_refused_at_the_start(tmp_path, parameters):
    folder = tmp_path / "model"
    shutil.copytree(models.BUNDLED_GENERATORS / "sokoban-masked-lm" / "onnx", folder)
    (folder / "card.md").write_bytes(b"\xff")
    assert Catalogue.of([folder]).generators["model"].card == ""
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(re.sub(r'"parameters": \d+', f'"parameters": {parameters}', config))
    with pytest.raises(UserError, match="cannot be used"):
        Catalogue.of([folder])


def test_warming_up_uses_what_is_trained_and_can_be_stopped(monkeypatch):
    from service import warming

    problem = envs.get_problem("sokoban")
    monkeypatch.setattr(warming, "all_problems", lambda: {"sokoban": problem})
    source = Blocked()
    trained = dataclasses.replace(record("trained", source), engine="torch")
    catalogue = Catalogue({"trained": trained, "built": record("built", source)})
    warm = warming.Warming(catalogue, Limits())
    warm.start()
    assert source.begun.acquire(timeout=10)
    assert trained.source.loaded
    source.go.set()
    warm.join()
    assert source.calls == [[0]]
    # What cannot be loaded does not keep other problems' models cold.
    monkeypatch.setattr(warming, "all_problems", lambda: {"zelda": envs.get_problem("zelda"), "sokoban": problem})
    lost = models.Lazy(lambda: load_exported(Path("none")))
    broken = dataclasses.replace(trained, problem=envs.get_problem("zelda"), source=lost)
    warm = warming.Warming(Catalogue({"broken": broken, "trained": trained}), Limits())
    warm.start()
    warm.join()
    assert source.calls == [[0], [0]]
    stopped = warming.Warming(catalogue, Limits())
    stopped.stop()
    stopped.start()
    stopped.join()
    assert source.calls == [[0], [0]]


def test_a_model_that_cannot_be_loaded_is_a_fault_of_the_service(tmp_path, caplog):
    folder = save_generator(tmp_path / "spoilt")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"\xff" * 8)
    with client(Catalogue.of([folder])) as opened:
        response = opened.post("/api/generators/spoilt/sample", json={})
    refused(response, 500, "cannot be loaded")
    assert str(tmp_path) not in response.text
    assert str(tmp_path) in caplog.text


def test_samples_are_answered_with_what_there_is_when_the_time_is_up():
    class Empty:
        def sample_all(self, asks):
            time.sleep(0.1)
            return [np.zeros((ask.n, 5, 5), np.uint8) for ask in asks]

    catalogue = Catalogue({"empty": record("empty", Empty())})
    with client(catalogue, Limits(patience=0.05)) as opened:
        told = opened.post("/api/generators/empty/sample", json={"count": 2, "playable": True}).json()
    assert (told["levels"], told["tried"]) == ([], 2)
    assert any("0.05 seconds was up" in remark for remark in told["remarks"])


@pytest.mark.parametrize(
    "body", [b"[" * 15_000, b'{"level": [[' + b"9" * 5000 + b"]]}", b'{"level": NaN}', b"\xff\xfe", b""]
)
def test_hostile_bodies_are_refused(service, body):
    response = service.post(MEASURE, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"].endswith(".")
