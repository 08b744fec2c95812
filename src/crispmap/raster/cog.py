"""Cloud-Optimized GeoTIFFs: made from a raster GDAL opens, and read back before they are believed.

GDAL keeps quiet about a disk that fills up while it closes a file or compresses in several threads: hence the
reading back.
"""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import rasterio
import rasterio.crs
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader, DatasetWriter
from rasterio.windows import Window

from crispmap.geo.grid import Block
from crispmap.raster.spec import RasterSpec

_CACHE_BYTES = 32 * 2**20
"""Bytes; rasterio hands GDAL_CACHEMAX to a call that, unlike the environment variable, never means megabytes."""


def create_raster(path: Path, spec: RasterSpec, *, driver: str, **options: Any) -> DatasetWriter:
    """Create a raster with all the metadata of a spec, open for writing, without pixels yet.

    Raises:
        rasterio.errors.RasterioError: If it cannot be created.
    """
    grid = spec.grid
    crs = None if grid.crs is None else rasterio.crs.CRS.from_wkt(grid.crs.to_wkt())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset: DatasetWriter = rasterio.open(
            path,
            "w",
            driver=driver,
            height=grid.height,
            width=grid.width,
            count=spec.count,
            dtype=spec.read_dtype.name,
            crs=crs,
            transform=grid.transform,
            nodata=spec.nodata,
            **options,
        )
    for band, text in enumerate(spec.descriptions, 1):
        dataset.set_band_description(band, text)
    if spec.colormap:
        dataset.write_colormap(1, dict(spec.colormap))
    if spec.scale is not None:
        dataset.scales = (spec.scale,) * spec.count
        dataset.offsets = (0.0,) * spec.count
    dataset.update_tags(**spec.tags)
    return dataset


def write_cog(source: Path, finished: Path, spec: RasterSpec) -> None:
    """Copy a raster into a Cloud-Optimized GeoTIFF: tiled, DEFLATE with predictor, overviews, BigTIFF where needed.

    Its bytes depend on the pixels and the metadata of the source alone. Memory does not grow with the raster.

    Args:
        source: The raster, with the metadata of the spec.
        finished: The file to write.
        spec: What it is.

    Raises:
        OSError: If it cannot be written. Not for certain on a full disk: see ``differing``.
    """
    options = {
        "COMPRESS": "DEFLATE",
        "PREDICTOR": "YES",
        "BLOCKSIZE": str(spec.tile_px),
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": "ALL_CPUS",
        "OVERVIEW_RESAMPLING": spec.overviews,
        **_overview_options(spec),
    }
    try:
        with warnings.catch_warnings(), _gdal():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            rasterio.shutil.copy(source, finished, driver="COG", **options)
    except Exception as error:  # GDAL's errors come out of here raw, without a public base class
        raise OSError(str(error)) from error


def _overview_options(spec: RasterSpec) -> dict[str, str]:
    """Return options for rasters so narrow that GDAL's own overviews would be as wide as the raster."""
    longest = max(spec.grid.shape)
    count = max(0, math.ceil(math.log2(longest / spec.tile_px)))
    halvings = spec.grid.width.bit_length() - 1
    if halvings >= count:
        return {}
    return {"OVERVIEW_COUNT": str(halvings)} if halvings else {"OVERVIEWS": "NONE"}


def differing(finished: Path, spec: RasterSpec, written: Iterable[tuple[Block, int]]) -> Iterator[int]:
    """Yield the places of the blocks that a finished raster does not hold as they were written.

    Args:
        finished: The raster.
        spec: What it is.
        written: Blocks with the ``checksum`` of what was written there.

    Raises:
        rasterio.errors.RasterioError: If it cannot be read.
    """
    with _gdal(), _opened(finished) as dataset:
        for place, (block, expected) in enumerate(written):
            window = Window(block.col, block.row, block.width, block.height)
            if checksum(dataset.read(window=window, out_dtype=spec.read_dtype)) != expected:
                yield place


def checksum(values: NDArray[Any]) -> int:
    """Return the CRC-32 of an array's bytes.

    Args:
        values: C-contiguous, of any shape and type.
    """
    return zlib.crc32(values.data) if values.size else 0


def _opened(path: Path) -> DatasetReader:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset: DatasetReader = rasterio.open(path)
    return dataset


def _gdal() -> rasterio.Env:
    return rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES)
