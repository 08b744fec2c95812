"""Laws of the tiles and of the order blocks are visited in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import InputError
from crispmap.geo.grid import Block
from crispmap.inference.plan import (
    MOST_COMPUTED,
    WINDOW_PX,
    TilePlan,
    affordable_windows,
    computed_px,
    fitted_tile_px,
    plan_tiles,
    visit_blocks,
)

sides = st.integers(1, 700)


def counts(blocks, shape):
    seen = np.zeros(shape, int)
    for block in blocks:
        inside = block.intersection(Block(0, 0, *shape))
        assert not inside.is_empty
        seen[inside.slices] += 1
    return seen


@settings(deadline=None, max_examples=80)
@given(height=sides, width=sides, tile_px=st.integers(1, 300), stride_px=st.sampled_from([1, 2, 4, 7, 16]))
def test_tiles_cover_the_raster_once_on_the_stride_grid(height, width, tile_px, stride_px):
    tile_px = max(tile_px, max(height, width) // 20)  # few enough tiles to count pixel by pixel
    plan = plan_tiles((height, width), tile_px=tile_px, stride_px=stride_px)
    tiles = list(plan.over(Block(0, 0, height, width)))
    assert (counts(tiles, (height, width)) == 1).all()
    assert len(tiles) == plan.count
    assert {tile.shape for tile in tiles} == {plan.tile_shape}
    for tile in tiles:
        assert tile.row % stride_px == tile.col % stride_px == 0
        assert tile.height % stride_px == tile.width % stride_px == 0
        assert max(tile.shape) <= max(tile_px, stride_px)


@settings(deadline=None, max_examples=40)
@given(height=sides, width=sides)
def test_a_raster_is_cut_into_as_few_tiles_as_their_longest_side_allows(height, width):
    plan = plan_tiles((height, width), tile_px=64, stride_px=4)
    assert plan.count == -(-height // 64) * -(-width // 64)


@settings(deadline=None, max_examples=60)
@given(height=sides, width=sides, row=st.integers(-50, 700), col=st.integers(-50, 700), size=st.tuples(sides, sides))
def test_tiles_over_a_block_are_those_of_the_plan_that_meet_it(height, width, row, col, size):
    plan = plan_tiles((height, width), tile_px=100, stride_px=4)
    block = Block(row, col, *size)
    inside = block.intersection(Block(0, 0, height, width))
    everything = plan.over(Block(0, 0, height, width))
    assert list(plan.over(block)) == [tile for tile in everything if not tile.intersection(inside).is_empty]


@settings(deadline=None, max_examples=60)
@given(height=sides, width=sides, block_px=st.integers(1, 900), strip_px=st.integers(1, 900))
def test_blocks_cover_the_raster_once(height, width, block_px, strip_px):
    block_px = max(block_px, max(height, width) // 30 + 1)
    blocks = list(visit_blocks((height, width), block_px, strip_px))
    assert (counts(blocks, (height, width)) == 1).all()
    assert all(block.row % block_px == block.col % block_px == 0 for block in blocks)


def test_a_strip_is_finished_before_the_next_one_begins():
    blocks = list(visit_blocks((30, 50), 10, strip_px=25))
    assert [block.col // 20 for block in blocks] == sorted(block.col // 20 for block in blocks)
    assert [(block.row, block.col) for block in blocks[:4]] == [(0, 0), (0, 10), (10, 0), (10, 10)]


def test_tiles_kept_are_never_more_than_there_are():
    assert TilePlan((100, 100), (50, 50)).tiles_to_keep((1024, 1024), 4096) == 4
    assert TilePlan((10**6, 10**6), (512, 512)).tiles_to_keep((1024, 1024), 4096) == 5 * 10


@pytest.mark.parametrize("block_px", [0, -5])
def test_a_block_size_below_one_is_refused(block_px):
    with pytest.raises(InputError, match="block size"):
        list(visit_blocks((10, 10), block_px))


@settings(deadline=None)
@given(
    height=st.integers(1, 9000), width=st.integers(1, 9000), halo=st.integers(0, 80),
    stride_px=st.sampled_from([8, 32]), least_px=st.sampled_from([256, 1024]),
)  # fmt: skip
def test_a_tile_with_a_wide_halo_suits_raster_and_memory(height, width, halo, stride_px, least_px):
    context_px, shape = halo * stride_px, (height, width)
    side = fitted_tile_px(shape, context_px=context_px, stride_px=stride_px, least_px=least_px)
    assert side % stride_px == 0
    assert side < max(shape) + stride_px, "no tile is larger than the raster"
    assert side <= max(least_px, WINDOW_PX - 2 * context_px + stride_px)
    assert computed_px(shape, side, context_px) >= height * width
    largest = fitted_tile_px((10**6, 10**6), context_px=context_px, stride_px=stride_px, least_px=least_px)
    assert computed_px(shape, side, context_px) <= computed_px(shape, largest, context_px)
    if max(shape) <= largest:
        assert computed_px(shape, side, context_px) <= (max(shape) + stride_px + 2 * context_px) ** 2
    if largest + 2 * context_px < WINDOW_PX - stride_px:
        assert (largest + 2 * context_px) ** 2 <= MOST_COMPUTED * 1.05 * largest**2


def test_small_rasters_are_not_computed_in_large_tiles():
    assert fitted_tile_px((600, 600), context_px=544, stride_px=32, least_px=1024) == 608
    assert fitted_tile_px((10_000, 10_000), context_px=544, stride_px=32, least_px=1024) == 1696


@given(st.integers(1, 3072**2), st.integers(1, 10**12))
def test_windows_computed_at_a_time_fit_in_memory(window_px, memory_bytes):
    count = affordable_windows(window_px, memory_bytes)
    assert count == 1 or count * window_px * 512 <= 0.5 * memory_bytes
    assert (count + 1) * window_px * 512 > 0.5 * memory_bytes or count == 1


def test_a_laptop_computes_large_windows_one_by_one():
    assert affordable_windows(2724**2, 8 * 10**9) == 1
    assert affordable_windows(2724**2, 24 * 10**9) == 3
