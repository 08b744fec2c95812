"""The classes of squares: laws against a plain loop."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyproj import CRS

from crispmap.geo.grid import Block, Grid
from crispmap.geo.squares import Squares
from crispmap.types import IGNORE

SIDE = st.integers(1, 7)


@st.composite
def labelled(draw):
    """Squares of a side and labels of some of them, a few pixels unknown."""
    side, rows, cols = draw(SIDE), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    ids = st.sampled_from([0, 1, 2, 254, IGNORE])
    return side, draw(arrays(np.uint8, (rows * side, cols * side), elements=ids))


def one_by_one(side, labels, rule):
    rows, cols = (length // side for length in labels.shape)
    result = np.full((rows, cols), IGNORE, np.uint8)
    for row in range(rows):
        for col in range(cols):
            square = labels[row * side : (row + 1) * side, col * side : (col + 1) * side]
            if rule == "centre":
                result[row, col] = square[side // 2, side // 2]
            elif (square != IGNORE).any():
                values, counts = np.unique(square[square != IGNORE], return_counts=True)
                result[row, col] = values[counts.argmax()]
    return result


@pytest.mark.parametrize("rule", ["centre", "majority"])
@given(labelled())
def test_a_square_has_the_class_of_its_centre_or_of_most_of_its_labelled_pixels(rule, drawn):
    side, labels = drawn
    found = Squares(side, rule).ids(labels)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, one_by_one(side, labels, rule))


def test_of_classes_with_as_many_pixels_the_first_wins():
    assert Squares(2, "majority").ids(np.uint8([[2, 1], [1, 2]])) == 1
    assert Squares(2, "majority").ids(np.uint8([[255, 255], [255, 1]])) == 1


@given(SIDE, st.integers(1, 30), st.integers(1, 30))
def test_the_grid_of_squares_covers_that_of_pixels_from_its_corner(side, height, width):
    pixels = Grid(CRS.from_epsg(32722), Affine(3, 0, 5e5, 0, -2, 7e6), (height, width))
    grid = Squares(side).grid(pixels)
    assert grid.shape == (-(-height // side), -(-width // side))
    assert grid.transform.almost_equals(pixels.transform @ Affine.scale(side))
    again = Squares(side).pixels(grid)
    assert again.transform.almost_equals(pixels.transform)
    assert again.shape == (grid.height * side, grid.width * side)
    assert Squares(side).block_of_pixels(Block(1, 2, 3, 4)) == Block(side, 2 * side, 3 * side, 4 * side)


@pytest.mark.parametrize(
    "text", ["", "128", "{}", '{"side_px": 0}', '{"side_px": "a"}', '{"side_px": 8, "label": "x"}']
)
def test_a_tag_of_anything_else_is_no_tag_of_squares(text):
    assert Squares.from_json(text) is None


def test_a_tag_is_read_back():
    assert Squares.from_json(Squares(96, "majority").to_json()) == Squares(96, "majority")
