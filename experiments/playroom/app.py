"""The application: one window, a stack of scenes, and a loop that never waits longer than a frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pygame
from numpy.typing import NDArray

from envs import UserError
from envs.level_io import write_levels
from envs.pictures import save_png
from envs.problem import Problem
from envs.window import open_display
from experiments.playroom.library import DesignerEntry, Level, Library, verdict
from experiments.playroom.look import BRIGHT, GREEN, MUTED, NATIVE_SIZE, RED, Brush, forget_type
from experiments.playroom.scene import Command, Scene, command, key_of
from experiments.run import make_folder

FRAMES_PER_SECOND = 60

#: How long a message stays, in seconds.
_MESSAGE_SECONDS = 5.0

#: The keys of the scenes that can be opened by name.
SCENES = ("menu", "watch", "paint", "play")


class App:
    """The playroom.

    Args:
        library: what there is to play with.
        problem: the name of the problem that is chosen at first.
        out: where levels and screenshots go.
        tile_size: the side of a tile in pixels; None for as large as fits.
    """

    def __init__(self, library: Library, problem: str, out: Path, tile_size: int | None = None) -> None:
        self.library = library
        self.problem = problem
        self.out = out
        self.tile_size = tile_size
        self.scenes: list[Scene] = []
        self.running = True
        self.mouse = (-1, -1)
        self.canvases: dict[str, Any] = {}
        self._stale = True
        self._held: set[int] = set()
        self._message = self._shown = ""
        self._message_colour = BRIGHT
        self._message_left = 0.0
        open_display(pygame)
        pygame.font.init()
        forget_type()
        pygame.key.set_repeat(260, 70)
        pygame.display.set_caption("Tilewright")
        self.surface = pygame.display.set_mode(NATIVE_SIZE, pygame.RESIZABLE)

    # The loop.

    def run(self) -> None:
        """Runs until the window is closed."""
        clock = pygame.time.Clock()
        while self.running:
            self.turn(clock.tick(FRAMES_PER_SECOND) / 1000)

    def turn(self, seconds: float) -> None:
        """Handles what has come in, goes on by a stretch of time, and draws."""
        for event in pygame.event.get():
            self._stale = True
            self.handle(event)
        self._message_left -= seconds
        if self.scenes:
            self._stale |= self.scene.lively
            # After a long pause, a suspended laptop's say, the scenes go on as if it had not been.
            self.scene.update(min(seconds, 0.25))
        # What stands still is not drawn again, which spares the processor and the battery.
        if self.scenes and self.running and (self._stale or self.message != self._shown):
            self.draw()
            pygame.display.flip()

    def handle(self, event: pygame.event.Event) -> None:
        """Acts on one event."""
        if event.type == pygame.KEYUP:
            self._held.discard(event.key)
        elif event.type == pygame.KEYDOWN:
            repeated = event.key in self._held
            self._held.add(event.key)
            if repeated and self.scenes and not self.scene.repeats(key_of(event)):
                return
        if event.type == pygame.QUIT:
            self.quit()
        elif event.type == pygame.VIDEORESIZE:
            self.surface = pygame.display.get_surface() or self.surface
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_F12:
            self.attempt(self.save_screenshot)
        elif self.scenes:
            if event.type in (pygame.MOUSEMOTION, pygame.MOUSEBUTTONDOWN, pygame.MOUSEBUTTONUP):
                self.mouse = event.pos
            self.attempt(lambda: self.scene.handle(event))

    def draw(self) -> None:
        """Draws the scene in front."""
        self._stale, self._shown = False, self.message
        self.scene.draw(self.surface)

    def close(self) -> None:
        """Closes the window."""
        self.scenes.clear()
        pygame.quit()
        forget_type()

    # Where one is.

    @property
    def scene(self) -> Scene:
        """The scene in front."""
        return self.scenes[-1]

    def push(self, scene: Scene) -> None:
        """Puts a scene in front."""
        self.scenes.append(scene)
        self._entered()

    def replace(self, scene: Scene) -> None:
        """Puts a scene in the place of the one in front."""
        self.scenes[-1] = scene
        self._entered()

    def back(self) -> None:
        """Goes back to the scene before, or quits from the first."""
        self.scenes.pop()
        if self.scenes:
            self._entered()
        else:
            self.quit()

    def _entered(self) -> None:
        self._stale = True

    def quit(self) -> None:
        """Ends the loop."""
        self.running = False

    def open(
        self,
        name: str,
        problem: Problem | None = None,
        levels: Sequence[Level] | None = None,
        entry: DesignerEntry | None = None,
    ) -> None:
        """Prepares a scene in the background and puts it in front when it is ready.

        Args:
            name: one of `SCENES`.
            problem: what it is about; None for the one that is chosen.
            levels: levels to begin with.
            entry: the designer to begin with.

        Raises:
            UserError: the problem cannot be played.
        """
        from experiments.playroom.game import GameScene  # noqa: PLC0415 (the scenes import this module for types)
        from experiments.playroom.live import LiveScene  # noqa: PLC0415
        from experiments.playroom.menu import MenuScene  # noqa: PLC0415
        from experiments.playroom.paint import PaintScene  # noqa: PLC0415
        from experiments.playroom.watch import WatchScene  # noqa: PLC0415

        task = problem or self.library.problems[self.problem]
        if name == "menu":
            self.push(MenuScene(self))
        elif name == "watch":
            chosen = entry or self.library.designers(task)[0]
            self._prepare(
                f"Calling the {chosen.name} to work on {task.name}",
                lambda: prepare_watch(self.library, task, chosen, levels),
                lambda ready: WatchScene(self, task, ready, levels[0] if levels else None),
            )
        elif name == "paint":
            self._prepare(
                f"Laying out the tiles of {task.name}",
                lambda: prepare_paint(self.library, task),
                lambda shape: PaintScene(self, task, levels[0] if levels else None, shape),
            )
        else:
            rules = task.rules
            if rules is None:
                raise UserError(f"The {task.name} problem has no rules of play; its levels can be designed only.")
            chosen_levels = list(levels or self.library.levels(task))
            if not chosen_levels:
                raise UserError(f"There are no {task.name} levels to play; give some with --levels.")
            scene = LiveScene if rules.ticks_per_second else GameScene
            self._prepare(
                f"Learning the rules of {task.name}",
                lambda: verdict(rules, chosen_levels[0]),
                lambda _: scene(self, task, chosen_levels, own=bool(levels)),
            )

    def _prepare(self, words: str, work: Callable[[], Any], scene: Callable[[Any], Scene]) -> None:
        self.push(LoadingScene(self, words, work, scene))

    # What scenes say and save.

    def say(self, text: str, colour: tuple[int, int, int] = GREEN) -> None:
        """Shows a message for a few seconds."""
        self._message, self._message_colour, self._message_left = text, colour, _MESSAGE_SECONDS

    @property
    def message(self) -> str:
        """The message that is shown now, or nothing."""
        return self._message if self._message_left > 0 else ""

    def attempt(self, action: Callable[[], Any]) -> None:
        """Does something, and shows what stands against it instead of failing."""
        try:
            action()
        except UserError as error:
            self.say(str(error), RED)

    def draw_message(self, brush: Brush, area: pygame.Rect) -> None:
        """Draws the message, if there is one, at the bottom of an area."""
        if not self.message:
            return
        lines = brush.wrap(self.message, area.width - brush.px(120), 15)
        width = max(brush.text_width(line, 15) for line in lines) + brush.px(48)
        box = pygame.Rect(0, 0, width, brush.line_height(15) * len(lines) + brush.px(20))
        box.midbottom = (area.centerx, area.bottom - brush.px(12))
        brush.panel(box, (20, 19, 28), 10, self._message_colour)
        for i, line in enumerate(lines):
            place = (box.centerx, box.top + brush.px(10) + i * brush.line_height(15))
            brush.text(line, place, 15, BRIGHT, anchor="midtop")

    def picture(self) -> NDArray[np.uint8]:
        """Returns what the window shows, uint8 (height, width, 3)."""
        return np.ascontiguousarray(pygame.surfarray.array3d(self.surface).swapaxes(0, 1))

    def save_screenshot(self, path: Path | None = None) -> Path:
        """Saves what the window shows as PNG and returns the file.

        Raises:
            UserError: the file cannot be written.
        """
        target = path or fresh_path(make_folder(self.out), "screenshot", (".png",))
        save_png(target, self.picture())
        self.say(f"Saved {target}")
        return target

    def save_level(self, problem: Problem, level: Level) -> tuple[Path, ...]:
        """Saves a level as text and, unless it has three axes, as a Tiled map, and returns the files.

        Raises:
            UserError: a file cannot be written.
        """
        text = fresh_path(make_folder(self.out), problem.name, (".txt", ".tmj"))
        write_levels(text, [level], problem)
        if level.ndim == 3:
            # Tiled's maps are flat.
            self.say(f"Saved {text}")
            return (text,)
        tiled = write_levels(text.with_suffix(".tmj"), [level], problem, self.tile_size or 32)
        self.say(f"Saved {text} and {tiled.name}")
        return text, tiled


def fresh_path(folder: Path, stem: str, suffixes: tuple[str, ...]) -> Path:
    """Returns the first numbered path in a folder that is free, under all the given suffixes."""
    number = 1
    while any((folder / f"{stem}-{number}{suffix}").exists() for suffix in suffixes):
        number += 1
    return folder / f"{stem}-{number}{suffixes[0]}"


def prepare_watch(
    library: Library, problem: Problem, entry: DesignerEntry, levels: Sequence[Level] | None
) -> tuple[Any, DesignerEntry, str]:
    """Loads a designer and lets it take a first step, so that all kernels are compiled.

    Returns:
        The builder, the entry that it belongs to, and what went wrong with the designer that was asked for, if
        the hill climber had to take its place.
    """
    shape = levels[0].shape if levels else None
    trouble = ""
    try:
        builder = library.builder(problem, entry, shape)
    except UserError as error:
        trouble, entry = str(error), library.designers(problem)[-1]
        builder = library.builder(problem, entry, shape)
    builder.begin(library.seed)
    builder.advance()
    return builder, entry, trouble


def prepare_paint(library: Library, problem: Problem) -> tuple[int, ...]:
    """Loads the first designer and measures a level, so that all kernels are compiled.

    Returns:
        The (height, width) of the levels that the designer knows.
    """
    level = np.zeros((1, *problem.default_shape), np.uint8)
    problem.measure(level)
    examples = library.levels(problem)
    if problem.rules is not None and examples:
        verdict(problem.rules, examples[0])
    try:
        return tuple(library.builder(problem, library.designers(problem)[0]).env.shape)
    except UserError:
        # What is wrong with the designer is told when it is called.
        return problem.default_shape


class LoadingScene(Scene):
    """Waits for something slow that is done in the background, then makes way for the scene that needed it.

    Args:
        app: the application.
        words: what is being done.
        work: does it, away from the window.
        scene: makes the scene from its result.
    """

    title = "One moment"
    lively = True

    def __init__(self, app: App, words: str, work: Callable[[], Any], scene: Callable[[Any], Scene]) -> None:
        super().__init__(app)
        self._words = words
        self._scene = scene
        self._result: Any = None
        self._error: Exception | None = None
        self._waited = 0.0

        def background() -> None:
            try:
                self._result = work()
            except Exception as error:
                self._error = error

        self._thread = threading.Thread(target=background, daemon=True)
        self._thread.start()

    def commands(self) -> list[Command]:
        """Returns the way back."""
        return [command("cancel", {"escape": self.app.back})]

    def update(self, seconds: float) -> None:
        """Makes way when the work is done."""
        self._waited += seconds
        if self._thread.is_alive():
            return
        if self._error is None:
            self.app.replace(self._scene(self._result))
            return
        self.app.back()
        if not isinstance(self._error, UserError):
            raise self._error
        self.app.say(str(self._error), RED)

    def draw_content(self, brush: Brush, box: pygame.Rect) -> None:
        """Draws that something is going on."""
        if self._waited < 0.12:
            return
        centre = box.centerx, box.centery
        brush.text(f"{self._words} …", (centre[0], centre[1] - brush.px(30)), 22, BRIGHT, anchor="center")
        for i in range(5):
            glow = max(0.0, 1 - abs((self._waited * 4) % 7 - 1 - i) / 1.5)
            shade = tuple(int(60 + glow * (end - 60)) for end in (250, 207, 76))
            pygame.draw.rect(
                brush.surface,
                shade,
                (
                    centre[0] + (i - 2) * brush.px(28) - brush.px(9),
                    centre[1] + brush.px(10),
                    brush.px(18),
                    brush.px(18),
                ),
                border_radius=brush.px(4),
            )
        if self._waited > 1.5:
            words = "The first time, this compiles the rules of play; it takes up to half a minute."
            brush.text(words, (centre[0], centre[1] + brush.px(64)), 15, MUTED, anchor="center")
