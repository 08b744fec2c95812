"""Units of a stratified random sample, drawn on class maps of any size.

The strata are the classes of the maps, the units their pixels. In a stratum every square metre is as likely as any
other, also where pixels differ in size, as those in degrees do. What is drawn follows from maps and seed alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS

from crispmap.areas.design import Allocation, allocated, sample_size
from crispmap.areas.maps import MapFile, Overlap, Strip, schema_of_maps, strips_of_maps
from crispmap.classes import ClassSchema
from crispmap.errors import AreaError
from crispmap.events import SILENT, Events, Progress, progress
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.crs import transformer
from crispmap.geo.draw import affine_points
from crispmap.geo.grid import Grid
from crispmap.polygons.polygons import Geometries
from crispmap.types import CountArray, DoubleArray

LEAST = 50
"""Units of each stratum at least, as Olofsson et al. (2014) advise for rare classes."""
EXPECTED = 0.8
"""The user's accuracy that is expected of classes of which nothing is known."""

_SPARE, _SPARE_UNITS = 1.2, 20


@dataclass(frozen=True)
class SampleRules:
    """How large a sample is, and how it is shared out.

    Raises:
        AreaError: If neither or both of ``size`` and ``standard_error`` are given.
    """

    size: int | None = None  # units in all
    standard_error: float | None = None  # that overall accuracy is to have, as a share; then the size follows
    allocation: Allocation = "proportional"
    least: int = LEAST  # units of each stratum at least
    expected: float = EXPECTED  # user's accuracy expected of every class, for the size and the optimal allocation
    expected_of: tuple[tuple[str, float], ...] = ()  # and of classes by name
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.size is None) == (self.standard_error is None):
            raise AreaError(
                "A sample needs a size or the standard error to reach, and not both.",
                expected="one of them", remedy="Give for example standard_error=0.01",
            )  # fmt: skip

    def accuracies(self, schema: ClassSchema) -> DoubleArray:
        """Return the user's accuracy expected of each class."""
        found = np.full(len(schema), self.expected)
        for name, value in self.expected_of:
            found[schema.id_of(name)] = value
        return found


@dataclass(frozen=True, eq=False)
class DrawnSample:
    """Places to label."""

    grids: tuple[Grid, ...]  # of the maps
    schema: ClassSchema
    stratum: CountArray  # (n,) class of the map
    part: CountArray  # (n,) which of the maps
    rows: CountArray  # (n,) of the pixels in it
    cols: CountArray  # (n,)
    units: CountArray  # (class,) pixels in all
    area_m2: DoubleArray  # (class,) on the ground

    @property
    def crs(self) -> CRS | None:
        """The CRS of places: that of the first map."""
        return self.grids[0].crs

    def by_stratum(self) -> list[dict[str, Any]]:
        """Return name, places, pixels and area of every stratum as plain values."""
        places = np.bincount(self.stratum, minlength=len(self.schema))
        columns = (self.schema.names, places.tolist(), self.units.tolist(), self.area_m2.tolist())
        return [
            dict(zip(("name", "points", "units", "area_m2"), row, strict=True)) for row in zip(*columns, strict=True)
        ]

    def outlines(self, *, squares: bool) -> Geometries:
        """Return the centre of each pixel or, as squares, its outline, in the CRS of the first map."""
        corners = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0)) if squares else ((0.5, 0.5),)
        points = np.zeros((len(self.rows), len(corners), 2))
        for part, grid in enumerate(self.grids):
            own = self.part == part
            for corner, (down, right) in enumerate(corners):
                positions = np.column_stack([self.cols[own] + right, self.rows[own] + down])
                places = affine_points(grid.transform, positions)
                if grid.crs != self.crs:
                    places = np.stack(transformer(grid.crs, self.crs).transform(*places.T), axis=1)
                points[own, corner] = places
        return np.asarray(shapely.polygons(points) if squares else shapely.points(points[:, 0]), np.object_)


