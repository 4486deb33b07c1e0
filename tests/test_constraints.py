"""Count tables: what may be placed next so that the rules can be kept to the end."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from envs import UserError
from envs.counts import CountRule, exactly, kept
from generators.constraints import CountTable

NAMES = ["floor", "player", "crate", "target"]
RULES = {
    "one player": exactly(1, "player"),
    "sokoban": (*exactly(1, "player"), CountRule({"crate": 1}, 1, 2), CountRule({"crate": 1, "target": -1}, 0, 0)),
    "at least": (CountRule({"crate": 1, "target": 1}, 2, np.inf),),
    "difference": (CountRule({"crate": 2, "target": -1}, -1, 1),),
    "none": (),
}


def completions(sequence, cells, rules):
    """Whether some way of filling the remaining cells keeps the rules: by trying all."""
    rest = cells - len(sequence)
    every = np.array([[*sequence, *tail] for tail in product(range(4), repeat=rest)], np.uint8)
    return bool(kept(rules, every.reshape(len(every), 1, cells), NAMES).any())


@pytest.mark.parametrize("name", RULES)
def test_allowed_is_what_can_be_completed(name):
    """All prefixes that can still be completed, of levels of up to five cells."""
    rules = RULES[name]
    table = CountTable(rules, NAMES)
    for cells in (3, 5):
        prefixes = [()]
        while prefixes and len(prefixes[0]) < cells:
            following = []
            for prefix in prefixes:
                counts = np.bincount(np.array(prefix, np.int64), minlength=4)[None]
                states = table.state_of(counts)
                if not completions(prefix, cells, rules):
                    continue
                allowed = table.allowed(states, cells - len(prefix))[0]
                for tile in range(4):
                    longer = (*prefix, tile)
                    assert allowed[tile] == completions(longer, cells, rules), (prefix, tile)
                    if allowed[tile]:
                        following.append(longer)
                    assert table.successors[states[0], tile] == table.state_of(
                        np.bincount(np.array(longer, np.int64), minlength=4)[None]
                    )
            prefixes = following[:: max(1, len(following) // 20)]


def test_random_writing_keeps_the_rules():
    rules = RULES["sokoban"]
    table = CountTable(rules, NAMES)
    random = np.random.default_rng(0)
    cells, lanes = 12, 300
    levels = np.zeros((lanes, cells), np.uint8)
    states = np.full(lanes, table.start)
    for i in range(cells):
        weights = random.random((lanes, 4)) * table.allowed(states, cells - i)
        levels[:, i] = weights.argmax(axis=1)
        states = table.successors[states, levels[:, i]]
    assert kept(rules, levels.reshape(lanes, 1, cells), NAMES).all()


def test_where_nothing_is_right_all_is_allowed():
    table = CountTable(exactly(1, "player"), NAMES)
    twice = table.state_of(np.array([[0, 2, 0, 0]]))
    assert table.allowed(twice, 3).all()


def test_too_much_is_refused():
    with pytest.raises(UserError, match="not counted"):
        CountTable(exactly(1, *NAMES), NAMES)
    wide = [CountRule({name: 1, "floor": -1}, 0, 500) for name in NAMES[1:]]
    names = [*NAMES, "wall"]
    with pytest.raises(UserError, match="states"):
        CountTable(wide, names)


def test_tiles_beyond_the_table_are_not_forgotten():
    """As many of one tile as of another: a value that was cut off would let a level end that is uneven."""
    table = CountTable((CountRule({"a": 1, "b": -1}, 0, 0),), ("empty", "a", "b"))
    random = np.random.default_rng(0)
    for _ in range(20):
        states = np.array([table.start])
        counts = np.zeros(3, int)
        for cell in range(60):
            allowed = table.allowed(states, 60 - cell)[0]
            # Tiles of the first kind wherever they may be, so that the value rises as far as it can.
            tile = 1 if allowed[1] and cell < 30 else int(random.choice(np.flatnonzero(allowed)))
            counts[tile] += 1
            states = table.successors[states, [tile]]
        assert counts[1] == counts[2] > 0
