"""Which pixels rings enclose and cross: the rules areas are drawn by, and how labels differ from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crispmap.classes import ClassDef, ClassSchema
from crispmap.geo.draw import crossed, edges_of, enclosed
from crispmap.geo.grid import Block, Grid
from crispmap.labels.rasterize import rasterize

WHOLE = Block(0, 0, 30, 40)
SCHEMA = ClassSchema((ClassDef("background", "#000000"), ClassDef("area", "#ffffff")))
few = settings(deadline=None, max_examples=80)

Ring = NDArray[np.float64]
Rule = Callable[[Sequence[Ring], Block], NDArray[np.bool_]]


def passed(rings: Sequence[Ring], block: Block) -> NDArray[np.bool_]:
    """The pixels that the edges of rings pass through."""
    return crossed(edges_of(rings), block)


RULES = pytest.mark.parametrize("rule", [enclosed, passed])


def ring_of(points: Sequence[tuple[float, float]]) -> Ring:
    return np.array(points, dtype=np.float64)


def squares(block: Block) -> NDArray[np.object_]:
    """The outline of every pixel of a block, (row, col)."""
    col, row = np.meshgrid(np.arange(block.col, block.col_stop), np.arange(block.row, block.row_stop))
    return np.asarray(shapely.box(col, row, col + 1, row + 1))


def rings(step: float) -> st.SearchStrategy[list[Ring]]:
    """Rings that may cross themselves and each other, with corners on multiples of a step, some outside."""
    number = st.integers(round(-8 / step), round(46 / step)).map(lambda value: value * step)
    ring = st.lists(st.tuples(number, number), min_size=3, max_size=7).map(ring_of)
    return st.lists(ring, max_size=3)


ANY_RINGS = st.one_of(rings(1.0), rings(0.5), rings(1 / 1024), rings(1e-6))


class TestLaws:
    @RULES
    @few
    @given(ANY_RINGS, st.integers(-9, 40), st.integers(-9, 50), st.integers(0, 40), st.integers(0, 40))
    def test_a_block_is_drawn_alike_however_the_grid_is_cut(
        self, rule: Rule, some: list[Ring], row: int, col: int, height: int, width: int
    ) -> None:
        around = Block(-20, -20, 110, 120)
        block = Block(row, col, height, width)
        assert np.array_equal(rule(some, block), rule(some, around)[block.relative_to(around).slices])

    @few
    @given(rings(0.5), rings(0.5))
    def test_what_two_sets_of_rings_enclose_is_added_by_the_even_odd_rule(
        self, one: list[Ring], other: list[Ring]
    ) -> None:
        assert np.array_equal(enclosed([*one, *other], WHOLE), enclosed(one, WHOLE) ^ enclosed(other, WHOLE))

    @few
    @given(st.integers(0, 80), st.integers(0, 60), st.floats(0, math.pi))
    def test_halves_on_either_side_of_a_line_share_no_pixel_and_leave_none_out(
        self, double_x: int, double_y: int, turn: float
    ) -> None:
        x, y = double_x / 2, double_y / 2  # a corner or a centre of a pixel
        dx, dy = 1000 * math.cos(turn), 1000 * math.sin(turn)
        ends = [(x - dx, y - dy), (x + dx, y + dy)]
        left = ring_of([*ends, (x + dx - dy, y + dy + dx), (x - dx - dy, y - dy + dx)])
        right = ring_of([*ends[::-1], (x - dx + dy, y - dy - dx), (x + dx + dy, y + dy - dx)])
        assert np.array_equal(enclosed([left], WHOLE), ~enclosed([right], WHOLE))

    @few
    @given(ANY_RINGS)
    def test_what_is_crossed_is_the_inside_of_pixels_that_an_outline_passes(self, some: list[Ring]) -> None:
        lines = shapely.MultiLineString([np.concatenate([ring, ring[:1]]) for ring in some])
        shared = shapely.length(shapely.intersection(shapely.buffer(squares(WHOLE), -1e-9, join_style="mitre"), lines))
        found = passed(some, WHOLE)
        assert found[shared > 1e-6].all()
        assert not found[shapely.distance(squares(WHOLE), lines) > 1e-9].any()

    @few
    @given(st.tuples(*[st.floats(-5, 45).map(lambda value: round(value, 3))] * 6))
    def test_every_pixel_that_overlaps_a_polygon_is_enclosed_or_crossed(self, numbers: tuple[float, ...]) -> None:
        polygon = shapely.Polygon(np.reshape(numbers, (3, 2)))
        if not polygon.is_valid or polygon.area < 1e-3:
            return
        ring = shapely.get_coordinates(polygon)
        shared = shapely.area(shapely.intersection(squares(WHOLE), polygon))
        touched = enclosed([ring], WHOLE) | passed([ring], WHOLE)
        assert touched[shared > 1e-6].all()
        assert not touched[shapely.distance(squares(WHOLE), polygon) > 1e-9].any()

    @few
    @given(st.lists(st.tuples(st.integers(-9000, 50_000), st.integers(-9000, 40_000)), min_size=3, max_size=3))
    def test_labels_are_drawn_alike_off_the_centres_of_pixels(self, corners: list[tuple[int, int]]) -> None:
        polygon = shapely.Polygon([(col / 1024, row / 1024) for col, row in corners])
        if not polygon.is_valid or polygon.area == 0:
            return
        grid = Grid(None, Affine.identity(), WHOLE.shape)
        features = gpd.GeoDataFrame({"class_id": [1], "width_m": [math.nan]}, geometry=[polygon])
        differs = rasterize(features, grid, SCHEMA) != enclosed([shapely.get_coordinates(polygon)], WHOLE)
        centres = shapely.centroid(squares(WHOLE)[differs])
        assert (shapely.distance(centres, polygon.exterior) < 1e-9).all()


class TestExamples:
    def test_an_edge_through_centres_belongs_to_what_is_right_or_below(self) -> None:
        square = ring_of([(1.5, 1.5), (4.5, 1.5), (4.5, 3.5), (1.5, 3.5)])
        assert np.argwhere(enclosed([square], WHOLE)).tolist() == [[row, col] for row in (1, 2) for col in (1, 2, 3)]

    def test_a_ring_inside_a_ring_is_a_hole(self) -> None:
        outer, inner = (ring_of([(a, a), (b, a), (b, b), (a, b)]) for a, b in ((0, 10), (3, 5)))
        assert enclosed([outer, inner], WHOLE).sum() == 100 - 4
        assert passed([outer, inner], WHOLE).sum() == 0, "outlines along the sides of pixels pass through none"

    def test_no_rings_draw_nothing(self) -> None:
        for rule in (enclosed, passed):
            assert rule([], WHOLE).shape == WHOLE.shape
            assert not rule([], WHOLE).any()
