"""Files beside a raster by which other programs show it: GDAL's names and colours of values, and a style of QGIS.

A raster is whole without them: where one cannot be written, a warning tells, and the raster stays.
"""

from __future__ import annotations

import os
import re
import warnings
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree as ET

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapWarning, OutputError
from crispmap.files.atomic import write_atomically
from crispmap.raster.spec import RasterSpec
from crispmap.raster.styles import class_style, ramp_style
from crispmap.raster.targets import RASTER_SIDECARS, put_in_place

ATTRIBUTES_SUFFIX, STYLE_SUFFIX = ".aux.xml", ".qml"
_MADE_FOR = "crispmap"  # the attribute of a style that names the file it was made for; QGIS leaves it out as it saves

_MARKED = re.compile(rb'^<qgis crispmap="[^"]*" ')

# A column of GDAL's attribute table: its name, type and usage, as GDAL numbers them (GDALRATFieldType and -Usage).
_COLUMNS = (
    ("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8), ("Alpha", 0, 9),
)  # fmt: skip


def attributes_file(raster: Path) -> Path:
    """Return the name of the file with GDAL's names and colours of the values of a raster."""
    return Path(f"{raster}{ATTRIBUTES_SUFFIX}")


def class_attributes(schema: ClassSchema) -> bytes:
    """Return the classes as GDAL reads them beside a raster: names of categories, and a raster attribute table."""
    root = ET.Element("PAMDataset")
    band = ET.SubElement(root, "PAMRasterBand", band="1")
    categories = ET.SubElement(band, "CategoryNames")
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(_COLUMNS):
        column = ET.SubElement(table, "FieldDefn", index=str(index))
        ET.SubElement(column, "Name").text = name
        ET.SubElement(column, "Type").text = str(kind)
        ET.SubElement(column, "Usage").text = str(usage)
    for index, one in enumerate(schema):
        ET.SubElement(categories, "Category").text = one.name
        row = ET.SubElement(table, "Row", index=str(index))
        for value in (index, one.name, *one.rgb, 255):
            ET.SubElement(row, "F").text = str(value)
    content: bytes = ET.tostring(root, encoding="utf-8")
    return content


def put_with_names(finished: Path, spec: RasterSpec) -> None:
    """Move a finished raster onto its target, as ``put_in_place`` does, once what other programs show it by is there.

    Killed in between, it leaves these files alone, and the next run that makes the raster replaces them.

    Warns:
        CrispmapWarning: If one of them cannot be written, or a style by another hand is there.
    """
    named = write_beside(spec)
    put_in_place(finished, spec.path, [one for one in RASTER_SIDECARS if one != ATTRIBUTES_SUFFIX or not named])


def write_beside(spec: RasterSpec) -> bool:
    """Write names and style of a raster; return whether its values have names now. Warns as ``put_with_names``."""
    if spec.schema is None:
        write_style(spec.path, None if spec.amounts is None else ramp_style(*spec.amounts))
        return False
    write_style(spec.path, class_style(spec.schema))
    return _write(attributes_file(spec.path), class_attributes(spec.schema), f"The values of {spec.path} have no names")


def write_style(file: Path, style: ET.Element | None) -> None:
    """Write a style where QGIS looks for that of a file; None removes one that was written for an earlier file.

    A style by another hand, or of another file, stays: QGIS finds them by the name before the suffix.

    Warns:
        CrispmapWarning: If there is such a style, or it cannot be written.
    """
    target = file.with_suffix(STYLE_SUFFIX)
    mark = f'<qgis {_MADE_FOR}="{quote(os.fsencode(file.name), safe="")}" '.encode()
    plain = b"" if style is None else ET.tostring(style, encoding="utf-8")
    there = _content(target)
    if there is None or there.startswith(mark):
        if style is not None:
            _write(target, plain.replace(b"<qgis ", mark, 1), f"{file} has no style")
        else:
            with suppress(OSError):
                target.unlink(missing_ok=True)
    elif style is not None and _MARKED.sub(b"<qgis ", there, 1) != plain:  # the same will do for several files
        _warn(
            f"{target}, which QGIS takes for the style of {file.name}, was not written by crispmap for this file and "
            "is kept: classes may have other colours there. Remove it to have it written anew."
        )


def _content(path: Path) -> bytes | None:
    """Return what a file holds, nothing if it cannot be read; None if there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        return b""


def _write(target: Path, content: bytes, otherwise: str) -> bool:
    """Write a file, or warn of what is without it; return whether it is written."""
    try:
        write_atomically(target, content)
    except OutputError as error:
        _warn(f"{otherwise}: {error.given} It is complete without.")
        return False
    return True


def _warn(text: str) -> None:
    warnings.warn(text, CrispmapWarning, stacklevel=4)
