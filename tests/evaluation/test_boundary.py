"""Boundary figures against brute force over all pairs of pixels, and the law that no cut changes them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from scipy.spatial.distance import cdist

from crispmap.errors import GridError, InputError, LabelError
from crispmap.evaluation import boundary as boundaries
from crispmap.evaluation.boundary import (
    DISTANCE_TOLERANCE,
    BoundaryCounts,
    BoundaryRule,
    RelaxedCounts,
    half_widths_px,
    within,
)
from crispmap.geo.grid import Block
from crispmap.types import IGNORE

IDS = st.sampled_from([0, 0, 1, 1, 2, IGNORE])
SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))
# Steps and widths whose lattice distances keep clear of the widths with their tolerance, so that rounding decides none.
GSDS = st.sampled_from([(1.0, 1.0), (0.5, 0.7), (1.3, 0.4), (2.0, 1.0)])
WIDTHS = st.sampled_from([(1.05,), (1.05, 2.27), (0.31, 3.37), ()])


@st.composite
def map_pairs(draw, sides=SIDES):
    shape = draw(sides)
    return tuple(draw(arrays(np.uint8, shape, elements=IDS)) for _ in range(2))


def counted(rule, predicted, reference, core=None):
    boundary, relaxed = rule.count(predicted, reference, core)
    return boundary, relaxed


# --- brute force -----------------------------------------------------------------------------------------


def brute_boundary(labels, class_id):
    """Pixel by pixel: of the class, with a 4-neighbour inside the array that is known and of another class."""
    height, width = labels.shape
    found = np.zeros(labels.shape, bool)
    for row in range(height):
        for col in range(width):
            if labels[row, col] != class_id:
                continue
            for r, c in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
                if 0 <= r < height and 0 <= c < width and labels[r, c] not in (class_id, IGNORE):
                    found[row, col] = True
    return found


def brute_near(pixels, others, distance, steps):
    """Which pixels of one mask have a pixel of the other within a distance, over all pairs."""
    near = np.zeros(pixels.shape, bool)
    ours, theirs = np.argwhere(pixels), np.argwhere(others)
    if len(ours) and len(theirs):
        close = (cdist(ours * steps, theirs * steps) <= distance * (1 + DISTANCE_TOLERANCE)).any(axis=1)
        near[tuple(ours[close].T)] = True
    return near


def brute_counts(predicted, reference, rule):
    """All counts by their definitions, as nested lists in the order of the fields."""
    known = (predicted != IGNORE) & (reference != IGNORE)
    ours, theirs = (np.where(known, labels, IGNORE) for labels in (predicted, reference))
    steps = np.array(rule.gsd_m)
    ids = range(rule.class_count)
    edge = [[brute_boundary(labels, k) for labels in (ours, theirs)] for k in ids]

    def inner(labels, k, width):
        far = known & (labels != k)
        return brute_near(labels == k, far, width, steps) | brute_boundary(labels, k)

    def by_width(count):
        return [[int(count(k, width)) for k in ids] for width in rule.widths_m]

    boundary = {
        "widths_m": list(rule.widths_m),
        "predicted_px": [int(edge[k][0].sum()) for k in ids],
        "reference_px": [int(edge[k][1].sum()) for k in ids],
        "predicted_near_px": by_width(lambda k, d: brute_near(edge[k][0], edge[k][1], d, steps).sum()),
        "reference_near_px": by_width(lambda k, d: brute_near(edge[k][1], edge[k][0], d, steps).sum()),
        "inner_shared_px": by_width(lambda k, d: (inner(ours, k, d) & inner(theirs, k, d)).sum()),
        "inner_any_px": by_width(lambda k, d: (inner(ours, k, d) | inner(theirs, k, d)).sum()),
        "around_reference_px": by_width(lambda k, d: brute_near(known, edge[k][1], d, steps).sum()),
    }
    relaxed = {
        "slack_px": rule.slack_px,
        "predicted_px": [int((ours == k).sum()) for k in ids],
        "reference_px": [int((theirs == k).sum()) for k in ids],
        "predicted_near_px": [int(brute_near(ours == k, theirs == k, rule.slack_px, 1).sum()) for k in ids],
        "reference_near_px": [int(brute_near(theirs == k, ours == k, rule.slack_px, 1).sum()) for k in ids],
    }
    return boundary, relaxed


@given(map_pairs(), GSDS, WIDTHS, st.sampled_from([0, 1, 1.5, 3]))
@settings(deadline=None, max_examples=60)
def test_equals_brute_force(pair, gsd_m, widths_m, slack_px):
    rule = BoundaryRule(3, gsd_m, widths_m, slack_px)
    for one, expected in zip(rule.count(*pair), brute_counts(*pair, rule), strict=True):
        assert one.to_dict() == expected


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 5, 8, 9, 16, 17, 40])
def test_many_classes_and_small_pieces_change_nothing(classes):
    ids = np.array([*range(classes), IGNORE], np.uint8)
    pair = np.random.default_rng(classes).choice(ids, (2, 13, 17))
    rule = BoundaryRule(classes, (1.0, 1.3), (1.05, 2.27), 1.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundaries, "_PIECE_PX", 4)
        found = rule.count(*pair)
    for one, expected in zip(found, brute_counts(*pair, rule), strict=True):
        assert one.to_dict() == expected


@given(
    arrays(np.bool_, SIDES, elements=st.sampled_from([False] * 6 + [True])),
    st.sampled_from([0.31, 1.05, 2.27, 6.1, 40.0]),
    GSDS,
)
@settings(deadline=None, max_examples=60)
def test_within_equals_a_thresholded_distance_transform(mask, distance, steps):
    near = within(mask, half_widths_px(distance, steps))
    limit = distance * (1 + DISTANCE_TOLERANCE)
    if mask.any():
        assert np.array_equal(near, ndimage.distance_transform_edt(~mask, sampling=steps) <= limit)
    else:
        assert not near.any()


def test_a_pixel_a_thousandth_beyond_the_distance_is_within_it():
    mask = np.zeros((5, 9), np.bool_)
    mask[0, 0] = True  # from there to the far corner, 4 rows of 1.3 and 8 columns of 0.4, it is 6.1057
    assert within(mask, half_widths_px(6.1, (1.3, 0.4)))[4, 8]
    assert not within(mask, half_widths_px(6.09, (1.3, 0.4)))[4, 8]


@given(
    map_pairs(st.tuples(st.integers(1, 24), st.integers(1, 24))),
    GSDS,
    WIDTHS,
    st.sampled_from([0, 1, 3]),
    st.integers(1, 11),
    st.integers(1, 11),
    st.integers(0, 3),
)
@settings(deadline=None, max_examples=60)
def test_the_sum_over_any_cut_is_the_whole(pair, gsd_m, widths_m, slack_px, height, width, more):
    predicted, reference = pair
    rule = BoundaryRule(3, gsd_m, widths_m, slack_px)
    whole = Block(0, 0, *predicted.shape)
    boundary, relaxed = rule.empty_counts()
    for row in range(0, whole.height, height):
        for col in range(0, whole.width, width):
            core = Block(row, col, height, width).intersection(whole)
            outer = core.padded(rule.margin_px + more).intersection(whole)
            counts = rule.count(predicted[outer.slices], reference[outer.slices], core.relative_to(outer))
            boundary, relaxed = boundary + counts[0], relaxed + counts[1]
    assert (boundary, relaxed) == rule.count(predicted, reference)


@given(map_pairs(), GSDS)
@settings(deadline=None, max_examples=40)
def test_laws_of_the_figures(pair, gsd_m):
    rule = BoundaryRule(3, gsd_m, (0.5, 1.5, 4.0))
    boundary, relaxed = rule.count(*pair)
    swapped, swapped_relaxed = rule.count(*reversed(pair))
    for figures in (boundary.precision, boundary.recall, boundary.f1, boundary.iou, relaxed.f1):
        known = figures[~np.isnan(figures)]
        assert ((known >= 0) & (known <= 1)).all()
    assert (np.diff(boundary.predicted_near_px, axis=0) >= 0).all(), "a wider width finds no less"
    assert np.array_equal(boundary.precision, swapped.recall, equal_nan=True)
    assert boundary.f1 == pytest.approx(swapped.f1, nan_ok=True)
    assert np.array_equal(boundary.iou, swapped.iou, equal_nan=True)
    assert np.array_equal(relaxed.precision, swapped_relaxed.recall, equal_nan=True)
    assert np.array_equal(np.isnan(boundary.f1[0]), boundary.predicted_px + boundary.reference_px == 0)


@given(map_pairs())
@settings(deadline=None, max_examples=30)
def test_a_map_equal_to_its_reference_is_perfect(pair):
    rule = BoundaryRule(3, (1.0, 1.0), (1.0,))
    boundary, relaxed = rule.count(pair[0], pair[0])
    for figures in (boundary.f1, boundary.iou, relaxed.precision, relaxed.recall):
        assert (figures[~np.isnan(figures)] == 1).all()


@given(map_pairs(), arrays(np.bool_, (9, 9)))
@settings(deadline=None, max_examples=30)
def test_what_lies_under_ignore_in_either_map_changes_nothing(pair, hidden):
    predicted, reference = pair
    rule = BoundaryRule(3, (1.0, 1.0), (1.0, 2.5))
    unknown = hidden[: predicted.shape[0], : predicted.shape[1]]
    counts = [
        rule.count(np.where(unknown, a, predicted).astype(np.uint8), np.where(unknown, b, reference).astype(np.uint8))
        for a, b in ((IGNORE, IGNORE), (0, IGNORE), (IGNORE, 2), (1, IGNORE))
    ]
    assert all(one == counts[0] for one in counts)


# --- examples --------------------------------------------------------------------------------------------


def square(shape, top, left, side):
    labels = np.zeros(shape, np.uint8)
    labels[top : top + side, left : left + side] = 1
    return labels


def test_a_square_moved_by_two_pixels_is_found_at_two_pixels_and_not_at_one():
    reference, predicted = square((40, 40), 10, 10, 16), square((40, 40), 10, 12, 16)
    rule = BoundaryRule(2, (0.5, 0.5), (0.5, 1.0), 3)
    boundary, relaxed = rule.count(predicted, reference)
    assert boundary.f1[1, 1] == 1.0
    # At half a metre, one pixel, the two upright sides are missed but for their ends near the level sides.
    assert 0.5 < boundary.f1[0, 1] < 0.6
    assert relaxed.precision[1] == relaxed.recall[1] == 1.0


def test_widths_are_metres_along_each_axis():
    reference = np.zeros((30, 30), np.uint8)
    reference[:, 15:] = 1
    moved = np.zeros((30, 30), np.uint8)
    moved[:, 18:] = 1  # three columns
    assert BoundaryRule(2, (2.0, 0.5), (1.5,)).count(moved, reference)[0].f1[0].tolist() == [1.0, 1.0]
    assert BoundaryRule(2, (2.0, 0.5), (1.4,)).count(moved, reference)[0].f1[0].tolist() == [0.0, 0.0]
    upright = BoundaryRule(2, (0.5, 2.0), (1.5,)).count(moved.T.copy(), reference.T.copy())[0]
    assert upright.f1[0].tolist() == [1.0, 1.0]


def test_boundary_iou_equals_erosion_by_a_disk():
    rng = np.random.default_rng(4)
    predicted, reference = (
        (ndimage.gaussian_filter(rng.normal(size=(80, 90)), 4) > 0).astype(np.uint8) for _ in range(2)
    )
    radius = 3
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disk = x * x + y * y <= radius * radius
    inner = [(one == 1) & ~ndimage.binary_erosion(one == 1, disk, border_value=1) for one in (predicted, reference)]
    counts = BoundaryRule(2, (1.0, 1.0), (float(radius),)).count(predicted, reference)[0]
    assert counts.inner_shared_px[0, 1] == (inner[0] & inner[1]).sum()
    assert counts.inner_any_px[0, 1] == (inner[0] | inner[1]).sum()


def test_the_inner_region_is_never_thinner_than_the_boundary():
    reference, predicted = square((20, 20), 5, 5, 8), square((20, 20), 5, 5, 8)
    counts = BoundaryRule(2, (1.0, 1.0), (0.2,)).count(predicted, reference)[0]
    assert counts.inner_any_px[0, 1] == counts.predicted_px[1] == 28
    assert counts.iou[0, 1] == 1.0


def test_ignored_pixels_and_the_rim_make_no_boundary():
    labels = np.zeros((6, 6), np.uint8)
    labels[:, 3:] = 1
    labels[:, 2] = IGNORE
    labels[:, 3] = IGNORE
    boundary, _ = BoundaryRule(2, (1.0, 1.0), (1.0,)).count(labels, labels)
    assert not boundary.predicted_px.any()


def test_a_class_found_in_one_map_alone_scores_zero_and_one_in_neither_is_nan():
    reference, predicted = np.zeros((20, 20), np.uint8), square((20, 20), 5, 5, 6)
    boundary, relaxed = BoundaryRule(3, (1.0, 1.0), (1.0,)).count(predicted, reference)
    assert boundary.f1[0, :2].tolist() == [0.0, 0.0]
    assert np.isnan(boundary.f1[0, 2])
    assert np.isnan(boundary.recall[0, 1])
    assert boundary.iou[0, 1] == 0.0
    assert relaxed.f1[1] == 0.0
    assert np.isnan(relaxed.f1[2])


def test_pixels_a_thousandth_larger_than_the_width_are_still_reached():
    assert half_widths_px(1.0, (1.001, 1.001)) == (1, 0)
    assert half_widths_px(1.0, (1 + 2 * DISTANCE_TOLERANCE, 1.0)) == (1,)
    assert half_widths_px(3.0, (1.0, 1.0)) == (3, 2, 2, 0)
    assert half_widths_px(0.3, (0.1, 0.1))[0] == 3, "0.1 + 0.1 + 0.1 > 0.3 in binary"


def test_the_margin_covers_the_widest_reach():
    assert BoundaryRule(2, (0.5, 0.25), (1.0, 3.0), 3).margin_px == 15
    assert BoundaryRule(2, (10.0, 10.0), (1.0,), 3).margin_px == 5
    assert BoundaryRule(2, (1.0, 1.0), (), 0).margin_px == 2


def test_counts_survive_json():
    rng = np.random.default_rng(0)
    pair = rng.integers(0, 3, (2, 12, 12)).astype(np.uint8)
    boundary, relaxed = BoundaryRule(3, (0.5, 0.5), (1.0, 2.0)).count(*pair)
    assert BoundaryCounts.from_dict(json.loads(json.dumps(boundary.to_dict()))) == boundary
    assert RelaxedCounts.from_dict(json.loads(json.dumps(relaxed.to_dict()))) == relaxed
    assert boundary != relaxed
    empty = BoundaryCounts.zeros((), 3)
    assert BoundaryCounts.from_dict(json.loads(json.dumps(empty.to_dict()))) == empty


# --- bad input -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_refuses_impossible_lengths(bad):
    with pytest.raises(InputError, match="boundary width"):
        BoundaryRule(2, (1.0, 1.0), (1.0, bad))
    with pytest.raises(InputError, match="ground sampling distance"):
        BoundaryRule(2, (1.0, bad), (1.0,))
    if bad != 0.0:
        with pytest.raises(InputError, match="slack"):
            BoundaryRule(2, (1.0, 1.0), (1.0,), bad)


def test_refuses_arrays_that_do_not_fit():
    rule = BoundaryRule(2, (1.0, 1.0), (1.0,))
    with pytest.raises(GridError):
        rule.count(np.zeros((2, 2), np.uint8), np.zeros((3, 2), np.uint8))
    with pytest.raises(LabelError):
        rule.count(np.zeros((2, 2), np.int64), np.zeros((2, 2), np.uint8))  # type: ignore[arg-type]


def test_refuses_to_add_counts_of_other_widths():
    with pytest.raises(InputError, match="widths_m"):
        BoundaryCounts.zeros((1.0,), 2) + BoundaryCounts.zeros((2.0,), 2)
    with pytest.raises(InputError, match="slack_px"):
        RelaxedCounts.zeros(3, 2) + RelaxedCounts.zeros(4, 2)


@pytest.mark.parametrize("entries", [{}, {"widths_m": [1], "predicted_px": [1]}, {"widths_m": "x"}, 3])
def test_refuses_dictionaries_of_something_else(entries):
    with pytest.raises(InputError, match="BoundaryCounts"):
        BoundaryCounts.from_dict(entries)
    with pytest.raises(InputError, match="RelaxedCounts"):
        RelaxedCounts.from_dict(entries)
