"""The window of `python -m experiments.play`, driven by keys and mouse: its menu and its games."""

from __future__ import annotations

import numpy as np
import pygame
import pytest

import envs
from envs.levels import bundled_levels
from envs.rules import LOST, PLAYING, WON
from experiments.playroom import library as library_module
from experiments.playroom.app import App
from experiments.playroom.game import GameScene
from experiments.playroom.gauges import Gauge, number, target_words
from experiments.playroom.library import Library, find_designer, verdict
from experiments.playroom.menu import MenuScene
from experiments.playroom.paint import PaintScene
from experiments.playroom.scene import key_of
from experiments.playroom.watch import WatchScene
from tests.playroom import LIVE, PLAYABLE, RULES, click, compiled, key_for, opened, press, save_designer, wait

# The menu.


class TestMenu:
    def test_is_first(self, app):
        assert isinstance(app.scene, MenuScene)

    @pytest.mark.parametrize(("steps", "kind"), [(0, WatchScene), (1, PaintScene), (2, GameScene)])
    def test_arrows_and_return(self, app, steps, kind):
        press(app, *["right"] * steps, "return")
        assert isinstance(wait(app), kind)
        press(app, "escape")
        assert isinstance(app.scene, MenuScene)

    @pytest.mark.parametrize(("key", "kind"), [("1", WatchScene), ("2", PaintScene), ("3", GameScene)])
    def test_numbers(self, app, key, kind):
        press(app, key)
        assert isinstance(wait(app), kind)

    @pytest.mark.parametrize(("card", "kind"), [(0, WatchScene), (1, PaintScene), (2, GameScene)])
    def test_mouse(self, app, card, kind):
        cards = [button.box for button in app.scene.buttons if button.box.height > 300]
        click(app, cards[card].center)
        assert isinstance(wait(app), kind)

    def test_games(self, app):
        names = list(envs.all_problems())
        press(app, "down")
        assert app.problem == names[(names.index("zelda") + 1) % len(names)]
        press(app, "up", "up")
        assert app.problem == names[names.index("zelda") - 1]
        tabs = [button.box for button in app.scene.buttons if 50 < button.box.height < 80]
        assert len(tabs) == len(names)
        for name, tab in zip(names, tabs, strict=True):
            click(app, tab.center)
            assert app.problem == name

    def test_the_help_line_can_be_clicked(self, app):
        height = app.surface.get_height()
        keys = [button for button in app.scene.buttons if button.box.top > height - 50]
        assert keys
        click(app, keys[1].box.center)
        assert app.scene.card == 1

    def test_leaving(self, app):
        press(app, "escape")
        assert not app.running

    def test_the_close_button(self, app):
        pygame.event.post(pygame.event.Event(pygame.QUIT))
        app.turn(0)
        assert not app.running

    def test_loading_can_be_cancelled(self, app):
        press(app, "1")
        press(app, "escape")
        assert isinstance(app.scene, MenuScene)

    @pytest.mark.parametrize("size", [(800, 500), (1280, 800), (1920, 1200), (700, 900), (320, 240)])
    def test_any_size(self, app, size):
        app.surface = pygame.display.set_mode(size, pygame.RESIZABLE)
        app.turn(0)
        for name in ("watch", "paint", "play"):
            opened(app, name)
            app.turn(0)
            press(app, "escape")

    def test_screenshot(self, app, tmp_path):
        press(app, "f12", "f12")
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["screenshot-1.png", "screenshot-2.png"]
        assert "screenshot-2.png" in app.message

    def test_a_held_key_counts_where_it_should(self, app):
        def hold(key, times):
            for _ in range(times):
                pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key, mod=0))
            app.turn(0)

        hold(pygame.K_RIGHT, 2)
        assert app.scene.card == 1
        scene = opened(app, "paint")
        pygame.event.post(pygame.event.Event(pygame.KEYUP, key=pygame.K_RIGHT, mod=0))
        hold(pygame.K_RIGHT, 4)
        assert scene.cell == (0, 4)
        hold(pygame.K_s, 3)
        assert len(list(app.out.glob("*.txt"))) == 1

    def test_what_stands_still_is_not_drawn_again(self, app, monkeypatch):
        app.turn(0)
        drawn = []
        monkeypatch.setattr(app.scene, "draw", drawn.append)
        for _ in range(5):
            app.turn(0.01)
        assert not drawn
        app.say("hello")
        app.turn(0.01)
        app.turn(0.01)
        app.turn(10)
        assert len(drawn) == 2


