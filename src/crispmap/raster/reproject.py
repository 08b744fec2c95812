"""A scene seen on a grid of another CRS, or one turned against its own; the result never depends on how it is cut.

Where a pixel's centre lies on the source is computed exactly at the nodes of a lattice of whole pixels, counted from
the first of the grid, and interpolated between them. The lattice is so close that this is right to a hundredth of a
source pixel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from crispmap.geo.crs import transformer
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import FULL_TURN
from crispmap.raster.compose.composition import Method
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene, SceneReader, bounding_block
from crispmap.raster.taps import HALF
from crispmap.types import BoolArray, DoubleArray, FloatArray

_NODES_PX = 64  # between nodes of the lattice, at most
_RIGHT_PX = 0.01  # of a source pixel, how far positions may be off
_PIECE_PX = 512  # side of what is computed at once; bounds memory
_COARSER = 1.5  # from here on a coarser grid gets means of what a pixel covers
_TRIED = 9  # places along each axis where the lattice is tried
_CUBIC = -0.5  # of Keys 1981, as in ``crispmap.raster.taps``


class ReprojectedScene(Scene):
    """A scene on a grid of another CRS.

    A pixel is interpolated at its centre. By "auto" and "average", on a grid more than 1.5 times as coarse, means over
    pixels of that size are taken first, in the scene's own CRS. A pixel is invalid outside the scene, and where less
    than half of its weight is on valid pixels.
    """

    def __init__(self, reader: SceneReader, grid: Grid, *, method: Method = "auto") -> None:
        self.grid, self.band_names, self.path = grid, reader.band_names, Path(reader.path)
        ratio = max(1.0, grid.mean_gsd_m() / reader.grid.mean_gsd_m())
        if method in ("auto", "average") and ratio > _COARSER:
            reader = ResampledScene(reader, ratio, ratio)
        self._reader = reader
        self._reach = {"nearest": 1, "cubic": 4}.get(method, 2)  # taps along each axis
        self._positions = Positions(reader.grid, grid)

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid, computed piece by piece."""
        image = np.zeros((self.band_count, *block.shape), np.float32)
        valid = np.zeros(block.shape, np.bool_)
        for piece in block.pieces(_PIECE_PX):
            here = piece.relative_to(block).slices
            image[:, *here], valid[here] = self._gathered(piece)
        return image, valid

    def _gathered(self, piece: Block) -> tuple[FloatArray, BoolArray]:
        cols, rows = self._positions.of(piece)
        height, width = self._reader.grid.shape
        with np.errstate(invalid="ignore"):
            inside = (cols >= 0) & (cols < width) & (rows >= 0) & (rows < height)
        image = np.zeros((self.band_count, *piece.shape), np.float32)
        valid = np.zeros(piece.shape, np.bool_)
        if not inside.any():
            return image, valid
        where = slice(None) if inside.all() else inside.ravel()
        (col, col_weight), (row, row_weight) = (self._taps(one.ravel()[where]) for one in (cols, rows))
        col, row = np.clip(col, 0, width - 1), np.clip(row, 0, height - 1)
        source = bounding_block(row, col)
        pixels, known = self._reader.read(source)
        starts, col = (row - source.row) * source.width, col - source.col
        flat, whole = pixels.reshape(self.band_count, -1), bool(known.all())
        total, share = np.zeros((self.band_count, col.shape[1]), np.float32), np.zeros(col.shape[1], np.float32)
        for down in range(len(starts)):
            for across in range(len(col)):
                place, weight = starts[down] + col[across], row_weight[down] * col_weight[across]
                total += flat.take(place, axis=1) * weight
                share += weight if whole else known.ravel().take(place) * weight
        kept = share >= HALF
        total /= np.where(kept, share, np.float32(1))
        total[:, ~kept] = 0.0
        image.reshape(self.band_count, -1)[:, where], valid.ravel()[where] = total, kept
        return image, valid

    def _taps(self, position: DoubleArray) -> tuple[NDArray[np.intp], FloatArray]:
        """Return the source pixels about each position (tap, n) and their weights."""
        if self._reach == 1:
            return np.floor(position).astype(np.intp)[None], np.ones((1, len(position)), np.float32)
        left = np.floor(position - 0.5)
        if self._reach == 2:
            first, share = left.astype(np.intp), (position - 0.5 - left).astype(np.float32)
            return np.stack([first, first + 1]), np.stack([1 - share, share])
        pixel = left + np.arange(-1, 3)[:, None]
        away = np.abs(position - 0.5 - pixel)
        near = ((_CUBIC + 2) * away - (_CUBIC + 3)) * away**2 + 1
        far = _CUBIC * (((away - 5) * away + 8) * away - 4)
        return pixel.astype(np.intp), np.where(away <= 1, near, np.where(away < 2, far, 0.0)).astype(np.float32)

    def close(self) -> None:
        """Close the scene that is seen."""
        if isinstance(self._reader, Scene):
            self._reader.close()


