"""Studies: who goes on from a rung, what is told and picked, and that every trial is accounted for whatever dies."""

from __future__ import annotations

import contextlib
import itertools
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from optuna.trial import TrialState
from scipy import stats

from envs import UserError
from search.objectives import OBJECTIVES
from search.picking import confirmed, interval, pick
from search.ranking import LEAST_TRIALS, proxy_ranks, rank_correlation, trusted_proxy
from search.results import gather, summarise
from search.retraining import retrain
from search.rungs import Ladder, domination_ranks, goes_on, places
from search.storages import hidden, open_storage
from search.studies import SCREENED, Limits, Search
from search.trials import DEFAULT, TrialRecord, counted
from search.workers import Answer, Bench, Look, ProcessWorkers, Train
from tests.searching import FakeSubject, HereWorkers, constraints, make_plan, make_search, objectives

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch):
    """A study waits some twenty times a trial for the disk, which would be most of the time here."""
    monkeypatch.setattr(os, "fsync", lambda file: None)


def states(search):
    """How many trials of each state."""
    found = [record.state for record in search.records()]
    return {state: found.count(state) for state in set(found)}


def assert_accounted(search, trials):
    """Every architecture has been tried once: numbers are counted once, and nothing waits or runs."""
    told = counted(search.records())
    assert len(told) == trials
    assert len({record.number for record in told}) == trials
    assert not {"waiting", "running"} & {record.state for record in told}
    lost = [trial.number for trial in search.study.trials if trial.state == TrialState.FAIL]
    replaced = [trial.user_attrs["replaces"] for trial in search.study.trials if "replaces" in trial.user_attrs]
    assert sorted(lost) == sorted(replaced)


# Rungs.


def dominated_ranks(losses, violations):
    """The slow twin of `domination_ranks`."""
    ranks, left, rank = {}, [i for i in range(len(losses)) if violations[i] <= 0], 0

    def dominates(a, b):
        pairs = list(zip(losses[a], losses[b], strict=True))
        return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

    while left:
        front = [i for i in left if not any(dominates(j, i) for j in left)]
        ranks |= dict.fromkeys(front, rank)
        left = [i for i in left if i not in front]
        rank += 1
    for value in sorted({violation for violation in violations if violation > 0}):
        ranks |= {i: rank for i in range(len(losses)) if violations[i] == value}
        rank += 1
    return [ranks[i] for i in range(len(losses))]


few = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, (n, 3), elements=st.sampled_from([0.0, 1.0, 2.0, 3.0, np.inf])),
        arrays(np.float64, n, elements=st.sampled_from([0.0, 0.0, 0.5, 1.0])),
    )
)


@given(few)
def test_ranks_are_those_of_the_slow_twin(tables):
    losses, violations = tables
    assert domination_ranks(losses, violations).tolist() == dominated_ranks(losses, violations)


