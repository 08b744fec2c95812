"""How good a pansharpened image is: against a reference, and without one.

Sums over windows of a scene, so that a scene of any size is scored. Definitions: ERGAS (Wald, 2000), SAM (Kruse et al.,
1993), Q (Wang and Bovik, 2002), its form for many bands Q2n (Garzelli and Nencini, 2009), QNR (Alparone et al., 2008).
The Q figures are means over squares of 32 pixels side by side; a square counts where at least half of it is valid.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crispmap.types import BoolArray, DoubleArray, FloatArray

SQUARE_PX = 32


@dataclass(frozen=True)
class Agreement:
    """How far a fused image is from a reference of the same pixels; NaN where nothing could be compared."""

    ergas: float  # relative error of all bands in percent, scaled by the ratio of pixel sizes; 0 is best
    sam_deg: float  # mean angle between spectra, in degrees; 0 is best
    q2n: float  # agreement of mean, contrast and correlation of all bands at once; 1 is best


@dataclass(frozen=True)
class NoReference:
    """How well a fused image keeps what both its sources show; NaN where nothing could be compared."""

    d_lambda: float  # change of the relations between bands; 0 is best
    d_s: float  # change of the relations between each band and the panchromatic one; 0 is best
    qnr: float  # (1 - d_lambda) (1 - d_s); 1 is best
    pan_correlation: float  # mean over bands of the correlation with the panchromatic band


class AgreementSums:
    """Sums of ``Agreement`` over windows.

    Args:
        ratio: Pixel size of the multispectral image as a multiple of the panchromatic one's.
    """

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._pixels, self._angle, self._angles = 0, 0.0, 0
        self._error: DoubleArray | float = 0.0
        self._value: DoubleArray | float = 0.0
        self._q, self._squares = 0.0, 0

    def add(self, reference: FloatArray, fused: FloatArray, valid: BoolArray) -> None:
        """Compare the valid pixels (row, col) of one window (band, row, col)."""
        a, b = (image[:, valid].astype(np.float64) for image in (reference, fused))
        self._pixels += a.shape[1]
        self._error = self._error + ((a - b) ** 2).sum(axis=1)
        self._value = self._value + a.sum(axis=1)
        angles = _angles_deg(a, b)
        self._angle += float(angles.sum())
        self._angles += len(angles)
        q = hypercomplex_q(*_squares_of(reference, fused, valid=valid))
        self._q += float(q.sum())
        self._squares += len(q)

    def result(self) -> Agreement:
        """Return the figures of all windows."""
        nan = math.nan
        ergas = nan
        if self._pixels:
            relative = self._error * np.float64(self._pixels) / np.square(self._value)
            ergas = 100 / self._ratio * math.sqrt(float(np.mean(relative)))
        return Agreement(
            ergas,
            self._angle / self._angles if self._angles else nan,
            self._q / self._squares if self._squares else nan,
        )


class NoReferenceSums:
    """Sums of ``NoReference`` over windows."""

    def __init__(self) -> None:
        self._coarse, self._fine = _PairSums(), _PairSums()
        self._moments: DoubleArray | float = 0.0

    def add_coarse(self, bands: FloatArray, pan: FloatArray, valid: BoolArray) -> None:
        """Take in a window of the multispectral bands and of the panchromatic one (row, col) at their pixel size."""
        self._coarse.add(bands, pan, valid)

    def add_fine(self, fused: FloatArray, pan: FloatArray, valid: BoolArray) -> None:
        """Take in a window of the fused bands and of the panchromatic one (row, col) at its pixel size."""
        self._fine.add(fused, pan, valid)
        y = pan[valid].astype(np.float64)
        sums = []
        for band in fused:
            x = band[valid].astype(np.float64)
            sums.append([len(x), x.sum(), y.sum(), (x * x).sum(), (y * y).sum(), (x * y).sum()])
        self._moments = self._moments + np.array(sums)

    def result(self) -> NoReference:
        """Return the figures of all windows."""
        coarse, fine = self._coarse.means(), self._fine.means()
        if coarse is None or fine is None:
            return NoReference(math.nan, math.nan, math.nan, math.nan)
        change = np.abs(fine - coarse)
        bands = len(change) - 1
        between = change[:bands, :bands]
        d_lambda = float(between.sum() / (bands * (bands - 1))) if bands > 1 else 0.0
        d_s = float(change[bands, :bands].mean())
        return NoReference(d_lambda, d_s, (1 - d_lambda) * (1 - d_s), _mean_correlation(np.asarray(self._moments)))


class _PairSums:
    """Sums of Q between all pairs of bands, the panchromatic one as the last."""

    def __init__(self) -> None:
        self._sum: DoubleArray | float = 0.0
        self._squares = 0

    def add(self, bands: FloatArray, pan: FloatArray, valid: BoolArray) -> None:
        squares, weight = _squares_of(np.concatenate([bands, pan[None]]), valid=valid)
        count = squares.shape[1]
        q = np.zeros((count, count))
        for i in range(count):
            for j in range(i):
                q[i, j] = q[j, i] = universal_q(squares[:, i], squares[:, j], weight).sum()
        self._sum = self._sum + q
        self._squares += len(squares)

    def means(self) -> DoubleArray | None:
        return np.asarray(self._sum / self._squares) if self._squares else None


def universal_q(x: DoubleArray, y: DoubleArray, weight: DoubleArray) -> DoubleArray:
    """Return the universal image quality index of squares; all arguments (square, pixel), weights 0 or 1.

    Two constant squares are compared by their means alone, two of zeros are equal.
    """
    count = weight.sum(axis=1)
    mean_x, mean_y = ((one * weight).sum(axis=1) / count for one in (x, y))
    dx, dy = (x - mean_x[:, None]) * weight, (y - mean_y[:, None]) * weight
    spread = (dx * dx).sum(axis=1) + (dy * dy).sum(axis=1)
    contrast = _ratio(2 * (dx * dy).sum(axis=1), spread)
    return contrast * _ratio(2 * mean_x * mean_y, mean_x**2 + mean_y**2)


def hypercomplex_q(x: DoubleArray, y: DoubleArray, weight: DoubleArray) -> DoubleArray:
    """Return Q2n of squares (square, band, pixel) of a reference and another image; weights (square, pixel), 0 or 1.

    Bands are the components of hypercomplex numbers, filled up to a power of two with zeros; both images are first
    scaled to the mean and deviation of the reference's band in the square, as the authors' code does.
    """
    count = weight.sum(axis=1)
    one, other = _standardized(x, y, weight, count)
    other[:, 1:] *= -1.0  # conjugate
    share = (count / (count - 1.0))[:, None]
    mean_one, mean_other = ((z * weight[:, None]).sum(axis=2) / count[:, None] for z in (one, other))
    product = np.moveaxis(hypercomplex_product(np.moveaxis(one, 1, 0), np.moveaxis(other, 1, 0)), 0, 1)
    joint = (product * weight[:, None]).sum(axis=2) / count[:, None]
    of_means = np.moveaxis(hypercomplex_product(mean_one.T, mean_other.T), 0, 1)
    size_one, size_other = ((mean**2).sum(axis=1) for mean in (mean_one, mean_other))
    power = sum(((z**2).sum(axis=1) * weight).sum(axis=1) / count for z in (one, other))
    spread = share[:, 0] * (power - size_one - size_other)
    covariance = np.sqrt(((share * (joint - of_means)) ** 2).sum(axis=1))
    bias = _ratio(2 * np.sqrt(size_one * size_other), size_one + size_other)
    flat = spread <= 1e-12 * np.asarray(power)
    return np.where(flat, bias, bias * _ratio(2 * covariance, np.where(flat, 0.0, spread)))


def _standardized(
    x: DoubleArray, y: DoubleArray, weight: DoubleArray, count: DoubleArray
) -> tuple[DoubleArray, DoubleArray]:
    """Return both scaled by mean and deviation of the first, plus 1, with zeros as further bands, 0 where weight is."""
    inside = weight[:, None]
    mean = ((x * inside).sum(axis=2) / count[:, None])[:, :, None]
    variance = (((x - mean) * inside) ** 2).sum(axis=2) / (count[:, None] - 1)
    scale = np.sqrt(variance)[:, :, None]
    scale = np.where(scale > 0, scale, 1.0)
    bands = 1 << (x.shape[1] - 1).bit_length()
    both = []
    for image in (x, y):
        filled = np.zeros((len(x), bands, x.shape[2]))
        filled[:, : x.shape[1]] = ((image - mean) / scale + 1.0) * inside
        both.append(filled)
    return both[0], both[1]


def hypercomplex_product(a: DoubleArray, b: DoubleArray) -> DoubleArray:
    """Return the Cayley-Dickson product of hypercomplex numbers, whose components, a power of two, are axis 0."""
    if len(a) == 1:
        return a * b
    half = len(a) // 2
    (p, q), (r, s) = (a[:half], a[half:]), (b[:half], b[half:])
    first = hypercomplex_product(p, r) - hypercomplex_product(_conjugate(s), q)
    second = hypercomplex_product(s, p) + hypercomplex_product(q, _conjugate(r))
    return np.concatenate([first, second])


def _conjugate(a: DoubleArray) -> DoubleArray:
    return np.concatenate([a[:1], -a[1:]])


def _squares_of(*images: FloatArray, valid: BoolArray) -> tuple[DoubleArray, ...]:
    """Return images (band, row, col) as (square, band, pixel), and the weights (square, pixel); see the module.

    An image smaller than a square is one.
    """
    side_y, side_x = (min(SQUARE_PX, side) for side in valid.shape)
    rows, cols = valid.shape[0] // side_y, valid.shape[1] // side_x

    def cut(image: NDArray[np.generic]) -> DoubleArray:
        inside = image[:, : rows * side_y, : cols * side_x].reshape(len(image), rows, side_y, cols, side_x)
        return inside.transpose(1, 3, 0, 2, 4).reshape(rows * cols, len(image), side_y * side_x).astype(np.float64)

    weight = cut(valid[None])[:, 0]
    kept = weight.sum(axis=1) >= max(2, side_y * side_x / 2)
    return (*(cut(image)[kept] for image in images), weight[kept])


def _angles_deg(a: DoubleArray, b: DoubleArray) -> DoubleArray:
    """Return the angles between spectra (band, pixel), in degrees, of the pixels where neither is all zero."""
    lengths = np.sqrt((a * a).sum(axis=0) * (b * b).sum(axis=0))
    kept = lengths > 0
    cosine = (a * b).sum(axis=0)[kept] / lengths[kept]
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _ratio(above: DoubleArray, below: DoubleArray) -> DoubleArray:
    """Return a quotient, 1 where the divisor is 0."""
    return np.asarray(np.divide(above, below, out=np.ones_like(below), where=below != 0))


def _mean_correlation(sums: DoubleArray) -> float:
    """Return the mean correlation of rows (n, x, y, xx, yy, xy); one without variance counts as 0."""
    n, x, y, xx, yy, xy = sums.T
    variance = np.maximum(n * xx - x * x, 0.0) * np.maximum(n * yy - y * y, 0.0)
    return float(np.mean(np.divide(n * xy - x * y, np.sqrt(variance), out=np.zeros_like(n), where=variance > 0)))
