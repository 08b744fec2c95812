"""Labels of the squares of a map: what the pixels in each say of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import GridError
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import tags_of
from crispmap.geo.grid import Block, Grid
from crispmap.geo.squares import SQUARES_TAG, Squares
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelOptions, LabelReader
from crispmap.types import LabelArray

_READ_PX = 2048  # side of the pixels read at a time


class SquareLabels:
    """Labels of pixels as those of squares; a ``LabelReader`` on the grid of squares.

    Args:
        pixels: Labels on the squares' pixels, ``squares.pixels(grid)``.
        grid: The grid of squares.
    """

    def __init__(self, pixels: LabelReader, grid: Grid, squares: Squares) -> None:
        self.grid, self.schema = grid, pixels.schema
        self._pixels, self._squares = pixels, squares

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block inside the grid; see ``LabelReader``.

        Raises:
            GridError: If the block reaches outside the grid.
        """
        if self.grid.block.intersection(block) != block:
            raise GridError(f"{block} reaches outside a grid of shape {self.grid.shape}.", expected="a block inside")
        ids = np.empty(block.shape, np.uint8)
        for part in block.pieces(max(1, _READ_PX // self._squares.side_px)):
            labels = self._pixels.read(self._squares.block_of_pixels(part))
            ids[part.relative_to(block).slices] = self._squares.ids(labels)
        return ids

    def close(self) -> None:
        """Close the labels of the pixels."""
        self._pixels.close()


@contextmanager
def opened_reference(
    path: str | Path, schema: ClassSchema, grid: Grid, squares: Squares | None, options: LabelOptions
) -> Iterator[LabelReader]:
    """Open labels to score a map against: on its pixels, or on its squares where the map is of squares."""
    if squares is None:
        with closing(open_labels(path, schema, grid, options=options)) as labels:
            yield labels
        return
    options = replace(options, point_px=squares.point_px)
    with closing(open_labels(path, schema, squares.pixels(grid), options=options)) as pixels:
        yield SquareLabels(pixels, grid, squares)


def squares_of_map(path: str | Path) -> Squares | None:
    """Return the squares that the pixels of a map are, by its tags; None where they are those of a scene."""
    with open_dataset(Path(path)) as dataset:
        text = tags_of(dataset).get(SQUARES_TAG)
    return None if text is None else Squares.from_json(text)
