"""Ways to put detail into bands: what each keeps, and its numbers beside those of plain linear algebra."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from crispmap.errors import InputError, SceneError
from crispmap.raster.pansharpen.methods import METHODS, WEIGHTED, check_weights, fit, needs_moments
from crispmap.raster.pansharpen.statistics import Moments, moments_of

ADDING = [method for method in METHODS if method not in ("brovey", "hpm")]


def bands_and_pan(bands: int = 3, seed: int = 0, size: int = 24) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(size, size))
    bands_ = np.stack([1000 + 100 * (i + 1) * (common + 0.5 * rng.normal(size=common.shape)) for i in range(bands)])
    pan = bands_.mean(axis=0) + 30 * rng.normal(size=common.shape)
    return bands_.astype(np.float32), pan.astype(np.float32)


def moments(bands: Any, pan: Any) -> Moments:
    return moments_of(np.concatenate([bands, pan[None]]), np.ones(pan.shape, bool))


def intensity(bands: Any, weights: Any) -> Any:
    return np.tensordot(np.array(weights, np.float32), bands, 1).astype(np.float32)


@given(st.integers(0, 99), st.integers(1, 6))
@settings(deadline=None, max_examples=30)
def test_a_panchromatic_band_that_is_the_intensity_changes_nothing(seed: int, count: int) -> None:
    bands, _ = bands_and_pan(count, seed)
    weights = np.random.default_rng(seed).uniform(0.1, 1.0, count)
    pan = intensity(bands, weights / weights.sum())
    found = moments(bands, pan)
    for method in ("brovey", "ihs", "gs", "gsa"):
        chosen = None if method == "gsa" else tuple(weights / weights.sum())
        fused = fit(method, found, chosen).fused(bands.copy(), pan)
        np.testing.assert_allclose(fused, bands, rtol=2e-4, atol=1e-2)
    component = np.linalg.eigh(np.cov(bands.reshape(count, -1)) if count > 1 else np.eye(1))[1][:, -1]
    pan = intensity(bands, component)
    fused = fit("pca", moments(bands, pan)).fused(bands.copy(), pan)
    np.testing.assert_allclose(fused, bands, rtol=2e-4, atol=1e-2)


def test_multiplying_methods_give_back_a_scene_of_one_spectrum() -> None:
    rng = np.random.default_rng(0)
    spectrum = np.array([0.4, 0.8, 1.5], np.float32)[:, None, None]
    truth, low = (rng.uniform(100, 900, (20, 20)).astype(np.float32) for _ in range(2))
    for method, weights in (("brovey", (0.5, 0.5, 0.4 / 1.5)), ("hpm", None)):
        made = fit(method, None, weights).fused(spectrum * low, truth, low if method == "hpm" else None)
        np.testing.assert_allclose(made, spectrum * truth, rtol=1e-5)


@given(st.integers(0, 99), st.floats(0.1, 10.0), st.floats(-50.0, 50.0))
@settings(deadline=None, max_examples=20)
def test_units_of_the_panchromatic_band_do_not_matter(seed: int, factor: float, offset: float) -> None:
    bands, pan = bands_and_pan(seed=seed)
    other = (factor * pan + offset).astype(np.float32)
    for method in ("ihs", "gs", "pca"):
        one, two = (fit(method, moments(bands, p)).fused(bands.copy(), p) for p in (pan, other))
        np.testing.assert_allclose(one, two, rtol=1e-3)


@pytest.mark.parametrize("method", ADDING)
def test_the_order_of_the_bands_does_not_matter(method: Any) -> None:
    bands, pan = bands_and_pan(4)
    order = [2, 0, 3, 1]
    turned = bands[order]
    fused = fit(method, moments(bands, pan)).fused(bands.copy(), pan)
    np.testing.assert_allclose(fit(method, moments(turned, pan)).fused(turned.copy(), pan), fused[order], rtol=1e-4)


@pytest.mark.parametrize("method", ADDING)
def test_means_of_the_bands_stay(method: Any) -> None:
    bands, pan = bands_and_pan(4)
    fused = fit(method, moments(bands, pan)).fused(bands.copy(), pan * np.float32(1.7))
    expected = bands.mean(axis=(1, 2))
    again = fit(method, moments(bands, pan * np.float32(1.7))).fused(bands.copy(), pan * np.float32(1.7))
    np.testing.assert_allclose(again.mean(axis=(1, 2)), expected, rtol=1e-4)
    assert not np.allclose(fused.mean(axis=(1, 2)), expected, rtol=1e-2)


def test_adaptive_weights_are_the_least_squares() -> None:
    bands, pan = bands_and_pan(4)
    columns = np.vstack([bands.reshape(4, -1), np.ones(pan.size)]).T.astype(np.float64)
    expected = np.linalg.lstsq(columns, pan.ravel().astype(np.float64), rcond=None)[0]
    found = fit("gsa", moments(bands, pan))
    np.testing.assert_allclose(found.weights, expected[:4], rtol=1e-6)
    assert -found.pan_offset == pytest.approx(expected[4], rel=1e-5)
    flat = intensity(bands, found.weights).ravel().astype(np.float64)
    gains = [np.cov(band.ravel(), flat, ddof=0)[0, 1] / flat.var() for band in bands.astype(np.float64)]
    np.testing.assert_allclose(found.gains, gains, rtol=1e-4)


def test_brovey_weights_are_the_least_squares_of_weights_not_below_0() -> None:
    bands, pan = bands_and_pan(4)
    pan = (0.7 * bands[0] + 0.4 * bands[2] - 0.3 * bands[3]).astype(np.float32)
    expected = optimize.nnls(bands.reshape(4, -1).T.astype(np.float64), pan.ravel().astype(np.float64))[0]
    found = fit("brovey", moments(bands, pan)).weights
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert 0 in found


def test_the_first_principal_component_is_that_of_the_bands() -> None:
    bands, pan = bands_and_pan(4)
    flat = bands.reshape(4, -1).astype(np.float64)
    component = np.linalg.svd(flat - flat.mean(axis=1, keepdims=True), full_matrices=False)[0][:, 0]
    found = fit("pca", moments(bands, pan))
    np.testing.assert_allclose(found.weights, component * np.sign(component @ found.weights), atol=1e-6)
    assert found.gains == found.weights


def test_two_equal_bands_are_fused_alike() -> None:
    bands, pan = bands_and_pan(2)
    bands[1] = bands[0]
    for method in METHODS[:5]:
        one, two = fit(method, moments(bands, pan)).fused(bands.copy(), pan)
        np.testing.assert_allclose(one, two, rtol=1e-5)


@pytest.mark.parametrize("low", [0.0, -3.0])
def test_pixels_whose_intensity_is_not_above_0_keep_their_bands(low: float) -> None:
    bands = np.array([[[low, 10.0]], [[2.0, 20.0]]], np.float32)
    pan = np.array([[9.0, 30.0]], np.float32)
    fused = fit("brovey", None, (1.0, 0.0)).fused(bands.copy(), pan)
    np.testing.assert_array_equal(fused, [[[low, 30.0]], [[2.0, 60.0]]])
    fused = fit("hpm", None).fused(bands.copy(), pan, np.array([[low, 15.0]], np.float32))
    np.testing.assert_array_equal(fused, [[[low, 20.0]], [[2.0, 40.0]]])


@pytest.mark.parametrize("which", ["pan", "bands"])
@pytest.mark.parametrize("method", METHODS[:5])
def test_constant_images_are_refused(method: Any, which: str) -> None:
    bands, pan = bands_and_pan()
    (pan if which == "pan" else bands)[:] = 7.0
    with pytest.raises(SceneError, match="constant"):
        fit(method, moments(bands, pan))


@pytest.mark.parametrize(
    "weights", [(1.0, 1.0), (1.0,) * 4, (0.0, 0.0, 0.0), (1.0, -0.1, 1.0), (1.0, float("nan"), 1.0), ()]
)
@pytest.mark.parametrize("method", WEIGHTED)
def test_weights_that_do_not_fit_are_refused(method: Any, weights: Any) -> None:
    with pytest.raises(InputError):
        check_weights(method, weights, 3)
    check_weights(method, (0.0, 2.0, 1.0), 3)


@pytest.mark.parametrize("method", [one for one in METHODS if one not in WEIGHTED])
def test_methods_that_find_their_own_intensity_take_no_weights(method: Any) -> None:
    check_weights(method, None, 3)
    with pytest.raises(InputError, match="weights"):
        check_weights(method, (1.0, 1.0, 1.0), 3)
    with pytest.raises(InputError, match="one of"):
        check_weights("hsv", None, 3)  # type: ignore[arg-type]


def test_some_methods_need_not_read_the_scene_first() -> None:
    assert [method for method in METHODS if not needs_moments(method, None)] == ["hpm"]
    assert not needs_moments("brovey", (1.0,))


@given(st.lists(st.integers(1, 23), max_size=3, unique=True), st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_moments_of_parts_are_those_of_the_whole(cuts: list[int], seed: int) -> None:
    bands, pan = bands_and_pan(seed=seed)
    values, valid = np.concatenate([bands, pan[None]]), np.random.default_rng(seed).random(pan.shape) > 0.4
    parts = np.split(np.arange(24), sorted(cuts))
    total = moments_of(values[:, :0], valid[:0])
    for rows in parts:
        total = total.merged(moments_of(values[:, rows], valid[rows]))
    kept = values[:, valid].astype(np.float64)
    assert total.count == valid.sum()
    np.testing.assert_allclose(total.mean, kept.mean(axis=1))
    np.testing.assert_allclose(total.covariance, np.cov(kept, ddof=0), rtol=1e-9)
