"""Search for the best values of a few positive numbers, where each try is costly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from crispmap.refiners.hand_written import Range

Point = dict[str, float]

FACTORS = (4.0, 2.0, 1.4)
"""By how much numbers are changed: coarse first, then finer."""


@dataclass(frozen=True)
class Found:
    """What a search found."""

    best: Point
    value: float
    tried: Sequence[tuple[Point, float]]  # every point tried with its value, in order; the first is the start
    complete: bool  # whether the search came to its end, and not to the most tries allowed


def pattern_search(ranges: Mapping[str, Range], value: Callable[[Point], float], *, most: int) -> Found:
    """Return the point that no change of one number by the last factor improves, found from the starts of the ranges.

    One number at a time, in the order of ``ranges``, is multiplied and divided by one of ``FACTORS``, as long as that
    improves; when no number moves any more, the next, smaller factor is taken. At most ``most`` points are tried, none
    twice, and nothing is random. It climbs: it may miss a better hill.

    Source: Hooke and Jeeves, "Direct search solution of numerical and statistical problems", 1961; on logarithms.
    """
    tries = _Tries(value, most)
    best = {name: one.start for name, one in ranges.items()}
    tries(best)
    for factor in FACTORS:
        moved = True
        while moved and not tries.spent:
            moved = False
            for name in ranges:
                climbed = _climb(tries, ranges[name], best, name, factor)
                moved, best = moved or climbed != best, climbed
    return Found(best, tries(best), tuple(tries.tried), not tries.spent)


def _climb(tries: _Tries, span: Range, best: Point, name: str, factor: float) -> Point:
    """Return the best of the points reached by changing one number, in the one direction that improves."""
    for by in (factor, 1 / factor):
        here = best
        while True:
            there = {**here, name: span.moved(here[name], by)}
            if not tries(there) > tries(here):
                break
            here = there
        if here != best:
            return here
    return best


class _Tries:
    """The value of points, each computed once; points beyond the most allowed are the worst of all."""

    def __init__(self, value: Callable[[Point], float], most: int) -> None:
        self.tried: list[tuple[Point, float]] = []
        self.spent = False
        self._known: dict[tuple[float, ...], float] = {}
        self._value, self._most = value, most

    def __call__(self, point: Point) -> float:
        key = tuple(point.values())
        if key not in self._known:
            if len(self.tried) >= self._most:
                self.spent = True
                return float("-inf")
            self._known[key] = self._value(point)
            self.tried.append((dict(point), self._known[key]))
        return self._known[key]
