"""The dense CRF against a mean field over all pairs, written out in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from crispmap.refiners.crf import refiner as crf
from crispmap.refiners.crf.refiner import AppearanceKernel, CrfRefiner, SmoothnessKernel

Doubles = NDArray[np.float64]


def all_pairs(image: Doubles, theta_alpha: float, theta_beta: float | None) -> tuple[Doubles, Doubles]:
    """Kernel values (pixel, pixel) of all pairs, and the distances between the pixels."""
    places = np.stack(np.mgrid[: image.shape[1], : image.shape[2]]).reshape(2, -1).T
    apart = ((places[:, None] - places[None]) ** 2).sum(-1)
    exponent = apart / (2 * theta_alpha**2)
    if theta_beta is not None:
        colours = image.reshape(len(image), -1).T
        exponent = exponent + ((colours[:, None] - colours[None]) ** 2).sum(-1) / (2 * theta_beta**2)
    return np.exp(-exponent), np.sqrt(apart)


def normalised(kernel: Doubles) -> Doubles:
    root = 1 / np.sqrt(kernel.sum(1))
    kernel = kernel * root[:, None] * root[None]
    np.fill_diagonal(kernel, 0)
    return kernel


def mean_field(refiner: CrfRefiner, scores: Doubles, image: Doubles, *, windowed: bool = True) -> list[Doubles]:
    """log Q of every step, (class, row, col), by the Potts form of the paper's algorithm 1."""
    appearance, apart = all_pairs(image, refiner.theta_alpha_px, refiner.theta_beta)
    if windowed:
        appearance = np.where(apart <= 3 * refiner.theta_alpha_px, appearance, 0)
    smoothness, _ = all_pairs(image, refiner.theta_gamma_px, None)
    kernels = [(refiner.appearance, normalised(appearance)), (refiner.smoothness, normalised(smoothness))]
    unary = -np.log(softmax(scores + np.array(refiner.biases)[:, None, None], axis=0)).reshape(len(scores), -1)
    belief = softmax(-unary, axis=0)
    steps = []
    for _ in range(refiner.iterations):
        energy = unary.copy()
        for weight, kernel in kernels:
            messages = belief @ kernel
            energy += weight * (messages.sum(0) - messages)  # Potts: pay for the other classes
        belief = softmax(-energy, axis=0)
        steps.append(np.log(belief).reshape(scores.shape))
    return steps


def example(
    seed: int, classes: int, bands: int, shape: tuple[int, int], spread: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    scores, image = rng.normal(0, 2, (1, classes, *shape)), rng.normal(0, spread, (1, bands, *shape))
    return torch.from_numpy(scores), torch.from_numpy(image)


def uncropped_steps(refiner: CrfRefiner, scores: torch.Tensor, image: torch.Tensor) -> list[Doubles]:
    refiner.margin_px = 0
    steps = refiner.all_iterations(scores, image)[1:]
    return [torch.log_softmax(one, dim=1)[0].numpy() for one in steps]


weights = st.floats(0, 20)
thetas = st.floats(0.3, 6)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 4), bands=st.integers(1, 5),
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)), steps=st.integers(1, 4),
    appearance=weights, smoothness=weights, alpha=thetas, gamma=thetas, beta=st.floats(0.05, 5),
)  # fmt: skip
def test_it_is_the_mean_field_over_all_pairs(
    seed: int, classes: int, bands: int, shape: tuple[int, int], steps: int,
    appearance: float, smoothness: float, alpha: float, gamma: float, beta: float,
) -> None:  # fmt: skip
    scores, image = example(seed, classes, bands, shape)
    refiner = CrfRefiner(
        classes, bands, steps, appearance=appearance, smoothness=smoothness, theta_alpha_px=alpha,
        theta_gamma_px=gamma, theta_beta=beta, biases=np.linspace(-1, 1, classes),
    )  # fmt: skip
    expected = mean_field(refiner, scores[0].numpy(), image[0].numpy())
    for ours, other in zip(uncropped_steps(refiner, scores, image), expected, strict=True):
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-9)


def test_scores_are_logits_of_the_belief_on_the_scale_of_the_given_ones() -> None:
    scores, image = example(0, 3, 2, (8, 8))
    refiner = CrfRefiner(3, 2, 2, theta_alpha_px=1.0, theta_gamma_px=0.5)
    moved = refiner(scores + 7.0, image)  # a number added to all scores of a pixel changes no belief
    torch.testing.assert_close(moved, refiner(scores, image) + 7.0)


def test_without_weights_nothing_changes() -> None:
    scores, image = example(1, 3, 2, (5, 6))
    refiner = CrfRefiner(3, 2, appearance=0, smoothness=0)
    assert refiner.margin_px == 0
    assert all(torch.equal(step, scores) for step in refiner.all_iterations(scores, image))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), alpha=st.floats(0.4, 2.0), beta=st.floats(0.2, 50.0))
