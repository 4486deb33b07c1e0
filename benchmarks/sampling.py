"""How many levels a second the families sample in batch, on one thread and in one process a core.

python -m benchmarks.sampling --problem sokoban --shape 10 10
python -m benchmarks.sampling --families masked_lm --sampling steps 8

The networks are those of the default configurations, barely trained: what a sample costs does not depend on what was
learned, but for where a family stops early. Each figure is the median of five batches, after one that is not counted.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from dataclasses import dataclass, field

import numpy as np
import torch
import tyro

import envs
from benchmarks.generators import known
from generators.corpus import corpus_of_levels
from generators.generator import FitOptions
from generators.suite import all_families, get_family, make_generator

REPEATS = 5


@dataclass
class Options:
    """Measure how fast generators sample.

    Attributes:
        problem: whose levels.
        shape: of the levels.
        families: which ones; by default all.
        batch: levels in a batch.
        processes: how many processes sample at once, each on one thread; by default one a core.
        sampling: options of the sampling.
    """

    problem: str = "sokoban"
    shape: tuple[int, ...] = (10, 10)
    families: tuple[str, ...] = ()
    batch: int = 512
    processes: int = os.cpu_count() or 1
    sampling: dict[str, str] = field(default_factory=dict)


def rate(family: str, options: Options) -> float:
    """Returns how many levels a second a family samples on one thread, the median of several batches."""
    torch.set_num_threads(1)
    corpus = corpus_of_levels(options.problem, envs.construct(options.problem, 200, seed=1, shape=options.shape))
    generator = make_generator(family, corpus)
    generator.fit(corpus, FitOptions(minutes=0, steps=2, batch=16))
    sampling = known(generator.Sampling, options.sampling)
    seconds = []
    for repeat in range(REPEATS + 1):
        began = time.perf_counter()
        generator.sample(options.batch, repeat, None, None, **sampling)
        seconds.append(time.perf_counter() - began)
    return float(options.batch / np.median(seconds[1:]))


def _measure(job: tuple[str, Options]) -> float:
    return rate(*job)


def run(options: Options) -> None:
    """Prints a table in Markdown."""
    names = options.families or tuple(all_families())
    print(f"| levels/s, {options.problem} {options.shape} | one thread | {options.processes} processes |")
    print("| --- | --: | --: |")
    context = multiprocessing.get_context("spawn")
    for name in names:
        get_family(name)
        alone = rate(name, options)
        with context.Pool(options.processes) as pool:
            together = sum(pool.map(_measure, [(name, options)] * options.processes, chunksize=1))
        print(f"| {name} | {alone:,.0f} | {together:,.0f} |", flush=True)


if __name__ == "__main__":
    run(tyro.cli(Options, description=__doc__))
