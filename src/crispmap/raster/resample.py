"""Resampling between ground sampling distances; the result never depends on how a scene is cut.

Every output pixel has its own few taps (input pixels and their weights), computed from global pixel positions in double
precision and summed in the same order in any block; so any two cuts give the same bits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import GridError
from crispmap.geo.grid import Block
from crispmap.raster.scene import Scene, SceneReader
from crispmap.types import BoolArray, FloatArray

_SOURCE_PX = 2048  # longest side, in source pixels, of what is read at once; bounds memory at any ratio
_HALF = 0.5 - 1e-6  # half the area, but for rounding


class _Taps(NamedTuple):
    """The input pixels of each output pixel of a line."""

    pixel: NDArray[np.intp]  # global input pixel numbers, (out_count, taps), within the input
    weight: FloatArray  # their weights, float32 (out_count, taps); rows sum to 1


def area_weights(out_start: int, out_count: int, ratio: float, in_start: int, in_count: int) -> FloatArray:
    """Return the share of each input pixel in each larger output pixel.

    Output pixel i covers input positions ``i ratio .. (i + 1) ratio``. Rows sum to 1: parts of an output pixel outside
    the given inputs do not count, and an output pixel that touches none of them takes the nearest.

    Returns:
        Weights, float32 (out_count, in_count), 0..1.
    """
    return _dense(_area_taps(out_start, out_count, ratio, in_start, in_count), in_start, in_count)


def bilinear_weights(out_start: int, out_count: int, ratio: float, in_start: int, in_count: int) -> FloatArray:
    """Return the weights that interpolate a coarse line linearly at the pixel centres of a finer one.

    Output pixel i has its centre at ``(i + 0.5) / ratio - 0.5`` in coarse pixel positions, clamped to the inputs at
    hand; the same convention as ``torch.nn.functional.interpolate(mode="bilinear", align_corners=False)``.

    Returns:
        Weights, float32 (out_count, in_count), 0..1, at most two a row; rows sum to 1.
    """
    return _dense(_bilinear_taps(out_start, out_count, ratio, in_start, in_count), in_start, in_count)


def _area_taps(out_start: int, out_count: int, ratio: float, in_start: int, in_count: int) -> _Taps:
    """Return the taps of ``area_weights``."""
    edge = np.arange(out_start, out_start + out_count + 1)[:, None] * ratio
    first, last = edge[:-1], edge[1:]
    pixel = np.floor(first).astype(np.intp) + np.arange(math.ceil(ratio) + 1)
    overlap = np.clip(np.minimum(pixel + 1, last) - np.maximum(pixel, first), 0.0, None)
    overlap[(pixel < in_start) | (pixel >= in_start + in_count)] = 0.0
    lonely = overlap.sum(axis=1) <= 0.0
    pixel[lonely, 0] = np.floor((first + last)[lonely, 0] / 2)
    overlap[lonely, 0] = 1.0
    weight: FloatArray = (overlap / overlap.sum(axis=1, keepdims=True)).astype(np.float32)
    return _Taps(np.clip(pixel, in_start, in_start + in_count - 1), weight)


def _bilinear_taps(out_start: int, out_count: int, ratio: float, in_start: int, in_count: int) -> _Taps:
    """Return the taps of ``bilinear_weights``."""
    centre = (np.arange(out_start, out_start + out_count) + 0.5) / ratio - 0.5
    centre = np.clip(centre, in_start, in_start + in_count - 1)
    left = np.floor(centre).astype(np.intp)
    share = (centre - left).astype(np.float32)
    right = np.minimum(left + 1, in_start + in_count - 1)
    return _Taps(np.stack([left, right], axis=1), np.stack([1 - share, share], axis=1))


def _dense(taps: _Taps, in_start: int, in_count: int) -> FloatArray:
    """Return taps as a matrix (out_count, in_count)."""
    weights = np.zeros((len(taps.pixel), in_count), np.float32)
    np.add.at(weights, (np.arange(len(taps.pixel))[:, None], taps.pixel - in_start), taps.weight)
    return weights


class ResampledScene(Scene):
    """A scene seen at another pixel size, over the same extent (``Grid.resampled``).

    Along an axis with ratio 1 or above a pixel is the area-weighted mean of the valid pixels it covers; below
    1 it is interpolated linearly between pixel centres. It is valid where at least half of its weight is.
    Values depend on the pixel only, never on the block it was read in, to the last bit.

    Raises:
        GridError: If a ratio is not above 0.
    """

    def __init__(self, reader: SceneReader, ratio_y: float, ratio_x: float) -> None:
        if not (0 < ratio_y < math.inf and 0 < ratio_x < math.inf):
            raise GridError(f"Resampling ratios are {ratio_y} and {ratio_x}.", expected="finite ratios above 0")
        self._reader = reader
        self._ratio_y = ratio_y
        self._ratio_x = ratio_x
        self.grid = reader.grid.resampled(ratio_y, ratio_x)
        self.band_names = reader.band_names
        self.path = reader.path

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid, computed piece by piece if the source block is large."""
        step_y, step_x = (max(1, int(_SOURCE_PX / ratio)) for ratio in (self._ratio_y, self._ratio_x))
        image = np.empty((self.band_count, *block.shape), np.float32)
        valid = np.empty(block.shape, np.bool_)
        for row in range(0, block.height, step_y):
            for col in range(0, block.width, step_x):
                part = Block(row, col, min(step_y, block.height - row), min(step_x, block.width - col))
                rows, cols = part.slices
                image[:, rows, cols], valid[rows, cols] = self._resample(
                    Block(block.row + row, block.col + col, part.height, part.width)
                )
        return image, valid

    def _resample(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block, small enough for its source to be read at once."""
        taps_y = _axis_taps(block.row, block.height, self._ratio_y, self._reader.grid.height)
        taps_x = _axis_taps(block.col, block.width, self._ratio_x, self._reader.grid.width)
        row, col = int(taps_y.pixel.min()), int(taps_x.pixel.min())
        source = Block(row, col, int(taps_y.pixel.max()) - row + 1, int(taps_x.pixel.max()) - col + 1)
        image, valid = self._reader.read(source)
        taps_y, taps_x = taps_y._replace(pixel=taps_y.pixel - row), taps_x._replace(pixel=taps_x.pixel - col)
        share = _weighted(valid[None].astype(np.float32), taps_y, taps_x)[0]
        kept = share >= _HALF
        share[~kept] = 1.0
        means = _weighted(image, taps_y, taps_x) / share
        means[:, ~kept] = 0.0
        return means, kept

    def close(self) -> None:
        """Close the resampled scene."""
        if isinstance(self._reader, Scene):
            self._reader.close()


def _axis_taps(start: int, count: int, ratio: float, in_size: int) -> _Taps:
    """Return the taps of output pixels along one axis of a scene."""
    if ratio >= 1:
        return _area_taps(start, count, ratio, 0, in_size)
    return _bilinear_taps(start, count, 1 / ratio, 0, in_size)


def _weighted(image: FloatArray, taps_y: _Taps, taps_x: _Taps) -> FloatArray:
    """Return an image (band, row, col) weighted along rows, then along columns."""
    rows = np.zeros((len(image), len(taps_y.pixel), image.shape[2]), np.float32)
    for pixel, weight in zip(taps_y.pixel.T, taps_y.weight.T, strict=True):
        rows += image[:, pixel] * weight[:, None]
    result = np.zeros((*rows.shape[:2], len(taps_x.pixel)), np.float32)
    for pixel, weight in zip(taps_x.pixel.T, taps_x.weight.T, strict=True):
        result += np.take(rows, pixel, axis=2) * weight
    return result
