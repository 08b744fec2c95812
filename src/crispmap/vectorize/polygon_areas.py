"""Ground areas of polygons in any coordinate reference system."""

from __future__ import annotations

import math

import numpy as np
import shapely

from crispmap.geo.equal_area import equal_area_plane
from crispmap.geo.grid import Grid
from crispmap.types import DoubleArray
from crispmap.vectorize.polygons import Geometries

_LONGEST_SIDE_M = 1000.0  # a straight line of this length is straight in another projection to some millimetres


class PolygonAreas:
    """Areas on the ellipsoid of a grid's CRS; for outlines along pixels they equal ``Grid.pixel_areas_m2``.

    Outlines are measured in the same plane as pixels. Without a CRS the unit of the coordinates counts as a metre.

    Raises:
        GridError: If the CRS is not tied to the earth, or the grid's centre is outside it.
    """

    def __init__(self, grid: Grid) -> None:
        self._plane = equal_area_plane(grid)
        self._longest = math.inf
        if self._plane is not None:
            gsd_m = grid.gsd_m()
            unit_m = math.sqrt(math.prod(gsd_m) / abs(grid.transform.determinant))
            self._longest = max(*gsd_m, _LONGEST_SIDE_M) / unit_m

    def of(self, polygons: Geometries) -> DoubleArray:
        """Return the area of each polygon less its holes, in square metres on the ground."""
        if self._plane is None:
            return np.asarray(shapely.area(polygons), np.float64)
        dense = shapely.segmentize(polygons, self._longest)
        return np.asarray(shapely.area(shapely.transform(dense, self._plane)), np.float64)
