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

from crispmap.evaluation.boundary import CROSS, BoundaryCounts, half_widths_px, within
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
    side = max(len(reach), reach[0] + 1) + 1
    one = np.zeros((2 * side + 1, 2 * side + 1), np.bool_)
    one[side, side] = True
    disk = within(one, reach)
    return int(disk.sum()), int(within(disk, CROSS).sum())
