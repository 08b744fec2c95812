"""Blocks of a file, decoded once for the tiles that lie in them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from crispmap.geo.grid import Block
from crispmap.types import BoolArray
from crispmap.viewer.handles import stamp_of
from crispmap.viewer.pyramid import TILE_PX, Pyramid
from crispmap.viewer.sources import PixelSource

_KEPT_PX = 24 * 2**20 // 4  # of all blocks of a file together


@dataclass
class _Decoded:
    """A block, once it is decoded; who comes meanwhile waits."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    pixels: tuple[NDArray[Any], BoolArray] | None = None


class SharedBlocks:
    """A source whose file has blocks larger than tiles: browsers ask for neighbours at once, of one block each.

    GDAL keeps blocks by handle, and threads have handles of their own: each would decode the same block.
    """

    def __init__(self, source: PixelSource, path: Path, pyramid: Pyramid, side_px: int) -> None:
        self._source, self._path, self._pyramid, self._side = source, path, pyramid, side_px
        self._most = max(4, _KEPT_PX // side_px**2)
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[object, ...], _Decoded] = OrderedDict()

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        side = self._side
        top, left = block.row // side * side, block.col // side * side
        within = block.row_stop <= top + side and block.col_stop <= left + side
        if not within or max(block.shape) > TILE_PX or block.shape == (1, 1):
            return self._source.read(level, block)
        whole = Block(top, left, side, side).intersection(Block(0, 0, *self._pyramid.shape(level)))
        one = self._of((stamp_of(self._path), level, top, left))
        with one.lock:
            if one.pixels is None:
                one.pixels = self._source.read(level, whole)
            values, valid = one.pixels
        rows, cols = block.relative_to(whole).slices
        return values[:, rows, cols], valid[rows, cols]

    def _of(self, key: tuple[object, ...]) -> _Decoded:
        with self._lock:
            one = self._kept.setdefault(key, _Decoded())
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return one

    def close(self) -> None:
        """Release the files."""
        self._source.close()
