"""Many clients at once: everybody gets what they would get alone, and models are called for many together."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from service.limits import Limits
from service.models import Catalogue
from tests.serving import Blocked, record, save_generator, server, wait_for

#: What each of so many clients asks for: several want the same, most want something of their own.
CLIENTS = 32


def wanted(client):
    """Returns a client's request; clients 8 apart ask for the same."""
    kind = client % 8
    body = {"count": 1 + kind % 3, "seed": kind}
    if kind in (2, 5):
        body["targets"] = {"crate": 1 + kind % 2}
    if kind in (3, 5):
        body["fixed"] = [[1, None, None, None, None], *[[None] * 5 for _ in range(4)]]
    if kind == 7:
        body["playable"] = True
    return body


def told(response):
    """Returns what was answered, but for the time that it took."""
    assert response.status_code == 200, response.text
    answer = response.json()
    del answer["seconds"]
    return answer


def together(opened, path, bodies):
    """Sends requests at the same moment; returns the answers in the requests' order."""
    answers, barrier = [None] * len(bodies), threading.Barrier(len(bodies))

    def ask(number, body):
        barrier.wait()
        answers[number] = opened.post(path, json=body)

    threads = [threading.Thread(target=ask, args=entry) for entry in enumerate(bodies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("family", ["vae", "masked_lm", "tile_lm", "markov"])
def test_everybody_gets_what_they_would_get_alone(tmp_path, family):
    folder = save_generator(tmp_path / "tiny", family) if family != "markov" else None
    name = "tiny" if folder else "sokoban-markov"
    path = f"/api/generators/{name}/sample"
    bodies = [wanted(client) for client in range(CLIENTS)]
    if family == "markov":
        bodies = [{key: value for key, value in body.items() if key != "targets"} for body in bodies]
    with server(Catalogue.of([folder] if folder else [])) as opened:
        alone = [told(opened.post(path, json=body)) for body in bodies[:8]]
        for _ in range(2):
            crowd = [told(response) for response in together(opened, path, bodies)]
            for client, answer in enumerate(crowd):
                assert answer == alone[client % 8], bodies[client]
        metrics = opened.get("/metrics").text
    calls = float(metrics.split(f'tilewright_batch_requests_count{{generator="{name}"}} ')[1].split()[0])
    requests = float(metrics.split(f'tilewright_batch_requests_sum{{generator="{name}"}} ')[1].split()[0])
    assert requests >= 2 * CLIENTS + 8
    assert calls < requests / 2


def test_requests_that_wait_are_sampled_for_by_one_call():
    source = Blocked()
    with server(Catalogue({"one": record("one", source)}), Limits(workers=1, batch=6)) as opened:
        answers = {}

        def ask(seed):
            body = {"seed": seed, "count": 2, "solve": False}
            answers[seed] = opened.post("/api/generators/one/sample", json=body).json()

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
        threads[0].start()
        assert source.begun.acquire(timeout=10)
        for thread in threads[1:]:
            thread.start()
        wait_for(lambda: opened.get("/api/health").json()["queue"] == 8)
        source.go.set()
        for thread in threads:
            thread.join()
    assert [len(call) for call in source.calls] == [1, 3, 3, 1]
    assert Counter(seed for call in source.calls for seed in call) == Counter(range(8))
    for seed, answer in answers.items():
        levels = np.array([entry["level"] for entry in answer["levels"]])
        assert levels.shape == (2, 5, 5)
        assert (levels == seed % 5).all()


def test_designers_that_work_side_by_side_do_not_mix_up_their_draws():
    bodies = [{"seed": seed % 4, "every": 2} for seed in range(12)]
    with server(Catalogue.of(), Limits(workers=4)) as opened:
        path = "/api/designers/sokoban-wide/run"
        alone = [opened.post(path, json=body).text for body in bodies[:4]]
        crowd = [response.text for response in together(opened, path, bodies)]
    assert len(set(alone)) == 4
    assert crowd == alone * 3


def test_generators_do_not_wait_for_each_other():
    first, second = Blocked(), Blocked()
    second.go.set()
    catalogue = Catalogue({"first": record("first", first), "second": record("second", second)})
    with server(catalogue, Limits(workers=2)) as opened:
        thread = threading.Thread(
            target=opened.post, args=("/api/generators/first/sample",), kwargs={"json": {"solve": False}}
        )
        thread.start()
        assert first.begun.acquire(timeout=10)
        assert opened.post("/api/generators/second/sample", json={"solve": False}).status_code == 200
        first.go.set()
        thread.join()
