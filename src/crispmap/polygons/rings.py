"""Rings of pixel corners: the outlines of regions, in one canonical form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crispmap.polygons.chains import Indices, ordered, spread
from crispmap.types import BoolArray


@dataclass(frozen=True)
class Rings:
    """Closed lines of pixel corners, run by run; the last corner of each is joined to its first."""

    points: NDArray[np.int32]  # (n, 2) int32 column and row of each corner
    node: BoolArray  # (n,) whether three outlines or four meet there
    lengths: Indices  # (rings,) corners of each ring
    owner: Indices  # (rings,) the region each belongs to

    @classmethod
    def none(cls) -> Rings:
        """Return no ring."""
        empty = np.zeros(0, np.int64)
        return cls(np.zeros((0, 2), np.int32), np.zeros(0, np.bool_), empty, empty)

    @classmethod
    def joined(cls, parts: Sequence[Rings]) -> Rings:
        """Return the rings of all parts, in their order."""
        parts = [*parts, cls.none()]
        return cls(
            np.concatenate([one.points for one in parts]),
            np.concatenate([one.node for one in parts]),
            np.concatenate([one.lengths for one in parts]),
            np.concatenate([one.owner for one in parts]),
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def taken(self, rings: Indices) -> Rings:
        """Return some rings, in the order given."""
        lengths = self.lengths[rings]
        run, place = spread(lengths)
        index = (np.cumsum(self.lengths) - self.lengths)[rings][run] + place
        return Rings(self.points[index], self.node[index], lengths, self.owner[rings])

    def rotated(self, first: Indices) -> Rings:
        """Return the rings started at other corners, given by their places in each ring."""
        run, place = spread(self.lengths)
        start = np.cumsum(self.lengths) - self.lengths
        index = start[run] + (place + first[run]) % self.lengths[run]
        return Rings(self.points[index], self.node[index], self.lengths, self.owner)

    def reversed(self) -> Rings:
        """Return the rings in the opposite direction, from the same corner."""
        run, place = spread(self.lengths)
        start = np.cumsum(self.lengths) - self.lengths
        index = start[run] + -place % self.lengths[run]
        return Rings(self.points[index], self.node[index], self.lengths, self.owner)

    def doubled_areas(self) -> Indices:
        """Return twice the area of each ring in pixels (rings,): above 0 around a region, below 0 around a hole."""
        if not len(self):
            return np.zeros(0, np.int64)
        points = self.points.astype(np.int64)
        run, place = spread(self.lengths)
        start = np.cumsum(self.lengths) - self.lengths
        after = points[start[run] + (place + 1) % self.lengths[run]]
        cross: Indices = points[:, 1] * after[:, 0] - points[:, 0] * after[:, 1]
        return np.asarray(np.add.reduceat(cross, start))


def canonical(rings: Rings) -> Rings:
    """Return the same outlines as rings that never touch themselves, in an order that does not depend on the input.

    A region connected through the sides of its pixels has exactly one outer ring, the others enclose holes; two rings
    share corners at most. Each starts at its uppermost corner, the leftmost of these. The rings of a region are
    together, the outer one first, the holes in the order of their starts; regions are ordered by number.
    """
    rings = _split(rings)
    if not len(rings):
        return rings
    run, place = spread(rings.lengths)
    key = _keys(rings)
    lowest = np.minimum.reduceat(key, np.cumsum(rings.lengths) - rings.lengths)
    rings = rings.rotated(place[key == lowest[run]])
    return rings.taken(np.lexsort((lowest, rings.doubled_areas() < 0, rings.owner)))


def _keys(rings: Rings) -> Indices:
    """Return a sort key for each corner, (n,), by row, then column."""
    return (rings.points[:, 1].astype(np.int64) << 32) | rings.points[:, 0]


def _split(rings: Rings) -> Rings:
    """Return the rings, split where one passes a corner twice."""
    run, _ = spread(rings.lengths)
    key = _keys(rings)
    order = np.lexsort((key, run))
    again = (run[order][1:] == run[order][:-1]) & (key[order][1:] == key[order][:-1])
    if not again.any():
        return rings
    touching = np.zeros(len(rings), np.bool_)
    touching[run[order[1:][again]]] = True
    kept, twisted = rings.taken(np.flatnonzero(~touching)), rings.taken(np.flatnonzero(touching))
    return Rings.joined([kept, _split_at_corners(twisted)])


def _split_at_corners(rings: Rings) -> Rings:
    """Return rings that pass corners twice, split there."""
    run, place = spread(rings.lengths)
    start = np.cumsum(rings.lengths) - rings.lengths
    successor = start[run] + (place + 1) % rings.lengths[run]
    key = _keys(rings)
    order = np.lexsort((key, run))
    again = np.flatnonzero((run[order][1:] == run[order][:-1]) & (key[order][1:] == key[order][:-1]))
    one, other = order[again], order[again + 1]
    successor[one], successor[other] = successor[other], successor[one]
    index, lengths = ordered(successor)
    owner = rings.owner[run[index[np.cumsum(lengths) - lengths]]]
    return Rings(rings.points[index], rings.node[index], lengths, owner)
