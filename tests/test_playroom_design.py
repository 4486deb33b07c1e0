"""The window of `python -m experiments.play`: watching designers, and painting with them."""

from __future__ import annotations

import numpy as np
import pygame
import pytest

import envs
from envs.level_io import read_levels
from envs.levels import bundled_levels
from experiments.playroom.app import App
from experiments.playroom.drawing import Drawing
from experiments.playroom.game import GameScene
from experiments.playroom.library import Library
from tests.playroom import click, opened, press, save_designer, wait

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
