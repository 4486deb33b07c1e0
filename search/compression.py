"""Models made smaller: pruned, of eight-bit weights, or distilled into a smaller one of their family.

What comes out is a model like any other: it is saved, loaded, sampled and judged in the same way.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from agents.designer import PolicyDesigner
from envs import UserError
from generators.corpus import Corpus, Part
from generators.generator import FitOptions, Generator, Report
from generators.integers import LEAST, to_integers
from generators.neural import NeuralGenerator
from generators.packing import PackedGenerator
from generators.searchable import Several, Whole, searchable
from generators.spec import LABEL
from generators.storage import INT8, SPARSE, STORAGE, pack, unpack
from generators.training import Asked

#: What saved configurations call how a model was made smaller.
COMPRESSION = "compression"

#: The logarithm of a probability below which a symbol is no choice.
_IMPOSSIBLE = -1e4

#: The learning rate of what is trained on after pruning, as a share of the family's own.
_GENTLY = 0.3


def check_generator(generator: Generator) -> NeuralGenerator:
    """Returns a generator that can be made smaller.

    Raises:
        UserError: it has no network, or its weights have eight bits already.
    """
    if not isinstance(generator, NeuralGenerator):
        raise UserError(f"{generator.title} ({generator.name}) has no network that could be made smaller.")
    if generator.facts.get(STORAGE) == INT8:
        raise UserError("The generator's weights have eight bits already: give the one that it was made from.")
    return generator


# Pruning.


def prune(
    generator: NeuralGenerator,
    share: float,
    corpus: Corpus | None = None,
    options: FitOptions | None = None,
    report: Report | None = None,
) -> NeuralGenerator:
    """Returns a generator without the smallest weights of its matrices (Han 2015; scores by Lee 2021).

    Weights are compared across all matrices, embeddings and kernels that levels are sampled by; a critic or an encoder
    keeps its own. Then the others are trained on, at a lower learning rate, while those that were taken out stay 0.
    Plain magnitudes would empty whole matrices where several optimisers work at different scales: half of a tile LM's
    weights taken out so cost 0.54 nats a tile, by these scores 0.02.

    Args:
        generator: stays as it is.
        share: of the weights, that are taken out, in (0, 1).
        corpus: what is trained on.
        options: how; None leaves it at taking weights out.
        report: see `Generator.fit`.

    Raises:
        UserError: there is no such share, or an option cannot be used.
    """
    _check_share(share)
    pruned = _copy(generator)
    wanted = _sampled_by(pruned)
    weights = {name: weight for name, weight in pruned.network.named_parameters() if name in wanted and weight.ndim > 1}
    masks = _masks(weights, share)
    facts = dict(pruned.facts)
    _hold(pruned.network, masks)
    if corpus is not None and options is not None:
        rate = options.learning_rate or _GENTLY * float(pruned.resolved(options).learning_rate or 0)
        with _held(pruned, masks):
            fit = pruned.fit(corpus, replace(options, learning_rate=rate), None, report, weights=pruned.arrays())
        facts["fit"] = asdict(fit)
    pruned.facts = {**facts, STORAGE: SPARSE, COMPRESSION: {"method": "pruned", "share": share}}
    return pruned


def prune_designer(designer: PolicyDesigner, share: float) -> PolicyDesigner:
    """Returns a designer without the smallest weights of its matrices; it is not trained on.

    Args:
        designer: stays as it is.
        share: of the weights, that are taken out, in (0, 1).

    Raises:
        UserError: there is no such share.
    """
    _check_share(share)
    network = copy.deepcopy(designer.network)
    matrices = {name: weight for name, weight in network.named_parameters() if weight.ndim > 1}
    # What says how much a level is worth is not asked in designing, and would count for nothing.
    acting = {name: weight for name, weight in matrices.items() if ".value." not in f".{name}"}
    _hold(network, _masks(acting, share))
    return _designer(designer, network, {STORAGE: SPARSE, COMPRESSION: {"method": "pruned", "share": share}})


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise UserError(f"The share of weights that are taken out must lie between 0 and 1; got {share}.")


def _masks(weights: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Returns which weights stay, bool tensors by name: all but the share of least scores."""
    scores = torch.cat([_scores(weight.detach().flatten()) for weight in weights.values()])
    out = round(share * len(scores))
    stays = torch.ones_like(scores, dtype=torch.bool)
    stays[scores.argsort(stable=True)[:out]] = False
    parts = stays.split([weight.numel() for weight in weights.values()])
    return {name: part.view(weights[name].shape) for name, part in zip(weights, parts, strict=True)}


