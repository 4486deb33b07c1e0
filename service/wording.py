"""What is asked for in words: read, told to a generator as far as it can be told, and what samples are ranked by."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from envs import Problem
from envs.counts import CountRule
from envs.problem import Shape
from generators.sampling import LevelSource
from generators.spec import Condition
from generators.words.asking import condition_of, counts_to_hold, not_asked
from generators.words.features import Interval, count_rules
from generators.words.lexicon import Lexicon, usual_lexicon
from generators.words.reading import Prompt, read_prompt
from generators.words.scoring import score_levels


@dataclass(frozen=True)
class Wording:
    """A prompt, as one generator is asked for it.

    Attributes:
        lexicon: that it was read by.
        prompt: what it asks for.
        condition: by a metric's name one value for each level, (n,), that the generator is asked for.
        counts: numbers of tiles that are held while sampling.
        remarks: sentences about what was not understood, and what the generator cannot be asked for.
    """

    lexicon: Lexicon
    prompt: Prompt
    condition: Condition = field(default_factory=dict)
    counts: tuple[CountRule, ...] = ()
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        text: str,
        problem: Problem,
        shape: Shape,
        generator: LevelSource | None,
        n: int,
        targets: Mapping[str, Interval],
        fixed: NDArray[np.int16] | None,
    ) -> Wording:
        """Reads a prompt for n levels of a shape.

        Args:
            text: the prompt.
            problem: whose levels are wanted.
            shape: of these.
            generator: what samples them; None is one that can be asked for nothing.
            n: how many.
            targets: of metrics, which go before what the prompt asks of these.
            fixed: int16 (*shape), the tiles that must stay, -1 where any may; None fixes nothing.

        Raises:
            UserError: the prompt is empty or too long.
        """
        lexicon = usual_lexicon(problem.name, shape)
        prompt = _beside(read_prompt(text, lexicon), targets, problem, shape)
        told = (*prompt.missing, *prompt.notes)
        if generator is None:
            return cls(lexicon, prompt, remarks=(*told, *(not_asked(prompt.told[name]) for name in prompt.asked)))
        held, crowded = counts_to_hold(prompt, lexicon, generator, fixed)
        condition, notes = condition_of(prompt, lexicon, generator.spec, n, held)
        return cls(lexicon, prompt, condition, tuple(count_rules(lexicon.features, held)), (*told, *crowded, *notes))

    def scores(self, levels: NDArray[np.uint8], targets: Mapping[str, Interval]) -> NDArray[np.float64]:
        """Returns how well levels meet the prompt and targets of metrics, which go before it, float64 (n,)."""
        return score_levels(self.lexicon, levels, {**self.prompt.asked, **targets})


def _beside(prompt: Prompt, targets: Mapping[str, Interval], problem: Problem, shape: Shape) -> Prompt:
    """Returns what a prompt asks for beside targets that say other than it does.

    The page sends what it was told that a prompt asks for: of that the prompt says more than its ends.
    """
    said = prompt_targets(prompt, problem, shape)
    own = {name for name, ends in targets.items() if said.get(name) != ends}
    return replace(
        prompt,
        asked={name: interval for name, interval in prompt.asked.items() if name not in own},
        targets={name: interval for name, interval in prompt.targets.items() if name not in own},
    )


def prompt_targets(prompt: Prompt, problem: Problem, shape: Shape) -> dict[str, Interval]:
    """Returns what a prompt asks of metrics; ends that it leaves open are those of the metric on levels of a shape."""
    bounds = {metric.name: metric.bounds(shape) for metric in problem.metrics}
    return {
        name: (
            low if math.isfinite(low) else float(bounds[name][0]),
            high if math.isfinite(high) else float(bounds[name][1]),
        )
        for name, (low, high) in prompt.targets.items()
    }
