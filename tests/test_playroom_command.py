"""The command line of `python -m experiments.play`."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import envs
from envs.level_io import write_levels
from envs.levels import bundled_levels
from experiments import play
from experiments.playroom.app import App
from tests.playroom import save_designer


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
