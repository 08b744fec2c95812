"""Labels and scenes that are computed as they are read, as sources of pixels."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Block, Grid
from crispmap.labels.reader import LabelReader
from crispmap.raster.scene import Scene
from crispmap.types import IGNORE, BoolArray
from crispmap.viewer.pyramid import Pyramid

_PART_PX = 1024


class LabelPixels:
    """The class ids of labels: each level is drawn on a grid of its own, so that far out is as fast as near."""

    def __init__(self, opened: Callable[[Grid], LabelReader], pyramid: Pyramid) -> None:
        self._opened, self._pyramid = opened, pyramid
        self._lock = threading.RLock()  # vectors are drawn by one thread at a time
        self._readers: dict[int, LabelReader] = {}

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        with self._lock:
            if level not in self._readers:
                grid = self._pyramid.grid
                self._readers[level] = self._opened(grid if level == 0 else self._pyramid.grid_of(level))
            ids = self._readers[level].read(block)
        return ids[None], ids != IGNORE

    def close(self) -> None:
        """Release the files."""
        with self._lock:
            for one in self._readers.values():
                one.close()


class ScenePixels:
    """The pixels of a scene that is made of several files: every 2^k-th of them on level k."""

    def __init__(self, scene: Scene, pyramid: Pyramid, bands: tuple[int, ...]) -> None:
        self._scene, self._pyramid, self._bands = scene, pyramid, bands
        self._lock = threading.Lock()

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        step = 1 << level
        values = np.zeros((len(self._bands), *block.shape), np.float32)
        valid = np.zeros(block.shape, np.bool_)
        chosen = [number - 1 for number in self._bands]
        with self._lock:
            for part in Block(0, 0, *block.shape).pieces(max(1, _PART_PX // step)):
                wanted = Block((block.row + part.row) * step, (block.col + part.col) * step,
                               part.height * step, part.width * step).intersection(self._scene.grid.block)  # fmt: skip
                image, known = self._scene.read(wanted)
                values[(slice(None), *part.slices)] = image[chosen, ::step, ::step]
                valid[part.slices] = known[::step, ::step]
        return values, valid

    def close(self) -> None:
        """Release the files."""
        self._scene.close()
