"""Random numbers: single draws, smooth fields over the land, textures over a raster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.random import PCG64, Generator
from PIL import Image
from scipy.ndimage import gaussian_filter

from crispmap.types import DoubleArray, FloatArray

T = TypeVar("T")


class Dice(Generator):
    """A random generator that also draws single values."""

    @classmethod
    def of(cls, seed: int, stream: int) -> Dice:
        """Return the generator of a seed and stream."""
        return cls(PCG64([seed, stream]))

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return bool(self.random() < probability)

    def pick(self, options: Sequence[T]) -> T:
        """Return one of the options."""
        return options[int(self.integers(len(options)))]

    def between(self, low: float, high: float) -> float:
        """Return a number drawn evenly from a range."""
        return float(self.uniform(low, high))


@dataclass(frozen=True)
class Waves:
    """A smooth random field: a sum of plane waves, of root mean square 1."""

    vectors: DoubleArray  # wave vectors in radians a metre, (waves, 2)
    phases: DoubleArray  # phases in radians, (waves,)

    @classmethod
    def draw(cls, rng: Generator, length_m: tuple[float, float], count: int = 6) -> Waves:
        """Draw waves of lengths within a range, in all directions."""
        lengths = rng.uniform(*length_m, count)
        angles = rng.uniform(0, 2 * math.pi, count)
        vectors = np.column_stack([np.cos(angles), np.sin(angles)]) * (2 * math.pi / lengths)[:, None]
        return cls(vectors, rng.uniform(0, 2 * math.pi, count))

    def at(self, points: DoubleArray) -> DoubleArray:
        """Return the field at points (n, 2)."""
        waves: DoubleArray = np.sin(points @ self.vectors.T + self.phases)
        total: DoubleArray = waves.sum(axis=1) * math.sqrt(2.0 / len(self.phases))
        return total


def smooth_noise(shape: tuple[int, int], length_px: float, rng: Generator) -> FloatArray:
    """Return noise of a (height, width) with features about ``length_px`` wide, mean 0 and standard deviation about 1.

    White noise on a lattice, smoothed (or the lattice would show) and enlarged bicubically; lengths of one pixel or
    less give white noise.
    """
    step = length_px / 3 if length_px >= 6 else 1.0  # a lattice about as fine as the pixels would cause moiré
    rows, cols = (math.ceil(side / step) + 3 for side in shape)
    lattice = rng.standard_normal((rows, cols), dtype=np.float32)
    lattice = gaussian_filter(lattice, 1.1 * length_px / 3 / step, mode="wrap")
    lattice /= lattice.std()
    window = (1.0, 1.0, 1.0 + shape[1] / step, 1.0 + shape[0] / step)
    drawn = Image.fromarray(lattice).resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=window)
    return np.asarray(drawn, dtype=np.float32)
