"""Layers of vector files: those with polygons or lines, and their features near a scene."""

from __future__ import annotations

import codecs
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
from pyproj import CRS
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError

from crispmap.errors import CrispmapWarning, LabelError
from crispmap.files.address import is_address, is_missing, is_remote, shown, suffix_of
from crispmap.files.archive import archive_remedy
from crispmap.files.vector_file import FALLBACK_ENCODING, as_utf8, layer_info, reading, reason_shown, vector_name
from crispmap.geo.crs import transformer
from crispmap.geo.grid import Block, Grid
from crispmap.labels.outlines_as_text import GEOMETRY_COLUMNS, TextOutlines, text_outlines
from crispmap.labels.reader import PARQUET_SUFFIXES
from crispmap.labels.tags import match_columns

NEIGHBOURHOOD_M = 250.0  # features this far outside the scene are read too: the wide lines that reach into it

IN_ARCHIVES = (".shp", ".gpkg", ".geojson", ".json", ".fgb", ".gml", ".kml", ".tab", ".osm", ".pbf")
OVERPASS_REMEDY = "From Overpass ask for [out:xml], with (._;>;); out body; at the end, and name the file .osm."

_HEAD_BYTES = 1000
_TABLE = "None"  # the type of a layer without geometry
_OSM_LAYERS = ("lines", "multipolygons")
_POINT_TYPES = ("point", "multipoint", "2.5d point", "2.5d multipoint", "3d point", "3d multipoint")
_DRAWN_TYPES = ("polygon", "linestring", "curve", "surface", "unknown", "geometrycollection", "geometry")
_DRAWN_PREFIXES = (
    *_DRAWN_TYPES,
    *(f"multi{kind}" for kind in _DRAWN_TYPES),
    "2.5d",
    "3d",
    "measured",
    "compoundcurve",
    "tin",
    "triangle",
)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class VectorLayer:
    """One layer of a vector file, before its features are read."""

    path: Path  # the file, or an address
    name: str | None  # the layer's name; None if the format has no layers
    crs: CRS | None  # its coordinate reference system, or None
    columns: tuple[str, ...]  # the attribute columns
    features: int = -1  # how many there are, or -1 where counting would take long
    encoding: str | None = None  # of its text; by default as the file says
    # the features, where the format is read whole
    loaded: gpd.GeoDataFrame | None = field(default=None, repr=False, compare=False)
    text: TextOutlines | None = None  # where outlines are text, one a line

    @property
    def source(self) -> str:
        """What pyogrio opens."""
        return vector_name(self.path)

    @property
    def file(self) -> str:
        """Name of the file in messages."""
        return shown(self.path)


def drawn_layers(
    path: Path, layer: str | None = None, encoding: str | None = None, *, points: bool = False
) -> list[VectorLayer]:
    """Return the layers with polygons or lines, or the one layer asked for.

    Args:
        points: Whether layers of points do where there is no other.
        encoding: Of the text, such as ``ISO-8859-1``; by default as the file says.

    Raises:
        LabelError: If the file is missing or unreadable, has no such layer, or its text is not in the encoding.
    """
    if is_missing(path):
        raise LabelError(f"There is no file {path}.", expected="a vector file", remedy="Check the path.")
    if suffix_of(path) in PARQUET_SUFFIXES:
        frame = _read_parquet(path)
        return [
            VectorLayer(path, None, frame.crs, tuple(frame.columns.drop(frame.geometry.name)), len(frame), loaded=frame)
        ]
    text = text_outlines(path, encoding)
    if text is not None:
        return [VectorLayer(path, None, text.crs, text.columns, encoding=encoding, text=text)]
    if suffix_of(path) in (".osm", ".pbf") and "OSM" not in pyogrio.list_drivers():
        raise LabelError(
            f"{shown(path)} is an OpenStreetMap file, which the installed pyogrio cannot read.",
            expected="a pyogrio built with GDAL's OSM driver",
            remedy="Install pyogrio from its wheel, or convert the file to GeoPackage.",
        )
    try:
        with reading(path):
            types = {str(name): str(kind) for name, kind in pyogrio.list_layers(vector_name(path))}
            code = None if encoding is None else codecs.lookup(encoding).name  # GDAL does not know every alias
            return [_describe(path, name, code) for name in _choose(path, types, layer, points=points)]
    except (UnicodeError, LookupError) as error:
        raise _undecodable(path, encoding, error) from error
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, CRSError) as error:
        raise _unreadable(path, error) from error


