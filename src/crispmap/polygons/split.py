"""Regions split where the scores between two parts sink: touching buildings, as far as a network tells them apart."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from crispmap.types import BoolArray, FloatArray

_SMOOTHED_PX = 0.7  # standard deviation: valleys of a single pixel are noise
_LEVELS = np.arange(0.0, 8.0, 0.5)  # logits at which parts are looked for
_LEAST_RISE = 3.0  # logits by which the peak of a part stands above the level at which it comes apart


def margin(logits: FloatArray, class_id: int) -> FloatArray:
    """Return the log odds (row, col) of a class against all others, from the logits (class, row, col) of all."""
    others = np.delete(logits, class_id, axis=0).astype(np.float64)
    return np.asarray(logits[class_id] - np.logaddexp.reduce(others, axis=0), np.float32)


def parts_of_region(mask: BoolArray, relief: FloatArray, least_px: float) -> tuple[NDArray[np.int32], int]:
    """Return the part 1, 2, ... that each pixel of a region belongs to, 0 outside, and how many there are.

    The level is raised from 0: where a region comes apart into two parts or more that each have at least ``least_px``
    pixels and a peak well above the level, each is a part, and may come apart further up. A watershed from the parts
    shares out the other pixels.

    Args:
        mask: The region, (row, col).
        relief: The log odds of its class, (row, col), finite; see ``margin``.
        least_px: The least number of pixels of a part at the level at which it comes apart.
    """
    if mask.sum() < 2 * least_px:
        return mask.astype(np.int32), 1
    relief = ndimage.gaussian_filter(relief, _SMOOTHED_PX)
    markers, count = _markers(mask, relief, least_px)
    if count < 2:
        return mask.astype(np.int32), 1
    return _flooded(mask, relief, markers), count


def _flooded(mask: BoolArray, relief: FloatArray, markers: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the parts that grow from markers from the highest pixels down, each connected through sides of pixels."""
    stride = mask.shape[1] + 2
    parts = np.pad(markers, 1).ravel()
    free = np.pad(mask, 1).ravel() & (parts == 0)
    height = np.pad(relief, 1).ravel()
    ways = (-stride, -1, 1, stride)
    heap: list[tuple[float, int, int]] = []

    def spread(pixel: int) -> None:
        for beside in (pixel + way for way in ways):
            if free[beside]:
                free[beside] = False
                parts[beside] = parts[pixel]
                heapq.heappush(heap, (-float(height[beside]), len(heap), beside))

    for pixel in np.flatnonzero(parts).tolist():
        spread(pixel)
    while heap:
        spread(heapq.heappop(heap)[2])
    return np.asarray(parts.reshape(-1, stride)[1:-1, 1:-1])


def _markers(mask: BoolArray, relief: FloatArray, least_px: float) -> tuple[NDArray[np.int32], int]:
    """Return the pixels that certainly belong to each part, and the number of parts."""
    markers = np.zeros(mask.shape, np.int32)
    count = 0
    waiting = [(mask, 0)]
    while waiting:
        inside, level = waiting.pop()
        whole, apart = inside, [inside]
        while level < len(_LEVELS) and len(apart) == 1:
            whole = apart[0]
            apart = _standing_out(whole & (relief > _LEVELS[level]), relief, least_px, _LEVELS[level])
            level += 1
        if len(apart) > 1:
            waiting += [(one, level) for one in apart]
        else:
            count += 1
            markers[whole] = count
    return markers, count


def _standing_out(inside: BoolArray, relief: FloatArray, least_px: float, level: float) -> list[BoolArray]:
    """Return the connected parts that are large and high enough."""
    label, count = ndimage.label(inside)
    pixels = np.bincount(label.ravel(), minlength=count + 1)[1:]
    numbers = 1 + np.flatnonzero(pixels >= least_px)
    peaks = ndimage.maximum(relief, label, numbers) if len(numbers) else np.zeros(0)
    return [label == number for number in numbers[np.asarray(peaks) - level >= _LEAST_RISE].tolist()]
