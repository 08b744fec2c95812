"""Grids and blocks: where pixels lie, and windows of them.

A point is (x, y) in the grid's CRS; a pixel position is (col, row) with integers at pixel corners, so the centre
of the first pixel is (0.5, 0.5). Transforms map pixel positions to points: ``(x, y) = transform @ (col, row)``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from affine import Affine
from pyproj import CRS, Geod

from crispmap.errors import GridError
from crispmap.geo.crs import to_lonlat
from crispmap.geo.turns import turn_to

if TYPE_CHECKING:
    from crispmap.types import DoubleArray


@dataclass(frozen=True, order=True)
class Block:
    """A window of pixels: rows ``row .. row+height-1`` and columns ``col .. col+width-1``.

    A block may reach outside its grid; readers document what they return there.
    """

    row: int
    col: int
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 0 or self.width < 0:
            raise GridError(f"A block has shape {self.height} x {self.width}.", expected="sides of 0 or more pixels")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    @property
    def row_stop(self) -> int:
        """The row after the last."""
        return self.row + self.height

    @property
    def col_stop(self) -> int:
        """The column after the last."""
        return self.col + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices; meaningful for blocks inside their grid."""
        return slice(self.row, self.row_stop), slice(self.col, self.col_stop)

    def padded(self, margin_px: int) -> Block:
        """Return the block grown by a margin on every side."""
        height, width = self.height + 2 * margin_px, self.width + 2 * margin_px
        return Block(self.row - margin_px, self.col - margin_px, height, width)

    def intersection(self, other: Block) -> Block:
        """Return the pixels shared with another block; a block of zero size where there are none."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        height, width = min(self.row_stop, other.row_stop) - row, min(self.col_stop, other.col_stop) - col
        return Block(row, col, max(0, height), max(0, width))

    def relative_to(self, other: Block) -> Block:
        """Return this block in the pixel positions of another block."""
        return Block(self.row - other.row, self.col - other.col, self.height, self.width)

    @property
    def is_empty(self) -> bool:
        """Whether the block holds no pixel."""
        return self.height == 0 or self.width == 0

    def pieces(self, side_px: int) -> Iterator[Block]:
        """Yield the block cut into squares, row by row; those at the far edges are smaller.

        Raises:
            GridError: If the side is below 1, on the first piece.
        """
        if side_px < 1:
            raise GridError(f"The side of blocks is {side_px} pixels.", expected="a side of 1 pixel or more")
        for row in range(self.row, self.row_stop, side_px):
            for col in range(self.col, self.col_stop, side_px):
                yield Block(row, col, min(side_px, self.row_stop - row), min(side_px, self.col_stop - col))


@dataclass(frozen=True)
class Grid:
    """Where pixels lie: a CRS (or None), an affine transform and a shape."""

    # the coordinate reference system, or None for a raster without georeference; its units then count as metres
    crs: CRS | None
    transform: Affine  # maps pixel positions (col, row) to points (x, y)
    shape: tuple[int, int]  # (height, width) in pixels

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise GridError(f"A grid has shape {self.shape}.", expected="at least one pixel on each side")
        if self.transform.determinant == 0 or not all(math.isfinite(v) for v in self.transform[:6]):
            raise GridError(
                f"A grid has transform {tuple(self.transform)[:6]}.", expected="an invertible affine transform"
            )

    @property
    def height(self) -> int:
        """Rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.shape[1]

    @property
    def block(self) -> Block:
        """The whole grid as one block."""
        return Block(0, 0, *self.shape)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the smallest upright box around the grid, in CRS units."""
        xs, ys = zip(*self.corners(), strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def corners(self) -> list[tuple[float, float]]:
        """Return the four outer corners as points, clockwise from pixel position (0, 0)."""
        height, width = self.shape
        return [self.transform @ position for position in ((0, 0), (width, 0), (width, height), (0, height))]

    def gsd_m(self) -> tuple[float, float]:
        """Return the ground sampling distance (along columns x, along rows y) in metres at the grid's centre.

        Measured as geodesic length on the CRS's ellipsoid, so it is true for degrees and for Web Mercator, whose
        metres are not metres on the ground. Without a CRS the transform's own units are returned.

        Raises:
            GridError: If the CRS is not tied to the earth, or the grid's centre is outside it.
        """
        centre = self.width / 2, self.height / 2
        ends = [(centre[0] + dx, centre[1] + dy) for dx, dy in ((-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5))]
        points = [self.transform @ end for end in ends]
        if self.crs is None:
            return math.dist(points[0], points[1]), math.dist(points[2], points[3])
        lon, lat = to_lonlat(self.crs).transform([x for x, _ in points], [y for _, y in points])
        geod = self.crs.get_geod() or Geod(ellps="WGS84")
        _, _, length = geod.inv([lon[0], lon[2]], [lat[0], lat[2]], [lon[1], lon[3]], [lat[1], lat[3]])
        if not all(0 < value < math.inf for value in length):
            x, y = self.transform @ centre
            raise GridError(
                f"The grid's centre ({x:.6g}, {y:.6g}) is not on earth in the CRS {self.crs.name!r}.",
                expected="coordinates that belong to the CRS",
                remedy="The CRS or the transform is wrong; gdalinfo shows both.",
            )
        return float(length[0]), float(length[1])

    def mean_gsd_m(self) -> float:
        """Return the geometric mean of the two ground sampling distances, in metres."""
        x, y = self.gsd_m()
        return math.sqrt(x * y)

    def pixel_areas_m2(self, block: Block) -> DoubleArray:
        """Return the ground area of each pixel of a block, (row, col), in square metres.

        Measured on the CRS's ellipsoid, so areas of parts of a grid add up to that of the whole, in any CRS. A pixel
        that is not on earth has area 0. Without a CRS the transform's unit counts as a metre.

        Raises:
            GridError: If the block reaches outside the grid, the CRS is not tied to the earth, or the grid's centre is
                outside it.
        """
        from crispmap.geo.equal_area import pixel_areas_m2  # which knows grids

        return pixel_areas_m2(self, block)

    def window(self, block: Block) -> Grid:
        """Return the grid of one block of this grid."""
        return Grid(self.crs, self.transform @ Affine.translation(block.col, block.row), block.shape)

    def resampled(self, ratio_y: float, ratio_x: float) -> Grid:
        """Return the grid over the same extent whose pixels are ``ratio`` times as large.

        The first pixel corner stays; the last row and column may reach less than a pixel beyond the extent.
        """
        height, width = math.ceil(self.height / ratio_y - 1e-6), math.ceil(self.width / ratio_x - 1e-6)
        return Grid(self.crs, self.transform @ Affine.scale(ratio_x, ratio_y), (max(1, height), max(1, width)))

    def blocks(self, size: int) -> Iterator[Block]:
        """Yield square blocks that cover the grid once; see ``Block.pieces``."""
        return self.block.pieces(size)

    @property
    def is_placed(self) -> bool:
        """Whether it says where its pixels are; else it begins at (0, 0), as pixels of an assumed size do."""
        return self.crs is not None or (self.transform.c, self.transform.f) != (0.0, 0.0)

    def has_pixels_of(self, other: Grid) -> bool:
        """Return whether pixels at one row and column of two grids are the same.

        Where one of them is not placed, those of one shape are taken to be; coordinates without a CRS are taken to be
        in that of the other.
        """
        if not (self.is_placed and other.is_placed):
            return self.shape == other.shape
        return replace(self, crs=self.crs or other.crs).is_close(replace(other, crs=other.crs or self.crs))

    def is_close(self, other: Grid, tolerance_px: float = 0.01) -> bool:
        """Return whether two grids have the same CRS and shape, and corners within a fraction of a pixel.

        In degrees they may be full turns apart: that is one place.
        """
        if self.shape != other.shape or self.crs != other.crs:
            return False
        turn = turn_to(other.transform.c, self.transform.c, self.crs)
        inverse, pairs = ~self.transform, zip(self.corners(), other.corners(), strict=True)
        return all(math.dist(inverse @ a, inverse @ (b[0] + turn, b[1])) <= tolerance_px for a, b in pairs)
