"""Values of tiles as pictures: images stretched to bytes, classes and amounts by a table of colours."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crispmap.types import BoolArray

PNG, JPEG, WEBP = "image/png", "image/jpeg", "image/webp"
NOTHING = 255
"""The entry of a table of colours that is transparent."""
RAMP = ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725")
"""Viridis, as the styles of QGIS have it; colour-blind people read it too."""
_JPEG_QUALITY, _WEBP_QUALITY = 85, 82


@dataclass(frozen=True)
class Picture:
    """An encoded picture."""

    kind: str  # its media type
    content: bytes


class Painter(Protocol):
    """What makes pictures of values."""

    def paint(self, values: NDArray[Any], valid: BoolArray, *, lasting: bool = False) -> Picture:
        """Return the picture of values (band, row, col), transparent where they are not valid.

        Args:
            lasting: Whether it goes into a file, which must be small and of one kind, and may take longer to make.
        """


@dataclass(frozen=True)
class ImagePainter:
    """Paints one band in grey, or three in colours; values from lowest to highest, by band, become 0 to 255."""

    lowest: tuple[float, ...]
    highest: tuple[float, ...]

    def paint(self, values: NDArray[Any], valid: BoolArray, *, lasting: bool = False) -> Picture:
        """Return a JPEG where all is valid, else a PNG; of those that last, WebP. See ``Painter``."""
        pixels = self._bytes(values)
        whole = bool(valid.all())
        if len(pixels) == 1:
            pixels = pixels.repeat(3, axis=0)
        layers = [*pixels] if whole else [*pixels, np.where(valid, np.uint8(255), np.uint8(0))]
        picture = Image.fromarray(np.ascontiguousarray(np.stack(layers, axis=-1)))
        if lasting:
            return _encoded(picture, WEBP, quality=_WEBP_QUALITY, method=4)
        if whole:
            return _encoded(picture, JPEG, quality=_JPEG_QUALITY, subsampling=0)
        return _encoded(picture, PNG, compress_level=1)

    def _bytes(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        if values.dtype == np.uint8 and set(self.lowest) == {0.0} and set(self.highest) == {255.0}:
            return values
        lowest = np.asarray(self.lowest, np.float32)[:, None, None]
        span = np.asarray(self.highest, np.float32)[:, None, None] - lowest
        scaled = (values.astype(np.float32) - lowest) * (255 / np.where(span > 0, span, 1))
        return np.clip(np.nan_to_num(scaled), 0, 255).round().astype(np.uint8)


@dataclass(frozen=True)
class ClassPainter:
    """Paints class ids by a colour each; those without one are transparent."""

    colours: Mapping[int, str]  # by class id, #rrggbb

    def paint(self, values: NDArray[Any], valid: BoolArray, *, lasting: bool = False) -> Picture:
        """Return a PNG with these colours as its table; see ``Painter``."""
        ids = values[0]
        if ids.dtype != np.uint8:
            valid = valid & (ids >= 0) & (ids < NOTHING)
            ids = np.where(valid, ids, 0).astype(np.uint8)
        shown = np.where(valid & self._has_colour[ids], ids, np.uint8(NOTHING))
        return _by_table(shown, self._table, lasting)

    @cached_property
    def _has_colour(self) -> BoolArray:
        found = np.zeros(256, np.bool_)
        found[[one for one in self.colours if 0 <= one < NOTHING]] = True
        return found

    @cached_property
    def _table(self) -> bytes:
        return _table_of([self.colours.get(index, "#000000") for index in range(NOTHING)])


@dataclass(frozen=True)
class AmountPainter:
    """Paints amounts from lowest to highest by a ramp of colours."""

    lowest: float
    highest: float

    def paint(self, values: NDArray[Any], valid: BoolArray, *, lasting: bool = False) -> Picture:
        """Return a PNG with the ramp as its table of colours; see ``Painter``."""
        span = self.highest - self.lowest
        share = (values[0].astype(np.float32) - self.lowest) / (span if span > 0 else 1)
        steps = np.clip(np.nan_to_num(share) * (NOTHING - 1), 0, NOTHING - 1).round().astype(np.uint8)
        return _by_table(np.where(valid, steps, np.uint8(NOTHING)), _ramp_table(), lasting)


def ramp(count: int) -> list[str]:
    """Return so many colours along the ramp."""
    stops = np.array([_rgb(one) for one in RAMP], np.float64)
    places = np.linspace(0, len(stops) - 1, count)
    channels = [np.interp(places, np.arange(len(stops)), stops[:, channel]) for channel in range(3)]
    return [f"#{round(r):02x}{round(g):02x}{round(b):02x}" for r, g, b in zip(*channels, strict=True)]


@cache
def _ramp_table() -> bytes:
    return _table_of(ramp(NOTHING))


def _table_of(colours: Sequence[str]) -> bytes:
    """Return the bytes of a table of 255 colours and one more."""
    return bytes(channel for colour in colours for channel in _rgb(colour)) + b"\0\0\0"


def _by_table(shown: NDArray[np.uint8], table: bytes, lasting: bool) -> Picture:
    """Return a picture of entries of a table of colours; entry 255 is transparent."""
    picture = Image.fromarray(shown)
    picture.putpalette(table)
    return _encoded(picture, PNG, transparency=NOTHING, compress_level=9 if lasting else 1)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _encoded(picture: Image.Image, kind: str, **options: Any) -> Picture:
    target = io.BytesIO()
    picture.save(target, kind.rpartition("/")[2], **options)
    return Picture(kind, target.getvalue())
