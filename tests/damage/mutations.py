"""Damage done to files by chance: the same number, the same damage."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import numpy as np

Rng = np.random.Generator

_RAW = {"@1e400": "1e400", "@deep": "[" * 3000 + "]" * 3000, "@deeper": '{"a":' * 200_000, "@big": "9" * 5000}
"""What JSON's writer does not write, by what stands for it."""
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 5, -1, 1.5, 10**9, 10**18, 2**63, 2**64, 10**30, 10**400, -(10**400)),
    *(7e23, -1.8e19, 1e300, float("nan"), float("inf"), float("-inf"), "@1e400", "@deep", "@deeper", "@big"),
    *("", "x", " ", "a\0b", "\ud800", "é", "\u202e", "x" * 5000, "/vsistdin/", "..", "nan", "1e9", "EPSG:4326"),
    *([], {}, [[]], [None], [1, "a"], [1e400, 2], {"a": 1}, {"": None}, [{}], [0] * 300),
)
_TEXTS = (
    b"\0",
    b"\xff\xfe",
    b"\xe9",
    b"\xed\xa0\x80",
    b"1e400",
    b"-1",
    b"99999999999999999999",
    b"null",
    b"NaN",
    b"{",
    b"]",
)
_NUMBER = re.compile(rb"\d+")


def damaged(content: bytes, rng: Rng, structured: bool) -> bytes:
    """Return content with one to three faults, by chance in the values where it is JSON, else in its bytes."""
    if structured and rng.random() < 0.6:
        content = _in_structure(content, rng)
        if rng.random() < 0.8:
            return content
    for _ in range(rng.integers(1, 4)):
        content = _FAULTS[rng.integers(len(_FAULTS))](content, rng)
    return content


def _in_structure(content: bytes, rng: Rng) -> bytes:
    values = json.loads(content)
    for _ in range(rng.integers(1, 4)):
        way = _ways(values)
        values = _changed(values, list(way[rng.integers(len(way))]), rng)
    text = json.dumps(values)
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw)
    return text.encode()


def _ways(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the ways to every value inside a value; of long lists to some."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [way, *(one for key, item in inner[:40] for one in _ways(item, (*way, key)))]


def _changed(values: Any, way: list[Any], rng: Rng) -> Any:
    """Return values with one fault: another value, a key too many, one too few, or a value twice."""
    if not way:
        if rng.random() < 0.9:
            return values
        return copy.deepcopy(_ODD[rng.integers(len(_ODD))])
    values = copy.deepcopy(values)
    holder = values
    for key in way[:-1]:
        holder = holder[key]
    kind = rng.integers(8)
    if kind == 0:
        del holder[way[-1]]
    elif kind == 1 and isinstance(holder, dict):
        holder[f"{way[-1]}2"] = holder[way[-1]]
    elif kind == 1:
        holder.insert(way[-1], holder[way[-1]])
    elif kind == 2:
        holder[way[-1]] = [holder[way[-1]]]
    else:
        holder[way[-1]] = copy.deepcopy(_ODD[rng.integers(len(_ODD))])
    return values


def _flipped(content: bytes, rng: Rng) -> bytes:
    out = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        if out:
            out[rng.integers(len(out))] ^= 1 << rng.integers(8)
    return bytes(out)


def _overwritten(content: bytes, rng: Rng) -> bytes:
    start, length = _part(content, rng, 64)
    byte = (0, 255, 127, 128, 32)[rng.integers(5)]
    return content[:start] + bytes([byte]) * length + content[start + length :]


def _truncated(content: bytes, rng: Rng) -> bytes:
    return content[: rng.integers(len(content) + 1)]


def _grown(content: bytes, rng: Rng) -> bytes:
    start, _ = _part(content, rng, 1)
    more = rng.bytes(rng.integers(1, 20)) if rng.random() < 0.5 else _TEXTS[rng.integers(len(_TEXTS))]
    return content[:start] + more + content[start:]


def _cut(content: bytes, rng: Rng) -> bytes:
    start, length = _part(content, rng, 64)
    return content[:start] + content[start + length :]


def _swapped(content: bytes, rng: Rng) -> bytes:
    (one, length), (other, _) = _part(content, rng, 32), _part(content, rng, 1)
    one, other = min(one, other), max(one, other)
    if other - one < length:
        return content
    first, second = content[one : one + length], content[other : other + length]
    return content[:one] + second + content[one + length : other] + first + content[other + length :]


def _renumbered(content: bytes, rng: Rng) -> bytes:
    """Return content with a number that is written in digits replaced by another."""
    numbers = list(_NUMBER.finditer(content))
    if not numbers:
        return _flipped(content, rng)
    at = numbers[rng.integers(len(numbers))]
    new = (b"0", b"-1", b"1e400", b"7e23", b"99999999999", b"1.8e19", b"NaN", b"x", b"")[rng.integers(9)]
    return content[: at.start()] + new + content[at.end() :]


def _part(content: bytes, rng: Rng, longest: int) -> tuple[int, int]:
    """Return start and length of a part; most of the time near the beginning, where most formats say what they are."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 600)
    return int(rng.integers(end + 1)), int(rng.integers(1, longest + 1))


_FAULTS = (_flipped, _flipped, _overwritten, _truncated, _grown, _cut, _swapped, _renumbered)
