"""Discontinuities at patch borders: closed forms, and no dependence on how the raster is read."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from array_scene import ArrayScene
from crispmap.errors import InputError
from crispmap.evaluation import discontinuity
from crispmap.evaluation.discontinuity import Discontinuity, measure_discontinuity
from crispmap.geo.grid import Block


def by_hand(maps, valid, period, phase):
    """Every pair of neighbours, one by one."""
    sums, pairs = np.zeros(period), np.zeros(period, int)
    _, height, width = maps.shape
    for row in range(height):
        for col in range(width):
            for to_row, to_col, place in ((row + 1, col, row + 1 - phase[0]), (row, col + 1, col + 1 - phase[1])):
                if to_row < height and to_col < width and valid[row, col] and valid[to_row, to_col]:
                    sums[place % period] += np.abs(maps[:, to_row, to_col] - maps[:, row, col]).sum()
                    pairs[place % period] += len(maps)
    return sums, pairs


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 13), st.integers(1, 13)),
    period=st.integers(2, 7),
    phase=st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
    side=st.integers(1, 14),
)
@settings(deadline=None, max_examples=40)
def test_every_pair_of_neighbours_counts_once_however_it_is_read(seed, shape, period, phase, side):
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(2, *shape)).astype(np.float32)
    valid = rng.random(shape) < 0.8
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(discontinuity, "_BLOCK_PX", side)
        found = measure_discontinuity(ArrayScene(maps, valid), period_px=period, phase_px=phase, probabilities=False)
    sums, pairs = by_hand(maps.astype(float), valid, period, phase)
    np.testing.assert_allclose(found.sums, sums, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(found.pairs, pairs)


def test_a_linear_ramp_has_none():
    rows, cols = np.mgrid[:64, :80]
    found = measure_discontinuity(ArrayScene([2.0 * rows + 3.0 * cols]), probabilities=False)
    # Steps along rows are 2, along columns 3; inside and across the pairs of both kinds differ in number.
    assert found.sums[0] == 2.0 * 3 * 80 + 3.0 * 4 * 64
    even = measure_discontinuity(ArrayScene([2.0 * rows + 2.0 * cols]), probabilities=False)
    assert even.ratio == 1.0
    np.testing.assert_array_equal(even.sums / even.pairs, np.full(16, 2.0))


def test_blocks_of_one_value_each_jump_at_borders_only():
    blocks = np.kron(np.random.default_rng(0).normal(size=(4, 5)), np.ones((16, 16)))
    found = measure_discontinuity(ArrayScene([blocks]), probabilities=False)
    assert found.ratio == math.inf
    assert found.inner_jump == 0 < found.border_jump
    # Sought 8 pixels off, the same jumps lie in the middle of the patches.
    off = measure_discontinuity(ArrayScene([blocks]), probabilities=False, phase_px=(8, 8))
    assert off.ratio == 0
    assert np.flatnonzero(off.sums).tolist() == [8]


def test_a_ramp_with_a_step_at_every_border_has_the_ratio_of_the_steps():
    cols = np.arange(160)
    found = measure_discontinuity(ArrayScene([[0.5 * cols + 2.5 * (cols // 16)]]), probabilities=False)
    assert found.ratio == pytest.approx(3.0 / 0.5)
    assert (found.pairs[0], found.pairs[1:].sum()) == (9, 150)


@given(
    heights=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    extra=st.integers(0, 20),
    patches=st.integers(2, 4),
    upright=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_at_a_stride_a_border_is_compared_with_its_own_place_alone(heights, extra, patches, upright):
    # The step at place i of the stride is heights[i], and higher by ``extra`` at borders.
    stride, period = len(heights), len(heights) * patches
    places = np.arange(3 * period)
    steps = np.array(heights)[places % stride] + extra * (places % period == 0)
    line = np.cumsum(steps)[None]
    found = measure_discontinuity(ArrayScene([line.T if upright else line]), period_px=period, probabilities=False)
    assert found.ratio_at(stride) == (heights[0] + extra) / heights[0]


@given(seed=st.integers(0, 2**32 - 1), period=st.integers(2, 24))
@settings(deadline=None, max_examples=40)
def test_at_any_stride_the_ratio_is_that_of_the_means_by_place(seed, period):
    rng = np.random.default_rng(seed)
    found = Discontinuity(rng.uniform(0.1, 9, period), rng.integers(1, 50, period))
    assert found.ratio_at(1) == found.ratio == found.border_jump / found.inner_jump
    for stride in [n for n in range(1, period) if period % n == 0]:
        inner = found.sums[stride::stride].sum() / found.pairs[stride::stride].sum()
        assert found.ratio_at(stride) == pytest.approx(found.border_jump / inner)


def repeated(cells, stride):
    return np.kron(cells, np.ones((stride, stride)))


def interpolated(cells, stride):
    """Bilinear: a cell's own value is in its middle."""
    for axis, length in enumerate(cells.shape):
        middles, pixels = (np.arange(length) + 0.5) * stride, np.arange(length * stride) + 0.5
        cells = np.apply_along_axis(lambda line: np.interp(pixels, middles, line), axis, cells)  # noqa: B023
    return cells


