"""Cloud-Optimized GeoTIFFs, made from a raster GDAL opens, and read back for verification.

GDAL does not report a disk that fills up while it closes a file or compresses in several threads.
"""

from __future__ import annotations

import math
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

from crispmap.files.quiet import ignoring
from crispmap.geo.grid import Block
from crispmap.raster.spec import RasterSpec

_CACHE_BYTES = 32 * 2**20  # in bytes: unlike the environment variable, rasterio's GDAL_CACHEMAX is never in megabytes


def create_raster(path: Path, spec: RasterSpec, *, driver: str, **options: Any) -> DatasetWriter:
    """Create a raster with the metadata of a spec, without pixels yet; RasterioError if it cannot be created."""
    grid = spec.grid
    crs = None if grid.crs is None else rasterio.crs.CRS.from_wkt(grid.crs.to_wkt())
    with ignoring(NotGeoreferencedWarning):
        place = {"height": grid.height, "width": grid.width, "crs": crs, "transform": grid.transform}
        values = {"count": spec.count, "dtype": spec.read_dtype.name, "nodata": spec.nodata}
        dataset: DatasetWriter = rasterio.open(path, "w", driver=driver, **place, **values, **options)
    for band, text in enumerate(spec.descriptions, 1):
        dataset.set_band_description(band, text)
    if spec.colormap:
        dataset.write_colormap(1, spec.colormap)
    if spec.scale is not None:
        dataset.scales = (spec.scale,) * spec.count
        dataset.offsets = (0.0,) * spec.count
    dataset.update_tags(**spec.tags)
    return dataset


def write_cog(source: Path, finished: Path, spec: RasterSpec) -> None:
    """Copy a raster with the metadata of a spec into a Cloud-Optimized GeoTIFF.

    Tiled, compressed with predictor, overviews, BigTIFF where needed. Its bytes depend on the source's pixels and
    metadata alone. Memory does not grow with the raster.

    Raises:
        OSError: If it cannot be written; a full disk may go unnoticed: see ``differing``.
    """
    options = {
        "COMPRESS": spec.compression,
        "PREDICTOR": "YES",
        "BLOCKSIZE": str(spec.tile_px),
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": "ALL_CPUS",
        "OVERVIEW_RESAMPLING": spec.overviews,
        **_overview_options(spec),
    }
    if spec.compression == "ZSTD":
        options["LEVEL"] = "1"  # of floats higher ones save 1 % and take up to 3 times as long
    try:
        # GDAL keeps overviews in a file of its own meanwhile; with its default, ZSTD, that takes a fifth of the time.
        scratch = {"COG_TMP_COMPRESSION": "PACKBITS"} if spec.overviews == "MODE" else {}
        with ignoring(NotGeoreferencedWarning), _gdal(GDAL_NUM_THREADS="ALL_CPUS", **scratch):
            _copied(source, finished, options)
    except Exception as error:  # GDAL's own errors have no public base class
        raise OSError(str(error)) from error


def _copied(source: Path, finished: Path, options: dict[str, str]) -> None:
    """Copy a raster with GDAL's driver for Cloud-Optimized GeoTIFFs."""
    try:
        rasterio.shutil.copy(source, finished, driver="COG", **options)
    except SystemError:
        # GDAL gave no reason: in 2 of some 100 runs it failed so right after another copy had failed. One more try.
        rasterio.shutil.copy(source, finished, driver="COG", **options)


def _overview_options(spec: RasterSpec) -> dict[str, str]:
    """Return options for rasters so narrow that GDAL's own overviews would be as wide as the raster."""
    longest = max(spec.grid.shape)
    count = max(0, math.ceil(math.log2(longest / spec.tile_px)))
    halvings = spec.grid.width.bit_length() - 1
    if halvings >= count:
        return {}
    return {"OVERVIEW_COUNT": str(halvings)} if halvings else {"OVERVIEWS": "NONE"}


def differing(finished: Path, spec: RasterSpec, written: Iterable[tuple[Block, int]]) -> Iterator[int]:
    """Yield the indices of the blocks whose pixels in a finished raster differ from the checksum of what was written.

    Raises:
        rasterio.errors.RasterioError: If it cannot be read.
    """
    with _gdal(), _opened(finished) as dataset:
        for place, (block, expected) in enumerate(written):
            window = Window(block.col, block.row, block.width, block.height)
            if checksum(dataset.read(window=window, out_dtype=spec.read_dtype)) != expected:
                yield place


def checksum(values: NDArray[Any]) -> int:
    """Return the CRC-32 of the bytes of a C-contiguous array."""
    return zlib.crc32(values.data) if values.size else 0


def _opened(path: Path) -> DatasetReader:
    with ignoring(NotGeoreferencedWarning):
        return rasterio.open(path)


def _gdal(**options: str) -> rasterio.Env:
    return rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES, **options)
