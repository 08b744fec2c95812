"""Vectors as labels or reference: features with a class id, near a scene and in its CRS."""

from __future__ import annotations

import logging
import textwrap
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from crispmap.classes import ClassSchema
from crispmap.errors import LabelError
from crispmap.files.address import suffix_of
from crispmap.geo.grid import Grid
from crispmap.labels import tags
from crispmap.labels.geometry import count_points, is_line, single_parts
from crispmap.labels.layers import NEIGHBOURHOOD_M, Box, VectorLayer, drawn_layers, grid_box, layer_box, read_layer
from crispmap.labels.reader import SCENE_COORDINATES

_log = logging.getLogger(__name__)

_LONLAT = CRS.from_epsg(4326)
_DEFAULT_DEGREES = (".json", ".geojson", ".geojsonl")


def read_vectors(
    path: str | Path,
    schema: ClassSchema,
    *,
    grid: Grid | None = None,
    layer: str | None = None,
    assume_crs: str | CRS | None = None,
    all_as: str | None = None,
) -> gpd.GeoDataFrame:
    """Return the polygons and lines of a file that belong to a class, one part per row, in the grid's CRS.

    The class of a feature is the first that applies: ``all_as``; a column ``class`` or ``class_name`` with a class name
    in any case or id (255 or ``ignore`` for IGNORE); the schema's tag rules over the columns and over tags in
    ``other_tags``; the only non-background class, if it has no rule. Points and features of no class are left out,
    invalid polygons repaired, heights dropped; a log entry counts them.

    Args:
        path: Anything GDAL reads as vectors (GeoPackage, GeoJSON, Shapefile, FlatGeobuf, .osm, .osm.pbf), in a file
            or at an address (``https://…``, ``s3://…``, ``/vsicurl/…``), or a GeoParquet file.
        grid: Only features whose bounding box comes within NEIGHBOURHOOD_M of this grid are returned, in its CRS.
            Without a grid all features are returned, in the CRS of the first layer.
        assume_crs: The CRS of vectors without one; ``"scene"`` for the coordinates of a scene without CRS. The file's
            own CRS wins, unless it says degrees and its coordinates cannot be.
        all_as: The class of every feature, overriding its columns.

    Returns:
        Columns geometry (Polygon or LineString), class_id (int), width_m (float: a line's total width by its own tags,
        else NaN). The index is 0..n-1.

    Raises:
        LabelError: If the file is missing or unreadable, a CRS is missing, no feature lies on the scene, no
            feature belongs to a class, or a class can match nothing.
        SchemaError: If ``all_as`` is not a class.
    """
    path = Path(path)
    fixed_id = None if all_as is None else schema.id_of(all_as)
    layers = drawn_layers(path, layer)
    assumed = parse_crs(assume_crs)
    target = grid.crs if grid is not None else source_crs(layers[0], assumed, grid)
    read = [_read_near(one, schema, source_crs(one, assumed, grid), target, grid) for one in layers]
    _require_any(read, layers, grid, assumed)
    geometries = pd.concat([geometry for geometry, _ in read], ignore_index=True)
    table = tags.join_tables(table for _, table in read)
    ids = _class_ids(table, schema, fixed_id, layers[0].file)
    _require_class(ids, layers, schema)
    features = _features(geometries, table, ids, target)
    _require_on_grid(features, grid, layers, assumed)
    return features


def _read_near(
    layer: VectorLayer, schema: ClassSchema, source: CRS | None, target: CRS | None, grid: Grid | None
) -> tuple[gpd.GeoSeries, tags.TagTable]:
    """Return the geometries of a layer near the grid in the target CRS, and their tags as a text table."""
    box = None if grid is None else grid_box(grid, source, NEIGHBOURHOOD_M)
    frame = read_layer(layer, tags.columns_wanted(schema), box)
    geometry = gpd.GeoSeries(frame.geometry.to_numpy(), crs=source)
    if source is not None and target is not None and source != target:
        geometry = geometry.to_crs(target)
    attributes = pd.DataFrame(frame.drop(columns=frame.geometry.name)).reset_index(drop=True)
    return geometry, tags.tag_table(attributes, schema, layer.name or layer.path.stem)


