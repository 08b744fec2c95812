"""Scenes seen on another grid; the result never depends on how they are cut.

Every output pixel has its own few input pixels and weights (``crispmap.raster.taps``), so any two cuts give the same
bits.
"""

from __future__ import annotations

import math

import numpy as np
from affine import Affine

from crispmap.errors import GridError
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import turn_to
from crispmap.raster.scene import Scene, SceneReader
from crispmap.raster.taps import HALF, Axis, Interpolation, weight_sums, weighted
from crispmap.types import BoolArray, FloatArray

_SOURCE_PX = 2048  # longest side, in source pixels, of what is read at once; bounds memory at any ratio
_SOURCE_BANDS = 4  # of more bands, less is read at once
_SAME_PX = 1e-4  # places this near to each other are one, but for rounding


class TappedScene(Scene):
    """A scene whose pixels are weighted means of another's, with weights along rows and columns.

    A pixel is valid where at least half of its weight is. Values depend on the pixel only, never on the block it was
    read in, to the last bit.

    Args:
        rows: Where the rows lie on the reader's.
        cols: Where the columns do.
        method: How pixels are computed along an axis where they are as large as the reader's or smaller; where they
            are larger, they are area-weighted means, or the nearest pixel if that is asked for.
    """

    def __init__(self, reader: SceneReader, grid: Grid, rows: Axis, cols: Axis, method: Interpolation) -> None:
        self._reader = reader
        self._rows, self._cols = rows, cols
        self._ways = _way(rows, method), _way(cols, method)
        self.grid = grid
        self.band_names = reader.band_names
        self.path = reader.path

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid, computed piece by piece if the source block is large."""
        side_px = _SOURCE_PX / math.sqrt(max(1, self.band_count / _SOURCE_BANDS))
        step_y, step_x = (max(1, int(side_px / axis.ratio)) for axis in (self._rows, self._cols))
        if block.height <= step_y and block.width <= step_x:
            return self._piece(block)
        image = np.empty((self.band_count, *block.shape), np.float32)
        valid = np.empty(block.shape, np.bool_)
        for row in range(0, block.height, step_y):
            for col in range(0, block.width, step_x):
                part = Block(row, col, min(step_y, block.height - row), min(step_x, block.width - col))
                rows, cols = part.slices
                image[:, rows, cols], valid[rows, cols] = self._piece(
                    Block(block.row + row, block.col + col, part.height, part.width)
                )
        return image, valid

    def _piece(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block, small enough for its source to be read at once."""
        taps_y = self._rows.taps(block.row, block.height, self._ways[0])
        taps_x = self._cols.taps(block.col, block.width, self._ways[1])
        row, col = int(taps_y.pixel.min()), int(taps_x.pixel.min())
        source = Block(row, col, int(taps_y.pixel.max()) - row + 1, int(taps_x.pixel.max()) - col + 1)
        image, valid = self._reader.read(source)
        taps_y, taps_x = taps_y._replace(pixel=taps_y.pixel - row), taps_x._replace(pixel=taps_x.pixel - col)
        means = weighted(image, taps_y, taps_x)
        if valid.all():
            means /= weight_sums(taps_y, taps_x)
            return means, np.ones(block.shape, np.bool_)
        share = weighted(valid[None].astype(np.float32), taps_y, taps_x)[0]
        kept = share >= HALF
        share[~kept] = 1.0
        means /= share
        means[:, ~kept] = 0.0
        return means, kept

    def close(self) -> None:
        """Close the scene that is resampled."""
        if isinstance(self._reader, Scene):
            self._reader.close()


class ResampledScene(TappedScene):
    """A scene seen at another pixel size, over the same extent (``Grid.resampled``).

    Along an axis with ratio 1 or above a pixel is the area-weighted mean of the valid pixels it covers; below
    1 it is interpolated linearly between pixel centres. It is valid where at least half of its weight is.

    Raises:
        GridError: If a ratio is not above 0.
    """

    def __init__(self, reader: SceneReader, ratio_y: float, ratio_x: float) -> None:
        if not (0 < ratio_y < math.inf and 0 < ratio_x < math.inf):
            raise GridError(f"Resampling ratios are {ratio_y} and {ratio_x}.", expected="finite ratios above 0")
        rows, cols = Axis(ratio_y, reader.grid.height), Axis(ratio_x, reader.grid.width)
        super().__init__(reader, reader.grid.resampled(ratio_y, ratio_x), rows, cols, "bilinear")


class SceneOnGrid(TappedScene):
    """A scene seen on another grid of its CRS: of any pixel size, extent and offset, to fractions of a pixel.

    A pixel is invalid where the scene does not reach: its centre, or, where it is a mean, half of its area.

    Args:
        method: "bilinear", "cubic", "nearest" or "average", see ``TappedScene``; "average" weighs the pixels that a
            finer pixel lies in by area, too.

    Raises:
        GridError: If the grids differ in CRS, or one is turned or mirrored against the other.
    """

    def __init__(self, reader: SceneReader, grid: Grid, method: Interpolation = "bilinear") -> None:
        rows, cols = _axes(reader.grid, grid, str(reader.path))
        super().__init__(reader, grid, rows, cols, method)

    def _piece(self, block: Block) -> tuple[FloatArray, BoolArray]:
        rows = self._rows.inside(block.row, block.height, self._ways[0])
        cols = self._cols.inside(block.col, block.width, self._ways[1])
        inside = rows[:, None] & cols
        if not inside.any():
            return np.zeros((self.band_count, *block.shape), np.float32), inside
        image, valid = super()._piece(block)
        if not inside.all():
            image[:, ~inside] = 0.0
            valid &= inside
        return image, valid


def _way(axis: Axis, method: Interpolation) -> Interpolation:
    """Return how pixels are computed along an axis."""
    return "average" if axis.ratio > 1 and method != "nearest" else method


def _axes(onto: Grid, grid: Grid, name: str) -> tuple[Axis, Axis]:
    """Return where the rows and the columns of a grid lie on those of another."""
    if grid.crs != onto.crs:
        raise GridError(
            f"{name} lies in {_crs_name(onto)}, the grid in {_crs_name(grid)}.", expected="grids of one CRS"
        )
    turn = turn_to(grid.transform.c, onto.transform.c, grid.crs)
    relative = ~onto.transform @ Affine.translation(turn, 0) @ grid.transform
    skew_px = max(abs(relative.b) * grid.width, abs(relative.d) * grid.height)
    if skew_px > _SAME_PX or relative.a <= 0 or relative.e <= 0:
        raise GridError(
            f"The grid is turned or mirrored against that of {name}.",
            expected="grids whose rows and columns run the same way",
        )
    rows = Axis(_whole(relative.e, grid.height), onto.height, offset=_whole(relative.f, 1))
    return rows, Axis(_whole(relative.a, grid.width), onto.width, offset=_whole(relative.c, 1))


def _whole(value: float, times: int) -> float:
    """Return a value, or the whole number that it is, but for rounding, even many times over."""
    near = round(value)
    return float(near) if abs(value - near) * times < _SAME_PX else value


def _crs_name(grid: Grid) -> str:
    return "no CRS" if grid.crs is None else str(grid.crs.name)
