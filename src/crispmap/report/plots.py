"""Pictures from arrays: class maps, photos, heat maps, error maps, curves and strips, as PNG, JPEG or SVG.

Every function is pure: the same arrays give the same bytes. Where nothing is known, class maps, heat maps and
error maps are transparent, so that they sit on a light page as well as on a dark one.
"""

from __future__ import annotations

import base64
import functools
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from crispmap.classes import ClassSchema
from crispmap.errors import InputError
from crispmap.types import IGNORE, BoolArray, FloatArray, LabelArray

ByteArray = NDArray[np.uint8]
Colour = tuple[int, int, int]

UNKNOWN_GREY = 128
"""What a photo shows where the image holds no value: photos have no transparency."""
HEAT_LEVELS = 64
"""Colours of a heat map: steps of 1.6 % are finer than the eye reads, and a third of the size of 256."""
_TRANSPARENT = 255
_STRETCH_SAMPLES = 1_000_000

ERROR_COLOURS: Mapping[str, tuple[int, int, int, int]] = {
    # After Okabe and Ito: told apart with any colour vision, and on light ground.
    "neither": (226, 226, 222, 255),
    "hit": (0, 158, 115, 255),
    "miss": (213, 94, 0, 255),
    "false alarm": (58, 92, 222, 255),
}
"""RGBA of what an error map shows, in order of palette index."""


def rgb_preview(
    image: NDArray[Any], bands: tuple[int, int, int] = (0, 1, 2), valid: BoolArray | None = None
) -> ByteArray:
    """Return a picture of an image in which 2 % of each band's pixels are darkest and 2 % brightest.

    Args:
        image: (band, row, col) of any number type; NaN and infinite pixels count as unknown.
        bands: Which bands show as red, green and blue; an image of one or two bands shows its first in grey.
        valid: bool (row, col), False where the image holds no value although a number stands there.

    Returns:
        uint8 (3, row, col). Unknown pixels, and bands of one constant value, are mid-grey.

    Raises:
        InputError: If the image has not three axes, is empty, lacks one of the bands, or has another shape
            than the mask.
    """
    if image.ndim != 3 or 0 in image.shape:
        raise InputError(f"An image of shape {image.shape}.", expected="(band, row, col), none of them 0")
    count = image.shape[0]
    chosen = (0, 0, 0) if count < 3 else bands
    if not all(0 <= band < count for band in chosen):
        raise InputError(f"Bands {bands} of an image with {count} bands.", expected=f"bands 0 to {count - 1}")
    if valid is not None and valid.shape != image.shape[1:]:
        raise InputError(
            f"A mask of shape {valid.shape} for an image of shape {image.shape}.",
            expected="the image's rows and columns",
        )
    mask = np.True_ if valid is None else valid
    return np.stack([_stretched(np.asarray(image[band], dtype=np.float64), mask) for band in chosen])


