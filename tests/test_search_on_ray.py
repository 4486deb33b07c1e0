"""Searches whose workers are on a Ray cluster: the same studies, whichever of the workers die."""

from __future__ import annotations

import os
import signal

import pytest

from agents.engines import Cluster
from envs import UserError
from search.studies import Limits
from search.trials import counted
from search.workers import begin_workers
from tests.searching import FakeSubject, HereWorkers, make_plan, make_search

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module", autouse=True)
def connected():
    """One Ray for all, with room for two workers."""
    from agents.rllib.connection import connect

    assert connect(Cluster(num_env_runners=2))
    yield
    ray.shutdown()


def test_a_worker_killed_on_a_cluster_loses_no_trial(tmp_path):
    log = tmp_path / "log"
    subject = FakeSubject(seconds=0.3, log=str(log))
    workers = begin_workers(subject, 2, "local")
    search = make_search(tmp_path / "study", subject, workers, limits=Limits(6, 0.0))
    killed = []

    def kill(standing):
        if not killed and log.exists():
            killed.append(int(log.read_text().split()[0]))
            os.kill(killed[0], signal.SIGKILL)

    try:
        search.run(kill)
    finally:
        workers.close()
    told = counted(search.records())
    assert len({record.number for record in told}) == len(told) == 6
    assert not {"waiting", "running", "failed"} & {record.state for record in told}
    assert [record.attempts for record in told].count(1) == 1
    assert {int(record.worker.split(":")[1]) for record in told}.isdisjoint({killed[0], os.getpid()})
    # What was trained whole came back over the line.
    for record in told:
        files = tmp_path / "study" / "trials" / f"{record.number:04d}" / "candidate" / "inner" / "weights"
        assert files.exists() == (record.state == "finished")


def test_one_worker_on_a_cluster_finds_what_a_process_finds(tmp_path):
    plan = make_plan(inherit=True)
    workers = begin_workers(FakeSubject(), 1, "local")
    try:
        there = make_search(tmp_path / "there", FakeSubject(), workers, trials=8, plan=plan)
        there.run()
    finally:
        workers.close()
    here = make_search(tmp_path / "here", FakeSubject(), HereWorkers(FakeSubject()), trials=8, plan=plan)
    here.run()
    facts = [[(one.number, one.state, one.settings, one.figures) for one in s.records()] for s in (there, here)]
    assert facts[0] == facts[1]


def test_clusters_that_are_too_small_are_named(tmp_path):
    with pytest.raises(UserError, match=r"500 workers need 500 processors"):
        begin_workers(FakeSubject(), 500, "local")
    with pytest.raises(UserError, match=r"GPUs"):
        begin_workers(FakeSubject(), 1, "local", gpus=64.0)
    with pytest.raises(UserError, match=r"--workers"):
        begin_workers(FakeSubject(), 0, "local")
