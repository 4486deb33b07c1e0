"""What is compiled and loaded at first use is used once in the background, so that the first who asks need not wait."""

from __future__ import annotations

import logging
import threading

from envs import Problem, UserError, all_problems, construct
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

    Args:
        catalogue: what is served.
        limits: of the service.
    """

    def __init__(self, catalogue: Catalogue, limits: Limits) -> None:
        self._catalogue, self._limits, self._work = catalogue, limits, Work()
        trained = {record.problem.name for record in catalogue.generators.values() if record.engine != "numpy"}
        self._problems = sorted(all_problems().values(), key=lambda problem: problem.name not in trained)
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
        """Does with a problem what the page does first."""
        for record in self._catalogue.generators.values():
            self._work.check()
            if record.problem is problem and record.engine != "numpy":
                record.source.get().sample_all([Ask(1, 0)])
        try:
            level = construct(problem, 1)[0]
        except UserError:
            return
        self._work.check()
        usual_lexicon(problem.name)
        self._work.check()
        examined(problem, level[None], self._work)
        mended(problem, level, None, 0, self._limits, self._work)
        if problem.rules is not None:
            played(problem, level, PlayBody(level=grid(level), actions=[]), self._limits, self._work)
