"""Tags of features as text, from any layout of the file, and their class.

A tag may be a column, part of a column of many tags (GDAL's ``other_tags``), the pair of columns ``class`` and ``type``
(imposm extracts: class=highway, type=residential), or ``fclass`` in a layer named after the key (Geofabrik shapefiles).
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
from pydantic import TypeAdapter

from crispmap.classes import ClassSchema, tag_values
from crispmap.labels.widths import LANE_KEYS, WIDTH_KEYS, width_from_tags
from crispmap.types import IGNORE

CLASS_COLUMNS = ("class", "class_name")  # columns whose values may be names or ids of classes

MANY_TAGS_COLUMNS = ("other_tags", "all_tags", "tags")  # columns that hold many tags as ``"key"=>"value"`` or JSON text

NO_CLASS = -1

TagTable: TypeAlias = dict[str, NDArray[np.object_]]
"""Text by key, one entry a feature, None where the feature has no such tag."""

_PAIR = re.compile(r'"((?:[^"\\]|\\.)*)"\s*=>\s*"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])
_YES = {"yes", "true", "True", "1"}
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
    extra = ("type", "fclass", "area")
    return tuple(
        dict.fromkeys((*rule_keys(schema), *WIDTH_KEYS, *LANE_KEYS, *CLASS_COLUMNS, *extra, *MANY_TAGS_COLUMNS))
    )


def rule_keys(schema: ClassSchema) -> tuple[str, ...]:
    """Return the OSM keys in the schema's rules, each once."""
    return tuple(dict.fromkeys(term.key for one in schema for rule in one.rules for term in rule.terms))


def match_columns(present: Iterable[str], wanted: Iterable[str]) -> dict[str, str]:
    """Return column name by wanted key: the exact one, else one that differs in case only."""
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
            found = {key: _text(value) for key, value in _OBJECT.validate_json(text).items()}
            return {key: value for key, value in found.items() if value is not None}
        except ValueError:
            return {}
    return {_ESCAPE.sub(r"\1", key): _ESCAPE.sub(r"\1", value) for key, value in _PAIR.findall(text)}


def tag_table(attributes: pd.DataFrame, schema: ClassSchema, layer: str) -> TagTable:
    """Return one array per key that decides a class or width: text, None where a tag is absent.

    The layer's name counts in files whose layers are named after a key.
    """
    wanted = columns_wanted(schema)
    columns = match_columns(attributes.columns, wanted)
    table = {key: _texts(attributes[columns[key]]) if key in columns else _absent(len(attributes)) for key in wanted}
    for column in MANY_TAGS_COLUMNS:
        _spread(table, table[column])
    _spread_pair(table)
    _fill(table, _geofabrik_key(layer), table["fclass"])
    return table


def join_tables(tables: Iterable[TagTable]) -> TagTable:
    """Return tag tables of one schema concatenated."""
    several = list(tables)
    return {key: np.concatenate([table[key] for table in several]) for key in several[0]}


def row_count(table: TagTable) -> int:
    """Return the number of features of a tag table."""
    return len(next(iter(table.values())))


def _common(ids: Iterable[int]) -> int:
    """Return the id that all values of a tag have in common, else NO_CLASS."""
    distinct = set(ids)
    return distinct.pop() if len(distinct) == 1 else NO_CLASS


