"""The street network: lines that grow along the land's directions, branch, meet at T-junctions or end blindly.

After the streamline placing of Jobard and Lefer (1997) and the street tracing of Chen et al. (2008), in small: a
street follows one of the two families of a direction field, keeps its distance from parallel streets, and stops at
the first street it meets.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from shapely import LineString, Point, prepare

from crispmap.synth.features import Road
from crispmap.synth.setting import Setting
from crispmap.types import DoubleArray

STEP_M = 5.0
_MEET_M = 8.0
_OPEN = 0.1
"""Density below which land is open: lanes instead of streets."""
_STREET_LIMIT = 4000


@dataclass(frozen=True)
class _Rule:
    """How a street grows: how far, how far from its like, down to what density, how often straight across."""

    reach_m: float
    gap_m: float
    floor: float
    through: float
    over_water: bool = False


@dataclass(frozen=True)
class _Grown:
    """A grown line (n, 2) and why it ended: ``met``, ``edge``, or ``blind``."""

    points: DoubleArray
    end: str


class _Tracer:
    """Grows streets and remembers where they lie."""

    def __init__(self, setting: Setting, rng: Generator) -> None:
        self.setting = setting
        self.rng = rng
        self.points: DoubleArray = np.empty((0, 2))
        self.along: DoubleArray = np.empty((0, 2))
        self.banks = setting.river.buffer(setting.river_width_m / 2 + 9)
        prepare(self.banks)
        prepare(setting.domain)

    def add(self, points: DoubleArray) -> None:
        """Remember a street (n, 2)."""
        steps = np.gradient(points, axis=0)
        self.points = np.concatenate([self.points, points])
        self.along = np.concatenate([self.along, steps / np.linalg.norm(steps, axis=1, keepdims=True)])

    def nearest(self, place: DoubleArray, heading: DoubleArray) -> tuple[int, float, float]:
        """Return the nearest street point, its distance, and the distance of the nearest nearly parallel street."""
        gaps = np.hypot(self.points[:, 0] - place[0], self.points[:, 1] - place[1])
        index = int(gaps.argmin())
        parallel = np.abs(self.along @ heading) > 0.75
        return index, float(gaps[index]), float(np.min(gaps, where=parallel, initial=1e9))

    def grow(self, start: DoubleArray, heading_rad: float, rule: _Rule) -> _Grown | None:
        """Grow a street from a point; None if it would be a stub."""
        line = [start]
        heading = np.array([math.cos(heading_rad), math.sin(heading_rad)])
        grace_m, end = 3 * STEP_M, "blind"
        for count in range(1, int(rule.reach_m / STEP_M)):
            place = line[-1] + STEP_M * heading
            heading = self._turned(place, heading)
            if not self.setting.domain.contains(Point(place)):
                line.append(place)
                end = "edge"
                break
            index, gap, parallel = self.nearest(place, heading)
            if count * STEP_M > grace_m and gap < _MEET_M:
                line.append(self.points[index])
                if self.rng.random() > rule.through:
                    end = "met"
                    break
                grace_m = count * STEP_M + 5 * STEP_M
                line[-1] = place
                continue
            if count > 2 and self._blocked(place, parallel, rule):
                break
            line.append(place)
        shortest = 25.0 if end == "met" else 45.0
        return _Grown(np.array(line), end) if (len(line) - 1) * STEP_M >= shortest else None

    def mend(self, grown: _Grown) -> _Grown:
        """Lead a blind street on to the next street where that is near; most streets lead somewhere."""
        if grown.end != "blind" or self.rng.random() < 0.15:
            return grown
        step = grown.points[-1] - grown.points[-2]
        rule = _Rule(130.0, 0.0, 0.06, 0.0)
        tail = self.grow(grown.points[-1], math.atan2(step[1], step[0]), rule)
        if tail is None or tail.end != "met":
            return grown
        return _Grown(np.concatenate([grown.points, tail.points[1:]]), "met")

    def _turned(self, place: DoubleArray, heading: DoubleArray) -> DoubleArray:
        """Return the field's direction nearest to the heading."""
        angle = self.setting.direction(float(place[0]), float(place[1]))
        turns = angle + np.arange(4) * math.pi / 2
        options = np.column_stack([np.cos(turns), np.sin(turns)])
        best: DoubleArray = options[int((options @ heading).argmax())]
        mixed: DoubleArray = 0.6 * heading + 0.4 * best
        mixed /= np.linalg.norm(mixed)
        return mixed

    def _blocked(self, place: DoubleArray, parallel_m: float, rule: _Rule) -> bool:
        """Return whether a street may not go on here."""
        if parallel_m < 0.6 * rule.gap_m or self.setting.density_at(*place) < rule.floor:
            return True
        return not rule.over_water and self.banks.contains(Point(place))


def plan_streets(setting: Setting, rng: Generator) -> list[Road]:
    """Return the streets of a town: main roads first, then what branches from them, nearest first.

    Lines share vertices where one branches from or ends at another. Only main and through roads cross the river.
    """
    tracer = _Tracer(setting, rng)
    roads: list[Road] = []
    queue: deque[tuple[DoubleArray, int]] = deque()
    main, through = ("secondary", "tertiary") if setting.radius_m >= 90 else ("tertiary", "residential")
    for points in setting.mains:
        tracer.add(points)
        roads.append(_dressed(points, main, setting, rng))
        queue.append((points, 0))
    for points in _through_roads(setting, tracer):
        roads.append(_dressed(points, through, setting, rng))
        queue.append((points, 1))
    while queue and len(roads) < _STREET_LIMIT:
        parent, generation = queue.popleft()
        for start, heading in _branches(parent, generation, setting, rng):
            grown = tracer.grow(start, heading, _rule_at(start, generation, setting, rng))
            if grown is None:
                continue
            grown = tracer.mend(grown)
            tracer.add(grown.points)
            roads.append(_dressed(grown.points, _rank(grown, setting, rng), setting, rng, grown.end))
            queue.append((grown.points, generation + 1))
    return roads


