"""Vectors as labels or reference: features with a class id, near a scene and in its CRS."""

from __future__ import annotations

import logging
import textwrap
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from crispmap.classes import ClassSchema
from crispmap.errors import LabelError
from crispmap.files.address import suffix_of
from crispmap.geo.crs import transformer
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Grid
from crispmap.labels import tags
from crispmap.labels.geometry import Geometries, is_line, is_point, single_parts
from crispmap.labels.layers import OVERPASS_REMEDY, Box, VectorLayer, drawn_layers, grid_box, layer_box
from crispmap.labels.left_out import LeftOut, Reason
from crispmap.labels.nearby import NearFeatures, read_near
from crispmap.labels.reader import SCENE_COORDINATES, LabelOptions
from crispmap.types import IGNORE

_log = logging.getLogger(__name__)

_LONLAT = CRS.from_epsg(4326)
_DEFAULT_DEGREES = (".json", ".geojson", ".geojsonl")


@dataclass(frozen=True)
class LabelFeatures:
    """Vectors as labels, and what was left out."""

    frame: gpd.GeoDataFrame  # columns geometry, class_id and width_m; see ``read_vectors``
    left_out: LeftOut
    given: Geometries  # the geometries of features with a class, before any is repaired
    layers: tuple[VectorLayer, ...]  # where they come from


def read_vectors(
    path: str | Path,
    schema: ClassSchema,
    *,
    grid: Grid | None = None,
    options: LabelOptions | None = None,
    points: bool = False,
) -> gpd.GeoDataFrame:
    """Return the polygons and lines of a file that belong to a class, one part per row, in the grid's CRS.

    The class of a feature is the first that applies: ``all_as``; a column ``class`` or ``class_name`` with a class name
    in any case or id (255 or ``ignore`` for IGNORE); the schema's tag rules over the columns and over tags in
    ``other_tags``; the only non-background class, if it has no rule. A polygon whose class comes from its tag
    ``highway`` is a closed way, and its outline is returned, unless it says ``area=yes``. Invalid polygons are
    repaired, heights dropped, and geometries that reach far beyond the grid cut before they are reprojected.

    Args:
        path: Anything GDAL reads as vectors (GeoPackage, GeoJSON, Shapefile, FlatGeobuf, .osm, .osm.pbf), in a file
            or at an address (``https://…``, ``s3://…``, ``/vsicurl/…``), or a GeoParquet file.
        grid: Only features whose bounding box comes within NEIGHBOURHOOD_M of this grid are returned, in its CRS.
            Without a grid all features are returned, in the CRS of the first layer.
        options: Those of vectors and ``unknown`` apply. The file's own CRS wins over the assumed one, unless it says
            degrees and its coordinates cannot be.
        points: Whether the points of a file that has nothing else do as well; those outside the grid are left out.

    Returns:
        Columns geometry (Polygon or LineString), class_id (int), width_m (float: a line's total width by its own tags,
        else NaN). The index is 0..n-1.

    Raises:
        LabelError: If the file is missing or unreadable, a CRS is missing, no feature lies on the scene, no
            feature belongs to a class, a class can match nothing, or a column of classes holds other values.
        SchemaError: If ``all_as`` is not a class.

    Warns:
        CrispmapWarning: If features are left out that neither the rules nor the grid leave out; see ``LeftOut``.
    """
    found = read_features(path, schema, grid=grid, options=options, points=points)
    found.left_out.warn()
    return found.frame


def read_features(
    path: str | Path,
    schema: ClassSchema,
    *,
    grid: Grid | None = None,
    options: LabelOptions | None = None,
    points: bool = False,
) -> LabelFeatures:
    """Return what ``read_vectors`` does and what was left out, without a warning."""
    path, options = Path(path), options or LabelOptions()
    fixed_id = None if options.all_as is None else schema.id_of(options.all_as)
    layers = drawn_layers(path, options.layer, options.encoding, points=points)
    assumed = parse_crs(options.assume_crs)
    target = grid.crs if grid is not None else source_crs(layers[0], assumed, grid)
    near = NearFeatures.joined([read_near(one, schema, source_crs(one, assumed, grid), target, grid) for one in layers])
    _require_any(near, layers, grid, assumed)
    left_out = LeftOut(layers[0].file, len(near) + near.elsewhere)
    ids, ways = _class_ids(near, schema, fixed_id, options.unknown, left_out)
    _require_class(ids, layers, schema)
    near.outline(ways)
    features = _features(near, ids, target, left_out, points=points)
    _require_on_grid(features, grid, layers, assumed, points=points)
    pointed = bool(is_point(features.geometry.to_numpy()).all())
    left_out.add(Reason.OUTSIDE if pointed else Reason.ELSEWHERE, near.elsewhere)
    if pointed and grid is not None:
        features = _inside(features, grid, left_out)
        if features.empty:
            raise _off_scene(layers, grid, assumed)
    _log.info("%s", left_out)
    return LabelFeatures(features, left_out, near.geometry[ids != tags.NO_CLASS], tuple(layers))


