"""The losses of the tasks, against their closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.data.batches import PieceTiles
from crispmap.training.losses import overlap_loss
from crispmap.training.task import RefinerTask
from crispmap.types import IGNORE


@given(st.integers(0, 2**32 - 1), st.sampled_from([None, [1.0, 5.0, 0.2]]), st.floats(0, 0.9))
@settings(deadline=None, max_examples=25)
def test_loss_is_the_weighted_mean_over_labelled_pixels(seed, weights, unlabelled):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 3, (2, 3, 4, 5))
    labels = rng.integers(0, 3, (2, 4, 5))
    labels[rng.random(labels.shape) < unlabelled] = IGNORE
    labels[0, 0, 0] = 1
    task = tiny.coarse_task()
    task.weigh_classes(None if weights is None else np.array(weights, np.float32))
    given_loss = task.loss_of(torch.from_numpy(scores).float(), torch.from_numpy(labels))
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    total = weight = 0.0
    for b, r, c in np.argwhere(labels != IGNORE):
        k = labels[b, r, c]
        w = 1.0 if weights is None else weights[k]
        total -= w * np.log(probabilities[b, k, r, c])
        weight += w
    assert np.isclose(given_loss.item(), total / weight, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_deep_supervision_mixes_the_last_step_with_the_mean_of_those_before(share, steps):
    task = RefinerTask(tiny.TinyRefiner(iterations=steps), tiny.refiner_settings(deep_supervision=share), tiny.SCHEMA)
    batch = PieceTiles([tiny.ground(0)], 16, task.margin_px)[0]
    _, *between, last = [
        task.loss_of(one, batch["labels"]).item()
        for one in task.network.all_iterations(batch["scores"], batch["image"])
    ]
    expected = (1 - share) * last + share * np.mean(between) if between else last
    assert np.isclose(task.loss(batch).item(), expected, rtol=1e-5)


def test_gradients_reach_every_weight():
    for task in (tiny.coarse_task(), tiny.refiner_task()):
        batch = PieceTiles([tiny.ground(0)], 16, task.margin_px, task.stride_px)[0]
        task.loss(batch).backward()
        assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in task.network.parameters())


def test_the_loss_is_float32_under_bfloat16():
    task = tiny.coarse_task()
    batch = PieceTiles([tiny.ground(0)], 16, task.margin_px)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert task.scores(batch).dtype == torch.bfloat16
        assert task.loss(batch).dtype == torch.float32


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(deadline=None, max_examples=20)
def test_the_overlap_of_certain_scores_is_that_of_their_map_over_labelled_pixels(seed, unlabelled):
    rng = np.random.default_rng(seed)
    mapped, labels = rng.integers(0, 3, (2, 2, 5, 6))
    labels[rng.random(labels.shape) < unlabelled] = IGNORE
    scores = 200.0 * (mapped[:, None] == np.arange(3)[:, None, None])
    known = labels != IGNORE
    both = [((mapped == k) & (labels == k)).sum() for k in range(3)]
    either = [(((mapped == k) & known) | (labels == k)).sum() for k in range(3)]
    expected = 1 - np.mean([(one + 1) / (other + 1) for one, other in zip(both, either, strict=True)])
    found = overlap_loss(torch.from_numpy(scores).float(), torch.from_numpy(labels))
    assert np.isclose(found.item(), expected, atol=1e-5)
    assert 0 <= found.item() <= 1


def test_the_overlap_is_added_at_every_iteration():
    def loss(**changes):
        torch.manual_seed(0)
        task = RefinerTask(tiny.TinyRefiner(iterations=2), tiny.refiner_settings(**changes), tiny.SCHEMA)
        batch = PieceTiles([tiny.ground(0)], 16, task.margin_px)[0]
        steps = task.network.all_iterations(batch["scores"], batch["image"])[1:]
        return task.loss(batch).item(), [overlap_loss(one, batch["labels"]).item() for one in steps]

    plain, (first, last) = loss(deep_supervision=0.25)
    both, _ = loss(deep_supervision=0.25, loss="cross-entropy+overlap")
    assert np.isclose(both, plain + 0.75 * last + 0.25 * first, rtol=1e-5)
