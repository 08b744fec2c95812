"""The outline of a grid on earth, as GeoJSON has it: longitude and latitude of WGS 84, cut where it crosses ±180°."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from crispmap.errors import GridError
from crispmap.geo.crs import transformer
from crispmap.geo.grid import Grid

_LONLAT = CRS.from_epsg(4326)
_STEPS = 8  # points on each side, which is no straight line on earth
_DIGITS = 7  # of degrees: a centimetre
_TURN = 360.0


def footprint(grid: Grid) -> dict[str, Any]:
    """Return the keys ``geometry`` and ``bbox`` of an item: no place and no box where the grid has none on earth.

    The box of a grid across ±180° runs from west to east: its first longitude is the larger one.
    """
    ring = None if grid.crs is None else _ring(grid)
    if ring is None:
        return {"geometry": None}
    lon, lat = ring
    west, east = float(lon.min()), float(lon.max())
    outline = shapely.polygons(np.column_stack([lon, lat]))
    if east - west >= _TURN or abs(lon[-1] - lon[0]) > 1:  # around the whole earth, or a pole
        reach = np.sign(lat.mean()) * 90 if abs(lon[-1] - lon[0]) > 1 else lat.max()
        outline = shapely.box(-180, min(lat.min(), reach), 180, max(lat.max(), reach))
        west, east = -180.0, 180.0
    parts = [_shifted(outline, turns) for turns in (-1, 0, 1)]
    found = shapely.union_all([one for one in parts if not one.is_empty and one.area > 0])
    low, high = found.bounds[1], found.bounds[3]
    box = [_within(west, first=True), low, _within(east, first=False), high]
    return {"geometry": _geojson(found), "bbox": [round(value, _DIGITS) for value in box]}


def _ring(grid: Grid) -> tuple[Any, Any] | None:
    """Return longitudes, without jumps, and latitudes around a grid, counterclockwise and closed; None if none is."""
    corners = np.array(grid.corners())
    corners = np.vstack([corners, corners[:1]])
    along = np.arange(_STEPS)[:, None] / _STEPS
    points = np.vstack([*(a + (b - a) * along for a, b in pairwise(corners)), corners[-1:]])
    try:
        lon, lat = transformer(grid.crs, _LONLAT).transform(points[:, 0], points[:, 1])
    except GridError:
        return None
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return None
    lon = np.unwrap(lon, period=_TURN)
    lon -= np.floor((lon.mean() + 180) / _TURN) * _TURN
    if (lon[:-1] * lat[1:] - lon[1:] * lat[:-1]).sum() < 0:
        lon, lat = lon[::-1], lat[::-1]
    return lon, lat


def _shifted(outline: Any, turns: int) -> Any:
    """Return what of an outline lies within ±180° once it is shifted by whole turns."""
    moved = shapely.transform(outline, lambda points: points + np.array([turns * _TURN, 0]))
    return shapely.intersection(moved, shapely.box(-180, -90, 180, 90))


def _within(lon: float, *, first: bool) -> float:
    """Return a longitude within ±180°; of both names of that meridian, -180 as the first of a box, else 180."""
    lon = (lon + 180) % _TURN - 180
    return 180.0 if lon == -180 and not first else lon


def _geojson(outline: Any) -> dict[str, Any]:
    shape = shapely.set_precision(shapely.simplify(outline, 10.0**-_DIGITS), 10.0**-_DIGITS)
    parts = [shapely.orient_polygons(one) for one in shapely.get_parts(shape)]
    rings = [[[[round(x, _DIGITS), round(y, _DIGITS)] for x, y in one.exterior.coords]] for one in parts]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}
