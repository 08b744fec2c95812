"""Longitudes a full turn apart: the same place, written at -180 degrees by one file and at 180 by another."""

from __future__ import annotations

import math

import numpy as np
from pyproj import CRS

from crispmap.types import DoubleArray

FULL_TURN = 360.0

Span = tuple[float, float]  # the smallest and the largest x


def turns_between(span: Span, onto: Span, crs: CRS | None) -> list[float]:
    """Return what to add to a span of x, each a number of full turns, for it to overlap another.

    Nothing is added in a CRS that is not in degrees; where they overlap nowhere, there is no turn.
    """
    if crs is None or not crs.is_geographic:
        return [0.0] if span[0] < onto[1] and onto[0] < span[1] else []
    first, last = (onto[0] - span[1]) / FULL_TURN, (onto[1] - span[0]) / FULL_TURN
    return [FULL_TURN * turn for turn in range(math.floor(first) + 1, math.ceil(last))]


def turn_to(x: float, near: float, crs: CRS | None) -> float:
    """Return the full turns that bring x nearest to another; 0 in a CRS that is not in degrees."""
    return FULL_TURN * round((near - x) / FULL_TURN) if crs is not None and crs.is_geographic else 0.0


def unbroken(points: DoubleArray, crs: CRS) -> DoubleArray:
    """Return points (n, 2) along outlines without jumps by a full turn, which reprojecting makes at 180 degrees."""
    if not crs.is_geographic:
        return points
    turns = np.cumsum(np.round(np.diff(points[:, 0], prepend=points[:1, 0]) / FULL_TURN))
    return np.column_stack([points[:, 0] - FULL_TURN * turns, points[:, 1:]])