# Playing.


@compiled
@pytest.mark.parametrize("name", PLAYABLE)
class TestBundledLevels:
    def test_there_are_enough_and_all_are_proven(self, name):
        problem = envs.get_problem(name)
        levels = bundled_levels(problem)
        assert len(levels) >= 8
        assert len({level.tobytes() for level in levels}) == len(levels)
        assert all(solution.solved for level in levels for solution in envs.solve(name, level))

    def test_every_one_is_won_by_the_solvers_keys(self, app, name):
        scene = opened(app, "play", name)
        assert isinstance(scene, GameScene)
        for i in range(len(scene.levels)):
            assert scene.index == i
            assert scene.outcome == PLAYING
            assert "winnable in" in scene.verdict
            for action in scene.solution.actions:
                if name in LIVE:
                    scene.tick(int(action))
                    continue
                scene.handle(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key_for(scene, action))))
            assert scene.outcome == WON
            assert scene.moves == len(scene.solution.actions)
            app.turn(0)
            press(app, "return")
        assert scene.solved == set(range(len(scene.levels)))
        assert scene.index == 0


class TestGame:
    @compiled
    def test_hints_lead_to_the_win(self, app):
        for name in (name for name, rules in RULES.items() if rules.shortest and name not in LIVE):
            scene = opened(app, "play", name)
            best = len(scene.solution.actions)
            for _ in range(best):
                press(app, "h")
                assert scene.hint is not None
                press(app, key_for(scene, scene.hint[0]))
            assert scene.outcome == WON
            assert scene.moves == best
            press(app, "escape")

    def test_hint_from_where_one_is(self, app):
        scene = opened(app, "play", "binary")
        best = len(scene.solution.actions)
        first = scene.solution.actions[0]
        scene.act(int(first))
        press(app, "h")
        assert f"{best - 1} moves" in scene.hint[1]

    def test_undo_in_sokoban(self, app):
        scene = opened(app, "play", "sokoban")
        start = scene.state.copy()
        press(app, "u")
        assert "nothing to take back" in app.message
        for action in scene.solution.actions[:5]:
            press(app, key_for(scene, action))
        middle = scene.state.copy()
        assert scene.moves == 5
        press(app, key_for(scene, scene.solution.actions[5]))
        press(app, "u")
        assert np.array_equal(scene.state, middle)
        press(app, "z", "z", "backspace", "u", "u")
        assert np.array_equal(scene.state, start)
        assert scene.moves == 0

    def test_a_lost_position_in_sokoban(self, app):
        level = envs.get_problem("sokoban").parse(["#####", "--$@-", "-----", "--.--"])
        scene = opened(app, "play", "sokoban", levels=[level])
        press(app, "h")
        assert scene.hint == (None, "This position cannot be won any more.")
        assert "unsolvable" in scene.verdict

    def test_a_bump_is_no_move_in_sokoban(self, app):
        level = envs.get_problem("sokoban").parse(["@$.", "---"])
        scene = opened(app, "play", "sokoban", levels=[level])
        press(app, "up", "left")
        assert scene.moves == 0
        press(app, "d")
        assert scene.outcome == WON

    def test_losing_in_zelda(self, app):
        level = envs.get_problem("zelda").parse(["@.c", "###", "k.D"])
        scene = opened(app, "play", "zelda", levels=[level])
        press(app, *["right"] * 10)
        assert scene.outcome == LOST
        assert "proven" in scene._comfort()
        app.turn(0)
        press(app, "return")
        assert scene.outcome == PLAYING
        assert scene.moves == 0

    def test_a_sword(self, app):
        level = envs.get_problem("zelda").parse(["@c.", "...", "k.D"])
        scene = opened(app, "play", "zelda", levels=[level])
        assert scene.keys_shown["sword"] == "space"
        press(app, "space")
        assert scene.moves == 1

    def test_a_level_that_cannot_be_started(self, app):
        level = np.zeros((7, 11), np.uint8)
        scene = opened(app, "play", "zelda", levels=[level])
        assert "cannot be started: it has 0 players" in scene.verdict
        press(app, "right", "h", "r")
        assert scene.outcome == PLAYING
        assert scene.moves == 0

    def test_levels_forth_and_back(self, app):
        scene = opened(app, "play", "zelda")
        press(app, "n")
        assert scene.index == 1
        press(app, "b", "b")
        assert scene.index == len(scene.levels) - 1

    def test_buttons_play_too(self, app):
        scene = opened(app, "play", "binary")
        for _ in range(3):
            press(app, "h")
            name = scene.rules.actions[scene.hint[0]]
            place = {"up": (0, 1), "left": (1, 0), "down": (1, 1), "right": (1, 2)}[name]
            pad = [b.box for b in scene.buttons if b.box.width == b.box.height == 44]
            left, top = min(box.left for box in pad), min(box.top for box in pad)
            click(app, (left + place[1] * 50 + 22, top + place[0] * 50 + 22))
        assert scene.moves == 3

    def test_to_the_brush(self, app):
        scene = opened(app, "play", "sokoban")
        level = scene.level.copy()
        press(app, "e")
        paint = wait(app)
        assert isinstance(paint, PaintScene)
        assert np.array_equal(paint.drawing.level, level)

    def test_verdicts(self):
        rules = envs.get_rules("binary")
        problem = envs.get_problem("binary")
        assert verdict(rules, problem.parse(["..", "##"]))[1] == "proven winnable in 1 move"
        assert "cannot be started" in verdict(rules, problem.parse(["##", "##"]))[1]
        hard = bundled_levels(envs.get_problem("sokoban"))[-1]
        assert "unknown: the solver stopped" in verdict(envs.get_rules("sokoban"), hard, 2)[1]


