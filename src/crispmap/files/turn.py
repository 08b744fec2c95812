"""The order in which the pixels of a raster are stored, and how they are turned to be read north-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from affine import Affine
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rasterio.windows import Window

_SIGNS = {"enu": (1, 1), "wsu": (-1, -1), "wnu": (-1, 1), "esu": (1, -1)}  # of east and north, by PROJ's axis order


@dataclass(frozen=True)
class Turn:
    """How pixels are reordered: first rows and columns change places, then each may be reversed."""

    transposed: bool = False
    rows_reversed: bool = False
    cols_reversed: bool = False

    @classmethod
    def to_north_up(cls, transform: Affine, axes: str = "enu") -> Turn:
        """Return the turn that brings pixels with a transform nearest to north-up.

        Args:
            transform: Maps pixel positions to coordinates.
            axes: PROJ's order of the axes of the coordinate system, such as "wsu": westing before southing.
        """
        if transform.is_identity or axes not in _SIGNS:  # without georeference, the order is all there is
            return cls()
        transposed = abs(transform.b * transform.d) > abs(transform.a * transform.e)
        along_cols, along_rows = (
            (transform.b, transform.d) if transposed else (transform.a, transform.e)
        )  # the steps of x along the new columns, and of y along the new rows
        east, north = _SIGNS[axes]
        return cls(transposed, rows_reversed=along_rows * north > 0, cols_reversed=along_cols * east < 0)

    @property
    def inverse(self) -> Turn:
        """The turn that undoes it."""
        if not self.transposed:
            return self
        return Turn(True, rows_reversed=self.cols_reversed, cols_reversed=self.rows_reversed)

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) of turned pixels of a shape."""
        return (shape[1], shape[0]) if self.transposed else shape

    def transform(self, transform: Affine, shape: tuple[int, int]) -> Affine:
        """Return the transform of turned pixels that have a transform and a shape."""
        height, width = self.shape(shape)
        down = (-1, height) if self.rows_reversed else (1, 0)
        right = (-1, width) if self.cols_reversed else (1, 0)
        swapped = Affine(0, 1, 0, 1, 0, 0) if self.transposed else Affine.identity()
        turned: Affine = transform @ swapped @ Affine(right[0], 0, right[1], 0, *down)
        return turned

    def window(self, window: Window, shape: tuple[int, int]) -> Window:
        """Return where a window of turned pixels is among the pixels as they are, which have a shape."""
        from rasterio.windows import Window  # a project file is read without rasterio

        height, width = self.shape(shape)
        row = height - window.row_off - window.height if self.rows_reversed else window.row_off
        col = width - window.col_off - window.width if self.cols_reversed else window.col_off
        if self.transposed:
            return Window(row, col, window.height, window.width)
        return Window(col, row, window.width, window.height)

    def pixels(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return pixels (..., row, col), turned; a view."""
        if self.transposed:
            values = values.swapaxes(-1, -2)
        return values[..., :: -1 if self.rows_reversed else 1, :: -1 if self.cols_reversed else 1]


AS_STORED = Turn()
