"""Maps as pictures: classes, probabilities, errors, and values around 0, each a PNG of few colours.

Unknown pixels are transparent, so that maps suit light and dark pages.
"""

from __future__ import annotations

import functools
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crispmap.classes import ClassSchema
from crispmap.errors import InputError
from crispmap.report.pictures.photos import ByteArray
from crispmap.types import IGNORE, FloatArray, LabelArray

Colour = tuple[int, int, int]

HEAT_LEVELS = 64  # colours of a heat map: steps of 1.6 % are invisible, and the file is a third of that with 256
_TRANSPARENT = 255
_MOST_OVERSHOOT = 3.0

ERROR_COLOURS: Mapping[str, tuple[int, int, int, int]] = {
    # After Okabe and Ito: distinct with any colour vision, and on light pages.
    "neither": (206, 208, 205, 255),
    "hit": (0, 158, 115, 255),
    "miss": (213, 94, 0, 255),
    "false alarm": (64, 104, 240, 255),
}
"""RGBA of the values of an error map, in order of palette index."""

GAIN_COLOURS: Mapping[str, tuple[int, int, int, int]] = {
    "right in both": (0, 0, 0, 0),  # what lies below shows
    "mended": (0, 190, 140, 255),
    "broken": (232, 92, 0, 255),
    "wrong in both": (86, 170, 240, 255),
    "not scored": (128, 128, 128, 190),
}
"""RGBA of the values of a gain map, in order of palette index; distinct with any colour vision, on a grey photo."""


def class_map_png(labels: LabelArray, schema: ClassSchema) -> bytes:
    """Return a class map (row, col) as a paletted PNG in the colours of its schema; other ids are transparent."""
    _check_plane(labels, "A class map")
    index = np.where(labels < len(schema), labels, _TRANSPARENT).astype(np.uint8)
    return _paletted(index, [(*one.rgb, 255) for one in schema])


def heat_png(probability: FloatArray) -> bytes:
    """Return probabilities as a paletted PNG in a perceptually uniform colour map, dark at 0 and light at 1."""
    _check_plane(probability, "A heat map")
    unknown = np.isnan(probability)
    level = np.rint(np.clip(np.where(unknown, 0, probability), 0, 1) * (HEAT_LEVELS - 1))
    return _paletted(np.where(unknown, _TRANSPARENT, level).astype(np.uint8), list(_heat_colours()))


@functools.cache
def _heat_colours() -> tuple[tuple[int, int, int, int], ...]:
    """Return HEAT_LEVELS opaque colours of matplotlib's inferno."""
    from matplotlib import colormaps

    table = colormaps["inferno"](np.linspace(0, 1, HEAT_LEVELS), bytes=True)
    return tuple((int(r), int(g), int(b), 255) for r, g, b, _ in table)


def error_map_png(predicted: LabelArray, reference: LabelArray, class_id: int) -> bytes:
    """Return hits, misses and false alarms of one class as a PNG in ERROR_COLOURS, transparent at IGNORE.

    Raises:
        InputError: If the two maps differ in shape.
    """
    _check_plane(predicted, "A map")
    if predicted.shape != reference.shape:
        raise InputError(
            f"A map of shape {predicted.shape} against a reference of shape {reference.shape}.",
            expected="two maps of one shape",
        )
    names = list(ERROR_COLOURS)
    index = np.full(predicted.shape, names.index("neither"), dtype=np.uint8)
    claimed, true = predicted == class_id, reference == class_id
    index[claimed & true] = names.index("hit")
    index[~claimed & true] = names.index("miss")
    index[claimed & ~true] = names.index("false alarm")
    index[(predicted == IGNORE) | (reference == IGNORE)] = _TRANSPARENT
    return _paletted(index, list(ERROR_COLOURS.values()))


def gain_map_png(before: LabelArray, after: LabelArray, reference: LabelArray) -> bytes:
    """Return where a map is right, and another was or was not, as a PNG in GAIN_COLOURS.

    Raises:
        InputError: If the three differ in shape.
    """
    _check_plane(reference, "A reference")
    if not before.shape == after.shape == reference.shape:
        raise InputError(
            f"Maps of shapes {before.shape} and {after.shape} against a reference of shape {reference.shape}.",
            expected="one shape for all",
        )
    names = list(GAIN_COLOURS)
    was, now = before == reference, after == reference
    index = np.full(reference.shape, names.index("wrong in both"), np.uint8)
    index[was & now] = names.index("right in both")
    index[~was & now] = names.index("mended")
    index[was & ~now] = names.index("broken")
    index[(before == IGNORE) | (after == IGNORE) | (reference == IGNORE)] = names.index("not scored")
    return _paletted(index, list(GAIN_COLOURS.values()))


def _check_plane(array: NDArray[Any], what: str) -> None:
    """Raise InputError for arrays other than (row, col), or without pixels."""
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{what} of shape {array.shape}.", expected="(row, col), neither of them 0")


def _paletted(index: ByteArray, colours: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Return indices into RGBA colours as PNG; index 255 is transparent.

    The palette has only these colours, so that a map of three classes takes two bits per pixel.
    """
    last = len(colours)
    compact = np.where(index == _TRANSPARENT, last, index).astype(np.uint8)
    picture = Image.fromarray(compact)
    table = [*colours, (0, 0, 0, 0)]
    picture.putpalette([value for colour in table for value in colour[:3]])
    bits = next(bits for bits in (1, 2, 4, 8) if len(table) <= 1 << bits)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True, bits=bits, transparency=bytes(colour[3] for colour in table))
    return buffer.getvalue()


def class_rgb(labels: LabelArray, schema: ClassSchema, unknown: Colour = (255, 255, 255)) -> ByteArray:
    """Return a class map as a picture uint8 (3, row, col); other ids have the colour ``unknown``."""
    table = np.full((256, 3), unknown, dtype=np.uint8)
    table[: len(schema)] = [one.rgb for one in schema]
    return np.ascontiguousarray(np.moveaxis(table[labels], -1, 0))


def diverging_png(values: NDArray[np.floating[Any]]) -> bytes:
    """Return finite values as a picture: white at 0, red above, blue below, full at 3 times their root mean square."""
    scale = _MOST_OVERSHOOT * math.sqrt(float((np.asarray(values, np.float64) ** 2).mean())) or 1.0
    share = np.clip(np.asarray(values, np.float64) / scale, -1, 1)
    fading = (255 * (1 - np.abs(share)))[..., None]
    end = np.where(share[..., None] >= 0, (178, 24, 43), (33, 102, 172))
    colours = np.rint(fading + np.abs(share)[..., None] * end).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
