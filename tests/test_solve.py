"""Solving many levels side by side: limits, order, failures, and searches that are stopped from outside."""

from __future__ import annotations

import _thread
import signal
import threading
import time

import numba
import numpy as np
import pytest

import envs
from envs import UserError
from envs.games.sokoban import SokobanRules
from envs.kernels.stop import NEVER, UNLIMITED, stopped
from envs.problems.sokoban import PROBLEM
from envs.rules import WON, Solution
from envs.solving import processors, solve_many
from tests.shapes import small
from tests.test_sokoban import random_levels

COMPILED = not numba.config.DISABLE_JIT
needs_compilation = pytest.mark.skipif(not COMPILED, reason="an interpreted search cannot be compared in speed")


def hall(size=16, crates=9):
    """A hall so wide that a shortest solution cannot be found in any time that a test has."""
    level = np.zeros((size, size), np.uint8)
    level[0, 0] = 2
    level[4, 3 : 3 + crates] = 3
    level[size - 3, 3 : 3 + crates] = 4
    return level


EASY = PROBLEM.parse(["@$.", "---"])
HOPELESS = PROBLEM.parse(["$--", "-@-", "--."])


@needs_compilation
def test_a_loop_that_writes_nothing_sees_the_flag():
    @numba.njit(nogil=True)
    def spin(stop):
        rounds = 0
        while stopped(stop) == 0:
            rounds += 1
        return rounds

    stop = np.ones(1, np.uint8)
    assert spin(stop) == 0
    stop[0] = 0
    rounds = []
    thread = threading.Thread(target=lambda: rounds.append(spin(stop)), daemon=True)
    thread.start()
    time.sleep(0.2)
    assert thread.is_alive()
    stop[0] = 1
    thread.join(20)
    assert not thread.is_alive()
    assert rounds[0] > 0


@pytest.mark.parametrize(
    ("name", "options"),
    [("zelda", {}), ("binary", {}), *(("sokoban", {"shortest": word}) for word in ("moves", "pushes", "any"))],
)
def test_every_solver_polls_the_flag(name, options):
    problem = envs.get_problem(name)
    rules = envs.get_rules(name)
    level = next(problem.parse(example.rows) for example in problem.examples if example.status == "solved")
    assert rules.solve(level, None, np.zeros(1, np.uint8), **options).solved
    assert rules.solve(level, UNLIMITED, **options).solved
    halted = rules.solve(level, None, np.ones(1, np.uint8), **options)
    assert halted.status == "unknown"
    assert len(halted.actions) == 0
    assert NEVER[0] == 0


@needs_compilation
@pytest.mark.parametrize("shortest", ["moves", "pushes"])
def test_a_search_under_way_is_stopped(shortest):
    rules, stop = SokobanRules(), np.zeros(1, np.uint8)
    rules.solve(EASY, 1, stop, shortest)
    state = rules.start(hall())
    timer = threading.Timer(1.0, lambda: stop.__setitem__(0, 1))
    timer.start()
    start = time.thread_time()
    solution = rules.solve_state(state, UNLIMITED, stop, shortest)
    took = time.thread_time() - start
    timer.join()
    assert solution.status == "unknown"
    assert solution.nodes > 0
    assert took < 2


@needs_compilation
@pytest.mark.parametrize("processor_time", [False, True])
def test_a_time_limit_holds_for_each_level(processor_time):
    if processor_time and not hasattr(time, "pthread_getcpuclockid"):
        pytest.skip("this system keeps no clock for each thread")
    levels = [EASY, hall(), HOPELESS, hall(12, 7), EASY]
    solutions = envs.solve("sokoban", levels, seconds=1, workers=2, processor_time=processor_time)
    assert [s.status for s in solutions] == ["solved", "unknown", "unsolvable", "unknown", "solved"]
    for number in (1, 3):
        assert 0.9 < solutions[number].seconds < 5
    for number in (0, 2, 4):
        assert 0 < solutions[number].seconds < 1
    # A time limit takes the budget's place; both together hold both.
    assert solutions[1].nodes > 100
    hasty = envs.solve("sokoban", levels[1], budget=10, seconds=5)[0]
    assert (hasty.status, hasty.nodes) == ("unknown", 10)


@needs_compilation
def test_any_solution_comes_in_no_time():
    solution = envs.solve("sokoban", hall(), seconds=5, shortest="any")[0]
    assert solution.solved
    rules = SokobanRules()
    state = rules.start(hall())
    for action in solution.actions:
        state = rules.step(state, int(action))
    assert rules.outcome(state) == WON


def test_the_number_of_workers_changes_nothing():
    levels = random_levels(40 if COMPILED else 6, seed=40)
    alone = envs.solve("sokoban", levels)
    for workers in (2, 5, None):
        together = envs.solve("sokoban", levels, workers=workers)
        assert [s.status for s in together] == [s.status for s in alone]
        assert [s.nodes for s in together] == [s.nodes for s in alone]
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one.actions, other.actions)
    assert {s.status for s in alone} == {"solved", "unsolvable"}
    assert all(s.seconds > 0 for s in alone)
    assert processors() >= 1


