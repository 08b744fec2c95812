"""Decoding of a mask's values: class ids, colours of a schema, or black and white."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.errors import LabelError
from crispmap.types import IGNORE

Codes: TypeAlias = NDArray[np.integer[Any]]  # of each pixel: its value, or 65536 red + 256 green + blue

Decoder: TypeAlias = Callable[[Codes], NDArray[np.int64]]
"""From codes, as int64, to class ids, UNKNOWN where a code stands for no class."""

UNKNOWN = -1

NOT_WHOLE = -(1 << 60)  # the code of a value that is not an integer, or of a colour outside 0..255

_BLACK_WHITE = {0: 0x000000, 1: 0xFFFFFF}


@dataclass(frozen=True)
class MaskTraits:
    """Properties of a mask's file."""

    colour: bool  # whether its codes are colours
    palette: Mapping[int, int] | None  # colour code by value, for a file with a colour table; else None
    lossy: bool  # whether its compression alters values a little
    nodata: float | None  # the value that means "no data", or None
    name: str = "The mask"  # its name in messages


def choose_decoder(codes: Codes, traits: MaskTraits, schema: ClassSchema, tolerance: int) -> Decoder:
    """Return the decoder for a mask with these distinct codes.

    Each channel of a colour may differ by ``tolerance`` from a class colour.

    Raises:
        LabelError: If the codes can be read in two ways.
    """
    colours = {index: colour_code(one.rgb) for index, one in enumerate(schema)}
    exact, near = nearest_colour(colours, 0), nearest_colour(colours, tolerance)
    if traits.colour:
        return exact if _whole(exact(codes)) else _of_colours(codes, traits, near, len(schema), tolerance)
    by_ids = partial(by_id, classes=len(schema))
    if traits.palette:
        by_exact, by_near = by_table(traits.palette, exact), by_table(traits.palette, near)
        if _whole(by_exact(codes)):
            return by_exact
        if _whole(by_near(codes)):
            return _settled(codes, traits, by_near, by_ids)
    only_ends = set(codes.tolist()) <= {0, 255} and traits.nodata != IGNORE
    if len(schema) == 2 and (only_ends or traits.lossy):
        ends = nearest_colour(_BLACK_WHITE, tolerance)
        return lambda values: ends(np.where((values >= 0) & (values <= 255), values * 0x010101, NOT_WHOLE))
    return by_ids


def _of_colours(codes: Codes, traits: MaskTraits, near: Decoder, classes: int, tolerance: int) -> Decoder:
    """Return the decoder of colours that are not all exactly those of classes."""
    found = near(codes)
    if classes == 2 and not _whole(found):
        black_white = nearest_colour(_BLACK_WHITE, tolerance)
        if _whole(black_white(codes)) or (found == UNKNOWN).all():
            near = black_white
    grey = bool((codes == (codes & 255) * 0x010101).all())
    return _settled(codes, traits, near, partial(_by_grey_id, classes=classes)) if grey else near


def _whole(ids: NDArray[np.int64]) -> bool:
    return bool((ids != UNKNOWN).all())


def _settled(codes: Codes, traits: MaskTraits, by_colour: Decoder, by_ids: Decoder) -> Decoder:
    """Return the decoder of colours, which are not exact, or the one of ids; LabelError where both are possible.

    Ids are out of the question in a lossy file, and without any id of a class but 0.
    """
    colours, ids = by_colour(codes), by_ids(codes)
    if traits.lossy or (ids == UNKNOWN).all() or not ((ids > 0) & (ids != IGNORE)).any():
        return by_colour
    if (colours == UNKNOWN).all() or (_whole(ids) and not _whole(colours)):
        return by_ids
    if not _whole(ids) and len(np.unique(colours[colours != UNKNOWN])) > 1:
        return by_colour
    if np.array_equal(colours, ids):
        return by_ids
    raise LabelError(
        f"{traits.name} can be read in two ways: as class ids, and as colours near those of the classes.",
        expected="ids in a single band without colour table, or exactly the colours of the classes",
        remedy="Keep one band of a mask of ids (gdal_translate -b 1 -colorinterp_1 gray), or give tolerance=0.",
    )


def _by_grey_id(codes: Codes, classes: int) -> NDArray[np.int64]:
    """Return colours that repeat a class id, or IGNORE, in every channel as that id, others as UNKNOWN."""
    value = codes & 255
    return by_id(np.where(codes == value * 0x010101, value, NOT_WHOLE), classes)


def by_id(codes: Codes, classes: int) -> NDArray[np.int64]:
    """Return codes that are class ids or IGNORE as they are, others as UNKNOWN."""
    known = ((codes >= 0) & (codes < classes)) | (codes == IGNORE)
    return np.where(known, codes, UNKNOWN)


def by_table(table: Mapping[int, int], decode: Decoder) -> Decoder:
    """Return a decoder of values through a table of colour codes and a decoder of colours; others are UNKNOWN."""
    values = np.array(sorted(table), dtype=np.int64)
    ids = decode(np.array([table[value] for value in values.tolist()], dtype=np.int64))

    def look_up(codes: Codes) -> NDArray[np.int64]:
        place = np.minimum(np.searchsorted(values, codes), len(values) - 1)
        return np.where(values[place] == codes, ids[place], UNKNOWN)

    return look_up


def nearest_colour(colours: Mapping[int, int], tolerance: int) -> Decoder:
    """Return a decoder to the class id of the nearest colour code, UNKNOWN if a channel is beyond the tolerance."""
    ids = np.array(list(colours), dtype=np.int64)
    channels = split_colour(np.array(list(colours.values()), dtype=np.int64))

    def decode(codes: Codes) -> NDArray[np.int64]:
        distinct, place = np.unique(codes, return_inverse=True)
        furthest = np.abs(split_colour(distinct)[:, None] - channels[None]).max(axis=2)
        nearest = furthest.argmin(axis=1)
        near = (furthest.min(axis=1) <= tolerance) & (distinct >= 0)
        return np.where(near, ids[nearest], UNKNOWN)[place].reshape(codes.shape)

    return decode


def colour_code(rgb: tuple[int, int, int]) -> int:
    """Return a colour as one number."""
    return (rgb[0] << 16) | (rgb[1] << 8) | rgb[2]


def split_colour(codes: Codes) -> NDArray[np.int64]:
    """Return colours as three values 0..255, in a new last axis."""
    return np.stack([(codes >> 16) & 255, (codes >> 8) & 255, codes & 255], axis=-1)


def show_code(code: int, colour: bool) -> str:
    """Return a code as a person would write it: ``17`` or ``#00ffff``."""
    if code == NOT_WHOLE:
        return "colours outside 0..255" if colour else "values that are not integers"
    return f"#{code:06x}" if colour else str(code)
