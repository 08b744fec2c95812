"""Rasters read from north to south and from west to east, in whatever order their pixels are stored.

Networks learn what shadows and facades look like from above with north at the top; a mirrored image is another one to
them. So a raster whose rows run north, as many tools write them, is turned when read: of the eight orders of rows and
columns the one nearest to north-up is taken. No pixel is resampled. Without a coordinate system the order stays: y may
then as well be counted down the image.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rasterio.coords import BoundingBox
from rasterio.enums import MaskFlags, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from crispmap.files.turn import AS_STORED, Turn

_SAME_IN_ANY_ORDER = {
    *("close", "closed", "colorinterp", "colormap", "compression", "count", "crs", "descriptions", "driver", "dtypes"),
    *("files", "gcps", "indexes", "mask_flag_enums", "name", "nodata", "nodatavals", "offsets", "rpcs", "scales"),
    *("subdatasets", "tags"),
}


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
