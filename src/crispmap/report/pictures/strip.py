"""A strip: rows of pictures under headings, with a legend, as one PNG."""

from __future__ import annotations

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from crispmap.errors import InputError
from crispmap.report.pictures.maps import Colour
from crispmap.report.pictures.photos import ByteArray

_GAP_PX, _HEAD_PX, _LINE_PX = 8, 30, 24
_INK = "#222222"


def strip_png(
    rows: Sequence[Sequence[ByteArray]],
    headings: Sequence[str],
    legend: Sequence[tuple[str, Colour]] = (),
    *,
    tile_px: int = 256,
) -> bytes:
    """Return rows of pictures under headings as one PNG on white, with a legend below.

    Args:
        rows: The pictures of each row, uint8 (3, row, col), of any shapes; each is fitted into a square, enlarged by an
            integer factor, so that pixels stay crisp, or averaged down; a row is as high as its highest picture.
        tile_px: The approximate side of a tile: the nearest multiple of the largest picture, or exactly this if that
            picture is larger.

    Raises:
        InputError: If there is no row, or a row does not have one picture per heading.
    """
    if not rows or any(len(row) != len(headings) for row in rows):
        raise InputError(
            f"Rows of {[len(row) for row in rows]} pictures under {len(headings)} headings.",
            expected="at least one row, each with a picture for every heading",
        )
    tile_px = _tile_px(rows, tile_px)
    tiles = [[_fitted(picture, tile_px) for picture in row] for row in rows]
    width = _GAP_PX + len(headings) * (tile_px + _GAP_PX)
    foot = _HEAD_PX + sum(_height(row) for row in tiles)
    places = _legend_places([name for name, _ in legend], (_GAP_PX, foot + 4), width)
    sheet = Image.new("RGB", (width, places[-1][1] + 30 if places else foot), "white")
    draw = ImageDraw.Draw(sheet)
    for col, heading in enumerate(headings):
        middle = _GAP_PX + col * (tile_px + _GAP_PX) + tile_px / 2
        draw.text((middle, 8), heading, _INK, _font(), anchor="ma")
    _paste_tiles(sheet, tiles, tile_px)
    for (name, colour), (x, y) in zip(legend, places, strict=True):
        draw.rectangle((x, y, x + 15, y + 15), fill=colour, outline="#777777")
        draw.text((x + 22, y - 1), name, _INK, _font())
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _tile_px(rows: Sequence[Sequence[ByteArray]], about_px: int) -> int:
    """Return the multiple of the largest picture's side nearest to a length, or the length if it is less."""
    longest = max(max(picture.shape[1:]) for row in rows for picture in row)
    return about_px if longest > about_px else longest * max(1, round(about_px / longest))


def _height(row: Sequence[Image.Image]) -> int:
    """Return the height of a row of pictures with the gap below it."""
    return max(one.height for one in row) + _GAP_PX


def _paste_tiles(sheet: Image.Image, tiles: Sequence[Sequence[Image.Image]], tile_px: int) -> None:
    """Paste every picture centred in its place."""
    top = _HEAD_PX
    for row in tiles:
        for col, tile in enumerate(row):
            left = _GAP_PX + col * (tile_px + _GAP_PX) + (tile_px - tile.width) // 2
            sheet.paste(tile, (left, top + (_height(row) - _GAP_PX - tile.height) // 2))
        top += _height(row)


def _fitted(picture: ByteArray, tile_px: int) -> Image.Image:
    """Return a picture that fits a square tile: enlarged by an integer factor, or averaged down."""
    tile = Image.fromarray(np.ascontiguousarray(np.moveaxis(picture, 0, -1)))
    longest = max(tile.size)
    if longest > tile_px:
        scale = tile_px / longest
        size = max(1, round(tile.width * scale)), max(1, round(tile.height * scale))
        return tile.resize(size, Image.Resampling.BOX)
    n = tile_px // longest
    return tile.resize((tile.width * n, tile.height * n), Image.Resampling.NEAREST)


def _legend_places(names: Sequence[str], start: tuple[int, int], width: int) -> list[tuple[int, int]]:
    """Return the positions of a legend's entries, in lines no wider than the sheet."""
    places: list[tuple[int, int]] = []
    x, y = start
    for name in names:
        room = 22 + round(_font().getlength(name))
        if x > start[0] and x + room > width:
            x, y = start[0], y + _LINE_PX
        places.append((x, y))
        x += room + 24
    return places


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """Return the DejaVu Sans of matplotlib: the same glyphs on every machine."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 15)
