"""True areas on the ground of polygons in any coordinate reference system."""

from __future__ import annotations

import math

import numpy as np
import shapely
from pyproj import CRS, Geod, Transformer
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion

from crispmap.geo.grid import Grid
from crispmap.types import DoubleArray
from crispmap.vectorize.polygons import Geometries

_LONGEST_SIDE_M = 1000.0  # a straight line of this length is straight in another projection to some millimetres
_SAMPLES = 5
_SAME_DEG = 1e-7


class GroundArea:
    """Areas on the ellipsoid of a grid's CRS.

    Outlines are brought to an equal-area projection and measured there: one about the centre of the grid (Lambert
    azimuthal) or, in a CRS of upright straight meridians and parallels, such as degrees or Mercator, the cylindrical
    one (Snyder 1987, eq. 3-12 and 10-13 to 10-15), which has no far side. Without a CRS the unit of the coordinates
    counts as a metre.

    Args:
        grid: Where the polygons lie.

    Raises:
        GridError: If the CRS is not tied to the earth, or the grid's centre is no place in it.
    """

    def __init__(self, grid: Grid) -> None:
        self._to_plane: _Cylinder | _Disk | None = None
        self._longest = math.inf
        if grid.crs is None:
            return
        crs = grid.crs.to_2d()
        gsd_m = grid.gsd_m()
        unit_m = math.sqrt(math.prod(gsd_m) / abs(grid.transform.determinant))
        self._longest = max(*gsd_m, _LONGEST_SIDE_M) / unit_m
        self._to_plane = _Cylinder.of(crs, grid) or _Disk(crs, grid)

    def of(self, polygons: Geometries) -> DoubleArray:
        """Return the area of each polygon less its holes, in square metres on the ground.

        Args:
            polygons: In the grid's CRS.
        """
        if self._to_plane is None:
            return np.asarray(shapely.area(polygons), np.float64)
        dense = shapely.segmentize(polygons, self._longest)
        return np.asarray(shapely.area(shapely.transform(dense, self._to_plane)), np.float64)


class _Cylinder:
    """Points of a cylindrical CRS in the equal-area cylindrical projection of its ellipsoid."""

    def __init__(self, crs: CRS, middle: float, degrees_a_unit: float) -> None:
        self._lonlat = _to_lonlat(crs)
        self._middle = middle
        self._slope = math.radians(degrees_a_unit)
        geod = crs.get_geod() or Geod(ellps="WGS84")
        self._radius = geod.a
        self._eccentricity = math.sqrt(geod.es)

    @classmethod
    def of(cls, crs: CRS, grid: Grid) -> _Cylinder | None:
        """Return the projection, or None where the CRS is not cylindrical over the grid."""
        left, low, right, high = grid.bounds
        x, y = np.meshgrid(np.linspace(left, right, _SAMPLES), np.linspace(low, high, _SAMPLES))
        lon, lat = _to_lonlat(crs).transform(x, y)
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


class _Disk:
    """Points of a CRS in the Lambert azimuthal equal-area projection about the centre of a grid."""

    def __init__(self, crs: CRS, grid: Grid) -> None:
        lon, lat = _to_lonlat(crs).transform(*(grid.transform @ (grid.width / 2, grid.height / 2)))
        plane = ProjectedCRS(LambertAzimuthalEqualAreaConversion(lat, lon), geodetic_crs=crs.geodetic_crs)
        self._transformer = Transformer.from_crs(crs, plane, always_xy=True)

    def __call__(self, points: DoubleArray) -> DoubleArray:
        """Return points (n, 2) in metres."""
        return np.column_stack(self._transformer.transform(points[:, 0], points[:, 1]))


def _to_lonlat(crs: CRS) -> Transformer:
    """Return the way to longitudes and latitudes on the ellipsoid of a CRS."""
    return Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)


def _within_half_turn(degrees: DoubleArray) -> DoubleArray:
    """Return angles brought to -180..180 degrees."""
    return (degrees + 180.0) % 360.0 - 180.0
