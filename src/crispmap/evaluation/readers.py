"""The inputs of an evaluation: class ids by block, and masks of the pixels to score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crispmap.geo.grid import Block
from crispmap.types import BoolArray, LabelArray


class LabelSource(Protocol):
    """Class ids on a grid: a map, a reference, or labels of any kind."""

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block inside the grid, 255 where nothing is known."""


class AreaMask(Protocol):
    """Chosen pixels of a grid: an ``Area``, or any set of pixels."""

    def mask(self, block: Block) -> BoolArray:
        """Return which pixels (row, col) of a block inside the grid are chosen."""


@dataclass(frozen=True, eq=False)
class ArrayLabels:
    """Class ids in memory as a ``LabelSource``."""

    array: LabelArray  # uint8 (row, col) of the whole grid

    def read(self, block: Block) -> LabelArray:
        """Return the class ids of a block inside the grid; a view of the array."""
        return self.array[block.slices]


@dataclass(frozen=True, eq=False)
class ArrayMask:
    """Chosen pixels in memory as an ``AreaMask``."""

    array: BoolArray  # bool (row, col) of the whole grid

    def mask(self, block: Block) -> BoolArray:
        """Return which pixels of a block inside the grid are chosen; a view of the array."""
        return self.array[block.slices]


@dataclass(frozen=True, eq=False)
class AreaUnion:
    """The pixels of any of several areas; none where there is no area."""

    pieces: Sequence[AreaMask]

    def mask(self, block: Block) -> BoolArray:
        """Return which pixels of a block inside the grid belong to any of the areas."""
        chosen = np.zeros(block.shape, np.bool_)
        for piece in self.pieces:
            chosen |= piece.mask(block)
        return chosen


@dataclass(frozen=True, eq=False)
class AreaComplement:
    """The pixels outside an area."""

    area: AreaMask

    def mask(self, block: Block) -> BoolArray:
        """Return which pixels of a block inside the grid lie outside the area."""
        return ~self.area.mask(block)
