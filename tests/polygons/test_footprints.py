"""Footprints of buildings: right angles where they fit, never an overlap, always valid."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import random_maps
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from shapely import Polygon, affinity

from crispmap.geo.grid import Grid
from crispmap.polygons.footprints import Shape, regular_outline, without_overlaps
from crispmap.polygons.polygons import polygons_of
from crispmap.polygons.regions import RegionTracer
from crispmap.polygons.right_angles import main_direction
from crispmap.polygons.rules import PolygonRules
from crispmap.polygons.vectorize import vectorize_file


def drawn(shape: Polygon, size: int = 120) -> Polygon:
    """Return the outline of the pixels whose centres a shape holds, with a pixel's side of 1."""
    cols, rows = np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5)
    inside = shapely.contains_xy(shape, cols, rows)
    values = np.where(inside, 1, np.iinfo(np.int32).min).astype(np.int32)
    tracer = RegionTracer(size)
    from affine import Affine

    batches = [tracer.push(values), tracer.finish()]
    found = np.concatenate([polygons_of(one.rings, Affine.identity()) for one in batches])
    return max(found, key=lambda one: one.area)


def angles(shape: Polygon) -> NDArray[np.float64]:
    """Return the corner angles of the outer ring in degrees, from 0 to 180."""
    points = np.array(shape.exterior.coords)[:-1]
    before, after = np.roll(points, 1, axis=0) - points, np.roll(points, -1, axis=0) - points
    cosine = (before * after).sum(axis=1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


L_SHAPE = Polygon([(30, 30), (90, 30), (90, 60), (60, 60), (60, 85), (30, 85)])


@settings(deadline=None, max_examples=40)
@given(
    width=st.floats(14, 50),
    height=st.floats(14, 50),
    turn=st.floats(0, 90),
    shift=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_rectangle_comes_back_with_four_corners(
    width: float, height: float, turn: float, shift: tuple[float, float]
) -> None:
    box = affinity.rotate(shapely.box(60 - width / 2, 60 - height / 2, 60 + width / 2, 60 + height / 2), turn)
    box = affinity.translate(box, *shift)
    found, fit = regular_outline(drawn(box), 1.0)
    assert found is not None
    assert len(found.exterior.coords) == 5
    assert angles(found) == pytest.approx(90)
    assert found.intersection(box).area / found.union(box).area > 0.9
    assert fit > 0.9


@pytest.mark.parametrize("turn", [0, 11, 30, 45, 72])
def test_an_l_comes_back_with_six_corners(turn: float) -> None:
    shape = affinity.rotate(L_SHAPE, turn, origin=(60, 60))
    found, _ = regular_outline(drawn(shape), 1.0)
    assert found is not None
    assert len(found.exterior.coords) == 7
    assert sorted(np.round(angles(found))) == [90] * 6
    assert found.intersection(shape).area / found.union(shape).area > 0.93


@pytest.mark.parametrize(
    "shape",
    [
        Polygon([(20, 20), (100, 20), (60, 100)]),  # a triangle
        shapely.Point(60, 60).buffer(40).difference(shapely.Point(75, 60).buffer(35)),  # a crescent
        shapely.LineString([(15, 15), (60, 105), (105, 15)]).buffer(6),  # a wedge
    ],
)
def test_shapes_without_right_angles_keep_their_outline(shape: Polygon) -> None:
    assert regular_outline(drawn(shape), 1.0) == (None, 0.0)


def test_a_court_stays_a_hole_with_right_angles() -> None:
    shape = affinity.rotate(shapely.box(20, 20, 100, 90).difference(shapely.box(45, 40, 75, 70)), 20)
    found, _ = regular_outline(drawn(shape), 1.0)
    assert found is not None
    (hole,) = found.interiors
    assert angles(Polygon(hole)) == pytest.approx(90)
    assert Polygon(hole).area == pytest.approx(900, rel=0.05)


@given(turn=st.floats(0, 89.9))
def test_the_main_direction_is_that_of_the_sides(turn: float) -> None:
    points = np.array(affinity.rotate(L_SHAPE, turn).exterior.coords)[:-1]
    away = (math.degrees(main_direction([points])) - turn) % 90
    assert min(away, 90 - away) < 1e-6


def test_of_two_that_would_overlap_the_worse_gives_way() -> None:
    one, other = shapely.box(0, 0, 10, 10), shapely.box(11, 0, 20, 10)
    wide = shapely.box(0, 0, 12, 10)
    shapes = [Shape((wide, one, one), 0.85), Shape((other, other, other), 0.99)]
    assert without_overlaps(shapes, [0, 1]) == [one, other]


def test_outlines_that_cannot_be_kept_apart_are_those_of_the_pixels() -> None:
    one, other = shapely.box(0, 0, 10, 10), shapely.box(10, 0, 20, 10)
    shapes = [Shape((one.buffer(1), one), 0.0), Shape((other.buffer(1), other), 0.0)]
    assert without_overlaps(shapes, [0, 1]) == [one, other]


def read_preset(folder: Path, seed: int, grid: Grid, preset: str, **given: float) -> NDArray[np.object_]:
    path = random_maps.write_map(folder / "map.tif", random_maps.blobs(seed, grid.shape), grid)
    out = folder / "out.gpkg"
    vectorize_file(path, out, PolygonRules(preset=preset, **given), force=True)  # type: ignore[arg-type]
    return np.array(pyogrio.read_dataframe(out, layer=out.stem).geometry, object)


def overlap_px(shapes: NDArray[np.object_], grid: Grid) -> float:
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    near = one < other
    shared = shapely.area(shapely.intersection(shapes[one[near]], shapes[other[near]]))
    return float(shared.max(initial=0.0)) / abs(grid.transform.determinant)


@pytest.mark.parametrize("degrees", [False, True])
@pytest.mark.parametrize("gsd_m", random_maps.GSDS_M)
def test_footprints_are_valid_and_never_overlap(tmp_path: Path, gsd_m: float, degrees: bool) -> None:
    grid = random_maps.grid_of(gsd_m, (96, 128), degrees=degrees)
    few = 6 * grid.mean_gsd_m() ** 2
    for seed in range(2):
        shapes = read_preset(tmp_path, seed, grid, "buildings", sieve_m2=few, fill_holes_m2=few)
        assert len(shapes) > 1
        assert shapely.is_valid(shapes).all()
        assert set(shapely.get_type_id(shapes).tolist()) == {3}
        assert overlap_px(shapes, grid) < 1e-6


@pytest.mark.slow
def test_a_hundred_thousand_polygons_are_valid(tmp_path: Path) -> None:
    """Over five pixel sizes, in metres and in degrees, with every preset and without."""
    count = 0
    for seed in itertools.count():
        for gsd_m, degrees in itertools.product(random_maps.GSDS_M, (False, True)):
            grid = random_maps.grid_of(gsd_m, (256, 384), degrees=degrees)
            pixel_m2 = grid.mean_gsd_m() ** 2
            for preset, sieve in (("buildings", 5), ("landcover", 4), (None, 0)):
                shapes = read_preset(
                    tmp_path, seed, grid, preset, sieve_m2=sieve * pixel_m2, simplify_m=1.5 * gsd_m  # type: ignore[arg-type]
                )  # fmt: skip
                assert shapely.is_valid(shapes).all(), (seed, gsd_m, degrees, preset)
                if preset == "buildings":
                    assert overlap_px(shapes, grid) < 1e-6, (seed, gsd_m, degrees)
                count += len(shapes)
        if count >= 100_000:
            return
