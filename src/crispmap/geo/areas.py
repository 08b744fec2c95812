"""Areas of pixels on a grid, and how they are cut.

An area has exactly the pixels whose centre lies inside its outline; an edge belongs to the area on its right or below,
so areas that only touch never share a pixel, on any grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from crispmap.errors import ProjectError, number_of
from crispmap.geo.draw import enclosed
from crispmap.geo.grid import Block
from crispmap.types import BoolArray, CountArray, DoubleArray

HOLD_OUT_SHARE = 0.15  # the share of an area that is held out for validation where a project names no validation area

_STRIP_ROWS = 1024  # masks of large areas are counted in strips of so many rows, to bound memory
_FIRST_ROWS = 32  # that an area is not empty mostly shows in its first rows


@dataclass(frozen=True, eq=False)
class Area:
    """An area of pixels on a grid."""

    origin: str  # name in errors
    block: Block  # the smallest block that holds the area's outline, cut to the grid; no pixel outside it belongs
    # outlines (point, 2) of pixel positions (col, row); the area is what an odd number encloses
    rings: tuple[DoubleArray, ...] = field(repr=False)

    def mask(self, block: Block) -> BoolArray:
        """Return which pixels of a block belong to the area, (row, col): those whose centre lies inside."""
        result = np.zeros(block.shape, dtype=np.bool_)
        shared = block.intersection(self.block)
        if not shared.is_empty:
            result[shared.relative_to(block).slices] = enclosed(self.rings, shared)
        return result

    @cached_property
    def pixel_count(self) -> int:
        """How many pixels the area has."""
        return sum(int(np.count_nonzero(self.mask(strip))) for strip in _strips(self.block))

    @property
    def is_empty(self) -> bool:
        """Whether the area has no pixel."""
        return not any(self.mask(strip).any() for strip in _strips(self.block, _FIRST_ROWS))

    def shared_pixels(self, other: Area) -> int:
        """Return how many pixels the area shares with another of the same grid."""
        shared = self.block.intersection(other.block)
        return sum(int(np.count_nonzero(self.mask(strip) & other.mask(strip))) for strip in _strips(shared))

    def cut_to(self, block: Block) -> Area:
        """Return the part of the area inside a block."""
        return Area(self.origin, self.block.intersection(block), self.rings)

    @property
    def along_rows(self) -> bool:
        """Whether the rows of the area's box are at least as many as its columns."""
        return self.block.height >= self.block.width

    def cut_across(self, lines: Sequence[int]) -> list[Area]:
        """Return the areas between neighbouring lines (rows or columns) across the longer side of the area's box."""
        block = self.block
        bands = [(start, stop - start) for start, stop in itertools.pairwise(lines)]
        if self.along_rows:
            return [self.cut_to(Block(block.row + start, block.col, size, block.width)) for start, size in bands]
        return [self.cut_to(Block(block.row, block.col + start, block.height, size)) for start, size in bands]

    def bands(self, count: int) -> list[Area]:
        """Return the area cut across the longer side of its box into bands of equal width, to a pixel."""
        length = max(self.block.shape)
        return self.cut_across([length * index // count for index in range(count + 1)])


def box_of(areas: Sequence[Area]) -> Block:
    """Return the smallest block that holds the blocks of all areas, one or more."""
    blocks = [area.block for area in areas]
    row, col = min(block.row for block in blocks), min(block.col for block in blocks)
    height, width = max(block.row_stop for block in blocks) - row, max(block.col_stop for block in blocks) - col
    return Block(row, col, height, width)


def check_apart(one: Area, other: Area) -> None:
    """Raise ProjectError when two areas of different roles share a pixel."""
    shared = one.shared_pixels(other)
    if shared:
        raise ProjectError(
            f"{one.origin} and {other.origin} share {number_of(shared, 'pixel')}.",
            expected="separate areas for every role: training pixels are never scored",
            remedy="Move or shrink one of the two.",
        )


def hold_out_strip(area: Area, share: float = HOLD_OUT_SHARE, *, step_px: int = 1) -> tuple[Area, Area]:
    """Return the area in two parts that share no pixel: one for training, one held out.

    The part held out is a strip at the end of the longer side: the narrowest with at least ``share`` of the area's
    pixels, whole steps of ``step_px`` wide where it has room, that leaves a step for training.

    Raises:
        ProjectError: If the share is not between 0 and 1, or the area is too small to split.
    """
    if not 0 < share < 1:
        raise ProjectError(f"The share to hold out is {share}.", expected="a number between 0 and 1")
    profile = _pixels_by_line(area)
    lines = np.flatnonzero(profile)
    if not len(lines) or lines[-1] - lines[0] + 1 < 2 * step_px:
        least = "two rows or columns of pixels" if step_px == 1 else f"{2 * step_px} rows or columns, two squares"
        raise ProjectError(
            f"{area.origin} is too small to hold out a strip for validation.",
            expected=f"an area of at least {least}",
            remedy="Make the area larger, or give areas: validation yourself.",
        )
    kept = np.cumsum(profile)
    cut = int(np.searchsorted(kept, (1 - share) * kept[-1], side="right"))
    first, stop = int(lines[0]), int(lines[-1]) + 1
    cut = max(stop - -(-(stop - min(cut, stop - 1)) // step_px) * step_px, first + step_px)
    train, strip = area.cut_across([0, cut, len(profile)])
    return train, strip


def _strips(block: Block, rows: int = _STRIP_ROWS) -> Iterator[Block]:
    """Yield a block in strips of bounded height; nothing of an empty block."""
    if block.is_empty:
        return
    for row in range(block.row, block.row_stop, rows):
        yield Block(row, block.col, min(rows, block.row_stop - row), block.width)


def _pixels_by_line(area: Area) -> CountArray:
    """Return how many pixels of an area each line across its box's longer side holds."""
    masks = (area.mask(strip) for strip in _strips(area.block))
    if area.along_rows:
        return np.concatenate([np.count_nonzero(mask, axis=1) for mask in masks])
    counts = np.zeros(area.block.width, dtype=np.int64)
    for mask in masks:
        counts += np.count_nonzero(mask, axis=0)
    return counts
