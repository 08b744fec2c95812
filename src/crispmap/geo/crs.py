"""Coordinate reference systems: their names, and longitudes and latitudes."""

from __future__ import annotations

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from crispmap.errors import GridError
from crispmap.types import DoubleArray


def crs_name(crs: CRS) -> str:
    """Return a readable name of a CRS, such as "EPSG:32631 (WGS 84 / UTM zone 31N)"."""
    authority = crs.to_authority()
    return f"{':'.join(authority)} ({crs.name})" if authority else str(crs.name)


def to_lonlat(crs: CRS) -> Transformer:
    """Return the transformer from a CRS to longitude and latitude, in degrees on its ellipsoid.

    Raises:
        GridError: If the CRS is not tied to the earth.
    """
    if crs.geodetic_crs is None:
        raise GridError(
            f"The CRS {crs.name!r} is not tied to the earth.", expected="a projected or geographic CRS",
            remedy="Assign the CRS it is really in, or none: gdal_edit.py -a_srs EPSG:..., gdal_edit.py -a_srs ''.",
        )  # fmt: skip
    return transformer(crs, crs.geodetic_crs)


def transformer(source: CRS | None, target: CRS | None) -> Transformer:
    """Return the transformer from one CRS to another, longitude or east first.

    Raises:
        GridError: If there is none, as for a damaged CRS.
    """
    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except ProjError as error:
        raise GridError(
            f"Coordinates cannot be taken from {source and source.name!r} to {target and target.name!r}: {error}.",
            expected="two coordinate reference systems that are known to each other",
            remedy="Give the right CRS of the file, or assign it again (gdal_edit.py, ogr2ogr -a_srs).",
        ) from error


def in_crs(points: DoubleArray, crs: CRS | None, other: CRS | None) -> DoubleArray:
    """Return points (point, xy) of a CRS in another, heights apart; as they are where one of the two is unknown.

    Raises:
        GridError: If there is no transformation between the two.
    """
    if crs is None or other is None or crs == other:
        return points
    x, y = transformer(crs.to_2d(), other.to_2d()).transform(points[:, 0], points[:, 1])
    return np.column_stack([x, y])
