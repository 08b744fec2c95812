"""The interface of label sources, and the options for reading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from crispmap.classes import ClassSchema
from crispmap.files.turn import AS_STORED, Turn
from crispmap.geo.grid import Block, Grid
from crispmap.types import LabelArray

PARQUET_SUFFIXES = (".parquet", ".geoparquet", ".pq")

SCENE_COORDINATES = "scene"
"""As ``assume_crs``: the labels were drawn in the coordinates of a scene, which may have no CRS."""


class LabelReader(Protocol):
    """Labels on a grid, read block by block."""

    grid: Grid
    schema: ClassSchema

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block inside the grid, IGNORE where nothing is known.

        The result of a block does not depend on what other blocks are read.

        Raises:
            GridError: If the block reaches outside the grid.
        """

    def close(self) -> None:
        """Release the files; the reader cannot be read afterwards."""


@dataclass(frozen=True)
class LabelOptions:
    """How labels are read from a file."""

    layer: str | None = None  # of a vector file; by default all of polygons or lines
    encoding: str | None = None  # of a vector file's text, such as ISO-8859-1; by default as the file says
    assume_crs: str | None = None  # the CRS of a file without one, or SCENE_COORDINATES
    all_as: str | None = None  # the class of every vector feature, overriding its columns
    road_width_m: float | None = None  # total width of every line, overriding its own and its class's
    point_px: int = 1  # side of the square of pixels that a point labels
    all_touched: bool = False  # draw every pixel that a vector touches, not only those whose centre it contains
    unknown: Literal["error", "ignore"] = "error"  # what to do with values of no class
    tolerance: int = 16  # how far each channel of a mask's colour may be from a class colour (lossy compression)
    threshold: float | None = None  # grey values of this or more are class 1, others class 0, of two classes
    turn: Turn = AS_STORED  # of the scene's pixels, as they are read; a mask without georeference is turned likewise
