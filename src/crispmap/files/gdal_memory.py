"""How much memory GDAL keeps pixels in while a raster is read once from its top to its bottom."""

from __future__ import annotations

import rasterio

from crispmap.files.dataset import is_chosen

CACHE_BYTES = 16 * 2**20
"""Room for a row of tiles 512 high, of a byte raster 32,768 pixels wide."""

_OPTION = "GDAL_CACHEMAX"


def few_blocks_kept() -> rasterio.Env:
    """Return a context in which GDAL keeps no more than CACHE_BYTES of pixels, for work that hardly returns to any.

    The peak memory of such work is then the same for rasters of any size, rather than growing until the usual cache is
    full. A bound that a person has set, in the environment or by a surrounding ``rasterio.Env``, stands.
    """
    return rasterio.Env(**({} if is_chosen(_OPTION) else {_OPTION: CACHE_BYTES}))
