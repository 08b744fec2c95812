"""Sunlight on a relief: cast shadows and the modelling of tree crowns."""

from __future__ import annotations

import math

import numpy as np

from crispmap.synth.relief import Sun
from crispmap.types import BoolArray, FloatArray


def cast_shadows(height_m: FloatArray, gsd_m: float, sun: Sun) -> BoolArray:
    """Return where something between a pixel and the sun hides the sun.

    A pixel lies in shadow if, k steps towards the sun, something stands higher than the pixel by more than the
    sun's rise over k steps. The maximum over all k is taken by doubling: log2(steps) passes instead of steps.

    Args:
        height_m: Heights, (row, col).
        gsd_m: Side of a pixel.
        sun: Where the sun stands.
    """
    east, north = sun.towards
    longest = max(abs(east), abs(north))
    step_row, step_col = -north / longest, east / longest
    drop_m = gsd_m / longest * sun.slope
    reach = math.ceil(float(height_m.max(initial=0.0)) / drop_m) + 1
    top = height_m.copy()
    stride = 1
    while stride <= reach:
        _raise_by_shifted(top, round(stride * step_row), round(stride * step_col), stride * drop_m)
        stride *= 2
    shadow: BoolArray = top > height_m + np.float32(0.12)
    return shadow


def _raise_by_shifted(top: FloatArray, rows: int, cols: int, drop_m: float) -> None:
    """Raise each pixel to what stands at an offset from it, less a drop."""
    height, width = top.shape
    if abs(rows) >= height or abs(cols) >= width:
        return
    here = slice(max(0, -rows), height - max(0, rows)), slice(max(0, -cols), width - max(0, cols))
    there = slice(max(0, rows), height - max(0, -rows)), slice(max(0, cols), width - max(0, -cols))
    np.maximum(top[here], top[there] - np.float32(drop_m), out=top[here])


def crown_light(height_m: FloatArray, gsd_m: float, sun: Sun) -> FloatArray:
    """Return how much light falls on leaves relative to flat ground: more where they rise away from the sun.

    Args:
        height_m: Heights, (row, col).
        gsd_m: Side of a pixel.
        sun: Where the sun stands.
    """
    east, north = sun.towards
    rows, cols = round(-2 * north), round(2 * east)
    ahead = np.roll(height_m, (-rows, -cols), axis=(0, 1))
    rise = (height_m - ahead) * np.float32(1.0 / (gsd_m * math.hypot(rows, cols)))
    light: FloatArray = np.float32(0.92) + np.float32(0.3) * np.tanh(np.float32(0.55) * rise)
    return light
