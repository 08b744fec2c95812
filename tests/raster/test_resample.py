from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from array_scene import ArrayScene
from crispmap.errors import GridError
from crispmap.geo.grid import Block
from crispmap.raster.files import open_scene
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene, read_whole
from crispmap.raster.taps import Axis
from crispmap.types import BoolArray, FloatArray

Maker = Callable[..., Path]
RATIOS = st.one_of(st.sampled_from([1.0, 2.0, 3.0, 1.5, 0.5, 0.25]), st.floats(0.2, 8.0))
COARSER = st.one_of(st.sampled_from([1.0, 2.0, 3.0, 1.5]), st.floats(1.0, 9.0))


def area_weights(start: int, count: int, ratio: float, in_start: int, in_count: int) -> FloatArray:
    return Axis(ratio, in_count, in_start).taps(start, count, "average").dense(in_start, in_count)


def bilinear_weights(start: int, count: int, ratio: float, in_start: int, in_count: int) -> FloatArray:
    """Weights of pixels that are ``ratio`` times finer."""
    return Axis(1 / ratio, in_count, in_start).taps(start, count, "bilinear").dense(in_start, in_count)


def noise(height: int, width: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(0, 255, (2, height, width)).astype(np.float32)


def area_matrix(out_count: int, in_count: int, ratio: float) -> Any:
    """Overlap by brute force, pixel by pixel."""
    matrix = np.zeros((out_count, in_count))
    for i in range(out_count):
        for j in range(in_count):
            matrix[i, j] = max(0.0, min((i + 1) * ratio, j + 1) - max(i * ratio, j))
    return matrix / matrix.sum(axis=1, keepdims=True)


# --- weights ------------------------------------------------------------------------------------------------


@given(ratio=COARSER, in_count=st.integers(1, 40), start=st.integers(0, 20), count=st.integers(0, 20))
@settings(deadline=None, max_examples=150)
def test_area_weights_are_overlaps_and_rows_sum_to_one(ratio: float, in_count: int, start: int, count: int) -> None:
    size = math.ceil(in_count / ratio - 1e-6)
    expected = area_matrix(size, in_count, ratio)
    np.testing.assert_allclose(area_weights(0, size, ratio, 0, in_count), expected, atol=1e-6)
    part = area_weights(start, count, ratio, 0, in_count)
    assert part.shape == (count, in_count)
    assert part.dtype == np.float32
    np.testing.assert_allclose(part.sum(axis=1), 1, atol=1e-6)
    assert (part >= 0).all()


def test_area_weights_start_where_the_inputs_start() -> None:
    whole = area_weights(0, 20, 2.5, 0, 50)
    np.testing.assert_array_equal(area_weights(4, 3, 2.5, 10, 8), whole[4:7, 10:18])


def test_area_weights_of_a_pixel_that_touches_no_input_take_the_nearest() -> None:
    np.testing.assert_array_equal(area_weights(-3, 2, 2.0, 0, 3), [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(area_weights(9, 1, 2.0, 0, 3), [[0, 0, 1]])


@given(ratio=st.integers(1, 9), count=st.integers(1, 9))
@settings(deadline=None, max_examples=50)
def test_area_weights_of_a_whole_ratio_are_the_block_mean(ratio: int, count: int) -> None:
    line = np.random.default_rng(0).normal(size=ratio * count)
    means = area_weights(0, count, ratio, 0, ratio * count) @ line
    np.testing.assert_allclose(means, line.reshape(count, ratio).mean(axis=1), atol=1e-6)


@given(
    ratio=st.one_of(st.sampled_from([1.0, 2.0, 4.0]), st.floats(0.5, 9)),
    in_start=st.integers(0, 9),
    in_count=st.integers(1, 20),
    start=st.integers(-5, 60),
    count=st.integers(0, 30),
)
@settings(deadline=None, max_examples=150)
def test_bilinear_weights_interpolate_between_centres(
    ratio: float, in_start: int, in_count: int, start: int, count: int
) -> None:
    weights = bilinear_weights(start, count, ratio, in_start, in_count)
    assert weights.shape == (count, in_count)
    assert weights.dtype == np.float32
    places = np.arange(in_start, in_start + in_count)
    centres = (np.arange(start, start + count) + 0.5) / ratio - 0.5
    line = np.random.default_rng(1).normal(size=in_count)
    np.testing.assert_allclose(weights @ line, np.interp(centres, places, line), atol=1e-5)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)


@given(ratio=st.integers(1, 8), count=st.integers(1, 12))
@settings(deadline=None, max_examples=50)
def test_bilinear_weights_are_torchs_and_scipys(ratio: int, count: int) -> None:
    line = np.random.default_rng(2).normal(size=count).astype(np.float32)
    ours = bilinear_weights(0, count * ratio, ratio, 0, count) @ line
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(line)[None, None], scale_factor=ratio, mode="linear", align_corners=False
    )
    np.testing.assert_allclose(ours, theirs[0, 0].numpy(), atol=1e-5)
    zoomed = ndimage.zoom(line, ratio, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(ours, zoomed, atol=1e-5)


# --- scenes -------------------------------------------------------------------------------------------------


def blocks_together(scene: Scene, rng: np.random.Generator) -> tuple[FloatArray, BoolArray]:
    """Read a scene through a random cut in random order."""
    image = np.full((scene.band_count, *scene.grid.shape), np.nan, np.float32)
    valid = np.zeros(scene.grid.shape, bool)

    def cuts(size: int) -> list[int]:
        return [0, *sorted(set(rng.integers(0, size, 3).tolist()) - {0}), size]

    rows, cols = cuts(scene.grid.height), cuts(scene.grid.width)
    blocks = [Block(r, c, r2 - r, c2 - c) for r, r2 in pairwise(rows) for c, c2 in pairwise(cols)]
    for index in rng.permutation(len(blocks)):
        part = scene.read(blocks[index])
        image[:, *blocks[index].slices], valid[blocks[index].slices] = part
    return image, valid


@given(
    ratio_y=RATIOS,
    ratio_x=RATIOS,
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    holes=st.sampled_from([0.0, 0.3, 0.7]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=120)
def test_any_cut_gives_the_same_bits(
    ratio_y: float, ratio_x: float, height: int, width: int, holes: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    scene = ResampledScene(
        ArrayScene(noise(height, width, seed), rng.random((height, width)) >= holes), ratio_y, ratio_x
    )
    image, valid = read_whole(scene)
    cut_image, cut_valid = blocks_together(scene, rng)
    np.testing.assert_array_equal(image, cut_image)
    np.testing.assert_array_equal(valid, cut_valid)


@given(ratio_y=COARSER, ratio_x=COARSER, height=st.integers(1, 25), width=st.integers(1, 25), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=100)
def test_coarser_pixels_are_the_mean_of_the_valid_area(
    ratio_y: float, ratio_x: float, height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    source = ArrayScene(noise(height, width, seed), rng.random((height, width)) < 0.7)
    scene = ResampledScene(source, ratio_y, ratio_x)
    image, valid = read_whole(scene)
    rows = area_matrix(scene.grid.height, height, ratio_y)
    cols = area_matrix(scene.grid.width, width, ratio_x)
    share = rows @ source.valid @ cols.T
    clear = np.abs(share - 0.5) > 1e-4
    np.testing.assert_array_equal(valid[clear], (share >= 0.5)[clear])
    expected = rows @ source.image.astype(float) @ cols.T / np.where(share > 0, share, 1)
    np.testing.assert_allclose(image[:, valid], expected[:, valid], rtol=1e-5)
    assert (image[:, ~valid] == 0).all()


def test_exactly_half_the_area_is_enough() -> None:
    valid = np.array([[True, False], [False, True]])
    _, kept = read_whole(ResampledScene(ArrayScene(noise(2, 2), valid), 2, 2))
    assert kept.all()
    _, kept = read_whole(ResampledScene(ArrayScene(noise(3, 2), np.array([[1, 0], [1, 0], [1, 0]]) > 0), 3, 2))
    assert kept.all()


@given(ratio=st.integers(2, 6), size=st.integers(1, 10))
@settings(deadline=None, max_examples=30)
def test_finer_pixels_are_torchs_bilinear(ratio: int, size: int) -> None:
    source = ArrayScene(noise(size, size + 1))
    image, valid = read_whole(ResampledScene(source, 1 / ratio, 1 / ratio))
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(source.image)[None], scale_factor=ratio, mode="bilinear", align_corners=False
    )[0].numpy()
    assert valid.all()
    np.testing.assert_allclose(image, theirs, atol=1e-3)


def test_ratio_one_is_identity() -> None:
    source = ArrayScene(noise(9, 7), np.random.default_rng(0).random((9, 7)) > 0.4)
    image, valid = read_whole(ResampledScene(source, 1, 1))
    np.testing.assert_array_equal(image, source.image)
    np.testing.assert_array_equal(valid, source.valid)


@given(ratio_y=RATIOS, ratio_x=RATIOS, height=st.integers(1, 20), width=st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_a_constant_stays_constant_and_nothing_leaves_the_range(
    ratio_y: float, ratio_x: float, height: int, width: int
) -> None:
    rng = np.random.default_rng(0)
    image = noise(height, width)
    image[0] = 42
    scene = ResampledScene(ArrayScene(image, rng.random((height, width)) > 0.2), ratio_y, ratio_x)
    result, valid = read_whole(scene)
    np.testing.assert_allclose(result[0, valid], 42, rtol=1e-5)
    if valid.any():
        assert result[1, valid].min() >= image[1].min() * (1 - 1e-5)
        assert result[1, valid].max() <= image[1].max() * (1 + 1e-5)


@pytest.mark.parametrize("ratio", [0.5, 2.0, 1.7])
def test_blocks_outside_are_reflected_about_the_resampled_border(ratio: float) -> None:
    scene = ResampledScene(ArrayScene(noise(11, 8)), ratio, ratio)
    whole, _ = read_whole(scene)
    image, _ = scene.read(scene.grid.block.padded(30))
    np.testing.assert_array_equal(image, np.pad(whole, [(0, 0), (30, 30), (30, 30)], mode="symmetric"))


def test_a_bilinear_ramp_stays_a_ramp() -> None:
    ramp = np.broadcast_to(np.arange(20.0) + 0.5, (1, 4, 20))
    image, _ = read_whole(ResampledScene(ArrayScene(ramp), 1, 0.4))
    centres = (np.arange(50) + 0.5) * 0.4
    inner = (centres > 0.5) & (centres < 19.5)
    np.testing.assert_allclose(image[0, 0, inner], centres[inner], rtol=1e-5)


def test_the_grid_covers_the_same_extent() -> None:
    source = ArrayScene(noise(10, 7), gsd=(3.0, 3.0))
    scene = ResampledScene(source, 2.5, 0.5)
    assert scene.grid.shape == (4, 14)
    assert scene.grid.bounds == source.grid.bounds
    assert scene.grid.gsd_m() == pytest.approx((1.5, 7.5))
    assert scene.band_names == source.band_names


@pytest.mark.parametrize("ratio", [300.0, 700.5])
def test_a_large_ratio_is_read_piece_by_piece(ratio: float) -> None:
    source = ArrayScene(noise(5000, 4300))
    image, _ = read_whole(ResampledScene(source, ratio, ratio))
    assert max(max(block.shape) for block in source.blocks_read) <= 2048 + 1 + ratio
    rows = area_weights(0, image.shape[1], ratio, 0, 5000).astype(float)
    cols = area_weights(0, image.shape[2], ratio, 0, 4300).astype(float)
    np.testing.assert_allclose(image, rows @ source.image @ cols.T, rtol=1e-4)


def test_closing_closes_the_scene_looked_at() -> None:
    source = ArrayScene(noise(2, 2))
    with ResampledScene(source, 2, 2):
        assert not source.closed
    assert source.closed


@pytest.mark.parametrize(("y", "x"), [(0, 1), (1, -2), (math.nan, 1), (1, math.inf)])
def test_a_ratio_out_of_range_is_an_error(y: float, x: float) -> None:
    with pytest.raises(GridError, match="Resampling ratios"):
        ResampledScene(ArrayScene(noise(2, 2)), y, x)


@pytest.mark.realdata
@pytest.mark.parametrize("factor", [2, 4])
def test_kampala_zooms_agree_where_they_lie(real_data: Path, factor: int) -> None:
    """One extent at three zooms: the finer ones averaged match the coarse one, best without any shift."""
    name = {2: "A_z20_rgb.tif", 4: "A_z21_rgb.tif"}[factor]
    with open_scene(real_data / "kampala/A_z19_rgb.tif") as coarse, open_scene(real_data / "kampala" / name) as fine:
        reference, _ = read_whole(coarse)
        scene = ResampledScene(fine, factor, factor)
        assert scene.grid.is_close(coarse.grid)
        image, valid = read_whole(scene)
        shifted, _ = fine.read(Block(1, 1, *fine.grid.shape))
    assert valid.all()
    shifted, _ = read_whole(ResampledScene(ArrayScene(shifted), factor, factor))
    alike = np.corrcoef(image.ravel(), reference.ravel())[0, 1]
    assert alike > 0.97
    assert alike > np.corrcoef(shifted.ravel(), reference.ravel())[0, 1]


@pytest.mark.realdata
def test_banepa_at_half_a_metre_has_square_pixels(real_data: Path) -> None:
    with open_scene(real_data / "banepa/banepa_rgb.tif", gsd_m=0.5) as scene:
        assert scene.grid.gsd_m() == pytest.approx((0.5, 0.5), rel=1e-3)
        image, valid = read_whole(scene)
    assert valid.all()
    with open_scene(real_data / "banepa/banepa_rgb.tif") as scene:
        np.testing.assert_allclose(image.mean(), read_whole(scene)[0].mean(), rtol=1e-3)