def test_what_the_window_leaves_out_is_bounded_as_documented(seed: int, alpha: float, beta: float) -> None:
    _, image = example(seed, 2, 3, (15, 15))
    values = torch.from_numpy(np.random.default_rng(seed).uniform(0, 1, (1, 2, 15, 15)))
    ours = AppearanceKernel(image, alpha, beta).sums(values).numpy().reshape(2, -1)
    kernel, apart = all_pairs(image[0].numpy(), alpha, beta)
    np.fill_diagonal(kernel, 0)
    whole = values.numpy().reshape(2, -1) @ kernel
    left_out = whole - ours
    outside = np.where(apart > 3 * alpha, np.exp(-(apart**2) / (2 * alpha**2)), 0)
    assert outside.max() < math.exp(-4.5)
    assert (left_out >= -1e-12).all()
    assert (left_out <= outside.sum(1) + 1e-12).all()


@pytest.mark.parametrize("alpha", [1.0, 2.0, 4.0])
def test_beyond_the_window_lies_about_a_hundredth_of_the_kernel(alpha: float) -> None:
    apart = np.hypot(*np.mgrid[-60:61, -60:61])
    kernel = np.exp(-(apart**2) / (2 * alpha**2))
    assert kernel[apart > crf.WINDOW_SIGMAS * alpha].sum() < 0.015 * kernel.sum()


def test_the_window_moves_no_belief_by_more_than_a_fiftieth() -> None:
    for seed in range(4):
        scores, image = example(seed, 3, 3, (20, 20), spread=0.3)
        refiner = CrfRefiner(3, 3, theta_alpha_px=1.5, theta_beta=0.7)
        expected = mean_field(refiner, scores[0].numpy(), image[0].numpy(), windowed=False)
        ours = uncropped_steps(refiner, scores, image)
        assert np.abs(np.exp(ours[-1]) - np.exp(expected[-1])).max() < 0.02


@pytest.mark.parametrize("kept_bytes", [0, 100_000])
def test_kernels_computed_anew_are_those_kept(monkeypatch: pytest.MonkeyPatch, kept_bytes: int) -> None:
    scores, image = example(2, 3, 2, (30, 31))
    refiner = CrfRefiner(3, 2, theta_alpha_px=2.0, theta_gamma_px=1.0)
    kept = refiner(scores, image)
    monkeypatch.setattr(crf, "_KEPT_BYTES", kept_bytes)
    assert torch.equal(refiner(scores, image), kept)


def test_a_batch_is_its_samples() -> None:
    scores, image = example(3, 2, 1, (20, 21))
    other_scores, other_image = example(4, 2, 1, (20, 21))
    refiner = CrfRefiner(2, 1, theta_alpha_px=2.0, theta_gamma_px=1.0)
    both = refiner(torch.cat([scores, other_scores]), torch.cat([image, other_image]))
    torch.testing.assert_close(both[:1], refiner(scores, image))
    torch.testing.assert_close(both[1:], refiner(other_scores, other_image))


def test_agreeing_pixels_of_one_colour_convince_a_doubtful_one() -> None:
    image = torch.zeros(1, 1, 17, 17, dtype=torch.float64)
    image[..., 9:] = 5.0
    scores = torch.zeros(1, 2, 17, 17, dtype=torch.float64)
    scores[:, 0, :, :9] = scores[:, 1, :, 9:] = 2.0
    scores[:, :, 8, 6] = torch.tensor([-0.5, 0.5], dtype=torch.float64)  # says class 1 on the side of class 0
    refiner = CrfRefiner(2, 1, appearance=5, theta_alpha_px=2.0, theta_beta=0.5, smoothness=0)
    labels = refiner(scores, image).argmax(1)[0]
    assert labels.shape == (5, 5)
    assert labels[:, :3].eq(0).all()
    assert labels[:, 3:].eq(1).all()


@pytest.mark.parametrize("shape", [(12, 9), (1, 7)])
def test_the_smoothness_kernel_leaves_no_pair_out(shape: tuple[int, int]) -> None:
    _, image = example(5, 2, 1, shape)
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 2, *shape)))
    kernel, _ = all_pairs(image[0].numpy(), 2.5, None)
    np.fill_diagonal(kernel, 0)
    expected = values.numpy().reshape(2, -1) @ kernel
    np.testing.assert_allclose(SmoothnessKernel(image, 2.5).sums(values).numpy().reshape(2, -1), expected, atol=1e-12)


def test_float32_is_as_good_as_float64_to_1e_4() -> None:
    scores, image = example(6, 3, 4, (50, 50))
    refiner = CrfRefiner(3, 4, theta_alpha_px=4.0)
    single = refiner(scores.float(), image.float())
    assert (single.double() - refiner(scores, image)).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("appearance", -1.0), ("appearance", math.inf), ("smoothness", math.nan), ("theta_beta", 0.0),
        ("theta_beta", math.inf), ("theta_alpha_px", 0.0), ("theta_alpha_px", 51.0), ("theta_gamma_px", math.nan),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is .*expected"):
        CrfRefiner(2, 3, **{name: value})


def test_the_margin_is_the_reach_of_the_kernels_in_use() -> None:
    assert CrfRefiner(2, 3, theta_alpha_px=7.1, theta_gamma_px=2).margin_px == 22
    assert CrfRefiner(2, 3, theta_alpha_px=7.1, theta_gamma_px=2, appearance=0).margin_px == 6
    assert CrfRefiner(2, 3, theta_alpha_px=1, theta_gamma_px=3).margin_px == 9
