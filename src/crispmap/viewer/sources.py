"""Where the pixels of layers come from: anything that delivers a block of any level of a view."""

from __future__ import annotations

import threading
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Block
from crispmap.types import BoolArray
from crispmap.viewer.pyramid import Pyramid

_WHOLE_PX = 2048


class PixelSource(Protocol):
    """Pixels on the levels of a view."""

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values (band, row, col) and valid pixels (row, col) of a block of a level.

        Raises:
            SceneError: If they cannot be read, or the file is gone.
        """

    def close(self) -> None:
        """Release the files."""


class WithoutOverviews:
    """A source that has no overviews: far out it is read as a whole, once, and thinned from then on.

    Without it every tile of the far levels would read the pixels of the whole raster.
    """

    def __init__(self, source: PixelSource, pyramid: Pyramid) -> None:
        self._source, self._pyramid = source, pyramid
        far = [level for level in range(pyramid.levels) if max(pyramid.shape(level)) <= _WHOLE_PX]
        self._level = far[0] if far else pyramid.levels
        self._lock = threading.Lock()
        self._whole: tuple[NDArray[Any], BoolArray] | None = None

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        if level < self._level:
            return self._source.read(level, block)
        with self._lock:
            if self._whole is None:
                self._whole = self._source.read(self._level, Block(0, 0, *self._pyramid.shape(self._level)))
        values, valid = self._whole
        step = 1 << (level - self._level)
        rows = slice(block.row * step, block.row_stop * step, step)
        cols = slice(block.col * step, block.col_stop * step, step)
        return np.ascontiguousarray(values[:, rows, cols]), np.ascontiguousarray(valid[rows, cols])

    def close(self) -> None:
        """Release the files."""
        self._source.close()