@pytest.mark.parametrize("upsampled", [repeated, interpolated])
@given(seed=st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=8)
def test_upsampled_scores_have_no_borders_at_their_stride_unless_they_have_patches(upsampled, seed):
    rng = np.random.default_rng(seed)
    smooth = upsampled(rng.normal(size=(64, 64)), 4)
    without = measure_discontinuity(ArrayScene([smooth]), probabilities=False)
    assert without.ratio_at(4) == pytest.approx(1, abs=0.12)
    assert without.ratio > 1.05  # 5 and 15 / 13 of an endless raster
    patches = smooth + repeated(rng.normal(0, 4, (16, 16)), 16)
    with_patches = measure_discontinuity(ArrayScene([patches]), probabilities=False)
    assert min(with_patches.ratio, with_patches.ratio_at(4)) > 2


def test_a_stride_as_long_as_the_period_leaves_nothing_to_compare_with():
    found = measure_discontinuity(ArrayScene(np.random.default_rng(0).normal(size=(2, 40, 40))))
    assert math.isfinite(found.ratio_at(8))
    assert math.isnan(found.ratio_at(16))


def test_scores_that_change_at_borders_alone_are_infinitely_discontinuous_at_their_stride():
    blocks = repeated(np.random.default_rng(0).normal(size=(4, 5)), 16)
    assert measure_discontinuity(ArrayScene([blocks]), probabilities=False).ratio_at(4) == math.inf
    assert math.isnan(measure_discontinuity(ArrayScene([np.ones((40, 40))])).ratio_at(4))


@pytest.mark.parametrize("stride", [-4, 0, 3, 5, 12, 32])
def test_a_stride_that_does_not_divide_the_period_is_refused(stride):
    found = measure_discontinuity(ArrayScene(np.ones((2, 40, 40))))
    with pytest.raises(InputError, match=f"{stride} pixels") as caught:
        found.ratio_at(stride)
    assert caught.value.expected == "a stride that divides 16"


def test_constant_scores_have_no_ratio():
    assert math.isnan(measure_discontinuity(ArrayScene(np.ones((2, 40, 40)))).ratio)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16)])
def test_a_raster_without_a_border_has_no_ratio(shape):
    found = measure_discontinuity(ArrayScene(np.random.default_rng(0).normal(size=(2, *shape))))
    assert math.isnan(found.border_jump)
    assert math.isnan(found.ratio)


def test_probabilities_are_those_of_the_softmax():
    z = np.random.default_rng(0).normal(size=(40, 40)).astype(np.float32)
    p = 1 / (1 + np.exp(-z.astype(float)))
    found = measure_discontinuity(ArrayScene([-z / 2, z / 2]))
    expected = measure_discontinuity(ArrayScene([1 - p, p]), probabilities=False)
    np.testing.assert_allclose(found.sums, expected.sums, rtol=1e-5)
    scaled = measure_discontinuity(ArrayScene([-500 * z, 500 * z]))  # no overflow
    assert np.isfinite(scaled.ratio)


def test_a_part_is_measured_with_the_phase_of_the_whole_and_parts_add_up():
    maps = np.random.default_rng(0).normal(size=(3, 50, 60))
    block = Block(5, 7, 33, 40)
    part = measure_discontinuity(ArrayScene(maps), block=block)
    cut = measure_discontinuity(ArrayScene(maps[:, 5:38, 7:47]), phase_px=(-5, -7))
    np.testing.assert_array_equal(part.sums, cut.sums)
    twice = part + cut
    assert twice.ratio == pytest.approx(part.ratio)
    assert isinstance(twice, Discontinuity)
    assert twice.pairs.sum() == 2 * part.pairs.sum()


@pytest.mark.parametrize("asked", [{"period_px": 1}, {"period_px": 0}, {"block": Block(0, 0, 41, 40)}])
def test_what_cannot_be_measured_is_refused(asked):
    with pytest.raises(InputError, match="period of 2 pixels or more"):
        measure_discontinuity(ArrayScene(np.ones((2, 40, 40))), **asked)
