"""The width of a road or river from the text of its OpenStreetMap tags."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

LANE_WIDTH_M = 3.5  # width given to one lane where only the number of lanes is known

MAX_WIDTH_M = 500.0  # wider lines are taken as misread

MAX_LANES = 24

WIDTH_KEYS = ("width", "est_width")  # keys that hold a width, the better one first

LANE_KEYS = ("lanes", "lane_number")  # keys that hold a number of lanes (``lane_number``: SpaceNet)

_UNIT_M = {
    **dict.fromkeys(("", "m", "metre", "metres", "meter", "meters", "mtr"), 1.0),
    **dict.fromkeys(("cm",), 0.01),
    **dict.fromkeys(("km",), 1000.0),
    **dict.fromkeys(("'", "′", "’", "ft", "feet", "foot"), 0.3048),
    **dict.fromkeys(('"', "″", "”", "in", "inch", "inches"), 0.0254),
    **dict.fromkeys(("yd", "yard", "yards"), 0.9144),
}
_NUMBER = r"(\d+(?:[.,]\d+)?|[.,]\d+)"
_PART = re.compile(rf"{_NUMBER}\s*([a-z]+|['′’\"″”]?)\.?\s*")
_SEVERAL = re.compile(r"\s*[;|]\s*|(?<=\S)\s*[-–]\s*(?=\d)")


def parse_width_m(value: object) -> float:
    """Return a width in metres, above 0 and at most MAX_WIDTH_M, or NaN where none can be read.

    Reads ``7``, ``7 m``, ``5.5``, ``5,5``, ``~7``, ``20'``, ``12'6"``, ``650 cm``; of several values
    (``2;3``, ``6-8``) the mean.
    """
    return _within(_mean(value, _one_width), MAX_WIDTH_M)


def parse_lanes(value: object) -> float:
    """Return a number of lanes, above 0 and at most MAX_LANES, or NaN; of several (``2;3``) the mean."""
    return _within(_mean(value, _one_number), MAX_LANES)


def width_from_tags(tags: Mapping[str, object]) -> float:
    """Return the total width in metres from width, est_width or the lanes (3.5 m each), or NaN."""
    for key in WIDTH_KEYS:
        width = parse_width_m(tags.get(key))
        if not math.isnan(width):
            return width
    for key in LANE_KEYS:
        lanes = parse_lanes(tags.get(key))
        if not math.isnan(lanes):
            return lanes * LANE_WIDTH_M
    return math.nan


def _within(value: float, highest: float) -> float:
    return value if 0 < value <= highest else math.nan


def _mean(value: object, read_one: Callable[[str], float]) -> float:
    """Return the mean of the values in a text, or NaN when one of them cannot be read."""
    if value is None or isinstance(value, bool):
        return math.nan
    text = str(value).strip().lower().removeprefix("~").strip()
    values = [read_one(part) for part in _SEVERAL.split(text) if part]
    return sum(values) / len(values) if values else math.nan


def _one_width(text: str) -> float:
    """Read one width, possibly feet and inches in a row."""
    total, place = 0.0, 0
    while place < len(text):
        match = _PART.match(text, place)
        whole = match is not None and match.start() == 0 and match.end() == len(text)
        if match is None or match[2] not in _UNIT_M or (match[2] == "" and not whole):
            return math.nan  # of several numbers in a row, each needs its unit
        total += float(match[1].replace(",", ".")) * _UNIT_M[match[2]]
        place = match.end()
    return total


def _one_number(text: str) -> float:
    match = re.fullmatch(_NUMBER, text.strip())
    return float(match[1].replace(",", ".")) if match else math.nan
