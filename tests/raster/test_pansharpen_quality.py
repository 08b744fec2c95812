"""Figures of pansharpened images, held to their definitions computed pixel by pixel."""

from __future__ import annotations

import cmath
import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.raster.pansharpen.quality import (
    SQUARE_PX,
    AgreementSums,
    NoReferenceSums,
    hypercomplex_product,
    hypercomplex_q,
    universal_q,
)

HAMILTON = {  # i j = k and so on: (a, b) -> (component, sign)
    (0, 0): (0, 1), (0, 1): (1, 1), (0, 2): (2, 1), (0, 3): (3, 1), (1, 0): (1, 1), (1, 1): (0, -1), (1, 2): (3, 1),
    (1, 3): (2, -1), (2, 0): (2, 1), (2, 1): (3, -1), (2, 2): (0, -1), (2, 3): (1, 1), (3, 0): (3, 1), (3, 1): (2, 1),
    (3, 2): (1, -1), (3, 3): (0, -1),
}  # fmt: skip


def image(bands: int = 3, height: int = 64, width: int = 64, seed: int = 0) -> Any:
    return np.random.default_rng(seed).uniform(50, 250, (bands, height, width)).astype(np.float32)


def everywhere(values: Any) -> Any:
    return np.ones(values.shape[1:], bool)


def agreement(reference: Any, fused: Any, valid: Any = None, ratio: float = 4.0) -> Any:
    sums = AgreementSums(ratio)
    sums.add(reference, fused, everywhere(reference) if valid is None else valid)
    return sums.result()


def test_an_image_agrees_with_itself() -> None:
    found = agreement(image(), image())
    assert found.ergas == 0
    assert found.sam_deg == pytest.approx(0, abs=1e-4)
    assert found.q2n == pytest.approx(1)


def test_ergas_and_sam_are_their_definitions() -> None:
    a, b = image(seed=1).astype(np.float64), image(seed=2).astype(np.float64)
    count = a[0].size
    errors = [sum((x - y) ** 2 for x, y in zip(p.flat, q.flat, strict=True)) / count for p, q in zip(a, b, strict=True)]
    terms = [error / (sum(p.flat) / count) ** 2 for error, p in zip(errors, a, strict=True)]
    angles = []
    for row, col in product(range(64), range(64)):
        x, y = a[:, row, col], b[:, row, col]
        angles.append(math.degrees(math.acos(sum(x * y) / math.sqrt(sum(x * x) * sum(y * y)))))
    found = agreement(image(seed=1), image(seed=2), ratio=2.5)
    assert found.ergas == pytest.approx(100 / 2.5 * math.sqrt(sum(terms) / len(terms)))
    assert found.sam_deg == pytest.approx(sum(angles) / len(angles))


@given(factor=st.floats(0.5, 2.0), ratio=st.floats(1.5, 8.0))
@settings(deadline=None, max_examples=20)
def test_a_brighter_image_has_the_same_angles_and_an_error_by_its_factor(factor: float, ratio: float) -> None:
    reference = image().astype(np.float64)
    found = agreement(reference, reference * factor, ratio=ratio)
    share = math.sqrt(np.mean((reference**2).mean(axis=(1, 2)) / reference.mean(axis=(1, 2)) ** 2))
    assert found.sam_deg == pytest.approx(0, abs=1e-4)
    assert found.ergas == pytest.approx(100 / ratio * abs(factor - 1) * share, abs=1e-6)


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4, 8]))
@settings(deadline=None, max_examples=40)
def test_lengths_of_hypercomplex_numbers_multiply(seed: int, components: int) -> None:
    a, b = np.random.default_rng(seed).normal(size=(2, components))
    size = np.linalg.norm(hypercomplex_product(a[:, None], b[:, None]))
    assert size == pytest.approx(np.linalg.norm(a) * np.linalg.norm(b))


def test_two_components_are_complex_numbers_and_four_are_hamiltons() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 4))
    by_two = hypercomplex_product(a[:2, None], b[:2, None])[:, 0]
    assert complex(*by_two) == pytest.approx(complex(*a[:2]) * complex(*b[:2]))
    expected = np.zeros(4)
    for (i, j), (place, sign) in HAMILTON.items():
        expected[place] += sign * a[i] * b[j]
    np.testing.assert_allclose(hypercomplex_product(a[:, None], b[:, None])[:, 0], expected)


def test_q_of_one_band_is_its_definition() -> None:
    x, y = np.random.default_rng(0).normal(100, 20, (2, 50))
    covariance = np.mean((x - x.mean()) * (y - y.mean()))
    expected = 4 * covariance * x.mean() * y.mean() / ((x.var() + y.var()) * (x.mean() ** 2 + y.mean() ** 2))
    assert universal_q(x[None], y[None], np.ones((1, 50)))[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [(5.0, 5.0, 1.0), (2.0, 4.0, 2 * 8 / 20), (0.0, 0.0, 1.0), (0.0, 3.0, 0.0), (-1.0, 1.0, -1.0)],
)
def test_q_of_constant_squares_compares_their_means(x: float, y: float, expected: float) -> None:
    ones = np.ones((1, 9))
    assert universal_q(x * ones, y * ones, ones)[0] == pytest.approx(expected)
    assert hypercomplex_q(x * ones[:, None], x * ones[:, None], ones)[0] == pytest.approx(1.0)


