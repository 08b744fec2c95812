"""Names of coordinate reference systems."""

from __future__ import annotations

from pyproj import CRS


def crs_name(crs: CRS) -> str:
    """Return a readable name of a CRS, such as "EPSG:32631 (WGS 84 / UTM zone 31N)"."""
    authority = crs.to_authority()
    return f"{':'.join(authority)} ({crs.name})" if authority else str(crs.name)