def _through_roads(setting: Setting, tracer: _Tracer) -> Iterator[DoubleArray]:
    """Yield a road across the main road at every centre."""
    rule = _Rule(5000.0, 0.0, -1.0, 1.0, over_water=True)
    for centre in setting.centres:
        index, _, _ = tracer.nearest(centre, np.array([1.0, 0.0]))
        start = tracer.points[index]
        across = math.atan2(tracer.along[index, 1], tracer.along[index, 0]) + math.pi / 2
        halves = [tracer.grow(start, across + turn, rule) for turn in (0.0, math.pi)]
        up, down = (half.points if half is not None else start[None] for half in halves)
        points = np.concatenate([down[::-1], up[1:]])
        if len(points) > 4:
            tracer.add(points)
            yield points


def _branches(
    parent: DoubleArray, generation: int, setting: Setting, rng: Generator
) -> Iterator[tuple[DoubleArray, float]]:
    """Yield where streets leave a parent street: start point and heading, on either side."""
    last = len(parent) - 1
    for side in (1, -1):
        due = rng.uniform(0.1, 0.7)  # shares of a spacing still to go, so that dense ground is met with dense spacing
        for index in range(1, last - 4):
            due -= STEP_M / _spacing(parent[index], generation, setting)
            if due > 0:
                continue
            due = rng.uniform(0.85, 1.3)
            step = parent[index + 1] - parent[index - 1]
            yield parent[index], math.atan2(step[1], step[0]) + side * math.pi / 2


def _spacing(place: DoubleArray, generation: int, setting: Setting) -> float:
    """Return how far apart streets leave a parent here, in metres."""
    density = setting.density_at(*place)
    if density < _OPEN:
        return 190.0
    near = min(1.0, density / 0.6)
    return 100.0 - 36.0 * near if generation % 2 == 0 else 74.0 - 16.0 * near


def _rule_at(start: DoubleArray, generation: int, setting: Setting, rng: Generator) -> _Rule:
    """Return how a street that starts here may grow."""
    gap = _spacing(start, generation, setting)
    if setting.density_at(*start) < _OPEN:
        return _Rule(900.0, gap, -1.0, 0.0)
    blind = rng.random() < 0.12
    return _Rule(rng.uniform(55, 95) if blind else rng.uniform(220, 600), gap, 0.065, 0.0 if blind else 0.35)


def _rank(grown: _Grown, setting: Setting, rng: Generator) -> str:
    """Return the OpenStreetMap highway value that fits a grown street."""
    length = (len(grown.points) - 1) * STEP_M
    if float(setting.density(grown.points).mean()) < _OPEN:
        return "unclassified"
    if grown.end == "blind":
        return "living_street" if rng.random() < 0.5 else "residential"
    return "tertiary" if length > 330 and rng.random() < 0.5 else "residential"


_WIDTHS_M = {
    "secondary": (9.5, 12.0),
    "tertiary": (6.8, 8.4),
    "residential": (4.8, 6.6),
    "living_street": (4.0, 5.0),
    "unclassified": (3.5, 4.6),
}
_SURFACES = {
    "secondary": ("asphalt_dark", "asphalt", "asphalt"),
    "tertiary": ("asphalt_dark", "asphalt", "asphalt_worn"),
    "residential": ("asphalt", "asphalt_worn", "asphalt_pale", "asphalt_dark"),
    "living_street": ("asphalt", "asphalt_pale", "setts"),
    "unclassified": ("asphalt_worn", "asphalt_pale", "asphalt_worn"),
}
_NAMES_A = ("Rue", "Rue", "Rue", "Chemin", "Allée", "Impasse", "Avenue", "Montée")
_NAMES_B = (
    *("du Moulin", "des Tilleuls", "de l'Église", "du Lavoir", "des Vignes", "de la Gare", "du Pont", "des Écoles"),
    *("de la Fontaine", "du Stade", "des Jardins", "du Verger", "des Saules", "de la Forge", "du Four", "des Prés"),
    *("de la Source", "du Château", "des Noyers", "de la Poste", "du Puits", "des Acacias", "du Soleil", "du Ruisseau"),
)


def _dressed(points: DoubleArray, highway: str, setting: Setting, rng: Generator, end: str = "met") -> Road:
    """Return a street with a width, a surface, a verge and a name."""
    open_land = highway == "unclassified"
    name = f"{rng.choice(_NAMES_A)} {rng.choice(_NAMES_B)}"
    turning = None
    if end == "blind" and not open_land and rng.random() < 0.7:
        turning = (float(points[-1, 0]), float(points[-1, 1]))
    return Road(
        LineString(points),
        round(float(rng.uniform(*_WIDTHS_M[highway])), 1),
        highway,
        "" if open_land else name,
        float(rng.uniform(0.8, 1.6)) if open_land else float(rng.uniform(1.3, 2.2)),
        "verge" if open_land else str(rng.choice(["pavement", "pavement", "pavement_warm", "asphalt_worn"])),
        str(rng.choice(_SURFACES[highway])),
        turning,
    )
