"""Scaling constants from a scene's raw values to a network's input.

They are measured once, on the training data only, and stored with the model; a window is never scaled by its own
statistics, so a map does not depend on how its scene is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from crispmap.errors import InputError, number_of
from crispmap.types import BoolArray, FloatArray


@dataclass(frozen=True)
class Scaling:
    """Constants of each band; a network's input is ``(raw - offset) / scale``, and 0 at invalid pixels.

    Training and inference both use ``scaled_input``.

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

    @property
    def band_count(self) -> int:
        """Number of bands."""
        return len(self.offset)

    @cached_property
    def _constants(self) -> tuple[FloatArray, FloatArray]:
        """Offset and scale, each float32 (band, 1, 1)."""
        offset, scale = (np.array(values, np.float32)[:, None, None] for values in (self.offset, self.scale))
        return offset, scale

    def apply(self, image: FloatArray) -> FloatArray:
        """Return the scaled image, (band, row, col) float32, as a new array.

        Raises:
            InputError: If the image has another number of bands.
        """
        if image.shape[0] != self.band_count:
            raise InputError(
                f"The image to scale has {number_of(image.shape[0], 'band')}.",
                expected=number_of(self.band_count, "band"),
            )
        offset, scale = self._constants
        scaled = np.array(image, np.float32)
        scaled -= offset
        scaled /= scale
        return scaled


def scaled_input(pixels: FloatArray, valid: BoolArray, scaling: Scaling) -> FloatArray:
    """Return a network's input for raw pixels: scaled, (band, row, col) float32, and 0 where invalid.

    Raises:
        InputError: If the pixels have another number of bands.
    """
    scaled = scaling.apply(pixels)
    if not valid.all():
        scaled[:, ~valid] = 0.0
    return scaled


def paper_scaling(band_count: int) -> Scaling:
    """Return ``(x - 127) / 256`` for every band, as Maggiori et al. (IGARSS 2016) scale 8-bit images."""
    return Scaling((127.0,) * band_count, (256.0,) * band_count)