def source_crs(layer: VectorLayer, assumed: CRS | str | None, grid: Grid | None) -> CRS | None:
    """Return the CRS of a layer's coordinates, or None for the scene's own.

    Raises:
        LabelError: If it is unknown, or the vectors have one and the grid has none.
    """
    crs: CRS | str | None = layer.crs
    if assumed is not None and (crs is None or isinstance(assumed, str) or _not_degrees(layer)):
        crs = assumed
    elif crs is not None and _not_degrees(layer):
        raise LabelError(
            f"{layer.file} says its coordinates are degrees, but they reach {layer_box(layer)}.",
            expected="longitudes within -180..180 and latitudes within -90..90",
            remedy="Give the CRS they are really in as assume_crs=EPSG:...",
        )
    if grid is None or (crs is None and grid.crs is None):
        return crs if isinstance(crs, CRS) else None
    return _agree(layer.file, crs, grid)


def _agree(file: str, crs: CRS | str | None, grid: Grid) -> CRS | None:
    """Return the CRS of the vectors after checking that both vectors and scene have one, or neither."""
    if isinstance(crs, str):
        return grid.crs
    if grid.crs is None:
        raise LabelError(
            f"The scene has no coordinate reference system, and the vectors of {file} have one.",
            expected="both georeferenced, or neither",
            remedy="Georeference the scene; or, if the vectors are in the scene's own coordinates, "
            f"give assume_crs={SCENE_COORDINATES}.",
        )
    if crs is None:
        raise LabelError(
            f"The vectors of {file} have no coordinate reference system; the scene has {grid.crs.name!r}.",
            expected="vectors with a CRS (a Shapefile keeps it in its .prj file)",
            remedy="Give the CRS they are in as assume_crs=EPSG:...",
        )
    return crs


def _not_degrees(layer: VectorLayer) -> bool:
    """Return whether a layer declared in degrees has coordinates that cannot be (GeoJSON in metres)."""
    if layer.crs is None or not layer.crs.is_geographic or suffix_of(layer.path) not in _DEFAULT_DEGREES:
        return False
    box = layer_box(layer)
    return box is not None and bool(np.abs(box).max() > 360.5)


def parse_crs(text: str | CRS | None) -> CRS | str | None:
    """Return a CRS, or the text SCENE_COORDINATES.

    A CRS is never compared with a text here: pyproj would look it up among thousands of names.
    """
    if text is None or isinstance(text, CRS) or text == SCENE_COORDINATES:
        return text
    try:
        return CRS.from_user_input(text)
    except CRSError as error:
        raise LabelError(
            f"The assumed CRS {text!r} is not known.",
            expected=f"a code such as EPSG:32631, WKT, or {SCENE_COORDINATES!r}",
            remedy="Look the code up at https://epsg.io.",
        ) from error


def _class_ids(table: tags.TagTable, schema: ClassSchema, fixed_id: int | None, file: str) -> np.ndarray:
    """Return the class id of every row of the tag table, NO_CLASS where there is none."""
    if fixed_id is not None:
        return np.full(tags.row_count(table), fixed_id, dtype=np.int64)
    ids = tags.class_column_ids(table, schema)
    foreground = schema.classes[1:]
    without_rule = [one.name for one in foreground if not one.osm]
    if (ids == tags.NO_CLASS).all() and without_rule and len(foreground) > 1:
        raise LabelError(
            f"Class {without_rule[0]!r} has no OSM rule, and {file} has no column of classes.",
            expected="a rule for every class but the background, or a column class or class_name",
            remedy="Write a rule such as building=*, or give one class for all features with all_as=.",
        )
    only_one = without_rule and len(foreground) == 1
    by_tags = np.full(tags.row_count(table), 1) if only_one else tags.tag_ids(table, schema)
    return np.where(ids == tags.NO_CLASS, by_tags, ids)


