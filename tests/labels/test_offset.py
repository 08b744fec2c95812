"""The systematic offset of labels: recovered where it can be, and doubted where not."""

from __future__ import annotations

import math
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from scipy import ndimage

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError, LabelError
from crispmap.geo.grid import Grid
from crispmap.geo.local_plane import metres_per_pixel
from crispmap.labels.noise import move
from crispmap.labels.offset import estimate_offset
from crispmap.labels.rasterize import rasterize
from crispmap.labels.vectors import read_vectors
from crispmap.types import IGNORE

ONE = ClassSchema((ClassDef("background", "#000000"), ClassDef("roof", "#ffffff")))
PLAIN = Grid(None, Affine.identity(), (200, 240))


def roofs(grid: Grid, dcol: float = 0.0, drow: float = 0.0, count: int = 40) -> np.ndarray:
    """Membership 0..1 of random boxes, shifted by pixels, edges anti-aliased."""
    rng = np.random.default_rng(1)
    height, width = grid.shape
    share = np.zeros(grid.shape)
    for row, col, tall, wide in rng.uniform((20, 20, 6, 6), (height - 20, width - 20, 18, 18), (count, 4)):
        rows = np.clip(np.arange(height) + 1 - (row + drow), 0, 1) * np.clip(
            row + drow + tall - np.arange(height), 0, 1
        )
        cols = np.clip(np.arange(width) + 1 - (col + dcol), 0, 1) * np.clip(col + dcol + wide - np.arange(width), 0, 1)
        share = np.maximum(share, np.outer(rows, cols))
    return share


def picture(share: np.ndarray, seed: int = 0) -> np.ndarray:
    """Three bands in which some roofs are brighter than their ground and some darker, with texture and noise."""
    rng = np.random.default_rng(seed)
    names, _ = ndimage.label(share > 0)
    tones = rng.choice([-60.0, 60.0], names.max() + 1)[names] * share
    ground = ndimage.gaussian_filter(rng.normal(0, 200, share.shape), 4)
    return np.stack([120 + ground + tones + rng.normal(0, 6, share.shape) for _ in range(3)]).astype(np.float32)


@given(dcol=st.floats(-8, 8), drow=st.floats(-8, 8))
@settings(max_examples=15, deadline=None)
def test_a_known_shift_is_recovered_within_half_a_pixel(dcol: float, drow: float) -> None:
    labels = (roofs(PLAIN, dcol, drow) > 0.5).astype(np.uint8)
    found = estimate_offset(labels, picture(roofs(PLAIN)), PLAIN, max_shift_m=10)
    assert math.hypot(found.dx_m - dcol, found.dy_m - drow) < 0.5
    assert found.reliable
    assert found.note == ""
    assert found.confidence > 0.5


