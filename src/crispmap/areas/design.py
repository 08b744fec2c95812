"""How many units a sample needs, and how they are shared out among strata (Olofsson et al. 2014, section 5.1)."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import numpy as np

from crispmap.errors import AreaError
from crispmap.types import CountArray, DoubleArray

Allocation: TypeAlias = Literal["proportional", "equal", "optimal"]
"""By area; the same for all; by area and expected spread, which makes the standard error of the whole least."""


def sample_size(area_m2: DoubleArray, expected: DoubleArray, standard_error: float) -> int:
    """Return how many units give overall accuracy this standard error (Olofsson et al. 2014, eq. 13).

    Args:
        area_m2: (stratum,) areas, of which there are far more units than are sampled.
        expected: (stratum,) the user's accuracy expected of each, 0..1.
        standard_error: Of overall accuracy, as a share, such as 0.01.

    Raises:
        AreaError: If the standard error is not between 0 and 0.5, or an accuracy not within 0..1.
    """
    if not 0 < standard_error < 0.5:
        raise AreaError(f"The standard error is {standard_error}.", expected="a share between 0 and 0.5, such as 0.01")
    spread = _spread(expected)
    return max(2, math.ceil((float((area_m2 * spread).sum() / area_m2.sum()) / standard_error) ** 2 - 1e-9))


def allocated(
    total: int, area_m2: DoubleArray, units: CountArray, *, by: Allocation, least: int, expected: DoubleArray
) -> CountArray:
    """Return how many units of each stratum are sampled.

    Rare strata get ``least``, the others share what is left of the total; that grows where it does not reach for all.
    A stratum with fewer units is sampled whole, one without any not at all.

    Args:
        total: Units to sample.
        units: (stratum,) units there are.
        least: Units of each stratum at least, 2 or more.
        expected: (stratum,) the user's accuracy expected of each, 0..1, for ``optimal``.

    Raises:
        AreaError: If there is no stratum, or a number is out of range.
    """
    if least < 2 or total < 1:
        raise AreaError(
            f"A sample of {total} with at least {least} in each stratum.", expected="1 or more, and at least 2 in each"
        )
    if not units.any():
        raise AreaError("The raster has no pixel with a class.", expected="a class map with strata to sample")
    weight = {"proportional": area_m2, "equal": np.ones(len(units)), "optimal": area_m2 * _spread(expected)}[by]
    weight = np.where(units > 0, np.maximum(weight, 0), 0.0)
    floor, found = np.minimum(least, units), np.minimum(least, units)
    open_ = units > floor
    while open_.any():  # each round fixes a stratum that would get less than its least or more than it has
        rest = total - int(found[~open_].sum())
        share = rest * weight / weight[open_].sum() if weight[open_].sum() > 0 else np.zeros(len(units))
        low, high = open_ & (share < floor), open_ & (share > units)
        if not (low | high).any():
            found[open_] = _whole(share[open_], rest)
            break
        fixed = low if low.any() else high
        found[fixed] = np.where(low, floor, units)[fixed]
        open_ &= ~fixed
    return found


def _spread(expected: DoubleArray) -> DoubleArray:
    if not ((expected >= 0) & (expected <= 1)).all():
        raise AreaError(f"Expected accuracies are {expected.tolist()}.", expected="shares from 0 to 1, such as 0.9")
    return np.asarray(np.sqrt(expected * (1 - expected)), np.float64)


def _whole(shares: DoubleArray, total: int) -> CountArray:
    """Return shares of a total as whole numbers: those of the largest remainders are rounded up."""
    numbers = np.floor(shares).astype(np.int64)
    order = np.argsort(numbers - shares, kind="stable")
    numbers[order[: max(0, total - int(numbers.sum()))]] += 1
    return numbers
