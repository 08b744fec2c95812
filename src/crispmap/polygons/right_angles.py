"""Outlines with right angles, as a mapper draws buildings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.types import DoubleArray

_LEAST_SIDES = 4


def main_direction(rings: list[DoubleArray]) -> float:
    """Return the angle, below a right one, that the sides of outlines (n, 2) follow best, each weighted by its length.

    A side counts by the fourfold of its angle, so that sides at right angles support each other: the angle maximises
    the sum of ``length * cos(4 * (side - angle))``.
    """
    sides = np.concatenate([np.roll(one, -1, axis=0) - one for one in rings])
    vectors = sides[:, 0] + 1j * sides[:, 1]
    lengths = np.abs(vectors)
    total = complex((lengths * np.exp(4j * np.angle(vectors))).sum())
    return (math.atan2(total.imag, total.real) / 4) % (math.pi / 2)


def squared(outline: DoubleArray, corners: NDArray[np.int64], angle: float, least_step_m2: float) -> DoubleArray:
    """Return an outline (n, 2) as one of right angles along a direction, with few corners; it may cross itself.

    Args:
        outline: Points in order, the first not repeated.
        corners: Where it turns, as indices of points in growing order: between two it runs straight enough.
        angle: The direction of half of the sides; the others are across.
        least_step_m2: The least area that a step, a bay or a bump must have: smaller ones are straightened.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    turned = outline @ np.array([[cos, -sin], [sin, cos]])
    lines = _Lines.of(turned, corners)
    lines.straighten(least_step_m2)
    return np.asarray(lines.points() @ np.array([[cos, sin], [-sin, cos]]))


@dataclass
class _Lines:
    """A closed outline as the places of its sides, in turn across y and across x: the coordinate each lies at."""

    places: list[float]
    level: int  # 0 where the first side runs along x, at a place of y; 1 where it runs along y

    @classmethod
    def of(cls, points: DoubleArray, corners: NDArray[np.int64]) -> _Lines:
        """Return the sides of an outline: what runs one way between corners is one side, at its mean place."""
        count = len(points)
        after = np.roll(points, -1, axis=0)
        step = after - points
        runs: list[list[Any]] = []  # way (0..3), signed length, its product with the place
        for start, stop in zip(corners, [*corners[1:], corners[0] + count], strict=True):
            index = np.arange(start, stop) % count
            along = step[index].sum(axis=0)
            axis = int(abs(along[1]) > abs(along[0]))  # 0 along x
            way = axis + 2 * int(along[axis] < 0)
            middle = (points[index, 1 - axis] + after[index, 1 - axis]) / 2
            moment = float((step[index, axis] * middle).sum())
            if runs and runs[-1][0] == way:
                runs[-1][1] += float(along[axis])
                runs[-1][2] += moment
            else:
                runs.append([way, float(along[axis]), moment, *points[start]])
        while len(runs) > 1 and runs[0][0] == runs[-1][0]:
            last = runs.pop()
            runs[0] = [last[0], runs[0][1] + last[1], runs[0][2] + last[2], *last[3:]]
        places: list[float] = []
        for number, (way, length, moment, *begin) in enumerate(runs):
            if (runs[number - 1][0] - way) % 2 == 0:  # it turns back: a side of no length lies between
                places.append(begin[int(way) % 2])
            places.append(moment / length)
        first = int(runs[0][0]) % 2
        return cls(places, first if (runs[-1][0] - runs[0][0]) % 2 else 1 - first)

    def straighten(self, least_step_m2: float) -> None:
        """Remove steps, bays and bumps, the least first, until all have an area or four sides are left."""
        while len(self.places) > _LEAST_SIDES:
            costs = [self._cost(number) for number in range(len(self.places))]
            number = min(range(len(costs)), key=costs.__getitem__)
            if costs[number] >= least_step_m2:
                return
            self._remove(number)

    def points(self) -> DoubleArray:
        """Return the corners (n, 2)."""
        before = np.roll(self.places, 1)
        here = np.asarray(self.places)
        across = (np.arange(len(here)) + self.level) % 2 == 0  # sides along x
        return np.column_stack([np.where(across, before, here), np.where(across, here, before)])

    def _around(self, number: int) -> tuple[float, float, float, float, float]:
        count = len(self.places)
        places = [self.places[(number + away) % count] for away in (-2, -1, 0, 1, 2)]
        return places[0], places[1], places[2], places[3], places[4]

    def _cost(self, number: int) -> float:
        """Return the area that changes sides when a side is removed."""
        first, before, here, after, last = self._around(number)
        length, one, other = abs(after - before), here - first, last - here
        if one * other >= 0:  # a step
            total = abs(one) + abs(other)
            return 2 * length * abs(one * other) / total if total else 0.0
        return length * min(abs(one), abs(other))  # a bay or a bump

    def _remove(self, number: int) -> None:
        first, before, here, after, last = self._around(number)
        one, other = here - first, last - here
        count = len(self.places)
        drop = {number}
        if one * other >= 0:
            total = abs(one) + abs(other)
            mean = (before * abs(one) + after * abs(other)) / total if total else before
            self.places[(number - 1) % count] = mean
            drop.add((number + 1) % count)
        else:
            drop.add((number + (-1 if abs(one) <= abs(other) else 1)) % count)
        if drop == {0, count - 1}:
            self.level = 1 - self.level
        self.places = [one for index, one in enumerate(self.places) if index not in drop]
