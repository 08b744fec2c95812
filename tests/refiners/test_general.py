"""The refiner for any classes and bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from crispmap.refiners.general.likeness import description, likeness, quadratic
from crispmap.refiners.general.network import PLANES, GeneralRefiner
from crispmap.refiners.general.planes import planes_from
from crispmap.refiners.general.shipped import SHIPPED, shipped_network

SIZE = 2 * PLANES + 1


def forms_of(classes: int) -> list[list[list[float]]]:
    made = torch.randn(classes, SIZE, SIZE, generator=torch.Generator().manual_seed(3)) * 0.2
    return [(one + one.T).tolist() for one in made]


def inputs(refiner: GeneralRefiner, side: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    whole = side + 2 * refiner.margin_px
    scores = 3 * torch.randn(1, refiner.classes, whole, whole, generator=generator)
    return scores, torch.randn(1, refiner.bands, whole, whole, generator=generator)


def colours(bands: int, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    pixels = np.random.default_rng(seed).normal(size=(bands, 500)).cumsum(axis=0)
    return pixels.mean(axis=1), np.cov(pixels, bias=True).reshape(bands, bands)


def test_the_shipped_file_is_small() -> None:
    assert SHIPPED.stat().st_size < 1_000_000


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("bands", [1, 2, 3, 8])
def test_the_shipped_weights_serve_any_classes_and_bands(classes: int, bands: int) -> None:
    refiner = shipped_network(classes, bands, planes_from(*colours(bands)), forms_of(classes))
    with torch.inference_mode():
        refined = refiner(*inputs(refiner))
    assert refined.shape == (1, classes, 12, 12)
    assert refined.isfinite().all()


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)))
def test_classes_in_another_order_give_the_same_scores_in_that_order(order: list[int]) -> None:
    forms = forms_of(4)
    refiner = shipped_network(4, 3, planes_from(*colours(3)), forms).double()
    permuted = shipped_network(4, 3, planes_from(*colours(3)), [forms[k] for k in order]).double()
    scores, image = (one.double() for one in inputs(refiner))
    with torch.inference_mode():
        assert_allclose(permuted(scores[:, order], image), refiner(scores, image)[:, order], atol=1e-9)


def test_scores_are_left_as_they_are_where_that_is_asked_for() -> None:
    refiner = shipped_network(3, 3, planes_from(*colours(3)), forms_of(3))
    scores, image = inputs(refiner)
    before = scores[..., 44:-44, 44:-44]
    with torch.inference_mode():
        assert not torch.equal(refiner(scores, image).argmax(1), before.argmax(1))
        refiner.leave_scores()
        left = refiner(scores, image)
    assert torch.equal(left.argmax(1), before.argmax(1))
    assert_allclose(left.softmax(1), before.softmax(1), atol=1e-5)
    refiner.leave_scores([0.0, 1.0, 2.0])
    with torch.inference_mode():
        biased = refiner(scores, image)
    assert torch.equal(biased.argmax(1), (before + torch.tensor([0.0, 1.0, 2.0])[:, None, None]).argmax(1))
    assert refiner.arguments["biases"] == [0.0, 1.0, 2.0]


def test_what_is_added_to_all_scores_changes_nothing() -> None:
    refiner = shipped_network(3, 1, planes_from(*colours(1)), forms_of(3)).double()
    scores, image = (one.double() for one in inputs(refiner))
    with torch.inference_mode():
        assert_allclose(refiner(scores + 7.5, image), refiner(scores, image), atol=1e-9)


@pytest.mark.parametrize("value", [0.0, 1e4])
def test_flat_ground_and_values_far_from_all_give_finite_scores(value: float) -> None:
    refiner = shipped_network(2, 3, planes_from(*colours(3)), forms_of(2))
    scores, image = inputs(refiner)
    with torch.inference_mode():
        assert refiner(scores * value, torch.full_like(image, value)).isfinite().all()


@pytest.mark.parametrize(
    "arguments",
    [
        {"classes": 1}, {"bands": 0}, {"iterations": 2}, {"widths": (4, 4)}, {"dilations": ()},
        {"planes": [[1.0, 0.0]] * 3}, {"planes": [[1.0, 0.0, 0.0, 0.0]] * 2}, {"forms": [[[0.0]]] * 2},
        {"forms": [[[0.0] * SIZE] * SIZE]}, {"biases": [1.0]},
    ],
)  # fmt: skip
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        GeneralRefiner(**{"classes": 2, "bands": 3, **arguments})


@pytest.mark.parametrize("bands", [1, 2, 3, 6])
def test_planes_are_grey_and_uncorrelated_colours(bands: int) -> None:
    pixels = np.random.default_rng(1).normal(size=(bands, 4000)).cumsum(axis=0) + 5
    table = np.array(planes_from(pixels.mean(axis=1), np.cov(pixels, bias=True).reshape(bands, bands)))
    planes = table[:, :-1] @ pixels + table[:, -1:]
    assert_allclose(planes.mean(axis=1), 0, atol=1e-6)
    assert_allclose(planes[0], (pixels.mean(axis=0) - pixels.mean()) / pixels.mean(axis=0).std(), rtol=1e-5, atol=1e-6)
    for plane in planes[1:bands]:
        assert plane.std() == pytest.approx(1, abs=1e-5)
    assert not planes[bands:].any()
    if bands > 2:
        assert np.corrcoef(planes[1:])[0, 1] == pytest.approx(0, abs=1e-5)


def test_planes_do_not_depend_on_the_units_of_the_image() -> None:
    mean, covariance = colours(3)
    table, doubled = np.array(planes_from(mean, covariance)), np.array(planes_from(2 * mean, 4 * covariance))
    assert_allclose(doubled[:, :-1] * 2, table[:, :-1], rtol=1e-6)
    assert_allclose(doubled[:, -1], table[:, -1], rtol=1e-6)


def test_likeness_is_the_ratio_of_two_normal_distributions() -> None:
    rng = np.random.default_rng(2)
    pixels, share = rng.normal(size=(2 * PLANES, 300)), rng.uniform(size=300)
    form = quadratic(pixels, share)
    logs = []
    for weight in (share**2, (1 - share) ** 2):
        spread = np.cov(pixels, aweights=weight, ddof=0) + 0.02 * np.eye(len(pixels))
        logs.append(multivariate_normal(np.average(pixels, axis=1, weights=weight), spread).logpdf(pixels.T))
    described = torch.from_numpy(pixels[None, :, None, :])
    found = likeness(described, [form])[0, 0, 0].numpy()
    assert_allclose(found, np.clip(logs[0] - logs[1], -6, 6), atol=1e-4)


def test_of_two_classes_one_is_as_likely_as_the_other_is_not() -> None:
    rng = np.random.default_rng(4)
    pixels, share = rng.normal(size=(2 * PLANES, 200)), rng.uniform(size=200)
    assert_allclose(quadratic(pixels, share), -np.array(quadratic(pixels, 1 - share)), rtol=1e-5, atol=1e-6)


def test_means_around_a_pixel_reach_as_far_as_they_say() -> None:
    planes = torch.zeros(1, 1, 15, 15)
    planes[..., 7, 7] = 49.0
    around = description(planes)[0, 1]
    assert (around[4:11, 4:11] == 1).all()
    assert around.sum() == 49
