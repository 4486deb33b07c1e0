"""Games that run by themselves, in the window: buttons that are held, time, and the solver at the wheel."""

from __future__ import annotations

import numpy as np
import pygame
import pytest

from envs.problem import Problem, Tile
from envs.rules import LOST, PLAYING, WON, Actor, Rules, Solution
from experiments.playroom import library
from experiments.playroom.app import App
from experiments.playroom.library import Library
from experiments.playroom.live import LiveScene


class Cart(Rules):
    """A cart of four steps a tile goes right while "go" is held, twice as fast with "boost"; it has 60 ticks.

    A state is (step, last step, ticks).
    """

    actions = ("wait", "go", "go+boost")
    keys = {"go": ("right", "d"), "boost": ("space",)}
    description = "Go right."
    ticks_per_second = 20
    shortest = False
    sprites = ("floor", "player")

    def problem_with(self, level):
        return None if level.any() else "it has no cart"

    def start(self, level):
        return np.array([0, 4 * (level.shape[1] - 1), 0], np.int32)

    def step(self, state, action):
        after = state.copy()
        if self.outcome(state) == PLAYING:
            after[0] = min(state[0] + action, state[1])
            after[2] += 1
        return after

    def outcome(self, state):
        return WON if state[0] == state[1] else LOST if state[2] >= 60 else PLAYING

    def board(self, state):
        return np.zeros((2, state[1] // 4 + 1), np.uint8)

    def actors(self, state):
        return [Actor(1, 0.5, state[0] / 4, mirrored=bool(state[2] % 2))]

    def solve_state(self, state, budget=None, stop=None):
        ticks = -(-(state[1] - state[0]) // 2)
        solved = ticks + state[2] <= 60
        return Solution("solved" if solved else "unsolvable", np.full(ticks if solved else 0, 2, np.int64))


class Track(Problem):
    """Where carts go."""

    def measure(self, levels):
        return np.zeros((len(levels), 1), np.float32)

    def succeeded(self, metrics, start_metrics):
        return np.ones(len(metrics), bool)


TRACK = Track(
    name="track",
    description="a track",
    tiles=(Tile("floor", ".", (0, 0, 0), "floor"), Tile("cart", "@", (255, 0, 0), "player")),
    default_shape=(2, 9),
    metrics=(),
    start_probabilities=(0.5, 0.5),
    border="floor",
    rules=Cart(),
)


@pytest.fixture
def scene(tmp_path):
    app = App(Library(), "binary", tmp_path)
    made = LiveScene(app, TRACK, [np.eye(2, 9, dtype=np.uint8), np.eye(2, 60, dtype=np.uint8)])
    app.push(made)
    yield made
    app.close()


def key(scene, name, down=True):
    kind = pygame.KEYDOWN if down else pygame.KEYUP
    scene.app.handle(pygame.event.Event(kind, key=pygame.key.key_code(name), mod=0))


def test_the_game_waits_for_the_first_button(scene):
    scene.update(1.0)
    assert scene.moves == 0
    assert not scene.lively
    key(scene, "right")
    assert scene.lively
    scene.update(0.2)
    assert scene.moves == 4
    assert scene.state[0] == 4


def test_what_is_held_acts_and_what_is_let_go_does_not(scene):
    key(scene, "d")
    scene.update(0.1)
    key(scene, "space")
    scene.update(0.1)
    assert scene.state[0] == 2 + 4
    key(scene, "space", down=False)
    key(scene, "d", down=False)
    scene.update(0.5)
    assert scene.state[0] == 6
    assert scene.moves == 14


def test_a_button_alone_that_no_action_has_does_nothing(scene):
    key(scene, "space")
    scene.update(0.25)
    assert scene.state[0] == 0
    assert scene.moves == 5


def test_time_is_counted_in_the_games_own_ticks(scene):
    key(scene, "right")
    for _ in range(12):
        scene.update(1 / 60)
    assert scene.moves == pytest.approx(4, abs=1)
    assert scene.counted(50) == "2.5"


def test_winning_and_losing(scene):
    key(scene, "right")
    scene.update(10.0)
    assert scene.outcome == WON
    assert scene.moves == 32
    assert scene.solved == {0}
    scene.restart()
    assert scene.moves == 0
    key(scene, "right", down=False)
    key(scene, "space")
    scene.update(10.0)
    assert scene.outcome == LOST
    scene.app.draw()


def test_the_solver_takes_over_until_a_button_is_pressed(scene):
    key(scene, "h")
    scene.update(0.1)
    assert scene.state[0] == 4
    key(scene, "right")
    scene.update(0.1)
    assert scene.state[0] == 6
    key(scene, "h")
    scene.update(5.0)
    assert scene.outcome == WON


def test_the_solver_says_where_there_is_no_way_any_more(scene):
    key(scene, "space")
    scene.update(2.9)
    key(scene, "h")
    assert "nobody" in scene.app.message


def test_buttons_on_the_screen_hold_for_a_moment(scene):
    scene.app.draw()
    scene.click("go")
    scene.update(1.0)
    assert 0 < scene.state[0] < 20
    assert scene.moves == 20


def test_the_view_follows_the_player_over_a_wide_level(scene):
    scene.start_level(1)
    scene.app.draw()
    before = scene.app.picture()
    key(scene, "right")
    key(scene, "space")
    scene.update(2.5)
    scene.app.draw()
    assert scene.state[0] == 100
    assert (scene.app.picture() != before).any()
    place, surface = scene._board.place, scene.app.surface.get_rect()
    assert surface.contains(place)


def test_verdicts_are_in_seconds():
    assert library.verdict(TRACK.rules, np.eye(2, 9, dtype=np.uint8))[1] == "proven winnable in 0.8 seconds"


def test_the_help_line_names_every_button_once(scene):
    labels = [entry.label for entry in scene.commands()]
    assert labels[:3] == ["go", "boost", "let our player go on"]
    assert len(set(labels)) == len(labels)
