"""Equal-area planes, and the ground areas of pixels measured in them."""

from __future__ import annotations

import functools
import math
from typing import TypeAlias

import numpy as np
from pyproj import CRS, Geod
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion

from crispmap.errors import GridError
from crispmap.geo.crs import to_lonlat, transformer
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Block, Grid
from crispmap.types import IGNORE, CountArray, DoubleArray, LabelArray

_IDS = IGNORE + 1
_SAMPLES = 5
_SAME_DEG = 1e-7
_NODE_M = 500.0  # pixel areas are interpolated between such nodes: right to 1e-8, at 85 degrees of Mercator to 2e-7


class Cylinder:
    """Points of a CRS of upright straight meridians and parallels in the equal-area cylindrical projection.

    Degrees and Mercator are such. The plane covers the whole earth (Snyder 1987, eq. 3-12 and 10-13 to 10-15).
    """

    def __init__(self, crs: CRS, middle: float, degrees_a_unit: float) -> None:
        self._lonlat = to_lonlat(crs)
        self._middle = middle
        self._slope = math.radians(degrees_a_unit)
        geod = crs.get_geod() or Geod(ellps="WGS84")
        self._radius = geod.a
        self._eccentricity = math.sqrt(geod.es)

    @classmethod
    def of(cls, crs: CRS, grid: Grid) -> Cylinder | None:
        """Return the projection, or None where the CRS is not cylindrical over the grid."""
        left, low, right, high = grid.bounds
        x, y = np.meshgrid(np.linspace(left, right, _SAMPLES), np.linspace(low, high, _SAMPLES))
        lon, lat = to_lonlat(crs).transform(x, y)
        if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
            return None
        slope = float(_within_half_turn(lon[0, 1] - lon[0, 0]) / (x[0, 1] - x[0, 0]))
        upright = np.abs(_within_half_turn(lon - lon[0, 0] - slope * (x - left))).max() < _SAME_DEG
        level = np.abs(lat - lat[:, :1]).max() < _SAME_DEG
        return cls(crs, (left + right) / 2, slope) if upright and level else None

    def __call__(self, points: DoubleArray) -> DoubleArray:
        """Return points (n, 2) in metres."""
        _, lat = self._lonlat.transform(np.full(len(points), self._middle), points[:, 1])
        sine, e = np.sin(np.radians(lat)), self._eccentricity
        other = np.arctanh(e * sine) / e if e else sine
        height = (1 - e**2) * (sine / (1 - (e * sine) ** 2) + other) / 2
        return np.column_stack([(points[:, 0] - self._middle) * self._slope, height]) * self._radius


class Disk:
    """Points of a CRS in the Lambert azimuthal equal-area projection about the centre of a grid.

    Lines across the far side of the earth break up, so there a map of the whole earth in a CRS of curved meridians,
    such as Mollweide's, is measured wrongly.
    """

    def __init__(self, crs: CRS, grid: Grid) -> None:
        lon, lat = to_lonlat(crs).transform(*(grid.transform @ (grid.width / 2, grid.height / 2)))
        plane = ProjectedCRS(LambertAzimuthalEqualAreaConversion(lat, lon), geodetic_crs=crs.geodetic_crs)
        self._transformer = transformer(crs, plane)

    def __call__(self, points: DoubleArray) -> DoubleArray:
        """Return points (n, 2) in metres; not finite where they are no place in the CRS."""
        return np.column_stack(self._transformer.transform(points[:, 0], points[:, 1]))


EqualAreaPlane: TypeAlias = Cylinder | Disk


@functools.lru_cache(maxsize=16)  # making one takes as long as measuring a million pixels; threads may share it
def equal_area_plane(grid: Grid) -> EqualAreaPlane | None:
    """Return the plane in which areas on a grid are measured; None for a grid without CRS, whose unit is a metre.

    Raises:
        GridError: If the CRS is not tied to the earth, or the grid's centre is outside it.
    """
    if grid.crs is None:
        return None
    grid.gsd_m()  # raises GridError for a place that is not on earth
    crs = grid.crs.to_2d()
    return Cylinder.of(crs, grid) or Disk(crs, grid)


def pixel_areas_m2(grid: Grid, block: Block) -> DoubleArray:
    """Return the area on the ground of each pixel of a block, (row, col); see ``Grid.pixel_areas_m2``."""
    if grid.block.intersection(block) != block:
        raise GridError(f"{block} reaches outside a grid of shape {grid.shape}.", expected="a block inside")
    plane = equal_area_plane(grid)
    if plane is None or block.is_empty:
        return np.full(block.shape, abs(grid.transform.determinant))
    rows, cols = np.arange(block.row, block.row_stop), np.arange(block.col, block.col_stop)
    areas = _between(*_at_nodes(grid, block, plane), cols, 1)
    unsure = ~np.isfinite(areas)
    if unsure.any():  # the earth ends here or nearby
        down, right = np.nonzero(unsure)
        areas[unsure] = np.nan_to_num(_areas_at(plane, grid, rows[down], cols[right]), nan=0.0, posinf=0.0)
    return areas


