"""Report on a finished search: what was tried, what was found, and what it is worth beside what there was before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro

from agents.designer import PolicyDesigner
from envs import UserError
from envs.records import read_config
from experiments.documents import Document
from experiments.run import CONFIG_FILE, main, versions
from generators.neural import NeuralGenerator
from generators.suite import load_generator
from search import pictures
from search.diagrams import Box, draw_networks, network_box
from search.objectives import OBJECTIVES, shown
from search.results import read_result
from search.studies import CANDIDATE_FOLDER, TRIALS_FOLDER
from search.trials import DEFAULT

#: The report's files are called so, and the folder of its pictures.
NAME = "report"

#: What the plans of two searches must share to stand beside each other: what is asked of a trial, and its budget.
_ALIKE = ("objectives", "constraints", "minutes", "steps", "samples")

#: How many settings are drawn as parallel coordinates.
_PARALLEL = 8

#: What became of trials, in words.
_STATES = {
    "finished": "trained whole",
    "stopped": "stopped at a rung",
    "refused": "not trained: broke a constraint by what is known before training",
    "failed": "could not be trained",
    "copy": "settings that were tried before; not trained again",
    "screened": "put aside by zero-cost proxies",
    "lost": "lost with a worker; another trial stands in its place",
    "waiting": "still in line",
    "running": "still in training",
}


@dataclass
class Options:
    """Report on a finished search: what was tried, what was found, and what it is worth beside what there was before.

    Attributes:
        run: the folder of a run of experiments.nas.
        random: the folder of another search with the same budget, such as one with --sampler random, to stand beside
            it.
    """

    run: Annotated[Path, tyro.conf.Positional]
    random: Path | None = None


def report(options: Options) -> None:
    """Runs the experiment."""
    files = write_report(options.run, options.random)
    print("Written to " + ", ".join(map(str, files)))


def write_report(folder: Path, random: Path | None = None) -> list[Path]:
    """Writes report.md with its pictures in a folder `report`, and report.html, which needs no other file.

    Args:
        folder: of a finished search.
        random: of another search to stand beside it.

    Raises:
        UserError: a search is not there or not finished, both are not of the same, or a file cannot be written.
    """
    found = read_search(folder)
    rival = None if random is None else read_search(random)
    if rival is not None:
        _check_alike(found, rival)
    return compose(found, rival).write(folder, NAME)


@dataclass(frozen=True)
class Searched:
    """A finished search.

    Attributes:
        folder: where it is.
        subject: what was searched for.
        options: of the command.
        result: see `search.results.gather`, and what `experiments.nas` adds.
    """

    folder: Path
    subject: str
    options: dict[str, Any]
    result: dict[str, Any]

    @property
    def trials(self) -> dict[int, dict[str, Any]]:
        """The trials by their numbers."""
        return {trial["number"]: trial for trial in self.result["trials"]}

    @property
    def shown(self) -> list[str]:
        """The figures that tables show: the objectives, the cost, and the learned numbers."""
        return list(dict.fromkeys([*self.result["plan"]["objectives"], self.result["cost"], "parameters"]))

    def network(self, who: str) -> tuple[str, Box] | None:
        """Returns the network of the default or the pick as it is drawn; None where it was not kept."""
        number = self.result[who]
        places = [self.folder / run["folder"] for run in self._retrained(who)]
        if number is not None:
            places.append(self.folder / TRIALS_FOLDER / f"{number:04d}")
        for place in places:
            if (place / CANDIDATE_FOLDER / CONFIG_FILE).exists():
                return who, saved_box(place / CANDIDATE_FOLDER)
        return None

    def _retrained(self, who: str) -> list[dict[str, Any]]:
        # What was trained anew as the pick is another, where the pick did not stand the test.
        if who == "pick" and "searched_pick" in self.result and not self.result.get("confirmed"):
            return []
        runs: list[dict[str, Any]] = self.result.get("retrained", {}).get("runs", {}).get(who, [])
        return runs


def read_search(folder: Path) -> Searched:
    """Reads what a search has left.

    Raises:
        UserError: a file is missing or damaged.
    """
    result, config = read_result(folder), read_config(folder / CONFIG_FILE)
    if not isinstance(config.get("options"), dict):
        raise UserError(
            f"{folder / CONFIG_FILE} is damaged: it does not say options; the search with --resume mends it."
        )
    return Searched(folder, str(config.get("subject", "")), config["options"], result)


def _check_alike(first: Searched, second: Searched) -> None:
    pairs = [("subject", first.subject, second.subject)]
    pairs += [(name, first.result["plan"].get(name), second.result["plan"].get(name)) for name in _ALIKE]
    for what, own, other in pairs:
        if own != other:
            raise UserError(
                f"The search in {second.folder} has the {what} {_plainly(other)}, that in {first.folder} "
                f"{_plainly(own)}: give two searches of the same."
            )


def saved_box(folder: Path) -> Box:
    """Returns the network of a saved generator or designer as it is drawn.

    Raises:
        UserError: it cannot be loaded.
    """
    if read_config(folder / CONFIG_FILE).get("kind") == "designer":
        designer = PolicyDesigner.from_pretrained(folder)
        observation, _ = designer.make_env(1).reset(seed=0)
        tensors = {name: torch.as_tensor(part) for name, part in observation.items()}
        with torch.no_grad():
            return network_box("designer", designer.network, lambda: designer.network(tensors))
    generator = load_generator(folder)
    assert isinstance(generator, NeuralGenerator)
    return network_box(generator.name, generator.network, lambda: generator.sample(1))


# The document.


def compose(found: Searched, rival: Searched | None = None) -> Document:
    """Writes the report.

    Args:
        found: the search.
        rival: another to stand beside it.
    """
    document = Document(f"Search for the architecture of {found.subject}")
    _add_summary(document, found)
    _add_pick(document, found)
    _add_retrained(document, found, rival)
    _add_fronts(document, found, rival)
    _add_networks(document, found)
    _add_importances(document, found)
    _add_curves(document, found)
    _add_proxies(document, found)
    _add_states(document, found)
    _add_method(document, found)
    return document


def _with_interval(figures: Mapping[str, float], name: str) -> str:
    """Writes a figure with the interval that it was measured with, if any."""
    text = shown(name, figures.get(name))
    ends = [figures.get(f"{name}_{end}") for end in ("low", "high")]
    if not text or None in ends:
        return text
    low, high = (shown(name, end).removesuffix(" %") for end in ends)
    return f"{text} ({low}-{high})"


def _add_summary(document: Document, found: Searched) -> None:
    result = found.result
    objectives = ", ".join(
        f"{name} ({'more' if direction == 'maximize' else 'less'} is better)"
        for name, direction in result["plan"]["objectives"].items()
    )
    constraints = result["plan"].get("constraints") or []
    document.text(
        f"{len(result['trials'])} architectures were tried in {result['seconds'] / 60:.1f} minutes "
        f"(sampler {result['plan']['sampler']}). Objectives: {objectives}. "
        f"Constraints: {', '.join(constraints) or 'none'}."
    )
    document.text(result.get("reason", ""))
    if result.get("rule"):
        document.text(f"The rule: {result['rule']}")


def _add_pick(document: Document, found: Searched) -> None:
    result, trials = found.result, found.trials
    pick, default = result["pick"], result["default"]
    if pick == default:
        # What was searched out is of interest where it gave way to the default, too.
        pick = result.get("searched_pick", pick)
    if pick is None or default is None:
        return
    document.heading("The pick beside the default")
    if pick == default:
        document.text("The default itself is the pick.")
    own, other = (_all_settings(trials[number]) for number in (default, pick))
    differing = [name for name in own if own[name] != other.get(name)]
    if differing:
        document.table(
            ("setting", "default", f"pick (trial {pick})"),
            [[name, _word(own[name]), _word(other.get(name))] for name in differing],
        )
    same = [f"{name} {_word(value)}" for name, value in own.items() if name not in differing]
    if same:
        document.text(f"The same in both: {', '.join(same)}.")
    rows = []
    names = [name for name in OBJECTIVES if name in trials[default]["figures"] or name in trials[pick]["figures"]]
    for name in names:
        first, second = (trials[number]["figures"] for number in (default, pick))
        rows.append([name.replace("_", " "), _with_interval(first, name), _with_interval(second, name)])
    if result["plan"].get("constraints"):
        kept = ["yes" if trials[number]["feasible"] else "no" for number in (default, pick)]
        rows.append(["keeps the constraints", *kept])
    document.table(("measured in the search", "default", f"pick (trial {pick})"), rows)
    document.text(
        f"Each trial was judged on {result['plan']['samples']} levels; intervals are 95 % bootstrap intervals over "
        "levels (the rule takes Wilson's where levels are counted). A search picks what came out well, so that the "
        "pick's figures here are better than it is: those of trainings from scratch, below, are not."
    )


def _all_settings(trial: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{part}.{name}": value for part, values in trial["settings"].items() for name, value in values.items()}


def _word(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_word, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _add_retrained(document: Document, found: Searched, rival: Searched | None) -> None:
    retrained = found.result.get("retrained")
    if not retrained:
        return
    candidates = {who: _contender(retrained, who) for who in (DEFAULT, "pick")}
    if rival is not None and (beside := rival.result.get("retrained")):
        candidates["random search's pick"] = _contender(beside, "pick")
    document.heading("Trained from scratch")
    names = [name for name in found.shown if name in candidates[DEFAULT]["summary"]]
    rows = []
    for who, told in candidates.items():
        cells = [f"{_mean(told['summary'], name)}" for name in names]
        rows.append([who, str(len(told["runs"])), *cells])
    document.table(("trained anew", "seeds", *(name.replace("_", " ") for name in names)), rows)
    document.text(
        f"Each was trained for {_budget(retrained)} on seeds that the search did not use, and judged on "
        f"{retrained['levels']} levels a seed. The first interval is Student's 95 % interval over seeds; of counted "
        "levels the second, in brackets, is Wilson's of all levels together, which does not see how much seeds differ."
    )
    if found.result.get("confirmed") is not None:
        verdict = "held" if found.result["confirmed"] else "did not hold, so that the default was picked"
        document.text(f"What the search found {verdict} when it was trained anew.")
    document.picture(
        "retrained",
        pictures.draw_retrained(candidates, names),
        "Trained from scratch: small points are seeds, large ones their mean, lines Student's 95 % interval.",
    )


def _budget(retrained: Mapping[str, Any]) -> str:
    limits = {"minutes of a processor": retrained["minutes"], "steps": retrained["steps"]}
    return " and at most ".join(f"{value:,.4g} {unit}" for unit, value in limits.items() if value)


def _contender(retrained: Mapping[str, Any], who: str) -> dict[str, Any]:
    return {"runs": retrained["runs"][who], "summary": retrained["summary"][who]}


def _mean(summary: Mapping[str, Mapping[str, float]], name: str) -> str:
    told = summary.get(name)
    if told is None:
        return ""
    text = shown(name, told["mean"])
    ends = [told.get("low"), told.get("high")]
    if None not in ends and ends[0] != ends[1]:
        text += f" ({' to '.join(shown(name, end).removesuffix(' %') for end in ends)})"
    if "levels_low" in told:
        ends = [told["levels_low"], told["levels_high"]]
        text += f" [{' to '.join(shown(name, end).removesuffix(' %') for end in ends)}]"
    return text


def _add_fronts(document: Document, found: Searched, rival: Searched | None) -> None:
    result, trials = found.result, found.trials
    document.heading("The front")
    rows = []
    for number in result["front"]:
        marks = [who for who in (DEFAULT, "pick") if result[who] == number]
        figures = trials[number]["figures"]
        rows.append([f"{number} {' '.join(marks)}".strip(), *(_with_interval(figures, name) for name in found.shown)])
    headings = [name.replace("_", " ") for name in found.shown]
    if rows:
        document.table(("trial", *headings), rows)
    if any(trial["state"] == "finished" for trial in trials.values()):
        document.picture(
            "fronts",
            pictures.draw_fronts(result),
            "Trials by each pair of objectives; of the default and the pick the 95 % interval over levels. "
            + (
                "Trials that were stopped at a rung were measured after a part of a training."
                if result["guide"] == result["quality"]
                else f"Trials that were stopped at a rung, by their {result['guide']}, are left out."
            ),
        )
    if rival is not None:
        document.heading("Random search", 3)
        rows = [_rival_row("this search", found), _rival_row("random search", rival)]
        document.table(("", "trials", "minutes", "front", "pick", *headings), rows)
        if any(trial["state"] == "finished" for trial in rival.result["trials"]):
            document.picture("random", pictures.draw_fronts(rival.result), "The trials of the random search.")


def _rival_row(title: str, searched: Searched) -> list[str]:
    result = searched.result
    pick = "" if result["pick"] is None else str(result["pick"])
    figures = searched.trials[result["pick"]]["figures"] if pick else {}
    cells = [str(len(result["trials"])), f"{result['seconds'] / 60:.1f}", str(len(result["front"])), pick]
    return [title, *cells, *(_with_interval(figures, name) for name in searched.shown)]


def _add_networks(document: Document, found: Searched) -> None:
    same = found.result["pick"] == found.result["default"]
    named = dict(one for who in ((DEFAULT,) if same else (DEFAULT, "pick")) if (one := found.network(who)))
    if not named:
        return
    document.heading("The architecture")
    document.picture(
        "architecture",
        draw_networks(named),
        "Modules in the order in which they are called; on the right the shape of what each gives for one level (in "
        "sampling) or one action, and how many numbers it learns. Critics and other parts that are only trained with "
        "have no shape.",
    )


def _add_importances(document: Document, found: Searched) -> None:
    result = found.result
    document.heading("Which settings matter")
    try:
        from search.importances import LEAST_TRIALS, importances  # noqa: PLC0415

        names = dict.fromkeys([result["guide"], *result["plan"]["objectives"]])
        told = {name: importances(result, name) for name in names}
    except ImportError:
        document.text(
            "Importances are estimated by scikit-learn: `pip install scikit-learn`, and write the report anew."
        )
        _add_parallel(document, found, [])
        return
    known = {name: shares for name, (shares, _, _) in told.items() if shares}
    if known:
        where = "; ".join(
            f"{name}: {number} trials" + ("" if OBJECTIVES[name].cost else f", at rung {rung}")
            for name, (_, number, rung) in told.items()
        )
        document.picture(
            "importances",
            pictures.draw_importances(known),
            "The share of the variance of each objective that a setting explains (fANOVA, Hutter 2014).",
        )
        document.text(f"Of {where}. With few trials these shares are rough.")
    else:
        document.text(f"Fewer than {LEAST_TRIALS} trials can be compared: too few to tell.")
    first = next(iter(known.values()), {})
    _add_parallel(document, found, list(first)[:_PARALLEL])


def _add_parallel(document: Document, found: Searched, settings: Sequence[str]) -> None:
    whole = [trial for trial in found.result["trials"] if trial["state"] == "finished"]
    if len(whole) < 2:
        return
    chosen = list(settings) or list(pictures.flat_settings(whole[0]))[:_PARALLEL]
    document.picture(
        "parallel",
        pictures.draw_parallel(found.result, chosen),
        f"Trials that were trained whole: their settings, those that matter most for {found.result['quality']} on the "
        "left, and their objectives; the better, the lighter.",
    )


def _add_curves(document: Document, found: Searched) -> None:
    if not any(trial["rungs"] for trial in found.result["trials"]):
        return
    document.heading("Rungs")
    ladder = found.result["plan"].get("ladder", {})
    document.picture(
        "rungs",
        pictures.draw_curves(found.result),
        f"What trials are compared by before the last rung ({found.result['guide']}) at the end of each part of their "
        f"training (halving: {ladder.get('halving', 'none')}).",
    )


def _add_proxies(document: Document, found: Searched) -> None:
    result = found.result
    if not result["proxies"]:
        return
    document.heading("Zero-cost proxies")
    trusted = result["trusted"]
    document.picture(
        "proxies",
        pictures.draw_proxies(result),
        f"How well what an untrained network tells ranks trials at each rung, by {result['quality']} at the last and "
        f"by {result['guide']} before: Spearman's correlation with its 95 % interval (Bonett 2000). A proxy is trusted "
        "whose interval lies right of the dashed line.",
    )
    document.text(
        f"Trusted: {trusted['proxy'].replace('_', ' ') or 'none'} (at least {trusted['trials']} trials, and the lower "
        f"end of the interval above {trusted['correlation']:g})."
    )


def _add_states(document: Document, found: Searched) -> None:
    result = found.result
    document.heading("All trials")
    every = [*result["trials"], *result.get("beside", [])]
    rows = [
        [
            _STATES.get(state, state),
            str(number),
            f"{sum(one['seconds'] for one in every if one['state'] == state):,.0f}",
        ]
        for state, number in sorted(result["states"].items(), key=lambda entry: -entry[1])
    ]
    rows.append(["all", str(sum(result["states"].values())), f"{sum(one['seconds'] for one in every):,.0f}"])
    document.table(("what became of them", "trials", "seconds"), rows)
    errors = [f"Trial {one['number']}: {one['error']}" for one in every if one.get("error")]
    if errors:
        document.entries(errors)


def _add_method(document: Document, found: Searched) -> None:
    document.heading("How this was made")
    options = {name: value for name, value in found.options.items() if value not in (None, "", {}, [], ())}
    document.entries([f"{name.replace('_', ' ')}: {_plainly(value)}" for name, value in options.items()])
    document.text(", ".join(f"{name} {version}" for name, version in versions().items()) + ".")


def _plainly(value: Any) -> str:
    """Writes an option's value as it would be typed."""
    if isinstance(value, dict):
        return " ".join(f"{key} {entry}" for key, entry in value.items())
    return " ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)


if __name__ == "__main__":
    main(Options, report)
