"""What is asked of features and what levels have of them, as bands: what the towers learn to tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from generators.words.features import ANYTHING, Feature, Interval
from generators.words.lexicon import Lexicon

#: A band is left open by what leaves open at least this share of the corpus's levels in it.
_OPEN_SHARE = 0.5


class BandTable:
    """All bands of all features in one row.

    Args:
        lexicon: whose features they are.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon
        sizes = [len(feature.bands) for feature in lexicon.features]
        #: The places of each feature's bands in the row.
        self.places = [slice(end - size, end) for size, end in zip(sizes, np.cumsum(sizes).tolist(), strict=True)]
        self.size = sum(sizes)

    def open_bands(self, asked: Sequence[Mapping[str, Interval]]) -> NDArray[np.bool_]:
        """Returns which bands are left open by what is asked, bool (n, size); all, where nothing is asked."""
        found = np.ones((len(asked), self.size), np.bool_)
        for row, one in zip(found, asked, strict=True):
            for name, interval in one.items():
                place = self.lexicon.places[name]
                row[self.places[place]] = _open(self.lexicon.features[place], interval)
        return found

    def of_levels(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """Returns the number of the band of each feature, int64 (n, features).

        Args:
            values: float64 (n, features), as `Lexicon.values` returns them.
        """
        columns = [
            np.searchsorted([band.high for band in feature.bands[:-1]], column, side="left")
            for feature, column in zip(self.lexicon.features, values.T, strict=True)
        ]
        return np.stack(columns, axis=1).astype(np.int64)

    def intervals(self, is_open: NDArray[np.bool_]) -> list[dict[str, Interval]]:
        """Returns what is asked where some bands are open: from the lowest of them to the highest.

        Args:
            is_open: bool (n, size). A feature of which all bands are open, or none, is not asked for.
        """
        found = []
        for row in is_open:
            asked = {}
            for feature, places in zip(self.lexicon.features, self.places, strict=True):
                bands = [band for band, one in zip(feature.bands, row[places], strict=True) if one]
                if bands and (bands[0].low, bands[-1].high) != ANYTHING:
                    asked[feature.name] = bands[0].low, bands[-1].high
            found.append(asked)
        return found


def _open(feature: Feature, interval: Interval) -> list[bool]:
    """Returns which bands of a feature an interval leaves open; always one at least."""
    if interval == ANYTHING:
        return [True] * len(feature.bands)
    shares = []
    for band in feature.bands:
        low, high = max(band.low, interval[0]), min(band.high, interval[1])
        inside = [value for value in feature.quantiles if band.low <= value <= band.high]
        kept = sum(low <= value <= high for value in inside)
        # Of a band that the corpus has nothing in, any part is the whole.
        shares.append(-math.inf if low > high else kept / len(inside) if inside else 1.0)
    least = min(_OPEN_SHARE, max(shares))
    return [share >= least for share in shares]
