"""The window of `python -m experiments.play`, driven by keys and mouse on a screen that is not there."""

from __future__ import annotations

import os
import subprocess
import sys
import time

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["SDL_AUDIODRIVER"] = "dummy"

import numba
import numpy as np
import pygame
import pytest
import torch

import envs
from agents.designer import PolicyDesigner
from agents.networks import DesignerNetwork, Interface, NetworkConfig
from envs.level_io import read_levels, write_levels
from envs.levels import bundled_levels
from envs.rules import LOST, PLAYING, WON
from envs.vector_env import DesignVectorEnv
from experiments import play
from experiments.playroom import library as library_module
from experiments.playroom.app import App, LoadingScene
from experiments.playroom.drawing import Drawing
from experiments.playroom.game import GameScene
from experiments.playroom.gauges import Gauge, number, target_words
from experiments.playroom.library import Library, find_designer, verdict
from experiments.playroom.menu import MenuScene
from experiments.playroom.paint import PaintScene
from experiments.playroom.scene import key_of
from experiments.playroom.watch import WatchScene

torch.set_num_threads(1)

RULES = {name: problem.rules for name, problem in envs.all_problems().items() if problem.rules is not None}
PLAYABLE = list(RULES)
LIVE = [name for name, rules in RULES.items() if rules.ticks_per_second]
#: Solving many levels is a matter of seconds for compiled kernels only.
compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="too slow without compiled kernels")
MODIFIERS = {"ctrl": pygame.KMOD_CTRL}


@pytest.fixture
def app(tmp_path):
    made = App(Library(designers_folder=tmp_path / "none"), "zelda", tmp_path / "out")
    made.open("menu")
    made.turn(0)
    yield made
    made.close()


def press(app, *keys):
    for key in keys:
        modifier, _, name = key.rpartition("+")
        code = pygame.key.key_code(name)
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=code, mod=MODIFIERS.get(modifier, 0)))
        pygame.event.post(pygame.event.Event(pygame.KEYUP, key=code, mod=0))
        app.turn(0)


def click(app, place, button=1):
    buttons = tuple(int(i + 1 == button) for i in range(3))
    pygame.event.post(pygame.event.Event(pygame.MOUSEMOTION, pos=place, rel=(0, 0), buttons=(0, 0, 0)))
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=place, button=button))
    pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONUP, pos=place, button=button))
    app.turn(0)
    return buttons


def wait(app, seconds=120):
    until = time.monotonic() + seconds
    while isinstance(app.scene, LoadingScene):
        app.turn(0.02)
        time.sleep(0.002)
        assert time.monotonic() < until
    app.turn(0)
    return app.scene


def opened(app, name, problem="zelda", **more):
    app.problem = problem
    app.open(name, **more)
    return wait(app)


def save_designer(folder, problem="zelda", representation="turtle", seed=0, **options):
    """Saves an untrained network as if it had been trained."""
    options = {"problem": problem, "representation": representation, **options}
    torch.manual_seed(seed)
    network = DesignerNetwork(Interface.of(DesignVectorEnv(num_envs=1, **options)), NetworkConfig())
    PolicyDesigner(network, options).save_pretrained(folder, "A designer for tests.\n")
    return folder


def key_for(scene, action):
    return scene.rules.keys[scene.rules.actions[int(action)]][0]


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


# Watching.


