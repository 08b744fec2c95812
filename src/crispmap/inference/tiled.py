"""Rasters of scores that are computed when they are read, tile by tile, and never held whole."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from crispmap.grid import Block, Grid
from crispmap.inference.plan import TilePlan
from crispmap.scene.reader import Scene
from crispmap.types import BoolArray, FloatArray

Pixels = tuple[FloatArray, BoolArray]
"""Values (class or band, row, col) and validity (row, col) of a block."""
ComputeTile = Callable[[Block], Pixels]
"""Gives the pixels of one tile, from the tile alone."""


class TiledScores(Scene):
    """A raster with one band a class whose tiles are computed when first read.

    What is read at a pixel depends on the pixel alone, never on the block it is read in. Scores are float32, 0 where
    invalid. Memory is bounded by the number of tiles kept.

    Args:
        grid: Where the raster's pixels lie.
        band_names: The class names.
        path: The file the scores are computed from.
        plan: The raster's tiles.
        compute: Computes one of them.
        keep: Number of tiles remembered, those read last; it changes no value.
    """

    def __init__(
        self, grid: Grid, band_names: tuple[str, ...], path: Path, plan: TilePlan, compute: ComputeTile, keep: int
    ) -> None:
        self.grid = grid
        self.band_names = band_names
        self.path = path
        self._plan = plan
        self._compute = compute
        self._keep = max(1, keep)
        self._kept: OrderedDict[Block, Pixels] = OrderedDict()

    def _read_inside(self, block: Block) -> Pixels:
        scores = np.empty((self.band_count, *block.shape), np.float32)
        valid = np.empty(block.shape, np.bool_)
        for tile in self._plan.over(block):
            shared = tile.intersection(block)
            target, source = shared.relative_to(block).slices, shared.relative_to(tile).slices
            tile_scores, tile_valid = self._tile(tile)
            scores[:, *target] = tile_scores[:, *source]
            valid[target] = tile_valid[source]
        return scores, valid

    def _tile(self, tile: Block) -> Pixels:
        if tile not in self._kept:
            while len(self._kept) >= self._keep:
                self._kept.popitem(last=False)
            self._kept[tile] = self._compute(tile)
        self._kept.move_to_end(tile)
        return self._kept[tile]

    def close(self) -> None:
        """Forget the tiles kept; the rasters they are computed from stay open."""
        self._kept.clear()