@given(few, st.integers(2, 4))
def test_the_best_of_those_that_came_go_on(tables, reduction):
    losses, violations = tables
    ranks = dominated_ranks(losses, violations)
    order = sorted(range(len(losses)), key=lambda i: (ranks[i], losses[i, 0], i))
    kept = set(order[: max(1, len(order) // reduction)])
    found = places(losses, violations)
    assert {i for i in range(len(losses)) if goes_on(int(found[i]), len(losses), reduction)} == kept


def test_a_guide_is_not_taken_in_by_chance(tmp_path):
    def best(guide):
        workers = HereWorkers(FakeSubject(chance=True))
        plan = make_plan(sampler="random", objectives=objectives("joint"), guide=guide)
        search = make_search(tmp_path / str(guide), workers=workers, trials=40, plan=plan)
        search.run()
        samples = [order.samples for order in workers.orders if isinstance(order, Train)]
        return search, samples

    plain, all_samples = best(None)
    guided, samples = best(OBJECTIVES["nats"])
    assert set(all_samples) == {400}
    assert set(samples) == {round(400 / 13), round(400 * 4 / 13), 400}
    assert guided.standing().best > plain.standing().best + 0.1
    for record in guided.records():
        if record.state == "finished" and record.origin != DEFAULT:
            earlier = [one for one in guided.records() if one.number < record.number and one.at(0)]
            better = sum(one.at(0)["nats"] < record.at(0)["nats"] for one in earlier)
            assert better < max(1, (len(earlier) + 1) // 3)


def test_a_ladder_shares_out_a_budget():
    ladder = Ladder("successive", 3, 3)
    assert [part.share for part in ladder.parts()] == pytest.approx([1 / 13, 3 / 13, 9 / 13])
    assert [part.rung for part in ladder.parts(1)] == [1, 2]
    for bracket in range(3):
        assert sum(part.share for part in Ladder("hyperband").parts(bracket)) == pytest.approx(1)
    assert [part.levels for part in Ladder(levels=(0.25, 0.5, 1.0)).parts(1)] == [0.5, 1.0]
    assert [part.share for part in Ladder("none").parts()] == [1]


def test_hyperbands_brackets_are_those_of_its_paper():
    # Li 2018, table 1: R = 81, eta = 3 begins 81, 34, 15, 8 and 5 trainings.
    assert Ladder("hyperband", 5, 3).brackets == (81, 34, 15, 8, 5)
    ladder = Ladder("hyperband", 3, 3)
    numbers = ladder.brackets
    dealt = [ladder.bracket(number) for number in range(2 * sum(numbers))]
    assert tuple(dealt.count(bracket) for bracket in range(3)) == tuple(2 * number for number in numbers)
    # Each comes soon.
    assert set(dealt[:5]) == {0, 1, 2}


@pytest.mark.parametrize(
    ("ladder", "words"),
    [
        (Ladder(rungs=0), ["--rungs", "0"]),
        (Ladder(reduction=1), ["--reduction", "1"]),
        (Ladder(levels=(0.5, 1.0)), ["--rung-levels", "3"]),
        (Ladder(levels=(0.5, 0.4, 1.0)), ["rising"]),
        (Ladder(levels=(0.0, 0.4, 1.0)), ["above 0"]),
    ],
)
def test_ladders_that_cannot_be(ladder, words):
    with pytest.raises(UserError) as raised:
        ladder.check()
    assert all(word in str(raised.value) for word in words)


# Searching.


def oracle(records, plan):
    """Goes through the trials of one worker in their order, and says who was stopped where, the slow way."""
    here = {rung: [] for rung in range(3)}
    stopped = {}
    for record in records:
        for rung, known in enumerate(record.rungs):
            figures = record.costs | known["figures"]
            here[rung].append((record.number, [one.loss(figures[one.name]) for one in plan.objectives]))
            if rung == 2 or record.origin == "default":
                continue
            losses = [row for _, row in here[rung]]
            ranks = dominated_ranks(np.array(losses), [0.0] * len(losses))
            order = sorted(range(len(losses)), key=lambda i: (ranks[i], losses[i][0], i))
            if order.index(len(losses) - 1) >= max(1, len(losses) // 3):
                stopped[record.number] = rung
                break
    return stopped


def test_trials_are_stopped_as_the_oracle_says(tmp_path):
    plan = make_plan(sampler="random")
    search = make_search(tmp_path, trials=25, plan=plan)
    search.run()
    records = counted(search.records())
    stopped = oracle(records, plan)
    assert {record.number: len(record.rungs) - 1 for record in records if record.state == "stopped"} == stopped
    assert 3 < len(stopped) < 24
    assert {len(record.rungs) for record in records} == {1, 2, 3}
    # Those that were trained whole had the whole budget, in parts.
    whole = next(record.number for record in records if record.state == "finished")
    steps = [order.steps for order in search.workers.orders if isinstance(order, Train) and order.number == whole]
    assert steps == [10, 30, 90]


@pytest.mark.parametrize("sampler", ["nsga2", "nsga3", "tpe", "random"])
def test_the_default_is_first_and_never_stopped(tmp_path, sampler):
    # A default that everything else beats.
    search = make_search(
        tmp_path,
        trials=20,
        plan=make_plan(sampler=sampler),
        default={"model": {"width": 4, "rate": 0.0, "kind": "plain"}},
    )
    search.run()
    first = search.records()[0]
    assert (first.number, first.origin, first.state, len(first.rungs)) == (0, "default", "finished", 3)
    assert first.settings["model"]["width"] == 4
    assert [record.origin for record in search.records()].count("default") == 1
    assert_accounted(search, 20)
    # What Optuna takes for the best are the trials on our front, and their copies.
    best = {trial.user_attrs.get("copy_of", trial.number) for trial in search.study.best_trials}
    assert best == set(gather(search.records(), search.plan, 0.0)["front"])


def test_samplers_learn_from_stopped_trials(tmp_path):
    search = make_search(tmp_path, trials=30, plan=make_plan(sampler="nsga2"))
    search.run()
    generations = {
        trial.system_attrs["NSGAIISampler:generation"]
        for trial in search.study.trials
        if "NSGAIISampler:generation" in trial.system_attrs
    }
    # Of six each, stopped ones and copies among them.
    assert max(generations) >= 4
    # A parent that was stopped comes after all that were trained whole.
    wholes = [trial.constraints["trained whole"] for trial in search.study.trials]
    by_state = {
        state: [whole for whole, record in zip(wholes, search.records(), strict=True) if record.state == state]
        for state in ("finished", "stopped")
    }
    assert set(by_state["finished"]) == {0.0}
    assert min(by_state["stopped"]) > 1
    early = [
        whole
        for whole, record in zip(wholes, search.records(), strict=True)
        if record.state == "stopped" and len(record.rungs) == 1
    ]
    late = [
        whole
        for whole, record in zip(wholes, search.records(), strict=True)
        if record.state == "stopped" and len(record.rungs) == 2
    ]
    assert min(early) > max(late)


def test_equal_seeds_give_equal_searches_and_resumed_ones_go_on_likewise(tmp_path):
    def settings(search):
        return [record.settings for record in search.records()]

    whole = make_search(tmp_path / "whole", trials=16)
    whole.run()
    again = make_search(tmp_path / "again", trials=16)
    again.run()
    other = make_search(tmp_path / "other", trials=16, plan=make_plan(seed=1))
    other.run()
    assert settings(whole) == settings(again) != settings(other)
    begun = make_search(tmp_path / "begun", limits=Limits(7, 0.0))
    begun.run()
    # A generation's size is of the trials that the search has in all.
    resumed = make_search(tmp_path / "begun", limits=Limits(7, 0.0))
    assert resumed.run() is None
    assert settings(resumed) == settings(begun)
    assert_accounted(resumed, 7)


def test_constraints_are_kept_and_what_breaks_them_beforehand_is_not_trained(tmp_path):
    plan = make_plan(constraints=constraints("parameters <= 300", "joint >= 0.1"), sampler="random")
    search = make_search(tmp_path, trials=30, plan=plan)
    search.run()
    records = counted(search.records())
    refused = [record for record in records if record.state == "refused"]
    assert refused
    for record in records:
        assert (record.state == "refused") == (record.costs["parameters"] > 300)
    assert not any(record.rungs for record in refused)
    trained = {order.number for order in search.workers.orders if isinstance(order, Train)}
    assert not trained & {record.number for record in refused}
    result = gather(search.records(), plan, 0.0)
    known = {trial["number"]: trial for trial in result["trials"]}
    assert result["front"]
    for number in result["front"]:
        assert known[number]["figures"]["parameters"] <= 300
        assert known[number]["figures"]["joint"] >= 0.1
    frozen = search.study.trials[refused[0].trial]
    assert frozen.constraints["parameters <= 300"] > 0
    assert_accounted(search, 30)


def test_what_cannot_be_measured_keeps_no_constraint(tmp_path):
    plan = make_plan(constraints=constraints("memory <= 2"))
    with pytest.raises(UserError, match="memory could not be measured"):
        make_search(tmp_path, plan=plan).run()


def test_a_pick_must_hold_once_it_is_trained_anew():
    def summary(joint, time):
        runs = [{"figures": {"joint": value, "milliseconds": time}} for value in (joint - 0.01, joint, joint + 0.01)]
        return summarise({"it": runs}, 500)["it"]

    chosen, (bound,) = objectives("joint", "milliseconds"), constraints("milliseconds <= 5")
    default = summary(0.5, 4.0)
    assert confirmed(summary(0.7, 4.0), default, chosen)
    assert confirmed(summary(0.5, 2.0), default, chosen)
    assert not confirmed(summary(0.5, 3.0), default, chosen)
    # More cost is no matter where none was searched for.
    assert not confirmed(summary(0.7, 6.0), default, chosen)
    assert confirmed(summary(0.7, 6.0), default, objectives("joint"))
    assert not confirmed(summary(0.3, 1.0), default, chosen)
    assert confirmed(summary(0.7, 4.0), default, chosen, (bound,))
    assert not confirmed(summary(0.7, 6.0), default, objectives("joint"), (bound,))
    # Wilson's interval is of levels that count one by one.
    shares = [{"figures": {"joint": 0.5, "diversity": 0.5}}] * 2
    told = summarise({"it": shares}, 500)["it"]
    assert "levels_low" in told["joint"]
    assert "levels_low" not in told["diversity"]
    # A quality that some seed does not have is not its mean over the others.
    runs = [{"figures": {"joint": 0.9, "milliseconds": 1.0}}, {"figures": {"milliseconds": 1.0}}]
    assert not confirmed(summarise({"it": runs}, 500)["it"], default, chosen)


def test_a_default_that_breaks_a_constraint_is_trained_all_the_same(tmp_path):
    plan = make_plan(constraints=constraints("parameters <= 100"), sampler="random")
    search = make_search(tmp_path, trials=20, plan=plan)
    search.run()
    default = search.records()[0]
    assert (default.state, default.feasible) == ("finished", False)
    chosen = pick(search.records(), plan.objectives, plan.samples)
    assert chosen.number not in (0, None)
    assert "breaks a constraint" in chosen.reason


def test_nothing_feasible_gives_no_pick(tmp_path):
    plan = make_plan(constraints=constraints("joint >= 2"))
    search = make_search(tmp_path, trials=5, plan=plan)
    search.run()
    chosen = pick(search.records(), plan.objectives, plan.samples)
    assert chosen.number is None
    assert "widen" in chosen.reason


def test_rungs_take_shares_of_the_corpus(tmp_path):
    plan = make_plan(ladder=Ladder(levels=(0.25, 0.5, 1.0)))
    search = make_search(tmp_path, trials=6, plan=plan)
    search.run()
    shares = [order.levels_share for order in search.workers.orders if isinstance(order, Train) and order.number == 0]
    assert shares == [0.25, 0.5, 1.0]


def test_hyperband_compares_within_a_bracket(tmp_path):
    search = make_search(tmp_path, trials=34, plan=make_plan(ladder=Ladder("hyperband"), sampler="random"))
    search.run()
    records = counted(search.records())
    assert {record.bracket for record in records} == {0, 1, 2}
    for record in records:
        assert record.rungs[0]["rung"] == record.bracket
    # Those that begin at the top are trained whole at once.
    assert {record.state for record in records if record.bracket == 2} == {"finished"}
    for bracket in (0, 1):
        mine = [record for record in records if record.bracket == bracket]
        came = [record for record in mine if record.at(bracket + 1)]
        assert 0 < len(came) < len(mine)
    assert_accounted(search, 34)


def test_other_architectures_can_be_tried_first(tmp_path):
    wide = {"model": {"width": 48, "rate": 0.5, "kind": "gated"}}
    default = FakeSubject().default()
    search = make_search(tmp_path, trials=5, wanted=[("preset wide", wide), ("preset same", default)])
    search.run()
    assert [record.origin for record in search.records()][:3] == ["default", "preset wide", ""]
    assert search.records()[1].settings == wide
    with pytest.raises(UserError, match="width"):
        make_search(tmp_path / "other", wanted=[("preset", {"model": {"width": 1000}})])


@pytest.mark.parametrize("number", [1, 2])
def test_settings_that_were_tried_are_told_at_once(tmp_path, number):
    # So few that all are tried soon.
    subject = FakeSubject()
    space = subject.space()
    kinds = space.parts["model"]["kind"]
    narrow = replace(space, parts={"model": {"kind": kinds}})
    (tmp_path / "few").mkdir()
    workers = HereWorkers(subject, number)
    search = Search(narrow, make_plan(), Limits(30, 0.0), workers, tmp_path / "few")
    search.run()
    assert states(search)["copy"] > 5
    assert len(counted(search.records())) == 2
    trained = [order.settings["model"]["kind"] for order in workers.orders if isinstance(order, Look)]
    assert sorted(trained) == ["gated", "plain"]
    by_settings = {}
    for trial in search.study.get_trials(states=(TrialState.COMPLETE,)):
        by_settings.setdefault(json.dumps(trial.user_attrs["settings"]), set()).add(tuple(trial.values))
    assert all(len(values) == 1 for values in by_settings.values())


def test_what_was_lost_is_tried_again_where_nothing_else_is_left(tmp_path):
    subject = FakeSubject()
    space = subject.space()
    narrow = replace(space, parts={"model": {"kind": space.parts["model"]["kind"]}})
    workers = HereWorkers(subject, 2)
    search = Search(narrow, make_plan(), Limits(30, 0.0), workers, tmp_path)
    heard, dead = workers.answers, []

    def answers(seconds):
        # Whoever comes to train the second trial, once all others were suggested, dies once.
        if search._exhausted and not dead:
            dead.append(workers.waiting.popitem())
            return [(dead[0][0], None, "its process was ended by SIGKILL")]
        return heard(seconds)

    workers.answers = answers
    search.run()
    assert dead
    assert_accounted(search, 2)
    assert {record.state for record in counted(search.records())} == {"finished"}


def test_time_ends_a_search_but_not_the_default(tmp_path):
    search = make_search(tmp_path, workers=HereWorkers(FakeSubject(), 2), limits=Limits(50, 1e-9))
    search.run()
    records = counted(search.records())
    assert records[0].state == "finished"
    assert len(records) <= 2
    resumed = make_search(tmp_path, limits=Limits(6, 0.0))
    # The time before counts.
    assert resumed.seconds > 0
    resumed.run()
    assert_accounted(resumed, 6)


def test_weights_are_inherited_from_the_nearest(tmp_path):
    search = make_search(tmp_path, trials=12, plan=make_plan(inherit=True, sampler="random"))
    search.run()
    records = {record.number: record for record in counted(search.records())}
    orders = {order.number: order for order in search.workers.orders if isinstance(order, Train) and order.first}
    assert orders[0].parent is None
    assert not records[0].inherited
    for number, record in records.items():
        if number == 0:
            continue
        assert record.inherited["share"] == 0.5
        parent = records[record.inherited["from"]]
        assert orders[number].parent["width"][0] == parent.settings["model"]["width"]

        def apart(other, record=record):
            widths = [np.log(one.settings["model"]["width"]) for one in (record, other)]
            rates = [one.settings["model"]["rate"] for one in (record, other)]
            kinds = [one.settings["model"]["kind"] for one in (record, other)]
            return abs(np.diff(widths)[0]) / np.log(16) + abs(np.diff(rates)[0]) + (kinds[0] != kinds[1])

        before = [other for other in records.values() if other.number < number]
        assert apart(parent) == pytest.approx(min(apart(other) for other in before))


# Proxies.


def test_rank_correlations_and_their_intervals():
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        pairs = random.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 40)
        found = rank_correlation(pairs[:, 0], pairs[:, 1])
        assert found.mean == pytest.approx(stats.spearmanr(pairs[:, 0], pairs[:, 1]).statistic)
        # Spearman's of a normal pair with correlation 0.6.
        covered += found.low < 6 / np.pi * np.arcsin(0.3) < found.high
    assert 0.9 < covered / 300 < 0.99
    assert np.isnan(rank_correlation([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]).mean)
    assert rank_correlation([1, 2, 3], [1, 2, 3]).low == -1


@pytest.mark.parametrize("order", [True, False])
def test_proxies_choose_only_once_they_rank(tmp_path, order):
    subject = FakeSubject(order=order)
    plan = make_plan(proxies="screen", sampler="random")
    search = make_search(tmp_path, subject, trials=40, plan=plan)
    search.run()
    ranks = proxy_ranks(search.records(), plan.ranked)
    assert (trusted_proxy(ranks) == "told") == order
    assert "silent" not in ranks
    aside = [record for record in search.records() if record.state == "screened"]
    assert_accounted(search, 40)
    if not order:
        # A proxy that ranks the wrong way round is not used either.
        assert not aside
        assert ranks["told"][0]["high"] < 0
        return
    assert ranks["told"][0]["correlation"] > 0.9
    tried = counted(search.records())
    assert min(record.trial for record in aside) > LEAST_TRIALS - SCREENED
    before = [record.proxies["told"] for record in tried if record.trial < LEAST_TRIALS]
    after = [record.proxies["told"] for record in tried if record.trial > LEAST_TRIALS + SCREENED]
    assert np.mean(after) > np.mean(before) + 0.1
    # Whoever was chosen was the best of those beside it.
    assert not any(record.rungs for record in aside)


def test_proxies_that_are_off_are_not_measured(tmp_path):
    search = make_search(tmp_path, trials=3, plan=make_plan(proxies="off"))
    search.run()
    assert not any(record.proxies for record in search.records())


# Picking.


def made(number, joint, cost, state="finished", origin="", excess=None):
    rungs = [{"rung": 2, "share": 1.0, "seconds": 1.0, "figures": {"joint": joint, "diversity": joint}}]
    return TrialRecord(
        number,
        number,
        state,
        origin or ("default" if number == 0 else ""),
        costs={"milliseconds": cost},
        rungs=rungs,
        excess=excess or {},
    )


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        # Beyond the intervals, at no more cost; measured times differ by a few hundredths.
        ([(0.3, 2.0), (0.6, 2.05)], 1),
        ([(0.3, 2.0), (0.6, 9.0)], 0),
        # Within them at more cost or not much less, or far below at much less: the default stays.
        ([(0.3, 2.0), (0.34, 2.1)], 0),
        ([(0.3, 2.0), (0.34, 1.5)], 0),
        ([(0.3, 2.0), (0.1, 0.1)], 0),
        # Equal at half the cost.
        ([(0.3, 2.0), (0.28, 1.0)], 1),
        # The best of those that beat it, the cheaper of equals.
        ([(0.3, 2.0), (0.5, 1.0), (0.6, 2.0), (0.58, 0.5)], 2),
        ([(0.3, 2.0), (0.6, 2.0), (0.6, 1.0)], 2),
        # Better goes before cheaper.
        ([(0.3, 2.0), (0.31, 0.1), (0.5, 2.0)], 2),
        ([(0.3, 2.0)], 0),
    ],
)
def test_picks_by_the_rule(trials, expected):
    records = [made(number, joint, cost) for number, (joint, cost) in enumerate(trials)]
    for order in itertools.islice(itertools.permutations(records), 6):
        assert pick(order, objectives(), 400).number == expected


def test_only_whole_and_feasible_trials_are_picked():
    records = [made(0, 0.3, 2.0), made(1, 0.9, 1.0, "stopped"), made(2, 0.9, 1.0, excess={"parameters <= 1": 0.5})]
    assert pick(records, objectives(), 400).number == 0
    assert pick([*records, made(3, 0.8, 1.0)], objectives(), 400).number == 3


def test_intervals_of_shares():
    found = interval(0.0, 200)
    assert found.low == 0
    assert 0.01 < found.high < 0.03
    assert interval(0.5, 200).high == pytest.approx(0.5 + 1.96 * np.sqrt(0.25 / 204), abs=2e-3)


# Whatever dies.


def spawned(folder, subject, number=1, **options):
    workers = ProcessWorkers(Bench(subject), number)
    return make_search(folder, subject, workers, **options), workers


def test_a_worker_killed_in_training_loses_no_trial(tmp_path):
    log = tmp_path / "log"
    subject = FakeSubject(seconds=0.3, log=str(log))
    search, workers = spawned(tmp_path / "study", subject, 2, trials=5, plan=make_plan(ladder=Ladder(rungs=2)))
    killed = []

    def kill(standing):
        if not killed and log.exists():
            killed.append(int(log.read_text().split()[0]))
            os.kill(killed[0], signal.SIGKILL)

    try:
        search.run(kill)
    finally:
        workers.close()
    assert killed
    assert states(search)["lost"] == 1
    assert_accounted(search, 5)
    record = next(record for record in counted(search.records()) if record.attempts)
    lost = next(trial for trial in search.study.trials if trial.state == TrialState.FAIL)
    assert (record.attempts, record.number, record.settings) == (1, lost.number, lost.user_attrs["settings"])
    assert search.study.trials[record.trial].params == lost.params
    assert f":{killed[0]}" not in record.worker


def test_a_candidate_that_kills_its_workers_ends_as_a_bad_trial(tmp_path):
    poison = {"model": {"width": 64, "rate": 0.5, "kind": "plain"}}
    search, workers = spawned(
        tmp_path, FakeSubject(deadly=64), trials=3, wanted=[("preset", poison)], limits=Limits(3, 0.0, retries=1)
    )
    try:
        search.run()
    finally:
        workers.close()
    assert_accounted(search, 3)
    (record,) = (record for record in counted(search.records()) if record.state == "failed")
    assert (record.number, record.attempts, record.settings) == (1, 2, poison)
    assert "SIGKILL" in record.error
    assert states(search)["lost"] == 2
    trial = search.study.trials[record.trial]
    assert trial.state == TrialState.COMPLETE
    assert trial.constraints["trained whole"] == 4
    assert pick(search.records(), search.plan.objectives, 400).number != 1


def test_a_default_that_cannot_be_tried_ends_the_search(tmp_path):
    with pytest.raises(UserError, match=r"default.*too wide"):
        make_search(tmp_path / "a", FakeSubject(broken=10)).run()
    search, workers = spawned(tmp_path / "b", FakeSubject(deadly=10), limits=Limits(3, 0.0, retries=0))
    try:
        with pytest.raises(UserError, match=r"default.*SIGKILL"):
            search.run()
    finally:
        workers.close()


def test_candidates_that_cannot_be_trained_are_told_as_bad(tmp_path):
    search = make_search(tmp_path, FakeSubject(broken=20), trials=15, plan=make_plan(sampler="random"))
    search.run()
    failed = [record for record in counted(search.records()) if record.state == "failed"]
    assert failed
    assert {record.error for record in failed} == {"It is too wide."}
    assert all(record.settings["model"]["width"] >= 20 for record in failed)
    assert_accounted(search, 15)


def test_a_program_that_fails_again_and_again_stops_the_search(tmp_path, monkeypatch):
    search = make_search(tmp_path, trials=15)
    whole = Bench.__call__

    def fail(bench, order):
        return whole(bench, order) if order.number == 0 else Answer(error="KeyError: 'x'", fault="program")

    monkeypatch.setattr(Bench, "__call__", fail)
    with pytest.raises(UserError, match="3 trials in succession"):
        search.run()
    assert states(search) == {"finished": 1, "failed": 3}


def test_a_system_that_fails_leaves_its_trial_in_line(tmp_path, monkeypatch):
    search = make_search(tmp_path, trials=5)
    whole = Bench.__call__

    def fail(bench, order):
        if order.number == 2 and isinstance(order, Train):
            return Answer(error="No space left on device", fault="system")
        return whole(bench, order)

    monkeypatch.setattr(Bench, "__call__", fail)
    with pytest.raises(UserError, match="No space left"):
        search.run()
    monkeypatch.undo()
    assert states(search)["waiting"] == 1
    resumed = make_search(tmp_path, trials=5)
    resumed.run()
    assert_accounted(resumed, 5)
    assert max(record.attempts for record in resumed.records()) == 0


# Forked, as they have nothing to import then.
FORK = multiprocessing.get_context("fork")


def drive(folder, url, name, barrier):
    subject = FakeSubject(seconds=0.05, log=str(folder / f"log{name}"))
    barrier.wait()
    make_search(folder, subject, url=url, limits=Limits(6, 0.0)).run()
    os._exit(0)


@pytest.mark.parametrize("kept", ["journal", "sqlite"])
def test_two_that_create_a_study_at_once_share_it(tmp_path, kept):
    folder = tmp_path / "study"
    folder.mkdir()
    url = f"sqlite:///{tmp_path / 'study.db'}" if kept == "sqlite" else ""
    barrier = FORK.Barrier(2)
    both = [FORK.Process(target=drive, args=(folder, url, name, barrier)) for name in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    search = make_search(folder, url=url, limits=Limits(6, 0.0))
    assert_accounted(search, 6)
    assert [record.origin for record in search.records()].count("default") == 1
    # Both have trained.
    assert all((folder / f"log{i}").exists() for i in range(2))
    assert len({json.dumps(record.settings) for record in counted(search.records())}) == 6


def create(url, folder, barrier):
    barrier.wait()
    search = make_search(folder, url=url)
    os._exit(0 if len(search.study.trials) == 1 else 1)


def test_many_that_create_a_fresh_sqlite_at_once(tmp_path):
    for attempt in range(3):
        barrier = FORK.Barrier(4)
        folder = tmp_path / str(attempt)
        folder.mkdir()
        arguments = (f"sqlite:///{folder / 'study.db'}", folder, barrier)
        all_of_them = [FORK.Process(target=create, args=arguments) for _ in range(4)]
        for process in all_of_them:
            process.start()
        for process in all_of_them:
            process.join(60)
        assert [process.exitcode for process in all_of_them] == [0] * 4


DRIVER = """
import sys
from pathlib import Path
from search.studies import Limits
from search.workers import Bench, ProcessWorkers
from tests.searching import FakeSubject, make_search

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    subject = FakeSubject(seconds=0.2, log=str(folder / "log"))
    make_search(folder, subject, ProcessWorkers(Bench(subject), 1), limits=Limits(50, 0.0)).run()
"""


def test_a_driver_that_was_killed_is_resumed(tmp_path):
    folder = tmp_path / "study"
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, str(script), str(folder)], cwd=ROOT, env=environment)
    log = folder / "log"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and len(log.read_text().splitlines()) > 5):
        time.sleep(0.05)
    worker = int(log.read_text().split()[0])
    process.kill()
    process.communicate()
    # Its worker ends with it.
    while time.monotonic() < deadline and Path(f"/proc/{worker}").exists():
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
    storage = open_storage("", folder)
    begun = optuna.load_study(study_name="search", storage=storage).trials
    assert [trial.state for trial in begun].count(TrialState.RUNNING) == 1
    # A line that was cut short is left out.
    with (folder / "journal.log").open("ab") as file:
        file.write(b'{"op_code": 5, "worker')
    search = make_search(folder, limits=Limits(9, 0.0))
    search.run()
    assert_accounted(search, 9)
    assert states(search)["lost"] == 1
    assert max(record.attempts for record in search.records()) == 0