def read_layer(
    layer: VectorLayer, wanted: tuple[str, ...], box: Box | None, *, most: int | None = None
) -> gpd.GeoDataFrame:
    """Return the features of a layer whose bounding box touches a box, with the wanted columns that it has.

    Args:
        wanted: Column names, in any case; other columns are not read.
        box: (left, bottom, right, top) in the layer's CRS, or None for all features.
        most: Of a file that is not read whole in any case, read the first so many features; by default all.

    Raises:
        LabelError: If the features cannot be read, or their text is not in the encoding asked for.

    Warns:
        CrispmapWarning: If their text is not in the encoding that the file says, and FALLBACK_ENCODING is taken.
    """
    if layer.text is not None:
        return layer.text.read(wanted, box) if most is None else layer.text.first(wanted).head(most)
    columns = list(dict.fromkeys(match_columns(layer.columns, wanted).values()))
    if layer.loaded is not None:
        frame = layer.loaded[[*columns, layer.loaded.geometry.name]]
        if box is None:
            return frame
        bounds = frame.geometry.bounds.to_numpy()
        touching = (bounds[:, :2] <= box[2:]).all(axis=1) & (bounds[:, 2:] >= box[:2]).all(axis=1)
        return frame[touching]
    try:
        return _read_frame(layer, columns, box, layer.encoding, most)
    except UnicodeDecodeError as error:
        if layer.encoding is not None:
            raise _undecodable(layer.path, layer.encoding, error) from error
    warnings.warn(
        f"{layer.file} holds text that is not in the encoding it says; that is read as {FALLBACK_ENCODING}. If letters "
        "come out wrong, give the right one, such as encoding=cp1252, or write it into the .cpg file of a Shapefile.",
        CrispmapWarning,
        stacklevel=2,
    )
    raw = [one.encode().decode(FALLBACK_ENCODING) for one in columns]  # the names that are UTF-8, as they now read
    frame = _read_frame(layer, [*columns, *raw], box, FALLBACK_ENCODING, most)
    for name in frame.select_dtypes(exclude=["number", "geometry"]):
        frame[name] = frame[name].map(as_utf8)
    return frame.rename(columns=as_utf8)


def _read_frame(
    layer: VectorLayer, columns: list[str], box: Box | None, encoding: str | None, most: int | None
) -> gpd.GeoDataFrame:
    """Return the features of a layer; UnicodeDecodeError if their text is in another encoding."""
    options = {"force_2d": True, "on_invalid": "ignore", "fid_as_index": True}
    try:
        with reading(layer.path):
            return pyogrio.read_dataframe(
                layer.source,
                layer=layer.name,
                encoding=encoding,
                columns=columns,
                bbox=box,
                max_features=most,
                **options,
            )
    except UnicodeDecodeError:
        raise
    except (pyogrio.errors.DataSourceError, pyogrio.errors.FeatureError, ShapelyError, ValueError) as error:
        raise _unreadable(layer.path, error) from error


def layer_box(layer: VectorLayer) -> Box | None:
    """Return the bounding box of all features of a layer in its CRS, or None without features."""
    if layer.text is not None:
        return layer.text.facts.box
    if layer.loaded is not None:
        box = tuple(layer.loaded.total_bounds)
    else:
        with reading(layer.path):
            found = layer_info(layer.path, layer.name, layer.encoding, force_total_bounds=True)["total_bounds"]
            if found is None:  # as for OpenStreetMap files
                found = _box_of_features(layer)
        box = tuple(found)
    return tuple(float(value) for value in box) if np.isfinite(box).all() else None  # type: ignore[return-value]


def _box_of_features(layer: VectorLayer) -> Box:
    """Return the bounding box of a layer by reading all of it; not finite if it is empty."""
    _, bounds = pyogrio.read_bounds(layer.source, layer=layer.name)
    if not bounds.shape[1]:
        return np.nan, np.nan, np.nan, np.nan
    return (*bounds[:2].min(axis=1), *bounds[2:].max(axis=1))


def grid_box(grid: Grid, crs: CRS | None, margin_m: float = 0.0) -> Box | None:
    """Return the bounding box, in a CRS, of a grid grown by a margin, or None outside the domain of the CRS.

    Degrees may go beyond 180 where the box reaches across the antimeridian.
    """
    across, down = (int(np.ceil(margin_m / size)) for size in grid.gsd_m())
    grown = grid.window(Block(-down, -across, grid.height + 2 * down, grid.width + 2 * across))
    if crs is None or grid.crs is None or crs == grid.crs:
        return grown.bounds
    between = transformer(grid.crs.to_2d(), crs.to_2d())
    left, bottom, right, top = between.transform_bounds(*grown.bounds, densify_pts=21)
    if crs.is_geographic and right < left:
        right += 360
    return (left, bottom, right, top) if np.isfinite((left, bottom, right, top)).all() and left <= right else None


