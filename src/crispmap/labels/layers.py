"""Layers of vector files: those with polygons or lines, and their features near a scene."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely.errors import ShapelyError

from crispmap.errors import LabelError
from crispmap.files.address import is_address, is_missing, is_remote, shown, suffix_of
from crispmap.files.vector_file import reading, reason_shown, vector_name
from crispmap.geo.grid import Block, Grid
from crispmap.labels.tags import match_columns

NEIGHBOURHOOD_M = 250.0  # features this far outside the scene are read too: the wide lines that reach into it

PARQUET_SUFFIXES = (".parquet", ".geoparquet", ".pq")

_OSM_LAYERS = ("lines", "multipolygons")
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
    # the features, where the format is read whole
    loaded: gpd.GeoDataFrame | None = field(default=None, repr=False, compare=False)

    @property
    def source(self) -> str:
        """What pyogrio opens."""
        return vector_name(self.path)

    @property
    def file(self) -> str:
        """Name of the file in messages."""
        return shown(self.path)


def drawn_layers(path: Path, layer: str | None = None) -> list[VectorLayer]:
    """Return the layers with polygons or lines, or the one layer asked for.

    Raises:
        LabelError: If the file is missing or unreadable, or has no such layer.
    """
    if is_missing(path):
        raise LabelError(f"There is no file {path}.", expected="a vector file", remedy="Check the path.")
    if suffix_of(path) in PARQUET_SUFFIXES:
        frame = _read_parquet(path)
        return [VectorLayer(path, None, frame.crs, tuple(frame.columns.drop(frame.geometry.name)), len(frame), frame)]
    if suffix_of(path) in (".osm", ".pbf") and "OSM" not in pyogrio.list_drivers():
        raise LabelError(
            f"{shown(path)} is an OpenStreetMap file, which the installed pyogrio cannot read.",
            expected="a pyogrio built with GDAL's OSM driver",
            remedy="Install pyogrio from its wheel, or convert the file to GeoPackage.",
        )
    try:
        with reading(path):
            types = {str(name): str(kind) for name, kind in pyogrio.list_layers(vector_name(path))}
            return [_describe(path, name) for name in _choose(path, types, layer)]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, CRSError) as error:
        raise _unreadable(path, error) from error


def read_layer(layer: VectorLayer, wanted: tuple[str, ...], box: Box | None) -> gpd.GeoDataFrame:
    """Return the features of a layer whose bounding box touches a box, with the wanted columns that it has.

    Args:
        wanted: Column names, in any case; other columns are not read.
        box: (left, bottom, right, top) in the layer's CRS, or None for all features.

    Raises:
        LabelError: If the features cannot be read.
    """
    columns = list(dict.fromkeys(match_columns(layer.columns, wanted).values()))
    if layer.loaded is not None:
        frame = layer.loaded[[*columns, layer.loaded.geometry.name]]
        if box is None:
            return frame
        bounds = frame.geometry.bounds.to_numpy()
        touching = (bounds[:, :2] <= box[2:]).all(axis=1) & (bounds[:, 2:] >= box[:2]).all(axis=1)
        return frame[touching]
    try:
        with reading(layer.path):
            return pyogrio.read_dataframe(
                layer.source,
                layer=layer.name,
                columns=columns,
                bbox=box,
                force_2d=True,
                on_invalid="ignore",
                fid_as_index=True,
            )
    except (pyogrio.errors.DataSourceError, pyogrio.errors.FeatureError, ShapelyError, ValueError) as error:
        raise _unreadable(layer.path, error) from error


def layer_box(layer: VectorLayer) -> Box | None:
    """Return the bounding box of all features of a layer in its CRS, or None without features."""
    if layer.loaded is not None:
        box = tuple(layer.loaded.total_bounds)
    else:
        with reading(layer.path):
            found = pyogrio.read_info(layer.source, layer=layer.name, force_total_bounds=True)["total_bounds"]
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
    transformer = Transformer.from_crs(grid.crs.to_2d(), crs.to_2d(), always_xy=True)
    left, bottom, right, top = transformer.transform_bounds(*grown.bounds, densify_pts=21)
    if crs.is_geographic and right < left:
        right += 360
    return (left, bottom, right, top) if np.isfinite((left, bottom, right, top)).all() and left <= right else None


def _choose(path: Path, types: dict[str, str], layer: str | None) -> list[str]:
    """Return the names of the layers to read."""
    if layer is not None:
        if layer not in types:
            raise LabelError(
                f"{shown(path)} has no layer {layer!r}.",
                expected=f"one of {', '.join(types) or 'none'}",
                remedy="Correct the name of the layer, or leave it out to read all.",
            )
        return [layer]
    if set(_OSM_LAYERS) <= set(types) and "other_relations" in types:
        return list(_OSM_LAYERS)
    drawn = [name for name, kind in types.items() if kind.lower().startswith(_DRAWN_PREFIXES)]
    if not drawn:
        held = ", ".join(f"{name} ({kind})" for name, kind in types.items()) or "no layer"
        raise LabelError(
            f"{shown(path)} holds {held}.",
            expected="at least one layer of polygons or lines",
            remedy="Give a file of polygons or lines: points have no area.",
        )
    return drawn


def _describe(path: Path, name: str) -> VectorLayer:
    info = pyogrio.read_info(vector_name(path), layer=name)
    crs = CRS.from_user_input(info["crs"]) if info["crs"] else None
    return VectorLayer(path, name, crs, tuple(str(field) for field in info["fields"]), int(info["features"]))


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
    except (ValueError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> LabelError:
    where = "the address and the network, and " if is_remote(path) else ""
    return LabelError(
        f"{shown(path)} cannot be read as vectors: {reason_shown(error, path)}",
        expected="GeoPackage, GeoJSON, Shapefile, GeoParquet, FlatGeobuf, .osm or .osm.pbf",
        remedy=f"Check {where}that the file is complete and of the format its name says.",
    )
