"""Fitted biases against brute force over all thresholds and over grids of biases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score

from crispmap.errors import GridError, LabelError
from crispmap.evaluation import recalibration
from crispmap.evaluation.readers import ArrayLabels, ArrayMask
from crispmap.evaluation.recalibration import BiasedLabels, apply_biases, fit_biases, fit_biases_on
from crispmap.geo.grid import Grid
from crispmap.types import IGNORE


def problem(seed, classes, pixels, levels=None):
    """Scores that favour class 0 too much, and labels; optionally with many equal scores."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, pixels, p=np.arange(classes, 0, -1) / np.arange(classes, 0, -1).sum()).astype(np.uint8)
    labels[:classes] = range(classes)
    scores = rng.normal(0, 1, (classes, pixels))
    scores[labels, np.arange(pixels)] += 1.2
    scores[0] += 1.5
    if levels:
        scores = np.round(scores * levels) / levels
    return scores.astype(np.float32), labels


def mean_iou(scores, labels, biases):
    guess = np.argmax(scores.astype(np.float64) + np.reshape(biases, (-1, 1)), axis=0)
    kept = labels != IGNORE
    return jaccard_score(labels[kept], guess[kept], average="macro", labels=range(len(scores)), zero_division=0)


@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([None, 1, 3]))
@settings(deadline=None, max_examples=25)
def test_two_classes_get_the_best_of_all_thresholds(seed, pixels, levels):
    scores, labels = problem(seed, 2, pixels, levels)
    biases = fit_biases(scores, labels)
    margin = np.unique(scores[0].astype(np.float64) - scores[1])
    thresholds = [margin[0] - 1, *((margin[1:] + margin[:-1]) / 2), margin[-1] + 1, 0.0, *margin]
    best = max(mean_iou(scores, labels, (0, b)) for b in thresholds)
    assert mean_iou(scores, labels, biases) == pytest.approx(best, abs=1e-12)


@given(st.integers(0, 10**6), st.integers(2, 5))
@settings(deadline=None, max_examples=15)
def test_never_worse_than_no_bias_and_the_first_bias_is_zero(seed, classes):
    scores, labels = problem(seed, classes, 120)
    labels[7::11] = IGNORE
    biases = fit_biases(scores, labels)
    assert biases.shape == (classes,)
    assert biases.dtype == np.float64
    assert biases[0] == 0
    assert mean_iou(scores, labels, biases) >= mean_iou(scores, labels, np.zeros(classes)) - 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_three_classes_do_at_least_as_well_as_a_grid_search(seed):
    scores, labels = problem(seed, 3, 150)
    best = max(mean_iou(scores, labels, (0, *pair)) for pair in itertools.product(np.linspace(-1, 4, 15), repeat=2))
    assert mean_iou(scores, labels, fit_biases(scores, labels)) >= best - 1e-12


def test_a_known_imbalance_is_undone():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (3, 20_000)).astype(np.float32)
    labels = scores.argmax(axis=0).astype(np.uint8)
    scores += np.array([[1.5], [-0.5], [0.25]], np.float32)
    biases = fit_biases(scores, labels)
    assert biases == pytest.approx([0.0, 2.0, 1.25], abs=0.01)
    assert np.array_equal(apply_biases(scores, biases), labels)


def test_many_pixels_are_fitted_as_well_as_few(monkeypatch):
    scores, labels = problem(3, 4, 20_000)
    exact = mean_iou(scores, labels, fit_biases(scores, labels))
    monkeypatch.setattr(recalibration, "_SORTED_PIXELS", 1000)
    monkeypatch.setattr(recalibration, "_START_PIXELS", 2000)
    assert mean_iou(scores, labels, fit_biases(scores, labels)) == pytest.approx(exact, abs=1e-3)
    monkeypatch.setattr(recalibration, "MAX_FIT_PIXELS", 5000)
    few = fit_biases(scores, labels, seed=1)
    assert np.array_equal(few, fit_biases(scores, labels, seed=1))
    assert mean_iou(scores, labels, few) == pytest.approx(exact, abs=0.01)
    assert mean_iou(scores, labels, few) >= mean_iou(scores, labels, np.zeros(4))


def test_constant_scores_of_many_pixels(monkeypatch):
    monkeypatch.setattr(recalibration, "_SORTED_PIXELS", 10)
    labels = np.tile(np.array([0, 1, 1, 2], np.uint8), 10)
    biases = fit_biases(np.zeros((3, 40), np.float32), labels)
    assert mean_iou(np.zeros((3, 40)), labels, biases) == pytest.approx(0.5 / 3)