def test_q2n_of_two_bands_is_its_definition_in_complex_numbers() -> None:
    x, y = np.random.default_rng(3).normal(100, 20, (2, 2, 60))
    mean, deviation = x.mean(axis=1), x.std(axis=1, ddof=1)
    z, w = ([complex(*((one - mean) / deviation + 1)) for one in image.T] for image in (x, y))
    n = len(z)
    mean_z, mean_w = sum(z) / n, sum(w) / n
    covariance = (
        n / (n - 1) * (sum(p * q.conjugate() for p, q in zip(z, w, strict=True)) / n - mean_z * mean_w.conjugate())
    )
    var_z, var_w = (
        n / (n - 1) * (sum(abs(p) ** 2 for p in s) / n - abs(m) ** 2) for s, m in ((z, mean_z), (w, mean_w))
    )
    bias = 2 * abs(mean_z) * abs(mean_w) / (abs(mean_z) ** 2 + abs(mean_w) ** 2)
    expected = abs(cmath.polar(covariance)[0]) * bias * 2 / (var_z + var_w)
    assert hypercomplex_q(x[None], y[None], np.ones((1, n)))[0] == pytest.approx(expected)


def test_q2n_falls_with_noise() -> None:
    reference = image(4)
    noisy = [agreement(reference, reference + image(4, seed=5) * share).q2n for share in (0, 0.1, 0.3, 1.0)]
    assert noisy == sorted(noisy, reverse=True)
    assert noisy[-1] < 0.9


@given(st.integers(0, 99), st.sampled_from([32, 64]))
@settings(deadline=None, max_examples=10)
def test_windows_of_whole_squares_add_up(seed: int, width: int) -> None:
    a, b = image(seed=seed), image(seed=seed + 1)
    valid = np.random.default_rng(seed).random((64, 64)) > 0.3
    sums = AgreementSums(4.0)
    for col in range(0, 64, width):
        for row in (0, 32):
            here = np.s_[..., row : row + 32, col : col + width]
            sums.add(a[here], b[here], valid[here])
    whole = agreement(a, b, valid)
    assert vars(sums.result()) == pytest.approx(vars(whole))


def test_invalid_pixels_do_not_count() -> None:
    a, b = image(seed=1), image(seed=2)
    valid = np.random.default_rng(0).random((64, 64)) > 0.3
    spoilt = np.where(valid, b, 1e6)
    assert vars(agreement(a, b, valid)) == pytest.approx(vars(agreement(a, spoilt, valid)))
    assert all(math.isnan(value) for value in vars(agreement(a, b, np.zeros((64, 64), bool))).values())


def test_figures_without_reference_are_their_definitions() -> None:
    coarse, fine = image(3, 32, 32), image(3, 64, 64, seed=1)
    coarse_pan, fine_pan = image(1, 32, 32, seed=2)[0], image(1, 64, 64, seed=3)[0] + fine.mean(axis=0)

    def q(x: Any, y: Any) -> float:
        found = []
        for row, col in product(range(0, x.shape[0], SQUARE_PX), range(0, x.shape[1], SQUARE_PX)):
            a, b = (one[row : row + SQUARE_PX, col : col + SQUARE_PX].astype(float) for one in (x, y))
            covariance = np.mean((a - a.mean()) * (b - b.mean()))
            found.append(4 * covariance * a.mean() * b.mean() / ((a.var() + b.var()) * (a.mean() ** 2 + b.mean() ** 2)))
        return float(np.mean(found))

    pairs = [(0, 1), (0, 2), (1, 2)]
    d_lambda = np.mean([abs(q(coarse[i], coarse[j]) - q(fine[i], fine[j])) for i, j in pairs])
    d_s = np.mean([abs(q(coarse[i], coarse_pan) - q(fine[i], fine_pan)) for i in range(3)])
    sums = NoReferenceSums()
    sums.add_coarse(coarse, coarse_pan, everywhere(coarse))
    sums.add_fine(fine, fine_pan, everywhere(fine))
    found = sums.result()
    assert found.d_lambda == pytest.approx(d_lambda)
    assert found.d_s == pytest.approx(d_s)
    assert found.qnr == pytest.approx((1 - d_lambda) * (1 - d_s))
    expected = np.mean([np.corrcoef(band.ravel(), fine_pan.ravel())[0, 1] for band in fine])
    assert found.pan_correlation == pytest.approx(expected)
    assert math.isnan(NoReferenceSums().result().qnr)
