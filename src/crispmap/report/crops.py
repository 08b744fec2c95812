"""The choice of a few informative crops of the test areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from crispmap.geo.grid import Block
from crispmap.types import IGNORE, LabelArray

CROP_PX = 192
_COUNT = 4
_MOST_CANDIDATES = 400

Maps = Callable[[Block], tuple[LabelArray, LabelArray, LabelArray]]
"""Gives reference, coarse and refined map of a block."""


def choose_crops(areas: Sequence[Block], maps: Maps, classes: int) -> list[Block]:
    """Return up to four crops of the areas with many classes, spread from the best refined to the worst.

    The last one is where refinement helped least: a report that shows only gains would mislead.
    """
    candidates = [block for area in areas for block in area.pieces(CROP_PX)]
    side = min(CROP_PX, max(min(block.shape) for block in candidates))
    candidates = [block for block in candidates if min(block.shape) >= side // 2]
    candidates = candidates[:: 1 + len(candidates) // _MOST_CANDIDATES]
    scored = [(_interest(*maps(block), classes), block) for block in candidates]
    busy = sorted((one for one in scored if one[0][0] >= 0), key=lambda one: one[0][0], reverse=True)
    busy = busy[: max(_COUNT, len(busy) // 3)]
    by_gain = sorted(busy, key=lambda one: one[0][1], reverse=True)
    if len(by_gain) <= _COUNT:
        return [block for _, block in by_gain]
    places = [0, len(by_gain) // 4, len(by_gain) // 2, len(by_gain) - 1]
    return [by_gain[place][1] for place in places]


def _interest(reference: LabelArray, coarse: LabelArray, refined: LabelArray, classes: int) -> tuple[float, float]:
    """Return a crop's entropy of classes (-1 if nothing is known), and the gain in accuracy by refinement."""
    known = reference != IGNORE
    if not known.any():
        return -1.0, 0.0
    shares = np.bincount(reference[known], minlength=classes)[:classes] / known.sum()
    positive = shares[shares > 0]
    entropy = float(-(positive * np.log(positive)).sum())
    gain = float((refined == reference)[known].mean() - (coarse == reference)[known].mean())
    return entropy, gain
