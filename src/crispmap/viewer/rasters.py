"""Files as sources of pixels: the windows of their own overviews where they lie on the view's grid, else warped."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
import rasterio.crs
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from crispmap.errors import GridError
from crispmap.files.address import gdal_name
from crispmap.files.dataset import open_dataset
from crispmap.files.north_up import as_stored
from crispmap.files.quiet import ignoring
from crispmap.files.turn import Turn
from crispmap.geo.grid import Block, Grid
from crispmap.types import BoolArray
from crispmap.viewer.blocks import SharedBlocks
from crispmap.viewer.handles import Handles
from crispmap.viewer.pyramid import Pyramid
from crispmap.viewer.sources import PixelSource, WithoutOverviews

_LARGE_PX = 4096
_SHARED = (512, 1024)  # sides of blocks in which several tiles lie
_ANYWHERE = 'LOCAL_CS["pixels",UNIT["metre",1]]'
"""Stands for the CRS of rasters that have none, where one is laid over another."""


@dataclass(frozen=True)
class RasterFile:
    """What a view needs to know of a raster."""

    path: Path
    grid: Grid  # north-up
    bands: tuple[int, ...]  # to read, 1-based
    masked: Literal["none", "nodata", "alpha", "mask"]  # by what pixels are left out
    nodata: float | None
    alpha: int  # the number of the alpha band, 0 without
    overviews: tuple[int, ...]  # how many times as large their pixels are
    block_px: int = 0  # the side of the squares it is stored in; 0: other shapes

    @classmethod
    def of(cls, path: Path, dataset: Any, grid: Grid, bands: Sequence[int]) -> RasterFile:
        """Return it of an open raster."""
        flags = dataset.mask_flag_enums[bands[0] - 1]
        colours = dataset.colorinterp
        alpha = colours.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in colours else 0
        nodata = dataset.nodatavals[bands[0] - 1]
        masked: Literal["none", "nodata", "alpha", "mask"] = "none"
        if alpha:
            masked = "alpha"
        elif nodata is not None:
            masked = "nodata"
        elif MaskFlags.all_valid not in flags:
            masked = "mask"
        stored, _ = as_stored(dataset)
        high, wide = stored.block_shapes[bands[0] - 1]
        block_px = high if high == wide else 0
        return cls(path, grid, tuple(bands), masked, nodata, alpha, tuple(stored.overviews(bands[0])), block_px)

    @property
    def is_slow_far_out(self) -> bool:
        """Whether it is large and its overviews, if any, do not reach far out."""
        return max(self.grid.shape) / max(self.overviews, default=1) > _LARGE_PX


def raster_source(file: RasterFile, pyramid: Pyramid, *, nearest: bool) -> PixelSource:
    """Return the pixels of a file on the levels of a view; values of classes are never mixed (``nearest``).

    Raises:
        GridError: If the file cannot be laid over the view's grid: only one of them says where it lies.
    """
    if pyramid.grid.has_pixels_of(file.grid):
        source: PixelSource = OnGrid(file, pyramid, nearest=nearest)
        if file.block_px in _SHARED:
            source = SharedBlocks(source, file.path, pyramid, file.block_px)
    elif (file.grid.crs is None) != (pyramid.grid.crs is None):
        raise GridError(
            f"{file.path} cannot be laid over the others: only one of them has a coordinate system.",
            expected="rasters that all have one, or one shape in pixels",
            remedy="Assign the CRS (gdal_edit.py -a_srs EPSG:...), or view it alone.",
        )
    else:
        source = Warped(file, pyramid, nearest=nearest)
    return WithoutOverviews(source, pyramid) if file.is_slow_far_out else source


class _FileSource:
    """What both kinds share: handles by what they are opened with, and the valid pixels."""

    def __init__(self, file: RasterFile, pyramid: Pyramid, *, nearest: bool) -> None:
        self._file, self._pyramid, self._nearest = file, pyramid, nearest
        self._lock = threading.Lock()
        self._handles: dict[int, Handles] = {}

    def close(self) -> None:
        """Close all handles that are not in use."""
        for one in self._handles.values():
            one.close()

    def _pool(self, key: int) -> Handles:
        with self._lock:
            if key not in self._handles:
                self._handles[key] = Handles(self._file.path, partial(self._opened, key))
            return self._handles[key]

    def _opened(self, key: int) -> Any:
        raise NotImplementedError

    def _valid(self, values: NDArray[Any], dataset: Any, window: Window, shape: tuple[int, int]) -> BoolArray:
        """Return which pixels are valid: those that not every band says are not."""
        known = ~np.isnan(values).all(axis=0) if values.dtype.kind == "f" else np.ones(shape, np.bool_)
        if self._file.masked == "nodata" and self._file.nodata is not None and not np.isnan(self._file.nodata):
            known &= ~(values == self._file.nodata).all(axis=0)
        elif self._file.masked == "alpha":
            known &= dataset.read(self._file.alpha, window=window, out_shape=shape) > 0
        elif self._file.masked == "mask":
            known &= dataset.read_masks(self._file.bands[0], window=window, out_shape=shape) > 0
        return known


class OnGrid(_FileSource):
    """A file whose pixels are those of the view: a tile is a window of the file, or of one of its overviews."""

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        factor = 1 << level
        kept = max((one for one in self._file.overviews if factor % one == 0 and one <= factor), default=1)
        with self._pool(kept).handle() as lent:
            dataset, turn = lent
            return self._window(dataset, turn, block, factor // kept)

    def _window(self, dataset: Any, turn: Turn, block: Block, ratio: int) -> tuple[NDArray[Any], BoolArray]:
        """Return a block of pixels that are ``ratio`` times as large as the dataset's."""
        height, width = turn.shape(dataset.shape)
        inside = Block(block.row * ratio, block.col * ratio, block.height * ratio, block.width * ratio).intersection(
            Block(0, 0, height, width)
        )
        count = len(self._file.bands)
        if inside.is_empty:
            return np.zeros((count, *block.shape), dataset.dtypes[0]), np.zeros(block.shape, np.bool_)
        window = turn.window(Window(inside.col, inside.row, inside.width, inside.height), dataset.shape)
        shape = turn.shape((-(-inside.height // ratio), -(-inside.width // ratio)))  # its own inverse
        how = Resampling.nearest if self._nearest or ratio == 1 else Resampling.average
        values = dataset.read(list(self._file.bands), window=window, out_shape=(count, *shape), resampling=how)
        valid = self._valid(values, dataset, window, shape)
        return _filled(turn.pixels(values), block), _filled(turn.pixels(valid), block)

    def _opened(self, key: int) -> Any:
        """Open the file, or its overview with pixels ``key`` times as large."""
        first = open_dataset(self._file.path)
        stored, turn = as_stored(first)
        if key == 1:
            return _Lent(stored, turn)
        level = self._file.overviews.index(key)
        stored.close()
        with ignoring(NotGeoreferencedWarning):
            return _Lent(rasterio.open(gdal_name(self._file.path), overview_level=level), turn)


class _Lent(tuple[Any, Turn]):
    """An open raster in the order its pixels are stored in, and how they are turned."""

    def __new__(cls, dataset: Any, turn: Turn) -> _Lent:
        return super().__new__(cls, (dataset, turn))

    def close(self) -> None:
        self[0].close()


class Warped(_FileSource):
    """A file on another grid, resampled to the pixels of each level by GDAL, from its overviews where it has them."""

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        window = Window(block.col, block.row, block.width, block.height)
        with self._pool(level).handle() as dataset:
            values = dataset.read(list(self._file.bands), window=window)
            known = self._valid(values, dataset, window, block.shape)
            if self._file.masked == "none":
                known &= dataset.read(dataset.count, window=window) > 0
            return values, known

    def _opened(self, key: int) -> Any:
        stored, _ = as_stored(open_dataset(self._file.path))
        grid = self._pyramid.grid_of(key)
        target = _ANYWHERE if grid.crs is None else grid.crs.to_wkt()
        return WarpedVRT(
            stored, src_crs=stored.crs or rasterio.crs.CRS.from_wkt(_ANYWHERE), crs=rasterio.crs.CRS.from_wkt(target),
            transform=grid.transform, height=grid.height, width=grid.width,
            resampling=Resampling.nearest if self._nearest else Resampling.bilinear,
            add_alpha=self._file.masked == "none",
        )  # fmt: skip


def _filled(values: NDArray[Any], block: Block) -> NDArray[Any]:
    """Return values that begin where a block does, with zeros where the block reaches further."""
    if values.shape[-2:] == block.shape:
        return np.ascontiguousarray(values)
    whole = np.zeros((*values.shape[:-2], *block.shape), values.dtype)
    height, width = min(values.shape[-2], block.height), min(values.shape[-1], block.width)
    whole[..., :height, :width] = values[..., :height, :width]
    return whole


def without_bands(file: RasterFile, bands: Sequence[int]) -> RasterFile:
    """Return the same file read in other bands."""
    return replace(file, bands=tuple(bands))
