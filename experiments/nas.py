"""Search for the architecture of a generator or of a designer's network, and leave the best as a preset."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from envs import UserError, get_problem, get_representation
from envs.records import read_config
from experiments import pcgrl
from experiments.run import CONFIG_FILE, main, make_folder, progress_bar, write_json, write_record
from experiments.search_report import NAME as REPORT
from experiments.search_report import write_report
from experiments.tracking import Tracking, TrackOptions
from experiments.train_generator import corpus_options, read_corpus
from generators.corpus import CorpusOptions
from generators.generator import FitOptions
from generators.kept_corpus import load_kept_corpus
from generators.options import options_of
from search.objectives import OBJECTIVES, Constraint, choose_objectives, shown
from search.picking import confirmed, cost_of
from search.presets import PRESET_FILE, Preset, check_preset_name, find_preset, register_preset
from search.results import RESULT_FILE, gather, read_result, summarise
from search.retraining import RETRAINED_FOLDER, retrain
from search.rungs import Halving, Ladder
from search.samplers import SamplerName
from search.space import Settings, Space
from search.storages import JOURNAL_FILE, forget, hidden
from search.studies import TRIALS_FOLDER, Limits, Plan, Search, Standing, difference
from search.subjects import CORPUS_FILE, DesignerSubject, GeneratorSubject, Subject
from search.trials import DEFAULT
from search.workers import Workers, begin_workers

#: The file of what may be chosen, in a study's folder.
SPACE_FILE = "space.yaml"

#: What is searched for by default.
GENERATOR_OBJECTIVES = ("joint", "diversity", "milliseconds")
DESIGNER_OBJECTIVES = ("success", "milliseconds")

#: The training of a trial that is never stopped, in minutes of a processor.
GENERATOR_MINUTES, DESIGNER_MINUTES = 2.0, 3.0


#: Options that only searches for generators, or only those for designers, have a use for.
_FOR_GENERATORS = ("corpus", "corpus_levels", "corpus_seed", "stride", "conditions", "fit", "sampling", "rung_levels")
_FOR_DESIGNERS = ("change_share",)

#: What trials depend on beside their plan: whoever resumes or joins a search must say the same.
_AGREED: tuple[str, ...] = ("family", "designer", "problem", "device", "shape", "storage", *_FOR_DESIGNERS)
_AGREED += tuple(name for name in _FOR_GENERATORS if name != "rung_levels")

#: What the command's own options say of every training, so that neither --fit nor a space can.
_OWN = {"fit": ("minutes", "steps", "seed", "device"), "ppo": ("minutes", "steps")}


@dataclass
class Options(TrackOptions):
    """Search for the architecture of a generator or of a designer's network, and leave the best as a preset.

    Attributes:
        family: which family of generators; `python -m experiments.train_generator --help` names them.
        designer: search for a designer's network instead, which edits by this representation.
        problem: whose levels.
        name: the run folder's name under OUT/nas, and the study's in its storage; by default
            problem-family-sampler-seedN.
        seed: fixes suggestions, weights, training and samples.
        out: where run folders go.
        device: cpu, or a CUDA device such as cuda:0.
        corpus: for generators: constructed (by the problem's constructive generator), or vglc PATH, boxoban PATH,
            folder PATH.
        corpus_levels: the most levels to train on; 0 takes all, which are 10,000 constructed ones.
        corpus_seed: fixes constructed levels and the split.
        shape: of the levels, or of the windows that longer ones are cut into; by default the problem's.
        stride: for generators: how far apart training windows are along each axis.
        conditions: for generators: the metrics that levels can be asked for by.
        fit: for generators: how to train, as names and values, where the space says nothing.
        sampling: for generators: how to sample, likewise.
        change_share: for designers: the share of tiles that an episode may change.
        space: a YAML file of what may be chosen; by default what the configurations declare. The run folder's
            space.yaml is one to begin with.
        objectives: what is searched for, the quality that trials are picked by first; by default joint, diversity and
            milliseconds, and of designers success and milliseconds.
        constraints: what must be kept, such as "parameters <= 1e6" "milliseconds <= 5".
        sampler: who suggests: nsga2, nsga3, tpe or random.
        trials: how many architectures are tried, the default included.
        search_minutes: no trial is begun after so many minutes, and those in training stop at their next rung; 0 for no
            limit.
        minutes: the training of a trial that is never stopped, in minutes of a processor; by default 2, of designers 3,
            or no limit where steps are given.
        steps: the same in updates, or in a designer's steps in its environment; for results that a second run with one
            worker repeats exactly. 0 for no limit.
        halving: whether trials are stopped at rungs: none, successive or hyperband.
        rungs: how many parts a training has.
        reduction: one of so many trials goes on from a rung, and each part is so many times the one before.
        rung_levels: the share of the corpus that each rung trains on, such as 0.3 0.6 1; by default all of it.
        guide: by what trials are compared at rungs before the last: the objectives; or nats, the likelihood of held-out
            levels, and costs, each rung measuring its share of the samples. By default nats where the family tells it.
        samples: how many levels a trial is measured on.
        proxies: whether zero-cost proxies are off, measured, or choose among suggestions once they were shown to rank
            (screen).
        inherit: let trials begin with the weights of the nearest trial before them, where shapes allow.
        preset: presets to try right after the default, by name or path.
        warm_start: the folder of another search, whose front is tried right after the default.
        workers: how many trials are trained side by side.
        ray_address: work on a Ray cluster: auto, HOST:PORT or ray://HOST:PORT; local begins one for this search. By
            default workers are processes on this machine.
        gpus_per_worker: on a cluster, how many GPUs each worker is given, or a share of one.
        send_sources: send the project's packages to the nodes of the cluster; False where all nodes have the same
            installation.
        storage: where the study is kept: a database's URL, such as postgresql://USER:PASSWORD@HOST/NAME; by default a
            journal in the run folder.
        retries: how many more workers a trial may cost whose worker died.
        resume: go on with the study in the run folder, or join it.
        overwrite: begin anew in a run folder that holds a study already.
        retrain_seeds: on how many seeds the pick and the default are trained anew after the search; 0 for none.
        retrain_minutes: how long these trainings are, in minutes of a processor; by default as long as a trial's.
        retrain_picks: how many picks, one after the other, may fail that test before the default is picked.
        levels: on how many levels these are judged.
        use: register the pick as a preset of this name, which train_generator and pcgrl take by --preset.
    """

    family: str = "tile_lm"
    designer: str = ""
    problem: str = "sokoban"
    name: str = ""
    seed: int = 0
    out: Path = Path("runs")
    device: str = "cpu"
    corpus: tuple[str, ...] = ("constructed",)
    corpus_levels: int = 0
    corpus_seed: int = 0
    shape: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    conditions: tuple[str, ...] | None = None
    fit: dict[str, str] = field(default_factory=dict)
    sampling: dict[str, str] = field(default_factory=dict)
    change_share: float = 0.2
    space: Path | None = None
    objectives: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    sampler: SamplerName = "nsga2"
    trials: int = 60
    search_minutes: float = 60.0
    minutes: float | None = None
    steps: int = 0
    halving: Halving = "successive"
    rungs: int = 3
    reduction: int = 3
    rung_levels: tuple[float, ...] = ()
    guide: Literal["auto", "nats", "objectives"] = "auto"
    samples: int = 200
    proxies: Literal["off", "measure", "screen"] = "measure"
    inherit: bool = False
    preset: tuple[str, ...] = ()
    warm_start: Path | None = None
    workers: int = 1
    ray_address: str = ""
    gpus_per_worker: float = 0.0
    send_sources: bool = True
    storage: str = ""
    retries: int = 2
    resume: bool = False
    overwrite: bool = False
    retrain_seeds: int = 3
    retrain_minutes: float = 0.0
    retrain_picks: int = 3
    levels: int = 1000
    use: str = ""

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.resume and self.overwrite:
            raise UserError("--resume goes on with a study and --overwrite begins anew: give one of them.")
        theirs, why = (_FOR_GENERATORS, "is for generators") if self.designer else (_FOR_DESIGNERS, "is for designers")
        needs = dict.fromkeys(theirs, why)
        if self.halving == "none":
            needs |= dict.fromkeys(("rungs", "reduction", "guide"), "needs --halving successive or hyperband")
        if not self.retrain_seeds:
            needs |= dict.fromkeys(("retrain_minutes", "retrain_picks"), "needs --retrain-seeds")
        if not self.ray_address:
            needs |= dict.fromkeys(("send_sources", "gpus_per_worker"), "needs --ray-address")
        for name, need in needs.items():
            if getattr(self, name) != getattr(Options(), name):
                raise UserError(f"--{_typed(name)} {need}, and would do nothing here: leave it out.")
        for name, least in (("retrain_seeds", 0), ("retrain_minutes", 0), ("retrain_picks", 1), ("levels", 2)):
            if not least <= getattr(self, name) < math.inf:
                raise UserError(f"--{_typed(name)} must be at least {least}; got {getattr(self, name)}.")
        if self.use:
            check_preset_name(self.use)

    @property
    def subject_kind(self) -> Literal["family", "designer"]:
        """What a preset calls what is searched for."""
        return "designer" if self.designer else "family"


def _typed(name: str) -> str:
    """Returns an option's name as it is typed."""
    return name.replace("_", "-")


def make_subject(options: Options, folder: Path) -> Subject:
    """Returns what is searched for.

    Args:
        options: the command's.
        folder: the study's, where the corpus is kept.

    Raises:
        UserError: an option cannot be used.
    """
    if options.designer:
        get_representation(options.designer)
        environment = pcgrl.environment_options(
            pcgrl.Options(
                problem=options.problem,
                representation=options.designer,
                shape=options.shape,
                change_share=options.change_share,
            )
        )
        return DesignerSubject(environment, device=options.device)
    for name in options.fit:
        if name in _OWN["fit"]:
            raise UserError(f"--fit {name} has an option of its own: give --{name}.")
    fit: FitOptions = options_of(FitOptions, options.fit, "setting of --fit")
    # Nodes of a cluster load the corpus for themselves: they may have no disk in common.
    kept = None if options.ray_address else folder
    subject = GeneratorSubject(
        options.family,
        options.problem,
        chosen_corpus(options),
        options.conditions,
        dataclasses.replace(fit, device=options.device, seed=options.seed),
        options.sampling,
        folder=kept,
    )
    subject.space()
    return subject


def chosen_corpus(options: Options) -> CorpusOptions:
    """Returns which levels are learned from."""
    return corpus_options(
        options.corpus,
        levels=options.corpus_levels,
        shape=options.shape,
        stride=options.stride,
        seed=options.corpus_seed,
    )


def make_plan(options: Options, subject: Subject) -> Plan:
    """Returns what is asked of every trial.

    Raises:
        UserError: an option cannot be used.
    """
    minutes = options.minutes
    if minutes is None:
        minutes = 0.0 if options.steps else (DESIGNER_MINUTES if options.designer else GENERATOR_MINUTES)
    known, title = subject.figures(), subject.title
    names = options.objectives or (DESIGNER_OBJECTIVES if options.designer else GENERATOR_OBJECTIVES)
    if options.guide == "nats":
        choose_objectives(["nats"], known, title)
    guided = options.guide == "nats" or (options.guide == "auto" and "nats" in known)
    plan = Plan(
        choose_objectives(names, known, title),
        tuple(Constraint.parse(text, known, title) for text in options.constraints),
        options.sampler,
        Ladder(options.halving, options.rungs, options.reduction, options.rung_levels),
        minutes,
        options.steps,
        options.samples,
        options.proxies,
        options.inherit,
        options.seed,
        OBJECTIVES["nats"] if guided and options.halving != "none" else None,
    )
    plan.check()
    if plan.objectives[0].cost:
        raise UserError(
            f"The first objective is the quality that trials are picked by; {names[0]} is a cost: name a quality first."
        )
    return plan


def make_space(options: Options, subject: Subject, folder: Path) -> Space:
    """Returns what may be chosen: what the user says, what the study was begun with, or what is declared.

    Raises:
        UserError: a file cannot be used, or the study was begun with another space.
    """
    declared = subject.space()
    space = declared if options.space is None else Space.read(options.space, declared)
    for part, own in _OWN.items():
        for name in own:
            if name in space.parts.get(part, {}):
                raise UserError(f"{options.space} has {part} {name}, which --{name} says for all trials: take it out.")
    begun = folder / SPACE_FILE
    if options.resume and begun.exists():
        before = Space.read(begun, declared)
        if options.space is None:
            return before
        if before.parts != space.parts:
            raise UserError(
                f"The study in {folder} was begun with another space than {options.space}: leave --space out, or give "
                "another --name."
            )
    return space


def wanted_settings(options: Options, space: Space) -> list[tuple[str, Settings]]:
    """Returns what is tried right after the default: where it comes from, and its settings.

    Raises:
        UserError: a preset or a search is not there, is of something else, or is not in the space.
    """
    found: list[tuple[str, Settings]] = []
    for name in options.preset:
        preset = find_preset(name, options.out)
        preset.check_subject(options.subject_kind, options.designer or options.family)
        settings = {part: dict(preset.settings.get(part, {})) for part in space.parts}
        found.append((f"preset {name}", settings))
    if options.warm_start is not None:
        result = read_result(options.warm_start)
        before = read_config(options.warm_start / CONFIG_FILE).get("options")
        before = before if isinstance(before, dict) else {}
        what, other = options.designer or options.family, before.get("designer") or before.get("family")
        if what != other:
            raise UserError(f"The search in {options.warm_start} is for {other}, not {what}: leave --warm-start out.")
        trials = {trial["number"]: trial["settings"] for trial in result["trials"]}
        found += [(f"trial {number} of {options.warm_start.name}", trials[number]) for number in result["front"]]
    for origin, settings in found:
        try:
            space.params(settings)
        except UserError as error:
            raise UserError(f"The {origin} cannot be tried: {error}") from error
    return found


def agreed(options: Options) -> dict[str, Any]:
    """Returns what trials depend on beside their plan, as plain data."""
    plain: dict[str, Any] = json.loads(json.dumps({name: getattr(options, name) for name in _AGREED}))
    return plain | {"storage": hidden(options.storage)}


def check_same(options: Options, plan: Plan, folder: Path) -> None:
    """Makes sure that a search goes on with the options that it began with.

    Raises:
        UserError: it would not, or the record of its beginning is missing or damaged.
    """
    record = read_config(folder / CONFIG_FILE)
    before = record.get("options")
    if not isinstance(before, dict) or not isinstance(record.get("plan"), dict):
        raise UserError(
            f"{folder / CONFIG_FILE} is no record of a search: give the --name of one, or leave --resume out."
        )
    for name in ("preset", "warm_start"):
        given = json.loads(json.dumps(getattr(options, name), default=str))
        if given and given != before.get(name):
            raise UserError(
                f"--{_typed(name)} is for the beginning of a search, which {folder} has behind it: leave it out."
            )
    own = agreed(options)
    for old, new in (({name: before.get(name) for name in own}, own), (record["plan"], plan.record())):
        if old != new:
            raise UserError(
                f"{folder} was begun with other options ({difference(old, new)}): give --resume with those, or another "
                "--name."
            )


def prepare(options: Options) -> tuple[Subject, Plan, Space, Path]:
    """Prepares a search: its folder and its record.

    Raises:
        UserError: an option cannot be used, or the folder holds a study already; nothing has been written over then.
    """
    options.check()
    get_problem(options.problem)
    what = options.designer or options.family
    folder = options.out / "nas" / (options.name or f"{options.problem}-{what}-{options.sampler}-seed{options.seed}")
    known = (folder / CONFIG_FILE).exists()
    # A command that was refused before its first trial has begun nothing.
    begun = known and (folder / TRIALS_FOLDER).exists()
    if begun and not options.resume and not options.overwrite:
        raise UserError(
            f"{folder} holds a study already: add --resume to go on with it, --overwrite to begin anew, or give "
            "another --name or --seed."
        )
    if options.resume and not known:
        raise UserError(f"{folder} holds no study to go on with: leave --resume out, or give another --name.")
    subject = make_subject(options, folder)
    plan = make_plan(options, subject)
    if options.resume:
        check_same(options, plan, folder)
    Limits(options.trials, options.search_minutes, options.retries).check()
    space = make_space(options, subject, folder)
    wanted_settings(options, space)
    make_folder(folder)
    if known and options.overwrite:
        # Only now that every option is known to be usable.
        forget(options.storage, folder, folder.name)
        for place in (TRIALS_FOLDER, RETRAINED_FOLDER):
            shutil.rmtree(folder / place, ignore_errors=True)
        shutil.rmtree(folder / REPORT, ignore_errors=True)
        for file in (RESULT_FILE, PRESET_FILE, f"{REPORT}.html", f"{REPORT}.md"):
            (folder / file).unlink(missing_ok=True)
    space.write(folder / SPACE_FILE)
    recorded = dataclasses.replace(options, storage=hidden(options.storage))
    write_record(folder, recorded, plan=plan.record(), subject=subject.title)
    return subject, plan, space, folder


def search(options: Options) -> None:
    """Runs the experiment."""
    subject, plan, space, folder = prepare(options)
    print(f"Searching for the architecture of {subject.title}: {folder}")
    with Tracking(options.track, folder, resume=options.resume) as tracking:
        result = find(options, subject, plan, space, folder, tracking)
        if result is not None:
            leave_results(options, plan, space, result, folder)
            picked = [trial["figures"] for trial in result["trials"] if trial["number"] == result["pick"]]
            figures = {"pick": picked[0] if picked else {}, "retrained": result.get("retrained", {}).get("summary", {})}
            tracking.results("results", figures, len(result["trials"]))


def find(
    options: Options, subject: Subject, plan: Plan, space: Space, folder: Path, tracking: Tracking
) -> dict[str, Any] | None:
    """Searches, and trains the pick anew; returns what was found, or None where another process will do the latter."""
    if isinstance(subject, GeneratorSubject) and subject.folder is not None:
        if not (folder / CORPUS_FILE).exists():
            read_corpus(options.problem, chosen_corpus(options))
        load_kept_corpus(options.problem, chosen_corpus(options), folder / CORPUS_FILE)
    workers = begin_workers(
        subject, options.workers, options.ray_address, options.gpus_per_worker, options.send_sources
    )
    try:
        made = Search(
            space,
            plan,
            Limits(options.trials, options.search_minutes, options.retries),
            workers,
            folder,
            name=folder.name,
            url=options.storage,
            wanted=wanted_settings(options, space),
            about=agreed(options) | {"space": hashlib.sha256((folder / SPACE_FILE).read_bytes()).hexdigest()[:12]},
        )
        try:
            run(made, plan, tracking)
        except BaseException:
            # What was found so far can be looked at; where the storage is what failed, that is what is told.
            with contextlib.suppress(Exception):
                write_json(folder / RESULT_FILE, gather(made.records(), plan, made.seconds))
            raise
        result = gather(made.records(), plan, made.seconds)
        write_json(folder / RESULT_FILE, result)
        if result["states"].get("running"):
            print("Another process is still training trials: it will train the pick anew, and leave the results.")
            return None
        retrain_picks(options, plan, workers, result, folder)
    finally:
        workers.close()
    write_json(folder / RESULT_FILE, result)
    return result


def run(made: Search, plan: Plan, tracking: Tracking) -> None:
    """Searches under a progress bar, and tells of every trial."""
    quality = plan.objectives[0]
    known = set(made.told())
    with progress_bar("starting workers") as show:

        def report(standing: Standing) -> None:
            best = "" if math.isnan(standing.best) else f"  {quality.name} {shown(quality.name, standing.best)}"
            left = "" if math.isinf(standing.seconds_left) else f"  {standing.seconds_left / 60:.0f} min left"
            show(
                standing.share,
                f"{standing.trials} trials  {standing.stopped} stopped  {standing.running} in training{best}  "
                f"front {standing.front}{left}",
            )
            if standing.trials <= len(known):
                return
            # Trials end in another order than they were begun: the x axis is how many have ended.
            for number, record in made.told().items():
                if number not in known:
                    known.add(number)
                    if record is not None:
                        facts = {"trial": record.number, "best": standing.best, "front": standing.front}
                        tracking.log({**facts, **record.figures}, len(known))

        made.run(report)


def retrain_picks(options: Options, plan: Plan, workers: Workers, result: dict[str, Any], folder: Path) -> None:
    """Trains the default and the pick anew; while a pick does not stand the rule there, the next contender.

    Where none of them does, the default is picked.
    """
    if not options.retrain_seeds or result["pick"] is None:
        return
    trials, default = {trial["number"]: trial for trial in result["trials"]}, result["default"]
    runs: dict[int, list[dict[str, Any]]] = {}
    if options.retrain_minutes:
        plan = dataclasses.replace(plan, minutes=options.retrain_minutes, steps=0)

    def train_anew(*numbers: int) -> None:
        names = {f"trial-{number}": number for number in numbers}
        with progress_bar("training the pick and the default anew") as show:
            found = retrain(
                workers,
                plan,
                {name: trials[number]["settings"] for name, number in names.items()},
                options.retrain_seeds,
                options.levels,
                folder,
                lambda done, total: show(done / total, f"{' and '.join(names)}: {done} of {total} trained anew"),
            )
        runs.update({number: found[name] for name, number in names.items()})

    def summary(number: int) -> dict[str, dict[str, dict[str, float]]]:
        return summarise({DEFAULT: runs[default], "pick": runs[number]}, options.levels)

    tried: list[int] = []
    holds = False
    for number in result["contenders"][: options.retrain_picks]:
        train_anew(*([] if tried else [default]), number)
        tried.append(number)
        told = summary(number)
        # A default that breaks a constraint is no pick, whatever comes out.
        holds = not trials[default]["feasible"] or confirmed(
            told["pick"], told[DEFAULT], plan.objectives, plan.constraints
        )
        if holds:
            break
    if not tried:
        train_anew(default)
    failed = tried[:-1] if holds else tried
    # What is told of is what was picked, or the first that should have been.
    shown_one = tried[-1] if holds else (tried or [default])[0]
    result["retrained"] = {
        "levels": options.levels,
        "minutes": plan.minutes,
        "steps": plan.steps,
        "runs": {DEFAULT: runs[default], "pick": runs[shown_one]},
        "summary": summary(shown_one),
    }
    if tried and trials[default]["feasible"]:
        result["confirmed"] = holds
    if failed:
        result["searched_pick"], result["pick"] = failed[0], shown_one if holds else default
        names, verdict = ", ".join(map(str, failed)), f"trial {shown_one} did" if holds else "the default is picked"
        result["reason"] += f" Trained anew, trial {names} did not stand the rule; {verdict}."


def told_anew(name: str, told: dict[str, float]) -> str:
    """Writes a figure of trainings from scratch, with the interval of all their levels or else over seeds, if any."""
    for ends in (("levels_low", "levels_high"), ("low", "high")):
        if ends[0] in told:
            low, high = (shown(name, told[end]) for end in ends)
            return f"{shown(name, told['mean'])} ({low} to {high})"
    return shown(name, told["mean"])


def found_settings(options: Options, space: Space, trial: dict[str, Any]) -> Settings:
    """Returns the settings of a trial, and those that were given for all trials, without which it is another."""
    given = {"fit": options.fit, "sampling": options.sampling}
    settings: Settings = {}
    for part, default in space.defaults.items():
        all_of_them = {name: getattr(default, name) for name in given.get(part, ()) if name != "balance"}
        settings[part] = all_of_them | trial["settings"].get(part, {})
    return {part: values for part, values in settings.items() if values}


def leave_results(options: Options, plan: Plan, space: Space, result: dict[str, Any], folder: Path) -> None:
    """Writes the report and the preset, and prints what was found and what to do next."""
    names = list(dict.fromkeys([one.name for one in plan.objectives] + [cost_of(plan.objectives).name, "parameters"]))
    states = ", ".join(f"{number} {state}" for state, number in sorted(result["states"].items()))
    print(f"\n{len(result['trials'])} trials in {result['seconds'] / 60:.1f} minutes: {states}.")
    known = {trial["number"]: trial for trial in result["trials"]}
    for number in result["front"]:
        marks = [mark for mark, other in (("default", result["default"]), ("pick", result["pick"])) if number == other]
        figures = "  ".join(f"{name} {shown(name, known[number]['figures'][name])}" for name in names)
        print(f"  front  trial {number:<4} {figures}  {' '.join(marks)}")
    print(result["reason"])
    retrained = result.get("retrained", {}).get("summary", {})
    for who, figures in retrained.items():
        told = [
            f"{name} {told_anew(name, figures[name])}"
            for name in (result["quality"], result["cost"])
            if name in figures
        ]
        print(f"  anew   {who:<8} {'  '.join(told)}")
    if result["pick"] is None:
        print(f"\nLook at    {write_report(folder)[-1]}   the report")
        return
    trial = known[result["pick"]]
    who = DEFAULT if result["pick"] == result["default"] else "pick"
    found = {name: trial["figures"][name] for name in names}
    found |= {name: retrained[who][name]["mean"] for name in names if name in retrained.get(who, {})}
    preset = Preset(
        options.subject_kind,
        options.designer or options.family,
        options.problem,
        found_settings(options, space, trial),
        # Those of a training from scratch, where there is one, do not flatter.
        {**found, "trial": trial["number"], "study": folder.name},
    )
    preset.write(folder / PRESET_FILE)
    journal = hidden(options.storage) or folder / JOURNAL_FILE
    command = f"{'pcgrl' if options.designer else 'train_generator'} --problem {options.problem}"
    if "balance" in options.fit:
        command += f" --balance {options.fit['balance']}"
    print(f"""
Look at    {write_report(folder)[-1]}   the report
Use        {folder / PRESET_FILE}   the pick's settings
           {folder / TRIALS_FOLDER}   what was trained whole, ready to be loaded""")
    if options.use:
        print(f"           {register_preset(folder, options.use, options.out)}   the preset {options.use}")
    print(f"""Next       python -m experiments.{command} --preset {options.use or folder / PRESET_FILE}
           optuna-dashboard {json.dumps(str(journal))}""")


if __name__ == "__main__":
    main(Options, search)
