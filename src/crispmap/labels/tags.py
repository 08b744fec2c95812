"""Tags of features as text, whatever way the file spells them, and the class they make.

A tag may stand in a column of its own, inside a column of many tags (GDAL's ``other_tags``), as the pair of
columns ``class`` and ``type`` (imposm extracts: class=highway, type=residential), or as ``fclass`` in a layer
named after the key (Geofabrik shapefiles).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.labels.widths import LANE_KEYS, WIDTH_KEYS, width_from_tags
from crispmap.types import IGNORE

CLASS_COLUMNS = ("class", "class_name")
"""Columns whose values may be names or ids of classes."""

MANY_TAGS_COLUMNS = ("other_tags", "all_tags", "tags")
"""Columns that hold many tags as ``"key"=>"value"`` or JSON text."""

NO_CLASS = -1

TextColumn: TypeAlias = "pd.Series[Any]"

_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"\s*=>\s*"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_GEOFABRIK_KEYS = {
    "roads": "highway",
    "buildings": "building",
    "landuse": "landuse",
    "natural": "natural",
    "waterways": "waterway",
    "water": "natural",
    "railways": "railway",
}


def columns_wanted(schema: ClassSchema) -> tuple[str, ...]:
    """Return the names of the columns that may decide the class or the width of a feature."""
    extra = ("type", "fclass")
    return tuple(
        dict.fromkeys((*rule_keys(schema), *WIDTH_KEYS, *LANE_KEYS, *CLASS_COLUMNS, *extra, *MANY_TAGS_COLUMNS))
    )


def rule_keys(schema: ClassSchema) -> tuple[str, ...]:
    """Return the OSM keys that the schema's rules ask for, each once."""
    return tuple(dict.fromkeys(term.key for one in schema for rule in one.rules for term in rule.terms))


def match_columns(present: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Return column name by wanted key: exact where there is one, else the same name in other case."""
    columns = list(present)
    by_case = {column.casefold(): column for column in reversed(columns)}
    found = {key: key if key in columns else by_case.get(key.casefold()) for key in wanted}
    return {key: column for key, column in found.items() if column is not None}


def parse_many_tags(text: object) -> dict[str, str]:
    """Return the tags of hstore text ``"k"=>"v","k2"=>"v2"`` or of a JSON object; empty for anything else."""
    if not isinstance(text, str):
        return {}
    if text.lstrip().startswith("{"):
        try:
            return {str(key): str(value) for key, value in json.loads(text).items()}
        except ValueError:
            return {}
    return {_ESCAPE.sub(r"\1", key): _ESCAPE.sub(r"\1", value) for key, value in _PAIR.findall(text)}


def tag_table(attributes: pd.DataFrame, schema: ClassSchema, layer: str) -> pd.DataFrame:
    """Return one text column per key that decides a class or width; None where a tag is absent.

    Args:
        attributes: The columns of a layer, without geometry.
        schema: Its rules say which keys are looked for.
        layer: The layer's name, for files whose layers are named after a key.
    """
    wanted = columns_wanted(schema)
    columns = match_columns(attributes.columns, wanted)
    table = pd.DataFrame(
        {key: _as_text(attributes[columns[key]]) if key in columns else None for key in wanted},
        index=attributes.index,
        dtype=object,
    )
    for column in MANY_TAGS_COLUMNS:
        _spread(table, table[column], [key for key in wanted if key not in MANY_TAGS_COLUMNS])
    _spread_pair(table, table["class"], table["type"])
    key = _geofabrik_key(layer)
    if key in table.columns:
        table[key] = table[key].where(table[key].notna(), table["fclass"])
    return table


def class_column_ids(table: pd.DataFrame, schema: ClassSchema) -> NDArray[np.int64]:
    """Return the class id that a class column gives each feature, NO_CLASS where it gives none.

    Names count in any case, ids as whole numbers; 255 and ``ignore`` mean ground to leave out.
    """
    by_text = {str(index): index for index in range(len(schema))} | {str(IGNORE): IGNORE, "ignore": IGNORE}
    by_text |= {name.casefold(): index for index, name in enumerate(schema.names)}
    ids = np.full(len(table), NO_CLASS, dtype=np.int64)
    for column in CLASS_COLUMNS:
        texts = table[column].map(lambda text: text.strip().casefold(), na_action="ignore")
        found = texts.map(by_text).fillna(NO_CLASS).to_numpy(dtype=np.int64)
        ids = np.where(ids == NO_CLASS, found, ids)
    return ids


def tag_ids(table: pd.DataFrame, schema: ClassSchema) -> NDArray[np.int64]:
    """Return the class id that the schema's tag rules give each feature, NO_CLASS where none matches."""
    keys = list(rule_keys(schema))
    known: dict[tuple[object, ...], int] = {}
    ids = np.full(len(table), NO_CLASS, dtype=np.int64)
    rows = zip(*(table[key] for key in keys), strict=True) if keys else ()
    for place, values in enumerate(rows):
        if values not in known:
            found = schema.class_of(dict(zip(keys, values, strict=True)))
            known[values] = NO_CLASS if found is None else found
        ids[place] = known[values]
    return ids


def widths_m(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the total width each feature's own tags give, in metres, NaN where they give none."""
    keys = (*WIDTH_KEYS, *LANE_KEYS)
    rows = zip(*(table[key] for key in keys), strict=True)
    return np.array([width_from_tags(dict(zip(keys, row, strict=True))) for row in rows], dtype=np.float64)


def _as_text(column: TextColumn) -> TextColumn:
    return column.astype(object).map(_text)


def _text(value: Any) -> str | None:
    """Return a value as the text a tag would hold: 2.0 as "2", True as "yes", missing as None."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return json.dumps(dict(value)) if isinstance(value, Mapping) else str(value)


def _spread(table: pd.DataFrame, packed: TextColumn, keys: list[str]) -> None:
    """Copy tags out of a column of many tags, where a feature has no column of its own for them."""
    rows = np.flatnonzero(packed.notna().to_numpy())
    if not len(rows):
        return
    values = {key: table[key].to_numpy(dtype=object, copy=True) for key in keys}
    for row in rows:
        for key, value in parse_many_tags(packed.iloc[row]).items():
            if key in values and values[key][row] is None:
                values[key][row] = value
    for key, column in values.items():
        table[key] = column


def _spread_pair(table: pd.DataFrame, keys: TextColumn, values: TextColumn) -> None:
    """Read class=highway, type=residential as highway=residential."""
    for key in keys.dropna().unique():
        if key in table.columns and key not in (*CLASS_COLUMNS, "type"):
            pair = values.where((keys == key) & table[key].isna())
            table[key] = table[key].where(table[key].notna(), pair)


def _geofabrik_key(layer: str) -> str | None:
    match = re.match(r"gis_osm_([a-z]+)_", layer.casefold())
    return _GEOFABRIK_KEYS.get(match[1]) if match else None
