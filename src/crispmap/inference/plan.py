"""The plan of a computation: which tiles a raster is computed in, and in which order its blocks are read.

Convolution kernels round differently for inputs of different shapes. A raster is therefore computed in tiles that
depend on nothing but its own shape and the network's stride: all of one shape, on one fixed grid. Blocks, the windows
in which results are read and written, only group pixels of tiles and change no value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from crispmap.errors import InputError
from crispmap.geo.grid import Block

TILE_PX = 512  # longest side of a tile: large beside the halo of the networks, small beside memory
MOST_COMPUTED = 2.5
"""Pixels computed for each one kept, from which on tiles grow with a wide context .."""
WINDOW_PX = 3072
""".. up to this side of what is computed at once: a U-Net of 5 levels then takes 1 to 3 GiB a core in OpenVINO."""
_WINDOW_BYTES = 512  # that a U-Net takes a pixel of a window in OpenVINO: 490 measured, of 2,724 x 2,724 pixels
_SHARE = 0.5  # of the machine's memory that windows may take
BLOCK_PX = 1024  # default side of the blocks in which maps are read and written
STRIP_PX = 4096  # width of the strips in which blocks are visited; bounds what must be kept between two rows of blocks


@dataclass(frozen=True)
class Cut:
    """How a scene is cut into tiles and blocks; it changes no value."""

    tile_px: int | None = None  # longest side of the tiles, in pixels of the network; by default what suits the models
    block_px: int = BLOCK_PX  # side of the blocks that are read; decides how many tiles are kept
    shifted: bool = False  # tiles about half a tile off, to see whether the values depend on the cut


@dataclass(frozen=True)
class TilePlan:
    """Equal tiles that cover a raster once; the last row and column of tiles may reach beyond it."""

    shape: tuple[int, int]  # (height, width) of the raster in pixels
    tile_shape: tuple[int, int]
    origin: tuple[int, int] = (0, 0)  # corner of one tile, at or before the raster's; others are whole tiles from it
    overlap_px: int = 0  # how far the window computed for a tile reaches beyond it on every side

    @property
    def window_shape(self) -> tuple[int, int]:
        """(height, width) of what is computed for a tile."""
        return self.tile_shape[0] + 2 * self.overlap_px, self.tile_shape[1] + 2 * self.overlap_px

    def over(self, block: Block) -> Iterator[Block]:
        """Yield the tiles that share pixels with a block and with the raster, row by row."""
        inside = block.intersection(Block(0, 0, *self.shape))
        if inside.is_empty:
            return
        (height, width), (top, left) = self.tile_shape, self.origin
        for row in range((inside.row - top) // height * height + top, inside.row_stop, height):
            for col in range((inside.col - left) // width * width + left, inside.col_stop, width):
                yield Block(row, col, height, width)

    @property
    def count(self) -> int:
        """The number of tiles."""
        sides = zip(self.shape, self.tile_shape, self.origin, strict=True)
        return math.prod(math.ceil((length - start) / side) for length, side, start in sides)

    def shifted(self, stride_px: int) -> TilePlan:
        """Return the same tiles about half a tile off, still on the stride grid."""
        row, col = (-max(stride_px, side // 2 // stride_px * stride_px) % side - side for side in self.tile_shape)
        return replace(self, origin=(row, col))

    def tiles_to_keep(self, block_shape: tuple[float, float], strip_width: float) -> int:
        """Return how many tiles to remember so that none is computed twice within a strip of blocks.

        Blocks (height, width) and strips are in pixels of this raster.
        """
        # Beyond the block itself: tiles cut by its border, and the neighbours that halos reach into.
        rows = math.ceil(block_shape[0] / self.tile_shape[0]) + 3
        cols = math.ceil(max(strip_width, block_shape[1]) / self.tile_shape[1]) + 2
        return min(self.count, rows * cols)


def plan_tiles(
    shape: tuple[int, int], *, tile_px: int = TILE_PX, stride_px: int = 1, shifted: bool = False, overlap_px: int = 0
) -> TilePlan:
    """Return the canonical tiles of a raster: as few as ``tile_px`` allows, as even as the stride allows.

    Tile sides are multiples of the stride, at least one, so tile origins lie on the network's stride grid.
    """
    limit = max(1, tile_px // stride_px) * stride_px
    height, width = (
        math.ceil(math.ceil(length / math.ceil(length / limit)) / stride_px) * stride_px for length in shape
    )
    plan = TilePlan(shape, (height, width), overlap_px=overlap_px)
    return plan.shifted(stride_px) if shifted else plan


def fitted_tile_px(shape: tuple[int, int], *, context_px: int, stride_px: int, least_px: int) -> int:
    """Return the side of the tiles in which a network that reads a wide context computes a raster.

    Tiles are as large as it takes to compute at most ``MOST_COMPUTED`` pixels for each one kept, within ``WINDOW_PX``,
    and may be ``least_px`` in any case. Of these sides down to half of the largest, the one counts by which the fewest
    pixels are computed for a raster of this shape: a small raster is not computed in a large tile.
    """
    wanted = math.ceil(2 * context_px / (math.sqrt(MOST_COMPUTED) - 1))
    most = min(max(least_px, min(wanted, WINDOW_PX - 2 * context_px)), max(shape))
    most = math.ceil(most / stride_px) * stride_px
    sides = range(most, most // 2, -stride_px)
    return min(sides, key=lambda side: computed_px(shape, side, context_px))


def computed_px(shape: tuple[int, int], tile_px: int, context_px: int) -> int:
    """Return how many pixels are computed for a raster, with the context around every tile."""
    return math.prod(math.ceil(length / tile_px) for length in shape) * (tile_px + 2 * context_px) ** 2


def affordable_windows(window_px: int, memory_bytes: int) -> int:
    """Return how many windows of so many pixels may be computed at a time in a machine's memory: at least 1."""
    return max(1, int(memory_bytes * _SHARE / (window_px * _WINDOW_BYTES)))


def visit_blocks(shape: tuple[int, int], block_px: int, strip_px: int = STRIP_PX) -> Iterator[Block]:
    """Yield the blocks that cover a raster once: strip by strip from the left, each strip from top to bottom.

    Strips, at least a block wide, bound the tiles that must be remembered between two rows of blocks for a raster of
    any width. Blocks at the far edges are cut to fit.

    Raises:
        InputError: If ``block_px`` is below 1.
    """
    if block_px < 1:
        raise InputError(f"The block size is {block_px} pixels.", expected="at least 1, such as 1024")
    height, width = shape
    strip = max(1, strip_px // block_px) * block_px
    for left in range(0, width, strip):
        yield from Block(0, left, height, min(strip, width - left)).pieces(block_px)
