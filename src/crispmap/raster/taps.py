"""Taps: which input pixels make an output pixel along one axis, and their weights.

Taps are computed from global pixel positions in double precision and summed in one order, so that a pixel has the same
bits in whatever block it is computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from scipy import sparse

Interpolation = Literal["bilinear", "cubic", "nearest", "average"]
_CUBIC = -0.5  # of Keys 1981: the cubic convolution that reproduces parabolas
HALF = 0.5 - 1e-6
"""Half of a pixel, but for rounding."""
_LINES = 64


class Taps(NamedTuple):
    """The input pixels of each output pixel of a line."""

    pixel: NDArray[np.intp]  # global input pixel numbers, (out_count, taps), within the input
    weight: FloatArray  # their weights, float32 (out_count, taps); rows sum to 1

    def dense(self, in_start: int, in_count: int) -> FloatArray:
        """Return the taps as a matrix (out_count, in_count)."""
        weights = np.zeros((len(self.pixel), in_count), np.float32)
        np.add.at(weights, (np.arange(len(self.pixel))[:, None], self.pixel - in_start), self.weight)
        return weights

    def sparse(self, in_count: int) -> sparse.csr_array:
        """Return the taps as a matrix (out_count, in_count) that multiplies tap after tap, in their order."""
        from scipy import sparse  # not as the module is imported: a map at the scene's own pixel size needs none

        count, each = self.pixel.shape
        starts = np.arange(0, count * each + 1, each, dtype=np.int32)
        taps = self.weight.ravel(), self.pixel.astype(np.int32).ravel(), starts
        return sparse.csr_array(taps, shape=(count, in_count))


@dataclass(frozen=True)
class Axis:
    """Where output pixels lie on a line of input pixels: i covers ``offset + i ratio .. offset + (i + 1) ratio``."""

    ratio: float  # input pixels per output pixel
    in_count: int  # input pixels
    in_start: int = 0  # the first of them
    offset: float = 0.0  # where the first output pixel begins, in input pixels

    def inside(self, start: int, count: int, method: Interpolation) -> BoolArray:
        """Return which output pixels lie on the inputs: with their centre, or by average with half of their length."""
        first = self.offset + np.arange(start, start + count) * self.ratio
        end = self.in_start + self.in_count
        if method == "average":
            covered = np.minimum(first + self.ratio, end) - np.maximum(first, self.in_start)
            return np.asarray(covered >= HALF * self.ratio)
        centre = first + self.ratio / 2
        return np.asarray((centre >= self.in_start) & (centre < end))

    def taps(self, start: int, count: int, method: Interpolation) -> Taps:
        """Return the taps of some output pixels; those off the inputs take the nearest."""
        if method == "average":
            return self._average(start, count)
        centre = self.offset + (np.arange(start, start + count) + 0.5) * self.ratio
        if method == "nearest":
            pixel = np.clip(np.floor(centre), self.in_start, self.in_start + self.in_count - 1).astype(np.intp)
            return Taps(pixel[:, None], np.ones((count, 1), np.float32))
        return self._linear(centre - 0.5) if method == "bilinear" else self._cubic(centre - 0.5)

    def _average(self, start: int, count: int) -> Taps:
        """Return the share of each input pixel in each output pixel; parts off the inputs do not count."""
        edge = self.offset + np.arange(start, start + count + 1)[:, None] * self.ratio
        first, last = edge[:-1], edge[1:]
        pixel = np.floor(first).astype(np.intp) + np.arange(math.ceil(self.ratio) + 1)
        overlap = np.clip(np.minimum(pixel + 1, last) - np.maximum(pixel, first), 0.0, None)
        overlap[(pixel < self.in_start) | (pixel >= self.in_start + self.in_count)] = 0.0
        lonely = overlap.sum(axis=1) <= 0.0
        pixel[lonely, 0] = np.floor((first + last)[lonely, 0] / 2)
        overlap[lonely, 0] = 1.0
        weight: FloatArray = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
        return Taps(self._within(pixel), weight)

    def _linear(self, centre: NDArray[np.floating]) -> Taps:
        """Return the taps that interpolate linearly at positions counted from the first input pixel's centre."""
        centre = np.clip(centre, self.in_start, self.in_start + self.in_count - 1)
        left = np.floor(centre).astype(np.intp)
        share = (centre - left).astype(np.float32)
        return Taps(self._within(np.stack([left, left + 1], axis=1)), np.stack([1 - share, share], axis=1))

    def _cubic(self, centre: NDArray[np.floating]) -> Taps:
        """Return the taps of cubic convolution (Keys 1981); beyond the border the border pixel repeats."""
        first = np.floor(centre).astype(np.intp) - 1
        pixel = first[:, None] + np.arange(4)
        away = np.abs(centre[:, None] - pixel)
        near = ((_CUBIC + 2) * away - (_CUBIC + 3)) * away**2 + 1
        far = _CUBIC * (((away - 5) * away + 8) * away - 4)
        weight = np.where(away <= 1, near, np.where(away < 2, far, 0.0))
        return Taps(self._within(pixel), weight.astype(np.float32))

    def _within(self, pixel: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.clip(pixel, self.in_start, self.in_start + self.in_count - 1)


def weighted(image: FloatArray, rows: Taps, cols: Taps) -> FloatArray:
    """Return an image (band, row, col) weighted along rows, then along columns."""
    along_rows, along_cols = rows.sparse(image.shape[1]), cols.sparse(image.shape[2])
    result = np.empty((len(image), len(rows.pixel), len(cols.pixel)), np.float32)
    for band, out in zip(image, result, strict=True):
        lines = along_rows @ band
        for first in range(0, len(lines), _LINES):  # few at a time, so that they are turned in the processor's cache
            out[first : first + _LINES] = (along_cols @ np.ascontiguousarray(lines[first : first + _LINES].T)).T
    return result


def weight_sums(rows: Taps, cols: Taps) -> FloatArray:
    """Return what ``weighted`` makes of ones, to the last bit: 1 but for rounding."""
    sums, which = np.unique(_ones_weighted(rows, np.ones(1, np.float32))[0], return_inverse=True)
    return _ones_weighted(cols, sums)[which]


def _ones_weighted(taps: Taps, values: FloatArray) -> FloatArray:
    """Return lines of each of some values, weighted (value, out_count)."""
    total = np.zeros((len(values), len(taps.pixel)), np.float32)
    for weight in taps.weight.T:
        total += values[:, None] * weight
    return total
