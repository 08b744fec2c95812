"""What every source of labels gives, and how it is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from crispmap.classes import ClassSchema
from crispmap.geo.grid import Block, Grid
from crispmap.types import LabelArray

SCENE_COORDINATES = "scene"
"""As ``assume_crs``: the labels were drawn in the coordinates of a scene, which may have no CRS."""


class LabelReader(Protocol):
    """Labels on a grid, read block by block.

    Attributes:
        grid: Where the pixels lie.
        schema: What the ids mean.
    """

    grid: Grid
    schema: ClassSchema

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block inside the grid, IGNORE where nothing is known.

        The result of a block does not depend on what other blocks are read.

        Raises:
            GridError: If the block reaches outside the grid.
        """

    def close(self) -> None:
        """Release the files; the reader can not be read after."""


@dataclass(frozen=True)
class LabelOptions:
    """How labels are read from a file; the defaults suit most.

    Attributes:
        layer: The layer of a vector file; by default all of polygons or lines.
        assume_crs: The CRS of a file that carries none, or SCENE_COORDINATES.
        all_as: The class every vector feature belongs to, whatever its columns say.
        road_width_m: A total width in metres given to every line, in place of its own and its class's.
        all_touched: Burn every pixel that a vector touches, rather than those whose centre it holds.
        unknown: What a mask's value or colour that stands for no class does: ``"error"``, or ``"ignore"``
        (IGNORE).
        tolerance: How far each channel of a mask's colour may be from a class colour (lossy compression).
    """

    layer: str | None = None
    assume_crs: str | None = None
    all_as: str | None = None
    road_width_m: float | None = None
    all_touched: bool = False
    unknown: Literal["error", "ignore"] = "error"
    tolerance: int = 16
