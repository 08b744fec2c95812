"""The style by which QGIS shows polygons and lines of classes: a file beside them, or a row in their GeoPackage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree as ET

from crispmap.classes import ClassSchema
from crispmap.raster.styles import empty_style

_TABLE = """
CREATE TABLE layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256),
  f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT,
  styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))
"""  # as QGIS makes it
_CONTENTS = """
INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change, srs_id)
VALUES ('layer_styles', 'attributes', 'layer_styles', '', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 0)
"""
_ROW = """
INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,
  styleSLD, useAsDefault, description, owner)
SELECT '', '', table_name, column_name, 'classes', ?, '', 1, ?, ''
FROM gpkg_geometry_columns
"""


def symbols_style(schema: ClassSchema, ids: Iterable[int], column: str, kind: str = "Polygon") -> ET.Element:
    """Return the style of features with a column of class ids: a row in its colour for each of the ids.

    Args:
        kind: What they are: Polygon or LineString.
    """
    rows = [(str(index), schema[index].name, schema[index].rgb) for index in ids]
    return categories_style(rows, column, kind)


def categories_style(
    rows: Iterable[tuple[str, str, tuple[int, int, int]]], column: str, kind: str = "Polygon"
) -> ET.Element:
    """Return the style of features by the values of a column: rows of value, name in the legend and (r, g, b).

    Args:
        kind: What they are: Polygon or LineString.
    """
    symbol_type, layer_class, look = _SYMBOLS[kind]
    style = empty_style()
    renderer = ET.SubElement(style, "renderer-v2", type="categorizedSymbol", attr=column, symbollevels="0")
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for place, (value, name, rgb) in enumerate(rows):
        ET.SubElement(categories, "category", value=value, label=name, symbol=str(place), render="true")
        symbol = ET.SubElement(symbols, "symbol", type=symbol_type, name=str(place), alpha="1")
        layer = ET.SubElement(symbol, "layer", {"class": layer_class, "enabled": "1", "pass": "0", "locked": "0"})
        for key, value_of in look(rgb).items():
            ET.SubElement(layer, "prop", k=key, v=value_of)
    return style


def _fill(rgb: tuple[int, int, int]) -> Mapping[str, str]:
    """Return the properties of a filled outline; the outline is the same colour, darker."""
    darker = ",".join(str(value * 6 // 10) for value in rgb)
    return {
        "color": f"{','.join(map(str, rgb))},255", "style": "solid", "outline_color": f"{darker},255",
        "outline_style": "solid", "outline_width": "0.2", "outline_width_unit": "MM",
    }  # fmt: skip


def _line(rgb: tuple[int, int, int]) -> Mapping[str, str]:
    """Return the properties of a line."""
    colour = f"{','.join(map(str, rgb))},255"
    return {"line_color": colour, "line_style": "solid", "line_width": "0.6", "line_width_unit": "MM"}


_SYMBOLS = {"Polygon": ("fill", "SimpleFill", _fill), "LineString": ("line", "SimpleLine", _line)}


def save_style(geopackage: Path, style: ET.Element, description: str = "Classes by their colours") -> None:
    """Save a style in a GeoPackage of one layer, as the one that QGIS shows it by.

    A layer of the name that QGIS has for its table of styles gets none.

    Raises:
        sqlite3.Error: If the file cannot be written.
    """
    with closing(sqlite3.connect(geopackage)) as database, database:
        tables = {name.lower() for (name,) in database.execute("SELECT table_name FROM gpkg_contents")}
        if "layer_styles" in tables:
            return
        database.execute(_TABLE)
        database.execute(_CONTENTS)
        database.execute(_ROW, [ET.tostring(style, encoding="unicode"), description])
