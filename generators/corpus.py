"""Corpora: levels to learn from, split by whole level, with where they came from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from envs import UserError, get_problem
from envs.design_options import level_shape
from envs.errors import unknown_name
from envs.level_io import level_files, read_collection
from envs.problem import Problem, Shape
from envs.symmetries import images
from generators.constructed import constructed_levels

#: The three parts of a corpus: to learn from, to stop early by, and to judge on.
SPLITS = ("train", "held_out", "test")

#: The names of folders that published corpora keep their parts in.
_FOLDERS = {"train": "train", "valid": "held_out", "val": "held_out", "validation": "held_out", "test": "test"}

#: The kinds of corpora, with what each reads.
KINDS = {
    "constructed": "the problem's own constructive generator; nothing is read",
    "vglc": "a folder of a game of TheVGLC",
    "boxoban": "a folder of boxoban-levels",
    "folder": "a folder of level files in any format that is read",
}

#: What is known of the licence of published corpora.
_LICENCES = {
    "constructed": "made by this program",
    "vglc": "TheVGLC's files are MIT (Summerville 2016); the designs belong to the games' makers",
    "boxoban": "Apache-2.0 (Guez 2018)",
    "folder": "the user's own; see the files",
}


@dataclass(frozen=True)
class CorpusOptions:
    """Which levels to learn from.

    Attributes:
        kind: constructed (the problem's constructive generator), vglc, boxoban or folder.
        path: the folder of all kinds but constructed.
        levels: the most levels, or windows, to train on; all others are left out at random. 0 takes all there are,
            which are 10,000 where they are constructed.
        shape: the shape of what is learned; longer levels are cut into windows of it after the split. None takes the
            problem's window, or whole levels.
        stride: how far apart the windows of training levels are along each axis; None is one tile. Windows of the
            other two parts do not overlap.
        held_out: the share of levels that are held out to stop early by, where no folder says which those are.
        test: the share that are kept to judge on, likewise.
        seed: of the split and of constructed levels.
    """

    kind: str = "constructed"
    path: str = ""
    levels: int = 0
    shape: tuple[int, ...] | None = None
    stride: tuple[int, ...] | None = None
    held_out: float = 0.05
    test: float = 0.05
    seed: int = 0

    def check(self) -> None:
        """Raises UserError where a value cannot be used."""
        if self.kind not in KINDS:
            raise unknown_name("corpus", self.kind, KINDS)
        if bool(self.path) == (self.kind == "constructed"):
            wanted = "takes no path" if self.path else "needs the path of its folder"
            raise UserError(f"The corpus {self.kind} ({KINDS[self.kind]}) {wanted}; got {self.path!r}.")
        if self.levels < 0:
            raise UserError(f"The number of levels must be at least 0, which takes all; got {self.levels}.")
        if self.seed < 0:
            raise UserError(f"The seed of a corpus must be at least 0; got {self.seed}.")
        for name in ("held_out", "test"):
            if not 0 < getattr(self, name) < 0.5:
                raise UserError(f"The share {name} must be above 0 and below 0.5; got {getattr(self, name)}.")


@dataclass(frozen=True)
class Part:
    """One part of a corpus.

    Attributes:
        levels: uint8 (n, *shape).
        labels: int64 (n,), the number of each level's class, -1 where the corpus has no classes.
        sources: how many whole levels they are, or were cut from.
    """

    levels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    sources: int

    def __len__(self) -> int:
        return len(self.levels)

    def first(self, share: float) -> Part:
        """Returns so large a share of the levels, the first ones, at least one; `sources` is scaled alike."""
        count = max(1, round(share * len(self)))
        return Part(self.levels[:count], self.labels[:count], max(1, round(share * self.sources)))


@dataclass(frozen=True)
class Corpus:
    """Levels to learn from.

    Attributes:
        problem: whose levels they are.
        options: what was asked for.
        train: what is learned from.
        held_out: what training is stopped by.
        test: what results are reported on.
        labels: the names of the classes; empty where there are none.
        notes: how the corpus was made, and what was left out, in sentences.
    """

    problem: Problem
    options: CorpusOptions
    train: Part
    held_out: Part
    test: Part
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    _measured: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False, compare=False)

    def part(self, split: str) -> Part:
        """Returns a part by its name, one of SPLITS."""
        if split not in SPLITS:
            raise unknown_name("part of a corpus", split, SPLITS)
        part: Part = getattr(self, split)
        return part

    @property
    def shape(self) -> Shape:
        """The shape of its levels."""
        return tuple(int(size) for size in self.train.levels.shape[1:])

    def metrics(self, split: str = "train") -> NDArray[np.float32]:
        """Returns the problem's metrics of a part's levels, float32 (n, metrics); they are measured once."""
        if split not in self._measured:
            self._measured[split] = self.problem.measure(self.part(split).levels)
        return self._measured[split]

    def beginning(self, share: float) -> Corpus:
        """Returns the corpus with the first levels of its training part alone, and the same others.

        Args:
            share: of the training levels, above 0 and at most 1.

        Raises:
            UserError: there is no such share.
        """
        if not 0 < share <= 1:
            raise UserError(f"The share of the training levels must be above 0 and at most 1; got {share}.")
        if share == 1:
            return self
        part = self.train.first(share)
        measured = {"train": self._measured["train"][: len(part)]} if "train" in self._measured else {}
        kept = {split: self._measured[split] for split in SPLITS[1:] if split in self._measured}
        note = f"Of the training levels the first {len(part)} of {len(self.train)}."
        return replace(self, train=part, notes=(*self.notes, note), _measured={**kept, **measured})

    @property
    def digest(self) -> str:
        """Tells corpora apart by all that is learned from and judged on: 16 hexadecimal digits."""
        sums = hashlib.sha256()
        for split in SPLITS:
            part = self.part(split)
            sums.update(f"{split} {part.levels.shape}".encode())
            sums.update(part.levels.tobytes())
        return sums.hexdigest()[:16]

    def record(self) -> dict[str, Any]:
        """Returns what `open_corpus` needs to make the same corpus again, as plain data."""
        return {**asdict(self.options), "digest": self.digest}

    def card(self) -> list[str]:
        """Returns lines that say what the corpus is, for people."""
        sizes = ", ".join(
            f"{split.replace('_', ' ')} {len(self.part(split))} (of {self.part(split).sources} levels)"
            if len(self.part(split)) != self.part(split).sources
            else f"{split.replace('_', ' ')} {len(self.part(split))}"
            for split in SPLITS
        )
        classes = [f"Classes: {', '.join(self.labels)}."] if self.labels else []
        return [
            f"Corpus: {self.options.kind}, {self.problem.name}, shape {self.shape}, seed {self.options.seed}.",
            f"Levels: {sizes}; split by whole level.",
            *classes,
            f"Licence: {_LICENCES[self.options.kind]}.",
            *self.notes,
        ]


def load_corpus(
    problem: str | Problem,
    options: CorpusOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Corpus:
    """Loads or builds a corpus.

    Args:
        problem: a problem or its name.
        options: which levels; None is the problem's own constructive generator.
        progress: called as progress(levels done, levels in all) while levels are constructed.

    Raises:
        UserError: an option, a file or a level cannot be used, or there are too few levels.
    """
    task = get_problem(problem)
    wanted = options or CorpusOptions()
    wanted.check()
    shape = None
    if wanted.shape is not None or task.window is not None:
        shape = level_shape("shape", wanted.shape, task, task.window or task.default_shape)
    if wanted.kind == "constructed":
        return _construct(task, wanted, shape or task.default_shape, progress)
    return _read(task, wanted, shape)


def open_corpus(problem: str | Problem, record: Mapping[str, Any], path: str | None = None) -> Corpus:
    """Makes the corpus again that a saved generator was trained on.

    Args:
        problem: a problem or its name.
        record: what `Corpus.record` returned.
        path: where the levels are now, if elsewhere.

    Raises:
        UserError: the record is damaged, or the levels are no longer the same.
    """
    plain = {key: value for key, value in record.items() if key != "digest"}
    try:
        for key in ("shape", "stride"):
            plain[key] = None if plain[key] is None else tuple(plain[key])
        options = CorpusOptions(**{**plain, "path": plain["path"] if path is None else path})
    except (TypeError, KeyError) as error:
        raise UserError(
            f"The record of the corpus is damaged ({error}); name the corpus that the model was trained on."
        ) from error
    corpus = load_corpus(problem, options)
    if corpus.digest != record.get("digest"):
        raise UserError(
            f"The corpus {' '.join(filter(None, (options.kind, options.path)))} is not the one that the model was "
            f"trained on (digest {corpus.digest}, not {record.get('digest')}); "
            f"{'give the folder as it was, or ' if options.path else ''}name the corpus to judge by."
        )
    return corpus


def corpus_of_levels(
    problem: str | Problem,
    levels: NDArray[np.uint8],
    *,
    held_out: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    repeats: bool = False,
) -> Corpus:
    """Makes a corpus of levels at hand, split at random.

    Args:
        problem: a problem or its name.
        levels: uint8 (n, *shape).
        held_out: the share of levels to stop training by.
        test: the share to judge on.
        seed: of the split.
        repeats: keep held-out and test levels that equal training levels; for levels so small that there are few.

    Raises:
        UserError: they are no levels of the problem, or fewer than three, or nothing is left to judge on.
    """
    task = get_problem(problem)
    batch = task.check_levels(levels)
    options = CorpusOptions("folder", "levels given as an array", 0, None, None, held_out, test, seed)
    named = [("", level) for level in batch]
    return _assemble(task, options, named, [None] * len(named), [""] * len(named), None, [], repeats)


def _construct(
    task: Problem, options: CorpusOptions, shape: Shape, progress: Callable[[int, int], None] | None
) -> Corpus:
    """Builds levels and splits them in their order."""
    count = options.levels or 10_000
    sizes = {
        "train": count,
        "held_out": max(1, round(count * options.held_out)),
        "test": max(1, round(count * options.test)),
    }
    levels = constructed_levels(task, sum(sizes.values()), options.seed, shape, progress)
    total = len(levels)
    bounds = np.cumsum([sizes["train"], sizes["held_out"]])
    parts = np.split(levels, bounds)
    notes: list[str] = [
        f"{total} levels by the constructive generator of {task.name}, each confirmed by its measure or solver."
    ]
    train, rest = parts[0], []
    seen = {level.tobytes() for level in train}
    for split, part in zip(SPLITS[1:], parts[1:], strict=True):
        fresh = _fresh(task, part, seen)
        if not fresh.all():
            notes.append(_left_out(split, fresh))
        rest.append(part[fresh])
        seen |= {level.tobytes() for level in rest[-1]}
    for split, part in zip(SPLITS[1:], rest, strict=True):
        if not len(part):
            raise UserError(
                f"All {split.replace('_', ' ')} levels of shape {shape} equal training levels: there are too few "
                "different ones; ask for fewer levels or a larger shape."
            )
    learned, held_out, test = (Part(part, np.full(len(part), -1, np.int64), len(part)) for part in (train, *rest))
    return Corpus(task, options, learned, held_out, test, notes=tuple(notes))


def _read(task: Problem, options: CorpusOptions, shape: Shape | None) -> Corpus:
    """Reads a folder of level files."""
    root = Path(options.path)
    format_name = options.kind if options.kind != "folder" else None
    named: list[tuple[str, NDArray[np.uint8]]] = []
    splits: list[str | None] = []
    labels: list[str] = []
    changes: Counter[str] = Counter()
    unsupported = 0
    for file in level_files(root, format_name):
        collection = read_collection(file, task, format_name)
        folders = file.relative_to(root).parts[:-1]
        split = next((_FOLDERS[name.lower()] for name in folders if name.lower() in _FOLDERS), None)
        others = [name for name in folders if name.lower() not in _FOLDERS and name != "Processed"]
        for level in collection.levels:
            named.append((str(file), level))
            splits.append(split)
            labels.append(others[0] if others else "")
        changes.update(collection.changes)
        unsupported += len(collection.unsupported)
    notes = [f"Read from {len({name for name, _ in named})} files in {root.name or root}."]
    notes += [f"{what} in {number} tiles." for what, number in changes.items()]
    if unsupported:
        notes.append(f"{unsupported} levels have what {task.name} has no tile for: left out.")
    return _assemble(task, options, named, splits, labels, shape, notes)


def _assemble(
    task: Problem,
    options: CorpusOptions,
    named: Sequence[tuple[str, NDArray[np.uint8]]],
    splits: Sequence[str | None],
    labels: Sequence[str],
    shape: Shape | None,
    notes: list[str],
    repeats: bool = False,
) -> Corpus:
    """Splits whole levels, then cuts them into windows."""
    where = options.path
    if not named:
        raise UserError(f"{where} holds no levels that {task.name} can have; a corpus needs 3 to be split.")
    if shape is None:
        shapes = Counter(level.shape for _, level in named)
        if len(shapes) > 1:
            shown = ", ".join(map(str, sorted(shapes)[:4]))
            raise UserError(
                f"The levels in {where} have {len(shapes)} shapes ({shown}{', …' if len(shapes) > 4 else ''}); give "
                "the shape of the windows to cut them into."
            )
        shape = next(iter(shapes))
    large = [i for i, (_, level) in enumerate(named) if all(np.greater_equal(level.shape, shape))]
    if len(large) < len(named):
        notes.append(f"{len(named) - len(large)} levels are smaller than {shape}: left out.")
    groups = _split([splits[i] for i in large], options, where, len(named), shape)
    classes = tuple(sorted(set(labels)))
    numbers = {name: i for i, name in enumerate(classes)} if len(classes) > 1 else {}
    random = np.random.default_rng([options.seed, 1])
    parts: dict[str, Part] = {}
    known: set[bytes] = set()
    for split in SPLITS:
        windows: list[NDArray[np.uint8]] = []
        found: list[int] = []
        stride = (options.stride or (1,) * len(shape)) if split == "train" else shape
        chosen = [large[i] for i in groups[split]]
        for i in chosen:
            cut = _windows(named[i][1], shape, stride)
            windows.append(cut)
            found += [numbers.get(labels[i], -1)] * len(cut)
        levels, marks = np.concatenate(windows), np.array(found, np.int64)
        if split == "train":
            if options.levels and len(levels) > options.levels:
                kept = np.sort(random.permutation(len(levels))[: options.levels])
                levels, marks = levels[kept], marks[kept]
            known = {level.tobytes() for level in levels}
        else:
            fresh = np.ones(len(levels), np.bool_) if repeats else _fresh(task, levels, known)
            if not fresh.all():
                notes.append(_left_out(split, fresh))
            levels, marks = levels[fresh], marks[fresh]
            known |= {level.tobytes() for level in levels}
            if not len(levels):
                raise UserError(
                    f"All {split.replace('_', ' ')} levels of {where} equal training levels; there is nothing to judge "
                    "by: give more different levels."
                )
        parts[split] = Part(np.ascontiguousarray(levels), marks, len(chosen))
    names = classes if numbers else ()
    if names and not all(names):
        names = tuple(name or "others" for name in names)
    return Corpus(task, options, parts["train"], parts["held_out"], parts["test"], names, tuple(notes))


def _fresh(task: Problem, levels: NDArray[np.uint8], known: set[bytes]) -> NDArray[np.bool_]:
    """Tells which levels are none of those that are known, nor one of these under symmetries, bool (n,).

    Models learn from the symmetric images of training levels too.
    """
    found = np.zeros(len(levels), np.bool_)
    for image in images(task.symmetries, levels):
        found |= np.array([level.tobytes() in known for level in image], np.bool_)
    return ~found


def _left_out(split: str, fresh: NDArray[np.bool_]) -> str:
    """Returns the note on levels that are left out."""
    others = "training levels" if split == "held_out" else "training or held-out levels"
    return f"{(~fresh).sum()} {split.replace('_', ' ')} levels equal {others}, or these under symmetries: left out."


def _split(
    splits: Sequence[str | None], options: CorpusOptions, where: str, found: int, shape: Shape
) -> dict[str, list[int]]:
    """Returns the numbers of the levels of each part: those that their folders name, all others by lot."""
    if len(splits) < 3:
        raise UserError(
            f"{where} holds {len(splits)} levels of at least {shape} ({found} in all); a corpus needs 3 to be split."
        )
    groups: dict[str, list[int]] = {name: [i for i, split in enumerate(splits) if split == name] for name in SPLITS}
    order = np.random.default_rng([options.seed, 0]).permutation(len(splits))
    # A part that no folder is named after is taken from what is free to be learned from.
    pool = [int(i) for i in order if splits[i] in (None, "train")]
    total = len(pool)
    for name, share in (("test", options.test), ("held_out", options.held_out)):
        if not groups[name]:
            count = max(1, round(share * total))
            groups[name], pool = pool[:count], pool[count:]
    groups["train"] = pool
    for name in SPLITS:
        if not groups[name]:
            raise UserError(f"{where} has too few levels ({len(splits)}) for the part {name}; give more levels.")
        groups[name].sort()
    return groups


def _windows(level: NDArray[np.uint8], shape: Shape, stride: Sequence[int]) -> NDArray[np.uint8]:
    """Cuts a level into windows, uint8 (n, *shape).

    Where windows reach the end of an axis depends on the stride, but for an axis that is no longer than two strides
    and taller than the window: there the last window lies at its end, where the ground of a platform level is.
    """
    if len(stride) != len(shape) or min(stride) < 1:
        raise UserError(f"The stride must be {len(shape)} whole numbers of at least 1; got {tuple(stride)}.")
    starts = []
    for axis, (size, window, step) in enumerate(zip(level.shape, shape, stride, strict=True)):
        first = (size - window) % step if axis == len(shape) - 2 else 0
        starts.append(range(first, size - window + 1, step))
    grid = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, len(shape))
    return np.stack([level[tuple(slice(a, a + b) for a, b in zip(start, shape, strict=True))] for start in grid])
