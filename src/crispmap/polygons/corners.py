"""Corners of the outlines of equal values in a raster, found from the four pixels around each pixel corner.

The outline of a pixel runs with the pixel on the left, seen with rows downwards: along its bottom to the right, up its
right side, along its top to the left, down its left side. Two pixels of one value that touch only at a corner have
separate outlines (4-connectivity).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crispmap.polygons.chains import Indices
from crispmap.types import BoolArray

Values: TypeAlias = NDArray[np.int32]

NOTHING = int(np.iinfo(np.int32).min)  # the value of pixels that belong to no region

BOTTOM, RIGHT, TOP, LEFT = range(4)  # the sides of a pixel, in the order of its outline

_T, _B, _L, _R = 1, 2, 4, 8  # which neighbours among the four pixels are equal: the upper two, the lower two, ...
_NODES = np.array([bits in (0, _T, _B, _L, _R) for bits in range(16)])  # three outlines or four meet


class _Turn(NamedTuple):
    """A way an outline can pass a pixel corner."""

    equal: int  # neighbours that are equal
    unequal: int  # neighbours that are not
    enters: int  # the side it comes along
    leaves: int  # the side it goes on along
    pixel: tuple[int, int]  # row and column, counted from the corner, of a pixel of the region
    straight: bool = False  # whether it does not turn


_TURNS = (
    # the corner of a pixel: upper left, upper right, lower right, lower left
    _Turn(0, _T | _L, BOTTOM, RIGHT, (-1, -1)),
    _Turn(0, _T | _R, LEFT, BOTTOM, (-1, 0)),
    _Turn(0, _B | _R, TOP, LEFT, (0, 0)),
    _Turn(0, _B | _L, RIGHT, TOP, (0, -1)),
    # all but one pixel: upper left, upper right, lower right, lower left
    _Turn(_R | _B, _T | _L, LEFT, TOP, (0, 0)),
    _Turn(_L | _B, _T | _R, TOP, RIGHT, (0, -1)),
    _Turn(_L | _T, _B | _R, RIGHT, BOTTOM, (-1, -1)),
    _Turn(_R | _T, _B | _L, BOTTOM, LEFT, (-1, 0)),
    # straight past a place where others meet
    _Turn(_T, _B | _L | _R, BOTTOM, BOTTOM, (-1, -1), straight=True),
    _Turn(_B, _T | _L | _R, TOP, TOP, (0, 0), straight=True),
    _Turn(_L, _T | _B | _R, RIGHT, RIGHT, (-1, -1), straight=True),
    _Turn(_R, _T | _B | _L, LEFT, LEFT, (-1, 0), straight=True),
)


@dataclass(frozen=True)
class Corners:
    """Corners of outlines, in the order of their rows, then columns."""

    row: Indices  # pixel corner, counted from the array's second row
    col: Indices  # pixel corner, counted from the array's second column
    enters: Indices  # the side the outline comes along
    leaves: Indices  # the side it goes on along
    pixel: Indices  # a pixel of the region outlined, as flat index of the array
    node: BoolArray  # whether three outlines or four meet there

    def __len__(self) -> int:
        return len(self.row)


def find_corners(values: Values, *, nodes: bool) -> Corners:
    """Return the corners of all outlines between the rows of an array.

    Args:
        values: (row, col) with a border of one row above and one column on either side: corners are found on the upper
            edge of every other row.
        nodes: Whether places where an outline runs straight past others that meet count as corners too.
    """
    upper, lower = values[:-1], values[1:]
    across, down = values[:, :-1] == values[:, 1:], upper == lower
    upper_two, lower_two, left_two, right_two = across[:-1], across[1:], down[:, :-1], down[:, 1:]
    row, col = np.nonzero(~((upper_two & lower_two) | (left_two & right_two)))
    pairs = ((upper_two, _T), (lower_two, _B), (left_two, _L), (right_two, _R))
    bits = sum(pair[row, col].astype(np.int8) * bit for pair, bit in pairs)
    flat, stride = values.ravel(), values.shape[1]
    corner = (row + 1) * stride + col + 1
    found = []
    for turn in _TURNS:
        if turn.straight and not nodes:
            continue
        pixel = corner + turn.pixel[0] * stride + turn.pixel[1]
        fits = (bits & turn.equal == turn.equal) & (bits & turn.unequal == 0) & (flat[pixel] != NOTHING)
        place = np.flatnonzero(fits)
        found.append((place, pixel[place], np.full(len(place), turn.enters), np.full(len(place), turn.leaves)))
    place, pixel, enters, leaves = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(place, kind="stable")
    place = place[order]
    return Corners(row[place], col[place], enters[order], leaves[order], pixel[order], _NODES[bits[place]])
