"""Small regions of a class map joined to what lies around them, from two readings of the map strip by strip.

The first reading makes a table of the regions and of the borders between them, the second gives the pixels the classes
that the table was left with. Memory holds a strip and the table, which grows with the regions, not with the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from crispmap.polygons.chains import Indices
from crispmap.polygons.corners import NOTHING, Values
from crispmap.types import BoolArray, DoubleArray


@dataclass(frozen=True)
class Regions:
    """Regions, and how long the borders between them are."""

    value: Values  # (regions,) the class of each; NOTHING for pixels without one
    first: Indices  # (regions,) its first pixel, counted row by row
    sums: DoubleArray  # (regions, 3) its area, and the sum and the number of the confidences known in it
    at_edge: BoolArray  # (regions,) whether it reaches the edge of the map
    pairs: Indices  # (borders, 2) the two regions a border lies between, the lower number first
    length: DoubleArray  # (borders,)

    @property
    def area(self) -> DoubleArray:
        """(regions,) the area of each."""
        return self.sums[:, 0]

    def merged(self, value: Values) -> tuple[Regions, Indices]:
        """Return the regions that are left when each takes a class, and the one that each has become part of."""
        alike = value[self.pairs[:, 0]] == value[self.pairs[:, 1]]
        of = _linked(self.pairs[alike], len(value))
        count = int(of.max()) + 1 if len(of) else 0
        left = np.zeros(count, np.int32)
        left[of] = value
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, of, self.first)
        sums: DoubleArray = np.column_stack([np.bincount(of, weights=one, minlength=count) for one in self.sums.T])
        at_edge = np.bincount(of, weights=self.at_edge, minlength=count) > 0
        pairs, length = _summed(of[self.pairs[~alike]], self.length[~alike])
        return Regions(left, first, sums, at_edge, pairs, length), of

    def neighbours(self) -> tuple[Indices, Indices, DoubleArray]:
        """Return every border from both of its sides: the region, its neighbour, the length."""
        one, other = self.pairs.T
        return np.concatenate([one, other]), np.concatenate([other, one]), np.concatenate([self.length] * 2)


class RegionTable:
    """The table of the regions of a map that is read strip by strip from the top.

    Args:
        gsd_m: The sides of a pixel, along columns (x) and rows (y), that borders are measured in.
    """

    def __init__(self, gsd_m: tuple[float, float]) -> None:
        self._gsd_m = gsd_m
        self._parts: list[Regions] = []
        self._same: list[Indices] = []  # pairs of parts, above and below a seam, that are one region
        self._count = 0
        self._row = 0
        self._last: tuple[Values, Indices] | None = None

    def push(self, values: Values, areas_m2: DoubleArray, confidence: NDArray[np.float32] | None) -> None:
        """Take the next strip: values, ground areas of pixels, and confidences (row, col), NaN where there is none."""
        number, starts = parts_of(values)
        number += self._count
        side_x, side_y = self._gsd_m
        borders = [(number[:, :-1], number[:, 1:], values[:, :-1] != values[:, 1:], side_y)]
        borders.append((number[:-1], number[1:], values[:-1] != values[1:], side_x))
        if self._last is not None:
            above, below = self._last
            equal = above == values[0]
            self._same.append(np.unique(np.column_stack([below[equal], number[0][equal]]), axis=0))
            borders.append((below, number[0], ~equal, side_x))
        found = [_summed(np.column_stack([a[m], b[m]]), np.full(int(m.sum()), side)) for a, b, m, side in borders]
        pairs, length = _summed(np.concatenate([p for p, _ in found]), np.concatenate([one for _, one in found]))
        flat = number.ravel() - self._count
        known = np.zeros(values.shape) if confidence is None else np.isfinite(confidence).astype(np.float64)
        weights = (areas_m2, np.zeros(values.shape) if confidence is None else np.nan_to_num(confidence), known)
        sums: DoubleArray = np.column_stack(
            [np.bincount(flat, weights=one.ravel(), minlength=len(starts)) for one in weights]
        )
        at_edge = np.zeros(len(starts), np.bool_)
        at_edge[number[:, [0, -1]] - self._count] = True
        if self._row == 0:
            at_edge[number[0] - self._count] = True
        first = starts + self._row * values.shape[1]
        self._parts.append(Regions(values.ravel()[starts], first, sums, at_edge, pairs, length))
        self._count += len(starts)
        self._row += len(values)
        self._last = values[-1], number[-1]

    def finish(self) -> tuple[Regions, Indices]:
        """Return the regions of the whole map, and the one that each part of a strip belongs to, in their order."""
        parts = Regions(
            *(np.concatenate([getattr(one, name) for one in self._parts]) for name in Regions.__dataclass_fields__)
        )
        if self._last is not None:
            parts.at_edge[self._last[1]] = True
        same = np.concatenate([np.zeros((0, 2), np.int64), *self._same])
        links = Regions(
            parts.value, parts.first, parts.sums, parts.at_edge,
            np.concatenate([parts.pairs, same]), np.concatenate([parts.length, np.zeros(len(same))]),
        )  # fmt: skip
        return links.merged(parts.value)


def parts_of(values: Values) -> tuple[Indices, Indices]:
    """Return the number of the 4-connected part of equal values each pixel is of, and each part's first pixel.

    Parts are numbered by their first pixels, which are flat indices.
    """
    begins = np.ones(values.shape, np.bool_)
    begins[:, 1:] = values[:, 1:] != values[:, :-1]
    run = (np.cumsum(begins.ravel()) - 1).reshape(values.shape)
    meets = (values[:-1] == values[1:]) & (begins[:-1] | begins[1:])
    label = _linked(np.column_stack([run[:-1][meets], run[1:][meets]]), int(run[-1, -1]) + 1)
    _, first_run = np.unique(label, return_index=True)  # numbered by their lowest item already
    return label[run], np.flatnonzero(begins)[first_run]


def joined(regions: Regions, sieve_m2: float, fill_m2: float, wanted: Sequence[int] | None) -> tuple[Regions, Indices]:
    """Return regions of which small ones have joined others, and the region each has become part of.

    Those below ``sieve_m2`` join the neighbour with the longest common border (of several the largest), the smallest
    first; what joins counts from then on as its neighbour. Then those below ``fill_m2`` that lie within one region of a
    wanted class, and do not reach the edge of the map, take its class. Pixels without a class neither join nor are
    joined.
    """
    of = np.arange(len(regions.value))
    while True:
        value, ready = _sieved(regions, sieve_m2)
        if not ready.any():
            break
        regions, step = regions.merged(value)
        of = step[of]
    regions, step = regions.merged(_filled(regions, fill_m2, wanted))
    return regions, step[of]


def _sieved(regions: Regions, sieve_m2: float) -> tuple[Values, BoolArray]:
    """Return the classes after one round of joins, and which regions join: no two of them neighbours."""
    own, other, length = regions.neighbours()
    open_ = (regions.value[own] != NOTHING) & (regions.value[other] != NOTHING)
    own, other, length = own[open_], other[open_], length[open_]
    rank = np.empty(len(regions.value), np.int64)
    rank[np.lexsort((regions.first, regions.area))] = np.arange(len(rank))
    small = regions.area < sieve_m2
    ready = np.zeros(len(small), np.bool_)
    ready[own] = small[own]
    ready[own[small[other] & (rank[other] < rank[own])]] = False  # a smaller neighbour comes first
    mine = ready[own]
    own, other, length = own[mine], other[mine], length[mine]
    best = np.lexsort((rank[other], length, own))  # the last of each region's is the one it joins
    value = regions.value.copy()
    value[own[best]] = regions.value[other[best]]
    return value, ready


def _filled(regions: Regions, fill_m2: float, wanted: Sequence[int] | None) -> Values:
    """Return the classes after the holes have been filled."""
    own, other, _ = regions.neighbours()
    count = np.bincount(own, minlength=len(regions.value))
    hole = (count == 1) & ~regions.at_edge & (regions.area < fill_m2) & (regions.value != NOTHING)
    around = np.full(len(hole), -1)
    around[own] = other
    value = regions.value.copy()
    inside = regions.value[around[hole]]
    takes = inside != NOTHING if wanted is None else np.isin(inside, wanted)
    value[np.flatnonzero(hole)[takes]] = inside[takes]
    return value


def _linked(pairs: Indices, count: int) -> Indices:
    """Return which connected set each of some items is in, numbered by their lowest items."""
    links = csr_array((np.ones(len(pairs), np.bool_), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    _, label = connected_components(links, directed=False)
    _, lowest, label = np.unique(label, return_index=True, return_inverse=True)
    number = np.empty(len(lowest), np.int64)
    number[np.argsort(lowest)] = np.arange(len(lowest))
    return number[label]


def _summed(pairs: Indices, length: DoubleArray) -> tuple[Indices, DoubleArray]:
    """Return each pair once, the lower number first, with the sum of its lengths."""
    low, high = np.minimum(pairs[:, 0], pairs[:, 1]), np.maximum(pairs[:, 0], pairs[:, 1])
    key, place = np.unique((low << 32) | high, return_inverse=True)
    sums: DoubleArray = np.bincount(place, weights=length, minlength=len(key)).astype(np.float64)
    return np.column_stack([key >> 32, key & 0xFFFFFFFF]), sums
