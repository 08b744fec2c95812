"""Outlines with fewer corners, so that regions side by side still share their border."""

from __future__ import annotations

import numpy as np
import shapely

from crispmap.export.chains import Indices, spread
from crispmap.export.polygons import assembled, lines_of
from crispmap.export.rings import Rings
from crispmap.types import BoolArray, DoubleArray

_LESSER = (1.0, 0.5, 0.25, 0.0)
"""Shares of the tolerance tried one after the other on a ring that would meet itself or another one."""


def simplified(rings: Rings, tolerance_m: float, gsd_m: tuple[float, float]) -> Rings:
    """Return rings that stray from the given ones by no more than a tolerance, of polygons that are valid.

    A border is taken from one place where three regions meet to the next, and simplified by itself (Douglas and Peucker
    1973), always from the same end. So two regions side by side get the same border, though they are simplified at
    different times and know nothing of each other. A ring that would then meet itself, turn over, vanish or cross
    another ring of its polygon is simplified less, down to not at all: there, and only there, two neighbours can
    disagree about their border, by the tolerance at most.

    Args:
        rings: Traced with nodes, in canonical form.
        tolerance_m: Metres on the ground, above 0.
        gsd_m: Ground sampling distance along columns (x) and rows (y), in metres.
    """
    level = np.zeros(len(rings), np.int64)
    kept = []
    while len(rings):
        fewer = _at(rings, tolerance_m * np.array(_LESSER)[level], gsd_m)
        bad = _broken(fewer) & (level < len(_LESSER) - 1)
        again = np.isin(rings.owner, rings.owner[bad])
        kept.append(fewer.taken(np.flatnonzero(~again)))
        level, rings = (level + bad)[again], rings.taken(np.flatnonzero(again))
    together = Rings.joined(kept)
    return together.taken(np.argsort(together.owner, kind="stable"))


def _at(rings: Rings, tolerance_m: DoubleArray, gsd_m: tuple[float, float]) -> Rings:
    """Return rings, each simplified by a tolerance of its own, whatever becomes of them."""
    rings = _from_nodes(rings)
    ring, place = spread(rings.lengths)
    begins = np.flatnonzero(rings.node | (place == 0))
    after = np.append(np.arange(1, len(ring)), 0)  # the corner that comes next on the ring
    ends = np.cumsum(rings.lengths)
    after[ends - 1] = ends - rings.lengths
    lengths = np.diff(begins, append=len(ring)) + 1
    border, place = spread(lengths)
    index = np.where(place == 0, begins[border], after[begins[border] + place - 1])
    turned = _turned(rings, index, lengths)
    index = _reversed(index, lengths, turned)
    points = np.column_stack([rings.points[index] * np.asarray(gsd_m), index])  # the corner itself goes along as height
    lines = shapely.simplify(
        shapely.linestrings(points, indices=border), tolerance_m[ring[begins]], preserve_topology=False
    )
    points, border = shapely.get_coordinates(lines, include_z=True, return_index=True)
    lengths = np.bincount(border, minlength=len(begins))
    index = _reversed(points[:, 2].astype(np.int64), lengths, turned)
    index = np.delete(index, np.cumsum(lengths) - 1)  # the end of a border is the beginning of the next
    counts = np.bincount(ring[index], minlength=len(rings))
    return Rings(rings.points[index], rings.node[index], counts, rings.owner)


def _from_nodes(rings: Rings) -> Rings:
    """Return the rings begun at a place where others meet, if they have one."""
    ring, place = spread(rings.lengths)
    first = np.zeros(len(rings), np.int64)
    first[ring[rings.node][::-1]] = place[rings.node][::-1]
    return rings.rotated(first)


def _turned(rings: Rings, index: Indices, lengths: Indices) -> BoolArray:
    """Return which borders, given by the corners they run along, a neighbour would start at the same end otherwise."""
    col, row = rings.points[index].astype(np.int64).T
    key = (row << 32) | col
    last = np.cumsum(lengths) - 1
    first = last - lengths + 1
    closed = key[first] == key[last]
    turned: BoolArray = np.where(closed, key[first + 1] > key[last - 1], key[first] > key[last])
    return turned


def _reversed(items: Indices, lengths: Indices, which: BoolArray) -> Indices:
    """Return items that lie run by run, some of the runs turned round."""
    run, place = spread(lengths)
    start = np.cumsum(lengths) - lengths
    turned: Indices = items[start[run] + np.where(which[run], lengths[run] - 1 - place, place)]
    return turned


def _broken(rings: Rings) -> BoolArray:
    """Return which rings are none any more, or do not fit together with the others of their polygon."""
    outer = np.diff(rings.owner, prepend=-1) != 0
    bad: BoolArray = (rings.lengths < 3) | ((rings.doubled_areas() > 0) != outer)
    whole = rings.taken(np.flatnonzero(~bad))
    lines = lines_of(whole.points.astype(np.float64), whole.lengths)
    bad[~bad] = ~shapely.is_valid(shapely.polygons(lines))
    fine = rings.taken(np.flatnonzero(~np.isin(rings.owner, rings.owner[bad])))
    owners, number = np.unique(fine.owner, return_inverse=True)
    invalid = owners[~shapely.is_valid(assembled(fine.points.astype(np.float64), fine.lengths, number))]
    for owner in invalid:
        members = np.flatnonzero(rings.owner == owner)
        bad[members[_meeting(rings.taken(members))]] = True
    return bad


def _meeting(rings: Rings) -> BoolArray:
    """Return which rings of a polygon that is not valid meet another one, or all where none does."""
    lines = lines_of(rings.points.astype(np.float64), rings.lengths)
    one, other = shapely.STRtree(lines).query(lines, predicate="intersects")
    meeting = np.zeros(len(rings), np.bool_)
    meeting[one[one != other]] = True
    return meeting if meeting.any() else ~meeting
