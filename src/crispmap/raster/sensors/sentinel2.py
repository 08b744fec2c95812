"""Sentinel-2, levels 1C and 2A, by the names in a SAFE folder and those of its bands as COGs, and MTD_MSIL*.xml.

Bands: ESA, Sentinel-2 MSI user guide, spatial and spectral resolutions (S2A). Values: ESA, Sentinel-2 Products
Specification Document, 2.2 of processing baseline 04.00: reflectance is (value + offset) / quantification.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from crispmap.raster.compose.composition import Reflectance
from crispmap.raster.sensors.product import BandFile, Channel, Family, metadata_text, unusable


def _about(name: str, centre_nm: float, width_nm: float, *, usual: bool = True) -> Channel:
    return Channel(name, centre_nm - width_nm / 2, centre_nm + width_nm / 2, usual)


_MSI = {
    "B01": _about("coastal", 442.7, 21, usual=False), "B02": _about("blue", 492.4, 66),
    "B03": _about("green", 559.8, 36), "B04": _about("red", 664.6, 31), "B05": _about("rededge1", 704.1, 15),
    "B06": _about("rededge2", 740.5, 15), "B07": _about("rededge3", 782.8, 20), "B08": _about("nir", 832.8, 106),
    "B8A": _about("nir_narrow", 864.7, 21), "B09": _about("water_vapour", 945.1, 20, usual=False),
    "B10": _about("cirrus", 1373.5, 31, usual=False), "B11": _about("swir1", 1613.7, 91),
    "B12": _about("swir2", 2202.4, 175),
}  # fmt: skip
_NAME = re.compile(r"^(.*?)_?(B(?:0[1-9]|1[0-2]|8A))(?:_(\d\d)m)?\.(?:jp2|tiff?)$", re.IGNORECASE)
_OURS = re.compile(r"(?:^|/|_)S2[A-D]_|(?:^|/|_)T\d\d[A-Z]{3}_\d{8}T")
_LEVEL = re.compile(r"MSIL([12])[AC]|(?:^|_)L([12])[AC](?:_|$)")
_FOLDERS_UP = 5  # from a band to the folder of its product


def _parse(path: Path) -> BandFile | None:
    found = _NAME.match(path.name)
    if found is None:
        return None
    level = _LEVEL.search(path.as_posix())
    known = int(level[1] or level[2]) if level else None
    sensor = "sentinel2" if _OURS.search(path.as_posix()) else None
    return BandFile(path, found[1], found[2].upper(), sensor, known, rank=int(found[3] or 0))


def _reflectance(sensor: str, files: Sequence[BandFile]) -> Mapping[str, Reflectance]:
    path = _metadata(files[0].path)
    if path is None:
        return {}
    try:
        root = ET.fromstring(metadata_text(path))  # noqa: S314 - expat bounds how far entities expand
    except ET.ParseError as error:
        raise unusable(path, f"it is truncated or no XML: {error}") from error
    surface = "MSIL2A" in path.name
    quantity = _number(path, root, "BOA_QUANTIFICATION_VALUE" if surface else "QUANTIFICATION_VALUE")
    if quantity <= 0:
        raise unusable(path, f"the quantification value is {quantity:g}")
    offsets = {
        one.get("band_id"): _value(path, one)
        for one in root.iter()
        if one.tag.rpartition("}")[2] == ("BOA_ADD_OFFSET" if surface else "RADIO_ADD_OFFSET")
    }  # none before baseline 04.00
    return {
        band: Reflectance(1 / quantity, offsets.get(str(number), 0.0) / quantity) for number, band in enumerate(_MSI)
    }


def _metadata(band: Path) -> Path | None:
    """Return the metadata of the product that a band is of, in its folder or one above."""
    for folder in band.absolute().parents[:_FOLDERS_UP]:
        found = sorted(folder.glob("MTD_MSIL*.xml"))
        if found:
            return found[0]
    return None


def _number(path: Path, root: ET.Element, tag: str) -> float:
    found = [one for one in root.iter() if one.tag.rpartition("}")[2] == tag]
    if not found:
        raise unusable(path, f"it has no {tag}")
    return _value(path, found[0])


def _value(path: Path, element: ET.Element) -> float:
    try:
        value = float(element.text or "")
    except ValueError as error:
        raise unusable(path, f"{element.tag} is {element.text!r}") from error
    if not math.isfinite(value):
        raise unusable(path, f"{element.tag} is {value}")
    return value


SENSORS = {"sentinel2": _MSI}
FAMILY = Family(SENSORS, _parse, _reflectance, nodata=0)
