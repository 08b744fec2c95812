"""The exact truth of a town: a class for every pixel, and the vectors it comes from.

What counts is what a surveyor would draw, not what a camera sees: a road under a tree's crown is road, a roof under a
crown is building. Roads are carriageways from kerb to kerb with all their bends; pavements, drives, car parks, paths
and field tracks are background. Sheds are buildings.
"""

from __future__ import annotations

import geopandas
import numpy as np
from rasterio.features import rasterize

from crispmap.geo.grid import Grid
from crispmap.labels.osm import preset_schema
from crispmap.synth.town import Town, ground_transform
from crispmap.types import LabelArray

BUILDING, ROAD = 1, 2

TOWN_SCHEMA = preset_schema(("building", "road"))
"""The classes of the town: background, building, road."""


def true_classes(town: Town, grid: Grid) -> LabelArray:
    """Return the class id at every pixel's centre, (row, col) uint8: 0 background, 1 building, 2 road.

    Args:
        town: The town.
        grid: A grid over the town's ground; its lower left corner is the town's south-west corner.
    """
    transform = ground_transform(grid)
    shapes = [(town.carriageway, ROAD)] + [(one.outline, BUILDING) for one in town.buildings]
    classes: LabelArray = np.zeros(grid.shape, dtype=np.uint8)
    drawn = [(shape, class_id) for shape, class_id in shapes if not shape.is_empty]
    if drawn:
        rasterize(drawn, out=classes, transform=transform)
    return classes


def true_vectors(town: Town) -> dict[str, geopandas.GeoDataFrame]:
    """Return the layers ``buildings``, ``roads`` (polygons) and ``roads_lines``, cut at the scene's edge.

    Coordinates are metres of the town. Buildings carry class, kind, height_m and area_m2; road areas class; lines
    kind, name and width_m, but no class: read as labels, the file is the exact truth.
    """
    frame = town.setting.frame
    buildings = geopandas.GeoDataFrame(
        {
            "class": "building",
            "kind": [one.kind for one in town.buildings],
            "height_m": np.round([one.height_m for one in town.buildings], 1),
        },
        geometry=[one.outline for one in town.buildings],
    )
    lines = geopandas.GeoDataFrame(
        {
            "kind": [road.highway for road in town.roads],
            "name": [road.name for road in town.roads],
            "width_m": [road.width_m for road in town.roads],
        },
        geometry=[road.line for road in town.roads],
    )
    areas = geopandas.GeoDataFrame({"class": ["road"]}, geometry=[town.carriageway.intersection(frame)])
    layers = {"buildings": buildings, "roads": areas, "roads_lines": lines}
    clipped = {name: layer.clip(frame).explode(ignore_index=True) for name, layer in layers.items()}
    clipped["buildings"] = clipped["buildings"][clipped["buildings"].geom_type == "Polygon"].reset_index(drop=True)
    clipped["buildings"]["area_m2"] = clipped["buildings"].area.round(1)
    return clipped