def test_the_same_seed_gives_the_same_biases_and_shape_does_not_matter():
    scores, labels = problem(5, 3, 600)
    biases = fit_biases(scores, labels)
    assert np.array_equal(biases, fit_biases(scores, labels))
    assert np.array_equal(biases, fit_biases(scores.reshape(3, 20, 30), labels.reshape(20, 30)))


def test_ignored_and_undefined_pixels_are_left_out():
    scores, labels = problem(7, 3, 400)
    biases = fit_biases(scores, labels)
    padded = np.concatenate([scores, np.full((3, 50), np.nan, np.float32), 9 * scores[:, :50]], axis=1)
    more = np.concatenate([labels, np.zeros(50, np.uint8), np.full(50, IGNORE, np.uint8)])
    assert np.array_equal(fit_biases(padded, more), biases)


@given(st.integers(0, 10**6), st.integers(2, 5))
@settings(deadline=None, max_examples=20)
def test_applying_is_the_arg_max(seed, classes):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.normal(0, 1, (classes, 4, 5)) * 2).astype(np.float32)
    biases = np.round(rng.normal(0, 1, classes) * 2)
    expected = np.argmax(scores + biases[:, None, None], axis=0)
    assert np.array_equal(apply_biases(scores, biases), expected)
    scores[-1, 1, 2] = np.nan
    scores[0, 0, 0] = np.nan
    found = apply_biases(scores, biases)
    assert found[1, 2] == found[0, 0] == IGNORE
    assert (found == IGNORE).sum() == 2


# --- on readers ------------------------------------------------------------------------------------------


class ArrayScores:
    """Scores in memory as a scene, with an invalid strip on the left."""

    def __init__(self, scores):
        self.scores = scores
        self.grid = Grid(None, Affine.identity(), scores.shape[1:])
        self.band_names = tuple(f"class {index}" for index in range(len(scores)))
        self.band_count = len(scores)

    def read(self, block):
        valid = np.ones(self.grid.shape, bool)
        valid[:, 0] = False
        return self.scores[:, *block.slices], valid[block.slices]


def test_fitting_on_ground_equals_fitting_on_its_pixels(monkeypatch):
    scores, labels = (array.reshape(*array.shape[:-1], 30, 40) for array in problem(8, 3, 1200))
    labels = labels.copy()
    labels[5] = IGNORE
    chosen = np.zeros((30, 40), bool)
    chosen[2:21, :25] = True
    expected = fit_biases(scores[:, 2:21, 1:25], labels[2:21, 1:25])
    reader, reference, area = ArrayScores(scores), ArrayLabels(labels), ArrayMask(chosen)
    assert np.array_equal(fit_biases_on([(reader, reference, area)]), expected)
    mapped = BiasedLabels(reader, expected).read(reader.grid.block)
    assert (mapped[:, 0] == IGNORE).all()
    assert np.array_equal(mapped[:, 1:], apply_biases(scores, expected)[:, 1:])
    monkeypatch.setattr(recalibration, "MAX_FIT_PIXELS", 200)
    few = fit_biases_on([(reader, reference, area)], seed=4)
    assert np.array_equal(few, fit_biases_on([(reader, reference, area)], seed=4))
    assert not np.array_equal(few, expected)


def test_ground_without_labels_names_the_classes():
    scores, labels = (array.reshape(*array.shape[:-1], 10, 10) for array in problem(9, 2, 100))
    with pytest.raises(LabelError, match="class 0, class 1"):
        fit_biases_on([(ArrayScores(scores), ArrayLabels(labels), ArrayMask(np.zeros((10, 10), bool)))])


# --- bad input -------------------------------------------------------------------------------------------


def test_a_class_without_labels_is_refused_by_name():
    scores, labels = problem(0, 3, 50)
    labels[labels == 2] = IGNORE
    with pytest.raises(LabelError, match="road"):
        fit_biases(scores, labels, class_names=("background", "building", "road"))
    with pytest.raises(LabelError, match="class 2"):
        fit_biases(scores, labels)


def test_arrays_that_do_not_fit_are_refused():
    scores, labels = problem(0, 2, 50)
    with pytest.raises(GridError, match="labels"):
        fit_biases(scores, labels[:-1])
    with pytest.raises(GridError, match="two or more classes"):
        fit_biases(scores[:1], labels)
    with pytest.raises(LabelError, match="class id 4"):
        fit_biases(scores, np.full(50, 4, np.uint8))
    with pytest.raises(GridError, match="3 biases"):
        apply_biases(scores, (0, 1, 2))
