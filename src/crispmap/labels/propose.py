"""Classes proposed for labels, from what their file holds."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd

from crispmap.classes import ClassSchema, tag_values
from crispmap.files.dataset import open_dataset
from crispmap.labels.layers import VectorLayer, drawn_layers, read_layer
from crispmap.labels.mask import is_vector_file
from crispmap.labels.mask_values import MaskValues, mask_values
from crispmap.labels.osm import DEFAULT_CLASSES, OSM_PRESETS, preset_schema
from crispmap.labels.proposal import BACKGROUND, ProposedClasses, named_classes, proposed_colours
from crispmap.labels.tags import (
    CLASS_COLUMNS,
    MANY_TAGS_COLUMNS,
    TagTable,
    columns_wanted,
    join_tables,
    match_columns,
    tag_table,
)
from crispmap.raster.writer import read_class_schema
from crispmap.types import IGNORE

_MOST_CLASSES = 64
_FIRST_LINES = 20_000


def proposed_classes(path: Path) -> ProposedClasses | None:
    """Return classes for labels in a file on a disk, vectors or a mask; None where it shows none.

    Raises:
        LabelError: If it cannot be read as vectors.
        SceneError: If it cannot be read as a raster.
    """
    if is_vector_file(path):
        return _classes_of_vectors(drawn_layers(path))
    schema = read_class_schema(path)
    if schema is not None:
        return ProposedClasses(schema.names, tuple(one.colour for one in schema), rules=False)
    with open_dataset(path) as dataset:
        values = mask_values(dataset, path.name)
    return None if values is None else classes_of_mask(values)


def classes_of_mask(values: MaskValues) -> ProposedClasses | None:
    """Return classes for the values or colours of a mask; None for too many."""
    if values.grey:
        return named_classes(["foreground"], rules=False, options={"threshold": 128})
    held = [code for code, _ in values.shares if values.traits.colour or code != IGNORE or values.black_white]
    if values.black_white:
        return named_classes(["foreground"], rules=False)
    if values.traits.colour and all(code == (code & 255) * 0x010101 and code & 255 < _MOST_CLASSES for code in held):
        held = [code & 255 for code in held]  # ids, repeated in every band
    elif values.traits.colour:
        return _classes_of_colours(held)
    return _classes_of_ids(held, values.traits.palette or {})


def _classes_of_ids(ids: Sequence[int], palette: Mapping[int, int]) -> ProposedClasses | None:
    """Return a class for each id up to the highest, in a palette's colours where they differ; None for too many."""
    if not ids or min(ids) < 0 or max(ids) >= _MOST_CLASSES:
        return None
    names = [BACKGROUND, *(f"class_{index}" for index in range(1, max(*ids, 1) + 1))]
    colours = proposed_colours(names)
    for index, code in palette.items():
        if index < len(names) and f"#{code:06x}" not in colours:
            colours[index] = f"#{code:06x}"
    return ProposedClasses(tuple(names), tuple(colours), rules=False)


def _classes_of_colours(codes: Sequence[int]) -> ProposedClasses | None:
    """Return a class for each colour, the background black, else the most frequent."""
    if not 2 <= len(codes) <= _MOST_CLASSES:
        return None
    first = 0 if 0 in codes else codes[0]
    colours = [f"#{code:06x}" for code in (first, *(one for one in codes if one != first))]
    names = (BACKGROUND, *(f"colour_{colour[1:]}" for colour in colours[1:]))
    return ProposedClasses(names, tuple(colours), rules=False)


def _classes_of_vectors(layers: Sequence[VectorLayer]) -> ProposedClasses | None:
    """Return classes from a column of classes, else the presets that features match, else one for all features."""
    presets = preset_schema(list(OSM_PRESETS))
    layers = [layer for layer in layers if layer.features]
    tables = [_looked_at(layer, columns_wanted(presets)) for layer in layers]
    if not tables:
        return None
    named = [name for table in tables for name in _class_names(table)]
    if named:
        return _classes_of_column([name for name, _ in Counter(named).most_common(_MOST_CLASSES)])
    table = join_tables(tag_table(one, presets, layer.name or "") for one, layer in zip(tables, layers, strict=True))
    matched = _covering_presets(table, presets)
    if matched:
        return named_classes([name for name in DEFAULT_CLASSES if name in matched] or matched)
    lines = all(one.geom_type.dropna().str.endswith("LineString").all() for one in tables)
    kind = "road" if lines else "building"
    return named_classes([kind], options={"all_as": kind})


def _looked_at(layer: VectorLayer, wanted: tuple[str, ...]) -> gpd.GeoDataFrame:
    """Return the features of a layer; of outlines as text, of which there may be many, the first ones."""
    return read_layer(layer, wanted, None, most=None if layer.text is None else _FIRST_LINES)


def _classes_of_column(names: Sequence[str]) -> ProposedClasses | None:
    """Return the classes that a column names, or those of its ids."""
    ids = [int(name) for name in names if name.isdigit()]
    if len(ids) < len(names):
        return named_classes([name for name in names if not name.isdigit()], rules=False)
    return _classes_of_ids(ids, {})


def _covering_presets(table: TagTable, presets: ClassSchema) -> list[str]:
    """Return presets that together match all that any matches, in their own order.

    They are taken by the number of distinct rows of tags they match, those left out that add none.
    """
    rows = [dict(zip(table, row, strict=True)) for row in dict.fromkeys(zip(*table.values(), strict=True))]
    hits = {one.name: {place for place, row in enumerate(rows) if one.matches(row)} for one in presets.classes[1:]}
    covered: set[int] = set()
    kept = []
    for name, found in sorted(hits.items(), key=lambda hit: -len(hit[1])):
        if found - covered:
            kept.append(name)
            covered |= found
    return [name for name in hits if name in kept]


def _class_names(table: Any) -> list[str]:
    """Return the names or ids in a column of classes that is not one of tags (imposm's pair of class and type)."""
    present = match_columns(table.columns, (*CLASS_COLUMNS, "type", *MANY_TAGS_COLUMNS))
    column = next((present[name] for name in CLASS_COLUMNS if name in present), None)
    if column is None or "type" in present:
        return []
    texts = [re.sub(r"\.0+$", "", text) for value in table[column].dropna() for text in tag_values(value)]
    return [text for text in texts if text and text not in (str(IGNORE), "ignore")]
