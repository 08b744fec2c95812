"""A file seen on the grid of a scene: copied where its pixels are those of the scene, else resampled or reprojected."""

from __future__ import annotations

import math
import warnings
from typing import Any, Protocol

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from crispmap.errors import CrispmapWarning
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import turn_to
from crispmap.raster.compose.composition import Method
from crispmap.raster.files import FileScene
from crispmap.raster.reproject import ReprojectedScene
from crispmap.raster.resample import SceneOnGrid
from crispmap.raster.scene import Scene
from crispmap.types import BoolArray

_SAME_PX = 0.01  # grids whose pixels are this near to each other have the same
_EXACT_BYTES = 2  # types up to here go through float32 unchanged


class PlacedFile(Protocol):
    """The bands of a file on the grid of a scene."""

    copied: bool  # whether its values are those of the file

    def read_stored(self, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return the values (band, row, col) of a block inside the grid and its valid pixels (row, col).

        Copied values are of the type of the file, others float32; 0 where invalid.
        """


def placed(scene: FileScene, grid: Grid, method: Method) -> PlacedFile:
    """Return a file on a grid.

    Values are copied where the pixels of the grid are pixels of the file, to 1/100. Else, in one CRS, a coarser pixel
    is the mean of what it covers, and a finer one is interpolated between the centres of pixels, linearly by "auto".
    In another CRS see ``ReprojectedScene``.

    Warns:
        CrispmapWarning: If values are resampled that float32 cannot hold.
    """
    shift = pixel_shift(scene.grid, grid)
    if shift is not None:
        return _Copied(scene, *shift)
    if scene.dtype.itemsize > _EXACT_BYTES and scene.dtype != np.float32:
        warnings.warn(
            f"{scene.path} holds {scene.dtype.name} values, and is resampled as float32: those of more than 7 digits "
            "are rounded.",
            CrispmapWarning,
            stacklevel=2,
        )
    if scene.grid.crs == grid.crs and _is_upright(scene.grid, grid):
        return _Resampled(SceneOnGrid(scene, grid, "bilinear" if method == "auto" else method))
    return _Resampled(ReprojectedScene(scene, grid, method=method))


class _Copied:
    """A file whose pixels are those of the grid, shifted by whole pixels."""

    copied = True

    def __init__(self, scene: FileScene, row: int, col: int) -> None:
        self._scene, self._row, self._col = scene, row, col

    def read_stored(self, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels as ``PlacedFile`` says."""
        source = Block(block.row + self._row, block.col + self._col, *block.shape)
        inside = source.intersection(self._scene.grid.block)
        if inside == source and not inside.is_empty:
            return self._scene.read_stored(source)
        values = np.zeros((self._scene.band_count, *block.shape), self._scene.dtype)
        valid = np.zeros(block.shape, np.bool_)
        if not inside.is_empty:
            here = inside.relative_to(source).slices
            values[:, *here], valid[here] = self._scene.read_stored(inside)
        return values, valid


class _Resampled:
    """A file seen through a view."""

    copied = False

    def __init__(self, view: Scene) -> None:
        self._view = view

    def read_stored(self, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels as ``PlacedFile`` says."""
        return self._view.read(block)


def pixel_shift(own: Grid, grid: Grid) -> tuple[int, int] | None:
    """Return the row and column of a file at the first pixel of a grid; None unless their pixels are the same."""
    if own.crs != grid.crs:
        return None
    relative = _relative(own, grid)
    row, col = round(relative.f), round(relative.c)
    corners = [(x, y) for x in (0, grid.width) for y in (0, grid.height)]
    worst = max(math.dist(relative @ (x, y), (x + col, y + row)) for x, y in corners)
    return (row, col) if worst <= _SAME_PX else None


def _is_upright(own: Grid, grid: Grid) -> bool:
    """Return whether the rows and columns of two grids of one CRS run the same way."""
    relative = _relative(own, grid)
    skew = max(abs(relative.b) * grid.height, abs(relative.d) * grid.width)
    return bool(skew <= _SAME_PX / 100 and relative.a > 0 and relative.e > 0)


def _relative(own: Grid, grid: Grid) -> Affine:
    """Return the transform from pixel positions of a grid to those of another in one CRS."""
    turn = turn_to(grid.transform.c, own.transform.c, grid.crs)
    relative: Affine = ~own.transform @ Affine.translation(turn, 0) @ grid.transform
    return relative
