"""Scenes as a sensor with larger pixels would show them."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np

from crispmap.geo.grid import Block, Grid
from crispmap.raster.resample import SceneOnGrid
from crispmap.raster.scene import SceneReader
from crispmap.raster.taps import Axis, Interpolation, Taps

MTF_AT_NYQUIST = 0.3  # how much contrast multispectral sensors keep at the finest pattern of their pixels
_REACH = 4.0  # standard deviations at which the filter ends


@dataclass(frozen=True)
class _MtfAxis(Axis):
    """An axis along which a Gaussian takes away what larger pixels of a sensor would not show."""

    def taps(self, start: int, count: int, method: Interpolation) -> Taps:
        """Return the taps of some output pixels, by ``MTF_AT_NYQUIST`` whatever the method."""
        deviation = self.ratio * math.sqrt(-2 * math.log(MTF_AT_NYQUIST)) / math.pi
        centre = self.offset + (np.arange(start, start + count)[:, None] + 0.5) * self.ratio - 0.5
        reach = math.ceil(_REACH * deviation)
        pixel = np.floor(centre).astype(np.intp) + np.arange(-reach, reach + 2)
        last = self.in_start + self.in_count - 1
        near = np.clip(pixel, self.in_start, last)
        weight = np.exp(-(((pixel - centre) / deviation) ** 2) / 2)
        weight[(near != pixel) & (np.abs(pixel - centre) > 1)] = 0.0
        weight /= weight.sum(axis=1, keepdims=True)
        return Taps(near, weight.astype(np.float32))


class CoarserScene(SceneOnGrid):
    """A scene on a grid of larger pixels as a multispectral sensor of these would show it: through a Gaussian."""

    def __init__(self, reader: SceneReader, grid: Grid) -> None:
        super().__init__(reader, grid, "average")
        self._rows, self._cols = _MtfAxis(*astuple(self._rows)), _MtfAxis(*astuple(self._cols))


def degraded(reader: SceneReader, ratio: tuple[float, float]) -> CoarserScene:
    """Return a scene with pixels larger by a ratio (rows, columns), from the same corner; all of them are whole."""
    whole = (max(1, int(length / one + 1e-6)) for length, one in zip(reader.grid.shape, ratio, strict=True))
    height, width = whole
    return CoarserScene(reader, reader.grid.resampled(*ratio).window(Block(0, 0, height, width)))
