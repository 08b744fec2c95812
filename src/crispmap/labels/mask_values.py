"""The values or colours that a mask holds, and their shares."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import SceneError
from crispmap.files.dataset import GDAL_ERRORS
from crispmap.geo.grid import Block
from crispmap.labels import palette
from crispmap.metrics import occurrences
from crispmap.types import BoolArray, DoubleArray

_LOSSY = {"JPEG", "JP2OPENJPEG", "WEBP", "JPEG2000"}
_BLOCK_PX = 512
_MOST_BLOCKS = 64  # of a larger mask as many are looked at, evenly spread
_MOST_VALUES = 64  # a raster of more distinct values is an image, unless it is grey
_NEAR = 48  # how far JPEG puts the values of a black and white mask from 0 and 255
_NEAR_SHARE = 0.95


@dataclass(frozen=True)
class MaskValues:
    """The values of a mask."""

    traits: palette.MaskTraits
    shares: tuple[tuple[int, float], ...]  # codes, the most frequent first, with their share of the labelled pixels
    sampled: bool  # whether only a part was looked at
    grey: bool  # whether it is black and white, blurred by compression or resampling

    @property
    def black_white(self) -> bool:
        """Whether it holds black and white alone."""
        white = 0xFFFFFF if self.traits.colour else 255
        return {code for code, _ in self.shares} == {0, white} and self.traits.nodata != 255

    def rows(self, schema: ClassSchema | None = None) -> list[dict[str, Any]]:
        """Return values or colours with their shares in percent, of a class map with the names of its classes."""
        rows = []
        for code, share in self.shares[:_MOST_VALUES]:
            colour = self.traits.colour
            row: dict[str, Any] = {"colour" if colour else "value": palette.show_code(code, True) if colour else code}
            if self.traits.palette:
                row["colour"] = palette.show_code(self.traits.palette.get(code, 0), True)
            if schema is not None and 0 <= code < len(schema):
                row["class"] = schema[code].name
            rows.append(row | {"share_percent": round(100 * share, 2)})
        return rows


def mask_values(dataset: DatasetReader, name: str) -> MaskValues | None:
    """Return the values of a raster that can be a mask, or None for one that cannot.

    Raises:
        SceneError: If it cannot be read.
    """
    try:
        return _values_of(dataset, name)
    except GDAL_ERRORS as error:
        raise SceneError(
            f"{name} cannot be read: {error}",
            expected="a complete raster file",
            remedy="Copy or download the file again; check it with gdalinfo -checksum.",
        ) from error


def _values_of(dataset: DatasetReader, name: str) -> MaskValues | None:
    traits = traits_of(dataset, name)
    if traits is None or (traits.colour and set(dataset.dtypes[:3]) != {"uint8"}):
        return None
    windows, sampled = _sample(dataset)
    found: dict[int, int] = {}
    for window in windows:
        codes, valid = read_codes(dataset, traits, window)
        count_codes(codes[valid], found)
        if palette.NOT_WHOLE in found or len(found) > 1 << 12:
            return None
    grey = _is_grey(found, traits)
    if not found or (len(found) > _MOST_VALUES and not grey):
        return None
    total = sum(found.values())
    shares = sorted(((code, count / total) for code, count in found.items()), key=lambda one: (-one[1], one[0]))
    return MaskValues(traits, tuple(shares), sampled, grey)


def count_codes(codes: palette.Codes, found: dict[int, int]) -> None:
    """Add the number of pixels of each code to those found before."""
    if codes.dtype == np.uint8:
        among = occurrences(codes, 256)
        values = np.flatnonzero(among)
        counts = among[values]
    else:
        values, counts = np.unique(codes, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        found[value] = found.get(value, 0) + count


def holds_code(dataset: DatasetReader, traits: palette.MaskTraits, code: int) -> bool:
    """Return whether a mask holds a code, valid or not; of a large one a part is looked at."""
    return any((read_codes(dataset, traits, window)[0] == code).any() for window in _sample(dataset)[0])


def _sample(dataset: DatasetReader) -> tuple[list[Window], bool]:
    """Return windows spread evenly over a raster, and whether they leave some of it out."""
    whole = Block(0, 0, dataset.height, dataset.width)
    across = -(-whole.width // _BLOCK_PX)
    count = across * -(-whole.height // _BLOCK_PX)  # not listed: a file may claim billions
    step = max(1.0, count / _MOST_BLOCKS)
    windows = []
    for place in range(min(count, _MOST_BLOCKS)):
        row, col = divmod(int(place * step), across)
        block = Block(row * _BLOCK_PX, col * _BLOCK_PX, _BLOCK_PX, _BLOCK_PX).intersection(whole)
        windows.append(Window(block.col, block.row, block.width, block.height))
    return windows, len(windows) < count


def traits_of(dataset: DatasetReader, name: str) -> palette.MaskTraits | None:
    """Return the traits of a mask's file, or None for other than one, three or four bands."""
    bands = dataset.count - int(has_alpha(dataset))
    if bands not in (1, 3, 4):
        return None
    colours = None
    if bands == 1 and dataset.colorinterp[0] == ColorInterp.palette:
        with suppress(ValueError):  # the file says that it has a colour table, and has none
            colours = {value: palette.colour_code(rgba[:3]) for value, rgba in dataset.colormap(1).items()}
    compression = dataset.compression.value.upper() if dataset.compression else ""
    lossy = bool(_LOSSY & {dataset.driver.upper(), compression})
    return palette.MaskTraits(bands >= 3, colours, lossy, dataset.nodata, name)


