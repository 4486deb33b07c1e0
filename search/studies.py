"""The study: what is asked for, trained and told, who does it, and what happens when something dies.

One process, the driver, asks the sampler, orders workers about, compares what they measured, and tells the study;
several drivers may share a study. Workers keep nothing. A trial names its owner, so that whoever comes next sees that a
driver is gone; a trial whose worker or driver died is marked as failed, and another with its number, its parameters and
its origin stands in its place.

A trial that was stopped at a rung is told as complete, and as breaking a constraint of its own ("trained whole") by as
much as it was away from the top, and not as pruned: Optuna's genetic samplers look at complete trials alone, so that
two of three trials would teach them nothing and a generation would take three times as long; its TPE cannot tell good
pruned trials from bad ones where there are several objectives (`Trial.report` is of one). With the constraint all
samplers put trained trials first and the others in the order in which they came up, and `Study.best_trials` is the true
front.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from safetensors.numpy import load_file, save

from envs import UserError
from envs.files import write_atomically
from search.objectives import Constraint, Objective
from search.picking import front
from search.ranking import proxy_ranks, trusted_proxy
from search.rungs import Ladder, Part, goes_on, places
from search.samplers import SamplerName, make_sampler
from search.storages import HEARTBEAT, hidden, is_file, open_storage, study_lock, told_plainly
from search.trials import DEFAULT, State, TrialRecord, counted, distance, finite, is_gone, losses, this_process
from search.workers import Answer, Look, Train, Workers

if TYPE_CHECKING:
    from search.space import Settings, Space

#: The folder of all trials' folders, and what is in one of these.
TRIALS_FOLDER, TRIAL_FILE, WEIGHTS_FILE, CANDIDATE_FOLDER = "trials", "trial.json", "weights.safetensors", "candidate"

#: What Optuna calls the constraint that stopped trials break.
WHOLE = "trained whole"

#: How many suggestions proxies choose from.
SCREENED = 4

#: A sampler that suggests so many architectures in succession that were tried before has no others.
_COPIES = 50

#: After so many trials in succession that the program failed in, the search stops.
_FAULTS = 3

#: How long answers are waited for at a time, and workers when all are lost, in seconds.
_TICK, _PATIENCE = 1.0, 600.0

#: How long another machine's driver may take to sign a trial in a database, in seconds.
_SIGNING = 300.0


@dataclass(frozen=True)
class Plan:
    """What a search asks of every trial. A study keeps it: whoever resumes or joins must ask for the same.

    Attributes:
        objectives: what is searched for; the first is the quality by which trials of a rank are put in order, and by
            which one is picked.
        constraints: what trials must keep.
        sampler: who suggests.
        ladder: how trainings are cut into parts.
        minutes: the training of a trial that is never stopped, in minutes of a processor; 0 for no limit.
        steps: the same in steps; 0 for no limit.
        samples: how many levels a trial is measured on.
        guide: what trials are compared by at rungs before the last, beside their costs; None for all objectives. Levels
            of a model that has learned little may be playable and novel by chance. Where there is a guide, a rung
            measures trials on its share of the levels.
        proxies: whether zero-cost proxies are off, are measured, or choose among suggestions once they are shown to
            rank.
        inherit: whether trials begin with the weights of the nearest trial before them.
        seed: of all draws.
    """

    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...] = ()
    sampler: SamplerName = "nsga2"
    ladder: Ladder = field(default_factory=Ladder)
    minutes: float = 2.0
    steps: int = 0
    samples: int = 200
    proxies: Literal["off", "measure", "screen"] = "measure"
    inherit: bool = False
    seed: int = 0
    guide: Objective | None = None

    @property
    def ranked(self) -> tuple[Objective, ...]:
        """By what trials are ranked at each rung: by the quality at the last, by the guide before."""
        return (*(self.compared[:1] * (self.ladder.height - 1)), self.objectives[0])

    @property
    def compared(self) -> tuple[Objective, ...]:
        """What trials are compared by at rungs before the last."""
        if self.guide is None:
            return self.objectives
        return (self.guide, *(one for one in self.objectives if one.cost))

    def samples_at(self, share: float) -> int:
        """Returns how many levels a trial is measured on that has been trained for a share of a whole training."""
        return self.samples if self.guide is None else max(2, round(share * self.samples))

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        self.ladder.check()
        for name, value in (("minutes", self.minutes), ("steps", self.steps)):
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"--{name} must be a finite number of at least 0; got {value}.")
        if not self.minutes and not self.steps:
            raise UserError("A trial needs a training time or a number of steps above 0: give --minutes or --steps.")
        if self.samples < 2:
            raise UserError(f"--samples must be at least 2; got {self.samples}.")

    def record(self) -> dict[str, Any]:
        """Returns it as plain data."""
        plain = asdict(self)
        plain["objectives"] = {one.name: one.direction for one in self.objectives}
        plain["constraints"] = [str(one) for one in self.constraints]
        plain["guide"] = self.compared[0].name
        found: dict[str, Any] = json.loads(json.dumps(plain))
        return found


@dataclass(frozen=True)
class Limits:
    """How far a search goes. It may be resumed with others.

    Attributes:
        trials: how many architectures are tried, the default included.
        minutes: after so many minutes no trial is begun, and those in training stop at their next rung; 0 for no limit.
        retries: how many more workers a trial may cost whose worker died.
    """

    trials: int = 60
    minutes: float = 60.0
    retries: int = 2

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.trials < 1:
            raise UserError(f"--trials must be at least 1; got {self.trials}.")
        if not (math.isfinite(self.minutes) and self.minutes >= 0):
            raise UserError(f"--search-minutes must be a finite number of at least 0; got {self.minutes}.")
        if self.retries < 0:
            raise UserError(f"--retries must be at least 0; got {self.retries}.")


@dataclass(frozen=True)
class Standing:
    """How far a search is.

    Attributes:
        trials: how many architectures were tried.
        stopped: how many of them were stopped at a rung.
        running: how many are in training.
        best: the best quality of a trial that was trained whole and is feasible; NaN before there is one.
        front: how many trials the front has.
        seconds_left: of the search's time; infinite where there is no limit.
        share: of the search that is done, in [0, 1].
    """

    trials: int
    stopped: int
    running: int
    best: float
    front: int
    seconds_left: float
    share: float


@dataclass
class _Slot:
    """What a worker is at.

    Attributes:
        trial: the trial in training.
        number: by which people know it.
        settings: its architecture.
        parts: of its training.
        done: how many of them are done; -1 before it was looked at.
        rivals: suggestions of which proxies will choose one.
    """

    trial: optuna.Trial
    number: int
    settings: Settings
    parts: tuple[Part, ...]
    done: int = -1
    rivals: list[_Slot] = field(default_factory=list)

    @property
    def known(self) -> dict[str, Any]:
        return self.trial.user_attrs

    @property
    def is_default(self) -> bool:
        return bool(self.known.get("origin") == DEFAULT)

    @property
    def is_asked_for(self) -> bool:
        return "origin" in self.known or "replaces" in self.known


class Search:
    """A study and its driver.

    Args:
        space: what may be chosen.
        plan: what is asked of every trial.
        limits: how far the search goes.
        workers: who trains.
        folder: the study's folder, which exists.
        name: the study's name in its storage.
        url: of the database that keeps it; "" keeps it in a journal in the folder.
        wanted: what is tried first besides the default: where it comes from, and its settings.
        default: the settings of trial 0; by default the space's.
        about: what else trials depend on, plain data; whoever resumes or joins must say the same.

    Raises:
        UserError: the storage cannot be used, or the study was begun with another plan or space.
    """

    def __init__(
        self,
        space: Space,
        plan: Plan,
        limits: Limits,
        workers: Workers,
        folder: Path,
        *,
        name: str = "search",
        url: str = "",
        wanted: Sequence[tuple[str, Settings]] = (),
        default: Settings | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        plan.check()
        limits.check()
        self.space, self.plan, self.limits, self.workers = space, plan, limits, workers
        self.folder, self.url = folder, url
        self._lock = study_lock(url, folder)
        self._slots: dict[int, _Slot] = {}
        self._faults = 0
        self._exhausted = False
        self._beaten = -math.inf
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with told_plainly(url, folder), _quiet(), self._lock:
            self._storage = open_storage(url, folder)
            self.study = optuna.create_study(
                storage=self._storage,
                study_name=name,
                directions=[one.direction for one in plan.objectives],
                sampler=make_sampler(plan.sampler, limits.trials, plan.seed),
                load_if_exists=True,
            )
            self._agree({"plan": plan.record(), "subject": space.subject, "about": dict(about or {})})
            if not self.study.get_trials(deepcopy=False):
                self._enqueue([(DEFAULT, default or space.default()), *wanted])
            self._mend()
        self._before = float(self.study.user_attrs.get("seconds", 0.0))
        self._began = time.perf_counter()

    # What is known.

    def records(self) -> list[TrialRecord]:
        """Returns all trials."""
        return [TrialRecord.of(trial) for trial in self.study.get_trials(deepcopy=False)]

    def told(self) -> dict[int, TrialRecord | None]:
        """Returns the trials that were tried, by Optuna's number; None for those that another driver had trained."""
        trials = {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}
        tried = counted([TrialRecord.of(trial) for trial in trials.values()])
        return {
            record.trial: record if trials[record.trial].user_attrs.get("owner") == this_process() else None
            for record in tried
            if record.state not in ("waiting", "running")
        }

    @property
    def seconds(self) -> float:
        """How long the search has taken so far, by the clock on the wall, by all drivers one after the other."""
        return self._before + time.perf_counter() - self._began

    def standing(self) -> Standing:
        """Returns how far the search is."""
        records = counted(self.records())
        told = [record for record in records if record.state not in ("waiting", "running")]
        best = front(records, self.plan.objectives)
        quality = self.plan.objectives[0]
        values = [-quality.loss(record.figures[quality.name]) for record in best]
        left = 60 * self.limits.minutes - self.seconds if self.limits.minutes else math.inf
        spent = self.seconds / (60 * self.limits.minutes) if self.limits.minutes else 0.0
        return Standing(
            len(told),
            sum(record.state == "stopped" for record in told),
            len(self._slots),
            -quality.loss(max(values)) if values else math.nan,
            len(best),
            max(left, 0.0),
            min(max(len(told) / self.limits.trials, spent), 1.0),
        )

    # Searching.

    def run(self, report: Callable[[Standing], None] | None = None) -> None:
        """Searches until the trials or the time are spent.

        Args:
            report: called now and then.

        Raises:
            UserError: the default cannot be trained, the storage or the system failed, or all workers are lost. What
                was told is kept, and the search can be resumed.
        """
        with told_plainly(self.url, self.folder), _quiet():
            try:
                self._run(report)
            finally:
                self._leave()

    def _run(self, report: Callable[[Standing], None] | None) -> None:
        waited = time.perf_counter()
        while True:
            idle = self.workers.idle()
            more = [self._begin(worker) for worker in idle] if self._goes_on() else [False]
            if self._slots:
                waited = time.perf_counter()
            elif not any(more) and (idle or not self._goes_on()):
                return
            elif time.perf_counter() - waited > _PATIENCE:
                raise UserError(
                    "All workers were lost, and there is no room for others: add nodes, and --resume goes on."
                )
            for worker, answer, reason in self.workers.answers(_TICK):
                self._hear(worker, answer, reason)
            self._beat()
            if report:
                report(self.standing())

    def _goes_on(self) -> bool:
        """Returns whether trials are still begun.

        Trial 0 is, whatever the time; and what stands in a lost one's place, whether or not there is more to suggest.
        """
        late = self._late()
        if not late and not self._exhausted:
            return True
        return any(record.state == "waiting" and (record.origin == DEFAULT or not late) for record in self.records())

    def _late(self) -> bool:
        return bool(self.limits.minutes) and self.seconds > 60 * self.limits.minutes

    def _begin(self, worker: int) -> bool:
        """Gives an idle worker a trial; returns whether there was one."""
        slot = self._next()
        if slot is None:
            return False
        self._give(worker, slot)
        return True

    def _give(self, worker: int, slot: _Slot) -> None:
        self._slots[worker] = slot
        if slot.done < 0:
            look = Look(slot.number, slot.settings, self.plan.seed, self.plan.proxies != "off")
            self.workers.give(worker, look)
            return
        part, first, last = slot.parts[slot.done], slot.done == 0, slot.done == len(slot.parts) - 1
        order = Train(
            slot.number,
            slot.settings,
            self.plan.seed,
            first,
            self.plan.minutes * part.share,
            max(1, round(self.plan.steps * part.share)) if self.plan.steps else 0,
            part.levels,
            self.plan.samples_at(sum(one.share for one in slot.parts[: slot.done + 1])),
            self.plan.seed,
            parent=self._parent(slot) if first else None,
            keep_weights=self.plan.inherit,
            save=last,
        )
        self.workers.give(worker, order)

    def _next(self) -> _Slot | None:
        """Returns what is to be tried next; what was tried before is told at once."""
        for _ in range(_COPIES):
            trial = self._ask()
            if trial is None:
                return None
            settings: Settings = json.loads(json.dumps(self.space.suggest(trial)))
            number = trial.user_attrs.get("number", trial.number)
            bracket = 0 if trial.user_attrs.get("origin") == DEFAULT else self.plan.ladder.bracket(number)
            trial.set_user_attr("settings", settings)
            trial.set_user_attr("bracket", bracket)
            slot = _Slot(trial, number, settings, self.plan.ladder.parts(bracket))
            twin = self._twin(slot)
            if twin is None:
                return slot
            self._tell_copy(slot, twin)
        self._exhausted = True
        return None

    def _ask(self) -> optuna.Trial | None:
        """Takes a trial, if the search has any left."""
        with self._lock:
            self._mend()
            begun = [record for record in counted(self.records()) if record.state != "waiting"]
            if len(begun) >= self.limits.trials:
                return None
            trial = self.study.ask()
            trial.set_user_attr("owner", this_process())
            self._record_heartbeat(trial)
            return trial

    def _twin(self, slot: _Slot) -> FrozenTrial | None:
        """Returns a trial of the same settings that was told, or is in training; of the latter suggestions alone."""
        known = (TrialState.COMPLETE,) if slot.is_asked_for else (TrialState.COMPLETE, TrialState.RUNNING)
        for trial in self.study.get_trials(deepcopy=False, states=known):
            if trial.number == slot.trial.number or trial.user_attrs.get("state") == "copy":
                continue
            if trial.user_attrs.get("settings") == slot.settings:
                return trial
        return None

    # Hearing.

    def _hear(self, worker: int, answer: Answer | None, reason: str) -> None:
        """Takes a worker's answer, and gives it its next order where its trial goes on."""
        slot = self._slots.pop(worker)
        try:
            if answer is None or answer.fault == "worker":
                self._lose(slot, reason or (answer.error if answer else ""))
                return
            if answer.fault == "system":
                self._slots[worker] = slot
                reason = answer.error.rstrip(".")
                raise UserError(f"A worker could not go on: {reason}; mend that, and --resume goes on.")
            slot.trial.set_user_attr("worker", answer.worker)
            if answer.error:
                self._fail(slot, answer)
                return
            self._faults = 0
            following = self._looked(slot, answer) if slot.done < 0 else self._trained(slot, answer)
            if following is not None:
                self._give(worker, following)
        except optuna.exceptions.UpdateFinishedTrialError:
            # Another driver took this one for dead, and the trial for lost: it stands elsewhere now.
            return

    def _looked(self, slot: _Slot, answer: Answer) -> _Slot | None:
        """Notes what is known before training; returns what the worker is to do next."""
        slot.trial.set_user_attr("costs", finite(answer.costs))
        slot.trial.set_user_attr("proxies", finite(answer.proxies))
        slot.done = 0
        broken = [one for one in self.plan.constraints if one.figure in answer.costs and one.excess(answer.costs) > 0]
        if broken and not slot.is_default:
            self._tell(slot, "refused", self.plan.ladder.height)
            # The others that were to be chosen from are not lost with it.
            return self._choose(slot.rivals) if slot.rivals else None
        proxy = "" if slot.is_asked_for or self.plan.proxies != "screen" else self._proxy()
        if not proxy:
            for rival in slot.rivals:
                self._put_aside(rival)
            slot.rivals = []
            return slot
        rivals = [*slot.rivals, slot]
        if len(rivals) < SCREENED and self._goes_on() and (other := self._next()) is not None:
            slot.rivals, other.rivals = [], rivals
            return other
        return self._choose(rivals)

    def _proxy(self) -> str:
        """Returns the zero-cost proxy that was shown to rank, or ""."""
        return trusted_proxy(proxy_ranks(self.records(), self.plan.ranked))

    def _choose(self, rivals: list[_Slot]) -> _Slot:
        """Chooses one of several suggestions by a proxy, and puts the others aside."""
        proxy = self._proxy()
        chosen = max(rivals, key=lambda slot: (slot.known["proxies"].get(proxy, -math.inf), -slot.number))
        for slot in rivals:
            slot.rivals = []
            if slot is not chosen:
                self._put_aside(slot)
        return chosen

    def _put_aside(self, slot: _Slot) -> None:
        self.study.tell(slot.trial, state=TrialState.PRUNED)

    def _trained(self, slot: _Slot, answer: Answer) -> _Slot | None:
        """Notes what a rung measured; returns the slot where the trial goes on."""
        part = slot.parts[slot.done]
        before = slot.known.get("rungs", [])
        rung = {
            "rung": part.rung,
            "share": sum(one.share for one in slot.parts[: slot.done + 1]),
            "figures": finite(answer.figures),
            "seconds": answer.seconds,
        }
        slot.trial.set_user_attr("rungs", [*before, rung])
        if answer.inherited:
            slot.trial.set_user_attr("inherited", {**slot.known.get("inherited", {}), "share": answer.inherited})
        if answer.weights is not None:
            content = save({name: np.ascontiguousarray(array) for name, array in answer.weights.items()})
            write_atomically(self._folder(slot.number) / WEIGHTS_FILE, content)
        known = slot.known["costs"] | finite(answer.figures)
        asked = [one.name for one in self.plan.objectives] + [one.figure for one in self.plan.constraints]
        missing = [name for name in asked if name not in known]
        if missing:
            self._fail(slot, Answer(error=f"{missing[0]} could not be measured", fault="candidate"))
            return None
        slot.done += 1
        if slot.done == len(slot.parts):
            for path, file in (answer.files or {}).items():
                place = self._folder(slot.number) / CANDIDATE_FOLDER / path
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(place, file)
            self._tell(slot, "finished", 0.0)
            return None
        own, others = self._place(slot, part.rung)
        if slot.is_default or (goes_on(own, others, self.plan.ladder.reduction) and not self._late()):
            return slot
        away = self.plan.ladder.height - 1 - part.rung
        self._tell(slot, "stopped", away + (own + 1) / (others + 1))
        return None

    def _place(self, slot: _Slot, rung: int) -> tuple[int, int]:
        """Returns a trial's place among those of its bracket that came to a rung so far, and how many these are."""
        bracket = slot.known["bracket"]
        rivals = [
            (record.number, figures)
            for record in counted(self.records())
            if record.bracket == bracket and (figures := record.at(rung)) is not None
        ]
        table = losses([figures for _, figures in rivals], self.plan.compared)
        broken = [sum(max(one.excess(figures), 0.0) for one in self.plan.constraints) for _, figures in rivals]
        mine = [number for number, _ in rivals].index(slot.number)
        return int(places(table, np.array(broken))[mine]), len(rivals)

    def _parent(self, slot: _Slot) -> dict[str, NDArray] | None:
        """Returns the weights of the nearest trial that was told, if weights are inherited."""
        if not self.plan.inherit or slot.is_default:
            return None
        trials = {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}
        own = trials[slot.trial.number]
        able = {
            record.number: distance(own, trials[record.trial])
            for record in self.records()
            if record.state in ("finished", "stopped") and (self._folder(record.number) / WEIGHTS_FILE).exists()
        }
        if not able:
            return None
        nearest = min(able, key=lambda number: (able[number], number))
        slot.trial.set_user_attr("inherited", {"from": nearest})
        weights: dict[str, NDArray] = load_file(self._folder(nearest) / WEIGHTS_FILE)
        return weights

    # Telling.

    def _tell(self, slot: _Slot, state: State, away: float, error: str = "") -> None:
        """Tells the study what became of a trial.

        Args:
            slot: the trial.
            state: what became of it.
            away: how far it was from having been trained whole.
            error: why it could not be trained.
        """
        known = slot.known
        rungs = known.get("rungs", [])
        figures = known.get("costs", {}) | (rungs[-1]["figures"] if rungs else {})
        excess = {str(one): one.excess(figures) for one in self.plan.constraints}
        excess = {name: value for name, value in excess.items() if math.isfinite(value)}
        for name, value in {**excess, WHOLE: away}.items():
            slot.trial.set_constraint(name, value)
        slot.trial.set_user_attr("excess", excess)
        slot.trial.set_user_attr("state", state)
        if error:
            slot.trial.set_user_attr("error", error)
        self.study.tell(slot.trial, self._values(figures))
        self._note(slot.trial.number)

    def _tell_copy(self, slot: _Slot, twin: FrozenTrial) -> None:
        """Tells of settings that were tried before what came of them, if that is known yet, without training."""
        for name, value in twin.constraints.items():
            slot.trial.set_constraint(name, value)
        slot.trial.set_user_attr("state", "copy")
        slot.trial.set_user_attr("copy_of", twin.user_attrs.get("number", twin.number))
        if twin.state == TrialState.COMPLETE:
            self.study.tell(slot.trial, twin.values)
        else:
            self._put_aside(slot)

    def _values(self, figures: dict[str, float]) -> list[float]:
        """Returns what the sampler is told; for what is not known, the worst that was seen so far."""
        seen = [record.figures for record in self.records()]
        values = []
        for one in self.plan.objectives:
            value = figures.get(one.name, math.nan)
            if math.isnan(value):
                value = max((other[one.name] for other in seen if one.name in other), key=one.loss, default=0.0)
            values.append(float(value))
        return values

    def _fail(self, slot: _Slot, answer: Answer) -> None:
        """Tells of a trial that cannot be trained."""
        if slot.is_default:
            reason = answer.error.rstrip(".")
            raise UserError(
                f"The default architecture, with which every search begins, cannot be tried: {reason}; "
                "choose other options."
            )
        self._tell(slot, "failed", self.plan.ladder.height + 1, answer.error)
        self._faults = self._faults + 1 if answer.fault == "program" else 0
        if self._faults == _FAULTS:
            raise UserError(
                f"{_FAULTS} trials in succession could not be tried, the last because of {answer.error.rstrip('.')}; "
                "the study is kept, and --resume goes on."
            )

    def _lose(self, slot: _Slot, reason: str) -> None:
        """Puts others in the place of trials whose worker died."""
        with self._lock:
            for lost in (slot, *slot.rivals):
                frozen = self._frozen(lost.trial.number)
                if frozen.state != TrialState.RUNNING:
                    continue
                self.study.tell(frozen.number, state=TrialState.FAIL)
                # Only the one that the worker was at may be to blame.
                self._replace(frozen, reason if lost is slot else "")

    def _replace(self, lost: FrozenTrial, reason: str) -> None:
        """Puts another trial in the place of a lost one, which has its number.

        Args:
            lost: the trial.
            reason: how its worker died; "" where the trial is not to blame.
        """
        known = lost.user_attrs
        number = known.get("number", lost.number)
        attempts = known.get("attempts", 0) + bool(reason)
        kept = {"number": number, "replaces": lost.number, "attempts": attempts}
        kept |= {name: known[name] for name in ("origin",) if name in known}
        params = {**lost.system_attrs.get("fixed_params", {}), **lost.params}
        if attempts <= self.limits.retries:
            self.study.enqueue_trial(params, user_attrs=kept)
            return
        error = f"it cost {attempts} workers: {reason}"
        if known.get("origin") == DEFAULT:
            raise UserError(
                f"The default architecture, with which every search begins, cannot be tried: {error}; "
                "give it more memory, or choose other options."
            )
        kept |= {name: known[name] for name in ("settings", "costs", "bracket") if name in known}
        trial = optuna.trial.create_trial(
            values=self._values(known.get("costs", {})),
            params=lost.params,
            distributions=lost.distributions,
            user_attrs={**kept, "state": "failed", "error": error},
            constraints={WHOLE: self.plan.ladder.height + 1.0},
        )
        self.study.add_trial(trial)

    def _mend(self) -> None:
        """Marks trials whose driver is gone, and puts others in the place of all that were lost."""
        optuna.storages.fail_stale_trials(self.study)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if self._is_orphan(trial):
                with contextlib.suppress(optuna.exceptions.UpdateFinishedTrialError):
                    self.study.tell(trial.number, state=TrialState.FAIL)
        trials = self.study.get_trials(deepcopy=False)
        replaced = {trial.user_attrs.get("replaces") for trial in trials}
        for trial in trials:
            if trial.state == TrialState.FAIL and trial.number not in replaced:
                self._replace(trial, "")

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Returns whether nobody trains a trial that is said to be running."""
        owner = trial.user_attrs.get("owner")
        if owner is not None:
            return is_gone(owner)
        # Whoever asks signs under the lock, which is held here; or, on another machine, soon after.
        began = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
        return is_file(self.url) or time.time() - began > _SIGNING

    # Keeping.

    def _agree(self, own: Mapping[str, Any]) -> None:
        """Makes sure that a study that was there before was begun with the same of everything."""
        for name, value in own.items():
            before = self.study.user_attrs.get(name)
            if before is None and not self.study.get_trials(deepcopy=False):
                self.study.set_user_attr(name, value)
            elif before != value:
                raise UserError(
                    f"The study {self.study.study_name} in {hidden(self.url) or self.folder} was begun with other "
                    f"options ({difference(before, value)}): give those, another --name, or --overwrite to begin "
                    "anew."
                )

    def _enqueue(self, wanted: Sequence[tuple[str, Settings]]) -> None:
        """Puts in line what is tried first, each architecture once."""
        asked: list[dict[str, Any]] = []
        for origin, settings in wanted:
            params = self.space.params(settings)
            if params not in asked:
                self.study.enqueue_trial(params, user_attrs={"origin": origin})
            asked.append(params)

    def _frozen(self, number: int) -> FrozenTrial:
        return self.study.get_trials(deepcopy=False)[number]

    def _folder(self, number: int) -> Path:
        folder = self.folder / TRIALS_FOLDER / f"{number:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _note(self, trial: int) -> None:
        """Writes what became of a trial into its folder, and the time that the search has taken into the study."""
        record = TrialRecord.of(self._frozen(trial))
        content = json.dumps(asdict(record), indent=2) + "\n"
        write_atomically(self._folder(record.number) / TRIAL_FILE, content.encode())
        self.study.set_user_attr("seconds", self.seconds)

    def _beat(self) -> None:
        """Tells a database that trials are still in training."""
        if time.perf_counter() - self._beaten > HEARTBEAT:
            self._beaten = time.perf_counter()
            for slot in self._slots.values():
                for one in (slot, *slot.rivals):
                    self._record_heartbeat(one.trial)

    def _record_heartbeat(self, trial: optuna.Trial) -> None:
        # Optuna does this in `Study.optimize` alone, hence by a number that it keeps to itself.
        if isinstance(self._storage, RDBStorage):
            self._storage.record_heartbeat(trial._trial_id)

    def _leave(self) -> None:
        """Puts trials back in line that are still in training: the search was broken off."""
        if not self._slots:
            return
        self.workers.close()
        # Where the storage is what failed, whoever resumes will see that this driver is gone.
        with contextlib.suppress(Exception), self._lock:
            for slot in self._slots.values():
                for one in (slot, *slot.rivals):
                    self.study.tell(one.trial.number, state=TrialState.FAIL)
            self._mend()
            self.study.set_user_attr("seconds", self.seconds)


def difference(before: Any, now: Any) -> str:
    """Says in what the records of two searches, plain data, differ first."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in {**before, **now}:
            if before.get(name) != now.get(name):
                return f"{name} {difference(before.get(name), now.get(name))}"
    return f"{before}, not {now}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out warnings of Optuna that are known: parts that may change, and heartbeats outside of `optimize`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield
