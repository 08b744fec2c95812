"""Which pixels of a block rings enclose, and which their outlines pass through.

Computed in pixel positions of the whole grid, so that a block is drawn the same however the grid is cut. Labels are
drawn by pixel centres too, as GDAL does (``crispmap.geo.fill``); areas need what that lacks: where two areas meet on a
centre line the pixel belongs to one defined side. GDAL's all-touched rule depends on the block and, for coordinates at
pixel corners, writes past its memory (GDAL 3.10); it is not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from affine import Affine

from crispmap.geo.grid import Block
from crispmap.types import BoolArray, CountArray, DoubleArray

Edges: TypeAlias = tuple[DoubleArray, DoubleArray]
"""The upper and the lower ends of edges, each (edge, 2), as pixel positions (col, row)."""


def enclosed(rings: Sequence[DoubleArray], block: Block) -> BoolArray:
    """Return which pixel centres of a block an odd number of rings enclose, (row, col).

    Rings are outlines (point, 2) of pixel positions (col, row); closing them is optional. An edge through a centre
    belongs to the ring on its right or below, so rings that only touch share no pixel and leave no gap.
    """
    starts, ends = edges_of(rings)
    spans = np.clip(np.ceil(np.column_stack([starts[:, 1], ends[:, 1]]) - 0.5), block.row, block.row_stop)
    edge, rows = rows_of_edges(spans.astype(np.int64))
    # Every edge toggles the pixels to its right on the rows whose centre line it crosses, upper end included. Edges
    # run downwards, so that two outlines compute a shared edge in the same way.
    slopes = (ends[edge, 0] - starts[edge, 0]) / (ends[edge, 1] - starts[edge, 1])
    crossings = starts[edge, 0] + (rows + 0.5 - starts[edge, 1]) * slopes
    cols = np.clip(np.ceil(crossings - 0.5), block.col, block.col_stop).astype(np.int64)
    toggles = np.zeros((block.height, block.width + 1), np.bool_)
    np.logical_xor.at(toggles, (rows - block.row, cols - block.col), True)
    return np.logical_xor.accumulate(toggles, axis=1)[:, :-1]


def crossed(edges: Edges, block: Block) -> BoolArray:
    """Return which pixels of a block edges pass through, (row, col).

    Together with the enclosed ones those of the edges of rings are all pixels that overlap the rings: an outline along
    the sides of pixels passes through none of them.
    """
    starts, ends = edges
    spans = np.column_stack([np.floor(starts[:, 1]), np.ceil(ends[:, 1])])
    edge, rows = rows_of_edges(np.clip(spans, block.row, block.row_stop).astype(np.int64))
    (x0, y0), (x1, y1) = starts[edge].T, ends[edge].T
    fall = np.where(y1 > y0, y1 - y0, 1.0)
    upper = np.where(y0 > rows, x0, x0 + (rows - y0) * (x1 - x0) / fall)
    lower = np.where(y1 < rows + 1, x1, x0 + (rows + 1 - y0) * (x1 - x0) / fall)
    upper, lower = np.where(y1 > y0, upper, x0), np.where(y1 > y0, lower, x1)
    first = np.clip(np.floor(np.minimum(upper, lower)), block.col, block.col_stop).astype(np.int64)
    stop = np.clip(np.ceil(np.maximum(upper, lower)), block.col, block.col_stop).astype(np.int64)
    depth = np.zeros((block.height, block.width + 1), np.int32)
    np.add.at(depth, (rows - block.row, first - block.col), 1)
    np.add.at(depth, (rows - block.row, np.maximum(first, stop) - block.col), -1)
    return np.cumsum(depth, axis=1)[:, :-1] > 0


def edges_of(rings: Sequence[DoubleArray]) -> Edges:
    """Return all edges of some rings."""
    none = np.zeros((0, 2))
    return downward(
        np.concatenate([none, *rings]), np.concatenate([none, *(np.roll(ring, -1, axis=0) for ring in rings)])
    )


def downward(begin: DoubleArray, end: DoubleArray) -> Edges:
    """Return edges (edge, 2) as their upper and lower ends."""
    down = (begin[:, 1] <= end[:, 1])[:, np.newaxis]
    return np.where(down, begin, end), np.where(down, end, begin)


def rows_of_edges(spans: CountArray) -> tuple[CountArray, CountArray]:
    """Return edge and row of every row in the half-open spans (edge, 2) of edges."""
    counts = np.maximum(spans[:, 1] - spans[:, 0], 0)
    edge = np.repeat(np.arange(len(spans)), counts)
    before = np.cumsum(counts) - counts
    return edge, spans[edge, 0] + np.arange(len(edge)) - before[edge]


def affine_points(transform: Affine, points: DoubleArray) -> DoubleArray:
    """Return points (n, 2) under an affine transform, such as pixel positions (col, row) as points (x, y)."""
    a, b, c, d, e, f = transform[:6]
    x, y = points.T
    return np.column_stack([a * x + b * y + c, d * x + e * y + f])
