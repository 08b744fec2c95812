"""GDAL's block cache while a raster is read once from top to bottom."""

from __future__ import annotations

import rasterio

from crispmap.files.dataset import is_chosen

CACHE_BYTES = 16 * 2**20  # room for a row of tiles 512 high, of a byte raster 32,768 pixels wide

_OPTION = "GDAL_CACHEMAX"


def few_blocks_kept() -> rasterio.Env:
    """Return a context in which GDAL caches at most CACHE_BYTES, for work that reads every pixel about once.

    Its peak memory then does not depend on the raster's size. A limit set in the environment or by a surrounding
    ``rasterio.Env`` stays.
    """
    return rasterio.Env(**({} if is_chosen(_OPTION) else {_OPTION: CACHE_BYTES}))
