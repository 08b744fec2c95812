"""Facts about a vector file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio

from crispmap.errors import LabelError
from crispmap.files.address import is_address, shown, suffix_of
from crispmap.files.archive import archive_remedy
from crispmap.files.vector_file import layer_info, reading, reason_shown, vector_name
from crispmap.geo.crs import crs_name
from crispmap.labels.class_columns import ColumnValues, columns_or_none
from crispmap.labels.layers import IN_ARCHIVES, drawn_layers
from crispmap.labels.outlines_as_text import TextOutlines, text_outlines
from crispmap.labels.reader import PARQUET_SUFFIXES

VECTOR_SUFFIXES = (".geojson", ".shp", ".fgb", ".kml", ".gml", ".osm", ".pbf", *PARQUET_SUFFIXES)  # never rasters


@dataclass(frozen=True)
class LayerFacts:
    """Facts about a layer of a vector file."""

    name: str | None  # its name; None in a format of one layer without name
    geometry: str | None  # the types of its geometries
    features: int  # how many there are
    crs: str | None  # the coordinate reference system it declares, if any
    bounds: tuple[float, ...] | None  # (left, bottom, right, top) of all features, or None where there are none
    fields: tuple[str, ...]  # the names of its columns


@dataclass(frozen=True)
class VectorFacts:
    """Facts about a vector file."""

    path: str  # the file, or the address without its query
    layers: tuple[LayerFacts, ...]  # its layers
    class_columns: tuple[ColumnValues, ...] = ()  # columns that would serve as class column
    kind = "vectors"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the kind first."""
        facts: dict[str, Any] = {"kind": self.kind, "path": self.path, "layers": [vars(layer) for layer in self.layers]}
        if self.class_columns:
            facts["columns_that_would_serve_as_classes"] = {one.name: dict(one.values) for one in self.class_columns}
        return facts


def describe_vectors(path: str | Path) -> VectorFacts:
    """Return the facts about a vector file, layer by layer, and, of one on a disk, what would serve as class column.

    Raises:
        LabelError: If it cannot be read.
    """
    facts = _described(path)
    return facts if is_address(path) else replace(facts, class_columns=tuple(columns_or_none(Path(path))))


def _described(path: str | Path) -> VectorFacts:
    if suffix_of(path) in PARQUET_SUFFIXES:
        tables = (one.loaded for one in drawn_layers(Path(path)))
        return VectorFacts(shown(path), tuple(_facts_of_table(table) for table in tables if table is not None))
    text = text_outlines(Path(path))
    if text is not None:
        return VectorFacts(shown(path), (_facts_of_text(text),))
    try:
        with reading(path):
            layers = tuple(_facts_of_layer(path, str(name)) for name, _ in pyogrio.list_layers(vector_name(path)))
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, UnicodeDecodeError) as error:
        raise LabelError(
            f"{shown(path)} cannot be read as a raster or as vectors: {reason_shown(error, path)}",
            expected="a scene, class map, model, vector or project file",
            remedy=archive_remedy(path, (*IN_ARCHIVES, ".tif", ".tiff"))
            or "Check that the file is complete and of the format its name says.",
        ) from error
    return VectorFacts(shown(path), layers)


def _facts_of_layer(path: str | Path, name: str) -> LayerFacts:
    facts = layer_info(path, name, force_feature_count=True, force_total_bounds=True)
    bounds = facts["total_bounds"]
    return LayerFacts(
        name=name,
        geometry=facts["geometry_type"],
        features=int(facts["features"]),
        crs=facts["crs"],
        bounds=None if bounds is None or not all(map(math.isfinite, bounds)) else tuple(float(v) for v in bounds),
        fields=tuple(str(field) for field in facts["fields"]),
    )


def _facts_of_table(frame: gpd.GeoDataFrame) -> LayerFacts:
    return LayerFacts(
        name=None,
        geometry=", ".join(sorted(frame.geom_type.dropna().unique())),
        features=len(frame),
        crs=None if frame.crs is None else crs_name(frame.crs),
        bounds=tuple(float(value) for value in frame.total_bounds) if len(frame) else None,
        fields=tuple(frame.columns.drop(frame.geometry.name)),
    )


def _facts_of_text(text: TextOutlines) -> LayerFacts:
    found, crs = text.facts, text.crs
    types = ", ".join(found.types) or None
    return LayerFacts(None, types, found.features, None if crs is None else crs_name(crs), found.box, text.columns)
