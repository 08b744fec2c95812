"""Every loss against its definition, pixel by pixel, and the laws they share."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.models.settings import LOSS_NAMES, loss_terms
from crispmap.training.losses import LOSSES, LossChoice, weighted_loss
from crispmap.types import IGNORE

CLASSES = 3
SEEDS = st.integers(0, 2**32 - 1)
few = settings(deadline=None, max_examples=25)


def batch(seed: int, unlabelled: float = 0.2, shape: tuple[int, int, int] = (2, 7, 6)) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(0, 2, (shape[0], CLASSES, *shape[1:])), rng.integers(0, CLASSES, shape)
    labels[rng.random(shape) < unlabelled] = IGNORE
    labels[0, 0, 0] = 1
    return scores, labels


def loss(name: str, scores: np.ndarray, labels: np.ndarray, choice: LossChoice | None = None) -> float:
    found = LOSSES[name](torch.from_numpy(scores).float(), torch.from_numpy(labels), choice or LossChoice())
    return float(found)


def softmax(scores: np.ndarray) -> np.ndarray:
    parts = np.exp(scores - scores.max(axis=1, keepdims=True))
    return parts / parts.sum(axis=1, keepdims=True)


def certain(mapped: np.ndarray) -> np.ndarray:
    return 200.0 * (mapped[:, None] == np.arange(CLASSES)[:, None, None])


def test_names_and_functions_agree() -> None:
    assert tuple(LOSSES) == LOSS_NAMES


@given(SEEDS)
@few
def test_focal_and_boundary_are_means_over_their_pixels(seed: int) -> None:
    scores, labels = batch(seed)
    weights = np.array([1.0, 5.0, 0.2], np.float32)
    probabilities = softmax(scores)
    focal, weight, edge, edge_weight = 0.0, 0.0, 0.0, 0.0
    for b, r, c in np.argwhere(labels != IGNORE):
        own = labels[b, r, c]
        p, w = probabilities[b, own, r, c], weights[own]
        focal, weight = focal - w * (1 - p) ** 2 * np.log(p), weight + w
        around = labels[b, max(r - 3, 0) : r + 4, max(c - 3, 0) : c + 4]
        if set(around[around != IGNORE]) != {own}:
            edge, edge_weight = edge - w * np.log(p), edge_weight + w
    choice = LossChoice(torch.from_numpy(weights))
    assert np.isclose(loss("focal", scores, labels, choice), focal / weight, rtol=1e-4)
    assert np.isclose(loss("boundary", scores, labels, choice), edge / edge_weight if edge_weight else 0, rtol=1e-4)


def test_far_from_every_boundary_nothing_is_at_one() -> None:
    labels = np.zeros((1, 9, 9), np.int64)
    assert loss("boundary", batch(0, shape=(1, 9, 9))[0], labels) == 0
    labels[0, 0, 0] = 1
    scores = np.zeros((1, CLASSES, 9, 9))
    scores[:, 2, 4:], scores[:, 2, :, 4:] = 50.0, 50.0  # wrong, but more than 3 pixels from the other class
    assert np.isclose(loss("boundary", scores, labels), np.log(CLASSES), rtol=1e-5)


@given(SEEDS, st.floats(0, 0.9))
@few
def test_of_certain_scores_dice_and_lovasz_are_those_of_the_map(seed: int, unlabelled: float) -> None:
    _, labels = batch(seed, unlabelled)
    mapped = np.random.default_rng(seed + 1).integers(0, CLASSES, labels.shape)
    known = labels != IGNORE
    both = np.array([((mapped == k) & (labels == k)).sum() for k in range(CLASSES)])
    sizes = np.array([((mapped == k) & known).sum() + (labels == k).sum() for k in range(CLASSES)])
    assert np.isclose(loss("dice", certain(mapped), labels), 1 - ((2 * both + 1) / (sizes + 1)).mean(), atol=1e-5)
    there = [k for k in range(CLASSES) if (labels == k).any()]
    expected = np.mean([1 - both[k] / (sizes[k] - both[k]) for k in there])
    assert np.isclose(loss("lovasz", certain(mapped), labels), expected, atol=1e-5)


@given(SEEDS)
@few
def test_lovasz_is_the_integral_of_its_set_function(seed: int) -> None:
    """The Lovasz extension of f at errors e is the integral over t of f(pixels whose error is above t)."""
    scores, labels = batch(seed, shape=(1, 3, 4))
    probabilities, known, found = softmax(scores), labels != IGNORE, []
    for k in range(CLASSES):
        there = (labels == k)[known]
        if not there.any():
            continue
        errors = np.abs(there - probabilities[:, k][known])
        steps = np.unique(np.concatenate([[0.0], errors]))
        value = 0.0
        for low, high in itertools.pairwise(steps):
            wrong = errors > low
            value += (high - low) * (wrong.sum() / (there | wrong).sum())
        found.append(value)
    assert np.isclose(loss("lovasz", scores, labels), np.mean(found), atol=1e-5)


@given(SEEDS, st.sampled_from(LOSS_NAMES))
@few
def test_unlabelled_pixels_change_nothing_and_get_no_gradient(seed: int, name: str) -> None:
    scores, labels = batch(seed)
    tensor = torch.from_numpy(scores).float().requires_grad_()
    LOSSES[name](tensor, torch.from_numpy(labels), LossChoice()).backward()
    assert tensor.grad is not None
    unknown = np.broadcast_to((labels == IGNORE)[:, None], scores.shape)
    assert (tensor.grad.numpy()[unknown] == 0).all()
    other = np.where(unknown, 7.0, scores)
    assert np.isclose(loss(name, other, labels), loss(name, scores, labels), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_a_step_down_the_gradient_lowers_it(name: str) -> None:
    scores, labels = (torch.from_numpy(one) for one in batch(3))
    scores = scores.float().requires_grad_()
    before = LOSSES[name](scores, labels, LossChoice())
    before.backward()
    assert scores.grad is not None
    with torch.no_grad():
        after = LOSSES[name](scores - 1e-2 * scores.grad / scores.grad.norm(), labels, LossChoice())
    assert after < before


def test_a_sum_weighs_its_terms() -> None:
    scores, labels = (torch.from_numpy(one) for one in batch(4))
    terms = loss_terms("cross-entropy + 0.5*dice+2*lovasz")
    assert terms == {"cross-entropy": 1.0, "dice": 0.5, "lovasz": 2.0}
    expected = sum(weight * LOSSES[name](scores.float(), labels, LossChoice()) for name, weight in terms.items())
    torch.testing.assert_close(weighted_loss(scores, labels, terms, LossChoice()), expected)


@given(SEEDS, st.floats(0, 0.9))
@few
def test_smoothed_labels_share_the_target_among_the_classes(seed: int, smoothing: float) -> None:
    scores, labels = batch(seed)
    logs = np.log(softmax(scores))
    each = [
        -((1 - smoothing) * logs[b, labels[b, r, c], r, c] + smoothing * logs[b, :, r, c].mean())
        for b, r, c in np.argwhere(labels != IGNORE)
    ]
    found = loss("cross-entropy", scores, labels, LossChoice(label_smoothing=smoothing))
    assert np.isclose(found, np.mean(each), rtol=1e-4)
