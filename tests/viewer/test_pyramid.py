from __future__ import annotations

from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from crispmap.geo.grid import Grid
from crispmap.viewer.pyramid import TILE_PX, Pyramid

SIDES = st.integers(1, 3000)


@given(SIDES, SIDES)
def test_the_tiles_of_every_level_hold_each_of_its_pixels_once(height: int, width: int) -> None:
    pyramid = Pyramid(Grid(None, Affine.identity(), (height, width)))
    for level in range(pyramid.levels):
        rows, cols = pyramid.tiles(level)
        tiles = [pyramid.tile(level, col, row) for row in range(rows) for col in range(cols)]
        assert all(one is not None and max(one.shape) <= TILE_PX and not one.is_empty for one in tiles)
        level_height, level_width = pyramid.shape(level)
        assert sum(one.height * one.width for one in tiles if one) == level_height * level_width
        assert max(one.row_stop for one in tiles if one) == level_height
        assert max(one.col_stop for one in tiles if one) == level_width


@given(SIDES, SIDES)
def test_the_last_level_is_one_tile_and_pixels_double_from_level_to_level(height: int, width: int) -> None:
    pyramid = Pyramid(Grid(None, Affine.identity(), (height, width)))
    assert pyramid.tiles(pyramid.levels - 1) == (1, 1)
    assert pyramid.levels == 1 or pyramid.tiles(pyramid.levels - 2) != (1, 1)
    assert [pyramid.shape(level) for level in range(pyramid.levels)] == [
        (-(-height // 2**level), -(-width // 2**level)) for level in range(pyramid.levels)
    ]
    assert pyramid.grid_of(pyramid.levels - 1).shape == pyramid.shape(pyramid.levels - 1)


@given(st.integers(-3, 20), st.integers(-3, 20), st.integers(-3, 20))
def test_there_is_no_tile_beyond(level: int, col: int, row: int) -> None:
    pyramid = Pyramid(Grid(None, Affine.identity(), (700, 300)))
    inside = 0 <= level < pyramid.levels and 0 <= row < pyramid.tiles(level)[0] and 0 <= col < pyramid.tiles(level)[1]
    assert (pyramid.tile(level, col, row) is not None) == inside
