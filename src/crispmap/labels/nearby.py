"""Features about a grid, in its CRS, also where the CRS of their file ends.

Geometries that reach far are cut to the surroundings of the grid before they are reprojected: a polygon larger than
the domain of the grid's CRS still covers the grid. In degrees the earth goes on at the antimeridian.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Self

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from shapely.errors import GEOSException

from crispmap.classes import ClassSchema
from crispmap.geo.grid import Grid
from crispmap.labels import tags
from crispmap.labels.geometry import Geometries, is_polygon
from crispmap.labels.layers import NEIGHBOURHOOD_M, Box, VectorLayer, grid_box, read_layer
from crispmap.labels.left_out import LeftOut, Reason
from crispmap.types import DoubleArray

_SURROUNDINGS_M = 10_000.0  # what reaches further than this from the grid is cut before it is reprojected
_FARTHEST_M = 1_000_000.0  # likewise where it is not reprojected: lines are given corners all along
_CUT_SIDES = 100  # a side of the cut has as many pieces: straight in one CRS, it is bent in another
_TURN = 360.0
_WIDE = 1.0  # degrees; what is wider gets corners all along, as a side straight in degrees is bent elsewhere
_BY_OSM_DRIVER = "osm_way_id"  # a column of GDAL's layer of areas, which drops the tag ``area`` that made them so


@dataclass(frozen=True)
class NearFeatures:
    """Features about a grid, in its CRS, from one layer or several."""

    geometry: Geometries
    table: tags.TagTable  # their tags
    name: NDArray[np.object_]  # the number or index of each in its layer
    layer: NDArray[np.object_]  # the layer of each
    classed: NDArray[np.bool_]  # whether the layer has a column of classes
    lost: NDArray[np.bool_]  # whether it could not be reprojected
    elsewhere: int  # how many more its layers hold, where the file tells

    def __len__(self) -> int:
        return len(self.geometry)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the features of all parts, in their order."""
        arrays = {
            key: np.concatenate([getattr(one, key) for one in parts])
            for key in ("geometry", "name", "layer", "classed", "lost")
        }
        table = tags.join_tables(one.table for one in parts)
        return cls(table=table, elsewhere=sum(one.elsewhere for one in parts), **arrays)

    def outline(self, which: NDArray[np.bool_]) -> None:
        """Put the outlines of polygons in their place."""
        rows = which & is_polygon(self.geometry)
        self.geometry[rows] = shapely.boundary(self.geometry[rows])

    def count(self, left_out: LeftOut, reason: Reason, rows: NDArray[np.int64]) -> None:
        """Count features, given by their rows, as left out."""
        if len(rows):
            left_out.add(reason, len(rows), self.example(rows[0]))

    def example(self, row: int) -> str:
        """Return the words by which a person finds a feature."""
        shape = self.geometry[row]
        known = [f"{key}={column[row]}" for key, column in self.table.items() if column[row] is not None]
        kind = "no geometry" if shape is None else f"empty {shape.geom_type}" if shape.is_empty else shape.geom_type
        return f"feature {self.name[row]} of {self.layer[row]}, {', '.join([kind, *known[:2]])}"


def near_boxes(grid: Grid | None, crs: CRS | None, margin_m: float) -> list[tuple[Box | None, float]]:
    """Return the boxes, in a CRS, about a grid grown by a margin, and what to add to x of what lies in each.

    There are several where the CRS is in degrees and the box reaches across the antimeridian. A box is None outside the
    domain of the CRS.
    """
    box = None if grid is None else grid_box(grid, crs, margin_m)
    if box is None or crs is None or not crs.is_geographic:
        return [(box, 0.0)]
    left, bottom, right, top = box
    turns = [0.0, *([_TURN] if right > _TURN / 2 else []), *([-_TURN] if left < -_TURN / 2 else [])]
    return [((left - turn, bottom, right - turn, top), turn) for turn in turns]


