"""Block bootstrap: against closed forms, and on what must hold whatever the numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from crispmap.errors import InputError
from crispmap.evaluation.intervals import (
    block_side_px,
    count_by_block,
    difference,
    draw_weights,
    interval,
    lead_over_runs,
    mean_iou,
    overall_accuracy,
)
from crispmap.evaluation.readers import ArrayLabels, ArrayMask
from crispmap.geo.grid import Block
from crispmap.metrics import ConfusionMatrix
from crispmap.types import CountArray

CLASSES = ("ground", "house", "road")
COUNTS = arrays.arrays(np.int64, st.tuples(st.integers(2, 9), st.just(3), st.just(3)), elements=st.integers(0, 50))


def labels(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.choice(np.array([0, 1, 2, 255], np.uint8), shape, p=[0.5, 0.2, 0.2, 0.1])


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 9))
def test_blocks_sum_to_the_matrix_of_the_ground(height: int, width: int, side_px: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (height + 7, width + 5)
    predicted, reference, chosen = labels(rng, shape), labels(rng, shape), rng.random(shape) < 0.7
    box = Block(3, 2, height, width)
    inside = np.zeros(shape, bool)
    inside[box.slices] = True
    sources = ArrayLabels(predicted), ArrayLabels(reference)
    blocks = count_by_block(*sources, (ArrayMask(chosen), box), CLASSES, side_px)
    whole = ConfusionMatrix(CLASSES)
    whole.update(predicted, np.where(chosen & inside, reference, np.uint8(255)))
    assert np.array_equal(blocks.sum(axis=0), whole.counts)
    assert len(blocks) <= math.ceil(height / side_px) * math.ceil(width / side_px)


def test_a_map_with_holes_has_the_same_blocks() -> None:
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 3, (64, 64), dtype=np.uint8)
    holes = reference.copy()
    holes[:32] = 255
    area = ArrayMask(np.ones((64, 64), bool)), Block(0, 0, 64, 64)
    full, part = (
        count_by_block(ArrayLabels(one), ArrayLabels(reference), area, CLASSES, 16) for one in (reference, holes)
    )
    assert full.shape == part.shape == (16, 3, 3)
    assert part[:8].sum() == 0
    assert np.array_equal(part[8:], full[8:])


@settings(deadline=None, max_examples=40)
@given(COUNTS)
def test_figures_are_those_of_the_confusion_matrix(counts: CountArray) -> None:
    for one in counts:
        matrix = ConfusionMatrix(CLASSES)
        matrix.counts += one
        assert overall_accuracy(one) == pytest.approx(matrix.overall_accuracy, nan_ok=True)
        assert mean_iou(one) == pytest.approx(matrix.mean_iou, nan_ok=True)


@settings(deadline=None, max_examples=40)
@given(COUNTS, st.integers(0, 2**32 - 1))
def test_intervals_are_ordered_alike_for_a_seed_and_nothing_between_a_map_and_itself(
    counts: CountArray, seed: int
) -> None:
    weights = draw_weights(len(counts), resamples=50, seed=seed)
    assert (weights.sum(axis=1) == len(counts)).all()
    assert np.array_equal(weights, draw_weights(len(counts), resamples=50, seed=seed))
    for figure in (overall_accuracy, mean_iou):
        one = interval(figure, counts, weights)
        if math.isfinite(one.low):
            assert 0 <= one.low <= one.high <= 1
        same = difference(figure, counts, counts, weights)
        assert [value for value in same if math.isfinite(value)] in ([0.0, 0.0, 0.0], [0.0], [])


def test_of_equal_blocks_accuracy_spreads_as_the_closed_form_says() -> None:
    rng = np.random.default_rng(3)
    pixels, blocks = 1000, 80
    right = rng.binomial(pixels, rng.beta(8, 2, blocks))
    counts = np.zeros((blocks, 2, 2), np.int64)
    counts[:, 0, 0], counts[:, 1, 0] = right, pixels - right
    counts[:, 0, 0] -= 1
    counts[:, 1, 1] += 1
    got = interval(overall_accuracy, counts, draw_weights(blocks, resamples=4000, seed=0))
    error = (right / pixels).std() / math.sqrt(blocks)
    assert got.value == pytest.approx(right.mean() / pixels)
    assert (got.high - got.low) / 2 == pytest.approx(1.96 * error, rel=0.06)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for seed in range(200):
        counts = np.zeros((50, 2, 2), np.int64)
        counts[:, 0, 0] = rng.binomial(400, rng.beta(6, 2, 50))
        counts[:, 0, 1] = 400 - counts[:, 0, 0]
        one = interval(overall_accuracy, counts, draw_weights(50, resamples=200, seed=seed))
        held += one.low <= 0.75 <= one.high
    assert 0.89 <= held / 200 <= 0.99


def test_maps_that_err_together_are_distinguished_on_the_same_blocks() -> None:
    rng = np.random.default_rng(1)
    right = rng.binomial(1000, rng.beta(5, 3, 60))
    counts = np.zeros((60, 2, 2), np.int64)
    counts[:, 0, 0], counts[:, 0, 1] = right, 1000 - right
    better = counts.copy()
    better[:, 0, 0], better[:, 0, 1] = right + 5, 995 - right
    better = np.maximum(better, 0)
    weights = draw_weights(60, seed=0)
    alone = interval(overall_accuracy, counts, weights)
    ahead = difference(overall_accuracy, better, counts, weights)
    assert ahead.low > 0
    assert ahead.high - ahead.low < 0.05 * (alone.high - alone.low)


def test_resamples_without_a_rare_class_do_not_count() -> None:
    counts = np.zeros((10, 2, 2), np.int64)
    counts[:, 0, 0] = 90
    counts[0, 1, 0] = 10
    one = interval(mean_iou, counts, draw_weights(10, seed=0))
    assert one.high < 0.5  # with the class left out it would be 1


def test_a_lone_block_has_no_interval() -> None:
    counts = np.array([[[5, 1], [2, 9]]])
    one = interval(mean_iou, counts, draw_weights(1))
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    assert 0 < one.value < 1


def test_the_side_of_blocks_is_64_metres_but_64_pixels_at_least() -> None:
    assert [block_side_px(gsd_m) for gsd_m in (0.3, 0.5, 1.0, 10.0)] == [213, 128, 64, 64]


def test_what_does_not_fit_together_is_refused() -> None:
    counts = np.ones((3, 2, 2), np.int64)
    with pytest.raises(InputError, match="3 and 2 blocks"):
        difference(mean_iou, counts, counts[:2], draw_weights(3))
    with pytest.raises(InputError, match="for 3 blocks"):
        interval(mean_iou, counts, draw_weights(4))
    with pytest.raises(InputError, match="0 blocks"):
        draw_weights(0)
    area = ArrayMask(np.ones((4, 4), bool)), Block(0, 0, 4, 4)
    with pytest.raises(InputError, match="0 pixels"):
        count_by_block(ArrayLabels(np.zeros((4, 4), np.uint8)), ArrayLabels(np.zeros((4, 4), np.uint8)), area, "ab", 0)


@settings(deadline=None, max_examples=25)
@given(COUNTS, st.integers(0, 9))
def test_a_lead_over_one_run_is_the_difference(counts: CountArray, seed: int) -> None:
    weights = draw_weights(len(counts), seed=seed)
    other = counts[::-1] + np.eye(3, dtype=np.int64)
    expected = difference(mean_iou, counts, other, weights)
    assert lead_over_runs(mean_iou, [(counts, other)], weights, seed=seed) == pytest.approx(expected, nan_ok=True)


@settings(deadline=None, max_examples=25)
@given(COUNTS, st.integers(1, 5))
def test_a_lead_over_runs_is_their_mean_and_of_equal_maps_nothing(counts: CountArray, runs: int) -> None:
    counts = counts + np.eye(3, dtype=np.int64)
    weights = draw_weights(len(counts), resamples=50)
    others = [counts + number for number in range(runs)]
    lead = lead_over_runs(mean_iou, [(one, counts) for one in others], weights)
    assert lead.value == pytest.approx(np.mean([mean_iou(one.sum(0)) - mean_iou(counts.sum(0)) for one in others]))
    assert lead_over_runs(mean_iou, [(counts, counts)] * runs, weights) == (0.0, 0.0, 0.0)


def test_a_lead_over_runs_holds_the_luck_of_a_training_too() -> None:
    """Blocks that are all alike explain nothing: the interval spans what the runs gave."""
    other, worse, better = (np.array([[[hits, 100 - hits], [100 - hits, hits]]] * 8) for hits in (90, 80, 99))
    lead = lead_over_runs(mean_iou, [(worse, other), (better, other), (better, other)], draw_weights(8))
    gains = [float(mean_iou(one[0]) - mean_iou(other[0])) for one in (worse, better)]
    assert lead == pytest.approx(((gains[0] + 2 * gains[1]) / 3, *gains))


def test_a_lead_over_no_run() -> None:
    with pytest.raises(InputError, match="No run"):
        lead_over_runs(mean_iou, [], draw_weights(2))
