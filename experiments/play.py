"""Watch designers build, paint with them, and play levels, in a window.

Works as it is, with the levels and the designers that come with the project; a designer of your own comes in by --run,
levels of your own by --levels.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from envs import UserError, all_problems, get_problem
from envs.art import check_tile_size
from envs.window import import_pygame
from experiments.run import main

if TYPE_CHECKING:
    from experiments.playroom.app import App
    from experiments.playroom.library import Library


@dataclass
class PlayOptions:
    """Watch designers build levels, paint with them, and play, in a window.

    Attributes:
        run: a trained run, or the folder of a saved designer.
        problem: the game that is chosen at first; by default the run's, or the first that can be played.
        levels: a file of levels to play and paint (text or Tiled map), of the problem given.
        tile_size: the side of a tile in pixels, 4 to 256; by default as large as the window allows.
        seed: fixes start levels and what designers draw.
        out: where levels and screenshots are saved.
        device: where designers run: cpu, or a CUDA device such as cuda:0.
        scene: what to begin with.
        screenshot: draw the scene without a window, save it in this PNG file, and end.
        frames: how many sixtieths of a second to go on before that.
    """

    run: Path | None = None
    problem: str | None = None
    levels: Path | None = None
    tile_size: int | None = None
    seed: int = 0
    out: Path = Path("runs/play")
    device: str = "cpu"
    scene: Literal["menu", "watch", "paint", "play"] = "menu"
    screenshot: Path | None = None
    frames: int = 60


def play(options: PlayOptions) -> None:
    """Opens the window, or draws one picture of it.

    Raises:
        UserError: an option cannot be used, or no window can be opened.
    """
    if options.seed < 0:
        raise UserError(f"--seed must be a whole number of at least 0; got {options.seed}.")
    if options.frames < 0:
        raise UserError(f"--frames must be a whole number of at least 0; got {options.frames}.")
    if options.tile_size is not None:
        check_tile_size(options.tile_size)
    if options.problem is not None:
        get_problem(options.problem)
    if options.screenshot is not None:
        # Nothing needs to be seen, so that this works where there is no screen as well.
        os.environ["SDL_VIDEODRIVER"] = "dummy"
    import_pygame()
    from experiments.playroom.app import App  # noqa: PLC0415 (pygame is an extra)

    library = _library(options)
    app = App(library, _first_problem(options, library.run_problem), options.out, options.tile_size)
    try:
        app.open("menu")
        if options.scene != "menu":
            app.open(options.scene)
        if options.screenshot is None:
            app.run()
        else:
            _take_picture(app, options.screenshot, options.frames)
    except KeyboardInterrupt:
        # The window holds nothing that is not saved on demand; leaving it by Ctrl-C is as good as by its button.
        print(file=sys.stderr)
    finally:
        app.close()


def _library(options: PlayOptions) -> Library:
    """Returns what there is to play with, the user's own run and levels among it."""
    from experiments.playroom.library import Library  # noqa: PLC0415

    library = Library(seed=options.seed, device=_device(options.device))
    if options.run is not None:
        library.add_run(options.run)
        if options.problem not in (None, library.run_problem):
            raise UserError(
                f"The designer in {options.run} is for {library.run_problem}, but --problem is {options.problem}; "
                "leave --problem out, or give another run."
            )
    if options.levels is not None:
        problem = options.problem or library.run_problem
        if not problem:
            raise UserError(f"Say with --problem what {options.levels} holds: {', '.join(all_problems())}.")
        library.add_levels(options.levels, problem)
    return library


def _first_problem(options: PlayOptions, run_problem: str) -> str:
    """Returns the name of the problem that is chosen at first."""
    playable = [name for name, problem in all_problems().items() if problem.rules is not None]
    return options.problem or run_problem or (playable or list(all_problems()))[0]


def _device(name: str) -> str:
    """Returns the name of a device that is there.

    Raises:
        UserError: it is not.
    """
    if name != "cpu":
        import torch  # noqa: PLC0415 (nothing else needs it before a designer is called)

        try:
            torch.zeros(1, device=name)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise UserError(f"--device {name} cannot be used here ({reason}); leave it out to use the CPU.") from error
    return name


def _take_picture(app: App, path: Path, frames: int) -> None:
    """Waits until the scene is there, goes on by some frames, and saves what the window would show."""
    from experiments.playroom.app import FRAMES_PER_SECOND, LoadingScene  # noqa: PLC0415

    while isinstance(app.scene, LoadingScene):
        app.turn(0)
        time.sleep(0.005)
    for _ in range(frames):
        app.turn(1 / FRAMES_PER_SECOND)
    app.draw()
    app.save_screenshot(path)
    print(f"Saved {path}")


def cli(arguments: list[str] | None = None) -> None:
    """Runs `play` from the command line; None takes the process's own arguments."""
    main(PlayOptions, play, arguments)


if __name__ == "__main__":
    cli()
