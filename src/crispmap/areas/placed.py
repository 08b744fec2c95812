"""Regions on the pixels of a map, whatever the CRS of either."""

from __future__ import annotations

import numpy as np
import shapely
from pyproj import CRS
from shapely import affinity

from crispmap.areas.regions import Regions, polygons_of
from crispmap.errors import AreaError
from crispmap.files.address import shown
from crispmap.geo.crs import crs_name, transformer
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Grid
from crispmap.geo.turns import turns_between, unbroken
from crispmap.labels.layers import grid_box
from crispmap.polygons.polygons import Geometries
from crispmap.types import CountArray, DoubleArray

# Edges of another CRS, which may be curved on the map, get a point every kilometre, over which they are straight to
# some centimetres, but no less and no more than so many pixels apart.
_CURVED_M, _CURVED_PX = 1000.0, (4.0, 16.0)
_MOST_POINTS = 4096  # but an outline far larger than the map no more than about these
_MARGIN_PX = (
    16.0  # outlines in another CRS are cut this far beyond the map: they may have no place in its CRS further on
)


def regions_on(regions: Regions, grid: Grid) -> tuple[CountArray, Geometries]:
    """Return the regions near a grid, by number, with outlines in pixel positions (col, row).

    Outer rings turn one way and holes the other. Edges that are straight in another CRS stay what they are on the
    ground.

    Raises:
        AreaError: If only one of map and regions has a CRS, or an outline cannot be expressed in that of the map.
    """
    if (regions.crs is None) != (grid.crs is None):
        without, other = ("regions have", "map has") if regions.crs is None else ("map has", "regions have")
        raise AreaError(
            f"The {without} no coordinate reference system, the {other} one ({shown(regions.path)}).",
            expected="a CRS on both sides",
            remedy="Assign it: ogr2ogr -a_srs EPSG:... for regions, gdal_edit.py -a_srs EPSG:... for a map.",
        )  # fmt: skip
    place = _SameCrs(grid) if regions.crs == grid.crs or regions.crs is None else _OtherCrs(regions, grid)
    outlines = [place.outline(one) for one in regions.outlines]
    near = np.flatnonzero([one is not None and not shapely.is_empty(one) for one in outlines])
    return near, shapely.normalize(np.array([outlines[index] for index in near], np.object_))


class _SameCrs:
    """The pixels of a grid for outlines in its CRS."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def outline(self, outline: shapely.Geometry) -> shapely.Geometry | None:
        """Return an outline in pixel positions; in degrees at every full turn at which it overlaps the grid."""
        return self._placed(outline, shapely.get_coordinates(outline))

    def _placed(self, outline: shapely.Geometry, points: DoubleArray) -> shapely.Geometry | None:
        """Return an outline with other points, in the CRS of the grid, in pixel positions; None beside the grid."""
        low, high = points.min(axis=0), points.max(axis=0)
        left, bottom, right, top = self._grid.bounds
        if low[1] >= top or high[1] <= bottom:
            return None
        turns = turns_between((float(low[0]), float(high[0])), (left, right), self._grid.crs)
        placed = [
            shapely.set_coordinates(outline, affine_points(~self._grid.transform, points + np.array([turn, 0.0])))
            for turn in turns
        ]
        return placed[0] if len(placed) == 1 else shapely.MultiPolygon(list(shapely.get_parts(placed)))


class _OtherCrs(_SameCrs):
    """The pixels of a grid for outlines in another CRS."""

    def __init__(self, regions: Regions, grid: Grid) -> None:
        super().__init__(grid)
        self._file = shown(regions.path)
        self._from: CRS | None = regions.crs
        self._transformer = transformer(self._from, grid.crs)
        self._box = grid_box(grid, self._from, _MARGIN_PX * grid.mean_gsd_m())
        left, low, right, high = self._transformer.transform_bounds(*grid.bounds, direction="INVERSE")
        sides = sorted([right - left, high - low])  # around a pole one of them is a full turn
        pixel = min(sides[0] / min(grid.shape), sides[1] / max(grid.shape))
        sure = np.isfinite(pixel) and pixel > 0
        self._longest = float(np.clip(_CURVED_M / grid.mean_gsd_m(), *_CURVED_PX)) * pixel if sure else 0.0

    def outline(self, outline: shapely.Geometry) -> shapely.Geometry | None:
        """Return an outline in pixel positions, as far as it is near the grid."""
        parts = [self._reprojected(one) for one in self._near(outline)]
        kept = [one for one in parts if one is not None]
        return kept[0] if len(kept) == 1 else shapely.MultiPolygon(list(shapely.get_parts(kept))) if kept else None

    def _near(self, outline: shapely.Geometry) -> list[shapely.Geometry]:
        """Return the parts of an outline near the grid, in degrees at every full turn at which there are some."""
        if self._box is None:
            return [outline]
        left, low, right, high = shapely.bounds(outline)
        if low >= self._box[3] or high <= self._box[1]:
            return []
        near = []
        for turn in turns_between((left, right), self._box[::2], self._from):
            moved = affinity.translate(outline, turn) if turn else outline
            if not shapely.box(*self._box).contains(shapely.box(*shapely.bounds(moved))):
                moved = polygons_of(shapely.intersection(moved, shapely.box(*self._box)))
            near.append(moved)
        return [one for one in near if not shapely.is_empty(one)]

    def _reprojected(self, outline: shapely.Geometry) -> shapely.Geometry | None:
        least = float(shapely.length(outline)) / _MOST_POINTS
        dense = shapely.segmentize(outline, max(self._longest, least))
        points = np.stack(self._transformer.transform(*shapely.get_coordinates(dense).T), axis=1)
        if not np.isfinite(points).all():
            raise AreaError(
                f"A region of {self._file} near the map cannot be expressed in its CRS, {crs_name(self._grid.crs)}.",  # type: ignore[arg-type]
                expected="coordinates within the area of use of both",
                remedy="Check the CRS of the regions, or cut them to the surroundings of the map.",
            )
        return self._placed(dense, unbroken(points, self._grid.crs))  # type: ignore[arg-type]
