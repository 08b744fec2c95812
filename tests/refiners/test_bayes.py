"""The empirical-Bayes smoothing against its formula, written out pixel by pixel."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit, softmax

from crispmap.refiners.bayes.refiner import RANGES, BayesRefiner
from crispmap.refiners.hand_written import Range

Doubles = NDArray[np.float64]
CERTAIN = math.log(9999)


def smoothed(refiner: BayesRefiner, scores: Doubles) -> Doubles:
    """The smoothed probabilities (class, row, col), without half a window on every side."""
    shares = softmax(scores + np.array(refiner.biases)[:, None, None], axis=0)
    with np.errstate(divide="ignore"):
        odds = np.clip(np.log(shares / (1 - shares)), -CERTAIN, CERTAIN)
    half, kept = refiner.window_px // 2, math.ceil(refiner.arguments["neigh_fraction"] * refiner.window_px**2)
    _, height, width = scores.shape
    result = np.empty((len(scores), height - 2 * half, width - 2 * half))
    for k, row, col in np.ndindex(*result.shape):
        window = odds[k, row : row + refiner.window_px, col : col + refiner.window_px]
        highest = sorted(window.ravel(), reverse=True)[:kept]
        m = sum(highest) / kept
        s2 = sum((one - m) ** 2 for one in highest) / (kept - 1)
        sigma2 = refiner.smoothness[k]
        result[k, row, col] = s2 / (s2 + sigma2) * odds[k, row + half, col + half] + sigma2 / (s2 + sigma2) * m
    return expit(result)


def scores_of(seed: int, classes: int, height: int, width: int, spread: float = 2.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, spread, (1, classes, height, width)))


def shares_after(refiner: BayesRefiner, scores: torch.Tensor) -> Doubles:
    return torch.softmax(refiner(scores, scores[:, :1]), dim=1)[0].numpy()


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 4), window=st.sampled_from([3, 5, 7]),
    fraction=st.floats(0.2, 1), shape=st.tuples(st.integers(1, 4), st.integers(1, 4)), spread=st.floats(0, 8),
    smoothness=st.lists(st.floats(1e-3, 1e3), min_size=4, max_size=4),
)  # fmt: skip
def test_it_is_the_formula_at_every_pixel(
    seed: int, classes: int, window: int, fraction: float, shape: tuple[int, int], spread: float,
    smoothness: list[float],
) -> None:  # fmt: skip
    biases = np.linspace(-1, 1, classes).tolist()
    refiner = BayesRefiner(
        classes, 1, smoothness=smoothness[:classes], window_px=window, neigh_fraction=fraction, biases=biases
    )
    scores = scores_of(seed, classes, shape[0] + window - 1, shape[1] + window - 1, spread)
    expected = smoothed(refiner, scores[0].numpy())
    np.testing.assert_allclose(shares_after(refiner, scores), expected / expected.sum(0), rtol=1e-6)


def test_without_smoothness_probabilities_stay_and_with_much_a_lone_pixel_gives_way() -> None:
    scores = scores_of(1, 3, 15, 15)
    kept = shares_after(BayesRefiner(3, 1, smoothness=1e-12), scores)
    np.testing.assert_allclose(kept, torch.softmax(scores, 1)[0, :, 4:-4, 4:-4].numpy(), rtol=1e-6)
    lone = torch.zeros(1, 2, 17, 17, dtype=torch.float64)
    lone[:, 0] = 3
    lone[:, :, 8, 8] = torch.tensor([0.0, 3.0], dtype=torch.float64)
    assert (BayesRefiner(2, 1, smoothness=1e4, neigh_fraction=1.0)(lone, lone).argmax(1) == 0).all()
    assert BayesRefiner(2, 1, smoothness=1e-6, neigh_fraction=1.0)(lone, lone).argmax(1)[0, 4, 4] == 1


def test_one_number_is_that_of_every_class() -> None:
    scores = scores_of(2, 3, 12, 12)
    one, each = (shares_after(BayesRefiner(3, 1, smoothness=given), scores) for given in (7.0, (7.0, 7.0, 7.0)))
    assert np.array_equal(one, each)


def test_certain_scores_stay_finite() -> None:
    refined = BayesRefiner(2, 1)(1e4 * scores_of(3, 2, 12, 12).float(), torch.zeros(1, 1, 12, 12))
    assert torch.isfinite(refined).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smoothness", 0), ("smoothness", math.inf), ("smoothness", math.nan), ("smoothness", [1.0, 2.0]),
        ("smoothness", [1.0, 2.0, -1.0]), ("window_px", 4), ("window_px", 1), ("window_px", 101), ("window_px", 5.5),
        ("neigh_fraction", 0), ("neigh_fraction", 1.1), ("neigh_fraction", math.nan), ("neigh_fraction", 0.01),
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*expected"):
        BayesRefiner(3, 1, **{name: value})


@given(value=st.integers(1, 12).map(lambda half: 2 * half + 1), factor=st.sampled_from([4, 2, 1.4, 0.25, 0.5, 1 / 1.4]))
def test_every_window_that_the_search_tries_is_odd_and_another_within_the_range(value: int, factor: float) -> None:
    span = RANGES["window_px"]
    moved = span.moved(value, factor)
    assert moved % 2 == 1
    assert span.low <= moved <= span.high
    assert (moved > value) == (factor > 1 and value < span.high)
    assert (moved < value) == (factor < 1 and value > span.low)
    assert Range(1.0, 0.1, 10.0).moved(2.0, 1.5) == 3.0