def _scores(weights: Tensor) -> Tensor:
    """Returns layer-adaptive magnitudes (Lee 2021), float64 (n,), of weights (n,).

    Each is the weight's square as a share of the squares of all in its matrix that are no smaller: what is lost by
    taking it out after those below it. The greatest of a matrix scores 1, so that no matrix is emptied.
    """
    squares, order = weights.double().square().sort(stable=True)
    scores = torch.empty_like(squares)
    scores[order] = squares / squares.flip(0).cumsum(0).flip(0).clamp(min=1e-300)
    return scores


def _hold(network: nn.Module, masks: Mapping[str, Tensor], only: set[int] | None = None) -> None:
    """Sets weights to 0 that were taken out; of some alone, by their ids, where `only` is given."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name in masks and (only is None or id(weight) in only):
                weight.mul_(masks[name])


@contextmanager
def _held(generator: NeuralGenerator, masks: Mapping[str, Tensor]) -> Iterator[None]:
    """Keeps weights at 0, whatever optimisers do."""

    def hold(optimiser: torch.optim.Optimizer, *_: Any) -> None:
        # Only what it moved: of others a gradient may be on its way.
        moved = {id(weight) for group in optimiser.param_groups for weight in group["params"]}
        _hold(generator.network, masks, moved)

    handle = register_optimizer_step_post_hook(hold)
    try:
        yield
    finally:
        handle.remove()


class _Touched(TorchFunctionMode):
    """Notes which tensors torch is given."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[int] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs a function of torch."""
        kwargs = kwargs or {}
        self.found.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, nn.Parameter))
        return func(*args, **kwargs)


def _sampled_by(generator: NeuralGenerator) -> set[str]:
    """Returns the names of the weights by which levels are sampled."""
    with _Touched() as touched:
        generator.sample(2)
    return {name for name, weight in generator.network.named_parameters() if id(weight) in touched.found}


# Eight bits.


def quantise(generator: NeuralGenerator) -> NeuralGenerator:
    """Returns a generator whose matrices are eight-bit whole numbers, each row with a scale of its own.

    Its large linear layers compute with them (see `generators.integers`), and it is saved in a quarter of the room.

    Args:
        generator: stays as it is.
    """
    quantised = _copy(generator)
    quantised.restore(unpack(pack(quantised.arrays(), INT8)))
    weights = to_integers(quantised.network)
    how = {"method": "int8", "weights in products of whole numbers": weights, "least of such a layer": LEAST}
    quantised.facts = {**quantised.facts, STORAGE: INT8, COMPRESSION: how}
    return quantised


def quantise_designer(designer: PolicyDesigner) -> PolicyDesigner:
    """Returns a designer whose matrices are eight-bit whole numbers; see `quantise`."""
    network = copy.deepcopy(designer.network)
    arrays = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
    rounded = unpack(pack(arrays, INT8))
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in rounded.items()})
    weights = to_integers(network)
    how = {"method": "int8", "weights in products of whole numbers": weights, "least of such a layer": LEAST}
    return _designer(designer, network, {STORAGE: INT8, COMPRESSION: how})


# Distillation.


