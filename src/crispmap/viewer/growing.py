"""Maps that are being made, as layers: their pixels are those of the finished blocks of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.events import FilesUnderWay
from crispmap.files.dataset import GDAL_ERRORS
from crispmap.geo.grid import Block
from crispmap.raster.block_files import block_corner, block_name, file_name
from crispmap.types import IGNORE, BoolArray, CountArray, LabelArray
from crispmap.viewer.found import entries_of
from crispmap.viewer.layers import Layer, class_painter
from crispmap.viewer.pyramid import Pyramid

_LOOK_EVERY_S = 0.5
_WHOLE_PX = 2048  # the longer side of what is kept of a whole map, to be seen from far
_STRIP_PX = 1024


class FinishedBlocks:
    """The finished blocks of files under way, as they lie on the disk; threads may ask at once.

    Attributes:
        found: The (row, column) of each, counted in blocks, in the order in which they were found.
    """

    def __init__(self, files: FilesUnderWay) -> None:
        self.files = files
        self.found: list[tuple[int, int]] = []
        self._known: set[tuple[int, int]] = set()
        self._lock = threading.Lock()
        self._looked = -_LOOK_EVERY_S

    @property
    def shape(self) -> tuple[int, int]:
        """The (rows, columns) of all blocks, finished or not."""
        height, width = self.files.shape
        return -(-height // self.files.block_px), -(-width // self.files.block_px)

    def look(self) -> None:
        """Look for further ones, unless that was done just now."""
        with self._lock:
            if time.monotonic() - self._looked < _LOOK_EVERY_S:
                return
            self._looked = time.monotonic()
            try:
                names = [one.name for one in self.files.folder.iterdir()]
            except OSError:  # gone: the files are there, or the run was discarded
                return
            for corner in sorted(filter(None, map(block_corner, names))):
                place = corner[0] // self.files.block_px, corner[1] // self.files.block_px
                if place not in self._known:
                    self._known.add(place)
                    self.found.append(place)

    def within(self, rows: CountArray, cols: CountArray) -> list[tuple[int, int]]:
        """Return the finished ones in which pixels of these rows and columns lie, which rise."""
        if not rows.size or not cols.size:
            return []
        side = self.files.block_px
        down, across = (range(int(one[0]) // side, int(one[-1]) // side + 1) for one in (rows, cols))
        return [(i, j) for i in down for j in across if (i, j) in self._known]

    def block(self, place: tuple[int, int]) -> Block:
        """Return the pixels of one."""
        side = self.files.block_px
        return Block(place[0] * side, place[1] * side, side, side).intersection(Block(0, 0, *self.files.shape))


class GrowingMap:
    """The class ids of a map in its finished blocks, resampled to the pixels of a view by the nearest."""

    def __init__(self, blocks: FinishedBlocks, number: int, pyramid: Pyramid) -> None:
        self._blocks, self._number = blocks, number
        self._place = (
            ~Affine(*blocks.files.transform) @ pyramid.grid.transform
        )  # pixels of the view to those of the map
        height, width = blocks.files.shape
        self._thinned = 1 << max(0, int(np.ceil(np.log2(max(height, width) / _WHOLE_PX))))
        self._whole = np.full((-(-height // self._thinned), -(-width // self._thinned)), IGNORE, np.uint8)
        self._kept: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        ids = np.full(block.shape, IGNORE, np.uint8)
        down, across, rows, cols = self._pixels(level, block)
        if rows.size and cols.size:
            far = (1 << level) * self._place.a >= self._thinned
            ids[np.ix_(down, across)] = self._from_far(rows, cols) if far else self._from_near(rows, cols)
        return ids[None], ids != IGNORE

    def done_in(self, level: int, block: Block) -> int:
        """Return how many finished blocks lie in a block of a level; see ``Growth``."""
        self._blocks.look()
        _, _, rows, cols = self._pixels(level, block)
        return len(self._blocks.within(rows, cols))

    def close(self) -> None:
        """Nothing is held."""

    def _pixels(self, level: int, block: Block) -> tuple[CountArray, CountArray, CountArray, CountArray]:
        """Return which rows and columns of a block have pixels of the map, and those of the map."""
        step, (height, width) = 1 << level, self._blocks.files.shape
        middles = ((start + np.arange(count) + 0.5) * step for start, count in (
            (block.row, block.height), (block.col, block.width)))  # fmt: skip
        y, x = middles
        rows = np.floor(self._place.e * y + self._place.f).astype(np.int64)
        cols = np.floor(self._place.a * x + self._place.c).astype(np.int64)
        down = np.flatnonzero((rows >= 0) & (rows < height))
        across = np.flatnonzero((cols >= 0) & (cols < width))
        return down, across, rows[down], cols[across]

    def _from_near(self, rows: CountArray, cols: CountArray) -> LabelArray:
        ids = np.full((len(rows), len(cols)), IGNORE, np.uint8)
        for place in self._blocks.within(rows, cols):
            one = self._blocks.block(place)
            down = np.flatnonzero((rows >= one.row) & (rows < one.row_stop))
            across = np.flatnonzero((cols >= one.col) & (cols < one.col_stop))
            if not down.size or not across.size:
                continue
            top, left = int(rows[down[0]]), int(cols[across[0]])
            part = Block(top, left, int(rows[down[-1]]) + 1 - top, int(cols[across[-1]]) + 1 - left)
            found = self._stored(place, part)
            if found is not None:
                ids[np.ix_(down, across)] = found[np.ix_(rows[down] - top, cols[across] - left)]
        return ids

    def _from_far(self, rows: CountArray, cols: CountArray) -> LabelArray:
        """Return pixels of the whole map, thinned; each block is read for it once."""
        with self._lock:
            for place in self._blocks.within(rows, cols):
                if place not in self._kept:
                    self._keep(place)
                    self._kept.add(place)
            return self._whole[np.ix_(rows // self._thinned, cols // self._thinned)]

    def _keep(self, place: tuple[int, int]) -> None:
        one, step = self._blocks.block(place), self._thinned
        for row in range(one.row, one.row_stop, _STRIP_PX):
            strip = Block(row, one.col, min(_STRIP_PX, one.row_stop - row), one.width)
            found = self._stored(place, strip)
            down, across = (_thinned(strip.row, strip.height, step), _thinned(strip.col, strip.width, step))
            if found is not None and down.size and across.size:
                middles = np.ix_(down * step + step // 2 - strip.row, across * step + step // 2 - strip.col)
                self._whole[np.ix_(down, across)] = found[middles]

    def _stored(self, place: tuple[int, int], part: Block) -> LabelArray | None:
        """Return a part of a finished block; None where it has no valid pixel, or is gone."""
        one = self._blocks.block(place)
        path = self._blocks.files.folder / block_name(one) / file_name(self._number)
        if not path.exists():
            return None
        try:
            with rasterio.open(path) as dataset:
                read = dataset.read(1, window=Window(part.col - one.col, part.row - one.row, part.width, part.height))
        except GDAL_ERRORS:  # removed this moment: the file is there
            return None
        ids: LabelArray = read
        return ids


def _thinned(start: int, count: int, step: int) -> CountArray:
    """Return the pixels of a thinned raster whose middles lie in some of the whole one."""
    first = -(-(start - step // 2) // step)
    last = -(-(start + count - step // 2) // step)
    return np.arange(max(0, first), last, dtype=np.int64)


class GrowingMaps:
    """The maps among files under way, as layers."""

    def __init__(self, files: FilesUnderWay) -> None:
        self.blocks = FinishedBlocks(files)
        self.blocks.look()

    @property
    def files(self) -> list[Path]:
        """The class maps."""
        under_way = self.blocks.files
        return [path for path, classes in zip(under_way.files, under_way.classes, strict=True) if classes is not None]

    def layer(self, path: Path, name: str, pyramid: Pyramid, new_id: Callable[[], str]) -> Layer | None:
        """Return a map as a layer; None where it is not under way."""
        wanted = path.absolute()
        for number, (one, classes) in enumerate(zip(self.blocks.files.files, self.blocks.files.classes, strict=True)):
            if one == wanted and classes is not None:
                entries = entries_of(ClassSchema.from_json(classes))
                source = GrowingMap(self.blocks, number, pyramid)
                painter = class_painter({entry.value: entry.colour for entry in entries})
                return Layer(new_id(), name, "classes", source, painter, classes=entries, growth=source)
        return None
