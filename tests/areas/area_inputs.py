"""Maps, regions and samples that tests of areas make."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.geo.grid import Grid
from crispmap.raster.writer import class_map_writer

SCHEMA = ClassSchema((ClassDef("forest", "#1a9641"), ClassDef("cut", "#d7191c"), ClassDef("water", "#2b83ba")))
UTM = CRS.from_epsg(32633)
CORNER = (500_000.0, 6_650_000.0)  # at 60 degrees north
PLACE = Affine(10.0, 0.0, CORNER[0], 0.0, -10.0, CORNER[1])


def ids(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)


def write_map(
    path: Path, values: np.ndarray, transform: Affine = PLACE, crs: CRS | None = UTM, schema: ClassSchema = SCHEMA,
    tags: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    grid = Grid(crs, transform, values.shape)
    with class_map_writer(path, grid, schema, tags=tags or {}) as writer:
        writer.write(grid.block, values)
    return path


def write_regions(
    path: Path, named: Sequence[tuple[str | None, Any]], crs: CRS | str | None = UTM, **columns: Sequence[Any]
) -> Path:
    names, outlines = zip(*named, strict=True)
    frame = gpd.GeoDataFrame({"name": list(names), **columns}, geometry=list(outlines), crs=crs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a layer without CRS
        frame.to_file(path, engine="pyogrio")
    return path


def box(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    """A box in pixel positions of the place."""
    (x0, y0), (x1, y1) = PLACE @ (left, top), PLACE @ (right, bottom)
    return shapely.box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
