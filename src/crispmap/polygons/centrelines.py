"""Centrelines of roads, with widths: the medial axis of their areas without its spurs.

The medial axis is taken from the Voronoi diagram of points along the outline (Brandt and Algazi 1992): its vertices
inside the area are as far from the outline as the points they come from, which gives the width as well.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from scipy.spatial import QhullError, Voronoi
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from crispmap.types import DoubleArray

_SMOOTHED_PX = 1.5  # half the width of bays and bumps that are smoothed away: they would grow spurs
_STEPS_PX = 1.0  # how far the outline is simplified then: so would the steps of pixels
_POINT_EVERY_PX = 1.5
_STRAYS = 0.15  # of the width: lines may stray as far to have fewer corners
_SHORT = 1.0  # spurs are dropped that reach less than this many road widths beyond the road they leave
_NARROW = 0.25  # of the mean width: what counts as a pixel in roads of few pixels, which smoothing would remove
_FULL = 0.9  # ends are cut off where the road is narrower than this many of its widths: they run into corners
_LEAST_LENGTH = 1.5  # widths that a road with an end has at least
_COMPACT = 0.75  # about that of a rectangle one and a half times as long as wide; a disc has 1
_JOINED = 1.0  # crossings are one where they are nearer than this many half widths


@dataclass(frozen=True)
class Centreline:
    """A road between two crossings or ends."""

    line: BaseGeometry
    width: float  # the median over its length of twice the distance to the outline
    free: tuple[bool, bool] = (False, False)  # whether no other line begins at its start, and at its end


def centrelines(area: Polygon, gsd: float, tolerance: float) -> list[Centreline]:
    """Return the centrelines of the roads in an area, joined at crossings; ends reach the outline.

    Spurs shorter than the road is wide are left out, as are roads that are hardly longer than wide.

    Args:
        area: Roads in one piece, in metres of the grid.
        gsd: Side of a pixel.
        tolerance: How far lines may stray to have fewer corners, in metres.
    """
    found = []
    unit = min(gsd, _NARROW * 2 * area.area / area.length)
    for part in shapely.get_parts(_smoothed(area, _SMOOTHED_PX * unit)):
        axis = None if _is_compact(part) else _Axis.of(part, unit)
        found += [] if axis is None else _lines_of(axis, part, tolerance)
    return found


def _is_compact(area: BaseGeometry) -> bool:
    """Return whether an area is empty, or rather a disc or a square than a road, by its isoperimetric quotient."""
    return area.is_empty or 4 * math.pi * area.area > _COMPACT * area.length**2


def _smoothed(area: Polygon, reach: float) -> BaseGeometry:
    """Return an area whose narrow bays are closed, then its narrow bumps and necks removed."""
    return area.buffer(reach, quad_segs=4).buffer(-2 * reach, quad_segs=4).buffer(reach, quad_segs=4)


def _lines_of(axis: _Axis, area: Polygon, tolerance: float) -> list[Centreline]:
    """Return the lines of a medial axis."""
    axis.prune()
    chains = [np.array(one) for one in axis.chains()]
    places = axis.crossings_joined(chains)
    found = []
    for chain in chains:
        free = (axis.degree(chain[0]) == 1, axis.degree(chain[-1]) == 1)
        points = np.vstack([places[chain[0]], axis.points[chain[1:-1]], places[chain[-1]]])
        half = float(np.median(axis.radius[chain]))
        full = np.flatnonzero(axis.radius[chain] >= _FULL * half)
        points = points[full[0] if free[0] else None : full[-1] + 1 if free[1] else None]
        line = _reaching(points, free, half, area)
        if line.length > (_LEAST_LENGTH * 2 * half if any(free) else 0.0):
            found.append(Centreline(line.simplify(max(tolerance, _STRAYS * 2 * half)), 2 * half, free))
    return found


class _Axis:
    """The medial axis of an area as a graph of points; its edges can be removed."""

    def __init__(self, points: DoubleArray, radius: DoubleArray, edges: np.ndarray) -> None:
        self.points = points
        self.radius = radius  # the distance of each point to the outline
        self._near: list[set[int]] = [set() for _ in points]
        for one, other in edges.tolist():
            self._near[one].add(other)
            self._near[other].add(one)

    @classmethod
    def of(cls, area: Polygon, gsd: float) -> _Axis | None:
        """Return the medial axis of an area; None where it has none."""
        smooth = area.simplify(_STEPS_PX * gsd)
        rings = shapely.get_rings(shapely.segmentize(smooth, _POINT_EVERY_PX * gsd))
        sites = np.concatenate([shapely.get_coordinates(ring)[:-1] for ring in rings])
        sites = np.unique(sites, axis=0)
        try:
            diagram = Voronoi(sites - sites.mean(axis=0))
        except QhullError:
            return None
        points = diagram.vertices + sites.mean(axis=0)
        shapely.prepare(smooth)
        inside = shapely.contains_xy(smooth, points)
        edges = np.asarray(diagram.ridge_vertices)
        kept = (edges >= 0).all(axis=1) & inside[edges].all(axis=1)
        if not kept.any():
            return None
        edges, of = edges[kept], diagram.ridge_points[kept][:, 0]
        radius = np.zeros(len(points))
        for side in (0, 1):
            radius[edges[:, side]] = np.linalg.norm(points[edges[:, side]] - sites[of], axis=1)
        return cls(points, radius, edges)

    def degree(self, point: int) -> int:
        """Return how many edges end at a point."""
        return len(self._near[point])

    def prune(self) -> None:
        """Remove the spurs that reach too little beyond the road they leave, the least first."""
        heap = [self._spur(end) for end in range(len(self._near)) if self.degree(end) == 1]
        heapq.heapify(heap)
        while heap:
            reach, end, chain = heapq.heappop(heap)
            junction = chain[-1]
            if self.degree(junction) < 3 or self.degree(end) != 1:
                continue  # what it left is no crossing any more
            if reach >= _SHORT * 2 * self.radius[junction]:
                continue
            for one, other in pairwise(chain):
                self._near[one].discard(other)
                self._near[other].discard(one)
            if self.degree(junction) == 2:  # the rest may be a spur that is longer now
                for start in self._ends_from(junction):
                    heapq.heappush(heap, self._spur(start))

    def chains(self) -> Iterator[list[int]]:
        """Yield the points of the lines between crossings and ends, each once; of a ring from its first point."""
        done: set[tuple[int, int]] = set()
        nodes = [point for point in range(len(self._near)) if self.degree(point) not in (0, 2)]
        for start in [*nodes, *(point for point in range(len(self._near)) if self.degree(point) == 2)]:
            for second in sorted(self._near[start]):
                if (start, second) in done or (self.degree(start) == 2 and (second, start) in done):
                    continue
                chain = self._walk(start, second)
                done |= set(pairwise(chain)) | set(pairwise(chain[::-1]))
                yield chain

    def crossings_joined(self, chains: list[np.ndarray]) -> dict[int, DoubleArray]:
        """Return the place of each end of the chains, near crossings at their middle; takes the short ones between."""
        group = {int(end): int(end) for chain in chains for end in (chain[0], chain[-1])}

        def root(point: int) -> int:
            while group[point] != point:
                point = group[point]
            return point

        for number in range(len(chains) - 1, -1, -1):
            first, last = int(chains[number][0]), int(chains[number][-1])
            length = np.linalg.norm(np.diff(self.points[chains[number]], axis=0), axis=1).sum()
            apart = first != last and min(self.degree(first), self.degree(last)) > 2
            if apart and length < _JOINED * max(self.radius[first], self.radius[last]):
                group[root(first)] = root(last)
                del chains[number]
        members: dict[int, list[int]] = {}
        for point in group:
            members.setdefault(root(point), []).append(point)
        return {point: self.points[members[root(point)]].mean(axis=0) for point in group}

    def _walk(self, start: int, second: int) -> list[int]:
        """Return the points from a start on to the next crossing or end, or round to the start."""
        chain = [start, second]
        while self.degree(chain[-1]) == 2 and chain[-1] != start:
            before, here = chain[-2], chain[-1]
            chain.append(next(point for point in self._near[here] if point != before))
        return chain

    def _spur(self, end: int) -> tuple[float, int, list[int]]:
        """Return how far a spur reaches beyond the disc at its crossing, its end, and its points from there."""
        chain = self._walk(end, next(iter(self._near[end])))
        length = float(np.linalg.norm(np.diff(self.points[chain], axis=0), axis=1).sum())
        return length + self.radius[end] - self.radius[chain[-1]], end, chain

    def _ends_from(self, point: int) -> list[int]:
        """Return the ends that the two ways from a point lead to."""
        ways = [self._walk(point, second)[-1] for second in self._near[point]]
        return [end for end in ways if self.degree(end) == 1]


def _reaching(points: DoubleArray, free: tuple[bool, bool], half: float, area: Polygon) -> LineString:
    """Return a line carried on straight to the outline where it ends, which the axis does before the outline."""
    for end in (0, -1):
        if not free[end] or len(points) < 2:
            continue
        own = points if end == 0 else points[::-1]
        back = np.asarray(LineString(own).interpolate(2 * half).coords[0])
        length = math.dist(own[0], back)
        if length == 0:
            continue
        ray = LineString([own[0], own[0] + (own[0] - back) / length * 2 * half]).intersection(area)
        parts = [part for part in shapely.get_parts(ray) if part.geom_type == "LineString"]
        reach = [part for part in parts if part.distance(shapely.Point(own[0])) < 1e-6 * half]
        if reach:
            own = np.vstack([reach[0].coords[-1], own])
        points = own if end == 0 else own[::-1]
    return LineString(points) if len(points) > 1 else LineString()
