"""Which pixels of a block rings enclose, and which their outlines pass through.

Computed in pixel positions of the whole grid, so that a block is drawn the same however the grid is cut. GDAL draws
polygons by pixel centres too, and labels are drawn by it because it is fast. Areas need two things it lacks: where two
areas meet on a centre line the pixel must belong to one defined side, and positions relative to a block are exact only
for rounded coordinates. Its all-touched rule depends on the block and, for coordinates at pixel corners, writes past
its memory (GDAL 3.10); it is not used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from affine import Affine

from crispmap.geo.grid import Block
from crispmap.types import BoolArray, CountArray, DoubleArray


def enclosed(rings: Sequence[DoubleArray], block: Block) -> BoolArray:
    """Return which pixel centres of a block an odd number of rings enclose, (row, col).

    Rings are outlines (point, 2) of pixel positions (col, row); closing them is optional. An edge through a centre
    belongs to the ring on its right or below, so rings that only touch share no pixel and leave no gap.
    """
    starts, ends = _downward_edges(rings)
    spans = np.clip(np.ceil(np.column_stack([starts[:, 1], ends[:, 1]]) - 0.5), block.row, block.row_stop)
    edge, rows = _rows_of_edges(spans.astype(np.int64))
    # Every edge toggles the pixels to its right on the rows whose centre line it crosses, upper end included. Edges
    # run downwards, so that two outlines compute a shared edge in the same way.
    slopes = (ends[edge, 0] - starts[edge, 0]) / (ends[edge, 1] - starts[edge, 1])
    crossings = starts[edge, 0] + (rows + 0.5 - starts[edge, 1]) * slopes
    cols = np.clip(np.ceil(crossings - 0.5), block.col, block.col_stop).astype(np.int64)
    toggles = np.zeros((block.height, block.width + 1), np.bool_)
    np.logical_xor.at(toggles, (rows - block.row, cols - block.col), True)
    return np.logical_xor.accumulate(toggles, axis=1)[:, :-1]


def crossed(rings: Sequence[DoubleArray], block: Block) -> BoolArray:
    """Return which pixels of a block the outlines of rings pass through, (row, col).

    Together with the enclosed ones these are all pixels that overlap the rings: an outline along the sides of pixels
    passes through none of them.
    """
    starts, ends = _downward_edges(rings)
    spans = np.column_stack([np.floor(starts[:, 1]), np.ceil(ends[:, 1])])
    edge, rows = _rows_of_edges(np.clip(spans, block.row, block.row_stop).astype(np.int64))
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


def _downward_edges(rings: Sequence[DoubleArray]) -> tuple[DoubleArray, DoubleArray]:
    """Return the upper and lower ends (edge, 2) of all edges of some rings."""
    edges = [np.stack([ring, np.roll(ring, -1, axis=0)], axis=1) for ring in rings]
    ends = np.concatenate(edges) if edges else np.zeros((0, 2, 2))
    order = np.argsort(ends[:, :, 1], axis=1, kind="stable")
    ends = np.take_along_axis(ends, order[:, :, None], axis=1)
    return ends[:, 0], ends[:, 1]


def _rows_of_edges(spans: CountArray) -> tuple[CountArray, CountArray]:
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
