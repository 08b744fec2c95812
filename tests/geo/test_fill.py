"""Many polygons drawn at once, held to GDAL, which draws one after the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crispmap.geo import fill
from crispmap.geo.fill import FlatPolygons
from crispmap.geo.grid import Block

STEPS = 1024


def rounded(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.round(points * STEPS) / STEPS


def by_gdal(polygons: Sequence[shapely.Polygon], block: Block) -> NDArray[np.bool_]:
    drawn = rasterio.features.rasterize(
        [(one, 1) for one in polygons],
        out_shape=block.shape,
        transform=Affine.translation(block.col, block.row),
        dtype=np.uint8,
    )
    return np.asarray(drawn > 0)


def flat(polygons: Sequence[shapely.Polygon]) -> FlatPolygons:
    return FlatPolygons(np.array([*polygons, None], dtype=object)[:-1])


@st.composite
def polygons(draw: st.DrawFn) -> list[shapely.Polygon]:
    """Valid polygons, some with holes, with corners on centres and sides of pixels, or on steps of 1/1024 pixel."""
    step = draw(st.sampled_from([1.0, 0.5, 0.25, 1 / STEPS]))
    number = st.integers(round(-8 / step), round(40 / step)).map(lambda value: value * step)
    ring = st.lists(st.tuples(number, number), min_size=3, max_size=8)
    shapes = [shapely.make_valid(shapely.Polygon(points)) for points in draw(st.lists(ring, min_size=1, max_size=4))]
    if draw(st.booleans()):
        shapes = [shapes[0].difference(shapely.box(10.5, 4.5, 14.5, 9.5)), *shapes[1:]]
    parts = [shapely.transform(part, rounded) for shape in shapes for part in shapely.get_parts(shape)]
    return [one for one in parts if one.geom_type == "Polygon" and one.is_valid and one.area > 0]


blocks = st.builds(Block, st.integers(-9, 20), st.integers(-9, 20), st.integers(1, 35), st.integers(1, 35))


@given(polygons(), blocks)
@settings(deadline=None, max_examples=150)
def test_the_pixels_are_those_of_gdal(some: list[shapely.Polygon], block: Block) -> None:
    np.testing.assert_array_equal(flat(some).fill(np.arange(len(some)), block), by_gdal(some, block))


@given(polygons(), blocks)
@settings(deadline=None, max_examples=50)
def test_a_few_of_them_are_drawn_as_if_they_were_all(some: list[shapely.Polygon], block: Block) -> None:
    chosen = np.arange(0, len(some), 2)
    np.testing.assert_array_equal(flat(some).fill(chosen, block), flat(some[::2]).fill(np.arange(len(chosen)), block))


def test_the_upper_side_of_a_hole_along_centres_is_filled_as_by_gdal() -> None:
    ring = shapely.box(1, 1, 12, 12).difference(shapely.box(3.5, 4.5, 8.5, 9.5))
    drawn = flat([ring]).fill(np.arange(1), Block(0, 0, 14, 14))
    np.testing.assert_array_equal(drawn, by_gdal([ring], Block(0, 0, 14, 14)))
    assert drawn[4, 4:8].all()
    assert not drawn[5:9, 4:8].any()


@pytest.mark.parametrize("far", [1e12, 1e20])
@pytest.mark.parametrize("turned", [False, True])
def test_a_polygon_that_reaches_far_away_changes_no_other_and_is_drawn(far: float, turned: bool) -> None:
    ring = shapely.box(1, 1, 12, 12).difference(shapely.box(3.5, 4.5, 8.5, 9.5))
    ring, block = ring.reverse() if turned else ring, Block(0, 0, 14, 14)
    beyond = shapely.Polygon([(far, 20), (2 * far, far), (far, 2 * far)])
    alone = flat([ring]).fill(np.arange(1), block)
    np.testing.assert_array_equal(flat([beyond, ring]).fill(np.arange(2), block), alone)
    drawn = [flat([shapely.box(2.25, 2.5, right, 12.5)]).fill(np.arange(1), block) for right in (far, 99)]
    np.testing.assert_array_equal(*drawn)


def test_memory_bounds_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    some = [shapely.Point(*centre).buffer(3) for centre in rng.uniform(0, 60, (40, 2))]
    some = [shapely.transform(one, rounded) for one in some]
    whole = Block(0, 0, 60, 60)
    expected = by_gdal(some, whole)
    for crossings in (1, 100, 10_000):
        monkeypatch.setattr(fill, "_CROSSINGS", crossings)
        np.testing.assert_array_equal(flat(some).fill(np.arange(len(some)), whole), expected)


def test_polygons_are_found_by_their_box_and_none_draw_nothing() -> None:
    some = flat([shapely.box(0, 0, 2, 2), shapely.box(20, 20, 30, 30), shapely.box(1, 1, 3, 3)])
    assert some.meeting(Block(0, 0, 10, 10)).tolist() == [0, 2]
    none = flat([])
    assert none.meeting(Block(0, 0, 10, 10)).tolist() == []
    assert not none.fill(np.arange(0), Block(0, 0, 5, 4)).any()
    assert not none.cross(np.arange(0), Block(0, 0, 5, 4)).any()
