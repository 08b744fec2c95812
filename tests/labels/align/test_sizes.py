"""Outlines drawn too long, too wide or turned are changed; those of the right size stay as they are."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, scale
from test_align import PIXEL_M, RULES, SCENE, TRUE, displaced

from crispmap.geo.grid import Block
from crispmap.labels.align.objects import AlignRules, Reason, Shift, shifts_of
from crispmap.labels.align.sizes import UNCHANGED, Stretch


def ious(shapes: list[shapely.Polygon]) -> np.ndarray:
    common, all_of = shapely.intersection(shapes, TRUE), shapely.union(shapes, TRUE)
    return np.asarray(shapely.area(common) / shapely.area(all_of))


@cache
def drawn_wrong(seed: int) -> list[shapely.Polygon]:
    """The displaced houses, each by itself longer or shorter, wider or narrower by up to 2 m, turned by 2 degrees."""
    rng = np.random.default_rng(seed)
    shapes, _ = displaced(seed)
    found = []
    for shape in shapes:
        by = rng.uniform(-1, 1, 2) / PIXEL_M
        corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(shape))
        angle = math.degrees(math.atan2(*(corners[1] - corners[0])[::-1]))
        sides = np.hypot(*np.diff(corners, axis=0)[:2].T)
        level = rotate(shape, -angle, "centroid")
        wrong = scale(level, *(1 + 2 * by / sides).tolist(), origin="centroid")
        found.append(rotate(wrong, angle + rng.normal(0, 2), "centroid"))
    return found


@cache
def fitted(seed: int) -> list[Shift]:
    return shifts_of(drawn_wrong(seed), SCENE, RULES)


@pytest.mark.parametrize("seed", [0, 1])
def test_wrong_sizes_are_mended_as_far_as_pixels_show(seed: int) -> None:
    shapes = drawn_wrong(seed)
    plain = shifts_of(shapes, SCENE, AlignRules(max_shift_m=6.0, sizes=False))
    assert all(one.stretch == UNCHANGED for one in plain)
    moved, mended = (
        ious([one.of(shape) for one, shape in zip(found, shapes, strict=True)]) for found in (plain, fitted(seed))
    )
    assert mended.mean() > moved.mean() + 0.02
    assert (mended < moved - 0.05).mean() <= 0.05


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_right_sizes_are_left_alone(seed: int) -> None:
    shapes, _ = displaced(seed)
    assert all(one.stretch == UNCHANGED for one in shifts_of(shapes, SCENE, RULES))


def test_one_wrong_object_does_not_confirm_itself() -> None:
    (found,) = shifts_of([scale(TRUE[40], 1.1, 1.1)], SCENE, RULES)
    assert found.reason is Reason.ALIGNED
    assert found.stretch == UNCHANGED


def test_the_result_does_not_depend_on_tiles() -> None:
    assert any(one.stretch != UNCHANGED for one in fitted(0))
    assert shifts_of(drawn_wrong(0), SCENE, RULES, tile_px=64) == fitted(0)


def test_what_is_said_is_what_is_done() -> None:
    shapes = drawn_wrong(0)
    for one, shape in zip(fitted(0), shapes, strict=True):
        after = one.of(shape)
        by = shapely.get_coordinates(shapely.centroid([shape, after]))
        np.testing.assert_allclose((by[1] - by[0]) * PIXEL_M, [one.dx_m, -one.dy_m], atol=0.01)
        lengths = [np.hypot(*np.diff(shapely.get_coordinates(box), axis=0)[:2].T) * PIXEL_M for box in (
            shapely.minimum_rotated_rectangle(shape), shapely.minimum_rotated_rectangle(after)
        )]  # fmt: skip
        assert (lengths[1] - lengths[0]).sum() == pytest.approx(one.stretch.wider_m + one.stretch.longer_m, abs=0.05)


@given(st.floats(-3, 3), st.floats(-3, 3), st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=4))
@settings(max_examples=30, deadline=None)
def test_a_stretch_keeps_the_centroid_where_the_shift_puts_it(x: float, y: float, by: list[float]) -> None:
    a, b, d, e = by
    stretch = Stretch(matrix=(1 + a, b, d, 1 + e), turn_deg=1.0)
    shape = shapely.Polygon([(0, 0), (9, 1), (8, 7), (3, 4)])
    moved = stretch.of(shape, x, y)
    assert np.hypot(*(np.array(moved.centroid.coords[0]) - shape.centroid.coords[0] - [x, y])) < 1e-6
    assert moved.area == pytest.approx(shape.area * abs((1 + a) * (1 + e) - b * d))


def test_at_the_rim_of_a_scene_what_lies_outside_is_no_edge() -> None:
    block = SCENE.grid.block
    assert block == Block(0, 0, *SCENE.image.shape[1:])
    near = [shape for shape in TRUE if shape.bounds[0] < 40]
    out = [shapely.box(-12, 60, 14, 90), *near]
    assert len(shifts_of(out, SCENE, RULES)) == len(out)