def areas_by_id(grid: Grid, block: Block, ids: LabelArray) -> tuple[CountArray, DoubleArray]:
    """Return the pixels, and their area on the ground, of each id 0..255 in a block of ids (row, col).

    Areas are those of ``pixel_areas_m2``. They are summed by runs of pixels of one id: between nodes they are linear.
    """
    if block.is_empty:
        return np.zeros(_IDS, np.int64), np.zeros(_IDS)
    plane = equal_area_plane(grid)
    last = np.ones(ids.shape, np.bool_)  # of a run of pixels of one id in a row
    np.not_equal(ids[:, 1:], ids[:, :-1], out=last[:, :-1])
    ends = np.flatnonzero(last)
    found, lengths = ids.ravel()[ends], np.diff(ends, prepend=-1)
    pixels = np.bincount(found, weights=lengths, minlength=_IDS).astype(np.int64)  # exact: far below 2**53
    if plane is None:
        return pixels, np.asarray(pixels * abs(grid.transform.determinant), np.float64)
    values, nodes = _at_nodes(grid, block, plane)
    if not np.isfinite(values).all():
        weights = pixel_areas_m2(grid, block).ravel()
        return pixels, np.asarray(np.bincount(ids.ravel(), weights=weights, minlength=_IDS), np.float64)
    row, col = np.divmod(ends, block.width)
    before = _summed(values, nodes, row, col + 1 - lengths + block.col)
    areas = _summed(values, nodes, row, col + 1 + block.col) - before
    return pixels, np.asarray(np.bincount(found, weights=areas, minlength=_IDS), np.float64)


def _at_nodes(grid: Grid, block: Block, plane: EqualAreaPlane) -> tuple[DoubleArray, CountArray]:
    """Return the areas of the pixels of each row at some columns, (row, node), and these columns."""
    row_nodes, col_nodes = _nodes(grid, block, plane)
    measured = _areas_at(plane, grid, *np.meshgrid(row_nodes, col_nodes, indexing="ij"))
    return _between(measured, row_nodes, np.arange(block.row, block.row_stop), 0), col_nodes


def _summed(values: DoubleArray, nodes: CountArray, rows: CountArray, stops: CountArray) -> DoubleArray:
    """Return sums over the pixels of rows from the first node to before a column, of values linear between nodes."""
    if len(nodes) == 1:
        return np.asarray(values[rows, 0] * (stops - nodes[0]))
    rise, steps = np.diff(values, axis=1), np.diff(nodes)
    whole = np.zeros_like(values)
    np.cumsum(values[:, :-1] * steps + rise * (steps - 1) / 2, axis=1, out=whole[:, 1:])
    cell = np.clip(np.searchsorted(nodes, stops, side="right") - 1, 0, len(steps) - 1)
    count = stops - nodes[cell]
    slope = rise[rows, cell] / steps[cell]
    return np.asarray(whole[rows, cell] + count * values[rows, cell] + slope * (count * (count - 1) / 2))


def _nodes(grid: Grid, block: Block, plane: EqualAreaPlane) -> tuple[CountArray, CountArray]:
    """Return the rows and columns at which pixels are measured; those around a pixel depend on the grid alone."""
    upright = grid.transform.b == 0 == grid.transform.d
    if upright and isinstance(plane, Cylinder):  # all pixels of a row are the same
        return np.arange(block.row, block.row_stop), np.array([block.col])
    gsd_x, gsd_y = grid.gsd_m()
    return (
        _axis_nodes(block.row, block.row_stop, grid.height, max(1, int(_NODE_M // gsd_y))),
        _axis_nodes(block.col, block.col_stop, grid.width, max(1, int(_NODE_M // gsd_x))),
    )


def _axis_nodes(start: int, stop: int, size: int, step: int) -> CountArray:
    """Return the multiples of a step, and the last pixel, that enclose a span of an axis."""
    last = min(-(-(stop - 1) // step) * step, size - 1)
    return np.unique(np.append(np.arange(start // step * step, last, step), last))


def _between(values: DoubleArray, nodes: CountArray, places: CountArray, axis: int) -> DoubleArray:
    """Return values known at nodes along an axis of two, interpolated at places between them."""
    if len(nodes) == 1:
        return np.repeat(values, len(places), axis=axis)
    lower = np.clip(np.searchsorted(nodes, places, side="right") - 1, 0, len(nodes) - 2)
    share = np.expand_dims((places - nodes[lower]) / (nodes[lower + 1] - nodes[lower]), 1 - axis)
    with np.errstate(invalid="ignore"):
        found: DoubleArray = values.take(lower, axis)
        found *= 1 - share
        upper: DoubleArray = values.take(lower + 1, axis)
        upper *= share
        found += upper
    return found


def _areas_at(plane: EqualAreaPlane, grid: Grid, rows: CountArray, cols: CountArray) -> DoubleArray:
    """Return the area of the pixels at some rows and columns, in their shape; not finite off the earth."""
    corners = []
    for down, right in ((0, 0), (0, 1), (1, 1), (1, 0)):
        col, row = cols.ravel() + right, rows.ravel() + down
        corners.append(plane(affine_points(grid.transform, np.column_stack([col, row]))))
    with np.errstate(invalid="ignore"):
        (ax, ay), (bx, by) = (corners[2] - corners[0]).T, (corners[3] - corners[1]).T
        return np.asarray(np.abs(ax * by - ay * bx) / 2).reshape(rows.shape)


def _within_half_turn(degrees: DoubleArray) -> DoubleArray:
    """Return angles wrapped to -180..180 degrees."""
    return (degrees + 180.0) % 360.0 - 180.0
