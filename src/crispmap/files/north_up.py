"""Rasters read from north to south and from west to east, in whatever order their pixels are stored.

Networks learn what shadows and facades look like from above with north at the top; a mirrored image is another one to
them. So a raster whose rows run north, as many tools write them, is turned when read: of the eight orders of rows and
columns the one nearest to north-up is taken. No pixel is resampled. Without a coordinate system the order stays: y may
then as well be counted down the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.coords import BoundingBox
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

_SIGNS = {"enu": (1, 1), "wsu": (-1, -1), "wnu": (-1, 1), "esu": (1, -1)}  # of east and north, by PROJ's axis order
_SAME_IN_ANY_ORDER = {
    *("close", "closed", "colorinterp", "colormap", "compression", "count", "crs", "descriptions", "driver", "dtypes"),
    *("files", "gcps", "indexes", "mask_flag_enums", "name", "nodata", "nodatavals", "offsets", "rpcs", "scales"),
    *("subdatasets", "tags"),
}


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


class NorthUp:
    """An open raster whose pixels are turned as they are read; in all else like rasterio's ``stored``."""

    def __init__(self, stored: DatasetReader, turn: Turn) -> None:
        self.stored, self.turn = stored, turn
        self.shape = self.height, self.width = turn.shape(stored.shape)
        self.transform = turn.transform(stored.transform, stored.shape)
        self.block_shapes = [turn.shape(shape) for shape in stored.block_shapes]

    @property
    def bounds(self) -> BoundingBox:
        """The smallest upright box around it."""
        return BoundingBox(*array_bounds(self.height, self.width, self.transform))

    def read(self, indexes: Any = None, *, window: Window | None = None, out_dtype: Any = None) -> NDArray[Any]:
        """Return the values of bands, as rasterio does."""
        return self._turned(self.stored.read(indexes, window=self._place(window), out_dtype=out_dtype))

    def read_masks(self, indexes: Any = None, *, window: Window | None = None) -> NDArray[Any]:
        """Return the masks of bands, as rasterio does."""
        return self._turned(self.stored.read_masks(indexes, window=self._place(window)))

    def dataset_mask(self, *, window: Window | None = None) -> NDArray[Any]:
        """Return the mask of all bands, as rasterio does."""
        return self._turned(self.stored.dataset_mask(window=self._place(window)))

    def _turned(self, values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(self.turn.pixels(values))

    def _place(self, window: Window | None) -> Window | None:
        return None if window is None else self.turn.window(window, self.stored.shape)

    def warpable(self, crs: Any) -> WarpedVRT:
        """Return it as a raster of GDAL's, in the CRS it has or is taken to have, without a nodata value.

        Pixels that its mask hides have alpha 0 there.
        """
        flags = self.stored.mask_flag_enums[0]
        masked = not {MaskFlags.alpha, MaskFlags.all_valid, MaskFlags.nodata} & set(flags)
        return WarpedVRT(
            self.stored, src_crs=crs, crs=crs, transform=self.transform, height=self.height, width=self.width,
            resampling=Resampling.nearest, src_nodata=None, nodata=None, add_alpha=masked,
        )  # fmt: skip

    def __getattr__(self, name: str) -> Any:
        if name in _SAME_IN_ANY_ORDER:
            return getattr(self.stored, name)
        raise AttributeError(f"{name} of a raster that is turned as it is read")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stored.close()


def north_up(stored: DatasetReader) -> Any:
    """Return an open raster as it is read from north to south: itself, or ``NorthUp``."""
    if not stored.count or not stored.crs:  # a container of other rasters; coordinates that may run down the image
        return stored
    axes = stored.crs.to_dict().get("axis", "enu")
    turn = Turn.to_north_up(stored.transform, axes)
    return stored if turn == AS_STORED else NorthUp(stored, turn)


def in_order_of(dataset: Any, turn: Turn) -> Any:
    """Return an open raster that says nothing of its place, in the order in which another one's pixels are read.

    Args:
        dataset: What ``north_up`` returned.
        turn: How the pixels of the other are turned, which are stored in the order of this one's.
    """
    if turn == AS_STORED or dataset.crs:
        return dataset
    ordered = NorthUp(dataset, turn)
    if dataset.transform.is_identity:
        ordered.transform = dataset.transform  # no place, in any order
    return ordered


def as_stored(dataset: Any) -> tuple[DatasetReader, Turn]:
    """Return an open raster in the order in which its pixels are stored, and how they are turned as they are read."""
    return (dataset.stored, dataset.turn) if isinstance(dataset, NorthUp) else (dataset, AS_STORED)
