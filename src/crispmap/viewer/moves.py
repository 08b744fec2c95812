"""Where the objects of a vector file were moved from and to, as ``crispmap align`` notes it in columns."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyogrio
from geopandas import GeoDataFrame

from crispmap.errors import LabelError
from crispmap.files.dataset import GDAL_ERRORS, reason
from crispmap.geo.crs import in_crs
from crispmap.geo.grid import Block, Grid
from crispmap.labels.align.objects import Reason
from crispmap.viewer.view import Arrow

_COLUMNS = (
    "align_dx_m",
    "align_dy_m",
    "align_confidence",
    "align_reason",
)  # those of ``crispmap align`` that are drawn
_MOST = 20_000  # arrows that a browser draws quickly


def arrows_of(path: Path, grid: Grid) -> list[Arrow]:
    """Return an arrow for each object that was moved, in pixels of a grid; of very many, those moved farthest.

    Raises:
        LabelError: If the file cannot be read, or does not say what was moved.
    """
    arrows = [arrow for layer in _layers(path) for arrow in _of_layer(path, layer, grid)]
    if not arrows and not any(_is_aligned(path, layer) for layer in _layers(path)):
        raise LabelError(
            f"{path} does not say where its objects were moved from.",
            expected=f"vectors with the columns {', '.join(_COLUMNS[:2])}, or rasters",
            remedy="Such vectors are written by crispmap align; crispmap rasterize makes a raster of any others.",
        )
    return _farthest(arrows)


def arrows_of_features(features: GeoDataFrame, grid: Grid) -> list[Arrow]:
    """Return the same of features in memory, which have the columns of ``crispmap align``."""
    return _farthest(_of_table(features, grid))


def _farthest(arrows: list[Arrow]) -> list[Arrow]:
    return sorted(arrows, key=lambda one: -math.dist(one.start, one.stop))[:_MOST]


def is_aligned(path: Path) -> bool:
    """Return whether a vector file says where its objects were moved from."""
    try:
        return any(_is_aligned(path, layer) for layer in _layers(path))
    except LabelError:
        return False


def _layers(path: Path) -> list[str]:
    try:
        return [str(name) for name, _ in pyogrio.list_layers(path)]
    except (*GDAL_ERRORS, pyogrio.errors.DataSourceError) as error:
        raise LabelError(
            f"{path} cannot be read as vectors: {reason(error)}.", expected="a file that crispmap align wrote",
            remedy="Check the path and the format.",
        ) from error  # fmt: skip


def _is_aligned(path: Path, layer: str) -> bool:
    return set(_COLUMNS) <= set(pyogrio.read_info(path, layer=layer)["fields"])


def _of_layer(path: Path, layer: str, grid: Grid) -> list[Arrow]:
    if not _is_aligned(path, layer):
        return []
    return _of_table(pyogrio.read_dataframe(path, layer=layer, columns=list(_COLUMNS)), grid)


def _of_table(table: GeoDataFrame, grid: Grid) -> list[Arrow]:
    table = table[(table["align_reason"] == Reason.ALIGNED.value) & ~table.geometry.is_empty & table.geometry.notna()]
    left, bottom, right, top = table.geometry.bounds.to_numpy().T
    points = in_crs(np.column_stack([(left + right) / 2, (bottom + top) / 2]), table.crs, grid.crs)
    inverse, found = ~grid.transform, list[Arrow]()
    moves = table[list(_COLUMNS[:3])].itertuples(index=False)
    for (x, y), (east, north, confidence) in zip(points.tolist(), moves, strict=True):
        col, row = inverse @ (x, y)
        across, down = _in_pixels(grid, col, row, float(east), float(north))
        found.append(Arrow((col - across, row - down), (col, row), float(confidence)))
    return found


def _in_pixels(grid: Grid, col: float, row: float, east_m: float, north_m: float) -> tuple[float, float]:
    """Return metres on the ground at a place as (columns, rows)."""
    pixel = Block(min(max(int(row), 0), grid.height - 1), min(max(int(col), 0), grid.width - 1), 1, 1)
    width_m, height_m = grid.window(pixel).gsd_m()
    a, b, _, d, e, _ = tuple(grid.transform)[:6]
    # Units of the coordinate system to a metre, along both axes.
    x, y = east_m * math.hypot(a, d) / width_m, north_m * math.hypot(b, e) / height_m
    area = a * e - b * d
    return (e * x - b * y) / area, (a * y - d * x) / area
