"""Vectors drawn onto a grid as class ids, with lines of their true width on the ground.

All coordinates become pixel positions of the whole grid, rounded to 1/1024 of a pixel. Positions relative to any block
are then exact in floating point, so that a block is drawn the same however the grid is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

from crispmap.classes import ClassSchema
from crispmap.errors import GridError, InputError, LabelError
from crispmap.events import SILENT, Events, progress
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.draw import affine_points
from crispmap.geo.equal_area import areas_by_id
from crispmap.geo.fill import FlatPolygons
from crispmap.geo.grid import Block, Grid
from crispmap.geo.local_plane import LocalPlane
from crispmap.labels.geometry import Geometries, exploded, is_line, is_point
from crispmap.labels.left_out import LeftOut, Reason
from crispmap.labels.reader import LabelReader
from crispmap.types import IGNORE, CountArray, DoubleArray, LabelArray

_STEPS_PER_PIXEL = 1024
_DRAWN_PX = 1024  # side of what is drawn at once, which bounds the memory of larger blocks
_LONGEST_SEGMENT_M = 500.0  # a line straight in degrees strays up to 1 cm from one straight on the ground


@dataclass(frozen=True, eq=False)
class DrawnClasses:
    """How much of each class was drawn."""

    pixels: CountArray  # pixels by id, shape (256,); index 255 holds the ignored ones
    area_m2: DoubleArray  # their ground area in the same order


class VectorLabels:
    """Features drawn onto a grid; a ``LabelReader``.

    Where features overlap, the class of higher id wins; IGNORE wins over all. A pixel belongs to a polygon that
    contains its centre. A line is drawn as the area within half its total width, with rounded ends, so that consecutive
    ways of a road join without gaps. A point labels ``point_px`` x ``point_px`` pixels about it; where all features are
    points, nothing is known of the other pixels, and elsewhere they are of the first class.

    Args:
        features: Columns geometry (polygons, lines or points), class_id and width_m, as from ``read_vectors``.
        grid: Where to draw. Features in another CRS are reprojected.
        schema: The classes; their width_m is the total width of lines without their own.
        road_width_m: Total width in metres of every line, instead of its own and its class's.
        all_touched: Draw every pixel that overlaps a feature.
        point_px: Side of what a point labels, in pixels.

    Raises:
        LabelError: If an id is not of the schema, or only one of features and grid has a CRS.
        InputError: If ``road_width_m`` is not above 0.
    """

    def __init__(
        self,
        features: gpd.GeoDataFrame,
        grid: Grid,
        schema: ClassSchema,
        *,
        road_width_m: float | None = None,
        all_touched: bool = False,
        point_px: int = 1,
    ) -> None:
        self.grid = grid
        self.schema = schema
        self._all_touched = all_touched
        areas = lines_as_areas(_on_grid_crs(features, grid), grid, schema, road_width_m=road_width_m)
        shapes, owner = areas.geometry.to_numpy(), np.arange(len(areas))
        shapes, owner = exploded(
            *(one[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))] for one in (shapes, owner))
        )
        points = is_point(shapes)
        place = partial(_pixel_positions, grid)
        if points.any():
            shapes = np.asarray(shapely.transform(shapes, place))
            shapes[points] = _squares_about(shapes[points], point_px)
        self._elsewhere = IGNORE if len(points) and points.all() else 0
        self._ids = areas["class_id"].to_numpy()[owner].astype(np.uint8)
        self._polygons = FlatPolygons(shapes, None if points.any() else place)

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block inside the grid.

        Raises:
            GridError: If the block reaches outside the grid.
        """
        if self.grid.block.intersection(block) != block:
            raise GridError(f"{block} reaches outside a grid of shape {self.grid.shape}.", expected="a block inside")
        result = np.full(block.shape, self._elsewhere, dtype=np.uint8)
        for piece in block.pieces(_DRAWN_PX):
            self._draw(piece, result[piece.relative_to(block).slices])
        return result

    def _draw(self, block: Block, result: LabelArray) -> None:
        """Draw a block class by class, so that the highest id wins."""
        hits = self._polygons.meeting(block)
        for class_id in np.unique(self._ids[hits]):
            own = hits[self._ids[hits] == class_id]
            result[self._polygons.fill(own, block)] = class_id
            if self._all_touched and not self._elsewhere:
                result[self._polygons.cross(own, block)] = class_id

    def close(self) -> None:
        """Do nothing: the features are in memory."""


def _squares_about(points: Geometries, side_px: int) -> Geometries:
    """Return the squares of whole pixels about points in pixel positions, the middle pixel holding the point.

    Of the two in the middle of an even number it is the first: then those squares of this side whose own middle pixel
    (``Squares``) is in it are those that hold the point.
    """
    corners = np.floor(shapely.get_coordinates(points)) - (side_px - 1) // 2
    return np.asarray(shapely.box(*corners.T, *(corners + side_px).T), dtype=object)


def rasterize(
    features: gpd.GeoDataFrame,
    grid: Grid,
    schema: ClassSchema,
    *,
    road_width_m: float | None = None,
    all_touched: bool = False,
) -> LabelArray:
    """Return the class ids (row, col) of features drawn onto a whole grid; see ``VectorLabels``."""
    painter = VectorLabels(features, grid, schema, road_width_m=road_width_m, all_touched=all_touched)
    return painter.read(grid.block)


