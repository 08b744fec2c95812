"""Scaling constants: what turns a scene's raw values into what a network sees.

They are measured once, on the training ground only, and travel with the model; a window is never scaled by
its own statistics, so a map does not depend on how its scene was cut.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from crispmap.errors import InputError, SceneError
from crispmap.geo.grid import Block
from crispmap.types import BoolArray, DoubleArray, FloatArray

if TYPE_CHECKING:
    from crispmap.models.card import ModelCard
    from crispmap.raster.scene import SceneReader

STRIP_PIXELS = 1 << 20
"""About how many pixels are read at a time."""


@dataclass(frozen=True)
class Scaling:
    """Constants of each band; a network sees ``(raw - offset) / scale``, and 0 at invalid pixels.

    ``scaled_input`` gives what a network sees, in training and in inference alike.

    Raises:
        InputError: If there is no band, the lengths differ, or a value is not finite or a scale not above 0.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", tuple(float(v) for v in self.offset))
        object.__setattr__(self, "scale", tuple(float(v) for v in self.scale))
        if not self.offset or len(self.offset) != len(self.scale):
            raise InputError(
                f"The scaling has {len(self.offset)} offsets and {len(self.scale)} scales.",
                expected="one offset and one scale for every band",
            )
        if not all(math.isfinite(v) for v in self.offset + self.scale) or min(self.scale) <= 0:
            raise InputError(
                f"The scaling has offsets {self.offset} and scales {self.scale}.",
                expected="finite numbers, and scales above 0",
            )

    @classmethod
    def of(cls, card: ModelCard) -> Scaling:
        """Return the constants that a model was trained with."""
        return cls(card.scaling_offset, card.scaling_scale)

    @property
    def band_count(self) -> int:
        """How many bands are scaled."""
        return len(self.offset)

    def apply(self, image: FloatArray) -> FloatArray:
        """Return the image with every pixel scaled, (band, row, col) float32; the given one stays as it is.

        Raises:
            InputError: If the image has another number of bands.
        """
        if image.shape[0] != self.band_count:
            raise InputError(
                f"An image of {image.shape[0]} bands is to be scaled.", expected=f"{self.band_count} bands"
            )
        offset = np.asarray(self.offset, np.float32)[:, None, None]
        scale = np.asarray(self.scale, np.float32)[:, None, None]
        scaled: FloatArray = (image - offset) / scale
        return scaled


def scaled_input(pixels: FloatArray, valid: BoolArray, scaling: Scaling) -> FloatArray:
    """Return what a network sees of raw pixels: scaled, (band, row, col) float32, and 0 where invalid.

    Args:
        pixels: Raw values (band, row, col); they stay as they are.
        valid: (row, col).
        scaling: The constants the network was, or is to be, trained with.

    Raises:
        InputError: If the pixels have another number of bands.
    """
    scaled = scaling.apply(pixels)
    scaled[:, ~valid] = 0.0
    return scaled


def paper_scaling(band_count: int) -> Scaling:
    """Return ``(x - 127) / 256`` for every band, as Maggiori et al. (IGARSS 2016) scale 8-bit images."""
    return Scaling((127.0,) * band_count, (256.0,) * band_count)


def measure_scaling(areas: Sequence[tuple[SceneReader, Block]]) -> Scaling:
    """Return each band's mean and standard deviation over the valid pixels of the training areas.

    The areas are read in strips and the moments merged in float64 (Chan, Golub & LeVeque 1983), so memory
    does not grow with the ground and large offsets lose no digits. A band without any variation gets scale 1.

    Args:
        areas: Scenes, all of one list of bands, each with the block of it that is trained on.

    Raises:
        SceneError: If the scenes differ in their bands, or no pixel of the areas is valid.
    """
    names = {reader.band_names for reader, _ in areas}
    if len(names) > 1:
        raise SceneError(
            f"The training scenes have different bands: {'; '.join(', '.join(n) for n in sorted(names))}.",
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
            "The training areas hold no valid pixel.",
            expected="areas over ground the scene covers",
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
    """Count, mean and sum of squared deviations of each band, merged batch by batch."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: DoubleArray = np.zeros(0)
        self.squares: DoubleArray = np.zeros(0)

    def add(self, values: FloatArray) -> None:
        """Take in values (band, pixel)."""
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
