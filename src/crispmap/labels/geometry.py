"""Geometries as labels need them: valid plane polygons and lines, one part per feature."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import shapely
from numpy.typing import NDArray

Geometries: TypeAlias = NDArray[np.object_]  # an array of shapely geometries, None where one is missing

_POINT = 0
_POLYGON_TYPES = (3, 6)
_LINE_TYPES = (1, 2, 5)
_SEVERAL = (4, 5, 6, 7)  # points, lines, polygons, any


def is_polygon(geometries: Geometries) -> NDArray[np.bool_]:
    """Return which geometries are polygons or multi-polygons."""
    return np.isin(shapely.get_type_id(geometries), _POLYGON_TYPES)


def is_line(geometries: Geometries) -> NDArray[np.bool_]:
    """Return which geometries are lines, rings or multi-lines."""
    return np.isin(shapely.get_type_id(geometries), _LINE_TYPES)


def is_point(geometries: Geometries) -> NDArray[np.bool_]:
    """Return which geometries are single points."""
    return np.asarray(shapely.get_type_id(geometries) == _POINT)


def single_parts(geometries: Geometries, *, points: bool = False) -> tuple[Geometries, NDArray[np.int64]]:
    """Return the polygons and lines among geometries, valid, plane and single-part, and the index each comes from.

    Missing, empty and non-finite geometries are dropped; points too, unless ``points`` and there is nothing else. An
    invalid polygon is repaired (``shapely.make_valid``) and only polygons of the repair are kept: a spike is no road.
    """
    source = np.flatnonzero(~(shapely.is_missing(geometries) | shapely.is_empty(geometries)))
    parts, source = exploded(geometries[source], source)
    high = shapely.get_coordinate_dimension(parts) > 2
    parts[high] = shapely.force_2d(parts[high])
    finite = _finite(parts)
    wanted = finite & (is_polygon(parts) | is_line(parts))
    if points and not wanted.any():
        return parts[finite], source[finite]
    parts, source = parts[wanted], source[wanted]

    broken = is_polygon(parts) & ~shapely.is_valid(parts)
    parts[broken] = shapely.make_valid(parts[broken])
    from_polygon = is_polygon(parts) | broken
    parts, place = exploded(parts, np.arange(len(parts)))
    kept = np.where(from_polygon[place], is_polygon(parts) & (shapely.area(parts) > 0), shapely.length(parts) > 0)
    for ring in np.flatnonzero(shapely.get_type_id(parts) == 2):
        parts[ring] = shapely.LineString(parts[ring].coords)
    return parts[kept], source[place[kept]]


def _finite(geometries: Geometries) -> NDArray[np.bool_]:
    """Return which geometries have finite coordinates alone."""
    finite = np.ones(len(geometries), np.bool_)
    if not np.isfinite(shapely.get_coordinates(geometries)).all():
        corners, place = shapely.get_coordinates(geometries, return_index=True)
        finite[place[~np.isfinite(corners).all(axis=1)]] = False
    return finite


def exploded(geometries: Geometries, source: NDArray[np.int64]) -> tuple[Geometries, NDArray[np.int64]]:
    """Return the single parts of geometries, however deeply nested, with the source of each."""
    while np.isin(shapely.get_type_id(geometries), _SEVERAL).any():
        geometries, place = shapely.get_parts(geometries, return_index=True)
        source = source[place]
    return geometries, source
