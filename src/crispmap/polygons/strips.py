"""The class map that polygons are made of, strip by strip: as it is, or with small regions joined to others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from crispmap.events import Progress
from crispmap.geo.grid import Block
from crispmap.polygons.beside import Beside
from crispmap.polygons.chains import Indices
from crispmap.polygons.class_raster import ClassRaster
from crispmap.polygons.corners import NOTHING, Values
from crispmap.polygons.joining import Regions, RegionTable, joined, parts_of
from crispmap.polygons.rules import Numbers
from crispmap.types import DoubleArray


class Strips:
    """The wanted classes of a map, strip by strip from the top; with what is known of its regions.

    Args:
        ids: The classes wanted; None for all.
        background: With all, whether id 0 is wanted too.
        rows: Rows of a strip; by default as many as suit the map.
    """

    def __init__(
        self, raster: ClassRaster, ids: Sequence[int] | None, *, background: bool, rows: int | None = None
    ) -> None:
        self._raster = raster
        self._ids = ids
        self._background = background
        self._rows = rows
        self._regions: Regions | None = None
        self._of: Indices = np.zeros(0, np.int64)  # the region of each part of a strip
        self._joins = False

    def survey(self, numbers: Numbers, confidence: Beside | None, running: Progress) -> None:
        """Read the map once: join small regions as the numbers say, and keep the mean confidence of each region.

        Raises:
            SceneError: If a file cannot be read.
        """
        table = RegionTable(self._raster.grid.gsd_m())
        self._joins = numbers.cleans
        row = 0
        for values in self._source():
            block = Block(row, 0, *values.shape)
            known = None if confidence is None else confidence.confidence(block)
            table.push(values, self._raster.grid.pixel_areas_m2(block), known)
            row += len(values)
            running.advance(values.size)
        regions, of = table.finish()
        wanted = self._wanted(regions.value) if self._joins else None
        joins, step = joined(regions, numbers.sieve_m2, numbers.fill_holes_m2, wanted)
        self._regions, self._of = joins, step[of]

    def __iter__(self) -> Iterator[Values]:
        """Yield strips, int32 (row, col), NOTHING where no wanted class is.

        Raises:
            SceneError: If the file cannot be read, or holds values that are not ids.
        """
        done = 0
        for values in self._source():
            if self._joins and self._regions is not None:
                number, starts = parts_of(values)
                found = self._regions.value[self._of[done : done + len(starts)]]
                found[~np.isin(found, self._wanted(found))] = NOTHING
                done += len(starts)
                yield found[number]
            else:
                yield values

    def confidence(self, first: Indices) -> DoubleArray:
        """Return the mean confidence of regions (n,), given by their first pixels; NaN where none is known."""
        if self._regions is None:
            return np.full(len(first), np.nan)
        order = np.argsort(self._regions.first)
        _, sums, counts = self._regions.sums[order[np.searchsorted(self._regions.first, first, sorter=order)]].T
        return np.asarray(np.divide(sums, counts, out=np.full(len(first), np.nan), where=counts > 0))

    def _source(self) -> Iterator[Values]:
        """Yield the strips of the file: of all classes where small regions join others."""
        if self._joins:
            return self._raster.strips(None, background=True, rows=self._rows)
        return self._raster.strips(self._ids, background=self._background, rows=self._rows)

    def _wanted(self, values: Values) -> list[int]:
        """Return which of some classes are wanted."""
        if self._ids is not None:
            return list(self._ids)
        return [one for one in np.unique(values).tolist() if one != NOTHING and (one != 0 or self._background)]
