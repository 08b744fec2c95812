"""Coordinate reference systems: their names, and longitudes and latitudes."""

from __future__ import annotations

from pyproj import CRS, Transformer

from crispmap.errors import GridError


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
    return Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
