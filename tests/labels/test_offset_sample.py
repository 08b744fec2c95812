"""The offset over a whole scene: that of the whole, read from few windows."""

from __future__ import annotations

import math

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from scipy import ndimage

from array_scene import ArrayScene
from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError, LabelError
from crispmap.geo.grid import Grid
from crispmap.labels import offset_sample
from crispmap.labels.noise import move
from crispmap.labels.offset import estimate_offset
from crispmap.labels.offset_sample import estimate_offset_on
from crispmap.labels.rasterize import rasterize
from crispmap.raster.scene import read_whole
from crispmap.types import FloatArray
from recorder import Recorder

ONE = ClassSchema((ClassDef("background", "#000000"), ClassDef("roof", "#ffffff")))


def place(side_px: int = 400, gsd_m: float = 0.5) -> tuple[Grid, gpd.GeoDataFrame]:
    """A grid in UTM and square roofs of 6 m, one in every 15 m, here and there."""
    grid = Grid(CRS.from_epsg(32631), Affine(gsd_m, 0, 450_000, 0, -gsd_m, 5_400_000), (side_px, side_px))
    count = int(side_px * gsd_m / 15)
    corners = np.array([(col, row) for col in range(count) for row in range(count)]) * 15.0
    corners += np.random.default_rng(0).uniform(1, 8, corners.shape)
    roofs = [shapely.box(450_000 + x, 5_400_000 - y - 6, 450_000 + x + 6, 5_400_000 - y) for x, y in corners]
    frame = gpd.GeoDataFrame(
        {"class_id": [1] * len(roofs), "width_m": [math.nan] * len(roofs)}, geometry=roofs, crs=grid.crs
    )
    return grid, frame


def picture(frame: gpd.GeoDataFrame, grid: Grid) -> FloatArray:
    """Roofs brighter and darker than their ground, with texture."""
    rng = np.random.default_rng(0)
    roofs = rasterize(frame, grid, ONE)
    tones = rng.choice([-60.0, 60.0], len(frame) + 9)[ndimage.label(roofs)[0]] * roofs
    ground = ndimage.gaussian_filter(rng.normal(0, 200, grid.shape), 4)
    return (120 + ground + tones + rng.normal(0, 6, grid.shape))[None].astype(np.float32)


GRID, ROOFS = place()
IMAGE = picture(ROOFS, GRID)


@given(dx=st.floats(-6, 6), dy=st.floats(-6, 6))
@settings(max_examples=8, deadline=None)
def test_one_window_gives_what_the_whole_scene_gives(dx: float, dy: float) -> None:
    moved = move(ROOFS, dx, dy)
    sampled = estimate_offset_on(ArrayScene(IMAGE, grid=GRID), moved, ONE, max_shift_m=8)
    whole = estimate_offset(rasterize(moved, GRID, ONE), IMAGE, GRID, max_shift_m=8)
    assert sampled.offset == whole
    assert (sampled.windows, sampled.windows_in_all) == (1, 1)
    assert math.hypot(sampled.offset.dx_m - dx, sampled.offset.dy_m - dy) < 0.3


@pytest.mark.parametrize("window_px", [200, 130, 64, 50])
def test_few_windows_give_it_too_and_read_no_more_than_themselves(
    monkeypatch: pytest.MonkeyPatch, window_px: int
) -> None:
    monkeypatch.setattr(offset_sample, "WINDOW_PX", window_px)
    scene = ArrayScene(IMAGE, grid=GRID)
    recorder = Recorder()
    found = estimate_offset_on(scene, move(ROOFS, 3, -2), ONE, max_shift_m=5, events=recorder)
    assert (found.offset.dx_m, found.offset.dy_m) == pytest.approx((3, -2), abs=0.3)
    assert found.offset.reliable
    assert found.windows == min(math.ceil(400 / window_px) ** 2, offset_sample.MOST_WINDOWS)
    assert len(scene.blocks_read) == found.windows
    assert max(max(block.shape) for block in scene.blocks_read) <= window_px + 2 * (10 + 16 + 8)
    assert recorder.last.done == list(range(found.windows + 1))
    again = estimate_offset_on(ArrayScene(IMAGE, grid=GRID), move(ROOFS, 3, -2), ONE, max_shift_m=5)
    assert again == found


def test_windows_without_labels_or_data_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offset_sample, "WINDOW_PX", 100)
    corner = ROOFS[ROOFS.within(shapely.box(450_000, 5_399_905, 450_095, 5_400_000))]
    valid = np.ones(GRID.shape, bool)
    valid[:100, :100] = False
    found = estimate_offset_on(ArrayScene(IMAGE, valid, grid=GRID), move(corner, 2, 1), ONE, max_shift_m=5)
    assert (found.windows, found.windows_in_all) == (3, 4)
    assert (found.offset.dx_m, found.offset.dy_m) == pytest.approx((2, 1), abs=0.4)


def test_fine_pixels_are_averaged_first() -> None:
    grid, roofs = place(side_px=700, gsd_m=0.1)
    found = estimate_offset_on(ArrayScene(picture(roofs, grid), grid=grid), move(roofs, 1.5, -1), ONE, max_shift_m=4)
    assert found.gsd_m == pytest.approx(offset_sample.LEAST_GSD_M, rel=0.01)
    assert (found.offset.dx_m, found.offset.dy_m) == pytest.approx((1.5, -1), abs=0.15)


def test_a_wide_search_uses_larger_pixels() -> None:
    found = estimate_offset_on(ArrayScene(IMAGE, grid=GRID), ROOFS, ONE, max_shift_m=50)
    assert found.gsd_m == pytest.approx(0.5, rel=0.01)
    grid, roofs = place(side_px=400, gsd_m=0.3)
    found = estimate_offset_on(ArrayScene(picture(roofs, grid), grid=grid), roofs, ONE, max_shift_m=30)
    assert found.gsd_m == pytest.approx(0.3, rel=0.01)


def test_scores_are_compared_with_their_sign() -> None:
    truth = rasterize(ROOFS, GRID, ONE).astype(np.float32)
    for scores, near in ((np.stack([1 - truth, truth]), True), (np.stack([truth, 1 - truth]), False)):
        blurred = ndimage.gaussian_filter(scores, (0, 2, 2))
        found = estimate_offset_on(
            ArrayScene(blurred, grid=GRID), move(ROOFS, 2, -3), ONE, max_shift_m=5, kind="scores"
        )
        assert (math.dist((found.offset.dx_m, found.offset.dy_m), (2, -3)) < 0.3) is near


def test_what_cannot_be_compared_is_reported() -> None:
    far = ROOFS.translate(1e5)
    elsewhere = ROOFS.set_geometry(far)
    with pytest.raises(LabelError, match="memory"):
        estimate_offset_on(ArrayScene(IMAGE, grid=GRID), elsewhere, ONE, max_shift_m=5)
    with pytest.raises(LabelError, match="no outline"):
        estimate_offset_on(ArrayScene(IMAGE, np.zeros(GRID.shape, bool), grid=GRID), ROOFS, ONE, max_shift_m=5)
    for shift in (0.3, 51.0, math.nan):
        with pytest.raises(InputError, match="max_shift_m"):
            estimate_offset_on(ArrayScene(IMAGE, grid=GRID), ROOFS, ONE, max_shift_m=shift)


def test_a_held_scene_is_read_as_any() -> None:
    assert read_whole(ArrayScene(IMAGE, grid=GRID))[0].shape == (1, 400, 400)
