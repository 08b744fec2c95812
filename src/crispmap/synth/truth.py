"""The exact reference of a town: a class for every pixel, and its vectors.

It is what a surveyor would draw, not what a camera sees: a road under a tree's crown is road, a roof under a crown is
building. Roads are carriageways from kerb to kerb with all their bends; pavements, drives, car parks and paths are
background. Sheds are buildings.
"""

from __future__ import annotations

import geopandas
import numpy as np
from affine import Affine
from rasterio.features import rasterize

from crispmap.geo.grid import Grid
from crispmap.labels.osm import preset_schema
from crispmap.synth.features import Town
from crispmap.types import LabelArray

BUILDING, ROAD = 1, 2

TOWN_SCHEMA = preset_schema(("building", "road"))  # the classes of the town: background, building, road


def true_classes(town: Town, grid: Grid) -> LabelArray:
    """Return the class id at every pixel's centre, (row, col) uint8: 0 background, 1 building, 2 road."""
    across, up = grid.transform.a, grid.transform.e
    shapes = [(town.carriageway, ROAD)] + [(one.outline, BUILDING) for one in town.buildings]
    drawn = [(shape, class_id) for shape, class_id in shapes if not shape.is_empty]
    classes: LabelArray = np.zeros(grid.shape, dtype=np.uint8)
    if drawn:
        rasterize(drawn, out=classes, transform=Affine(across, 0.0, 0.0, 0.0, up, -up * grid.height))
    return classes


def true_vectors(town: Town) -> dict[str, geopandas.GeoDataFrame]:
    """Return the layers ``buildings``, ``roads`` (polygons) and ``roads_lines``, cut at the scene's edge.

    Coordinates are metres of the town. Buildings have class, kind, height_m and area_m2; road areas class; lines kind
    and width_m, but no class: read as labels, the file is the exact reference.
    """
    frame = town.setting.frame
    houses = [("building", one.kind, round(one.height_m, 1), one.outline) for one in town.buildings]
    lines = [(road.highway, road.width_m, road.line) for road in town.roads]
    layers = {
        "buildings": geopandas.GeoDataFrame(houses, columns=["class", "kind", "height_m", "geometry"]),
        "roads": geopandas.GeoDataFrame([("road", town.carriageway)], columns=["class", "geometry"]),
        "roads_lines": geopandas.GeoDataFrame(lines, columns=["kind", "width_m", "geometry"]),
    }
    cut = {name: layer.clip(frame, keep_geom_type=True).explode(ignore_index=True) for name, layer in layers.items()}
    cut["buildings"]["area_m2"] = cut["buildings"].area.round(1)
    return cut
