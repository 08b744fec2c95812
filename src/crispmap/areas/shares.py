"""The exact share that polygons cover of each pixel.

Every edge is cut at the sides of pixels. A piece covers part of its own pixel and, to its right, whole pixels of its
row; summed from left to right over all pieces of a polygon, with their direction as sign, that is the covered share.
Only pixels on an outline are computed one by one: those between them are runs that are covered whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine

from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Block
from crispmap.polygons.polygons import Geometries
from crispmap.types import CountArray, DoubleArray

_NOTHING = 1e-10  # what a share differs by from none or all is rounding


@dataclass(frozen=True, eq=False)
class Shares:
    """What regions cover of the pixels of a block; a pixel's number is ``row * width + col`` within it."""

    border_region: CountArray  # (n,) a region by number
    border_pixel: CountArray  # (n,) a pixel on its outline
    border_share: DoubleArray  # (n,) the share of that pixel inside the region, 0..1
    run_region: CountArray  # (m,) a region by number
    run_start: CountArray  # (m,) the first of neighbouring pixels of a row that lie whole inside it
    run_length: CountArray  # (m,) how many

    def layers(self, pixels: int, none: int) -> Iterator[CountArray]:
        """Yield the region that each pixel of the block lies whole inside, ``none`` where there is none.

        One layer holds all, but for regions that overlap: what they share is in a layer each.
        """
        order = np.argsort(self.run_start, kind="stable")
        start, length, region = self.run_start[order], self.run_length[order], self.run_region[order]
        first = True
        while first or len(start):
            first, stop = False, start + length
            free = start >= np.maximum.accumulate(np.append(0, stop))[:-1]  # begins after all before have ended
            begins, ends = start[free], stop[free]
            lengths, labels = np.zeros(2 * len(begins) + 1, np.int64), np.full(2 * len(begins) + 1, none, np.int64)
            lengths[::2], lengths[1::2] = np.append(begins, pixels) - np.append(0, ends), ends - begins
            labels[1::2] = region[free]
            yield np.repeat(labels, lengths)
            start, length, region = start[~free], length[~free], region[~free]


@dataclass(frozen=True, eq=False)
class Edges:
    """The directed edges of outlines in pixel positions (col, row): outer rings turn one way, holes the other."""

    starts: DoubleArray  # (n, 2)
    ends: DoubleArray  # (n, 2)
    region: CountArray  # (n,) the region each belongs to

    @classmethod
    def of(cls, outlines: Geometries, numbers: Sequence[int] | CountArray, transform: Affine) -> Edges:
        """Return the edges of valid polygons and multipolygons.

        Args:
            outlines: (region,) in the CRS of the transform.
            numbers: (region,) the number of each.
            transform: From pixel positions to points of the CRS.
        """
        parts, region = shapely.get_parts(shapely.normalize(outlines), return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        positions = affine_points(~transform, points)
        same = ring[1:] == ring[:-1]
        owner = np.asarray(numbers, np.int64)[region[part[ring[:-1][same]]]]
        return cls(positions[:-1][same], positions[1:][same], owner)


def shares_in(edges: Edges, block: Block) -> Shares:
    """Return what regions cover of the pixels of a block, however far beyond it their outlines go."""
    region, row, col, height, centre = _pieces(edges, block)
    width = block.width + 1  # the column after the last keeps what lies to the right of the block apart
    line = (region * block.height + row) * width
    places = np.concatenate([line + col, line + col + 1])
    values = np.concatenate([height * (1 - centre), height * centre])
    column = np.concatenate([col, col + 1])
    inside = (column >= 0) & (column < block.width)
    place, added = _summed(places[inside], values[inside])
    line, column = np.divmod(place, width)
    if not len(place):
        empty = np.zeros(0, np.int64)
        return Shares(empty, empty, np.zeros(0), empty, empty, empty)
    total = np.cumsum(added)
    first = np.flatnonzero(np.diff(line, prepend=-1))
    before = np.repeat((total - added)[first], np.diff(np.append(first, len(line))))
    share = np.clip(np.abs(total - before), 0.0, 1.0)
    following = np.where(np.append(line[1:] == line[:-1], False), np.append(column[1:], 0), block.width)
    region, row = np.divmod(line, block.height)
    pixel, length = row * block.width + column, following - column - 1
    run = (share > 1 - _NOTHING) & (length > 0)
    # An edge that runs along a row leaves pixels without a piece of an outline that are covered in part.
    border, part = _spread(pixel, pixel + np.where(share > _NOTHING, 1 + np.where(run, 0, length), 0))
    return Shares(region[border], part, share[border], region[run], pixel[run] + 1, length[run])


def _pieces(edges: Edges, block: Block) -> tuple[CountArray, CountArray, CountArray, DoubleArray, DoubleArray]:
    """Return the edges cut at the sides of pixels: region, row, column, signed height, and centre in its pixel.

    The column left of the block stands for all that lies there, likewise the column right of it.
    """
    x0, y0 = (edges.starts - (block.col, block.row)).T
    x1, y1 = (edges.ends - (block.col, block.row)).T
    near = (y0 != y1) & (np.maximum(y0, y1) > 0) & (np.minimum(y0, y1) < block.height)
    near &= np.minimum(x0, x1) < block.width
    x0, y0, x1, y1, region = x0[near], y0[near], x1[near], y1[near], edges.region[near]
    top = np.clip(np.floor(np.minimum(y0, y1)), 0, None).astype(np.int64)
    bottom = np.clip(np.ceil(np.maximum(y0, y1)), None, block.height).astype(np.int64)
    edge, row = _spread(top, bottom)
    slope = ((x1 - x0) / (y1 - y0))[edge]
    ya, yb = (np.clip(one[edge], row, row + 1) for one in (y0, y1))
    xa, xb = (x0[edge] + (one - y0[edge]) * slope for one in (ya, yb))
    left, right = np.minimum(xa, xb), np.maximum(xa, xb)
    first = np.clip(np.floor(left), -1, block.width).astype(np.int64)
    stop = np.maximum(np.clip(np.ceil(right), 0, block.width + 1).astype(np.int64), first + 1)
    part, col = _spread(first, stop)
    low = np.where(col < 0, left[part], np.maximum(left[part], col))
    high = np.where(col < block.width, np.minimum(right[part], col + 1), right[part])
    length = (right - left)[part]
    whole = length <= 0
    share = np.where(whole, 1.0, (high - low) / np.where(whole, 1.0, length))
    centre = np.where(col < 0, 1.0, np.clip((low + high) / 2 - col, 0.0, 1.0))
    return region[edge[part]], row[part], col, (yb - ya)[part] * share, centre


def _spread(first: CountArray, stop: CountArray) -> tuple[CountArray, CountArray]:
    """Return each number of half-open spans, after the index of its span."""
    counts = np.maximum(stop - first, 0)
    index = np.repeat(np.arange(len(first)), counts)
    return index, first[index] + np.arange(len(index)) - (np.cumsum(counts) - counts)[index]


def _summed(places: CountArray, values: DoubleArray) -> tuple[CountArray, DoubleArray]:
    """Return each place once, in order, with the sum of its values."""
    order = np.argsort(places, kind="stable")
    places, values = places[order], values[order]
    first = np.flatnonzero(np.diff(places, prepend=-1))
    return places[first], np.add.reduceat(values, first) if len(first) else values