def distil(
    teacher: NeuralGenerator,
    config: Any,
    corpus: Corpus,
    options: FitOptions,
    *,
    levels: int = 5000,
    soft: float = 0.5,
    report: Report | None = None,
) -> NeuralGenerator:
    """Returns a smaller generator that has learned from another.

    It learns from levels that the teacher samples beside those of the corpus (Kim 2016), and, in families that predict
    decision by decision, from how likely the teacher takes each symbol to be (Hinton 2015, at temperature 1).

    Args:
        teacher: stays as it is.
        config: of the student, of the family's `Config`.
        corpus: what the teacher learned from.
        options: how the student is trained.
        levels: how many the teacher samples, as they come.
        soft: what the teacher's opinion weighs against what is true, from 0 to 1; 0 does without.
        report: see `Generator.fit`.

    Raises:
        UserError: a number or an option cannot be used, or student and teacher do not decide the same things in the
            same order, so that the one's opinions mean nothing to the other.
    """
    if levels < 0 or not 0 <= soft <= 1:
        raise UserError(
            f"The teacher samples 0 levels or more, and its opinion weighs from 0 to 1; got {levels} and {soft}."
        )
    student = type(teacher)(teacher.spec, config)
    taught = _taught(teacher, corpus, levels, options.seed)
    opinion = bool(soft) and _agree(teacher, student, taught)
    if opinion:
        student.loss = _Lesson(student, teacher, soft)  # type: ignore[method-assign]
    try:
        student.fit(taught, options, None, report)
    finally:
        student.__dict__.pop("loss", None)
    # What it is judged by is the teacher's corpus.
    student.facts["corpus"] = corpus.record()
    student.facts[COMPRESSION] = {
        "method": "distilled",
        "teacher": asdict(teacher.config),
        "levels of the teacher": levels,
        "weight of its opinion": soft if opinion else 0.0,
    }
    return student


def _taught(teacher: NeuralGenerator, corpus: Corpus, count: int, seed: int) -> Corpus:
    """Returns a corpus with levels of the teacher among those to learn from."""
    if not count:
        return corpus
    condition: dict[str, Any] = {}
    labels = np.full(count, -1, np.int64)
    known = corpus.train.labels[corpus.train.labels >= 0]
    if teacher.spec.labels and len(known):
        labels = np.random.default_rng(seed).choice(known, count)
        condition[LABEL] = labels
    levels = teacher.sample(count, seed, condition)
    train = Part(
        np.concatenate([corpus.train.levels, levels]),
        np.concatenate([corpus.train.labels, labels]),
        corpus.train.sources + count,
    )
    note = f"Of the training levels {count} were sampled by the generator that this one was distilled from."
    return replace(corpus, train=train, notes=(*corpus.notes, note), _measured={})


def _agree(teacher: NeuralGenerator, student: NeuralGenerator, corpus: Corpus) -> bool:
    """Returns whether both predict the same symbols in the same order; False where their family does not predict."""
    levels = torch.from_numpy(corpus.train.levels[:4].astype(np.int64))
    spec = teacher.spec
    asked = Asked.of(spec, *spec.values(None, len(levels)), "cpu")
    # A network that is yet to be trained may not know what follows from the corpus.
    pupil = type(teacher)(spec, student.config)
    pupil.prepare(corpus, pupil.resolved(FitOptions()))
    pupil.network = pupil.new_network(0)
    with torch.no_grad():
        first, second = teacher.predict(levels, asked), pupil.predict(levels, asked)
    if first is None or second is None:
        return False
    if first.logits.shape != second.logits.shape or not torch.equal(first.symbols, second.symbols):
        raise UserError(
            "The student decides other things than its teacher, or in another order, so that the teacher's opinions "
            "mean nothing to it: give it the teacher's order, or weigh its opinion by 0."
        )
    return True


