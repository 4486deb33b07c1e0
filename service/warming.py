"""What is compiled and loaded at first use is used once in the background, so that the first who asks need not wait."""

from __future__ import annotations

import logging
import threading

from envs import Problem, UserError, all_problems, construct, get_problem
from generators.words.lexicon import usual_lexicon
from service.levels import examined, grid, mended, played
from service.limits import Limits
from service.models import Catalogue
from service.refusals import HungUpError
from service.requests import PlayBody
from service.sources import Ask
from service.work import Work

logger = logging.getLogger(__name__)


class Warming:
    """A thread that warms a service up, one problem after another: those first that trained models are served for.

    The very first is the one that the page opens with, for kernels are compiled one after another, whoever asks.

    Args:
        catalogue: what is served.
        limits: of the service.
    """

    def __init__(self, catalogue: Catalogue, limits: Limits) -> None:
        self._catalogue, self._limits, self._work = catalogue, limits, Work()
        trained = [record.problem.name for record in catalogue.generators.values() if record.engine != "numpy"]
        self._problems = tuple(map(get_problem, dict.fromkeys([*trained, *all_problems()])))
        # Nothing is lost where it ends with the process in the middle of a compilation.
        self._thread = threading.Thread(target=self._run, name="warming", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends soon, without being waited for."""
        self._work.stop()

    def join(self) -> None:
        """Waits until all is warm."""
        self._thread.join()

    def _run(self) -> None:
        for problem in self._problems:
            try:
                self._use(problem)
            except HungUpError:
                return
            except Exception:
                # Whoever asks for the same will be told; what has to do with other problems may be whole.
                logger.exception("Warming up %s failed", problem.name)

    def _use(self, problem: Problem) -> None:
        """Does with a problem what the page does, in the order of what is soonest asked for."""
        for record in self._catalogue.generators.values():
            self._work.check()
            if record.problem is problem and record.engine != "numpy":
                examined(problem, record.source.get().sample_all([Ask(1, 0)])[0], self._work)
        try:
            level = construct(problem, 1)[0]
        except UserError:
            return
        examined(problem, level[None], self._work)
        usual_lexicon(problem.name)
        self._work.check()
        mended(problem, level, None, 0, self._limits, self._work)
        if problem.rules is not None:
            played(problem, level, PlayBody(level=grid(level), actions=[]), self._limits, self._work)
