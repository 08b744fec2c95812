"""Smooth random textures over a raster."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from PIL import Image
from scipy.ndimage import gaussian_filter

from crispmap.types import FloatArray

_SOFTNESS = 1.1
"""Standard deviation of the softening, in lattice points: a third of the features' width."""


def smooth_noise(shape: tuple[int, int], length_px: float, rng: Generator) -> FloatArray:
    """Return noise whose features are about ``length_px`` wide: mean 0, standard deviation about 1.

    White noise on a coarse lattice, softened (or the lattice would show) and drawn out bicubically; lengths of
    one pixel or less give white noise.

    Args:
        shape: (height, width) of the result.
        length_px: Width of the features.
        rng: The source of chance.
    """
    if length_px <= 1.0:
        return white_noise(shape, rng)
    step = length_px / 3.0
    if step < 2.0:  # a lattice about as fine as the pixels would beat against them
        return _softened(shape, step * _SOFTNESS, rng)
    rows, cols = (max(4, int(np.ceil(side / step)) + 3) for side in shape)
    lattice = _softened((rows, cols), _SOFTNESS, rng)
    window = (1.0, 1.0, 1.0 + shape[1] / step, 1.0 + shape[0] / step)
    drawn = Image.fromarray(lattice).resize((shape[1], shape[0]), Image.Resampling.BICUBIC, box=window)
    return np.asarray(drawn, dtype=np.float32)


def _softened(shape: tuple[int, int], softness_px: float, rng: Generator) -> FloatArray:
    """Return white noise after a Gaussian blur, brought back to a standard deviation of 1."""
    soft: FloatArray = gaussian_filter(white_noise(shape, rng), softness_px, mode="wrap")
    soft *= np.float32(2 * np.sqrt(np.pi) * softness_px)
    return soft


def white_noise(shape: tuple[int, ...], rng: Generator) -> FloatArray:
    """Return independent normal values: mean 0, standard deviation 1."""
    return rng.standard_normal(shape, dtype=np.float32)
