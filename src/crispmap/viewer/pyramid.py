"""The pyramid of tiles of a view: the pixels of one grid, and those twice, four times, .. as large."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crispmap.geo.grid import Block, Grid

TILE_PX = 256


@dataclass(frozen=True)
class Pyramid:
    """The levels of a view. Level 0 has the pixels of ``grid``; one of level k stands for 2^k x 2^k of them."""

    grid: Grid

    @property
    def levels(self) -> int:
        """How many there are: on the last, all lies in one tile."""
        return 1 + max(0, math.ceil(math.log2(max(self.grid.shape) / TILE_PX)))

    def shape(self, level: int) -> tuple[int, int]:
        """Return the (height, width) of a level; its last row and column may reach beyond the grid."""
        return _thinned(self.grid.height, level), _thinned(self.grid.width, level)

    def grid_of(self, level: int) -> Grid:
        """Return the grid of a level."""
        return self.grid.resampled(1 << level, 1 << level)

    def tiles(self, level: int) -> tuple[int, int]:
        """Return how many (rows, columns) of tiles a level has."""
        height, width = self.shape(level)
        return -(-height // TILE_PX), -(-width // TILE_PX)

    def tile(self, level: int, col: int, row: int) -> Block | None:
        """Return the pixels of a tile on its level; those at the far edges are smaller. None: there is no such tile."""
        if not 0 <= level < self.levels:
            return None
        height, width = self.shape(level)
        rows, cols = self.tiles(level)
        if not (0 <= row < rows and 0 <= col < cols):
            return None
        top, left = row * TILE_PX, col * TILE_PX
        return Block(top, left, min(TILE_PX, height - top), min(TILE_PX, width - left))

    @property
    def tile_count(self) -> int:
        """How many tiles all levels have together."""
        return sum(math.prod(self.tiles(level)) for level in range(self.levels))


def _thinned(length: int, level: int) -> int:
    return -(-length // (1 << level))
