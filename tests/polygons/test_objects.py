"""Object figures against references that try everything, and by their laws."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, affinity

from crispmap.polygons.objects import compare_objects, corners_of, pairs_of, polis


def boxes(corners: list[tuple[int, int, int, int]]) -> np.ndarray:
    """Return rectangles cut so that none overlaps one before it."""
    found: list[Polygon] = []
    for x, y, width, height in corners:
        box = shapely.box(x, y, x + width, y + height).difference(shapely.union_all(found))
        if box.geom_type == "Polygon" and not box.is_empty:
            found.append(box)
    return np.array(found, dtype=object)


cells = st.lists(
    st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(1, 6), st.integers(1, 6)), min_size=0, max_size=5
)


@settings(deadline=None, max_examples=150)
@given(ours=cells, theirs=cells, least=st.sampled_from([0.5, 0.6, 0.75]))
def test_no_other_pairing_has_more_pairs(
    ours: list[tuple[int, int, int, int]], theirs: list[tuple[int, int, int, int]], least: float
) -> None:
    one, other = boxes(ours), boxes(theirs)
    good = {
        (a, b)
        for a, b in itertools.product(range(len(one)), range(len(other)))
        if one[a].intersection(other[b]).area >= least * one[a].union(other[b]).area - 1e-12
    }
    first, second, iou = pairs_of(one, other, least)
    found = set(zip(first.tolist(), second.tolist(), strict=True))
    assert found <= good
    assert len(set(first)) == len(first) == len(set(second))
    most = max(
        (len(some) for count in range(len(good) + 1) for some in itertools.combinations(good, count)
         if len({a for a, _ in some}) == len({b for _, b in some}) == count), default=0,
    )  # fmt: skip
    assert len(found) == most
    assert (np.diff(iou) <= 1e-12).all()
    figures = compare_objects(one, other, least_iou=least)
    assert (figures.right, figures.found) == (most, most)
    if len(one) and len(other):
        precision, recall = most / len(one), most / len(other)
        assert figures.f1 == pytest.approx(0 if most == 0 else 2 * precision * recall / (precision + recall))


def nearest(point: np.ndarray, ring: np.ndarray) -> float:
    """Return the distance of a point to a closed line, segment by segment."""
    best = math.inf
    for begin, end in itertools.pairwise([*ring, ring[0]]):
        along = end - begin
        share = np.clip(np.dot(point - begin, along) / np.dot(along, along), 0, 1)
        best = min(best, float(np.linalg.norm(begin + share * along - point)))
    return best


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_polis_is_the_mean_distance_of_corners_to_the_other_outline(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rings = []
    for _ in range(2):
        angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        rings.append(np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(3, 9) + rng.uniform(0, 2, 2))
    one, other = rings
    by_hand = sum(np.mean([nearest(point, b) for point in a]) for a, b in ((one, other), (other, one))) / 2
    pair = [np.array([Polygon(ring)], object) for ring in rings]
    assert polis(*pair) == pytest.approx([by_hand])
    assert polis(*pair[::-1]) == pytest.approx(polis(*pair))
    assert polis(pair[0], pair[0]) == pytest.approx([0])


def test_polis_of_a_moved_square_by_hand() -> None:
    square = np.array([shapely.box(0, 0, 10, 10)])
    moved = np.array([shapely.box(3, 0, 13, 10)])
    assert polis(square, moved) == pytest.approx([(3 + 3 + 0 + 0) / 4])


def test_holes_have_corners_and_outlines() -> None:
    court = np.array([shapely.box(0, 0, 20, 20).difference(shapely.box(8, 8, 12, 12))])
    filled = np.array([shapely.box(0, 0, 20, 20)])
    assert len(corners_of(court)[0]) == 8
    assert polis(court, filled)[0] == pytest.approx((4 * 8 / 8 + 0) / 2)


@given(shift=st.floats(0, 2))
def test_corner_offsets_are_those_of_the_nearest_corners(shift: float) -> None:
    reference = np.array([shapely.box(0, 0, 10, 10), shapely.box(30, 0, 40, 10)])
    predicted = np.array([affinity.translate(one, shift) for one in reference])
    figures = compare_objects(predicted, reference)
    assert figures.corner_offset_m == pytest.approx(shift)
    assert figures.f1 == 1
    assert figures.predicted_corners == figures.reference_corners == 4


def test_what_is_not_scored_can_be_a_partner_and_counts_on_neither_side() -> None:
    reference = np.array([shapely.box(0, 0, 10, 10), shapely.box(30, 0, 40, 10)])
    figures = compare_objects(reference, reference, scored=(np.array([True, False]), np.array([True, True])))
    assert (figures.predicted, figures.right, figures.reference, figures.found) == (1, 1, 2, 2)


def test_nothing_on_either_side_has_no_figures() -> None:
    none, some = np.zeros(0, object), np.array([shapely.box(0, 0, 1, 1)])
    assert math.isnan(compare_objects(none, none).f1)
    assert compare_objects(some, none).f1 == 0
    assert compare_objects(none, some).recall == 0
    assert compare_objects(none, none).to_dict()["precision"] is None
