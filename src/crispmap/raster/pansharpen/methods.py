"""Ways to put the detail of a panchromatic band into multispectral bands, each as one formula with few numbers.

All but Brovey and high-pass modulation add detail: ``band + gain (a pan + b - sum of weight band)``. Those two
multiply: ``band pan / low``, where low is a weighted sum of the bands, or the panchromatic band as the multispectral
sensor would blur it. See Vivone et al., 2015 (IEEE Transactions on Geoscience and Remote Sensing 53), whose words are
used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from scipy import optimize

from crispmap.errors import InputError, SceneError, number_of
from crispmap.raster.pansharpen.statistics import Moments
from crispmap.types import DoubleArray, FloatArray

PansharpenMethod: TypeAlias = Literal["brovey", "ihs", "gs", "gsa", "pca", "hpm"]
METHODS: tuple[PansharpenMethod, ...] = get_args(PansharpenMethod)
DEFAULT_METHOD: PansharpenMethod = "hpm"  # best by figures of three sensors; decision 0046
WEIGHTED: tuple[PansharpenMethod, ...] = ("brovey", "ihs", "gs")
"""Methods whose intensity may be given as weights of the bands."""


@dataclass(frozen=True)
class Injection:
    """The formula of a method with its numbers; see the module."""

    method: PansharpenMethod
    weights: tuple[float, ...]  # of the bands in the intensity; none for high-pass modulation
    gains: tuple[float, ...] = ()  # of the detail in each band; none for the methods that multiply
    pan_scale: float = 1.0
    pan_offset: float = 0.0

    def fused(self, bands: FloatArray, pan: FloatArray, low: FloatArray | None = None) -> FloatArray:
        """Put detail into bands (band, row, col), in place, and return them; a pixel depends on its own values alone.

        Where a multiplying method has an intensity of 0 or below, a pixel keeps its bands as they are.

        Args:
            bands: The multispectral bands, interpolated to the panchromatic pixels.
            pan: The panchromatic band (row, col).
            low: For high-pass modulation, the same without what the multispectral pixels are too large to show.
        """
        if self.gains:
            detail = pan * np.float32(self.pan_scale)
            detail += np.float32(self.pan_offset)
            detail -= self._intensity(bands)
            for place, gain in enumerate(self.gains):
                bands[place] += np.float32(gain) * detail
            return bands
        below = self._intensity(bands) if low is None else low
        bands *= np.divide(pan, below, out=np.ones_like(pan), where=below > 0)
        return bands

    def _intensity(self, bands: FloatArray) -> FloatArray:
        """Return the weighted sum of the bands, always added in one order."""
        total: FloatArray = bands[0] * np.float32(self.weights[0])
        for band, weight in zip(bands[1:], self.weights[1:], strict=True):
            total += band * np.float32(weight)
        return total


def check_weights(method: PansharpenMethod, weights: Sequence[float] | None, bands: int) -> None:
    """Raise InputError where a method is not known, takes no weights, or they do not fit the bands."""
    if method not in METHODS:
        raise InputError(f"method is {method!r}.", expected=f"one of {', '.join(METHODS)}")
    if weights is None:
        return
    if method not in WEIGHTED:
        raise InputError(
            f"Weights are given for the method {method}, which finds its own.",
            expected=f"weights for {', '.join(WEIGHTED)} only",
            remedy="Leave weights= out, or choose another method=.",
        )
    if len(weights) != bands:
        raise InputError(
            f"{number_of(len(weights), 'weight')} given for {number_of(bands, 'multispectral band')}.",
            expected="one weight a band, in the order of the bands",
        )
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or sum(weights) <= 0:
        raise InputError(
            f"The weights are {', '.join(f'{weight:g}' for weight in weights)}.",
            expected="finite numbers of 0 or more that are not all 0",
        )


def needs_moments(method: PansharpenMethod, weights: Sequence[float] | None) -> bool:
    """Return whether a method must know means and covariances of the scene."""
    return method != "hpm" and not (method == "brovey" and weights is not None)


def fit(method: PansharpenMethod, moments: Moments | None, weights: Sequence[float] | None = None) -> Injection:
    """Return the formula of a method for a scene.

    ``brovey`` multiplies by pan / intensity; by default the intensity is the nearest to the panchromatic band that
    weights of 0 or more give. ``ihs`` adds one detail to all bands, ``gs`` (Gram-Schmidt) in proportion to each band's
    covariance with the intensity, their mean by default. ``gsa`` (adaptive) does so with the intensity that is nearest
    to the panchromatic band. ``pca`` replaces the first principal component. ``hpm`` multiplies by pan / low-passed
    pan. In ``ihs``, ``gs`` and ``pca`` the panchromatic band gets mean and deviation of what it replaces.

    Args:
        moments: Of the bands and the panchromatic one at the multispectral pixel size; see ``needs_moments``.
        weights: Checked weights of the bands in the intensity.

    Raises:
        SceneError: If the panchromatic band is constant, or all bands are.
    """
    if method == "hpm":
        return Injection(method, ())
    if moments is None:
        return Injection(method, tuple(map(float, weights or ())))
    _check_varied(moments)
    if method == "brovey":
        return Injection(method, _as_floats(_nonnegative_weights(moments) if weights is None else weights))
    covariance, bands = moments.covariance[:-1, :-1], len(moments.mean) - 1
    if method == "gsa":
        fitted = np.linalg.lstsq(covariance, moments.covariance[:-1, -1], rcond=1e-10)[0]
        return _adding(method, np.asarray(fitted, np.float64), moments, scale=1.0)
    if method == "pca":
        vector = np.linalg.eigh(covariance)[1][:, -1]
        vector *= np.sign(vector @ moments.covariance[:-1, -1]) or 1.0
        return _adding(method, vector, moments, gains=vector)
    given = np.full(bands, 1 / bands) if weights is None else np.array(weights) / sum(weights)
    return _adding(method, given, moments, gains=np.ones(bands) if method == "ihs" else None)


def _adding(
    method: PansharpenMethod,
    weights: DoubleArray,
    moments: Moments,
    *,
    gains: DoubleArray | None = None,
    scale: float | None = None,
) -> Injection:
    """Return the formula of a method that adds detail.

    Args:
        weights: Of the bands in the intensity.
        gains: Of the detail; by default covariance with the intensity over its variance.
        scale: Of the panchromatic band; by default that which gives it the deviation of the intensity.
    """
    covariance = moments.covariance[:-1, :-1]
    variance = float(weights @ covariance @ weights)
    if gains is None:
        gains = covariance @ weights / variance if variance > 0 else np.zeros(len(weights))
    if scale is None:
        scale = math.sqrt(max(variance, 0.0) / moments.covariance[-1, -1])
    offset = float(weights @ moments.mean[:-1]) - scale * float(moments.mean[-1])
    return Injection(method, _as_floats(weights), _as_floats(gains), scale, offset)


def _check_varied(moments: Moments) -> None:
    """Raise SceneError where nothing can be fitted to the values."""
    tiny = 1e-12 * (moments.mean**2 + 1e-300)
    constant = np.diag(moments.covariance) <= tiny
    if constant[-1] or constant[:-1].all():
        which = "The panchromatic band is" if constant[-1] else "The multispectral bands are"
        raise SceneError(
            f"{which} constant wherever both have data.", expected="images that show something",
            remedy="Check that it is the right file, and its nodata value.",
        )  # fmt: skip


def _nonnegative_weights(moments: Moments) -> DoubleArray:
    """Return the weights of 0 or more whose sum of bands is nearest to the panchromatic one, without a constant."""
    second = moments.covariance + np.multiply.outer(moments.mean, moments.mean)
    values, vectors = np.linalg.eigh(second[:-1, :-1])
    kept = values > 1e-12 * values[-1]
    roots = np.sqrt(values[kept])
    fitted: DoubleArray = optimize.nnls(
        vectors[:, kept].T * roots[:, None], vectors[:, kept].T @ second[:-1, -1] / roots
    )[0]
    return fitted


def _as_floats(values: Sequence[float] | DoubleArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