# Small things.


def test_words():
    infinite = float("inf")
    assert target_words((1, 1)) == "1"
    assert target_words((2, 5)) == "2 to 5"
    assert target_words((4, infinite)) == "at least 4"
    assert target_words((-infinite, 3)) == "at most 3"
    assert target_words((infinite, infinite)) == "as much as possible"
    assert target_words((-infinite, -infinite)) == "as little as possible"
    assert target_words((-infinite, infinite)) == "anything"
    assert number(2.0) == "2"
    assert number(0.125) == "0.12"


def test_ticks():
    metric = envs.get_problem("zelda").metrics[3]
    assert Gauge(metric, (2, 5), [0, 2]).met
    assert not Gauge(metric, (2, 5), [0, 6]).met
    assert Gauge(metric, (float("inf"), float("inf")), [0, 6]).met is None


def test_keys():
    App(Library(), "zelda", library_module.Path("out"))
    event = pygame.event.Event(pygame.KEYDOWN, key=pygame.K_KP_ENTER, mod=0)
    assert key_of(event) == "return"
    pygame.quit()


def test_find_designer(tmp_path):
    folder = save_designer(tmp_path / "run" / "designer")
    assert find_designer(tmp_path / "run") == folder
    assert find_designer(folder) == folder


def test_shipped_designers_are_usable():
    library = Library()
    for problem in library.problems.values():
        for entry in library.designers(problem):
            builder = library.builder(problem, entry)
            builder.begin(0)
            builder.advance()
            assert builder.steps == 1 or builder.over
