"""How much memory GDAL may keep pixels in."""

from __future__ import annotations

import os

CACHE_MB = 128
"""Room for a row of tiles 512 high of a byte raster 200,000 pixels wide; GDAL itself would take 5 % of the memory."""

_OPTION = "GDAL_CACHEMAX"


def bound_gdal_memory() -> None:
    """Let GDAL keep no more than CACHE_MB of pixels, in every copy of it that is loaded later.

    A bound that the user has set (the environment variable GDAL_CACHEMAX) stands. Call it before rasters are opened: so
    the memory of a command is the same on every machine, and does not grow with the rasters it reads.
    """
    os.environ.setdefault(_OPTION, str(CACHE_MB))
