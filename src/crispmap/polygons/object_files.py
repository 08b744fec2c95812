"""Object figures of files: class maps, whose regions are the objects, and vectors, against vectors or a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from pyproj import CRS

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, LabelError
from crispmap.evaluation.files import ScoringRules, schema_of_map
from crispmap.geo.area_pieces import AreaPiece, outlines_of
from crispmap.geo.grid import Block, Grid
from crispmap.geo.local_plane import LocalPlane
from crispmap.labels.mask import is_vector_file, open_labels
from crispmap.labels.osm import default_schema
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors
from crispmap.polygons.objects import LEAST_IOU, ObjectFigures, compare_objects
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.vectorize import vectorize_file
from crispmap.raster.files import read_grid
from crispmap.raster.writer import class_map_writer
from crispmap.types import BoolArray

_BLOCK_PX = 1024


@dataclass(frozen=True)
class ObjectEvaluation:
    """The objects of several files against one reference."""

    reference: Path
    figures: Mapping[str, Mapping[str, ObjectFigures]]  # by file, then by class
    least_iou: float = LEAST_IOU  # from which on two objects are a pair

    def to_dict(self) -> dict[str, Any]:
        """Return every figure as plain values."""
        maps = {name: {one: own.to_dict() for one, own in classes.items()} for name, classes in self.figures.items()}
        return {"reference": self.reference, "least_iou": self.least_iou, "maps": maps}


def evaluate_objects(
    targets: Sequence[str | Path], reference: str | Path, rules: ScoringRules = ScoringRules()
) -> ObjectEvaluation:
    """Return how well the objects of files agree with those of a reference; see ``compare_objects``.

    The objects of a class map are its regions, those of vectors their polygons, part by part; lines are no objects.
    Objects count whose centre lies on the first class map there is, and in the areas of the role ``test`` where there
    are some; their partners may lie outside.

    Args:
        targets: Class maps and vector files.
        reference: Vectors or a mask.
        rules: The classes, by default those of the first class map, else building and road; the areas; and how vectors
            are read.

    Raises:
        InputError: If an area is a window and no class map is given whose pixels it is in.
        LabelError: If a file cannot be read, or has no polygon of any class.
        ProjectError: If an area cannot be read.
        SceneError: If a map cannot be read.
        SchemaError: If a map names no classes and none are given.
    """
    paths = [Path(one) for one in targets]
    rasters = [path for path in paths if not is_vector_file(path)]
    schema = rules.schema or (schema_of_map(rasters[0]) if rasters else default_schema(rules.options.all_as))
    grid = read_grid(rasters[0]) if rasters else None
    frames = {str(path): _objects(path, schema, None, replace(rules.options, layer=None)) for path in paths}
    theirs = _objects(Path(reference), schema, grid, rules.options)
    crs, bounds = theirs.crs, tuple(theirs.total_bounds.tolist())
    plane = LocalPlane.of_bounds(crs, bounds)
    limits = [*_areas(rules.areas.get("test", ()), grid, crs), *_extent(grid, crs)]
    area = None if not limits else limits[0] if len(limits) == 1 else shapely.intersection_all(limits)
    if area is not None:
        area = shapely.transform(area, plane.to_metres)
    return ObjectEvaluation(Path(reference), {
        name: _by_class(_in(plane, crs, frame), _in(plane, crs, theirs), schema, area)
        for name, frame in frames.items()
    })  # fmt: skip


def _by_class(
    ours: gpd.GeoDataFrame, theirs: gpd.GeoDataFrame, schema: ClassSchema, area: Any
) -> dict[str, ObjectFigures]:
    """Return the figures of each class but the background that either side has polygons of."""
    found = {}
    for class_id, name in list(enumerate(schema.names))[1:]:
        one, other = (frame.geometry.to_numpy()[frame.class_id == class_id] for frame in (ours, theirs))
        if len(one) or len(other):
            scored = (_centred(one, area), _centred(other, area))
            found[name] = compare_objects(one, other, scored=scored)
    return found


def _centred(shapes: Any, area: Any) -> BoolArray:
    """Return which shapes have their centre in an area; all where there is none."""
    if area is None:
        return np.ones(len(shapes), np.bool_)
    shapely.prepare(area)
    return np.asarray(shapely.intersects(area, shapely.centroid(shapes)), np.bool_)


def _objects(path: Path, schema: ClassSchema, grid: Grid | None, options: LabelOptions) -> gpd.GeoDataFrame:
    """Return the polygons of a file with their class ids; a mask is read on a grid, by default its own.

    Raises:
        LabelError: If there is none.
    """
    if is_vector_file(path):
        frame = read_vectors(path, schema, grid=grid, options=options)
        frame = frame[frame.geom_type == "Polygon"]
    else:
        with TemporaryDirectory(prefix="crispmap.") as folder:
            frame = _regions(path, schema, grid or read_grid(path), options, Path(folder))
    if frame.empty:
        raise LabelError(
            f"{path} has no polygon of {', '.join(schema.names[1:])}.", expected="objects to compare",
            remedy="Check the classes; lines, such as roads, are no objects.",
        )  # fmt: skip
    return frame


def _regions(path: Path, schema: ClassSchema, grid: Grid, options: LabelOptions, folder: Path) -> gpd.GeoDataFrame:
    """Return the regions of a class map or mask."""
    raster, vectors = folder / "map.tif", folder / "regions.gpkg"
    with (
        closing(open_labels(path, schema, grid, options=options)) as labels,
        class_map_writer(raster, grid, schema) as writer,
    ):
        for block in grid.blocks(_BLOCK_PX):
            writer.write(block, labels.read(block))
    vectorize_file(raster, vectors, PolygonRules())
    return gpd.read_file(vectors, layer=vectors.stem)


def _in(plane: LocalPlane, crs: CRS | None, frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return objects in metres of a plane about places in a CRS."""
    if crs is not None and frame.crs is not None:
        frame = frame.to_crs(crs)
    shapes = shapely.transform(frame.geometry.to_numpy(), plane.to_metres)
    return gpd.GeoDataFrame({"class_id": frame.class_id.to_numpy()}, geometry=shapes)


def _extent(grid: Grid | None, crs: CRS | None) -> list[Any]:
    return [] if grid is None else _brought([(shapely.Polygon(grid.corners()), grid.crs)], crs)


def _areas(pieces: Sequence[AreaPiece], grid: Grid | None, crs: CRS | None) -> list[Any]:
    """Return the union of areas in a CRS, in a list; no area gives none."""
    found: list[tuple[Any, CRS | None]] = []
    for piece in pieces:
        if piece.window is None:
            found += [(shape, own) for _, shape, own in outlines_of(piece)]
        elif grid is None:
            raise InputError(
                f"{piece.origin} is in pixels, and no class map is given.",
                expected="polygons, or a class map beside the vectors",
                remedy="Give the area as a file of polygons.",
            )
        else:
            found.append((shapely.Polygon(grid.window(Block(*piece.window)).corners()), grid.crs))
    return [shapely.union_all(_brought(found, crs))] if found else []


def _brought(shapes: Sequence[tuple[Any, CRS | None]], crs: CRS | None) -> list[Any]:
    """Return shapes in a CRS; those without one are in it."""
    return [
        shape if own is None or crs is None else gpd.GeoSeries([shape], crs=own).to_crs(crs).iloc[0]
        for shape, own in shapes
    ]
