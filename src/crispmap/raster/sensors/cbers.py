"""CBERS-4 and CBERS-4A by the file names of INPE: CBERS_4A_WPM_20210829_223_129_L4_BAND1.tif.

Bands: INPE, cameras of CBERS-4 (PAN, MUX, IRS, WFI) and of CBERS-4A (WPM, MUX, WFI). The products do not state how
their values become reflectance.
"""

from __future__ import annotations

import re
from pathlib import Path

from crispmap.raster.sensors.product import BandFile, Channel, Family


def _visible(first: int) -> dict[str, Channel]:
    """Return the four bands of the cameras MUX and WFI, whose numbers follow each other."""
    ranges = (("blue", 450, 520), ("green", 520, 590), ("red", 630, 690), ("nir", 770, 890))
    return {f"BAND{first + place}": Channel(*one) for place, one in enumerate(ranges)}


_WIDE = {**_visible(5), **_visible(13)}
_CBERS4 = {
    "BAND1": Channel("pan", 510, 850, usual=False), "BAND2": Channel("green", 520, 590),
    "BAND3": Channel("red", 630, 690), "BAND4": Channel("nir", 770, 890), **_WIDE,
    "BAND9": Channel("pan", 500, 900, usual=False), "BAND10": Channel("swir1", 1550, 1750),
    "BAND11": Channel("swir2", 2080, 2350), "BAND12": Channel("thermal", 10400, 12500, usual=False),
}  # fmt: skip
_CBERS4A = {"BAND0": Channel("pan", 450, 900, usual=False), **_visible(1), **_WIDE}
_NAME = re.compile(r"^(.*?)_?(BAND(?:\d|1[0-6]))(?:_GRID_SURFACE)?\.tiff?$", re.IGNORECASE)
_OURS = re.compile(r"CBERS_?(4A?)_", re.IGNORECASE)


def _parse(path: Path) -> BandFile | None:
    found = _NAME.match(path.name)
    if found is None:
        return None
    satellite = _OURS.search(found[1])
    return BandFile(path, found[1], found[2].upper(), f"cbers{satellite[1].lower()}" if satellite else None)


SENSORS = {"cbers4": _CBERS4, "cbers4a": _CBERS4A}
FAMILY = Family(SENSORS, _parse, lambda sensor, files: {})
