"""Simplified outlines; neighbouring regions still share their border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from crispmap.polygons.chains import Indices, spread
from crispmap.polygons.polygons import Geometries, assembled, lines_of
from crispmap.polygons.rings import Rings
from crispmap.types import BoolArray, DoubleArray

_LESSER = np.append(0.5 ** np.arange(9), 0.0)
"""Shares of the tolerance tried in turn on a border that would intersect another one."""

LEAST_CLEARANCE_PX = 0.05  # how far corners may move before a polygon is invalid: files round, and other CRSs bend
_STRAYS_AS_DOUGLAS = 1.6  # the side of a square whose area is about that of what Douglas and Peucker would take
_FINEST = 0.5  # smaller sides, in pixels, take nothing from outlines along pixels


def simplified(rings: Rings, tolerance_m: float, gsd_m: tuple[float, float]) -> Rings:
    """Return rings, of polygons valid in any coordinates, that deviate from the given ones by at most a tolerance.

    A border between two places where three regions meet is simplified by itself (Douglas and Peucker 1973), always from
    the same end. So neighbours get the same border, though they are simplified independently at different times. Where
    a polygon would intersect or nearly touch itself, turn over or vanish, the borders involved are simplified less, or
    not at all: only there can two neighbours disagree about their border, by the tolerance at most.

    Args:
        rings: Traced with nodes, in canonical form.
        tolerance_m: Above 0.
        gsd_m: Ground sampling distance along columns (x) and rows (y).
    """
    borders = _Borders.of(rings)
    level = np.zeros(len(borders), np.int64)
    kept = []
    while len(borders):
        fewer, lines = borders.at(tolerance_m * _LESSER[level], gsd_m)
        bad = _oversimplified(borders, fewer, lines, level < len(_LESSER) - 1)
        again = np.unique(borders.owner[bad])
        kept.append(fewer.taken(np.flatnonzero(~np.isin(fewer.owner, again))))
        level = (level + bad)[np.isin(borders.owner, again)]
        borders = _Borders.of(borders.rings.taken(np.flatnonzero(np.isin(borders.rings.owner, again))))
    together = Rings.joined(kept)
    return together.taken(np.argsort(together.owner, kind="stable"))


def simplified_together(polygons: Geometries, tolerance: float, gsd: float) -> Geometries:
    """Return all polygons of a map with fewer corners; neighbours still share every border, and all are valid.

    Corners go one by one, the one with the smallest triangle first (Visvalingam and Whyatt 1993), while no polygon
    breaks. Where one would nearly touch itself, less is taken from all.

    Args:
        polygons: Traced with nodes, along the sides of pixels; none overlaps another.
        tolerance: Corners stay whose triangles are larger than that of a border that strays about so far.
        gsd: Side of a pixel.
    """
    side = _STRAYS_AS_DOUGLAS * tolerance
    while side > _FINEST * gsd:
        found = np.asarray(shapely.coverage_simplify(polygons, side), np.object_)
        if shapely.is_valid(found).all() and (shapely.minimum_clearance(found) >= LEAST_CLEARANCE_PX * gsd).all():
            return found
        side /= 2
    return polygons


@dataclass(frozen=True)
class _Borders:
    """Rings as sequences of borders."""

    rings: Rings  # started at a place where others meet if they have one
    # the corners every border runs along, both ends included, from the end a neighbour would start at too
    index: Indices
    lengths: Indices  # (borders,) how many those are
    ring: Indices  # (borders,) the ring each is of
    turned: BoolArray  # (borders,) whether it is given against the way of the ring

    @classmethod
    def of(cls, rings: Rings) -> _Borders:
        """Return the borders of rings."""
        rings = _from_nodes(rings)
        ring, place = spread(rings.lengths)
        begins = np.flatnonzero(rings.node | (place == 0))
        after = np.append(np.arange(1, len(ring)), 0)[: len(ring)]  # the corner that comes next on the ring
        ends = np.cumsum(rings.lengths)
        after[ends - 1] = ends - rings.lengths
        lengths = np.diff(begins, append=len(ring)) + 1
        border, place = spread(lengths)
        index = np.where(place == 0, begins[border], after[begins[border] + place - 1])
        turned = _turned(rings, index, lengths)
        return cls(rings, _reversed(index, lengths, turned), lengths, ring[begins], turned)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def owner(self) -> Indices:
        """(borders,) the polygon each is of."""
        return self.rings.owner[self.ring]

    def at(self, tolerance_m: DoubleArray, gsd_m: tuple[float, float]) -> tuple[Rings, Geometries]:
        """Return the rings with each border simplified, even if they become invalid, and the borders as lines."""
        corners = self.rings.points[self.index]
        points = np.column_stack([corners * np.asarray(gsd_m), self.index])  # the corner's index travels as height
        lines = shapely.linestrings(points, indices=spread(self.lengths)[0])
        lines = shapely.simplify(lines, tolerance_m, preserve_topology=False)
        points, border = shapely.get_coordinates(lines, include_z=True, return_index=True)
        lengths = np.bincount(border, minlength=len(self))
        index = _reversed(points[:, 2].astype(np.int64), lengths, self.turned)
        index = np.delete(index, np.cumsum(lengths) - 1)  # the end of a border is the start of the next
        counts = np.bincount(self.ring, weights=lengths - 1, minlength=len(self.rings)).astype(np.int64)
        rings = Rings(self.rings.points[index], self.rings.node[index], counts, self.rings.owner)
        return rings, np.asarray(lines, np.object_)


def _oversimplified(borders: _Borders, rings: Rings, lines: Geometries, can: BoolArray) -> BoolArray:
    """Return which borders (of those that can be) must be simplified less, from the simplified rings and lines."""
    broken = _broken(rings)
    whole = rings.taken(np.flatnonzero(~np.isin(rings.owner, rings.owner[broken])))
    owners, number = np.unique(whole.owner, return_inverse=True)
    polygons = assembled(whole.points.astype(np.float64), whole.lengths, number)
    invalid = owners[~shapely.is_valid(polygons) | (shapely.minimum_clearance(polygons) < LEAST_CLEARANCE_PX)]
    suspect = np.flatnonzero(np.isin(borders.owner, np.append(invalid, rings.owner[broken])))
    bad = np.zeros(len(borders), np.bool_)
    bad[suspect[_meeting(lines[suspect], borders.owner[suspect])]] = True
    bad &= can
    spared = broken & ~np.isin(np.arange(len(rings)), borders.ring[bad])
    bad |= spared[borders.ring] & can
    spared_owner = np.setdiff1d(borders.owner[suspect], borders.owner[bad])
    return bad | (np.isin(borders.owner, spared_owner) & can)


def _broken(rings: Rings) -> BoolArray:
    """Return which rings have vanished, turned over or intersect themselves."""
    outer = np.diff(rings.owner, prepend=-1) != 0
    broken: BoolArray = (rings.lengths < 3) | ((rings.doubled_areas() > 0) != outer)
    whole = rings.taken(np.flatnonzero(~broken))
    lines = lines_of(whole.points.astype(np.float64), whole.lengths)
    broken[~broken] = ~shapely.is_valid(shapely.polygons(lines))
    return broken


def _meeting(lines: Geometries, owner: Indices) -> BoolArray:
    """Return which borders intersect themselves or another one of their polygon, except at their ends."""
    meeting = np.asarray(~shapely.is_simple(lines), np.bool_)
    one, other = shapely.STRtree(lines).query(lines, predicate="intersects")
    near = (one < other) & (owner[one] == owner[other])
    one, other = one[near], other[near]
    inside = ~shapely.touches(lines[one], lines[other])
    meeting[one[inside]] = True
    meeting[other[inside]] = True
    return meeting


def _from_nodes(rings: Rings) -> Rings:
    """Return the rings started at a place where others meet, if they have one."""
    ring, place = spread(rings.lengths)
    first = np.zeros(len(rings), np.int64)
    first[ring[rings.node][::-1]] = place[rings.node][::-1]
    return rings.rotated(first)


def _turned(rings: Rings, index: Indices, lengths: Indices) -> BoolArray:
    """Return which borders, given by their corners, must be reversed to start at the same end as the neighbour's."""
    col, row = rings.points[index].astype(np.int64).T
    key = (row << 32) | col
    last = np.cumsum(lengths) - 1
    first = last - lengths + 1
    closed = key[first] == key[last]
    turned: BoolArray = np.where(closed, key[first + 1] > key[last - 1], key[first] > key[last])
    return turned


def _reversed(items: Indices, lengths: Indices, which: BoolArray) -> Indices:
    """Return items stored run by run, some of the runs reversed."""
    run, place = spread(lengths)
    start = np.cumsum(lengths) - lengths
    turned: Indices = items[start[run] + np.where(which[run], lengths[run] - 1 - place, place)]
    return turned