class TestWatch:
    def test_steps_and_pauses(self, app):
        scene = opened(app, "watch")
        assert scene.running
        press(app, "space")
        assert not scene.running
        changes = scene.builder.changes
        app.turn(0.2)
        assert scene.builder.changes == changes
        before = scene.builder.level.copy()
        press(app, "right")
        assert scene.builder.changes == changes + 1
        assert (scene.builder.level != before).sum() == 1
        assert len(scene.builder.history) == changes + 2

    def test_runs_by_time(self, app):
        scene = opened(app, "watch")
        press(app, "r")
        scene.speed = 4
        steps = scene.builder.steps
        app.turn(0.25)
        assert scene.builder.steps == steps + 1
        app.turn(0.1)
        assert scene.builder.steps == steps + 1

    def test_metrics_change_on_the_screen(self, app):
        scene = opened(app, "watch")
        press(app, "space", "r")
        first = app.picture()
        for _ in range(4):
            press(app, "right")
        assert (app.picture()[:, 850:] != first[:, 850:]).any()
        assert not np.array_equal(scene.builder.history[0], scene.builder.history[-1])
        measured = envs.measure("zelda", scene.builder.level)
        assert [float(measured[m.name][0]) for m in scene.builder.metrics] == scene.builder.history[-1].tolist()

    def test_speed(self, app):
        scene = opened(app, "watch")
        speed = scene.speed
        press(app, "up", "up")
        assert scene.speed > speed
        press(app, *["down"] * 30)
        assert scene.speed == 1
        press(app, *["up"] * 30)
        assert scene.speed == 1000

    def test_restart_and_new_start(self, app):
        scene = opened(app, "watch")
        press(app, "space")
        start = scene.builder.start.copy()
        while not scene.builder.over:
            press(app, "right")
        end = scene.builder.level.copy()
        assert scene.builder.why
        press(app, "r")
        assert np.array_equal(scene.builder.level, start)
        while not scene.builder.over:
            press(app, "right")
        assert np.array_equal(scene.builder.level, end)
        press(app, "n", "space")
        assert not np.array_equal(scene.builder.start, start)

    def test_running_again_after_the_end(self, app):
        scene = opened(app, "watch")
        while not scene.builder.over:
            press(app, "tab")
        press(app, "space")
        assert scene.running
        assert not scene.builder.over

    def test_says_that_no_designer_was_trained(self, app):
        scene = opened(app, "watch")
        assert scene.builder.name == "hill climber (untrained)"
        press(app, "d")
        assert "train one" in app.message

    def test_saving_painting_playing(self, app, tmp_path):
        scene = opened(app, "watch", "sokoban")
        press(app, "space")
        level = scene.builder.level.copy()
        press(app, "s")
        saved = read_levels(tmp_path / "out" / "sokoban-1.txt", envs.get_problem("sokoban"))
        assert np.array_equal(saved[0], level)
        press(app, "b")
        assert np.array_equal(wait(app).drawing.level, level)
        press(app, "escape")
        assert app.scene is scene
        press(app, "p")
        assert np.array_equal(wait(app).level, level)

    @pytest.mark.parametrize("representation", ["narrow", "turtle", "wide", "cellular", "sequence"])
    def test_a_trained_designer(self, tmp_path, representation):
        save_designer(tmp_path / f"zelda-{representation}", representation=representation)
        save_designer(tmp_path / "binary-narrow", "binary", "narrow")
        app = App(Library(designers_folder=tmp_path), "zelda", tmp_path / "out")
        app.open("menu")
        scene = opened(app, "watch")
        assert scene.builder.name == f"{representation} designer (trained)"
        press(app, "space", "r", "tab", "tab")
        assert scene.builder.changes >= 1
        assert (scene.builder.cursor is not None) == (representation != "cellular") or scene.builder.over
        first = scene.builder.level.copy()
        press(app, "r", "tab", "tab")
        assert np.array_equal(scene.builder.level, first)
        press(app, "r")
        start = scene.builder.start.copy()
        press(app, "d")
        climber = wait(app)
        assert climber.builder.name == "hill climber (untrained)"
        assert np.array_equal(climber.builder.start, start)
        app.close()

    def test_a_designer_with_targets_of_its_own(self, tmp_path):
        save_designer(tmp_path / "zelda-narrow", representation="narrow", controls=["path-length"])
        app = App(Library(designers_folder=tmp_path), "zelda", tmp_path / "out")
        app.open("menu")
        scene = opened(app, "watch")
        low, high = scene.builder.targets["path-length"]
        assert low == high
        assert np.isfinite(low)
        app.close()

    def test_a_designer_for_levels_of_many_shapes(self, tmp_path):
        save_designer(tmp_path / "zelda-narrow", representation="narrow", shape=[8, 9], min_shape=[4, 4])
        app = App(Library(designers_folder=tmp_path), "zelda", tmp_path / "out")
        app.open("menu")
        scene = opened(app, "watch")
        shapes = set()
        for _ in range(8):
            press(app, "n", "tab")
            shapes.add(scene.builder.level.shape)
        assert len(shapes) > 1
        press(app, "escape")
        scene = opened(app, "paint")
        assert scene.drawing.level.shape == (8, 9)
        press(app, "g")
        assert scene.builder.name.startswith("narrow")
        app.close()

    def test_a_damaged_designer_makes_way_for_the_climber(self, tmp_path):
        folder = save_designer(tmp_path / "zelda-turtle")
        (folder / "model.safetensors").write_bytes(b"nothing")
        app = App(Library(designers_folder=tmp_path), "zelda", tmp_path / "out")
        app.open("menu")
        scene = opened(app, "watch")
        assert scene.builder.name == "hill climber (untrained)"
        assert "is damaged" in app.message
        app.close()


