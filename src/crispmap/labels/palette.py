"""Decoding of a mask's values: class ids, colours of a schema, or black and white."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.types import IGNORE

Codes: TypeAlias = NDArray[np.int64]  # an integer for each pixel: its value, or 65536 red + 256 green + blue

Decoder: TypeAlias = Callable[[Codes], NDArray[np.int64]]
"""From codes to class ids, UNKNOWN where a code stands for no class."""

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


def choose_decoder(codes: Codes, traits: MaskTraits, schema: ClassSchema, tolerance: int) -> Decoder:
    """Return the decoder for a mask with these distinct codes.

    Each channel of a colour may differ by ``tolerance`` from a class colour.
    """
    two = len(schema) == 2
    by_colour = nearest_colour({index: colour_code(one.rgb) for index, one in enumerate(schema)}, tolerance)
    black_white = nearest_colour(_BLACK_WHITE, tolerance)
    if traits.colour:
        none = bool((by_colour(codes) == UNKNOWN).all())
        return black_white if two and none else by_colour
    if traits.palette:
        through_table = by_table(traits.palette, by_colour)
        if (through_table(codes) != UNKNOWN).all():
            return through_table
    only_ends = set(codes.tolist()) <= {0, 255} and traits.nodata != IGNORE
    if two and (only_ends or traits.lossy):
        return lambda values: black_white(np.where((values >= 0) & (values <= 255), values * 0x010101, NOT_WHOLE))
    return lambda values: by_id(values, len(schema))


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
