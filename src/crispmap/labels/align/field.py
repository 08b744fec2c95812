"""Shifts of all objects together: what each outline says, and what its neighbours do.

Labels lie off in a smooth way (the image leans, or was placed wrongly) and each object a little by itself. So the
probability of an object's shift is what its own outline supports times, for each near neighbour, the neighbour's
probabilities blurred by how much the two may differ. They are computed in turns (the mean field approximation), on half
as many shifts along each axis where they are blurred, which loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from crispmap.types import CountArray, DoubleArray, FloatArray

_EVIDENCE = 4.0
"""How much the mean support of an outline of a pixel tells; that of a longer one tells by the root of its length."""

_APART_M = 2.0  # root mean square by which two neighbours differ, however near they are
_SMOOTH_M = 20.0  # at this distance a smooth displacement has changed by a metre
_FAR_M = 150.0
_NEIGHBOURS = 8
_SHARE = 0.4  # of what a neighbour says: neighbours repeat one another
_ITERATIONS = 6
_LEVELS = (1.0, 1.5, 2.2)  # differences allowed for, as times _APART_M
_FLOOR = 1e-6  # a neighbour never rules a shift out
_CHUNK = 256


@dataclass(frozen=True)
class Neighbours:
    """Pairs of objects that tell something of one another."""

    of: CountArray  # (pair,)
    other: CountArray  # (pair,)
    level: CountArray  # (pair,): how much they may differ, as an index of ``_LEVELS``


def neighbours(places_m: DoubleArray) -> Neighbours:
    """Return the near neighbours of objects at places (x, y) in metres."""
    count = min(_NEIGHBOURS + 1, len(places_m))
    distance, other = cKDTree(places_m).query(places_m, k=count)
    distance, other = distance.reshape(len(places_m), count), other.reshape(len(places_m), count)
    of = np.broadcast_to(np.arange(len(places_m))[:, None], other.shape)
    kept = (distance < _FAR_M) & (other != of)
    apart = np.hypot(1.0, distance[kept] / _SMOOTH_M / _APART_M)
    level = np.abs(apart[:, None] - np.array(_LEVELS)).argmin(axis=1)
    return Neighbours(of[kept], other[kept], level)


def probabilities(strengths: FloatArray, places_m: DoubleArray, pixel_m: float) -> FloatArray:
    """Return the probability of every shift of every object, (object, row shift, column shift), each of sum 1.

    Args:
        strengths: What outlines support, -1 to 1, times the root of their lengths in pixels, in the same order.
        places_m: Of the objects (x, y), in metres.
        pixel_m: Side of a pixel of the shifts, in metres.
    """
    own = _EVIDENCE * strengths + _prior(strengths.shape[1])
    pairs = neighbours(places_m)
    blurs = [_blur(strengths.shape[1], _APART_M * level / pixel_m) for level in _LEVELS]
    between = _between(strengths.shape[1])
    messages = np.zeros((len(own), between.shape[1], between.shape[1]), np.float32)
    for _ in range(_ITERATIONS if len(pairs.of) else 0):
        blurred = np.stack([_blurred(own, messages, between, blur) for blur in blurs])
        messages = np.zeros_like(messages)
        np.add.at(messages, pairs.of, _SHARE * blurred[pairs.level, pairs.other])
    found = [_normal(own[at], messages[at], between) for at in _chunks(len(own))]
    return np.concatenate(found)


def _prior(side: int) -> FloatArray:
    """Return the logarithm of the prior: no shift is likeliest, half the reach is one standard deviation."""
    steps = np.arange(side) - side // 2
    squares = (steps[:, None] ** 2 + steps**2) / (2 * (side / 4) ** 2)
    return np.asarray(-squares, dtype=np.float32)


def _blur(side: int, sigma_px: float) -> FloatArray:
    """Return the matrix that blurs shifts along an axis and takes every other: (kept, shift)."""
    apart = np.arange(0, side, 2)[:, None] - np.arange(side)
    weight = np.exp(-(apart**2) / (2 * sigma_px**2))
    return np.asarray(weight / (sigma_px * np.sqrt(2 * np.pi)), dtype=np.float32)


def _between(side: int) -> FloatArray:
    """Return the matrix that draws every other shift back to all of them, linearly: (shift, kept)."""
    kept = np.arange(0, side, 2)
    return np.asarray(np.maximum(0, 1 - np.abs(np.arange(side)[:, None] - kept) / 2), dtype=np.float32)


def _normal(own: FloatArray, messages: FloatArray, between: FloatArray) -> FloatArray:
    """Return probabilities from logarithms: an object's own, and on every other shift what its neighbours tell."""
    logs = own + between @ messages @ between.T
    values = np.exp(logs - logs.max(axis=(1, 2), keepdims=True))
    return np.asarray(values / values.sum(axis=(1, 2), keepdims=True))


def _blurred(own: FloatArray, messages: FloatArray, between: FloatArray, blur: FloatArray) -> FloatArray:
    """Return the logarithm of each object's blurred probabilities on every other shift."""
    found = [
        np.log(blur @ _normal(own[at], messages[at], between) @ blur.T + _FLOOR / own[0].size)
        for at in _chunks(len(own))
    ]
    return np.concatenate(found)


def _chunks(count: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, count, _CHUNK)]