# Painting.


class TestPaint:
    def test_brush_and_undo_by_keys(self, app):
        scene = opened(app, "paint")
        start = scene.drawing.level.copy()
        press(app, "down", "right", "4", "space")
        assert scene.drawing.level[1, 1] == 3
        press(app, "e", "space")
        assert scene.drawing.level[1, 1] == 0
        press(app, "z")
        assert scene.drawing.level[1, 1] == 3
        press(app, "ctrl+z")
        assert np.array_equal(scene.drawing.level, start)
        press(app, "z")
        assert "nothing to take back" in app.message
        press(app, "y")
        assert scene.drawing.level[1, 1] == 3
        press(app, "ctrl+y", "y")
        assert "nothing to do again" in app.message

    def test_the_edge_stops_the_brush(self, app):
        scene = opened(app, "paint")
        press(app, *["left"] * 3, *["up"] * 3)
        assert scene.cell == (0, 0)
        press(app, *["right"] * 30, *["down"] * 30)
        assert scene.cell == (6, 10)

    def test_mouse(self, app):
        scene = opened(app, "paint")
        press(app, "6")
        click(app, scene._board.box_of((2, 3)).center)
        assert scene.drawing.level[2, 3] == 5
        click(app, scene._board.box_of((2, 3)).center, button=3)
        assert scene.drawing.level[2, 3] == 0
        click(app, scene._board.box_of((4, 4)).center, button=2)
        assert scene.drawing.frozen[4, 4]
        assert scene.cell == (4, 4)

    def test_a_dragged_stroke_is_undone_at_once(self, app):
        scene = opened(app, "paint")
        press(app, "7")
        start = scene.drawing.level.copy()
        places = [scene._board.box_of((5, column)).center for column in range(4)]
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=places[0], button=1))
        for place in places[1:]:
            pygame.event.post(pygame.event.Event(pygame.MOUSEMOTION, pos=place, rel=(1, 0), buttons=(1, 0, 0)))
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONUP, pos=places[-1], button=1))
        app.turn(0)
        assert (scene.drawing.level[5, :4] == 6).all()
        press(app, "z")
        assert np.array_equal(scene.drawing.level, start)

    def test_palette_by_mouse(self, app):
        scene = opened(app, "paint")
        swatches = [b.box for b in scene.buttons if b.box.height == 64]
        assert len(swatches) == len(scene.problem.tiles)
        click(app, swatches[4].center)
        assert (scene.tile, scene.tool) == (4, "brush")

    def test_locks_hold(self, app):
        scene = opened(app, "paint")
        tile = scene.drawing.level[0, 0]
        press(app, "l", "space")
        assert scene.drawing.frozen[0, 0]
        press(app, "1" if tile else "2", "space")
        assert scene.drawing.level[0, 0] == tile
        assert "locked" in app.message
        press(app, "l", "space")
        assert not scene.drawing.frozen[0, 0]
        press(app, "space", "k")
        assert not scene.drawing.frozen.any()
        press(app, "z")
        assert scene.drawing.frozen[0, 0]

    @pytest.mark.parametrize("trained", [True, False])
    @pytest.mark.parametrize("name", ["zelda", "sokoban"])
    def test_the_designer_goes_on_around_the_locks(self, tmp_path, trained, name):
        if trained:
            save_designer(tmp_path / f"{name}-turtle", name)
        app = App(Library(designers_folder=tmp_path), name, tmp_path / "out")
        app.open("menu")
        scene = opened(app, "paint", name)
        height, width = scene.drawing.level.shape
        scene.drawing.frozen[:, : width // 2] = True
        start = scene.drawing.level.copy()
        press(app, "g")
        assert scene.working
        for _ in range(3000):
            app.scene.update(0.25)
            if not scene.working:
                break
        assert not scene.working
        app.turn(0)
        assert "The designer stopped" in app.message
        changed = scene.drawing.level != start
        assert changed.any()
        assert not (changed & scene.drawing.frozen).any()
        assert changed.sum() <= scene.builder.most_changes
        press(app, "z")
        assert np.array_equal(scene.drawing.level, start)
        press(app, "y")
        assert np.array_equal(scene.drawing.level != start, changed)
        assert app.out.exists() is False
        assert height
        app.close()

    def test_the_designer_can_be_stopped(self, app):
        scene = opened(app, "paint")
        press(app, "g")
        app.turn(0.25)
        level = scene.drawing.level.copy()
        press(app, "g")
        app.turn(0.25)
        assert not scene.working
        assert np.array_equal(scene.drawing.level, level)

    def test_everything_locked(self, app):
        scene = opened(app, "paint")
        scene.drawing.frozen[:] = True
        level = scene.drawing.level.copy()
        press(app, "g")
        app.turn(0.25)
        assert not scene.working
        assert np.array_equal(scene.drawing.level, level)

    def test_a_designer_that_does_not_know_the_shape(self, tmp_path):
        save_designer(tmp_path / "sokoban-turtle", "sokoban")
        app = App(Library(designers_folder=tmp_path), "sokoban", tmp_path / "out")
        app.open("menu")
        scene = opened(app, "paint", "sokoban", levels=[np.zeros((4, 6), np.uint8)])
        press(app, "g")
        assert "knows levels of 5x5 tiles only; this one has 4x6" in app.message
        assert scene.builder.name == "hill climber (untrained)"
        app.close()

    def test_a_new_level_keeps_what_is_locked(self, app):
        scene = opened(app, "paint")
        scene.drawing.frozen[:3] = True
        before = scene.drawing.level.copy()
        press(app, "n")
        assert np.array_equal(scene.drawing.level[:3], before[:3])
        assert not np.array_equal(scene.drawing.level, before)

    def test_saving(self, app, tmp_path):
        scene = opened(app, "paint")
        press(app, "s", "ctrl+s")
        for path in ("zelda-1.txt", "zelda-1.tmj", "zelda-2.txt", "zelda-2.tmj"):
            assert np.array_equal(read_levels(tmp_path / "out" / path, scene.problem)[0], scene.drawing.level)

    def test_saving_where_nothing_can_be_written(self, app, tmp_path):
        (tmp_path / "file").write_text("in the way")
        app.out = tmp_path / "file" / "out"
        opened(app, "paint")
        press(app, "s")
        assert "cannot be made" in app.message

    def test_opening_levels(self, app):
        scene = opened(app, "paint", "sokoban")
        before = scene.drawing.level.copy()
        levels = bundled_levels(scene.problem)
        press(app, *["right"] * 9, *["down"] * 9)
        for level in [*levels, levels[0]]:
            press(app, "o")
            assert np.array_equal(scene.drawing.level, level)
        press(app, *"z" * (len(levels) + 1))
        assert np.array_equal(scene.drawing.level, before)

    def test_playing_and_coming_back(self, app):
        scene = opened(app, "paint")
        press(app, "p")
        game = wait(app)
        assert isinstance(game, GameScene)
        assert np.array_equal(game.level, scene.drawing.level)
        press(app, "escape")
        assert app.scene is scene

    def test_the_drawing_is_kept(self, app):
        scene = opened(app, "paint")
        press(app, "3", "space", "escape")
        again = opened(app, "paint")
        assert np.array_equal(again.drawing.level, scene.drawing.level)
        press(app, "z")
        assert not np.array_equal(again.drawing.level, again.drawing.future[-1][0])

    def test_a_drawing_made_way_for_another(self):
        drawing = Drawing(np.zeros((3, 3), np.uint8))
        drawing.keep()
        drawing.keep()
        assert len(drawing.past) == 1
        assert not drawing.undo()


# The command line.


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        play.cli([str(argument) for argument in arguments])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert message.startswith("error: ")
    assert message.count("\n") == 1
    return message


class TestCommandLine:
    def test_missing_run(self, capsys, tmp_path):
        assert "There is no folder" in fails(capsys, "--run", tmp_path / "none")

    def test_unfinished_run(self, capsys, tmp_path):
        assert "holds no finished designer" in fails(capsys, "--run", tmp_path)

    def test_damaged_designers(self, capsys, tmp_path):
        folder = save_designer(tmp_path / "run" / "designer")
        config = (folder / "config.json").read_text()
        (folder / "config.json").write_text("{")
        assert "is damaged" in fails(capsys, "--run", tmp_path / "run")
        (folder / "config.json").write_text(config.replace('"environment"', '"surroundings"'))
        assert "is damaged" in fails(capsys, "--run", tmp_path / "run")
        (folder / "config.json").write_text(config.replace('"turtle"', '"tortoise"'))
        assert "tortoise" in fails(capsys, "--run", tmp_path / "run")
        (folder / "config.json").write_text(config)
        (folder / "model.safetensors").write_bytes(b"\x00" * 100)
        assert "is damaged" in fails(capsys, "--run", tmp_path / "run")

    def test_run_of_another_problem(self, capsys, tmp_path):
        folder = save_designer(tmp_path / "mine")
        assert "is for zelda, but --problem is binary" in fails(capsys, "--run", folder, "--problem", "binary")

    def test_unknown_problem(self, capsys):
        assert "did you mean 'zelda'" in fails(capsys, "--problem", "zeldo")

    def test_levels(self, capsys, tmp_path):
        path = tmp_path / "levels.txt"
        assert "Say with --problem" in fails(capsys, "--levels", path)
        assert "does not exist" in fails(capsys, "--levels", path, "--problem", "zelda")
        path.write_text("@k!\n")
        assert "is no tile of zelda" in fails(capsys, "--levels", path, "--problem", "zelda")
        assert ".txt" in fails(capsys, "--levels", tmp_path / "levels.doc", "--problem", "zelda")

    def test_numbers(self, capsys):
        assert "--seed" in fails(capsys, "--seed", -1)
        assert "--frames" in fails(capsys, "--frames", -1)
        assert "tile size" in fails(capsys, "--tile-size", 1000)

    def test_device(self, capsys):
        assert "--device nonsense cannot be used" in fails(capsys, "--device", "nonsense")

    def test_screenshot_that_cannot_be_written(self, capsys, tmp_path):
        target = tmp_path / "none" / "picture.png"
        assert "Cannot write" in fails(capsys, "--screenshot", target, "--frames", 1)

    def test_no_pygame(self, capsys, monkeypatch):
        monkeypatch.setitem(sys.modules, "pygame", None)
        assert "pip install 'tilewright[play]'" in fails(capsys)

    def test_no_screen(self, tmp_path):
        surroundings = {k: v for k, v in os.environ.items() if k not in ("SDL_VIDEODRIVER", "DISPLAY")}
        result = subprocess.run(
            [sys.executable, "-m", "experiments.play"],
            env={**surroundings, "WAYLAND_DISPLAY": ""} if sys.platform != "linux" else surroundings,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert result.returncode == 2
        assert result.stderr.startswith("error: No window can be opened")
        assert result.stderr.count("\n") == 1

    @pytest.mark.parametrize("scene", ["menu", "watch", "paint", "play"])
    def test_screenshots(self, capsys, tmp_path, scene):
        from PIL import Image

        target = tmp_path / f"{scene}.png"
        play.cli(["--scene", scene, "--screenshot", str(target), "--frames", "20", "--problem", "sokoban"])
        assert f"Saved {target}" in capsys.readouterr().out
        picture = np.asarray(Image.open(target))
        assert picture.shape == (800, 1280, 3)
        assert len(np.unique(picture.astype(np.int64) @ (65536, 256, 1))) > 500

    def test_own_run_and_levels(self, tmp_path):
        folder = save_designer(tmp_path / "run" / "designer")
        levels = tmp_path / "mine.tmj"
        problem = envs.get_problem("zelda")
        write_levels(levels, bundled_levels(problem)[:2], problem)
        options = play.PlayOptions(run=folder.parent, levels=levels)
        library = play._library(options)
        assert library.run_problem == "zelda"
        assert library.designers(problem)[0].name == "your run"
        assert len(library.levels(problem)) == 2
        assert play._first_problem(options, library.run_problem) == "zelda"

    def test_the_window_can_be_left(self, monkeypatch, tmp_path):
        monkeypatch.setattr(App, "turn", lambda self, seconds: self.quit())
        play.cli(["--scene", "play", "--out", str(tmp_path)])


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