def test_stale_heartbeats_in_a_database_are_replaced(tmp_path, monkeypatch):
    from search import studies

    # Of another machine's processes only the heartbeat tells.
    monkeypatch.setattr(studies, "is_gone", lambda owner: False)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    search = make_search(tmp_path, url=url, trials=3)
    assert search._begin(0)
    other = make_search(tmp_path, url=url, trials=3)
    assert states(other) == {"running": 1}
    with contextlib.closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')")
    other.run()
    assert_accounted(other, 3)
    assert states(other)["lost"] == 1
    # Whoever was taken for dead hears of it, and lets go.
    search._hear(0, search.workers.answers(0)[0][1], "")
    assert not search._slots
    assert_accounted(other, 3)


def test_a_living_drivers_trials_are_left_alone(tmp_path):
    search = make_search(tmp_path, trials=3)
    assert search._begin(0)
    other = make_search(tmp_path, trials=3)
    other.run()
    assert states(other)["running"] == 1
    assert len(counted(other.records())) == 3


# Storages.


def test_a_study_is_joined_with_the_same_plan_only(tmp_path):
    make_search(tmp_path).run()
    with pytest.raises(UserError, match=r"steps 130, not 260"):
        make_search(tmp_path, plan=make_plan(steps=260))
    with pytest.raises(UserError, match="objectives"):
        make_search(tmp_path, plan=make_plan(objectives=objectives("joint", "parameters")))
    with pytest.raises(UserError, match=r"corpus_levels None, not 50"):
        make_search(tmp_path, about={"corpus_levels": 50})


