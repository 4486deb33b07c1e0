"""What is there, told as answers: problems, generators and designers."""

from __future__ import annotations

import numpy as np

from envs import Problem
from envs.art import is_tall
from envs.counts import CountRule
from envs.problem import Metric, Shape
from generators.words.lexicon import usual_lexicon
from generators.words.reading import read_prompt
from service import answers, files
from service.limits import Limits
from service.models import DesignerRecord, GeneratorRecord
from service.wording import prompt_targets


def problem_answer(problem: Problem, limits: Limits) -> answers.Problem:
    """Tells what a problem is, and how large its levels may be here."""
    rules = problem.rules
    border = problem.tiles[problem.tile_ids[problem.border]].sprite if problem.border in problem.tile_ids else "outside"
    shown = [*(rules.sprites[len(problem.tiles) :] if rules else ()), *files.GROUNDS]
    return answers.Problem(
        name=problem.name,
        title=problem.description,
        tiles=[
            answers.Tile(
                id=i,
                name=tile.name,
                character=tile.character,
                colour="#{:02x}{:02x}{:02x}".format(*tile.colour),
                sprite=tile.sprite,
            )
            for i, tile in enumerate(problem.tiles)
        ],
        sprites=[*(tile.sprite or tile.name for tile in problem.tiles), *shown],
        tall=[is_tall(name) for name in (*(tile.sprite for tile in problem.tiles), *shown)],
        border=border,
        shape=list(problem.default_shape),
        least=list(problem.smallest_shape),
        most=limits.cells,
        metrics=[_metric(metric, problem) for metric in problem.metrics],
        playable=rules is not None,
        rules=rules.description if rules else "",
        actions=list(rules.actions) if rules else [],
        keys={name: list(keys) for name, keys in rules.keys.items()} if rules else {},
        ticks_per_second=rules.ticks_per_second if rules else 0,
        count_rules=[_in_words(rule) for rule in problem.count_rules],
        formats=files.formats(problem),
    )


def prompt_answer(text: str, problem: Problem, shape: Shape) -> answers.PromptAnswer:
    """Tells what a prompt asks of levels of a shape.

    Raises:
        UserError: the prompt is empty.
    """
    prompt = read_prompt(text, usual_lexicon(problem.name, shape))
    return answers.PromptAnswer(
        targets={name: list(interval) for name, interval in prompt_targets(prompt, problem, shape).items()},
        understood=list(prompt.told.values()),
        remarks=[*prompt.missing, *prompt.notes],
    )


def _metric(metric: Metric, problem: Problem) -> answers.Metric:
    low, high = (float(end) for end in metric.bounds(problem.default_shape))
    least, most = (float(np.clip(end, low, high)) for end in metric.target)
    return answers.Metric(
        name=metric.name,
        words=metric.description,
        low=low,
        high=high,
        target=[least, most],
        whole=low.is_integer() and high.is_integer(),
        play=metric.play,
    )


def _in_words(rule: CountRule) -> str:
    """Returns a rule on numbers of tiles as people say it: "1 player", "as many crates as targets"."""
    terms = [f"{'' if factor == 1 else f'{factor} x '}{name}" for name, factor in rule.coefficients.items()]
    if rule.low == rule.high == 0 and sorted(rule.coefficients.values()) == [-1, 1]:
        first, second = rule.coefficients
        return f"as many {first} as {second} tiles"
    total = " + ".join(terms)
    if rule.low == rule.high:
        return f"{rule.low:g} {total}"
    if np.isinf(rule.high):
        return f"at least {rule.low:g} {total}"
    if np.isinf(rule.low):
        return f"at most {rule.high:g} {total}"
    return f"{rule.low:g} to {rule.high:g} {total}"


def generator_answer(record: GeneratorRecord, default: bool) -> answers.GeneratorAnswer:
    """Tells what a generator is, and whether it is the first of its problem."""
    return answers.GeneratorAnswer(
        name=record.name,
        title=record.title,
        family=record.family,
        problem=record.problem.name,
        shape=list(record.shape),
        conditions=[answers.ConditionAnswer(name=one.name, low=one.low, high=one.high) for one in record.conditions],
        engine=record.engine,
        parameters=record.parameters,
        card=record.card,
        default=default,
    )


def designer_answer(record: DesignerRecord, limits: Limits) -> answers.DesignerAnswer:
    """Tells what a designer is, and how long it may work here."""
    return answers.DesignerAnswer(
        name=record.name,
        title=record.title,
        problem=record.problem.name,
        representation=record.representation,
        shape=list(record.shape),
        targets=list(record.targets),
        steps=min(record.steps, limits.steps),
        engine=record.engine,
        card=record.card,
    )
