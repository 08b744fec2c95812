"""Rasters of scores that are computed when they are read, tile by tile, and are never whole in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from crispmap.geo.grid import Block
from crispmap.inference.plan import TilePlan
from crispmap.raster.scene import Scene, SceneReader
from crispmap.types import BoolArray, FloatArray

Pixels = tuple[FloatArray, BoolArray]
"""Values (class or band, row, col) and validity (row, col) of a block."""
ComputeTile = Callable[[Block], Pixels]
"""Gives the pixels of one tile, or of the window around it, from that block alone."""


class KeptTiles:
    """The tiles asked for last, each computed once; threads wait for a tile that another one computes."""

    def __init__(self, compute: ComputeTile, keep: int) -> None:
        self._compute, self._keep = compute, max(1, keep)
        self._kept: OrderedDict[Block, Future[Pixels]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, tile: Block) -> Pixels:
        """Return the pixels of a tile."""
        with self._lock:
            found = self._kept.get(tile)
            if found is not None:
                self._kept.move_to_end(tile)
            else:
                while len(self._kept) >= self._keep:
                    self._kept.popitem(last=False)
                mine = self._kept[tile] = Future()
        if found is not None:
            return found.result()
        try:
            mine.set_result(self._compute(tile))
        except BaseException as error:
            with self._lock:
                self._kept.pop(tile, None)
            mine.set_exception(error)
            raise
        return mine.result()

    def forget(self) -> None:
        """Forget all tiles."""
        with self._lock:
            self._kept.clear()


class TiledScores(Scene):
    """A raster on the grid of its source, one band a class, whose tiles are computed when first read.

    What is read at a pixel depends on the pixel alone, never on the block it is read in. Scores are float32, 0 where
    invalid. Memory is bounded by the number of tiles kept. Several threads may read at once.
    """

    def __init__(
        self,
        source: SceneReader,
        band_names: tuple[str, ...],
        plan: TilePlan,
        compute: ComputeTile,
        *,
        keep: int,  # tiles, those read last; it changes no value
        engine: str = "",
    ) -> None:
        self.grid, self.path = source.grid, source.path
        self.band_names, self.engine = band_names, engine
        self._plan, self._tiles = plan, KeptTiles(compute, keep)

    def _read_inside(self, block: Block) -> Pixels:
        scores = np.empty((self.band_count, *block.shape), np.float32)
        valid = np.empty(block.shape, np.bool_)
        for tile in self._plan.over(block):
            shared = tile.intersection(block)
            target, source = shared.relative_to(block).slices, shared.relative_to(tile).slices
            tile_scores, tile_valid = self._tiles.get(tile)
            scores[:, *target] = tile_scores[:, *source]
            valid[target] = tile_valid[source]
        return scores, valid

    def close(self) -> None:
        """Forget the tiles kept; the rasters they are computed from stay open."""
        self._tiles.forget()