@pytest.mark.parametrize("sigma", [1.0, 4.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_give_it_too(sigma: float, classes: int) -> None:
    truth, labels = (roofs(PLAIN, *shift) > 0.5 for shift in ((0, 0), (5, -3)))
    one_hot = np.zeros((classes, *PLAIN.shape))
    one_hot[0], one_hot[-1] = ~truth, truth
    scores = ndimage.gaussian_filter(one_hot, (0, sigma, sigma)).astype(np.float32)
    found = estimate_offset(labels.astype(np.uint8) * (classes - 1), scores, PLAIN, max_shift_m=10, kind="scores")
    assert (found.dx_m, found.dy_m) == pytest.approx((5, -3), abs=0.5)
    assert found.reliable


@pytest.mark.parametrize(
    "grid",
    [
        Grid(CRS.from_epsg(32631), Affine(0.5, 0, 450_000, 0, -0.5, 5_400_000), (200, 240)),
        Grid(CRS.from_epsg(3857), Affine(1.0, 0, 1_113_194, 0, -1.0, 8_399_737), (200, 240)),
        Grid(CRS.from_epsg(4326), Affine(9e-6, 0, 10, 0, -4.5e-6, 60), (200, 240)),
        Grid(
            CRS.from_epsg(32631),
            Affine.translation(450_000, 5_400_000) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5),
            (200, 240),
        ),
    ],
)
def test_the_offset_is_metres_east_and_north_in_any_crs(grid: Grid) -> None:
    frame_roofs = [
        shapely.Polygon([grid.transform @ corner for corner in shapely.box(c, r, c + 11, r + 8).exterior.coords])
        for r, c in np.random.default_rng(3).integers(15, 180, (40, 2))
    ]
    frame = gpd.GeoDataFrame({"class_id": [1] * 40, "width_m": [math.nan] * 40}, geometry=frame_roofs, crs=grid.crs)
    image = picture(rasterize(frame, grid, ONE).astype(float))
    moved = move(frame, 3.0, -2.0)
    found = estimate_offset(rasterize(moved, grid, ONE), image, grid, max_shift_m=5)
    pixel = grid.mean_gsd_m()
    assert (found.dx_m, found.dy_m) == pytest.approx((3.0, -2.0), abs=pixel / 2)
    mended = estimate_offset(rasterize(move(moved, -found.dx_m, -found.dy_m), grid, ONE), image, grid, max_shift_m=5)
    assert math.hypot(mended.dx_m, mended.dy_m) < pixel / 2


def test_metres_per_pixel_is_the_transform_on_the_ground() -> None:
    np.testing.assert_allclose(metres_per_pixel(Grid(None, Affine(2, 0, 5, 0, -3, 5), (9, 9))), [[2, 0], [0, -3]])
    lonlat = metres_per_pixel(Grid(CRS.from_epsg(4326), Affine(1e-5, 0, 10, 0, -1e-5, 60.0005), (100, 100)))
    np.testing.assert_allclose(lonlat, [[0.55800, 0], [0, -1.11414]], atol=2e-4)


# --- doubt -------------------------------------------------------------------------------------------------------


def test_an_unrelated_image_is_not_trusted() -> None:
    labels = (roofs(PLAIN) > 0.5).astype(np.uint8)
    for seed in range(5):
        noise = np.random.default_rng(seed).normal(0, 50, (3, *PLAIN.shape)).astype(np.float32)
        image = ndimage.gaussian_filter(noise, (0, 1, 1))
        found = estimate_offset(labels, image, PLAIN, max_shift_m=10)
        assert not found.reliable
        assert found.note
    flat = estimate_offset(labels, np.zeros((1, *PLAIN.shape), np.float32), PLAIN, max_shift_m=10)
    assert flat.confidence == 0
    assert "Other shifts fit nearly as well" in flat.note
    assert not flat.reliable


def test_a_shift_beyond_the_search_is_reported() -> None:
    labels = (roofs(PLAIN, 12, 0) > 0.5).astype(np.uint8)
    found = estimate_offset(labels, picture(roofs(PLAIN)), PLAIN, max_shift_m=5)
    assert not found.reliable
    assert "max_shift_m" in found.note


def test_parts_that_disagree_are_reported() -> None:
    truth = roofs(PLAIN)
    left, right = roofs(PLAIN, -5, 4), roofs(PLAIN, 5, -4)
    mixed = np.where(np.arange(240) < 120, left, right) > 0.5
    assert not estimate_offset(mixed.astype(np.uint8), picture(truth), PLAIN, max_shift_m=10).reliable


def test_a_single_straight_road_leaves_its_direction_open() -> None:
    labels = np.zeros(PLAIN.shape, np.uint8)
    labels[100:107] = 1
    image = np.repeat((labels == 1).astype(np.float32)[None] * 50, 3, axis=0)
    image += np.random.default_rng(0).normal(0, 3, image.shape).astype(np.float32)
    assert not estimate_offset(labels, image, PLAIN, max_shift_m=10).reliable


def test_ignored_and_invalid_ground_does_not_count() -> None:
    truth = roofs(PLAIN)
    labels = (roofs(PLAIN, 4, 2) > 0.5).astype(np.uint8)
    image = picture(truth)
    hole = np.zeros(PLAIN.shape, bool)
    hole[:, 100:160] = True
    image[:, hole] = 5000.0
    labels[:30] = IGNORE
    found = estimate_offset(labels, image, PLAIN, max_shift_m=10, valid=~hole)
    assert (found.dx_m, found.dy_m) == pytest.approx((4, 2), abs=0.5)
    assert found.reliable


# --- bad input ---------------------------------------------------------------------------------------------------


def test_labels_of_one_class_are_an_error() -> None:
    image = np.zeros((1, *PLAIN.shape), np.float32)
    for value in (0, 1, IGNORE):
        with pytest.raises(LabelError, match="no outline"):
            estimate_offset(np.full(PLAIN.shape, value, np.uint8), image, PLAIN, max_shift_m=10)


@pytest.mark.parametrize("shift", [0.5, 51.0, math.nan, math.inf])
def test_the_search_must_fit_the_scene(shift: float) -> None:
    with pytest.raises(InputError, match="max_shift_m"):
        estimate_offset(np.eye(200, 240).astype(np.uint8), picture(roofs(PLAIN)), PLAIN, max_shift_m=shift)


def test_shapes_must_agree() -> None:
    labels, image = np.zeros(PLAIN.shape, np.uint8), np.zeros((3, *PLAIN.shape), np.float32)
    for bad_labels, bad_image in ((labels[:-1], image), (labels, image[:, :-1]), (labels, image[0])):
        with pytest.raises(InputError, match="shape"):
            estimate_offset(bad_labels, bad_image, PLAIN, max_shift_m=10)


# --- real scenes -------------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("scene", "vectors", "factor"),
    [
        ("banepa/banepa_rgb.tif", "banepa/banepa_osm_buildings.geojson", 4),
        ("kampala/A_z20_rgb.tif", "kampala/A_buildings.geojson", 3),
        ("spacenet/atlanta_pan.tif", "spacenet/atlanta_buildings.geojson", 1),
    ],
)
def test_a_known_shift_of_real_buildings_is_recovered(real_data: Path, scene: str, vectors: str, factor: int) -> None:
    with rasterio.open(real_data / scene) as file:
        height, width = file.height // factor, file.width // factor
        image = file.read()[:, : height * factor, : width * factor].astype(np.float32)
        transform = file.transform @ Affine.scale(factor)
        grid = Grid(CRS.from_wkt(file.crs.to_wkt()), transform, (height, width))
    image = image.reshape(len(image), height, factor, width, factor).mean(axis=(2, 4))
    features = read_vectors(real_data / vectors, ONE, grid=grid)
    still = estimate_offset(rasterize(features, grid, ONE), image, grid, max_shift_m=12)
    moved = estimate_offset(rasterize(move(features, 3.0, -2.0), grid, ONE), image, grid, max_shift_m=12)
    assert still.reliable
    assert moved.reliable
    step = moved.dx_m - still.dx_m, moved.dy_m - still.dy_m
    assert math.dist(step, (3.0, -2.0)) < grid.mean_gsd_m()
    flipped = np.ascontiguousarray(rasterize(features, grid, ONE)[::-1])
    assert not estimate_offset(flipped, image, grid, max_shift_m=12).reliable