def read_near(
    layer: VectorLayer, schema: ClassSchema, source: CRS | None, target: CRS | None, grid: Grid | None
) -> NearFeatures:
    """Return the features of a layer about a grid, in the target CRS; all of them without a grid.

    Args:
        source: The CRS of the layer's coordinates.
    """
    changes = source is not None and target is not None and source != target
    around = near_boxes(grid, source, _SURROUNDINGS_M if changes else _FARTHEST_M)[0][0]
    read = [
        _turned(read_layer(layer, tags.columns_wanted(schema), box), turn)
        for box, turn in near_boxes(grid, source, NEIGHBOURHOOD_M)
    ]
    frame = pd.concat(read) if len(read) > 1 else read[0]
    geometry, inside = np.asarray(frame.geometry.to_numpy(), dtype=object), np.ones(len(frame), np.bool_)
    if around is not None:
        geometry, inside = _cut(geometry, around)
        geometry, frame = geometry[inside], frame[inside]
    lost = np.zeros(len(geometry), np.bool_)
    if changes:
        geometry, lost = _reprojected(geometry, source, target, grid)
    near = _tagged(layer, frame, schema)
    return replace(near, geometry=geometry, lost=lost, elsewhere=max(near.elsewhere, int((~inside).sum())))


def _tagged(layer: VectorLayer, frame: gpd.GeoDataFrame, schema: ClassSchema) -> NearFeatures:
    """Return features of a layer with their tags, in their own CRS."""
    attributes = pd.DataFrame(frame.drop(columns=frame.geometry.name)).reset_index(drop=True)
    name = layer.name or layer.path.stem
    table = tags.tag_table(attributes, schema, name)
    if _BY_OSM_DRIVER in layer.columns:
        table["area"][tags.missing(table["area"])] = "yes"
    return NearFeatures(
        frame.geometry.to_numpy(),
        table,
        frame.index.to_numpy(dtype=object),
        np.full(len(frame), name, dtype=object),
        np.full(len(frame), bool(tags.match_columns(layer.columns, tags.CLASS_COLUMNS))),
        np.zeros(len(frame), np.bool_),
        max(layer.features - len(frame), 0),
    )


def _turned(frame: gpd.GeoDataFrame, degrees: float) -> gpd.GeoDataFrame:
    """Return features with so many degrees added to their longitudes."""
    return frame.set_geometry(frame.geometry.translate(degrees)) if degrees else frame


def _cut(shapes: Geometries, box: Box) -> tuple[Geometries, NDArray[np.bool_]]:
    """Return geometries, those that reach beyond a box cut to it, and which of them are then not empty."""
    bounds = shapely.bounds(shapes)
    beyond = (bounds[:, :2] < box[:2]).any(axis=1) | (bounds[:, 2:] > box[2:]).any(axis=1)
    far = np.flatnonzero(beyond & np.isfinite(bounds).all(axis=1))
    shapes, inside = shapes.copy(), np.ones(len(shapes), np.bool_)
    if len(far):
        step = max(box[2] - box[0], box[3] - box[1]) / _CUT_SIDES
        areas = shapely.get_dimensions(shapes[far]) == 2
        shapes[far[areas]] = shapely.make_valid(shapes[far[areas]])
        shapes[far] = shapely.segmentize(shapely.intersection(shapes[far], shapely.box(*box)), step)
        inside[far] = ~shapely.is_empty(shapes[far])
    return shapes, inside


def _reprojected(
    shapes: Geometries, source: CRS | None, target: CRS | None, grid: Grid | None
) -> tuple[Geometries, NDArray[np.bool_]]:
    """Return geometries in the target CRS, on the grid's side of the antimeridian, and which of them are lost."""
    if source is not None and source.is_geographic:
        box = shapely.bounds(shapes)
        wide = np.flatnonzero((box[:, 2:] - box[:, :2] > _WIDE).any(axis=1))
        shapes = shapes.copy()
        with suppress(GEOSException):  # one of them is broken: it is repaired later
            shapes[wide] = shapely.segmentize(shapes[wide], _WIDE / _CUT_SIDES)
    moved = np.asarray(gpd.GeoSeries(shapes, crs=source).to_crs(target).to_numpy(), dtype=object)
    had, has = (np.isfinite(shapely.bounds(one)).all(axis=1) for one in (shapes, moved))
    if target is not None and target.is_geographic and grid is not None and np.abs(grid.bounds[::2]).max() > _TURN / 2:
        centre = (grid.bounds[0] + grid.bounds[2]) / 2

        def nearest(points: DoubleArray) -> DoubleArray:
            return points + np.column_stack([_TURN * np.round((centre - points[:, 0]) / _TURN), np.zeros(len(points))])

        moved[has] = shapely.transform(moved[has], nearest)
    return moved, np.asarray(had & ~has)
