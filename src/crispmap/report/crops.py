"""The choice of a few informative crops of the test areas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from crispmap.geo.grid import Block
from crispmap.types import IGNORE, LabelArray

CROP_PX = 192
_COUNT = 4
_MOST_CANDIDATES = 400

S = TypeVar("S")


def choose_crops(
    areas: Sequence[tuple[S, Block]],
    maps: Callable[[S, Block], tuple[LabelArray, LabelArray, LabelArray]],
    classes: int,
) -> list[tuple[S, Block]]:
    """Return up to four crops of the areas with many classes, spread from the best refined to the worst.

    The last one is where refinement helped least: a report that shows only gains would mislead.

    Args:
        areas: Test areas, each with its scene.
        maps: Gives the reference, the coarse and the refined map of a block of a scene.
    """
    candidates = [(scene, block) for scene, area in areas for block in area.pieces(CROP_PX)]
    side = min(CROP_PX, max(min(block.shape) for _, block in candidates))
    candidates = [(scene, block) for scene, block in candidates if min(block.shape) >= side // 2]
    candidates = candidates[:: 1 + len(candidates) // _MOST_CANDIDATES]
    scored = [(_interest(*maps(*place), classes), place) for place in candidates]
    busy = sorted((one for one in scored if one[0][0] >= 0), key=lambda one: one[0][0], reverse=True)
    busy = busy[: max(_COUNT, len(busy) // 3)]
    by_gain = sorted(busy, key=lambda one: one[0][1], reverse=True)
    if len(by_gain) <= _COUNT:
        return [place for _, place in by_gain]
    ranks = [0, len(by_gain) // 4, len(by_gain) // 2, len(by_gain) - 1]
    return [by_gain[rank][1] for rank in ranks]


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
