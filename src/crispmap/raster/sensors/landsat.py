"""Landsat 4 to 9, levels L1TP and L2SP, by the file names of collections 1 and 2, and the metadata file MTL.

Bands: USGS, "What are the band designations for the Landsat satellites?". Values: USGS, Landsat 8-9 Collection 2 Level
2 Science Product Guide (LSDS-1619) for surface reflectance, and "Using the USGS Landsat Level-1 Data Product" for that
at the top of the atmosphere.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crispmap.raster.compose.composition import Reflectance
from crispmap.raster.sensors.product import BandFile, Channel, Family, metadata_text, unusable

_TM = {
    "B1": Channel("blue", 450, 520), "B2": Channel("green", 520, 600), "B3": Channel("red", 630, 690),
    "B4": Channel("nir", 760, 900), "B5": Channel("swir1", 1550, 1750), "B7": Channel("swir2", 2080, 2350),
    "B6": Channel("thermal", 10400, 12500, usual=False),
}  # fmt: skip
_ETM = {
    **_TM, "B4": Channel("nir", 770, 900), "B7": Channel("swir2", 2090, 2350),
    "B8": Channel("pan", 520, 900, usual=False),
}  # fmt: skip
_OLI = {
    "B1": Channel("coastal", 435, 451, usual=False), "B2": Channel("blue", 452, 512), "B3": Channel("green", 533, 590),
    "B4": Channel("red", 636, 673), "B5": Channel("nir", 851, 879), "B6": Channel("swir1", 1566, 1651),
    "B7": Channel("swir2", 2107, 2294), "B8": Channel("pan", 503, 676, usual=False),
    "B9": Channel("cirrus", 1363, 1384, usual=False), "B10": Channel("thermal1", 10600, 11190, usual=False),
    "B11": Channel("thermal2", 11500, 12510, usual=False),
}  # fmt: skip
_NAME = re.compile(r"^(.*?)_?(?:(SR|ST)_)?(B(?:[1-9]|1[01]))(?:_VCID_[12])?\.tiff?$", re.IGNORECASE)
_ID = re.compile(r"(?:^|_)L[COTEM]0([4-9])_", re.IGNORECASE)
_LEVEL = re.compile(r"(?:^|_)L([12])(?:TP|GT|GS|SP|SR)(?:_|$)", re.IGNORECASE)
_SURFACE = Reflectance(0.0000275, -0.2)  # of every L2SP of collection 2
_OLI_TOP = Reflectance(
    0.00002, -0.1, absolute=False
)  # of every level 1 of Landsat 8 and 9; the sun's height is missing
_OPTICAL_NM = 3000
_GROUPS = {1: ("LEVEL1_RADIOMETRIC_RESCALING", "RADIOMETRIC_RESCALING"), 2: ("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS",)}


def _parse(path: Path) -> BandFile | None:
    found = _NAME.match(path.name)
    if found is None:
        return None
    scene, kind, band = found[1], found[2], found[3].upper()
    satellite, level = _ID.search(scene), _LEVEL.search(scene)
    known = 2 if kind else int(level[1]) if level else None
    return BandFile(path, scene, band, f"landsat{satellite[1]}" if satellite else None, known)


def _reflectance(sensor: str, files: Sequence[BandFile]) -> Mapping[str, Reflectance]:
    optical = [one for one in files if SENSORS[sensor][one.own_name].high_nm < _OPTICAL_NM]
    if not optical:
        return {}
    metadata = _metadata(optical[0])
    if metadata is not None:
        return {one.own_name: _stated(one, *metadata) for one in optical}
    nominal = {1: _OLI_TOP if sensor in ("landsat8", "landsat9") else None, 2: _SURFACE}
    known = {one.own_name: nominal.get(one.level or 0) for one in optical}
    return {band: how for band, how in known.items() if how is not None}


def _metadata(file: BandFile) -> tuple[Path, dict[str, dict[str, Any]]] | None:
    """Return the metadata of a band's product by group, with their file; None where there are none."""
    stem = f"{file.scene}_MTL" if file.scene else "MTL"
    for path in sorted(file.path.parent.glob("*")):
        if path.name.lower() in (f"{stem}.txt".lower(), f"{stem}.json".lower()):
            groups = _parsed(path)
            product = groups.get("PRODUCT_CONTENTS", groups.get("METADATA_FILE_INFO", {})).get("LANDSAT_PRODUCT_ID")
            if file.scene and product is not None and str(product).lower() != file.scene.lower():
                raise unusable(path, f"it is that of {product}, not of {file.scene}")
            return path, groups
    return None


def _parsed(path: Path) -> dict[str, dict[str, Any]]:
    """Return the entries of a metadata file by group."""
    text = metadata_text(path)
    if path.suffix.lower() == ".json":
        try:
            (groups,) = json.loads(text).values()
            return {name: dict(group) for name, group in groups.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise unusable(path, "it is not the JSON of a Landsat product") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[-1] != "END":
        raise unusable(path, "it is truncated: it does not end with END")
    groups, inside = {}, ""
    for line in lines:
        key, _, value = (part.strip() for part in line.partition("="))
        if key == "GROUP":
            inside = value
        elif value and key != "END_GROUP":
            groups.setdefault(inside, {})[key] = value.strip('"')
    return groups


def _stated(file: BandFile, path: Path, groups: Mapping[str, Mapping[str, Any]]) -> Reflectance:
    """Return how values of a band become reflectance, as the metadata say."""
    level = 2 if _GROUPS[2][0] in groups and file.level != 1 else 1
    group: Mapping[str, Any] = next((groups[name] for name in _GROUPS[level] if name in groups), {})
    number = file.own_name[1:]
    scale, offset = (_number(path, group, f"REFLECTANCE_{what}_BAND_{number}") for what in ("MULT", "ADD"))
    if level == 2:
        return Reflectance(scale, offset)
    elevation = _number(path, groups.get("IMAGE_ATTRIBUTES", {}), "SUN_ELEVATION")
    if not 0 < elevation <= 90:
        raise unusable(path, f"SUN_ELEVATION is {elevation:g}")
    height = math.sin(math.radians(elevation))
    return Reflectance(scale / height, offset / height)


def _number(path: Path, group: Mapping[str, Any], key: str) -> float:
    try:
        value = float(group[key])
    except (KeyError, ValueError) as error:
        raise unusable(path, f"{key} is missing or no number") from error
    if not math.isfinite(value):
        raise unusable(path, f"{key} is {value}")
    return value


SENSORS = {"landsat4": _TM, "landsat5": _TM, "landsat7": _ETM, "landsat8": _OLI, "landsat9": _OLI}
FAMILY = Family(SENSORS, _parse, _reflectance, nodata=0)
