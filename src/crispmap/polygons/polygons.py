"""Polygons of regions from their rings, and their ground areas."""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray

from crispmap.geo.draw import affine_points
from crispmap.geo.equal_area import equal_area_plane
from crispmap.geo.grid import Grid
from crispmap.polygons.chains import Indices, spread
from crispmap.polygons.rings import Rings
from crispmap.types import DoubleArray

Geometries: TypeAlias = NDArray[np.object_]  # an array of shapely geometries
_LONGEST_SIDE_M = 1000.0  # a straight line of this length is straight in another projection to some millimetres


def polygons_of(rings: Rings, transform: Affine) -> Geometries:
    """Return the polygon of each region, in CRS units.

    Outer rings run counterclockwise and holes clockwise, as in simple features and GeoJSON.

    Args:
        rings: Of regions 0, 1, 2, ... in this order, the outer ring of each first; see ``canonical``.
    """
    if transform.determinant > 0:  # rows upwards: the orientation is mirrored
        rings = rings.reversed()
    return assembled(affine_points(transform, rings.points.astype(np.float64)), rings.lengths, rings.owner)


def assembled(points: DoubleArray, lengths: Indices, owner: Indices) -> Geometries:
    """Return polygons from the points (n, 2) of their rings, run by run, the outer ring of each first.

    Args:
        lengths: (rings,) points of each ring, 3 or more.
        owner: (rings,) the polygon it belongs to, 0, 1, 2, ... in this order.
    """
    if not len(lengths):
        return np.zeros(0, np.object_)
    return np.asarray(shapely.polygons(lines_of(points, lengths), indices=owner))


def lines_of(points: DoubleArray, lengths: Indices) -> Geometries:
    """Return rings as lines, from their points (n, 2), run by run."""
    return np.asarray(shapely.linearrings(points, indices=spread(lengths)[0]), np.object_)


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
