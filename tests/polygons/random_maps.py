"""Random class maps on grids of many pixel sizes, written as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from scipy import ndimage

from crispmap.classes import ClassDef, ClassSchema
from crispmap.geo.grid import Grid
from crispmap.raster.writer import class_map_writer

SCHEMA = ClassSchema(
    (ClassDef("background", "#f2efe9"), ClassDef("building", "#d7191c"), ClassDef("road", "#fdae61", width_m=4.0))
)
GSDS_M = (0.1, 0.5, 2.0, 10.0, 30.0)


def grid_of(gsd_m: float, shape: tuple[int, int], *, degrees: bool = False) -> Grid:
    """Return a grid of pixels of a size near the sixtieth parallel, in UTM or in degrees, where they are not square."""
    if not degrees:
        return Grid(CRS.from_epsg(32633), Affine(gsd_m, 0, 448_000, 0, -gsd_m, 6_652_000), shape)
    step = gsd_m / 111_320
    return Grid(CRS.from_epsg(4326), Affine(step, 0, 14.1, 0, -step, 60.0), shape)


def blobs(seed: int, shape: tuple[int, int] = (192, 256)) -> NDArray[np.uint8]:
    """Return a map of blobs, turned rectangles and specks, with some pixels that have no class."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), sigma) for sigma in (2.5, 2.0, 1.5)]
    values = np.argmax([field / field.std() for field in fields], axis=0).astype(np.uint8)
    if seed % 2:
        values[:] = 0
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    for _ in range(25):
        row, col, turn = rng.uniform(0, shape[0]), rng.uniform(0, shape[1]), rng.uniform(0, np.pi)
        half = rng.uniform(2, 14, 2)
        along = (cols - col) * np.cos(turn) + (rows - row) * np.sin(turn)
        across = (rows - row) * np.cos(turn) - (cols - col) * np.sin(turn)
        values[(np.abs(along) < half[0]) & (np.abs(across) < half[1])] = rng.integers(0, 3)
    noise = rng.random(shape) < 0.02
    values[noise] = rng.integers(0, 3, int(noise.sum()))
    values[: shape[0] // 8, : shape[1] // 8] = 255
    return values


def write_map(path: Path, values: NDArray[np.uint8], grid: Grid) -> Path:
    """Write a class map, in place of one that is there."""
    path.unlink(missing_ok=True)
    with class_map_writer(path, grid, SCHEMA) as writer:
        writer.write(grid.block, values)
    return path
