"""Chance: single draws, smooth fields over the land, textures over a raster."""

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
    """A source of chance that also draws single values."""

    @classmethod
    def of(cls, seed: int, stream: int) -> Dice:
        """Return a source of its own for every seed and stream."""
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
    """A smooth random field: a sum of plane waves, of root mean square 1.

    Attributes:
        vectors: Wave vectors in radians a metre, (waves, 2).
        phases: Phases in radians, (waves,).
    """

    vectors: DoubleArray
    phases: DoubleArray

    @classmethod
    def draw(cls, rng: Generator, length_m: tuple[float, float], count: int = 6) -> Waves:
        """Draw waves whose lengths lie in a range, in directions of every kind."""
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
    """Return noise whose features are about ``length_px`` wide: mean 0, standard deviation about 1.

    White noise on a lattice, softened (or the lattice would show) and drawn out bicubically; lengths of one pixel or
    less give white noise.

    Args:
        shape: (height, width) of the result.
        length_px: Width of the features.
        rng: The source of chance.
    """
    step = length_px / 3 if length_px >= 6 else 1.0  # a lattice about as fine as the pixels would beat against them
    rows, cols = (math.ceil(side / step) + 3 for side in shape)
    lattice = rng.standard_normal((rows, cols), dtype=np.float32)
    lattice = gaussian_filter(lattice, 1.1 * length_px / 3 / step, mode="wrap")
    lattice /= lattice.std()
    window = (1.0, 1.0, 1.0 + shape[1] / step, 1.0 + shape[0] / step)
    drawn = Image.fromarray(lattice).resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=window)
    return np.asarray(drawn, dtype=np.float32)
