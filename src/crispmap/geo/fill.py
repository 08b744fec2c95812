"""Which pixels have their centre in polygons, by GDAL's rule, for many polygons at once.

On every row the outline of a polygon is crossed an even number of times: what lies between the first crossing and the
second, the third and the fourth, and so on is inside. Crossings of all polygons are found, sorted and paired in flat
arrays; to hand GDAL one polygon after the other from Python takes several times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.geo.draw import crossed, downward, rows_of_edges
from crispmap.geo.grid import Block
from crispmap.types import BoolArray, CountArray, DoubleArray

_CROSSINGS = 1 << 19  # worked on at a time, in some 40 MB

Spans = tuple[CountArray, CountArray]
"""Where runs of pixels inside begin and stop, as places in a block that is one column wider."""


class FlatPolygons:
    """Polygons of one part each in pixel positions (col, row), as flat arrays of their edges.

    Of edges through centres, those on the left and on the upper side belong to a polygon, and those on the upper side
    of its holes. Where positions are multiples of 1/1024 a block is drawn the same however the grid is cut.
    """

    def __init__(
        self, polygons: NDArray[np.object_], place: Callable[[DoubleArray], DoubleArray] | None = None
    ) -> None:
        """Take polygons that are not empty, whose points (n, 2) ``place`` turns into pixel positions."""
        points, rings, owners = np.zeros((0, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64)
        if len(polygons):
            _, points, offsets = shapely.to_ragged_array(polygons, include_z=False)
            rings, owners = (one.astype(np.int64) for one in offsets)
        points = points if place is None else place(points)
        within = np.ones(max(len(points) - 1, 0), np.bool_)
        within[rings[1:-1] - 1] = False  # no edge leads from one ring to the next
        begin, end = points[:-1][within], points[1:][within]
        first = rings - np.arange(len(rings))  # a ring has one edge fewer than points
        self._upper, self._lower = downward(begin, end)
        self._first = first[owners]
        self._level = _LevelEdges.of(begin, end, first, self._first)
        starts = rings[owners[:-1]]
        low, high = (way.reduceat(points, starts) if len(starts) else points for way in (np.minimum, np.maximum))
        self._index = shapely.STRtree(np.asarray(shapely.box(*low.T, *high.T), dtype=object))

    def meeting(self, block: Block) -> CountArray:
        """Return the numbers of the polygons whose bounding box meets a block, in ascending order."""
        window = shapely.box(block.col, block.row, block.col_stop, block.row_stop)
        return np.sort(self._index.query(window))

    def fill(self, which: CountArray, block: Block) -> BoolArray:
        """Return which pixels (row, col) of a block have their centre in any of some polygons, given by number."""
        size = block.height * (block.width + 1)
        depth = np.zeros(size, np.int64)
        for begin, stop in self._spans(which, block):
            depth += np.bincount(begin, minlength=size)
            depth -= np.bincount(stop, minlength=size)
        return np.asarray(np.cumsum(depth.reshape(block.height, -1), axis=1)[:, :-1] > 0)

    def cross(self, which: CountArray, block: Block) -> BoolArray:
        """Return which pixels (row, col) of a block the outlines of some polygons pass through; see ``crossed``."""
        edges, _ = _ranges(self._first[which], self._first[which + 1])
        return crossed((self._upper[edges], self._lower[edges]), block)

    def _spans(self, which: CountArray, block: Block) -> Iterator[Spans]:
        """Yield the spans of polygons on the rows of a block, a bounded number at a time."""
        edges, polygon = _ranges(self._first[which], self._first[which + 1])
        ends = np.column_stack([self._upper[edges, 1], self._lower[edges, 1]])
        rows = np.clip(np.ceil(ends - 0.5), block.row, block.row_stop).astype(np.int64)
        within = rows[:, 0] < rows[:, 1]
        edges, polygon, rows = edges[within], polygon[within], rows[within]
        starts = np.flatnonzero(np.diff(polygon, prepend=-1))
        before = (np.cumsum(rows[:, 1] - rows[:, 0]) // _CROSSINGS)[starts]
        cuts = starts[np.flatnonzero(np.diff(before, prepend=-1))]
        for start, stop in pairwise([*cuts, len(edges)]):
            yield self._paired(edges[start:stop], polygon[start:stop], rows[start:stop], block)
        if len(self._level.polygon):
            yield self._level.spans(which, block)

    def _paired(self, edges: CountArray, polygon: CountArray, rows: CountArray, block: Block) -> Spans:
        """Return the spans between the crossings of each polygon on each row."""
        edge, row = rows_of_edges(rows)
        upper, fall = self._upper[edges], self._lower[edges] - self._upper[edges]
        crossings = (row + 0.5 - upper[edge, 1]) * fall[edge, 0] / fall[edge, 1] + upper[edge, 0]  # in GDAL's order
        cols = np.clip(np.floor(crossings + 0.5) - block.col, 0, block.width).astype(np.int64)
        places = (polygon[edge] * block.height + row - block.row) * (block.width + 1) + cols
        places.sort()
        places %= block.height * (block.width + 1)
        return places[::2], places[1::2]


class _LevelEdges(NamedTuple):
    """Edges along the centres of a row that have the inside of their ring below: GDAL fills their pixels as well."""

    polygon: CountArray
    row: CountArray
    left: DoubleArray  # the first column, which may be as far away as no integer reaches
    right: DoubleArray  # one beyond the last column

    @classmethod
    def of(cls, begin: DoubleArray, end: DoubleArray, rings: CountArray, polygons: CountArray) -> Self:
        """Return those of edges (edge, 2), given where rings and polygons have their first edge."""
        level = np.flatnonzero((begin[:, 1] == end[:, 1]) & (begin[:, 1] % 1 == 0.5))
        if not len(level):
            return cls(*np.zeros((2, 0), np.int64), *np.zeros((2, 0)))
        doubled = np.add.reduceat(begin[:, 0] * end[:, 1] - end[:, 0] * begin[:, 1], rings[:-1])
        area = doubled[np.searchsorted(rings, level, side="right") - 1]
        level = level[np.where(area < 0, begin[level, 0] > end[level, 0], begin[level, 0] < end[level, 0])]
        sides = np.floor(np.sort(np.column_stack([begin[level, 0], end[level, 0]]), axis=1) + 0.5)
        polygon = np.searchsorted(polygons, level, side="right") - 1
        return cls(polygon, np.floor(begin[level, 1]).astype(np.int64), *sides.T)

    def spans(self, which: CountArray, block: Block) -> Spans:
        """Return the spans of those of some polygons."""
        chosen = np.isin(self.polygon, which) & (self.row >= block.row) & (self.row < block.row_stop)
        starts = (self.row[chosen] - block.row) * (block.width + 1)
        left, right = (
            np.clip(side[chosen] - block.col, 0, block.width).astype(np.int64) for side in (self.left, self.right)
        )
        return starts + left, starts + right


def _ranges(starts: CountArray, stops: CountArray) -> tuple[CountArray, CountArray]:
    """Return the numbers in half-open ranges, and the place of the range of each."""
    counts = stops - starts
    place = np.repeat(np.arange(len(starts)), counts)
    return np.repeat(starts - np.cumsum(counts) + counts, counts) + np.arange(len(place)), place
