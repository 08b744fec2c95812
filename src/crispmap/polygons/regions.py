"""Regions of equal values in a raster that is read strip by strip, each returned when it has ended.

A region is connected through the sides of pixels (4-connectivity). Between two strips only the regions that cross the
seam are kept: their closed rings, and the open pieces of their outlines.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from crispmap.polygons.chains import END, Indices, ordered, spread
from crispmap.polygons.corners import BOTTOM, LEFT, NOTHING, RIGHT, TOP, Corners, Values, find_corners
from crispmap.polygons.rings import Rings, canonical
from crispmap.types import BoolArray

_FAR_BELOW = np.iinfo(np.int64).max  # a row below any other


@dataclass(frozen=True)
class RegionBatch:
    """Whole regions, and their outlines."""

    values: Values  # (regions,) int32 the value of each
    rings: Rings  # their outlines in canonical form; owners count the regions

    @classmethod
    def empty(cls) -> RegionBatch:
        """Return no region."""
        return cls(np.zeros(0, np.int32), Rings.none())

    def __len__(self) -> int:
        return len(self.values)

    def taken(self, regions: Indices) -> RegionBatch:
        """Return some regions, whose numbers grow."""
        number = np.full(len(self), END)
        number[regions] = np.arange(len(regions))
        rings = self.rings.taken(np.flatnonzero(number[self.rings.owner] != END))
        return RegionBatch(self.values[regions], Rings(rings.points, rings.node, rings.lengths, number[rings.owner]))


@dataclass
class _Piece:
    """A piece of outline that crosses the seam at both ends."""

    points: list[NDArray[np.int32]] = field(default_factory=list)
    node: list[BoolArray] = field(default_factory=list)

    def add(self, points: NDArray[np.int32], node: BoolArray) -> None:
        self.points.append(points)
        self.node.append(node)

    def extend(self, other: _Piece) -> None:
        self.points += other.points
        self.node += other.node

    def closed(self, owner: int) -> Rings:
        """Return the piece as a ring of a region."""
        points, node = np.concatenate(self.points), np.concatenate(self.node)
        return Rings(points, node, np.array([len(points)]), np.array([owner]))


@dataclass
class _Seam:
    """The regions that cross the lower edge of the last strip."""

    region: Indices  # (width + 2,) the open region of each pixel of its last row; elsewhere without meaning
    rings: list[list[Rings]]  # the closed rings of each open region
    first: Indices  # (regions,) the first pixel of each open region, counted row by row
    pieces: list[_Piece]  # the open pieces of outline
    piece_region: Indices  # (pieces,) the open region each belongs to
    head_col: Indices  # (pieces,) where the end of each crosses the seam downwards, along the left of a region's pixels
    tail_col: Indices  # (pieces,) where its beginning comes up, along the right of a region's pixels

    @classmethod
    def empty(cls, width: int) -> _Seam:
        none = np.zeros(0, np.int64)
        return cls(np.zeros(width + 2, np.int64), [], none, [], none, none, none)


@dataclass(frozen=True)
class _Components:
    """Regions as far as they are known after a strip."""

    run: NDArray[np.int32]  # (row, col) the run of equal pixels in a row that each pixel belongs to
    of_run: Indices  # the component of each run
    of_open: Indices  # the component of each region open before
    value: Values  # (components,) its value
    first: Indices  # (components,) its first pixel, counted row by row from the top of the raster
    last_row: Indices  # (components,) its last row, in the array
    reaches: BoolArray  # (components,) whether it holds a pixel of the last row


class RegionTracer:
    """Traces the regions of a raster strip by strip from the top.

    The regions of all batches are those of the whole raster, ordered by their last row, then their first pixel; neither
    they nor their order depends on the strips.

    Args:
        nodes: Whether an outline also has corners where it runs straight past others that meet. Two neighbouring
            regions then have the same corners on their common border.
    """

    def __init__(self, width: int, *, nodes: bool = False) -> None:
        self._width = width
        self._nodes = nodes
        self._row = 0
        self._last = np.full(width + 2, NOTHING, np.int32)
        self._seam = _Seam.empty(width)

    def push(self, strip: Values) -> RegionBatch:
        """Take the next strip, 1 row or more with NOTHING outside regions; return the regions that have ended."""
        values = np.full((len(strip) + 1, self._width + 2), NOTHING, np.int32)
        values[0] = self._last
        values[1:, 1:-1] = strip
        components = self._components(values)
        corners = find_corners(values, nodes=self._nodes)
        rings, seam = self._trace(values, corners, components)
        batch = self._close(components, rings, seam)
        self._last, self._seam, self._row = values[-1], seam, self._row + len(strip)
        return batch

    def finish(self) -> RegionBatch:
        """Return the regions of the last row; call it once, after the last strip."""
        return self.push(np.full((1, self._width), NOTHING, np.int32))

    def _components(self, values: Values) -> _Components:
        """Return the connected components of the strip and the regions open before."""
        stride = values.shape[1]
        begins = np.ones(values.shape, np.bool_)
        begins.ravel()[1:] = values.ravel()[1:] != values.ravel()[:-1]
        run = (np.cumsum(begins.ravel(), dtype=np.int32) - 1).reshape(values.shape)
        start = np.flatnonzero(begins)
        value = values.ravel()[start]
        meeting = (values[:-1] == values[1:]) & (begins[:-1] | begins[1:]) & (values[1:] != NOTHING)
        above, below = run[:-1][meeting], run[1:][meeting]
        old = np.flatnonzero((start < stride) & (value != NOTHING))
        open_count = len(self._seam.rings)
        known = self._seam.region[start[old]]
        ends = np.concatenate([above, old]), np.concatenate([below, len(start) + known])
        size = len(start) + open_count
        _, label = connected_components(
            csr_array((np.ones(len(ends[0]), np.bool_), ends), (size, size)), directed=False
        )
        of_run, of_open = label[: len(start)].astype(np.int64), label[len(start) :].astype(np.int64)
        count = int(label.max()) + 1
        last_row = np.zeros(count, np.int64)
        last_row[of_run] = start // stride  # runs are in order of rows: the last one remains
        first = np.zeros(count, np.int64)
        row, col = start[::-1] // stride, start[::-1] % stride
        first[of_run[::-1]] = (self._row - 1 + row) * self._width + col - 1
        order = np.argsort(-self._seam.first)
        first[of_open[order]] = self._seam.first[order]
        values_of = np.zeros(count, np.int32)
        values_of[of_run] = value
        reaches = (last_row == len(values) - 1) & (values_of != NOTHING)
        return _Components(run, of_run, of_open, values_of, first, last_row, reaches)

    def _trace(self, values: Values, corners: Corners, components: _Components) -> tuple[Rings, _Seam]:
        """Return the rings that close in a strip, by component, and the seam below it without its regions."""
        seam, last = self._seam, values[-1]
        edge = last[1:] != last[:-1]
        downwards = np.flatnonzero(edge & (last[1:] != NOTHING))
        upwards = np.flatnonzero(edge & (last[:-1] != NOTHING))
        items, lengths = ordered(_successors(corners, seam, downwards, upwards))
        points = np.column_stack([corners.col, corners.row + self._row]).astype(np.int32)
        of_corner = components.of_run[components.run.ravel()[corners.pixel]]
        owner = np.concatenate([of_corner, components.of_open[seam.piece_region]])
        chain, _ = spread(lengths)
        crossing = np.zeros(len(lengths), np.bool_)
        crossing[chain[items >= len(corners)]] = True
        own, own_lengths = items[~crossing[chain]], lengths[~crossing]
        first = own[np.cumsum(own_lengths) - own_lengths]
        found = [Rings(points[own], corners.node[own], own_lengths, owner[first])]
        below = _Seam.empty(self._width)
        heads: list[int] = []
        tails: list[int] = []
        inside = len(owner)
        for part in np.split(items[crossing[chain]], np.cumsum(lengths[crossing])[:-1]):
            traced = part[part < inside]
            if not len(traced):  # the one empty part of no chains
                continue
            piece = _spliced(traced, points, corners.node, seam.pieces)
            if len(traced) == len(part):
                found.append(piece.closed(int(owner[traced[0]])))
                continue
            below.pieces.append(piece)
            tails.append(int(part[0]) - inside - len(downwards))
            heads.append(int(part[-1]) - inside)
        below.head_col, below.tail_col = downwards[np.array(heads, np.int64)], upwards[np.array(tails, np.int64)]
        below.piece_region = components.of_run[components.run[-1, below.tail_col]]
        return Rings.joined(found), below

    def _close(self, components: _Components, rings: Rings, below: _Seam) -> RegionBatch:
        """Return the components that have ended, and fill the seam with the others."""
        ended = np.flatnonzero(~components.reaches & (components.value != NOTHING))
        ended = ended[np.lexsort((components.first[ended], components.last_row[ended]))]
        lasting = np.flatnonzero(components.reaches)
        number = np.zeros(len(components.value), np.int64)
        number[ended], number[lasting] = np.arange(len(ended)), np.arange(len(lasting))
        lasts = components.reaches[rings.owner]
        parts = [rings.taken(np.flatnonzero(~lasts))]
        below.rings = [[] for _ in lasting]
        below.first = components.first[lasting]
        below.piece_region = number[below.piece_region]
        below.region = number[components.of_run[components.run[-1]]]
        for component, before in zip(components.of_open.tolist(), self._seam.rings, strict=True):
            if components.reaches[component]:
                below.rings[number[component]] += before
            else:
                parts += [Rings(one.points, one.node, one.lengths, np.full(len(one), component)) for one in before]
        _share_out(rings.taken(np.flatnonzero(lasts)), number, below.rings)
        joined = Rings.joined(parts)
        joined = Rings(joined.points, joined.node, joined.lengths, number[joined.owner])
        return RegionBatch(components.value[ended], canonical(joined))


def _successors(corners: Corners, seam: _Seam, downwards: Indices, upwards: Indices) -> Indices:
    """Return the successor of each corner, each piece of the seam above, and each crossing of the seam below.

    A side of a region is a row of pixel sides between two corners. Sides of one kind never overlap, so that along a row
    or column of corners their beginnings and ends alternate: the first beginning belongs to the first end.

    Args:
        downwards: Columns at which outlines leave the strip through its lower edge.
        upwards: Columns at which they enter it there.
    """
    count, pieces = len(corners), len(seam.pieces)
    piece = count + np.arange(pieces)
    leaving = count + pieces + np.arange(len(downwards))
    coming = count + pieces + len(downwards) + np.arange(len(upwards))
    successor = np.full(count + pieces + len(downwards) + len(upwards), END)
    for side in (BOTTOM, TOP):
        successor[np.flatnonzero(corners.leaves == side)] = np.flatnonzero(corners.enters == side)
    above = np.full(pieces, -1)
    for side, before, after in (
        (LEFT, (piece, above, seam.head_col), (leaving, np.full(len(leaving), _FAR_BELOW), downwards)),
        (RIGHT, (coming, np.full(len(coming), _FAR_BELOW), upwards), (piece, above, seam.tail_col)),
    ):
        begins = _down_columns(corners, np.flatnonzero(corners.leaves == side), *before)
        ends = _down_columns(corners, np.flatnonzero(corners.enters == side), *after)
        successor[begins] = ends
    return successor


def _down_columns(corners: Corners, own: Indices, others: Indices, rows: Indices, cols: Indices) -> Indices:
    """Return corners, and other items of given rows and columns, column by column from the top."""
    row = np.concatenate([corners.row[own], rows])
    col = np.concatenate([corners.col[own], cols])
    return np.concatenate([own, others])[np.lexsort((row, col))]


def _spliced(items: Indices, points: NDArray[np.int32], node: BoolArray, pieces: list[_Piece]) -> _Piece:
    """Return corners and pieces, in order, as one piece."""
    joined = _Piece()
    place = np.flatnonzero(items >= len(points))
    begin = 0
    for one in [*place.tolist(), len(items)]:
        own = items[begin:one]
        if len(own):
            joined.add(points[own], node[own])
        if one < len(items):
            joined.extend(pieces[items[one] - len(points)])
        begin = one + 1
    return joined


def _share_out(rings: Rings, number: Indices, regions: list[list[Rings]]) -> None:
    """Add rings to those of the open regions they belong to."""
    if not len(rings):
        return
    rings = rings.taken(np.argsort(rings.owner, kind="stable"))
    owners, first = np.unique(rings.owner, return_index=True)
    for owner, index in zip(owners.tolist(), np.split(np.arange(len(rings)), first[1:]), strict=True):
        regions[number[owner]].append(rings.taken(index))
