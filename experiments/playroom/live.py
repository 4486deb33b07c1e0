"""Play a level of a game that runs by itself: buttons are held down, and time goes on without the player."""

from __future__ import annotations

from collections import deque
from functools import partial

import pygame

from envs.rules import PLAYING, WON
from experiments.playroom.board import border_look
from experiments.playroom.game import GameScene
from experiments.playroom.look import GOLD, Brush
from experiments.playroom.scene import Command, command, key_of

#: For how many ticks a button counts as held that was clicked on.
_CLICK_TICKS = 8


class LiveScene(GameScene):
    """A game that runs by itself. It waits for the first button, and from there on ticks at the game's own pace.

    The arguments are those of `GameScene`.
    """

    unit, ask = "seconds", "Let our player go on"

    def restart(self) -> None:
        """Begins the level again, standing still until a button is pressed."""
        super().restart()
        self.running = False
        self._time = 0.0
        self._held: set[str] = set()
        self._clicked: dict[str, int] = {}
        self._autopilot: deque[int] = deque()
        self._button_of = {key: button for button, keys in self.rules.keys.items() for key in keys}

    def counted(self, moves: int) -> str:
        """Returns a number of ticks in seconds."""
        return f"{moves / self.rules.ticks_per_second:.1f}"

    def told(self, moves: int) -> str:
        """Returns a number of ticks in seconds, in words."""
        return f"{self.counted(moves)} seconds"

    @property
    def lively(self) -> bool:  # type: ignore[override]
        """Whether time goes on."""
        return self.running and self.outcome == PLAYING

    # What the player does.

    def hold(self, button: str) -> None:
        """Presses a button down; whoever plays along takes the game over from the solver."""
        self.running = True
        self._autopilot.clear()
        self._held.add(button)

    def click(self, button: str) -> None:
        """Holds a button for a moment."""
        self.hold(button)
        self._held.discard(button)
        self._clicked[button] = _CLICK_TICKS

    def show_hint(self) -> None:
        """Lets the solver play on from where the game stands."""
        if not self.playable or self.outcome != PLAYING:
            return
        found = self.rules.solve_state(self.state)
        self.hint = None
        if found.solved:
            self._autopilot = deque(int(action) for action in found.actions)
            self.running = True
            self.app.say(f"Our player takes over: {self.told(len(found.actions))} to the goal.")
        elif found.status == "unsolvable":
            self.app.say("From here nobody reaches the goal any more: that is proven.", GOLD)
        else:
            self.app.say("Our player knows no way from here.", GOLD)

    def handle(self, event: pygame.event.Event) -> None:
        """Acts on a key or the mouse, and on keys that are let go."""
        if event.type == pygame.KEYUP:
            self._held.discard(self._button_of.get(key_of(event), ""))
        super().handle(event)

    def press(self, key: str) -> bool:
        """Presses the button of a key down, while the game goes on."""
        if key in self._button_of and self.playable and self.outcome == PLAYING:
            self.hold(self._button_of[key])
            return True
        return False

    def repeats(self, key: str) -> bool:
        """No key repeats: what is held is held."""
        return False

    def commands(self) -> list[Command]:
        """Returns the keys of the scene: the game's buttons, then the rest."""
        own = {"move", *self.rules.actions}
        entries = [entry for entry in super().commands() if entry.label not in own]
        if self.outcome != PLAYING:
            return entries
        buttons = [command(button, {keys[0]: partial(self.click, button)}) for button, keys in self.rules.keys.items()]
        return buttons + [
            command("let our player go on", entry.keys) if entry.label == "hint" else entry for entry in entries
        ]

    # Time.

    def held_action(self) -> int:
        """Returns the action that presses as many of the buttons that are held as one action can, and no other."""
        held = self._held | set(self._clicked)
        best, most = 0, -1
        for i, name in enumerate(self.rules.actions):
            buttons = set() if name == "wait" else set(name.split("+"))
            if buttons <= held and len(buttons) > most:
                best, most = i, len(buttons)
        return best

    def update(self, seconds: float) -> None:
        """Plays the ticks that fall into a stretch of time."""
        if not self.lively:
            return
        self._time += seconds * self.rules.ticks_per_second
        while self._time >= 1 and self.lively:
            self._time -= 1
            self.tick(self._autopilot.popleft() if self._autopilot else self.held_action())

    def tick(self, action: int) -> None:
        """Plays one tick."""
        self.state = self.rules.step(self.state, action)
        self.moves += 1
        self._clicked = {button: left - 1 for button, left in self._clicked.items() if left > 1}
        if self.outcome == WON:
            self.solved.add(self.index)

    # Drawing.

    def _draw_game(self, brush: Brush, picture: pygame.Rect) -> None:
        actors = self.rules.actors(self.state)
        ground = self.rules.ground(self.state)
        self._board.draw_live(brush, picture, self.rules.sprites, ground, actors, border_look(self.problem))
        if not self.running and self.outcome == PLAYING:
            words = "Press a button to begin"
            plate = pygame.Rect(0, 0, brush.text_width(words, 17) + brush.px(40), brush.px(44))
            plate.center = self._board.place.center
            brush.panel(plate, (20, 19, 28), 10, GOLD)
            brush.text(words, plate.center, 17, GOLD, anchor="center")

    def _draw_pad(self, brush: Brush, box: pygame.Rect) -> int:
        """Draws a button for every button of the game."""
        size, gap = brush.px(44), brush.px(6)
        width = min((box.width - gap) // 2, brush.px(190))
        for i, (name, keys) in enumerate(self.rules.keys.items()):
            cell = pygame.Rect(box.left + (i % 2) * (width + gap), box.top + (i // 2) * (size + gap), width, size)
            enabled = self.playable and self.outcome == PLAYING
            self.button(brush, cell, partial(self.click, name), name.capitalize(), key=keys[0], enabled=enabled)
        return box.top + -(-len(self.rules.keys) // 2) * (size + gap) + brush.px(6)