class Positions:
    """Where the pixel centres of a grid lie on another, in its pixel positions."""

    def __init__(self, source: Grid, grid: Grid) -> None:
        self._grid, self._inverse = grid, ~source.transform
        self._to_source = None if grid.crs == source.crs else transformer(grid.crs, source.crs)
        self._turns = source.crs is not None and source.crs.is_geographic
        self._left = min(x for x, _ in source.corners())
        self._step = _NODES_PX
        while self._step > 1 and self._error(self._step) > _RIGHT_PX:
            self._step //= 2

    def of(self, block: Block) -> tuple[DoubleArray, DoubleArray]:
        """Return the columns and rows (row, col) of the pixel centres of a block; NaN where they are nowhere."""
        step = self._step
        rows, cols = np.arange(block.row, block.row_stop), np.arange(block.col, block.col_stop)
        node_rows = np.arange(block.row // step, -(-block.row_stop // step) + 1)
        node_cols = np.arange(block.col // step, -(-block.col_stop // step) + 1)
        x, y = self._exact(*np.meshgrid(node_cols * step + 0.5, node_rows * step + 0.5))
        down, across = rows // step - node_rows[0], cols // step - node_cols[0]
        share_down, share_across = (rows % step / step)[:, None], cols % step / step
        return _between(x, down, across, share_down, share_across), _between(y, down, across, share_down, share_across)

    def _exact(self, cols: DoubleArray, rows: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
        """Return the source positions of positions of the grid."""
        a, b, c, d, e, f = tuple(self._grid.transform)[:6]
        x, y = a * cols + b * rows + c, d * cols + e * rows + f
        if self._to_source is not None:
            x, y = (np.where(np.isfinite(one), one, np.nan) for one in self._to_source.transform(x, y))
        if self._turns:  # a position a full turn away is the same place
            x = x - FULL_TURN * np.floor((x - self._left) / FULL_TURN)
        return _applied(self._inverse, x, y)

    def _error(self, step: int) -> float:
        """Return a bound of how far positions between nodes are off, of places spread over the grid."""
        height, width = self._grid.shape
        nodes_y = np.unique(np.linspace(0, height // step, _TRIED).astype(int)) * step + 0.5
        nodes_x = np.unique(np.linspace(0, width // step, _TRIED).astype(int)) * step + 0.5
        cols, rows = np.meshgrid(nodes_x, nodes_y)
        here = self._exact(cols, rows)
        worst = np.zeros_like(cols)
        for across, down in ((step, 0), (0, step)):  # midway along either side of a cell; inside, both add up
            there, middle = self._exact(cols + across, rows + down), self._exact(cols + across / 2, rows + down / 2)
            worst += np.maximum(*(np.abs((a + b) / 2 - m) for a, b, m in zip(here, there, middle, strict=True)))
        return float(np.nanmax([0.0, *worst.ravel()]))  # NaN where a place is nowhere


def _applied(affine: Affine, x: DoubleArray, y: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    a, b, c, d, e, f = tuple(affine)[:6]
    return a * x + b * y + c, d * x + e * y + f


def _between(
    nodes: DoubleArray,
    down: NDArray[np.intp],
    across: NDArray[np.intp],
    share_down: DoubleArray,
    share_across: DoubleArray,
) -> DoubleArray:
    """Return values between nodes, linear along both axes."""
    upper, lower = nodes[down], nodes[down + 1]
    left = upper[:, across] * (1 - share_down) + lower[:, across] * share_down
    right = upper[:, across + 1] * (1 - share_down) + lower[:, across + 1] * share_down
    return np.asarray(left * (1 - share_across) + right * share_across)