@pytest.mark.parametrize("content", [b"nonsense\n", b'{"op_code": 0}\n', b"\xff\xfe\n{}\n"])
def test_a_damaged_journal_is_told_in_one_sentence(tmp_path, content):
    (tmp_path / "journal.log").write_bytes(content)
    with pytest.raises(UserError, match=r"journal.log is damaged"):
        make_search(tmp_path)


def test_a_full_disk_is_told_in_one_sentence(tmp_path):
    search = make_search(tmp_path, trials=5)
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from tests.searching import make_search\n"
        "from envs import UserError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "search = make_search(folder, trials=5)\n"
        "size = (folder / 'journal.log').stat().st_size + 900\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))\n"
        "try:\n    search.run()\nexcept UserError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "too large" in done.stdout, done.stderr
    assert "--resume" in done.stdout
    search = make_search(tmp_path, trials=5)
    search.run()
    assert_accounted(search, 5)


def test_passwords_are_never_shown(tmp_path):
    url = "postgresql://me:secret@127.0.0.1:1/db?password=secret"
    assert hidden("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"
    for wrong in (url, "postgresql+psycopg2://me:secret@127.0.0.1:1/db", "nonsense:secret", "sqlite:////nowhere/x.db"):
        with pytest.raises(UserError) as raised:
            make_search(tmp_path, url=wrong)
        assert "secret" not in str(raised.value)
        assert "\n" not in str(raised.value)


# Workers.


def test_processes_end_with_their_orders_and_by_order(tmp_path):
    workers = ProcessWorkers(Bench(FakeSubject(seconds=60)), 1)
    settings = FakeSubject().default()
    workers.give(0, Look(0, settings, 0, True))
    ((_, answer, _),) = workers.answers(60)
    assert answer.costs["parameters"] == 256
    process = int(answer.worker.split(":")[1])
    assert process != os.getpid()
    workers.give(0, Train(0, settings, 0, True, 0, 10, 1.0, 50, 0))
    assert workers.idle() == []
    assert workers.answers(0.2) == []
    threading.Timer(0.3, os.kill, (process, signal.SIGTERM)).start()
    ((_, answer, reason),) = workers.answers(60)
    assert answer is None
    assert "SIGTERM" in reason
    assert workers.idle() == [0]
    # Another takes its place, and has nothing in hand.
    workers.give(0, Train(0, settings, 0, False, 0, 10, 1.0, 50, 0))
    ((_, answer, _),) = workers.answers(60)
    assert answer.fault == "worker"
    workers.close()
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("number", [0, 10_000])
def test_numbers_of_workers_that_cannot_be(number):
    with pytest.raises(UserError, match="--workers"):
        ProcessWorkers(Bench(FakeSubject()), number)


# Training anew.


def test_training_anew_is_resumed_and_summarised(tmp_path):
    subject = FakeSubject()
    workers = HereWorkers(subject, 2)
    contenders = {"default": subject.default(), "pick": {"model": {"width": 32, "rate": 0.6, "kind": "gated"}}}
    told = []
    found = retrain(
        workers, make_plan(seed=5), contenders, 3, 100, tmp_path, lambda done, total: told.append((done, total))
    )
    assert told[-1] == (6, 6)
    assert [run["seed"] for run in found["pick"]] == [6, 7, 8]
    assert all(order.steps == 130 and order.first for order in workers.orders)
    assert (tmp_path / found["pick"][0]["folder"] / "candidate" / "inner" / "weights").exists()
    before = len(workers.orders)
    assert retrain(workers, make_plan(seed=5), contenders, 3, 100, tmp_path) == found
    assert len(workers.orders) == before
    contenders["pick"]["model"]["width"] = 33
    retrain(workers, make_plan(seed=5), contenders, 3, 100, tmp_path)
    assert len(workers.orders) == before + 3
    summary = summarise(
        {"pick": [{"figures": {"joint": value, "milliseconds": 2.0}} for value in (0.4, 0.5, 0.6)]}, 100
    )
    expected = stats.t.interval(0.95, 2, 0.5, 0.1 / np.sqrt(3))
    assert (summary["pick"]["joint"]["low"], summary["pick"]["joint"]["high"]) == pytest.approx(expected)
    assert summary["pick"]["joint"]["levels_low"] == pytest.approx(interval(0.5, 300).low)
    assert summary["pick"]["milliseconds"]["mean"] == 2


def test_what_a_search_leaves_is_plain(tmp_path):
    search = make_search(tmp_path, trials=12)
    search.run()
    result = gather(search.records(), search.plan, search.seconds)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    for trial in result["trials"]:
        folder = tmp_path / "trials" / f"{trial['number']:04d}"
        assert json.loads((folder / "trial.json").read_text())["settings"] == trial["settings"]
        assert (folder / "candidate" / "inner" / "weights").exists() == (trial["state"] == "finished")
    assert sum(result["states"].values()) == len(result["trials"]) + len(result["beside"])