class _Lesson:
    """A student's loss beside its teacher: what is true, and what the teacher takes for likely.

    Args:
        student: who learns.
        teacher: stays as it is.
        weight: of the teacher's opinion, from 0 to 1.
    """

    def __init__(self, student: NeuralGenerator, teacher: NeuralGenerator, weight: float) -> None:
        self.student, self.teacher, self.weight = student, teacher, weight
        self.alone = student.loss

    def __call__(self, levels: Tensor, asked: Asked, random: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the loss; see `NeuralGenerator.loss`. On held-out levels the truth alone counts."""
        if not self.student.network.training:
            return self.alone(levels, asked, random)
        self.teacher.network.eval()
        with torch.no_grad():
            opinion = self.teacher.predict(levels, asked)
        own = self.student.predict(levels, asked)
        assert opinion is not None
        assert own is not None
        real = own.real
        logs = own.logits[real].log_softmax(dim=-1)
        hard = functional.nll_loss(logs, own.symbols[real])
        taken = opinion.logits[real].log_softmax(dim=-1)
        # What is impossible to both is no difference, though their logarithms have none.
        soft = torch.where(taken > _IMPOSSIBLE, taken.exp() * (taken - logs), 0.0).sum(dim=-1).mean()
        figures = {"truth": hard.detach(), "opinion": soft.detach()}
        return (1 - self.weight) * hard + self.weight * soft, figures


def smaller_config(generator: NeuralGenerator, share: float) -> Any:
    """Returns the generator's configuration with all its sizes scaled down alike.

    Sizes are the whole numbers that the family declares to be searched by their logarithm, and those of which there
    are several; all else stays.

    Args:
        generator: whose configuration.
        share: of its weights, that the smaller one has at most.

    Raises:
        UserError: the family declares no sizes, or even the smallest are more than that.
    """
    config, ranges = generator.config, searchable(type(generator.config))
    sizes: dict[str, Whole | Several] = {
        name: kind
        for name, kind in ranges.items()
        if isinstance(kind, Several) or (isinstance(kind, Whole) and kind.log)
    }
    for factor in np.geomspace(1, 1 / 64, 49)[1:]:
        smaller = replace(config, **{name: _scaled(config, name, kind, factor) for name, kind in sizes.items()})
        with torch.device("meta"):
            weights = type(generator)(generator.spec, smaller).parameters()
        if weights <= share * generator.parameters():
            return smaller
    raise UserError(
        f"{generator.title} cannot be made as small as {share:g} of itself by its sizes "
        f"({', '.join(sizes) or 'it declares none'}): give --student."
    )


def _scaled(config: Any, name: str, kind: Whole | Several, factor: float) -> Any:
    """Returns a size times a factor, or several, no smaller than the range allows and as it asks."""
    value = getattr(config, name)
    if isinstance(kind, Several):
        return tuple(_smaller(size, kind.each, kind.each.step, factor) for size in value)
    return _smaller(value, kind, getattr(config, kind.multiple_of) if kind.multiple_of else kind.step, factor)


def _smaller(size: int, kind: Whole, step: int, factor: float) -> int:
    least = min(kind.low, size)
    return max(step * math.floor(size * factor / step), step * math.ceil(least / step))


# Copies.


def _copy(generator: NeuralGenerator) -> NeuralGenerator:
    """Returns a generator that can be changed without changing this one."""
    return check_generator(PackedGenerator.of(generator).unpack())


def _designer(designer: PolicyDesigner, network: Any, facts: Mapping[str, Any]) -> PolicyDesigner:
    """Returns a designer with another network."""
    made = PolicyDesigner(
        network,
        designer.env_options,
        {**designer.facts, **facts},
        deterministic=designer.deterministic,
        device=designer.device,
        generator=designer.generator,
    )
    made.name = designer.name
    return made


def nonzero(arrays: Mapping[str, NDArray]) -> int:
    """Returns how many of the learned numbers, of arrays by name, are not 0."""
    return int(sum(np.count_nonzero(array) for array in arrays.values() if array.dtype.kind == "f"))
