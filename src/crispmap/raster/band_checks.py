"""Warnings about bands and borders that are probably not what they seem."""

from __future__ import annotations

import warnings
from collections import Counter
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
from crispmap.raster.nodata import NodataRule

_SAMPLES = (0.15, 0.5, 0.85)
_SAMPLE_PX = 64
_FEW_VALUES = 3
_SIDES = 4  # windows along a side of the border, corners included
_BORDER_PX = 32
_LEAST_PX = 128  # smaller images are all border
_LOSSY = ("JPEG", "WEBP", "JPEG2000")
_SMEAR = 16  # by how much JPEG of common quality changes a value at the edge of a collar
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
                f"bands={','.join(map(str, every))}, or in a project file scene: bands: {every}; where that cannot be "
                f"given, say so in the file: gdal_edit.py -colorinterp_{band} undefined",
                CrispmapWarning,
                stacklevel=_STACK,
            )


def warn_about_border(
    dataset: DatasetReader, path: Path, bands: Sequence[int], nodata: NodataRule, *, exact: bool
) -> None:
    """Warn if pixels around an image are probably without data, and are read as if they had some.

    A few windows along the border are read.

    Args:
        dataset: The open raster.
        path: Its name in messages.
        bands: The bands (1-based) that are read.
        nodata: What their nodata values make invalid.
        exact: Whether a person or a mask has told which pixels have none.

    Warns:
        CrispmapWarning: If two of these windows or more hold one value and no nodata is declared; or if one is all
            nodata in a raster of lossy compression, which blurs the edge of such a collar.
    """
    if exact or min(dataset.shape) < _LEAST_PX or not (nodata.is_empty or _is_lossy(dataset)):
        return
    windows = _border(dataset, bands)
    if nodata.is_empty:
        text = _undeclared(dataset, path, windows, _sample(dataset, bands[0]))
    else:
        text = (
            f"The border of {path} is without data, and its compression is lossy: pixels along the edge of that "
            f"collar differ from the nodata value and count as data. Add nodata_tolerance={_SMEAR}, which also "
            "leaves out pixels of the image that are as near to it."
        ) * any(not nodata.valid(window).any() for window in windows)
    if text:
        warnings.warn(text, CrispmapWarning, stacklevel=_STACK)


def _undeclared(dataset: DatasetReader, path: Path, border: Sequence[NDArray[Any]], inside: NDArray[Any]) -> str:
    """Return what to say of a border of one value that is not declared as nodata; nothing where there is none."""
    found = Counter(window.flat[0].item() for window in border if (window == window.flat[0]).all())
    value, count = found.most_common(1)[0] if found else (0, 0)
    if count < 2 or (inside == value).all():
        return ""
    blurred = f" and nodata_tolerance={_SMEAR}" if _is_lossy(dataset) else ""
    return (
        f"Parts of the border of {path} hold the value {value:g} alone, and no nodata value is declared. If they are "
        f"without data, add nodata={value:g}{blurred}; if not, nodata=nan says so."
    )


def _is_lossy(dataset: DatasetReader) -> bool:
    """Return whether a raster is compressed in a way that changes values."""
    facts = dataset.tags(ns="IMAGE_STRUCTURE")
    named = f"{dataset.driver} {facts.get('COMPRESSION', '')}".upper()
    lossless = "LOSSLESS" in facts.get("COMPRESSION_REVERSIBILITY", "")
    return any(kind in named for kind in (*_LOSSY, "JP2")) and not lossless


def _border(dataset: DatasetReader, bands: Sequence[int]) -> list[NDArray[Any]]:
    """Return the bands in windows along the border, corners included; none where they cannot be read."""
    steps = [place / (_SIDES - 1) for place in range(_SIDES)]
    places = [(down, across) for down in steps for across in steps if {down, across} & {0.0, 1.0}]
    height, width = dataset.height - _BORDER_PX, dataset.width - _BORDER_PX
    with suppress(*GDAL_ERRORS):  # reading the image raises a better error
        return [
            dataset.read(list(bands), window=Window(int(across * width), int(down * height), _BORDER_PX, _BORDER_PX))
            for down, across in places
        ]
    return []


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
