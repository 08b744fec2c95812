"""Squares of a scene that have one class each, and what labels of pixels say of them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

import numpy as np

from crispmap.types import IGNORE, LabelArray

if TYPE_CHECKING:  # networks name their squares, and know nothing of coordinate systems
    from crispmap.geo.grid import Block, Grid

SQUARES_TAG = "CRISPMAP_SQUARES"  # the tag of a map of squares: their side in pixels of the model, and what labels one

LabelRule: TypeAlias = Literal["centre", "majority"]
"""What labels a square: its centre pixel, or most of its labelled pixels."""


@dataclass(frozen=True)
class Squares:
    """Squares of ``side_px`` pixels; the first begins at the corner of its scene."""

    side_px: int
    label: LabelRule = "centre"  # of two middle pixels the lower right; of classes with as many pixels the first

    @property
    def point_px(self) -> int:
        """Side of the square of pixels to label about a point, for it to label the squares that hold it."""
        return self.side_px if self.label == "centre" else 1

    def ids(self, labels: LabelArray) -> LabelArray:
        """Return the class id of every square (row, col) of labels (row, col), IGNORE where nothing labels it."""
        side = self.side_px
        if self.label == "centre":
            return labels[side // 2 :: side, side // 2 :: side]
        rows, cols = labels.shape[0] // side, labels.shape[1] // side
        pixels = labels.reshape(rows, side, cols, side).swapaxes(1, 2).reshape(rows * cols, side * side)
        offsets = np.arange(len(pixels))[:, None] * (IGNORE + 1)
        counts = np.bincount((pixels + offsets).ravel(), minlength=len(pixels) * (IGNORE + 1))
        counts = counts.reshape(-1, IGNORE + 1)[:, :IGNORE]
        ids = np.where(counts.any(axis=1), counts.argmax(axis=1), IGNORE).astype(np.uint8)
        return ids.reshape(rows, cols)

    def grid(self, pixels: Grid) -> Grid:
        """Return the grid of the squares that cover a grid of pixels."""
        return pixels.resampled(self.side_px, self.side_px)

    def pixels(self, squares: Grid) -> Grid:
        """Return the grid of the pixels of a grid of squares."""
        shape = squares.height * self.side_px, squares.width * self.side_px
        return replace(squares.resampled(1 / self.side_px, 1 / self.side_px), shape=shape)

    def block_of_pixels(self, block: Block) -> Block:
        """Return the pixels of a block of squares."""
        side = self.side_px
        return replace(
            block, row=side * block.row, col=side * block.col, height=side * block.height, width=side * block.width
        )

    def to_json(self) -> str:
        """Return it as text, for the tags of a map."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self | None:
        """Return what ``to_json`` wrote; None of any other text."""
        try:
            found = cls(**json.loads(text))
        except (TypeError, ValueError):
            return None
        valid = type(found.side_px) is int and found.side_px >= 1 and found.label in ("centre", "majority")
        return found if valid else None