def rasterize_file(
    labels: LabelReader,
    out: str | Path,
    *,
    force: bool = False,
    block_px: int = 1024,
    events: Events = SILENT,
) -> DrawnClasses:
    """Write labels to a class map (see ``class_map_spec``) block by block, and return how much of each was drawn.

    Args:
        block_px: Side of a block; the file does not depend on it.
        events: What progress is reported to.

    Raises:
        GridError: If the CRS is not tied to the earth.
        OutputError: If the file exists and ``force`` is false, or it cannot be written.
    """
    from crispmap.raster.writer import class_map_writer

    pixels, area_m2 = np.zeros(IGNORE + 1, np.int64), np.zeros(IGNORE + 1)
    with (
        few_blocks_kept(),
        progress(events, "labels", math.prod(labels.grid.shape)) as running,
        class_map_writer(Path(out), labels.grid, labels.schema, force=force) as writer,
    ):
        for block in labels.grid.blocks(block_px):
            ids = labels.read(block)
            writer.write(block, ids)
            counted, measured = areas_by_id(labels.grid, block, ids)
            pixels += counted
            area_m2 += measured
            running.advance(ids.size)
    return DrawnClasses(pixels, area_m2)


def lines_as_areas(
    features: gpd.GeoDataFrame, grid: Grid, schema: ClassSchema, *, road_width_m: float | None = None
) -> gpd.GeoDataFrame:
    """Return features, in the grid's CRS, with every line replaced by the area within half its total width.

    The width is ``road_width_m``, else the line's own, else its class's. Widths on the ground are right to 1 part in
    1,000 within 500 km of the grid's centre, in any CRS: the buffer is computed in a plane of metres about that centre.

    Raises:
        LabelError: If an id is not of the schema.
        InputError: If ``road_width_m`` is not above 0.
    """
    if road_width_m is not None and not road_width_m > 0:
        raise InputError(
            f"The road width is {road_width_m} m.",
            expected="a total width above 0 metres",
            remedy="Give the width in metres, such as 7, or leave it out.",
        )
    ids = features["class_id"].to_numpy()
    strange = sorted(set(ids.tolist()) - set(range(len(schema))) - {IGNORE})
    if strange:
        raise LabelError(
            f"Features have class ids {strange[:5]}.", expected=f"0..{len(schema) - 1} of the schema, or {IGNORE}"
        )
    geometries = features.geometry.to_numpy().copy()
    lines = np.flatnonzero(is_line(geometries))
    if len(lines):
        widths = _line_widths(features.iloc[lines], schema, road_width_m)
        geometries[lines] = _buffered(geometries[lines], widths / 2, LocalPlane.of_grid(grid), grid)
    return features.set_geometry(gpd.GeoSeries(geometries, index=features.index, crs=features.crs))


def _line_widths(lines: gpd.GeoDataFrame, schema: ClassSchema, road_width_m: float | None) -> DoubleArray:
    """Return the total width of each line in metres: the override, else its own, else its class's."""
    if road_width_m is not None:
        return np.full(len(lines), road_width_m)
    by_class = np.full(IGNORE + 1, schema[0].width_m)
    by_class[: len(schema)] = [one.width_m for one in schema]
    usual = by_class[lines["class_id"].to_numpy()]
    own = lines["width_m"].to_numpy(dtype=np.float64) if "width_m" in lines else np.full(len(lines), np.nan)
    return np.where(own > 0, own, usual)


def _buffered(lines: Geometries, radius_m: DoubleArray, frame: LocalPlane, grid: Grid) -> Geometries:
    """Return the area within a distance of each line, in the CRS of the frame."""
    unit_m = math.sqrt(np.prod(grid.gsd_m()) / abs(grid.transform.determinant))
    dense = shapely.segmentize(lines, _LONGEST_SEGMENT_M / unit_m)
    metric = shapely.transform(dense, frame.to_metres)
    areas = shapely.buffer(metric, radius_m, quad_segs=8, cap_style="round", join_style="round")
    return np.asarray(shapely.transform(areas, frame.to_crs))


def _on_grid_crs(features: gpd.GeoDataFrame, grid: Grid) -> gpd.GeoDataFrame:
    if (features.crs is None) != (grid.crs is None):
        lacking = "The features" if features.crs is None else "The grid"
        raise LabelError(
            f"{lacking} have no coordinate reference system, and the other side has one.",
            expected="a CRS on both sides, or on neither",
            remedy="Set the CRS that is missing.",
        )
    if grid.crs is None or features.crs == grid.crs:
        return features
    placed = features.to_crs(grid.crs)
    finite, had = (np.isfinite(one.geometry.bounds).all(axis=1) for one in (placed, features))
    if (had & ~finite).any():
        left_out = LeftOut("The features", len(features))
        left_out.add(Reason.NOT_REPROJECTED, int((had & ~finite).sum()), f"row {(had & ~finite).idxmax()}")
        left_out.warn()
    return placed[finite]


def _pixel_positions(grid: Grid, points: DoubleArray) -> DoubleArray:
    """Return points (n, 2) as pixel positions of a grid, rounded to 1/1024 pixel."""
    return np.round(affine_points(~grid.transform, points) * _STEPS_PER_PIXEL) / _STEPS_PER_PIXEL