def outlines(table: TagTable, schema: ClassSchema, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which features have their class by a rule on ``highway``, and as areas are only closed ways.

    OpenStreetMap takes a closed way for a line there unless it says ``area=yes``; a relation (multipolygon) is an area.

    Args:
        ids: The class of each feature by the rules.
    """
    if "highway" not in table:
        return np.zeros(len(ids), np.bool_)
    ways = ~missing(table["highway"])
    rows = np.flatnonzero(ways)
    some = {key: column[rows] for key, column in table.items()}
    closed = [
        not _YES.intersection(tag_values(area)) and (kind != "multipolygon" or area is not None)
        for area, kind in zip(some["area"], some["type"], strict=True)
    ]
    otherwise = tag_ids({**some, "highway": _absent(len(rows))}, schema)
    ways[rows] = np.array(closed, np.bool_) & (otherwise != ids[rows])
    return ways


def missing(column: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which entries are None."""
    return np.asarray(pd.isna(column), np.bool_)


def class_column_ids(table: TagTable, schema: ClassSchema) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Return the class id of each feature from a class column, NO_CLASS without one, and values that are no class.

    Names count in any case, ids as integers; 255 and ``ignore`` give IGNORE. A column of which no value is a class is
    no column of classes, nor is that beside a ``type``; of the others, values that are no class are returned as text.
    """
    by_text = {str(index): index for index in range(len(schema))} | {str(IGNORE): IGNORE, "ignore": IGNORE}
    by_text |= {name.casefold(): index for index, name in enumerate(schema.names)}
    ids, unknown = np.full(row_count(table), NO_CLASS, dtype=np.int64), _absent(row_count(table))
    for column in CLASS_COLUMNS:
        texts = table[column]
        rows, distinct = pd.factorize(texts)  # -1, the last, where there is no text
        ids_of = [_common(by_text.get(one.casefold(), NO_CLASS) for one in tag_values(text)) for text in distinct]
        found = np.array([*ids_of, NO_CLASS])[rows]
        if (found != NO_CLASS).any():
            said = np.array([*(text.strip() != "" for text in distinct), False])[rows]
            unknown = np.where(said & (found == NO_CLASS) & missing(table["type"]) & missing(unknown), texts, unknown)
        ids = np.where(ids == NO_CLASS, found, ids)
    unknown[ids != NO_CLASS] = None
    return ids, unknown


def tag_ids(table: TagTable, schema: ClassSchema) -> NDArray[np.int64]:
    """Return the class id of each feature by the schema's tag rules, NO_CLASS where none matches."""
    keys = rule_keys(schema)
    known: dict[tuple[object, ...], int] = {}
    ids = np.full(row_count(table), NO_CLASS, dtype=np.int64)
    for place, values in enumerate(zip(*(table[key] for key in keys), strict=True)):
        if values not in known:
            found = schema.class_of(dict(zip(keys, values, strict=True)))
            known[values] = NO_CLASS if found is None else found
        ids[place] = known[values]
    return ids


def widths_m(table: TagTable) -> NDArray[np.float64]:
    """Return the total width of each feature by its own tags, in metres, NaN without one."""
    keys = (*WIDTH_KEYS, *LANE_KEYS)
    rows = list(zip(*(table[key] for key in keys), strict=True))
    known = {row: width_from_tags(dict(zip(keys, row, strict=True))) for row in set(rows)}
    return np.array([known[row] for row in rows], dtype=np.float64)


def _texts(column: pd.Series) -> NDArray[np.object_]:
    texts = _absent(len(column))
    if column.dtype == object:  # values that are equal may be of several types, which have texts of their own
        texts[:] = [_text(value) for value in column]
        return texts
    rows, distinct = pd.factorize(column)
    known = _absent(len(distinct) + 1)  # the last for missing values, whose row is -1
    known[:-1] = [_text(value) for value in pd.Series(distinct, dtype=column.dtype)]
    return known[rows]


def _absent(count: int) -> NDArray[np.object_]:
    return np.full(count, None, dtype=object)


def _text(value: Any) -> str | None:
    """Return a value as the text of a tag: 2.0 as "2", True as "yes", missing as None."""
    if isinstance(value, list | tuple | np.ndarray):
        return _text_of_several(list(value))
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return json.dumps(dict(value)) if isinstance(value, Mapping) else str(value)


def _text_of_several(values: list[Any]) -> str:
    """Return a list as ``a;b``, pairs of key and value as JSON."""
    if values and all(isinstance(one, tuple) and len(one) == 2 for one in values):
        return json.dumps(dict(values))
    return ";".join(text for text in map(_text, values) if text is not None)


def _spread(table: TagTable, packed: NDArray[np.object_]) -> None:
    """Copy tags out of a column of many tags, where a feature has no value in the tag's own column."""
    for row in np.flatnonzero(~missing(packed)):
        for key, value in parse_many_tags(packed[row]).items():
            if key in table and key not in MANY_TAGS_COLUMNS and table[key][row] is None:
                table[key][row] = value


def _spread_pair(table: TagTable) -> None:
    """Read class=highway, type=residential as highway=residential."""
    keys = table["class"]
    for key in set(keys[~missing(keys)]) - {*CLASS_COLUMNS, "type"}:
        _fill(table, key, np.where(keys == key, table["type"], _absent(len(keys))))


def _fill(table: TagTable, key: str | None, values: NDArray[np.object_]) -> None:
    """Fill in a tag where it is missing, if its key is in the table."""
    if key in table:
        table[key] = np.where(missing(table[key]), values, table[key])


def _geofabrik_key(layer: str) -> str | None:
    match = re.match(r"gis_osm_([a-z]+)_", layer.casefold())
    return _GEOFABRIK_KEYS.get(match[1]) if match else None
