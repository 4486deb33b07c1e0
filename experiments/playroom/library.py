"""What there is to play with: problems, their levels, their designers, and what their solvers say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import agents
from envs import UserError, all_problems, get_problem
from envs.level_io import read_levels
from envs.levels import bundled_levels
from envs.problem import Problem
from envs.rules import PLAYING, Rules, Solution

if TYPE_CHECKING:
    from agents.builders import Builder
    from agents.designer import PolicyDesigner

Level = NDArray[np.uint8]

#: Where the trained designers that come with the project are, one folder each: <problem>-<representation>.
PRETRAINED = Path(agents.__path__[0]) / "pretrained"

#: The files that make a folder a saved designer.
_DESIGNER_FILES = ("config.json", "model.safetensors")

#: How many states a solver may look at while someone waits for its answer.
PATIENCE = 200_000


@dataclass(frozen=True)
class DesignerEntry:
    """A designer that can be called to work.

    Attributes:
        name: what the window calls it.
        folder: where it is saved; None for the hill climber, which is not trained.
    """

    name: str
    folder: Path | None


@dataclass
class Library:
    """Everything there is to play with.

    Attributes:
        seed: fixes all draws.
        device: where trained designers run.
        run: the folder of the user's own trained designer, or None.
        own_levels: the levels that the user brought, by the problem's name.
        designers_folder: where to look for the designers that come with the project.
    """

    seed: int = 0
    device: str = "cpu"
    run: Path | None = None
    run_problem: str = ""
    own_levels: dict[str, list[Level]] = field(default_factory=dict)
    designers_folder: Path = PRETRAINED
    _loaded: dict[Path, PolicyDesigner] = field(default_factory=dict)

    @property
    def problems(self) -> dict[str, Problem]:
        """Every problem by its name."""
        return all_problems()

    def add_run(self, folder: Path) -> None:
        """Makes the designer of a run available, before all others of its problem.

        Raises:
            UserError: there is no designer in the folder, or it cannot be loaded.
        """
        found = find_designer(folder)
        self.run, self.run_problem = found, self.load(found).problem.name

    def add_levels(self, path: Path, problem: str) -> None:
        """Reads the user's levels of a problem.

        Raises:
            UserError: the file cannot be read, or the problem is unknown.
        """
        self.own_levels[problem] = read_levels(path, get_problem(problem))

    def levels(self, problem: Problem) -> list[Level]:
        """Returns the levels of a problem: the user's, or else those that come with the suite."""
        return self.own_levels.get(problem.name) or bundled_levels(problem)

    def designers(self, problem: Problem) -> list[DesignerEntry]:
        """Returns the designers of a problem: the user's, those that come with the project, the hill climber."""
        entries = []
        if self.run is not None and self.run_problem == problem.name:
            entries.append(DesignerEntry(_shown_name(self.run), self.run))
        if self.designers_folder.is_dir():
            for folder in sorted(self.designers_folder.iterdir()):
                name, _, representation = folder.name.rpartition("-")
                if name == problem.name and folder.is_dir():
                    entries.append(DesignerEntry(f"{representation} designer (trained)", folder))
        return [*entries, DesignerEntry("hill climber (untrained)", None)]

    def has_trained(self, problem: Problem) -> bool:
        """Returns whether there is a trained designer for a problem."""
        return len(self.designers(problem)) > 1

    def load(self, folder: Path) -> PolicyDesigner:
        """Returns the designer that is saved in a folder.

        Raises:
            UserError: it cannot be loaded.
        """
        import torch  # noqa: PLC0415 (most scenes do without)

        from agents.designer import PolicyDesigner  # noqa: PLC0415

        if folder not in self._loaded:
            # The networks are small and the window needs a core of its own.
            torch.set_num_threads(1)
            try:
                designer = PolicyDesigner.from_pretrained(folder, device=self.device)
                designer.make_env(1)
            except UserError:
                raise
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise UserError(
                    f"The designer in {folder} cannot be used ({type(error).__name__}: {reason}); "
                    "train or save it again."
                ) from error
            self._loaded[folder] = designer
        return self._loaded[folder]

    def builder(
        self,
        problem: Problem,
        entry: DesignerEntry,
        shape: tuple[int, ...] | None = None,
        until_strict: bool = False,
    ) -> Builder:
        """Returns a designer ready to work.

        Args:
            problem: what it designs for.
            entry: which designer.
            shape: the (height, width) of the level; None is what the designer is used to.
            until_strict: see `Builder`.

        Raises:
            UserError: the designer cannot be loaded, or is not used to levels of that shape.
        """
        from agents.builders import ClimberBuilder, PolicyBuilder  # noqa: PLC0415 (brings in torch)

        if entry.folder is None:
            return ClimberBuilder(problem, shape, until_strict)
        builder = PolicyBuilder(self.load(entry.folder), entry.name, until_strict)
        if shape is not None and tuple(shape) != tuple(builder.env.shape):
            known = "x".join(str(size) for size in builder.env.shape)
            given = "x".join(str(size) for size in shape)
            raise UserError(f"The {entry.name} knows levels of {known} tiles only; this one has {given}.")
        return builder


def find_designer(folder: Path) -> Path:
    """Returns the folder of the designer in a run folder, or the folder itself where it is a designer's.

    Raises:
        UserError: there is no such folder, or no designer in it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; give --run the folder of a trained run or of a saved designer.")
    for candidate in (folder / "designer", folder):
        if all((candidate / name).is_file() for name in _DESIGNER_FILES):
            return candidate
    raise UserError(
        f"{folder} holds no finished designer ({' and '.join(_DESIGNER_FILES)}, in it or in its folder designer); "
        "give --run the folder of a finished run, or levels by --levels FILE --problem NAME."
    )


def _shown_name(folder: Path) -> str:
    return f"your {folder.parent.name if folder.name == 'designer' else folder.name}"


def verdict(rules: Rules, level: Level, budget: int | None = None) -> tuple[Solution | None, str]:
    """Returns what the solver says about a level, and that in words; no solution where it cannot be started."""
    trouble = rules.problem_with(level)
    if trouble:
        return None, f"cannot be started: {trouble}"
    solution = rules.solve(level, budget or PATIENCE)
    if solution.status == "solved":
        moves = len(solution.actions)
        if rules.ticks_per_second:
            return solution, f"proven winnable in {moves / rules.ticks_per_second:.1f} seconds"
        return solution, f"proven winnable in {moves} move{'' if moves == 1 else 's'}"
    if solution.status == "unsolvable":
        return solution, "proven unsolvable"
    return solution, f"unknown: the solver stopped after {solution.nodes:,} positions"


def hint(rules: Rules, state: NDArray[np.int32]) -> tuple[int | None, str]:
    """Returns the action that the solver would take next in a position, and a sentence about it."""
    if rules.outcome(state) != PLAYING:
        return None, "The game is over."
    found = rules.solve_state(state, PATIENCE)
    if found.status == "unsolvable":
        return None, "This position cannot be won any more."
    if found.status == "unknown":
        return None, "The solver cannot tell: it stopped at its budget."
    return _told(rules, found.actions)


def _told(rules: Rules, actions: Sequence[int] | NDArray[np.int64]) -> tuple[int, str]:
    name = rules.actions[int(actions[0])]
    rest = f"{len(actions)} moves win" if len(actions) > 1 else "that wins"
    return int(actions[0]), f"Next: {name}; {rest}."
