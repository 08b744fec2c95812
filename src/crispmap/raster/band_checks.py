"""Warnings about bands that are probably not what they seem."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from crispmap.errors import CrispmapWarning
from crispmap.files.dataset import GDAL_ERRORS

_SAMPLES = (0.15, 0.5, 0.85)
_SAMPLE_PX = 64
_FEW_VALUES = 3
_STACK = 4  # from here to the caller of open_scene


def warn_about_bands(dataset: DatasetReader, path: Path, bands: Sequence[int], *, chosen: bool) -> None:
    """Warn if the bands (1-based) with which a raster is read as an image are probably not what they seem.

    Warns:
        CrispmapWarning: If the values of a band are indices into a colour table; or if a band left out as transparency
            looks measured: GDAL declares the fourth of four 8-bit bands as alpha.
    """
    if any(dataset.colorinterp[band - 1] is ColorInterp.palette for band in bands):
        warnings.warn(
            f"{path} has a colour table: its values are indices, not brightness, and a network reads "
            f"them as they are. If it is a picture, expand it first: gdal_translate -expand rgb {path} rgb.tif",
            CrispmapWarning,
            stacklevel=_STACK,
        )
    if chosen:
        return
    for band, colour in enumerate(dataset.colorinterp, 1):
        if colour is ColorInterp.alpha and _looks_measured(_sample(dataset, band)):
            every = list(dataset.indexes)
            warnings.warn(
                f"Band {band} of {path} is declared as transparency (alpha) and left out, but holds many values, as "
                f"near infrared would. If it is a band of the image, ask for it by number: "
                f"bands={','.join(map(str, every))}, or in a project file scene: bands: {every}",
                CrispmapWarning,
                stacklevel=_STACK,
            )


def _looks_measured(values: NDArray[Any]) -> bool:
    """Return whether values cannot be transparency: mostly neither 0 nor full, and of more than a few levels.

    The soft edge of a real alpha band has many levels too, but few pixels.
    """
    if values.dtype.kind not in "iu":
        return False
    seen = values[values != 0]
    between = seen[seen != np.iinfo(values.dtype).max]
    return 2 * between.size > seen.size and np.unique(between).size > _FEW_VALUES


def _sample(dataset: DatasetReader, band: int) -> NDArray[Any]:
    """Return values of a band from small windows spread over the raster; none where it cannot be read."""
    side = min(_SAMPLE_PX, dataset.height), min(_SAMPLE_PX, dataset.width)
    parts = [np.zeros(0, dataset.dtypes[band - 1])]
    with suppress(*GDAL_ERRORS):  # reading the image raises a better error
        for down in _SAMPLES:
            for across in _SAMPLES:
                row, col = int(down * (dataset.height - side[0])), int(across * (dataset.width - side[1]))
                parts.append(dataset.read(band, window=Window(col, row, side[1], side[0])).ravel())
    return np.concatenate(parts)