def _inside(points: gpd.GeoDataFrame, grid: Grid, left_out: LeftOut) -> gpd.GeoDataFrame:
    """Return the points on a grid, and count the others."""
    cols, rows = affine_points(~grid.transform, shapely.get_coordinates(points.geometry.to_numpy())).T
    inside = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    left_out.add(Reason.OUTSIDE, int((~inside).sum()))
    return points[inside].reset_index(drop=True)


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


def _class_ids(
    near: NearFeatures, schema: ClassSchema, fixed_id: int | None, unknown: str, left_out: LeftOut
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the class id of every feature, NO_CLASS where there is none, and whether only its outline is meant."""
    if fixed_id is not None:
        return np.full(len(near), fixed_id, dtype=np.int64), np.zeros(len(near), np.bool_)
    ids, strange = tags.class_column_ids(near.table, schema)
    foreground = schema.classes[1:]
    without_rule = [one.name for one in foreground if not one.osm]
    if (ids == tags.NO_CLASS).all() and without_rule and len(foreground) > 1:
        raise LabelError(
            f"Class {without_rule[0]!r} has no OSM rule, and {left_out.file} has no column of classes.",
            expected="a rule for every class but the background, or a column class or class_name",
            remedy="Write a rule such as building=*, or give all features one class (all_as=).",
        )
    only_one = without_rule and len(foreground) == 1
    by_tags = np.where(tags.missing(strange), 1, tags.NO_CLASS) if only_one else tags.tag_ids(near.table, schema)
    ways = tags.outlines(near.table, schema, by_tags) & (ids == tags.NO_CLASS)
    ids = np.where(ids == tags.NO_CLASS, by_tags, ids)
    wrong = np.flatnonzero(~tags.missing(strange) & (ids == tags.NO_CLASS))
    if len(wrong):
        if unknown == "error":
            raise _unknown_error(near, strange, wrong, schema, left_out.file)
        ids[wrong] = IGNORE
        near.count(left_out, Reason.UNKNOWN_CLASS, wrong)
    none = ids == tags.NO_CLASS
    near.count(left_out, Reason.EMPTY_CLASS, np.flatnonzero(none & near.classed))
    near.count(left_out, Reason.NO_CLASS, np.flatnonzero(none & ~near.classed))
    return ids, ways


def _unknown_error(
    near: NearFeatures, strange: NDArray[np.object_], wrong: NDArray[np.int64], schema: ClassSchema, file: str
) -> LabelError:
    """Return the error that lists the most frequent values of no class in a column of classes."""
    counts = Counter(strange[wrong].tolist()).most_common()
    most = ", ".join(f"{text!r} ({count} feature{'s' * (count > 1)})" for text, count in counts[:5])
    more = f" and {len(counts) - 5} more" if len(counts) > 5 else ""
    return LabelError(
        f"{file} holds classes that are not in the schema: {most}{more}; the first is {near.example(wrong[0])}.",
        expected=", ".join(f"{index} {name}" for index, name in enumerate(schema.names)),
        remedy="Correct them, add the classes, or leave such ground out with unknown=ignore.",
    )


def _features(
    near: NearFeatures, ids: NDArray[np.int64], crs: CRS | None, left_out: LeftOut, *, points: bool
) -> gpd.GeoDataFrame:
    """Return the parts of features with a class, and count those that have no part."""
    kept = np.flatnonzero(ids != tags.NO_CLASS)
    parts, source = single_parts(near.geometry[kept], points=points)
    gone = kept[np.bincount(source, minlength=len(kept)) == 0]
    near.count(left_out, Reason.NOT_REPROJECTED, gone[near.lost[gone]])
    near.count(left_out, Reason.NO_GEOMETRY, gone[~near.lost[gone]])
    widths, lines = np.full(len(parts), np.nan), np.flatnonzero(is_line(parts))
    widths[lines] = tags.widths_m({key: column[kept[source[lines]]] for key, column in near.table.items()})
    return gpd.GeoDataFrame({"class_id": ids[kept][source], "width_m": widths}, geometry=parts, crs=crs)[
        ["geometry", "class_id", "width_m"]
    ]


def _require_any(near: NearFeatures, layers: list[VectorLayer], grid: Grid | None, assumed: CRS | str | None) -> None:
    if len(near):
        return
    if grid is None or all(layer_box(one) is None for one in layers):
        raise LabelError(
            f"{layers[0].file} holds no feature.",
            expected="polygons or lines",
            remedy=OVERPASS_REMEDY
            if suffix_of(layers[0].path) == ".osm"
            else "Check the file and, where it has several, the layer.",
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
        remedy="Write rules for these columns, or give all features one class (all_as=).",
    )


def _require_on_grid(
    features: gpd.GeoDataFrame, grid: Grid | None, layers: list[VectorLayer], assumed: CRS | str | None, *, points: bool
) -> None:
    if features.empty:
        raise LabelError(
            f"{layers[0].file} holds no polygon{', line or point' if points else ' or line'} of any class.",
            expected="polygons, lines or points" if points else "polygons or lines",
            remedy="" if points else "Draw outlines: points have no area.",
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
    left, bottom, right, top = transformer(crs, _LONLAT).transform_bounds(*box)
    return left, bottom, right, top


def _meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _show(box: tuple[float, ...]) -> str:
    return f"{box[0]:.5f}..{box[2]:.5f} / {box[1]:.5f}..{box[3]:.5f}"
