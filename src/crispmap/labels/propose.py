"""Classes proposed for labels, from what their file holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyogrio

from crispmap.files.dataset import open_dataset
from crispmap.files.vector_file import reading
from crispmap.labels.layers import VectorLayer, drawn_layers, read_layer
from crispmap.labels.mask import is_vector_file
from crispmap.labels.mask_values import MaskValues, mask_values
from crispmap.labels.osm import DEFAULT_CLASSES, OSM_PRESETS, preset_schema
from crispmap.labels.proposal import BACKGROUND, ProposedClasses, named_classes, proposed_colours
from crispmap.labels.tags import CLASS_COLUMNS, MANY_TAGS_COLUMNS, columns_wanted, join_tables, match_columns, tag_table
from crispmap.raster.writer import read_class_schema
from crispmap.types import IGNORE

_SAMPLE = 100_000  # features of a layer that are looked at
_MOST_CLASSES = 64


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
    if not held or min(held) < 0 or max(held) >= _MOST_CLASSES:
        return None
    names = [BACKGROUND, *(f"class_{index}" for index in range(1, max(*held, 1) + 1))]
    colours = proposed_colours(names)
    for index, code in (values.traits.palette or {}).items():
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
    tables = [_attributes(layer, columns_wanted(presets)) for layer in layers]
    named = [name for table in tables for name in _class_names(table)]
    if named:
        common = [name for name, _ in Counter(named).most_common(_MOST_CLASSES)]
        return named_classes(common, rules=False)
    table = join_tables(tag_table(one, presets, layer.name or "") for one, layer in zip(tables, layers, strict=True))
    rows = zip(*table.values(), strict=True)
    tags = [dict(zip(table, row, strict=True)) for row in dict.fromkeys(rows)]
    matched = [one.name for one in presets.classes[1:] if any(one.matches(row) for row in tags)]
    if not matched:
        kind = _kind_drawn(layers)
        return None if kind is None else named_classes([kind], options={"all_as": kind})
    return named_classes([name for name in DEFAULT_CLASSES if name in matched] or matched)


def _kind_drawn(layers: Sequence[VectorLayer]) -> str | None:
    """Return a class for objects that nothing names: roads where only lines are drawn, else buildings."""
    shapes = [read_layer(layer, (), None).geom_type for layer in layers if layer.features]
    if not shapes:
        return None
    return "road" if all(one.dropna().str.endswith("LineString").all() for one in shapes) else "building"


def _attributes(layer: VectorLayer, wanted: Sequence[str]) -> Any:
    columns = list(dict.fromkeys(match_columns(layer.columns, wanted).values()))
    if layer.loaded is not None:
        return layer.loaded[columns].head(_SAMPLE)
    with reading(layer.path):
        return pyogrio.read_dataframe(
            layer.source, layer=layer.name, columns=columns, encoding=layer.encoding, read_geometry=False,
            fid_as_index=True, max_features=_SAMPLE,
        )  # fmt: skip


def _class_names(table: Any) -> list[str]:
    """Return the texts of a column of classes that is not one of tags (imposm's pair of class and type)."""
    present = match_columns(table.columns, (*CLASS_COLUMNS, "type", *MANY_TAGS_COLUMNS))
    column = next((present[name] for name in CLASS_COLUMNS if name in present), None)
    if column is None or "type" in present:
        return []
    texts = [str(value).strip() for value in table[column].dropna()]
    return [text for text in texts if text and not text.lstrip("-").replace(".", "", 1).isdigit()]