def test_levels_of_differing_shapes_keep_their_order():
    shapes = [(4, 4), (5, 5), (3, 7), (4, 4)]
    levels = [random_levels(1, seed=41 + i, shape=shape, most_crates=2)[0] for i, shape in enumerate(shapes)]
    apart = [envs.solve("sokoban", level)[0] for level in levels]
    for given in (levels, tuple(levels), [level.tolist() for level in levels]):
        solutions = envs.solve("sokoban", given, workers=3)
        assert [s.actions.tolist() for s in solutions] == [s.actions.tolist() for s in apart]
    assert envs.solve("sokoban", np.zeros((0, 4, 4), np.uint8)) == []
    assert len(envs.solve("sokoban", levels[0].tolist())) == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_is_told(workers):
    told = []
    envs.solve("sokoban", [EASY] * 7, workers=workers, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (7, 7)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert workers > 1 or len(told) == 7


@needs_compilation
def test_an_interrupt_ends_all_searches():
    envs.solve("sokoban", EASY)
    over = threading.Event()

    def interrupt():
        # Again and again: an interrupt that falls into a callback of the compiler or of the interpreter is lost.
        while not over.wait(0.4):
            _thread.interrupt_main()

    before = set(threading.enumerate())
    # Processes in the background of a shell ignore interrupts, and so would this one then.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    start = time.perf_counter()
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            envs.solve("sokoban", [hall()] * 6, seconds=60, workers=2)
    finally:
        over.set()
        thread.join()
        signal.signal(signal.SIGINT, handler)
    assert time.perf_counter() - start < 20
    assert set(threading.enumerate()) <= before


@needs_compilation
def test_an_error_in_progress_ends_all_searches():
    def progress(done, total):
        raise ZeroDivisionError

    start = time.perf_counter()
    with pytest.raises(ZeroDivisionError):
        envs.solve("sokoban", [EASY, hall()], seconds=60, workers=2, progress=progress)
    assert time.perf_counter() - start < 20


class Touchy(SokobanRules):
    """Rules whose solver fails at one level, and remembers its budgets."""

    def __init__(self, error):
        self.error = error
        self.budgets = []

    def solve(self, level, budget=None, stop=None, shortest="moves"):
        self.budgets.append(budget)
        if level.shape == (3, 3):
            raise self.error
        return Solution("unsolvable")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failure_names_the_level(workers):
    levels = [EASY, EASY, HOPELESS, EASY]
    with pytest.raises(RuntimeError, match="broken") as caught:
        solve_many(PROBLEM, Touchy(RuntimeError("broken")), levels, workers=workers)
    assert caught.value.__notes__ == ["This happened while level 2 was being solved."]
    with pytest.raises(UserError, match="Level 2: It will not do"):
        solve_many(PROBLEM, Touchy(UserError("It will not do.")), levels, workers=workers)


def test_what_is_compiled_first_does_not_count_as_time():
    rules = Touchy(RuntimeError())
    solve_many(PROBLEM, rules, [EASY], seconds=1)
    assert rules.budgets == [1, UNLIMITED]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0}, "seconds, the time for each level, must be a number above 0; got 0"),
        ({"seconds": "1"}, "must be a number above 0; got '1'"),
        ({"seconds": float("nan")}, "must be a number above 0; got nan"),
        ({"workers": 0}, "workers must be a whole number of at least 1 thread, or None; got 0"),
        ({"budget": 0}, "budget must be a whole number of at least 1 state; got 0"),
        ({"shortest": "anything"}, "^Unknown meaning of shortest 'anything': choose one of any, moves, pushes"),
        ({"depth": 3}, "has no option 'depth': its options are shortest"),
        ({"levels": [EASY, np.zeros((1, 3), np.uint8)]}, "Level 1: sokoban levels must be at least"),
        ({"levels": [EASY, np.full((4, 4), 7)]}, "Level 1: sokoban has tile ids 0 to 4"),
    ],
)
def test_slips_are_named(arguments, message):
    levels = arguments.pop("levels", EASY)
    with pytest.raises(UserError, match=message):
        envs.solve("sokoban", levels, **arguments)


@pytest.mark.parametrize("name", [name for name, problem in envs.all_problems().items() if problem.rules is not None])
def test_a_time_limit_is_a_limit_for_every_game(name):
    """Without a budget a search takes what memory it may, and no more."""
    problem = envs.get_problem(name)
    shape = small(name, 6, 7)
    uniforms = np.random.default_rng(0).random((3, 1 + int(np.prod(shape))))
    for level in problem.start_levels(uniforms, shape):
        found = envs.solve(name, level, seconds=0.2)[0]
        assert found.status in ("solved", "unsolvable", "unknown")
        if found.solved:
            assert envs.solve(name, level)[0].status in ("solved", "unknown")
