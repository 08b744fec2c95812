"""A scene seen on another grid: any pixel size, extent and sub-pixel offset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.warp import Resampling, reproject

from array_scene import ArrayScene
from crispmap.errors import GridError
from crispmap.geo.grid import Block, Grid
from crispmap.raster.resample import ResampledScene, SceneOnGrid
from crispmap.raster.scene import read_whole
from crispmap.raster.taps import Interpolation

UTM = CRS.from_epsg(32633)
METHODS = st.sampled_from(["bilinear", "cubic", "nearest", "average"])


def scene_at(values: Any, *, gsd: float = 10.0, x: float = 0.0, y: float = 0.0, valid: Any = None) -> ArrayScene:
    """A scene in UTM whose top left corner is x and y pixels away from a fixed point."""
    scene = ArrayScene(np.asarray(values, np.float32), valid)
    scene.grid = grid_at(scene.grid.shape, gsd=gsd, x=x * gsd, y=y * gsd)
    return scene


def grid_at(shape: tuple[int, int], *, gsd: float = 10.0, x: float = 0.0, y: float = 0.0) -> Grid:
    return Grid(UTM, Affine(gsd, 0, 500_000 + x, 0, -gsd, 5_000_000 - y), shape)


def noise(height: int = 17, width: int = 23) -> Any:
    return np.random.default_rng(0).uniform(0, 255, (2, height, width)).astype(np.float32)


@given(
    gsd=st.sampled_from([3.0, 10.0, 15.0, 37.5]),
    x=st.floats(-90, 90),
    y=st.floats(-90, 90),
    method=METHODS,
    row=st.integers(0, 20),
    col=st.integers(0, 20),
)
@settings(deadline=None, max_examples=80)
def test_any_block_has_the_bits_of_the_whole(
    gsd: float, x: float, y: float, method: Interpolation, row: int, col: int
) -> None:
    valid = np.random.default_rng(1).random((17, 23)) > 0.2
    scene = SceneOnGrid(scene_at(noise(), valid=valid), grid_at((25, 25), gsd=gsd, x=x, y=y), method)
    image, kept = read_whole(scene)
    block = Block(row, col, 5, 5)
    part, part_kept = scene.read(block)
    np.testing.assert_array_equal(part, image[:, *block.slices])
    np.testing.assert_array_equal(part_kept, kept[block.slices])


@given(rows=st.integers(-9, 9), cols=st.integers(-9, 9), method=METHODS)
@settings(deadline=None, max_examples=40)
def test_a_grid_moved_by_whole_pixels_copies_them(rows: int, cols: int, method: Interpolation) -> None:
    values = noise()
    image, kept = read_whole(SceneOnGrid(scene_at(values), grid_at((17, 23), x=10 * cols, y=10 * rows), method))
    expected = np.zeros_like(values)
    inside = Block(rows, cols, 17, 23).intersection(Block(0, 0, 17, 23))
    here = inside.relative_to(Block(rows, cols, 17, 23))
    expected[:, *here.slices] = values[:, *inside.slices]
    np.testing.assert_array_equal(image, expected)
    assert kept.sum() == inside.height * inside.width


@pytest.mark.parametrize(
    ("method", "theirs"),
    [("bilinear", Resampling.bilinear), ("cubic", Resampling.cubic), ("nearest", Resampling.nearest)],
)
@pytest.mark.parametrize(("gsd", "x", "y"), [(10.0, 3.7, -8.1), (5.0, 22.5, 17.5), (4.0, 51.3, 33.9)])
def test_interpolates_as_gdal_does(method: Interpolation, theirs: Resampling, gsd: float, x: float, y: float) -> None:
    values, grid = noise(), grid_at((12, 14), gsd=gsd, x=x, y=y)
    image, kept = read_whole(SceneOnGrid(scene_at(values), grid, method))
    expected = np.full((2, 12, 14), np.nan, np.float32)
    reproject(
        values, expected, src_transform=scene_at(values).grid.transform, src_crs=UTM, dst_transform=grid.transform,
        dst_crs=UTM, resampling=theirs, init_dest_nodata=False, tolerance=0,
    )  # fmt: skip
    inner = kept.copy()
    inner[[0, 1, -2, -1], :] = inner[:, [0, 1, -2, -1]] = False  # GDAL leaves out taps beyond the border
    assert inner.any()
    np.testing.assert_allclose(image[:, inner], expected[:, inner], atol=0.02)


@given(rows=st.integers(0, 3), cols=st.integers(0, 3))
@settings(deadline=None)
def test_coarser_pixels_are_the_mean_of_the_ground_they_cover(rows: int, cols: int) -> None:
    values = noise(16, 16)
    image, kept = read_whole(SceneOnGrid(scene_at(values), grid_at((4, 4), gsd=40, x=10 * cols, y=10 * rows)))
    for row, col in np.ndindex(3, 3):
        covered = values[:, rows + 4 * row : rows + 4 * row + 4, cols + 4 * col : cols + 4 * col + 4]
        np.testing.assert_allclose(image[:, row, col], covered.mean(axis=(1, 2)), rtol=1e-5)
    assert kept[3, 0] == (rows <= 2)  # half of it or more is on the scene


def test_a_whole_scene_at_another_pixel_size_is_the_resampled_one() -> None:
    values = noise()
    for ratio in (0.5, 1.0, 2.5):
        resampled = ResampledScene(scene_at(values), ratio, ratio)
        image, kept = read_whole(SceneOnGrid(scene_at(values), resampled.grid))
        other, other_kept = read_whole(resampled)
        np.testing.assert_array_equal(image[:, kept], other[:, kept])
        assert kept[:-1, :-1].all()
        assert other_kept.all()


def test_cubic_convolution_reproduces_a_parabola() -> None:
    places = np.arange(20) + 0.5
    values = np.broadcast_to((places - 7) ** 2, (1, 20, 20)).copy()
    image, _ = read_whole(SceneOnGrid(scene_at(values), grid_at((8, 20), gsd=4, x=50, y=50), "cubic"))
    centres = 5 + (np.arange(20) + 0.5) * 0.4
    np.testing.assert_allclose(image[0, 4], (centres - 7) ** 2, atol=1e-3)


def test_invalid_pixels_do_not_count_and_nothing_lies_beyond_the_scene() -> None:
    valid = np.ones((4, 4), bool)
    valid[:2, 0] = False
    image, kept = read_whole(SceneOnGrid(scene_at(np.ones((1, 4, 4)), valid=valid), grid_at((4, 3), gsd=20)))
    np.testing.assert_array_equal(kept, [[True, True, False], [True, True, False], *[[False] * 3] * 2])
    np.testing.assert_allclose(image[0], kept)


def test_degrees_a_full_turn_apart_are_one_place() -> None:
    lonlat = CRS.from_epsg(4326)
    scene = ArrayScene(noise())
    scene.grid = Grid(lonlat, Affine(0.1, 0, 179, 0, -0.1, 10), (17, 23))
    image, kept = read_whole(SceneOnGrid(scene, Grid(lonlat, Affine(0.1, 0, -181, 0, -0.1, 10), (17, 23))))
    assert kept.all()
    np.testing.assert_allclose(image, noise(), rtol=1e-5)


@pytest.mark.parametrize(
    "grid",
    [
        Grid(CRS.from_epsg(32634), grid_at((3, 3)).transform, (3, 3)),
        Grid(None, grid_at((3, 3)).transform, (3, 3)),
        Grid(UTM, grid_at((3, 3)).transform @ Affine.rotation(3), (3, 3)),
        Grid(UTM, grid_at((3, 3)).transform @ Affine.scale(1, -1), (3, 3)),
    ],
)
def test_another_crs_and_turned_grids_are_refused(grid: Grid) -> None:
    with pytest.raises(GridError):
        SceneOnGrid(scene_at(noise()), grid)
