"""A raster on another grid by nearest neighbour, also where the two write one place a full turn of degrees apart."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import rasterio.crs
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from crispmap.files.north_up import NorthUp
from crispmap.geo.grid import Grid
from crispmap.geo.turns import FULL_TURN, turns_between

_CODE = re.compile(r'(,AUTHORITY\["[^"]*","[^"]*"\])?\]$')  # the end of the text of a CRS


class WarpedRaster:
    """An open raster, warped to a grid as it is read; invalid outside of it.

    In degrees there is a warped view for each turn of 360 degrees between the two, merged by their masks. Values where
    the mask is 0 are arbitrary.

    Args:
        file: The raster, from ``open_dataset``; it is not closed.
        own: Its grid, in the CRS it has or is taken to have.
        grid: The grid to read it on.
    """

    def __init__(self, file: Any, own: Grid, grid: Grid) -> None:
        crs, target = (rasterio.crs.CRS.from_wkt(one.crs.to_wkt()) for one in (own, grid))  # type: ignore[union-attr]
        self._opened = [file.warpable(crs)] if isinstance(file, NorthUp) else []
        source = self._opened[0] if self._opened else file
        if own.crs == grid.crs:  # GDAL compares coordinates as they are
            place: dict[str, Any] = {"src_crs": crs}
            turns = turns_between(grid.bounds[::2], own.bounds[::2], own.crs) or [0.0]
        else:
            place, turns = _unbroken(crs, own), [0.0]
        alpha = file.nodata is None and ColorInterp.alpha not in source.colorinterp  # marks pixels outside the raster
        self._parts = [
            WarpedVRT(
                source, **place, src_nodata=file.nodata, nodata=file.nodata, add_alpha=alpha, crs=target,
                transform=Affine.translation(turn, 0.0) @ grid.transform, height=grid.height, width=grid.width,
                resampling=Resampling.nearest, tolerance=1e-6,  # pixels; rasterio has no exact mode
            )
            for turn in turns
        ]  # fmt: skip
        self._opened = [*self._parts, *self._opened]

    def read(self, bands: list[int], *, window: Window) -> NDArray[Any]:
        """Return the values of bands in a window of the grid."""
        first, *others = self._parts
        values: NDArray[Any] = first.read(bands, window=window)
        for part in others:
            values = np.where(part.dataset_mask(window=window) > 0, part.read(bands, window=window), values)
        return values

    def dataset_mask(self, *, window: Window) -> NDArray[Any]:
        """Return 255 where the raster has data in a window of the grid, else 0."""
        masks = [part.dataset_mask(window=window) for part in self._parts]
        return np.asarray(np.maximum.reduce(masks))

    def close(self) -> None:
        """Close what was made of the raster, which stays open."""
        for one in self._opened:
            one.close()


def _unbroken(crs: rasterio.crs.CRS, own: Grid) -> dict[str, Any]:
    """Return CRS and transform with which GDAL finds all pixels of a raster in degrees that reaches past 180.

    It brings longitudes to -180 to 180, or, by an extension, to half a turn about the middle of the raster. It keeps
    transformations for the life of the process, by CRS without that extension: so this one has a name of its own.
    """
    left, _, right, _ = own.bounds
    if not crs.is_geographic or (left >= -FULL_TURN / 2 and right <= FULL_TURN / 2):
        return {"src_crs": crs}
    turn = -FULL_TURN * ((left + right) / 2 // FULL_TURN)
    middle = repr((left + right) / 2 + turn)
    text = _CODE.sub(f',EXTENSION["CENTER_LONG","{middle}"]]', crs.to_wkt()).replace('["', f'["about {middle}: ', 1)
    return {
        "src_crs": rasterio.crs.CRS.from_wkt(text),
        "src_transform": Affine.translation(turn, 0.0) @ own.transform,
    }