def _choose(path: Path, types: dict[str, str], layer: str | None, *, points: bool) -> list[str]:
    """Return the names of the layers to read."""
    if layer is not None:
        if layer not in types:
            raise LabelError(
                f"{shown(path)} has no layer {layer!r}.",
                expected=f"one of {', '.join(types) or 'none'}",
                remedy="Correct the name of the layer, or leave it out to read all.",
            )
        if types[layer] == _TABLE:
            raise _table_error(path, layer_info(path, layer)["fields"])
        return [layer]
    if set(_OSM_LAYERS) <= set(types) and "other_relations" in types:
        return list(_OSM_LAYERS)
    drawn = [name for name, kind in types.items() if kind.lower().startswith(_DRAWN_PREFIXES)]
    if points and not drawn:
        drawn = [name for name, kind in types.items() if kind.lower() in _POINT_TYPES]
    if not drawn:
        held = ", ".join(f"{name} ({kind})" for name, kind in types.items()) or "no layer"
        if types and set(types.values()) == {_TABLE}:
            raise _table_error(path, layer_info(path, next(iter(types)))["fields"])
        raise LabelError(
            f"{shown(path)} holds {held}.",
            expected="at least one layer of polygons or lines",
            remedy="Give a file of polygons or lines: points have no area.",
        )
    return drawn


def _table_error(path: Path, columns: Iterable[str]) -> LabelError:
    """Return the error for a table without geometry: how to make geometries of well-known text."""
    name = shown(path)
    text = next((one for one in columns if one.lower() in GEOMETRY_COLUMNS), "wkt")
    return LabelError(
        f"{name} is a table without geometry; its columns: {', '.join(columns)}.",
        expected="polygons or lines",
        remedy=f"If a column such as {text} holds outlines as well-known text, convert it: ogr2ogr -oo "
        f"GEOM_POSSIBLE_NAMES={text} -a_srs EPSG:4326 {path.stem}.gpkg {name}",
    )


def _describe(path: Path, name: str, encoding: str | None) -> VectorLayer:
    info = layer_info(path, name, encoding)
    crs = CRS.from_user_input(info["crs"]) if info["crs"] else None
    columns = tuple(str(field) for field in info["fields"])
    return VectorLayer(path, name, crs, columns, int(info["features"]), encoding)


def _read_parquet(path: Path) -> gpd.GeoDataFrame:
    if is_address(path):
        raise LabelError(
            f"{shown(path)} is a GeoParquet file at an address.",
            expected="a GeoParquet file on a disk; or another format, such as GeoPackage or FlatGeobuf",
            remedy="Download it.",
        )
    try:
        return gpd.read_parquet(path)
    except ImportError as error:
        raise LabelError(
            f"{path} is a GeoParquet file and pyarrow is not installed.",
            expected="pyarrow",
            remedy="pip install 'crispmap[parquet]', or convert the file to GeoPackage.",
        ) from error
    except (ValueError, TypeError, OSError, CRSError, KeyError, ShapelyError) as error:
        if "geo metadata" in str(error):  # geopandas' message for a table of another kind
            from pyarrow import parquet  # type: ignore[import-untyped]

            raise _table_error(path, parquet.read_schema(path).names) from error
        raise _unreadable(path, error) from error


def _undecodable(path: Path, encoding: str | None, error: Exception) -> LabelError:
    asked = f"not in the encoding {encoding!r}" if encoding else "in no known encoding"
    return LabelError(
        f"{shown(path)} holds text that is {asked}: {error}",
        expected="the encoding it was written in, such as UTF-8, ISO-8859-1 or cp1252",
        remedy="Give another one, such as encoding=cp1252, or none, to read it as the file says.",
    )


def _unreadable(path: Path, error: Exception) -> LabelError:
    where = "the address and the network, and " if is_remote(path) else ""
    return LabelError(
        f"{shown(path)} cannot be read as vectors: {reason_shown(error, path)}",
        expected="GeoPackage, GeoJSON, Shapefile, GeoParquet, FlatGeobuf, .osm, .osm.pbf, or a CSV table of outlines",
        remedy=archive_remedy(path, IN_ARCHIVES)
        or _overpass_remedy(path)
        or f"Check {where}that the file is complete and of the format its name says.",
    )


def _overpass_remedy(path: Path) -> str:
    """Return what to do with an answer of Overpass in its own JSON; nothing for another file."""
    if suffix_of(path) != ".json" or is_address(path):
        return ""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return OVERPASS_REMEDY if b'"elements"' in head or b"Overpass API" in head else ""
