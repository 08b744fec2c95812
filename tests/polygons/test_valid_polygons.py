"""Simplified polygons are valid at any pixel size, tolerance and place, and in every format."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import CRS
from scipy import ndimage

from crispmap.classes import ClassDef, ClassSchema
from crispmap.geo.grid import Grid
from crispmap.polygons.polygons import polygons_of
from crispmap.polygons.regions import RegionTracer
from crispmap.polygons.rings import Rings
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.simplify import simplified
from crispmap.polygons.vector_file import FORMATS
from crispmap.polygons.vectorize import vectorize_file
from crispmap.raster.writer import class_map_writer

SCHEMA = ClassSchema((ClassDef("a", "#f2efe9"), ClassDef("b", "#d7191c"), ClassDef("c", "#fdae61")))


def smoothed_noise(seed: int, shape: tuple[int, int] = (512, 768)) -> NDArray[np.int32]:
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), 1.5) for _ in SCHEMA]
    return np.argmax(fields, axis=0).astype(np.int32)


def traced(values: NDArray[np.int32]) -> list[Rings]:
    tracer = RegionTracer(values.shape[1], nodes=True)
    return [tracer.push(values).rings, tracer.finish().rings]


@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 1 << 20),
    gsd=st.sampled_from([0.1, 0.3, 0.5, 0.7, 1.194328566955879, 10.0]),
    tolerance_px=st.floats(0.5, 6),
    offset=st.floats(0, 1e7),
)
@example(seed=1, gsd=0.7, tolerance_px=2.0, offset=5e6)
def test_polygons_are_valid_at_any_pixel_size_tolerance_and_place(
    seed: int, gsd: float, tolerance_px: float, offset: float
) -> None:
    for rings in traced(smoothed_noise(seed)):
        simple = simplified(rings, tolerance_px * gsd, (gsd, gsd))
        assert shapely.is_valid(polygons_of(simple, Affine(gsd, 0, offset, 0, -gsd, offset))).all()


@pytest.mark.parametrize("seed", range(2))
def test_a_larger_tolerance_hardly_leaves_more_corners(seed: int) -> None:
    """Where it cannot be kept to, a smaller one is: not the outline along the pixels, with all its corners."""
    rings = traced(smoothed_noise(seed, (256, 256)))[0]
    corners = [int(simplified(rings, tolerance, (1.0, 1.0)).lengths.sum()) for tolerance in (1.0, 4.0, 16.0)]
    assert max(corners[1:]) < 1.2 * corners[0] < rings.lengths.sum()


@pytest.mark.parametrize("suffix", FORMATS)
def test_polygons_are_valid_in_every_format(tmp_path: Path, suffix: str) -> None:
    grid = Grid(CRS.from_epsg(3857), Affine(1.19, 0, 2e6, 0, -1.19, 6e6), (512, 768))
    with class_map_writer(tmp_path / "map.tif", grid, SCHEMA) as writer:
        writer.write(grid.block, smoothed_noise(1).astype(np.uint8))
    out = tmp_path / f"polygons{suffix}"
    vectorize_file(tmp_path / "map.tif", out, PolygonRules(("all",), simplify_m=3.0))
    frame = (
        gpd.read_parquet(out) if suffix == ".parquet" else pyogrio.read_dataframe(out, out.stem, on_invalid="ignore")
    )
    assert frame.geometry.is_valid.all()
    assert set(frame.geom_type) == {"Polygon"}