def _features(geometries: gpd.GeoSeries, table: tags.TagTable, ids: np.ndarray, crs: CRS | None) -> gpd.GeoDataFrame:
    """Return the parts of features with a class, and log what was left out."""
    kept = np.flatnonzero(ids != tags.NO_CLASS)
    chosen = geometries.to_numpy()[kept]
    parts, source = single_parts(chosen)
    points, lost = count_points(chosen), len(chosen) - len(np.unique(source))
    _log.info(
        "%d of %d features belong to a class: %d parts; left out %d points and %d empty or broken geometries",
        *(len(kept), len(ids), len(parts), points, lost - points),
    )
    widths = tags.widths_m({key: column[kept] for key, column in table.items()})[source]
    return gpd.GeoDataFrame(
        {"class_id": ids[kept][source], "width_m": np.where(is_line(parts), widths, np.nan)}, geometry=parts, crs=crs
    )[["geometry", "class_id", "width_m"]]


def _require_any(
    read: list[tuple[gpd.GeoSeries, tags.TagTable]],
    layers: list[VectorLayer],
    grid: Grid | None,
    assumed: CRS | str | None,
) -> None:
    if any(len(geometry) for geometry, _ in read):
        return
    if grid is None or all(layer_box(one) is None for one in layers):
        raise LabelError(
            f"{layers[0].file} holds no feature.",
            expected="polygons or lines",
            remedy="Check the file and, where it has several, the layer.",
        )
    raise _off_scene(layers, grid, assumed)


def _require_class(ids: np.ndarray, layers: list[VectorLayer], schema: ClassSchema) -> None:
    if (ids != tags.NO_CLASS).any():
        return
    columns = ", ".join(dict.fromkeys(column for one in layers for column in one.columns)) or "none"
    rules = "; ".join(
        f"{one.name}: {textwrap.shorten(' or '.join(one.osm) or 'no rule', 60, placeholder='…')}"
        for one in schema.classes[1:]
    )
    raise LabelError(
        f"None of the {len(ids)} features of {layers[0].file} near the scene belongs to a class. Columns: {columns}.",
        expected=f"features that match the rules ({rules}), or a column class or class_name of class names",
        remedy="Write rules for these columns, or give one class for all features with all_as=.",
    )


def _require_on_grid(
    features: gpd.GeoDataFrame, grid: Grid | None, layers: list[VectorLayer], assumed: CRS | str | None
) -> None:
    if features.empty:
        raise LabelError(
            f"{layers[0].file} holds no polygon or line of any class.",
            expected="polygons or lines",
            remedy="Draw outlines: points have no area.",
        )
    if grid is None:
        return
    half = np.nan_to_num(features["width_m"].to_numpy(), nan=0.0).max() / 2
    left, bottom, right, top = grid_box(grid, grid.crs, half) or grid.bounds
    bounds = features.geometry.bounds.to_numpy()
    near = (bounds[:, 0] <= right) & (bounds[:, 2] >= left) & (bounds[:, 1] <= top) & (bounds[:, 3] >= bottom)
    if not near.any():
        raise _off_scene(layers, grid, assumed)


def _off_scene(layers: list[VectorLayer], grid: Grid, assumed: CRS | str | None) -> LabelError:
    """Return the error that shows the extents of scene and vectors, and guesses why they do not overlap."""
    scene = _lonlat(grid.bounds, grid.crs)
    boxes = [(layer_box(one), source_crs(one, assumed, grid)) for one in layers]
    found = np.array([_lonlat(box, crs) for box, crs in boxes if box is not None])
    vectors = tuple(found[:, :2].min(axis=0)) + tuple(found[:, 2:].max(axis=0)) if len(found) else (np.nan,) * 4
    unit = "lon/lat" if grid.crs is not None else "x/y"
    swapped = vectors[1], vectors[0], vectors[3], vectors[2]
    hint = "Check that the two files show the same place, and the CRS of each."
    if _meet(swapped, scene) and not _meet(vectors, scene):
        hint = "They would overlap with x and y swapped: the vectors have latitude before longitude."
    return LabelError(
        f"No feature of {layers[0].file} lies on the scene. Vectors: {unit} {_show(vectors)}; scene: {_show(scene)}.",
        expected="vectors that overlap the scene",
        remedy=hint,
    )


def _lonlat(box: Box, crs: CRS | None) -> Box:
    if crs is None:
        return box
    left, bottom, right, top = Transformer.from_crs(crs, _LONLAT, always_xy=True).transform_bounds(*box)
    return left, bottom, right, top


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _show(box: tuple[float, ...]) -> str:
    return f"{box[0]:.5f}..{box[2]:.5f} / {box[1]:.5f}..{box[3]:.5f}"
