"""Where a map differs from the reference: missed, false, or of the wrong class; and where it differs most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Block
from crispmap.types import IGNORE, BoolArray
from crispmap.viewer.layers import ClassEntry
from crispmap.viewer.pyramid import Pyramid
from crispmap.viewer.sources import PixelSource

RIGHT, MISSED, FALSE, WRONG = 0, 1, 2, 3
KINDS = (
    ClassEntry(MISSED, "missed", "#e66100"),
    ClassEntry(FALSE, "false", "#1a66ff"),
    ClassEntry(WRONG, "wrong class", "#c000c0"),
    ClassEntry(RIGHT, "right", "#f2f2f2", hidden=True),
)
"""Told apart by those who see no red or no green, too."""
_CELL_PX = 64
_SURVEY_PX = 4096
_MOST_PLACES = 12


@dataclass(frozen=True)
class ErrorSource:
    """The kind of error of each pixel, where both map and reference are known."""

    mapped: PixelSource
    reference: PixelSource

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        (mapped, seen), (reference, known) = self.mapped.read(level, block), self.reference.read(level, block)
        return kinds_of(mapped[0], reference[0])[None], seen & known

    def close(self) -> None:
        """Release the files."""
        self.mapped.close()
        self.reference.close()


def kinds_of(mapped: NDArray[Any], reference: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the kind of error of each pixel of two maps: class 0 is the background, which is missed by no map."""
    kinds = np.where(mapped == reference, RIGHT, WRONG).astype(np.uint8)
    kinds[(mapped == 0) & (reference != 0)] = MISSED
    kinds[(mapped != 0) & (reference == 0)] = FALSE
    kinds[(mapped == IGNORE) | (reference == IGNORE)] = RIGHT
    return kinds


@dataclass(frozen=True)
class Place:
    """A square of ground and the errors in it, in pixels of the view."""

    block: Block
    missed: int
    false: int
    wrong: int

    @property
    def count(self) -> int:
        """All errors."""
        return self.missed + self.false + self.wrong


def worst_places(source: PixelSource, pyramid: Pyramid) -> list[Place]:
    """Return the squares of a map with most errors, the worst first, as seen on a level that is read quickly.

    No two touch, so that one large error is not the whole list.
    """
    level = next(one for one in range(pyramid.levels) if max(pyramid.shape(one)) <= _SURVEY_PX)
    counts = _counted(source, level, Block(0, 0, *pyramid.shape(level)))
    left, places = counts.sum(axis=0), list[Place]()
    scale = 1 << level
    while len(places) < _MOST_PLACES and left.max(initial=0) > 0:
        row, col = (int(one) for one in np.unravel_index(int(left.argmax()), left.shape))
        side = _CELL_PX * scale
        block = Block(row * side, col * side, side, side).intersection(pyramid.grid.block)
        missed, false, wrong = (int(one) * scale**2 for one in counts[:, row, col])
        places.append(Place(block, missed, false, wrong))
        left[max(0, row - 1) : row + 2, max(0, col - 1) : col + 2] = 0
    return places


def _counted(source: PixelSource, level: int, whole: Block) -> NDArray[np.int64]:
    """Return the pixels of each kind of error (3, row, col) in squares of a level, read in strips of them."""
    cols = -(-whole.width // _CELL_PX)
    strips = []
    for row in range(0, whole.height, _CELL_PX):
        block = Block(row, 0, min(_CELL_PX, whole.height - row), whole.width)
        values, valid = source.read(level, block)
        kinds = np.where(valid, values[0], RIGHT)
        padded = np.pad(kinds, ((0, 0), (0, cols * _CELL_PX - whole.width)))
        cells = padded.reshape(block.height, cols, _CELL_PX)
        strips.append([np.count_nonzero(cells == kind, axis=(0, 2)) for kind in (MISSED, FALSE, WRONG)])
    return np.asarray(strips, np.int64).transpose(1, 0, 2)
