"""Areas of the classes of maps, in all and within regions; pixels on a border count by their share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from pyproj import CRS

from crispmap.areas.maps import MapFile, Overlap, Strip, strips_of_maps
from crispmap.areas.placed import regions_on
from crispmap.areas.regions import Regions
from crispmap.areas.shares import Edges, Shares, shares_in
from crispmap.classes import ClassSchema
from crispmap.events import SILENT, Events, progress
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.crs import transformer
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Block, Grid
from crispmap.types import CountArray, DoubleArray

OUTSIDE = -1
"""The id of a place that no map covers."""


@dataclass(eq=False)
class Sums:
    """Areas in square metres."""

    mapped: DoubleArray  # (class + 1,) of all pixels; the last of those without a class
    regions: DoubleArray  # (region, class + 1) within regions, likewise


class Places:
    """Places at which the class of the maps is looked up as they are read.

    Attributes:
        ids: (n,) class ids; the number of classes where a map has no class there, OUTSIDE where there is no map.
    """

    def __init__(self, points: DoubleArray, crs: CRS | None) -> None:
        self._points, self._crs = points, crs
        self.ids: CountArray = np.full(len(points), OUTSIDE, np.int64)

    def on(self, grid: Grid) -> CountArray:
        """Return the pixels (n, 2) of a grid they lie in, as (row, col); also beyond the grid."""
        points = self._points
        if self._crs is not None and grid.crs is not None and self._crs != grid.crs:
            points = np.stack(transformer(self._crs, grid.crs).transform(*points.T), axis=1)
        with np.errstate(invalid="ignore"):
            positions = np.floor(affine_points(~grid.transform, points))
        return np.nan_to_num(positions[:, ::-1], nan=-1, posinf=-1, neginf=-1).clip(-1, 1 << 40).astype(np.int64)

    def look_up(self, pixels: CountArray, strip: Strip) -> None:
        """Take the class of those that lie in a strip, but for those another map has given one."""
        row, col = (pixels - (strip.block.row, strip.block.col)).T
        here = (row >= 0) & (row < strip.block.height) & (col >= 0) & (col < strip.block.width)
        here &= (self.ids == OUTSIDE) | (self.ids == strip.none)
        self.ids[here] = strip.ids[row[here], col[here]]


def summed(
    paths: Sequence[Path], schema: ClassSchema, regions: Regions | None = None, *, overlap: Overlap = "error",
    places: Places | None = None, events: Events = SILENT,
) -> Sums:  # fmt: skip
    """Return the areas that the maps of one date hold, in all and within regions.

    Raises:
        AreaError: If two maps show the same ground and ``overlap`` is "error", a map holds an id of no class, or only
            one of map and regions has a CRS.
        SceneError: If a map cannot be read.
    """
    size = len(schema) + 1
    sums = Sums(np.zeros(size), np.zeros((0 if regions is None else len(regions.names), size)))
    maps = [MapFile.of(path) for path in paths]
    with few_blocks_kept(), progress(events, "areas", sum(math.prod(one.grid.shape) for one in maps)) as running:
        for index, strips in groupby(strips_of_maps(maps, schema, overlap), key=lambda pair: pair[0]):
            zones = None if regions is None else _Zones(regions, maps[index].grid)
            pixels = None if places is None else places.on(maps[index].grid)
            for _, strip in strips:
                _add(sums, strip, None if zones is None else zones.within(strip.block))
                if places is not None and pixels is not None:
                    places.look_up(pixels, strip)
                running.advance(strip.ids.size)
    return sums


def _add(sums: Sums, strip: Strip, shares: Shares | None) -> None:
    """Add a strip to the sums."""
    ids, area, size = strip.ids.ravel(), strip.area_m2.ravel(), len(sums.mapped)
    if shares is None:
        sums.mapped += np.bincount(ids, area, minlength=size)
        return
    regions = len(sums.regions)
    border = shares.border_pixel
    places, weights = shares.border_region * size + ids[border], shares.border_share * area[border]
    sums.regions += np.bincount(places, weights, minlength=regions * size).reshape(-1, size)
    for number, layer in enumerate(shares.layers(len(ids), regions)):
        layer *= size  # noqa: PLW2901 - it is long, and ours
        layer += ids  # noqa: PLW2901
        inside = np.bincount(layer, area, minlength=(regions + 1) * size).reshape(-1, size)
        sums.regions += inside[:-1]
        if number == 0:  # it has every pixel once, also those of no region
            sums.mapped += inside.sum(axis=0)


class _Zones:
    """The regions near a map, on its pixels."""

    def __init__(self, regions: Regions, grid: Grid) -> None:
        self._numbers, self._outlines = regions_on(regions, grid)
        bounds = shapely.bounds(self._outlines).reshape(-1, 4)
        self._top, self._bottom = bounds[:, 1], bounds[:, 3]

    def within(self, block: Block) -> Shares | None:
        """Return what they cover of a block; None where none is near."""
        near = (self._top < block.row_stop) & (self._bottom > block.row)
        if not near.any():
            return None
        return shares_in(Edges.of(self._outlines[near], self._numbers[near], Affine.identity()), block)