def has_alpha(dataset: DatasetReader) -> bool:
    """Return whether a file has a band that says which pixels are valid."""
    return ColorInterp.alpha in dataset.colorinterp


def read_codes(dataset: DatasetReader, traits: palette.MaskTraits, window: Window) -> tuple[palette.Codes, BoolArray]:
    """Return the codes of a window's pixels, bytes where the file has one band of them, and which are valid."""
    bands = dataset.read([1, 2, 3] if traits.colour else [1], window=window)
    valid = _valid(dataset, window)
    if bands.dtype == np.uint8:
        return _joined(bands.astype(np.int64), traits) if traits.colour else bands[0], valid
    finite = np.isfinite(bands).all(axis=0)
    whole = finite & (bands == np.trunc(bands)).all(axis=0) & (np.abs(bands) < 1 << 53).all(axis=0)
    if traits.colour:
        whole &= ((bands >= 0) & (bands <= 255)).all(axis=0)
    codes = _joined(np.where(whole, bands, 0).astype(np.int64), traits)
    return np.where(whole, codes, palette.NOT_WHOLE), valid & finite


def _valid(dataset: DatasetReader, window: Window) -> BoolArray:
    """Return which pixels of a window are valid; of one band its own mask says so, read in a tenth of the time."""
    if isinstance(dataset, DatasetReader) and dataset.count == 1:
        return np.asarray(dataset.read_masks(1, window=window) > 0)
    return np.asarray(dataset.dataset_mask(window=window) > 0)


def _joined(numbers: palette.Codes, traits: palette.MaskTraits) -> palette.Codes:
    """Return the codes of whole numbers (band, row, col)."""
    codes: palette.Codes = numbers[0]
    if traits.colour:
        codes = (numbers[0] << 16) | (numbers[1] << 8) | numbers[2]
    return codes


def read_grey(dataset: DatasetReader, traits: palette.MaskTraits, window: Window) -> tuple[DoubleArray, BoolArray]:
    """Return the grey values of a window's pixels, NaN where the channels of a colour differ, and which are valid."""
    bands = dataset.read([1, 2, 3] if traits.colour else [1], window=window).astype(np.float64)
    valid = (dataset.dataset_mask(window=window) > 0) & np.isfinite(bands).all(axis=0)
    return np.where(np.ptp(bands, axis=0) <= _NEAR, bands.mean(axis=0), np.nan), valid


def _is_grey(found: dict[int, int], traits: palette.MaskTraits) -> bool:
    """Return whether almost all values, of which there are more than two, lie near black or white, and both occur."""
    codes, counts = np.array(list(found), np.int64), np.array(list(found.values()))
    values = palette.split_colour(codes) if traits.colour else np.stack([codes] * 3, axis=-1)
    even = values.max(axis=-1) - values.min(axis=-1) <= _NEAR
    black, white = (values.max(axis=-1) <= _NEAR) & even, (values.min(axis=-1) >= 255 - _NEAR) & even
    ends = counts[black].sum() + counts[white].sum()
    return len(found) > 4 and bool(
        values.max() <= 255 and black.any() and white.any() and ends >= _NEAR_SHARE * counts.sum()
    )