def draw_sample(
    paths: Sequence[str | Path], rules: SampleRules, *, schema: ClassSchema | None = None, overlap: Overlap = "error",
    events: Events = SILENT,
) -> DrawnSample:  # fmt: skip
    """Return a stratified random sample of the pixels of maps of one date, in random order.

    Args:
        paths: Class maps, parts of one.
        schema: The classes, in place of those the maps carry.
        overlap: Ground that two maps show: refused, or of the first or last map.

    Raises:
        AreaError: If no map has a class, two show the same ground, or a rule is out of range.
        SchemaError: If the classes are not known, or differ.
        SceneError: If a map cannot be read.
    """
    maps = [MapFile.of(Path(path)) for path in paths]
    schema = schema_of_maps([one.path for one in maps], schema)
    pixels = sum(math.prod(one.grid.shape) for one in maps)
    with few_blocks_kept(), progress(events, "sample", 2 * pixels) as running:
        strata = _Strata(lambda: strips_of_maps(maps, schema, overlap), len(schema), running)
        expected = rules.accuracies(schema)
        size = rules.size or sample_size(strata.area_m2, expected, rules.standard_error or 0.0)
        wanted = allocated(
            size, strata.area_m2, strata.units, by=rules.allocation, least=rules.least, expected=expected
        )
        drawn = strata.drawn(wanted, rules.seed)
    order = np.random.default_rng((rules.seed, len(schema))).permutation(len(drawn))
    stratum, part, rows, cols = drawn[order].T
    return DrawnSample(tuple(one.grid for one in maps), schema, stratum, part, rows, cols, strata.units, strata.area_m2)


class _Strata:
    """The classes of maps with their pixels counted: a pixel of a class is found by its rank, map by map, row by row.

    Args:
        strips: Gives the strips of all maps, each after the number of its map, as often as it is called.
    """

    def __init__(self, strips: Callable[[], Iterator[tuple[int, Strip]]], classes: int, running: Progress) -> None:
        self._strips, self._running = strips, running
        self.area_m2: DoubleArray = np.zeros(classes)
        self._largest_m2, counts = 0.0, []
        for _, strip in strips():
            ids, area = strip.ids.ravel(), strip.area_m2.ravel()
            counts.append(np.bincount(ids, minlength=classes + 1)[:classes])
            self.area_m2 += np.bincount(ids, area, minlength=classes + 1)[:classes]
            self._largest_m2 = max(self._largest_m2, float(area.max()))
            running.advance(ids.size)
        self._before = np.cumsum([np.zeros(classes, np.int64), *counts], axis=0)
        self.units: CountArray = self._before[-1]

    def drawn(self, wanted: CountArray, seed: int) -> CountArray:
        """Return as many different pixels of each class as are wanted: (class, map, row, col).

        Pixels are taken in random order, each with a chance by its area; a second look at the map is only needed where
        these differ much.
        """
        share = self.area_m2 / np.maximum(self.units, 1) / self._largest_m2
        tried = np.ceil(_SPARE * wanted / np.maximum(share, 1e-6)).astype(np.int64) + _SPARE_UNITS
        found: dict[int, CountArray] = {}
        while missing := [int(one) for one in np.flatnonzero(wanted) if int(one) not in found]:
            tried = np.minimum(tried, self.units)
            streams = {one: np.random.default_rng((seed, one)) for one in missing}
            ranks = {one: streams[one].choice(self.units[one], tried[one], replace=False) for one in missing}
            for one, (pixels, area) in self._located(ranks).items():
                taken = streams[one].random(len(area)) * self._largest_m2 < area
                if taken.sum() >= wanted[one] or tried[one] == self.units[one]:
                    first = np.argsort(~taken, kind="stable")[: wanted[one]]  # where there are no more, others follow
                    found[one] = np.column_stack([np.full(len(first), one), pixels[first]])
            tried = 4 * tried
        return np.concatenate([found[one] for one in sorted(found)])

    def _located(self, ranks: dict[int, CountArray]) -> dict[int, tuple[CountArray, DoubleArray]]:
        """Return map, row and column (n, 3), and area (n,) of pixels of classes in the order of their ranks."""
        pixels = {one: np.zeros((len(rank), 3), np.int64) for one, rank in ranks.items()}
        areas = {one: np.zeros(len(rank)) for one, rank in ranks.items()}
        for index, (part, strip) in enumerate(self._strips()):
            for one, rank in ranks.items():
                first, stop = self._before[index : index + 2, one]
                here = np.flatnonzero((rank >= first) & (rank < stop))
                if len(here):
                    rows, cols = np.divmod(np.flatnonzero(strip.ids == one)[rank[here] - first], strip.block.width)
                    pixels[one][here] = np.column_stack([np.full(len(here), part), rows + strip.block.row, cols])
                    areas[one][here] = strip.area_m2[rows, cols]
            self._running.advance(strip.ids.size)
        return {one: (pixels[one], areas[one]) for one in ranks}
