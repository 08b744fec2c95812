"""One grid for bands on several: the finest, over the ground they share or that any has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from affine import Affine

from crispmap.errors import GridError
from crispmap.geo.crs import crs_name, transformer
from crispmap.geo.grid import Grid
from crispmap.geo.turns import turn_to, unbroken
from crispmap.raster.compose.composition import Extent
from crispmap.types import DoubleArray

_SAME_SIZE = 0.01  # two pixel sizes within this share are one
_WHOLE_PX = 1e-3  # an edge so near to that of a pixel lies on it
_EDGE_POINTS = 22  # on each side of an outline that is reprojected

Box: TypeAlias = tuple[float, float, float, float]
"""(left, top, right, bottom) in pixel positions of a grid."""


@dataclass(frozen=True)
class Coverage:
    """How the ground of a file and that of a scene fit."""

    file: str
    left_out: float  # share of the file's ground outside the scene
    covered: float  # share of the scene's ground that the file covers
    beyond_px: float  # how far the file reaches beyond the scene, in pixels of the scene


def common_grid(grids: Mapping[str, Grid], extent: Extent, gsd_m: float | None = None) -> Grid:
    """Return the grid on which files are seen together.

    Its pixels are those of the finest file, of several the first, in its CRS; with ``gsd_m`` of that side, counted from
    the same corner. Its edges are whole pixels: of an intersection those inside, of a union those that reach any.

    Args:
        grids: The grid of each file, by name.
        extent: The ground it covers.
        gsd_m: Side of its pixels in metres.

    Raises:
        GridError: If some files have a CRS and others have none, the pixel size is not above 0, or an intersection is
            empty.
    """
    check_crs(grids)
    base = next(iter(grids.values())) if len(grids) == 1 else _finest(list(grids.values()))
    if gsd_m is not None:
        base = with_pixels_of(base, gsd_m)
    boxes = {file: box_on(grid, base) for file, grid in grids.items()}
    if extent == "intersection":
        left, top, right, bottom = _shared(boxes, grids)
        first, last = (math.ceil(left - _WHOLE_PX), math.ceil(top - _WHOLE_PX)), (
            math.floor(right + _WHOLE_PX), math.floor(bottom + _WHOLE_PX),
        )  # fmt: skip
    else:
        left, top, right, bottom = (
            pick(side) for pick, side in zip((min, min, max, max), zip(*boxes.values(), strict=True), strict=True)
        )
        first, last = (math.floor(left + _WHOLE_PX), math.floor(top + _WHOLE_PX)), (
            math.ceil(right - _WHOLE_PX), math.ceil(bottom - _WHOLE_PX),
        )  # fmt: skip
    width, height = last[0] - first[0], last[1] - first[1]
    if min(width, height) < 1:
        raise GridError(
            f"The files share less than a pixel of the scene: {', '.join(grids)}.",
            expected="files that share ground", remedy="Take a smaller pixel size, or all ground with extent=union.",
        )  # fmt: skip
    return Grid(base.crs, base.transform @ Affine.translation(*first), (height, width))


def check_crs(grids: Mapping[str, Grid]) -> None:
    """Raise GridError if some files have a CRS and others have none, or files without place differ in shape."""
    without = [file for file, grid in grids.items() if grid.crs is None]
    if without and len(without) < len(grids):
        raise GridError(
            f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no coordinate reference system; the other "
            "files have one.",
            expected="files that all say where they are",
            remedy="Assign the CRS that is missing: gdal_edit.py -a_srs EPSG:...",
        )
    unplaced = {file: grid.shape for file, grid in grids.items() if not grid.is_placed}
    if unplaced and (len(unplaced) < len(grids) or len(set(unplaced.values())) > 1):
        raise GridError(
            f"{', '.join(unplaced)} say nothing of where they are, and differ in shape from each other or the rest.",
            expected="files with a georeference, or of one shape",
            remedy="Give them a georeference: gdal_edit.py -a_srs EPSG:... -a_ullr ...",
        )


def with_pixels_of(grid: Grid, gsd_m: float) -> Grid:
    """Return a grid with square pixels of a side in metres over the same ground, from its first corner on.

    Where a unit of the CRS is a metre on the ground, to 1 %, the side counts in units of the CRS; else it is that on
    the ground at the grid's centre.

    Raises:
        GridError: If the side is not a finite number above 0.
    """
    if not (math.isfinite(gsd_m) and gsd_m > 0):
        raise GridError(
            f"gsd_m is {gsd_m:g}.", expected="a finite pixel size above 0 metres", remedy="Give for example gsd_m=10."
        )
    units = math.hypot(grid.transform.a, grid.transform.d), math.hypot(grid.transform.b, grid.transform.e)
    ratio_x, ratio_y = (
        gsd_m / (unit if abs(own_m / unit - 1) <= _SAME_SIZE else own_m)
        for unit, own_m in zip(units, grid.gsd_m(), strict=True)
    )
    return grid.resampled(ratio_y, ratio_x)


def coverage(grids: Mapping[str, Grid], onto: Grid) -> list[Coverage]:
    """Return how the ground of files and that of a grid fit.

    Raises:
        GridError: If a file shares no ground with the grid.
    """
    found = []
    for file, grid in grids.items():
        box = box_on(grid, onto)
        shared = _area(_cut(box, (0.0, 0.0, float(onto.width), float(onto.height))))
        if not shared:
            raise GridError(
                f"{file} ({_place(grid)}) lies nowhere on the scene ({_place(onto)}).",
                expected="files that share ground with the scene", remedy="Check the files and their CRS.",
            )  # fmt: skip
        beyond = max(-box[0], -box[1], box[2] - onto.width, box[3] - onto.height, 0.0)
        found.append(Coverage(file, 1 - shared / _area(box), shared / (onto.height * onto.width), beyond))
    return found


def box_on(grid: Grid, onto: Grid) -> Box:
    """Return the smallest upright box around a grid in pixel positions of another.

    Raises:
        GridError: If the grid is nowhere in the other's CRS.
    """
    steps = np.linspace(0, 1, _EDGE_POINTS)
    sides = [(steps, 0 * steps), (1 + 0 * steps, steps), (1 - steps, 1 + 0 * steps), (0 * steps, 1 - steps)]
    cols, rows = (np.concatenate(one) for one in zip(*sides, strict=True))
    a, b, c, d, e, f = tuple(grid.transform)[:6]
    cols, rows = cols * grid.width, rows * grid.height
    points = np.column_stack([a * cols + b * rows + c, d * cols + e * rows + f])
    if grid.crs != onto.crs and grid.crs is not None and onto.crs is not None:
        points = np.column_stack(transformer(grid.crs, onto.crs).transform(*points.T))
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            raise GridError(
                f"A file ({_place(grid)}) is nowhere in {crs_name(onto.crs)}.",
                expected="files and a CRS of one region", remedy="Check the CRS of the files.",
            )  # fmt: skip
        points = unbroken(points, onto.crs)
    centre = onto.transform @ (onto.width / 2, onto.height / 2)
    points[:, 0] += turn_to(float(points[:, 0].mean()), centre[0], onto.crs)
    return _bounds(points, ~onto.transform)


def _bounds(points: DoubleArray, inverse: Affine) -> Box:
    a, b, c, d, e, f = tuple(inverse)[:6]
    cols, rows = a * points[:, 0] + b * points[:, 1] + c, d * points[:, 0] + e * points[:, 1] + f
    return float(cols.min()), float(rows.min()), float(cols.max()), float(rows.max())


def _finest(grids: list[Grid]) -> Grid:
    """Return the grid of the smallest pixels; of those within 1 % the first."""
    sizes = [grid.mean_gsd_m() for grid in grids]
    return next(grid for grid, size in zip(grids, sizes, strict=True) if size <= min(sizes) * (1 + _SAME_SIZE))


def _shared(boxes: Mapping[str, Box], grids: Mapping[str, Grid]) -> Box:
    """Return the box that all boxes share; GridError, naming two files, where there is none."""
    (first, box), *others = boxes.items()
    for file, other in others:
        cut = _cut(box, other)
        if not _area(cut):
            alone = next((one for one in boxes if one != file and not _area(_cut(boxes[one], other))), first)
            raise GridError(
                f"{alone} ({_place(grids[alone])}) and {file} ({_place(grids[file])}) share no ground.",
                expected="files that overlap",
                remedy="Check that they are of one scene; extent=union takes all ground of all files.",
            )
        box = cut
    return box


def _cut(one: Box, other: Box) -> Box:
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _place(grid: Grid) -> str:
    """Return where a grid is, for messages."""
    left, bottom, right, top = grid.bounds
    crs = "no CRS" if grid.crs is None else crs_name(grid.crs)
    return f"x {left:.10g} to {right:.10g}, y {bottom:.10g} to {top:.10g}, {crs}"
