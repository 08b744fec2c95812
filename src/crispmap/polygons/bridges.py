"""Gaps in roads bridged: ends that face each other across a short gap, such as the crown of a tree, are one road."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from scipy.spatial import cKDTree
from shapely import LineString

from crispmap.polygons.centrelines import Centreline
from crispmap.polygons.chains import Indices
from crispmap.polygons.polygons import Geometries
from crispmap.types import DoubleArray

_REACH = 6.0  # widths of the road that a gap has at most
_LEAST_COSINE = np.cos(np.radians(30))  # of the turn at either end


@dataclass(frozen=True)
class _Ends:
    """Both ends of every line: that of line n at its start is number 2n, that at its end 2n + 1."""

    place: DoubleArray  # (ends, 2)
    way: DoubleArray  # (ends, 2) outwards, of length 1
    width: DoubleArray  # (ends,)
    free: Indices  # the ends at which no other line begins


def bridged(lines: Sequence[Centreline]) -> list[tuple[Centreline, list[int]]]:
    """Return lines joined where free ends face each other, and the lines each is made of, from one end to the other.

    Two ends do where the straight line between them is at most six widths of the wider road long and turns by at most
    30 degrees at either end. The nearest are joined first, each once; a line is never joined to itself.
    """
    if not lines:
        return []
    other = _partners(_ends_of(lines), len(lines))
    found = []
    for chain in _chains(other, len(lines)):
        parts = [np.asarray(lines[end // 2].line.coords)[:: -1 if end % 2 else 1] for end in chain]
        members = [end // 2 for end in chain]
        lengths = [lines[one].line.length for one in members]
        width = float(np.average([lines[one].width for one in members], weights=lengths))
        free = (lines[members[0]].free[chain[0] % 2], lines[members[-1]].free[1 - chain[-1] % 2])
        found.append((Centreline(LineString(np.vstack(parts)), width, free), members))
    return found


def _ends_of(lines: Sequence[Centreline]) -> _Ends:
    shapes = np.array([one.line for one in lines], object)
    width = np.array([one.width for one in lines])
    length = shapely.length(shapes)
    back = np.minimum(2 * width, length)
    place = np.stack([_points(shapes, np.zeros(len(lines))), _points(shapes, length)], axis=1).reshape(-1, 2)
    inside = np.stack([_points(shapes, back), _points(shapes, length - back)], axis=1).reshape(-1, 2)
    way = place - inside
    way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), np.finfo(float).tiny)
    free = np.flatnonzero(np.array([one.free for one in lines]).ravel())
    return _Ends(place, way, np.repeat(width, 2), free)


def _partners(ends: _Ends, lines: int) -> Indices:
    """Return the end that each end is joined to, or -1."""
    other = np.full(2 * lines, -1)
    if len(ends.free) < 2:
        return other
    reach = _REACH * float(ends.width[ends.free].max())
    pairs = ends.free[cKDTree(ends.place[ends.free]).query_pairs(reach, output_type="ndarray")]
    gap = ends.place[pairs[:, 1]] - ends.place[pairs[:, 0]]
    length = np.linalg.norm(gap, axis=1)
    straight = np.minimum(
        (ends.way[pairs[:, 0]] * gap).sum(axis=1), -(ends.way[pairs[:, 1]] * gap).sum(axis=1)
    ) >= _LEAST_COSINE * length  # fmt: skip
    near = length <= _REACH * ends.width[pairs].max(axis=1)
    fits = np.flatnonzero(straight & near & (pairs[:, 0] // 2 != pairs[:, 1] // 2))
    group = list(range(lines))  # the line at the head of what each has become part of

    def head(line: int) -> int:
        while group[line] != line:
            line = group[line]
        return line

    for one, two in pairs[fits[np.lexsort((*pairs[fits].T, length[fits]))]].tolist():
        first, second = head(one // 2), head(two // 2)
        if other[one] < 0 and other[two] < 0 and first != second:
            other[one], other[two] = two, one
            group[first] = second
    return other


def _chains(other: Indices, lines: int) -> Iterator[list[int]]:
    """Yield the ends at which the lines of each chain are entered, in order, by the first line of either side."""
    done = np.zeros(lines, np.bool_)
    for start in range(2 * lines):
        if other[start] >= 0 or done[start // 2]:
            continue
        chain = [start]
        while other[chain[-1] ^ 1] >= 0:
            chain.append(int(other[chain[-1] ^ 1]))
        done[[end // 2 for end in chain]] = True
        yield chain


def _points(shapes: Geometries, along: DoubleArray) -> DoubleArray:
    points = np.asarray(shapely.line_interpolate_point(shapes, along), np.object_)
    return np.asarray(shapely.get_coordinates(points))