def _stretched(band: NDArray[np.float64], valid: BoolArray | np.bool_) -> ByteArray:
    """Return one band (row, col) as bytes between its 2nd and 98th percentile."""
    known = np.isfinite(band) & valid
    out = np.full(band.shape, UNKNOWN_GREY, dtype=np.uint8)
    values = band[known]
    if values.size == 0:
        return out
    sample = values[:: max(1, values.size // _STRETCH_SAMPLES)]
    low, high = np.percentile(sample, (2, 98))
    if not high > low:  # a mask or a nearly constant band: its rare values are all there is to see
        low, high = float(values.min()), float(values.max())
    if high > low:
        # Halves first: the difference of two huge values may not be a float.
        share = (values / 2 - low / 2) / (high / 2 - low / 2)
        out[known] = np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)
    return out


def every(array: NDArray[Any], max_side_px: int) -> NDArray[Any]:
    """Return an array thinned to every n-th pixel, with the smallest n that keeps its sides within a length.

    Args:
        array: (..., row, col).
        max_side_px: Longest side of the result, in pixels.

    Returns:
        (..., row, col), sides of ``ceil(side / n)`` pixels; the values are values of the input.
    """
    height, width = array.shape[-2:]
    n = _factor((height, width), max_side_px)
    rows, cols = (np.minimum(np.arange(-(-side // n)) * n + n // 2, side - 1) for side in (height, width))
    return array if n == 1 else array[..., rows[:, None], cols[None, :]]


def _factor(shape: tuple[int, int], max_side_px: int) -> int:
    """Return how many pixels of a side become one."""
    return max(1, -(-max(shape) // max_side_px))


def photo_jpeg(rgb: ByteArray, *, max_side_px: int = 1 << 16, quality: int = 85) -> bytes:
    """Return a photo as JPEG, averaged over whole pixels down to a longest side.

    Args:
        rgb: uint8 (3, row, col).
        max_side_px: Longest side of the result, in pixels; sides agree with those of ``every``.
        quality: JPEG quality, 1 to 95.

    Raises:
        InputError: If the array is not uint8 (3, row, col).
    """
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[0] != 3 or 0 in rgb.shape:
        raise InputError(
            f"A photo of shape {rgb.shape} and type {rgb.dtype}.",
            expected="uint8 (3, row, col)",
            remedy="make one from any image with rgb_preview",
        )
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(rgb, 0, -1)))
    n = _factor(rgb.shape[1:], max_side_px)
    buffer = io.BytesIO()
    (picture.reduce(n) if n > 1 else picture).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()


def class_map_png(labels: LabelArray, schema: ClassSchema) -> bytes:
    """Return a class map as a paletted PNG in the colours of its schema.

    Args:
        labels: uint8 (row, col) of class ids.
        schema: The classes.

    Returns:
        PNG bytes; pixels of IGNORE, or of an id the schema has not, are transparent.
    """
    _check_plane(labels, "A class map")
    index = np.where(labels < len(schema), labels, _TRANSPARENT).astype(np.uint8)
    return _paletted(index, [(*one.rgb, 255) for one in schema])


def heat_png(probability: FloatArray) -> bytes:
    """Return probabilities as a paletted PNG in a perceptually uniform colour map, dark at 0 and light at 1.

    Args:
        probability: float (row, col); clipped to 0..1, transparent where NaN.
    """
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
    """Return where a map hits, misses and wrongly claims one class, as a paletted PNG in ERROR_COLOURS.

    Args:
        predicted: uint8 (row, col) class ids of the map.
        reference: uint8 (row, col) class ids held against it.
        class_id: The class looked at.

    Returns:
        PNG bytes; transparent where either map says IGNORE.

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


def _check_plane(array: NDArray[Any], what: str) -> None:
    """Refuse arrays that are not a picture of one value a pixel."""
    if array.ndim != 2 or 0 in array.shape:
        raise InputError(f"{what} of shape {array.shape}.", expected="(row, col), neither of them 0")


def _paletted(index: ByteArray, colours: Sequence[tuple[int, int, int, int]]) -> bytes:
    """Return indices into RGBA colours as PNG; index 255 is transparent.

    The palette is cut to the colours there are, so that a map of four classes takes two bits a pixel.
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


def data_uri(content: bytes) -> str:
    """Return picture bytes as a ``data:`` address; PNG and JPEG are told apart by their first bytes."""
    kind = "png" if content.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


# --- curves ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Curve:
    """One line of a chart over the refinement steps.

    Attributes:
        name: What the line shows; any text.
        values: Shares 0..1, one a step, step 0 first; NaN leaves a gap.
        colour: ``#rrggbb``, or ``currentColor`` for the colour of the page's text.
        baseline: The same figure for the map to beat, drawn as a dashed line; NaN for none.
    """

    name: str
    values: Sequence[float]
    colour: str = "currentColor"
    baseline: float = math.nan


_WIDTH, _HEIGHT = 370.0, 250.0
_LEFT, _TOP, _BOTTOM = 32.0, 10.0, 44.0
_LABEL_GAP, _KEY_PX = 15.0, 16.0
_LETTER_PX = 7.0  # width of a letter at 12 px in the wider of the usual sans-serif faces
_NAME_LETTERS = 14


@dataclass(frozen=True)
class _Frame:
    """The plotting area of a chart and its two scales."""

    right: float
    bottom: float
    last_step: int
    low: float
    high: float

    def x(self, step: float) -> float:
        """Horizontal place of a step; a lone step stands in the middle."""
        share = 0.5 if self.last_step == 0 else step / self.last_step
        return _LEFT + 10 + share * (self.right - _LEFT - 20)

    def y(self, percent: float) -> float:
        """Vertical place of a percentage."""
        return self.bottom - (percent - self.low) / (self.high - self.low) * (self.bottom - _TOP)


def curve_svg(curves: Sequence[Curve], *, title: str, baseline_name: str = "re-thresholded") -> str:
    """Return a line chart over the refinement steps as an SVG element, in the page's own text colour.

    The vertical axis, in percent, spans the figures shown, not 0 to 100. Lines carry their name and last
    value at their right end.

    Args:
        curves: The lines; those with a baseline get a dashed line of the same colour.
        title: What the chart shows, for readers who cannot see it.
        baseline_name: What the dashed line of a lone curve is called; with more curves, the caption must say.

    Returns:
        ``<svg>...</svg>`` with every text escaped and no address in it.
    """
    percents = [[100 * float(v) for v in curve.values] for curve in curves]
    dashes = [100 * curve.baseline for curve in curves]
    low, high, ticks = _axis([v for values in percents for v in values] + dashes)
    labels = _end_labels(curves, percents, dashes, baseline_name)
    room = max((len(label.text) for label in labels), default=0) * _LETTER_PX + _KEY_PX + 12
    last_step = max((len(values) for values in percents), default=1) - 1
    bottom = max(_HEIGHT, _TOP + _LABEL_GAP * len(labels) + _BOTTOM) - _BOTTOM
    frame = _Frame(_WIDTH - room, bottom, max(0, last_step), low, high)
    parts = [
        f'<svg viewBox="0 0 {_WIDTH:g} {bottom + _BOTTOM:g}" role="img" class="chart" font-size="12">',
        f"<title>{escape(title)}</title>",
        *_axes(frame, ticks),
    ]
    for curve, values, dash in zip(curves, percents, dashes, strict=True):
        parts += _line(frame, curve, values, dash)
    return "\n".join([*parts, *_keys(frame, labels), "</svg>"])


class _Label(NamedTuple):
    """A text at the right end of a chart, and the line it belongs to."""

    text: str
    percent: float
    colour: str
    dashed: bool


def _end_labels(
    curves: Sequence[Curve], percents: Sequence[Sequence[float]], dashes: Sequence[float], baseline_name: str
) -> list[_Label]:
    """Return the texts at the right end."""
    labels = []
    for curve, values in zip(curves, percents, strict=True):
        last = values[-1] if values else math.nan
        if math.isfinite(last):
            name = curve.name if len(curve.name) <= _NAME_LETTERS else curve.name[: _NAME_LETTERS - 1] + "…"
            labels.append(_Label(f"{name} {last:.1f}", last, curve.colour, False))
    if len(curves) == 1 and math.isfinite(dashes[0]):
        labels.append(_Label(f"{baseline_name} {dashes[0]:.1f}", dashes[0], curves[0].colour, True))
    return labels


def _keys(frame: _Frame, labels: Sequence[_Label]) -> list[str]:
    """Return the labels beside the ends of their lines, each with a piece of its line, moved apart."""
    places = _spread([frame.y(label.percent) for label in labels], _LABEL_GAP, _TOP + 2, frame.bottom)
    parts = []
    for label, place in zip(labels, places, strict=True):
        start, y = frame.right + 6, f"{place:.1f}"
        ends = f'x1="{start:.1f}" x2="{start - 4 + _KEY_PX:.1f}" y1="{y}" y2="{y}"'
        parts += _stroked(f"<line {ends}", label.colour, dashed=label.dashed)
        parts.append(f'<text x="{start + 2 + _KEY_PX:.1f}" y="{place + 4:.1f}">{escape(label.text)}</text>')
    return parts


def _stroked(shape: str, colour: str, *, dashed: bool) -> list[str]:
    """Return an unfinished SVG element as a line over a thin rim in the colour of text.

    The rim keeps white or black classes visible on a page of the same colour.
    """
    dashes = ' stroke-dasharray="5 4"' if dashed else ' stroke-linejoin="round" stroke-linecap="round"'
    thin = 1.5 if dashed else 2.2
    return [
        f'{shape} stroke="{stroke}" stroke-width="{width:g}" stroke-opacity="{opacity:g}"{dashes}/>'
        for stroke, width, opacity in (("currentColor", thin + 1.4, 0.35), (escape(colour), thin, 1))
    ]


def _axis(percents: Sequence[float]) -> tuple[float, float, list[float]]:
    """Return lower end, upper end and ticks of an axis that spans these percentages with some air."""
    known = [value for value in percents if math.isfinite(value)]
    if not known:
        return 0.0, 100.0, [0.0, 25.0, 50.0, 75.0, 100.0]
    low, high = min(known), max(known)
    span = max(high - low, 0.5)
    rough = span / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * 0.999)
    first, last = math.floor((low - 0.08 * span) / step), math.ceil((high + 0.08 * span) / step)
    first, last = max(0, first), max(min(last, math.ceil(100 / step)), first + 1)
    return first * step, last * step, [tick * step for tick in range(first, last + 1)]


def _axes(frame: _Frame, ticks: Sequence[float]) -> list[str]:
    """Return grid lines, tick texts and the name of the horizontal axis."""
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    parts = []
    for tick in ticks:
        y = frame.y(tick)
        parts.append(
            f'<line x1="{_LEFT:g}" x2="{frame.right:.1f}" y1="{y:.1f}" y2="{y:.1f}" '
            'stroke="currentColor" stroke-opacity=".15"/>'
            f'<text x="{_LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end" fill-opacity=".7">'
            f"{tick:.{digits}f}</text>"
        )
    stride = max(1, math.ceil(frame.last_step / 10))
    for step in range(0, frame.last_step + 1, stride):
        parts.append(
            f'<text x="{frame.x(step):.1f}" y="{frame.bottom + 20:g}" text-anchor="middle" '
            f'fill-opacity=".7">{step}</text>'
        )
    parts.append(
        f'<text x="{(_LEFT + frame.right) / 2:.1f}" y="{frame.bottom + _BOTTOM - 6:g}" '
        'text-anchor="middle" fill-opacity=".7">'
        "refinement step (0 = coarse)</text>"
    )
    return parts


def _line(frame: _Frame, curve: Curve, values: Sequence[float], dash: float) -> list[str]:
    """Return one line with its points, and its dashed baseline."""
    parts = []
    if math.isfinite(dash):
        y = f"{frame.y(dash):.1f}"
        ends = f'x1="{_LEFT:g}" x2="{frame.right:.1f}" y1="{y}" y2="{y}"'
        parts += _stroked(f'<line class="baseline" {ends}', curve.colour, dashed=True)
    for run in _runs(values):
        points = " ".join(f"{frame.x(step):.1f},{frame.y(values[step]):.1f}" for step in run)
        parts += _stroked(f'<polyline points="{points}" fill="none"', curve.colour, dashed=False)
    parts += [
        f'<circle cx="{frame.x(step):.1f}" cy="{frame.y(value):.1f}" r="3.4" fill="{escape(curve.colour)}" '
        f'stroke="currentColor" stroke-opacity=".5">'
        f"<title>{escape(curve.name)}, step {step}: {value:.2f} %</title></circle>"
        for step, value in enumerate(values)
        if math.isfinite(value)
    ]
    return parts


def _runs(values: Sequence[float]) -> list[list[int]]:
    """Return the steps with finite values, split where a value is missing."""
    runs: list[list[int]] = [[]]
    for step, value in enumerate(values):
        if math.isfinite(value):
            runs[-1].append(step)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places moved apart to a least gap, in their order, kept between two ends while there is room."""
    order = sorted(range(len(places)), key=lambda index: places[index])
    moved = list(places)
    floor = low
    for index in order:
        moved[index] = floor = max(moved[index], floor)
        floor += gap
    ceiling = high
    for index in reversed(order):
        moved[index] = ceiling = min(moved[index], ceiling)
        ceiling -= gap
    return moved


# --- strips ---------------------------------------------------------------------------------------------


def strip_png(
    rows: Sequence[Sequence[ByteArray]],
    headings: Sequence[str],
    legend: Sequence[tuple[str, Colour]] = (),
    *,
    tile_px: int = 256,
) -> bytes:
    """Return rows of pictures under headings as one PNG on white, with a legend below.

    Args:
        rows: For each row its pictures, uint8 (3, row, col), of any shapes; each is fitted into a square
            tile, enlarged by a whole factor, so that pixels stay crisp, or averaged down.
        headings: One text a column.
        legend: Names and colours, in order.
        tile_px: Wished side of a tile, in pixels; the tiles get the whole multiple of the largest picture
            that comes nearest, or this where that picture is larger.

    Raises:
        InputError: If a row has not one picture a heading, or there is no row.
    """
    if not rows or any(len(row) != len(headings) for row in rows):
        raise InputError(
            f"Rows of {[len(row) for row in rows]} pictures under {len(headings)} headings.",
            expected="at least one row, each with a picture for every heading",
        )
    longest = max(max(picture.shape[1:]) for row in rows for picture in row)
    tile_px = longest * max(1, round(tile_px / longest)) if longest <= tile_px else tile_px
    gap, head = 8, 30
    width = gap + len(headings) * (tile_px + gap)
    foot = head + len(rows) * (tile_px + gap)
    places = _legend_places([name for name, _ in legend], (gap, foot + 4), width)
    height = places[-1][1] + 30 if places else foot
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for col, heading in enumerate(headings):
        draw.text((gap + col * (tile_px + gap) + tile_px / 2, 8), heading, "#222222", _font(), anchor="ma")
    for row, pictures in enumerate(rows):
        for col, picture in enumerate(pictures):
            tile = _fitted(picture, tile_px)
            corner = gap + col * (tile_px + gap), head + row * (tile_px + gap)
            centred = tuple(c + (tile_px - s) // 2 for c, s in zip(corner, tile.size, strict=True))
            sheet.paste(tile, (centred[0], centred[1]))
    for (name, colour), (x, y) in zip(legend, places, strict=True):
        draw.rectangle((x, y, x + 15, y + 15), fill=colour, outline="#777777")
        draw.text((x + 22, y - 1), name, "#222222", _font())
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def class_rgb(labels: LabelArray, schema: ClassSchema, unknown: Colour = (255, 255, 255)) -> ByteArray:
    """Return a class map as a picture uint8 (3, row, col); pixels of no class have the colour ``unknown``."""
    table = np.full((256, 3), unknown, dtype=np.uint8)
    table[: len(schema)] = [one.rgb for one in schema]
    return np.ascontiguousarray(np.moveaxis(table[labels], -1, 0))


def _fitted(picture: ByteArray, tile_px: int) -> Image.Image:
    """Return a picture that fits a square tile: enlarged by whole factors, or averaged down."""
    tile = Image.fromarray(np.ascontiguousarray(np.moveaxis(picture, 0, -1)))
    longest = max(tile.size)
    if longest > tile_px:
        scale = tile_px / longest
        return tile.resize(
            (max(1, round(tile.width * scale)), max(1, round(tile.height * scale))), Image.Resampling.BOX
        )
    n = tile_px // longest
    return tile.resize((tile.width * n, tile.height * n), Image.Resampling.NEAREST)


def _legend_places(names: Sequence[str], start: tuple[int, int], width: int) -> list[tuple[int, int]]:
    """Return where the entries of a legend begin, in lines no wider than the sheet."""
    places: list[tuple[int, int]] = []
    x, y = start
    for name in names:
        room = 22 + round(_font().getlength(name))
        if x > start[0] and x + room > width:
            x, y = start[0], y + 24
        places.append((x, y))
        x += room + 24
    return places


@functools.cache
def _font() -> ImageFont.FreeTypeFont:
    """Return DejaVu Sans as matplotlib ships it: the same letters on every machine."""
    import matplotlib

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", 15)
