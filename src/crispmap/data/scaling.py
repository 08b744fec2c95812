"""Scaling constants measured on training data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from crispmap.errors import SceneError
from crispmap.geo.grid import Block
from crispmap.models.scaling import Scaling
from crispmap.types import DoubleArray, FloatArray

if TYPE_CHECKING:
    from crispmap.raster.scene import SceneReader

STRIP_PIXELS = 1 << 20  # about how many pixels are read at a time


def measure_scaling(areas: Sequence[tuple[SceneReader, Block]]) -> Scaling:
    """Return each band's mean and standard deviation over the valid pixels of the training areas.

    Blocks are read in strips and the moments merged in float64 (Chan, Golub & LeVeque 1983), so memory does not grow
    with the areas and large offsets lose no digits. A band without any variation gets scale 1.

    Raises:
        SceneError: If the scenes differ in their bands, or no pixel of the areas is valid.
    """
    counts = {reader.band_count for reader, _ in areas}
    if len(counts) > 1:
        raise SceneError(
            f"The training scenes have {' and '.join(map(str, sorted(counts)))} bands.",
            expected="the same bands, in the same order, in every scene",
            remedy="choose the bands of each scene",
        )
    moments = _Moments()
    for reader, block in areas:
        for strip in strips(block):
            image, valid = reader.read(strip)
            moments.add(image[:, valid])
    if moments.count == 0:
        raise SceneError(
            "The training areas have no valid pixel.",
            expected="areas that the scene covers",
            remedy="check the areas, and the scene's nodata value",
        )
    deviation = np.sqrt(moments.squares / moments.count)
    return Scaling(tuple(moments.mean), tuple(np.where(deviation > 0, deviation, 1.0)))


def strips(block: Block) -> Iterator[Block]:
    """Yield the block cut into full-width strips of about ``STRIP_PIXELS`` pixels, from top to bottom."""
    rows = max(1, STRIP_PIXELS // max(1, block.width))
    for row in range(block.row, block.row_stop, rows):
        yield Block(row, block.col, min(rows, block.row_stop - row), block.width)


class _Moments:
    """Count, mean and sum of squared deviations of each band."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: DoubleArray = np.zeros(0)
        self.squares: DoubleArray = np.zeros(0)

    def add(self, values: FloatArray) -> None:
        """Merge values (band, pixel)."""
        count = values.shape[1]
        if count == 0:
            return
        mean = values.mean(axis=1, dtype=np.float64)
        squares = np.square(values - mean[:, None]).sum(axis=1)
        if self.count == 0:
            self.count, self.mean, self.squares = count, mean, squares
            return
        total = self.count + count
        step = mean - self.mean
        self.mean = self.mean + step * count / total
        self.squares = self.squares + squares + np.square(step) * self.count * count / total
        self.count = total
