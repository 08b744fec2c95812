"""Labels of an image that is of one class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.geo.grid import Block, Grid
from crispmap.types import LabelArray


@dataclass
class OneClass:
    """One class on all pixels of a grid, or IGNORE; a ``LabelReader``."""

    path: Path  # the folder of the class
    class_id: int
    grid: Grid
    schema: ClassSchema

    def read(self, block: Block) -> LabelArray:
        """Return the class id on every pixel of a block."""
        return np.full(block.shape, self.class_id, np.uint8)

    def close(self) -> None:
        """Do nothing: no file is open."""
