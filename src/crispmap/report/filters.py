"""Learned filters described as derivatives of a blurred image, by order and direction.

A filter is fitted by least squares with a Gaussian of standard deviation 1 pixel and its derivatives of first and
second order. The RNN paper shows such filters as pictures and names some derivatives (figure 11); here they are
measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from crispmap.errors import InputError
from crispmap.types import DoubleArray, FloatArray

SIGMA_PX = 1.0
LEAST_SHARE = 0.5  # share of a filter's energy that an order must explain to name the filter
_NO_DIRECTION = 0.8
ORDER_NAMES = ("blur", "first derivative", "second derivative")


@dataclass(frozen=True, eq=False)
class FilterNature:
    """The fit of a filter with derivatives."""

    # (row, col) the filter; of one over several maps the pattern nearest to all of its planes, with the energy of the
    # whole filter
    pattern: DoubleArray
    shared: float  # share of the energy of all planes that the one pattern holds, 0..1; 1 of one plane
    # shares of the pattern's energy: blur, first and second derivatives; together at most 1
    by_order: tuple[float, float, float]
    order: int | None  # 0, 1 or 2, whichever explains most; None where it explains less than ``LEAST_SHARE``
    # degrees counterclockwise from east, of order 1 where the filter rises (-180..180], of order 2 along which it
    # curves (0..180); None of the others, and of a second derivative without a direction
    direction_deg: float | None

    @property
    def explained(self) -> float:
        """Share of the pattern's energy explained by all orders together, 0..1."""
        return min(1.0, sum(self.by_order))

    @property
    def text(self) -> str:
        """The dominant derivative, its direction and share of the energy; without one, the share of all together."""
        if self.order is None:
            return f"no dominant derivative, all together {100 * self.explained:.0f} %"
        where = "" if self.direction_deg is None else f", {self.direction_deg:.0f}°"
        return f"{ORDER_NAMES[self.order]}{where}, {100 * self.by_order[self.order]:.0f} %"


def filter_nature(planes: FloatArray | DoubleArray) -> FilterNature:
    """Return the nature of a filter, as it is correlated with maps (not mirrored).

    Args:
        planes: (map, row, col), square with an odd side of 3 or more; one plane for each map it reads.

    Raises:
        InputError: If the shape is another, or a value is not finite.
    """
    if planes.ndim != 3 or planes.shape[1] != planes.shape[2] or planes.shape[1] < 3 or planes.shape[1] % 2 == 0:
        raise InputError(f"A filter of shape {planes.shape}.", expected="(map, row, col) with one odd side, 3 or more")
    if not np.isfinite(planes).all():
        raise InputError("A filter holds values that are not finite.", expected="finite weights")
    pattern, shared = _common_pattern(np.asarray(planes, np.float64))
    energy = float((pattern**2).sum())
    if energy == 0:
        return FilterNature(pattern, shared, (0.0, 0.0, 0.0), None, None)
    basis = derivative_basis(pattern.shape[0])
    orthonormal, _ = np.linalg.qr(basis)
    shares = (orthonormal.T @ pattern.ravel()) ** 2 / energy
    by_order = float(shares[0]), float(shares[1:3].sum()), float(shares[3:].sum())
    order = int(np.argmax(by_order))
    if by_order[order] < LEAST_SHARE:
        return FilterNature(pattern, shared, by_order, None, None)
    weights: DoubleArray = np.linalg.lstsq(basis, pattern.ravel(), rcond=None)[0].astype(np.float64)
    return FilterNature(pattern, shared, by_order, order, _direction(order, weights))


def derivative_basis(side_px: int) -> DoubleArray:
    """Return the Gaussian and its derivatives as columns (row * col, 6): 1, x, y, xx, xy, yy; x is east, y north.

    Signs are such that the column "x" rises eastwards: correlated with an image it gives the slope.
    """
    reach = side_px // 2
    y, x = np.mgrid[reach : -reach - 1 : -1, -reach : reach + 1] / SIGMA_PX
    gauss = np.exp(-(x**2 + y**2) / 2)
    columns = [gauss, x * gauss, y * gauss, (x**2 - 1) * gauss, x * y * gauss, (y**2 - 1) * gauss]
    return np.stack([column.ravel() for column in columns], axis=1)


def _common_pattern(planes: DoubleArray) -> tuple[DoubleArray, float]:
    """Return the pattern that best fits multiples of all planes, and its share of their energy."""
    flat = planes.reshape(len(planes), -1)
    left, lengths, right = np.linalg.svd(flat, full_matrices=False)
    total = float((lengths**2).sum())
    if len(planes) == 1 or total == 0:
        return planes[0], 1.0
    # The sign is arbitrary: take that of the plane with most weight.
    sign = np.sign(left[np.argmax(np.abs(left[:, 0])), 0]) or 1.0
    return (sign * math.sqrt(total) * right[0]).reshape(planes.shape[1:]), float(lengths[0] ** 2 / total)


def _direction(order: int, weights: DoubleArray) -> float | None:
    if order == 1:
        return math.degrees(math.atan2(weights[2], weights[1]))
    if order == 0:
        return None
    curvature = np.array([[weights[3], weights[4] / 2], [weights[4] / 2, weights[5]]])
    values, vectors = np.linalg.eigh(curvature)
    strong = int(np.argmax(np.abs(values)))
    if values[1 - strong] / values[strong] > _NO_DIRECTION:
        return None
    x, y = vectors[:, strong]
    return math.degrees(math.atan2(y, x)) % 180


def counted(natures: list[FilterNature]) -> str:
    """Return the numbers of filters by order, in words."""
    parts = []
    for order, name in enumerate(ORDER_NAMES):
        number = sum(one.order == order for one in natures)
        if number:
            s, verb = ("s", "") if number > 1 else ("", "s")
            parts.append(f"{number} act{verb} as {name}{s}" if order else f"{number} blur{verb}")
    others = sum(one.order is None for one in natures)
    if others:
        parts.append(f"{others} without a dominant derivative")
    return f"Of {len(natures)} filters, {', '.join(parts)}." if parts else "There are no filters."
