"""What filters do: known derivatives are recognised, in every direction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate

from crispmap.errors import InputError
from crispmap.report.filters import counted, derivative_basis, filter_nature


def directional(order: int, degrees: float) -> np.ndarray:
    """A Gaussian derivative along a direction, from the formula, not from the basis."""
    y, x = np.mgrid[2:-3:-1, -2:3].astype(float)
    along = x * math.cos(math.radians(degrees)) + y * math.sin(math.radians(degrees))
    gauss = np.exp(-(x**2 + y**2) / 2)
    return {0: gauss, 1: along * gauss, 2: (along**2 - 1) * gauss}[order]


def apart(one: float, other: float, period: float) -> float:
    return abs((one - other + period / 2) % period - period / 2)


@settings(deadline=None, max_examples=40)
@given(st.floats(-179, 179), st.floats(0.01, 100))
def test_a_slope_is_found_with_its_direction_whatever_its_size(degrees: float, size: float) -> None:
    nature = filter_nature(size * directional(1, degrees)[None])
    assert nature.order == 1
    assert nature.direction_deg is not None
    assert apart(nature.direction_deg, degrees, 360) < 1e-6
    assert nature.by_order[1] == pytest.approx(1)
    assert nature.explained == pytest.approx(1)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 179), st.sampled_from([-3.0, 0.5, 2.0]))
def test_a_curvature_is_found_with_its_axis_whatever_its_sign(degrees: float, size: float) -> None:
    nature = filter_nature(size * directional(2, degrees)[None])
    assert nature.explained == pytest.approx(1)
    assert nature.order == 2
    assert nature.direction_deg is not None
    assert apart(nature.direction_deg, degrees, 180) < 1e-4


def test_a_slope_rises_as_the_answer_of_an_image_that_rises_there() -> None:
    row, col = np.mgrid[0:9, 0:9].astype(float)
    for degrees, image in ((0, col), (90, -row), (180, -col), (-90, row), (45, col - row)):
        kernel = directional(1, degrees)
        assert correlate(image, kernel)[4, 4] > 0
        found = filter_nature(kernel[None]).direction_deg
        assert found is not None
        assert apart(found, degrees, 360) < 1e-6


def test_blur_and_laplacian_have_no_direction() -> None:
    blur = filter_nature(directional(0, 0)[None])
    assert (blur.order, blur.direction_deg) == (0, None)
    laplacian = filter_nature((directional(2, 0) + directional(2, 90))[None])
    assert laplacian.order in (0, 2)
    assert laplacian.direction_deg is None
    assert laplacian.explained == pytest.approx(1)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_shares_never_pass_one_and_noise_is_mostly_none_of_these(seed: int) -> None:
    nature = filter_nature(np.random.default_rng(seed).normal(size=(3, 5, 5)))
    assert sum(nature.by_order) <= 1 + 1e-9
    assert 0 < nature.shared <= 1
    assert (nature.order is None) == (max(nature.by_order) < 0.5)


def test_noise_is_seldom_called_a_derivative() -> None:
    rng = np.random.default_rng(0)
    named = sum(filter_nature(rng.normal(size=(1, 5, 5))).order is not None for _ in range(500))
    assert named < 25  # 2 of 25 dimensions rarely hold half of the energy


def test_of_several_planes_the_common_pattern_counts() -> None:
    slope = directional(1, 30)
    nature = filter_nature(np.stack([slope, 2 * slope, -0.5 * slope]))
    assert nature.shared == pytest.approx(1)
    assert nature.order == 1
    assert nature.direction_deg == pytest.approx(30)
    assert (nature.pattern**2).sum() == pytest.approx((1 + 4 + 0.25) * (slope**2).sum())
    mixed = filter_nature(np.stack([slope, directional(1, 120)]))
    assert mixed.shared == pytest.approx(0.5)


def test_no_weights_at_all_are_none_of_these() -> None:
    nature = filter_nature(np.zeros((2, 5, 5)))
    assert nature.order is None
    assert nature.text == "no dominant derivative, all together 0 %"


def test_the_words() -> None:
    natures = [filter_nature(directional(1, 37)[None]), filter_nature(directional(0, 0)[None])]
    assert natures[0].text == "first derivative, 37°, 100 %"
    assert counted(natures) == "Of 2 filters, 1 blurs, 1 acts as first derivative."
    assert counted(natures[:1] * 2) == "Of 2 filters, 2 act as first derivatives."
    assert counted([]) == "There are no filters."
    assert counted([filter_nature(np.zeros((1, 3, 3)))]) == "Of 1 filters, 1 without a dominant derivative."


def test_the_basis_is_of_full_rank() -> None:
    assert np.linalg.matrix_rank(derivative_basis(5)) == 6


@pytest.mark.parametrize("shape", [(5, 5), (1, 4, 4), (1, 5, 3), (1, 1, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="A filter of shape"):
        filter_nature(np.zeros(shape))


def test_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        filter_nature(np.full((1, 5, 5), np.nan))
