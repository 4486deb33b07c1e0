"""Judges levels, whoever made them: what a generator is worth, measured; nothing here needs torch."""

from generators.judging.control import Control, asked_values, measure_control
from generators.judging.copying import Patches, copied_patches
from generators.judging.distance import Neighbours, close_pairs, first_occurrences, nearest, novelty_threshold
from generators.judging.fairness import MetricShift, TileShift, shift_metric, shift_tiles
from generators.judging.judgement import Judgement, Yardstick, judge
from generators.judging.likelihood import Likelihood, measure_likelihood
from generators.judging.patterns import Divergence, mean_divergence, pattern_divergence, pattern_divergences
from generators.judging.playability import Play, play_levels
from generators.judging.reweighting import Reweighted, reweigh
from generators.judging.spread import Spread, farthest_apart, independent_set

__all__ = [
    "Control",
    "Divergence",
    "Judgement",
    "Likelihood",
    "MetricShift",
    "Neighbours",
    "Patches",
    "Play",
    "Reweighted",
    "Spread",
    "TileShift",
    "Yardstick",
    "asked_values",
    "close_pairs",
    "copied_patches",
    "farthest_apart",
    "first_occurrences",
    "independent_set",
    "judge",
    "mean_divergence",
    "measure_control",
    "measure_likelihood",
    "nearest",
    "novelty_threshold",
    "pattern_divergence",
    "pattern_divergences",
    "play_levels",
    "reweigh",
    "shift_metric",
    "shift_tiles",
]
