"""What a random map reaches: where outlines lie close together, every map comes near them, and boundary F1 says little.

The random map has, at every pixel on its own, a class drawn with the shares that the evaluated map has of them. On a
large area its figures are those expected, and these have a closed form in counts that are made anyway:

- Its boundary pixels lie anywhere, so its precision is the share of pixels within the width of a boundary pixel of the
  reference.
- A boundary pixel of the reference has none of the map within the width where the disk of that width around it has no
  pixel of the class, or the disk and its neighbours nothing else: with a share p of the class and n and m pixels,
  recall is ``1 - (1 - p)^n - p^m``.

Near unknown pixels and the edge, where disks are cut off, recall is a little less than that.
"""

from __future__ import annotations

import numpy as np

from crispmap.evaluation.boundary import BoundaryCounts, half_widths_px
from crispmap.metrics import ConfusionMatrix, ratio
from crispmap.types import DoubleArray


def chance_f1(boundary: BoundaryCounts, confusion: ConfusionMatrix, gsd_m: tuple[float, float]) -> DoubleArray:
    """Return the boundary F1, (width, class), of a random map of the same class shares; NaN where the map's is.

    Args:
        boundary: The boundary counts of the map.
        confusion: The pixels behind them.
        gsd_m: Ground sampling distance (between rows y, between columns x), in metres.
    """
    precision = ratio(boundary.around_reference_px, confusion.valid_px)
    share = ratio(confusion.predicted_px, confusion.valid_px)
    recall = np.zeros_like(precision)
    for index, width_m in enumerate(boundary.widths_m):
        disk, around = _disk_px(half_widths_px(width_m, gsd_m))
        recall[index] = 1 - (1 - share) ** disk - share**around
    f1 = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    return np.where(np.isnan(boundary.f1), np.nan, f1)


def above_chance(f1: DoubleArray, by_chance: DoubleArray) -> DoubleArray:
    """Return how much of what chance leaves a map reaches: 1 at best, 0 for a random map; NaN where it leaves nothing.

    As Cohen's kappa does with accuracy.
    """
    return ratio(f1 - by_chance, 1 - by_chance)


def _disk_px(reach: tuple[int, ...]) -> tuple[int, int]:
    """Return how many pixels lie within reach of one, and how many when the neighbours of those are added."""
    wider = tuple(max(own + 1, before) for own, before in zip((*reach, -1), (0, *reach), strict=True))
    disk, around = (2 * sum(2 * half + 1 for half in rows) - (2 * rows[0] + 1) for rows in (reach, wider))
    return disk, around
