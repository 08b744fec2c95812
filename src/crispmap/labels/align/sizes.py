"""Lengths, widths and directions of aligned outlines, compared with the edges of the image.

Whether outlines of a file are drawn too long or turned is a habit of whoever drew them. So how much sizes differ is
learned from all objects together (a normal distribution, by expectation and maximisation), and an object's outline is
changed only where its own edges ask for it under that: in a file whose sizes are right none is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.affinity import affine_transform, translate
from shapely.geometry.base import BaseGeometry

from crispmap.geo.grid import Block
from crispmap.labels.align.edges import Directions, edge_directions, outline_samples
from crispmap.raster.scene import Scene
from crispmap.types import CountArray, DoubleArray

_EVIDENCE = 8.0
"""How much the mean support of an outline of a pixel tells of size; that of longer ones by the root of their length."""

_MOST_M = 1.2  # by which a side moves outwards or inwards
_TURNS_DEG = (-4.0, -2.0, 0.0, 2.0, 4.0)
_LEAST_STRETCH, _MOST_STRETCH = 0.6, 1.6
_GAIN = 2.0  # in the logarithm of the likelihood: outlines that fit hardly better stay as they are
_AROUND = tuple((row, col) for row in (-1, 0, 1) for col in (-1, 0, 1))  # pixels by which the middle may move
_START = np.array([0.5, 0.5, 2.0])  # standard deviations before anything is known: metres, metres, degrees
_LEAST = np.array([0.05, 0.05, 0.2])
_EXACT = 10.0  # objects of exact size that are counted in, so that a few objects do not confirm themselves
_ITERATIONS = 30


@dataclass(frozen=True)
class Stretch:
    """How an outline is changed about its centroid."""

    longer_m: float = 0.0  # along its longer side
    wider_m: float = 0.0
    turn_deg: float = 0.0  # from east towards north
    matrix: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 1.0)  # of points (x, y) in pixels about the centroid
    cols: float = 0.0  # pixels that the centroid moves with it
    rows: float = 0.0

    def of(self, shape: BaseGeometry, cols: float, rows: float) -> BaseGeometry:
        """Return a geometry in pixels changed in this way, its centroid moved by (cols, rows) in all."""
        if self == UNCHANGED:
            return translate(shape, cols, rows)
        a, b, d, e = self.matrix
        x, y = shape.centroid.coords[0]
        return affine_transform(shape, (a, b, d, e, x + cols - a * x - b * y, y + rows - d * x - e * y))


UNCHANGED = Stretch()


@dataclass(frozen=True)
class _Trials:
    """All changes of one outline, and how well each fits."""

    matrices: DoubleArray  # (change, 2, 2), in pixels
    strengths: DoubleArray  # (change,): support times the root of the length; -inf where the change is too large
    moves: CountArray  # (change, 2): pixels (col, row) that the centroid moves with it


def stretches_of(
    shapes: Sequence[BaseGeometry], groups: Sequence[CountArray], scene: Scene, metres: DoubleArray
) -> list[Stretch]:
    """Return how each outline is to be changed to run along edges, UNCHANGED where that fits hardly better.

    Args:
        shapes: Polygons in pixels, already where they belong to within a pixel.
        groups: Places of those that are read together.
        scene: In whose pixels they are.
        metres: From pixels to metres (east, north), 2 x 2.
    """
    changes = _changes(math.sqrt(abs(float(np.linalg.det(metres)))))
    trials: dict[int, _Trials] = {}
    for group in groups:
        matrices = [_matrices(shapes[place], changes, metres) for place in group]
        window = _window([shapes[place] for place in group], matrices)
        directions = edge_directions(scene, window)
        for place, own in zip(group.tolist(), matrices, strict=True):
            trials[place] = _tried(shapes[place], own, directions, window)
    strengths = np.array([trials[place].strengths for place in range(len(shapes))])
    best = _likeliest(strengths, changes) if len(strengths) else np.empty(0, int)
    return [_stretch(trials[place], int(one), changes) for place, one in enumerate(best)]


def _changes(pixel_m: float) -> DoubleArray:
    """Return the changes that are tried, (change, 3): metres each long side, each short side moves out, and degrees."""
    steps = max(1, round(_MOST_M / pixel_m))
    sides = np.arange(-steps, steps + 1) * pixel_m
    return np.stack(np.meshgrid(sides, sides, _TURNS_DEG, indexing="ij"), axis=-1).reshape(-1, 3)


def _matrices(shape: BaseGeometry, changes: DoubleArray, metres: DoubleArray) -> DoubleArray:
    """Return changes of a shape as matrices (change, 2, 2) of points in pixels; NaN where they are too large."""
    box = shapely.minimum_rotated_rectangle(shapely.transform(shape, lambda points: points @ metres.T))
    corners = shapely.get_coordinates(box)
    sides = np.diff(corners, axis=0)[:2]
    lengths = np.hypot(*sides.T)
    order = np.argsort(-lengths, kind="stable")
    axes, lengths = (sides / lengths[:, None])[order], lengths[order]
    stretch = 1 + 2 * changes[:, :2] / lengths
    stretch[((stretch < _LEAST_STRETCH) | (stretch > _MOST_STRETCH)).any(axis=1)] = np.nan
    turn = np.deg2rad(changes[:, 2])
    rotation = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], axis=-1).reshape(-1, 2, 2)
    scaling = np.einsum("ia,ki,ib->kab", axes, stretch, axes)
    return np.asarray(np.linalg.inv(metres) @ rotation @ scaling @ metres)


def _window(shapes: Sequence[BaseGeometry], matrices: Sequence[DoubleArray]) -> Block:
    """Return the pixels in which shapes lie after any of their changes."""
    ends = []
    for shape, changes in zip(shapes, matrices, strict=True):
        middle = np.array(shape.centroid.coords[0])
        corners = shapely.get_coordinates(shapely.box(*shape.bounds)) - middle
        ends.append(np.einsum("kab,nb->kna", changes[np.isfinite(changes[:, 0, 0])], corners).reshape(-1, 2) + middle)
    points = np.concatenate(ends)
    left, top = np.floor(points.min(axis=0)).astype(int) - 2
    right, bottom = np.ceil(points.max(axis=0)).astype(int) + 3
    return Block(int(top), int(left), int(bottom - top), int(right - left))


def _tried(shape: BaseGeometry, matrices: DoubleArray, directions: Directions, window: Block) -> _Trials:
    """Return how well each change of an outline fits, where the pixel its centroid moves by is the best of nine."""
    samples, middle = outline_samples(shape), np.array(shape.centroid.coords[0])
    possible = np.flatnonzero(np.isfinite(matrices[:, 0, 0]))
    points = np.einsum("kab,nb->kna", matrices[possible], samples[:, :2] - middle) + middle
    along = np.einsum("kab,nb->kna", matrices[possible], np.stack([-samples[:, 3], samples[:, 2]], axis=-1))
    growth = np.hypot(along[..., 0], along[..., 1])
    normal = (along[..., 1] - 1j * along[..., 0]) / growth
    lengths = samples[:, 4] * growth
    weight = np.conj(normal**2) * lengths
    place = np.floor(points[..., 1] - window.row).astype(int) * window.width
    place += np.floor(points[..., 0] - window.col).astype(int)
    flat = directions.ravel()
    fits = np.stack([(flat[place + row * window.width + col] * weight).real.sum(axis=1) for row, col in _AROUND])
    strengths = np.full(len(matrices), -np.inf)
    strengths[possible] = fits.max(axis=0) / np.sqrt(lengths.sum(axis=1))
    moves = np.zeros((len(matrices), 2), np.int64)
    moves[possible] = np.array(_AROUND)[fits.argmax(axis=0)][:, ::-1]
    return _Trials(matrices, strengths, moves)


def _likeliest(strengths: DoubleArray, changes: DoubleArray) -> CountArray:
    """Return the likeliest change of each object, with what is usual in all of them; no change where little is gained.

    Args:
        strengths: (object, change).
    """
    none = int(np.flatnonzero((changes == 0).all(axis=1))[0])
    mean, deviation = np.zeros(3), _START
    for _ in range(_ITERATIONS):
        chances = _chances(strengths, changes, mean, deviation)
        count = len(strengths) + _EXACT
        mean = (chances @ changes).sum(axis=0) / count
        deviation = np.maximum(np.sqrt((chances @ changes**2).sum(axis=0) / count - mean**2), _LEAST)
    best = _chances(strengths, changes, mean, deviation).argmax(axis=1)
    gain = _EVIDENCE * (strengths[np.arange(len(best)), best] - strengths[:, none])
    return np.where(gain > _GAIN, best, none)


def _chances(strengths: DoubleArray, changes: DoubleArray, mean: DoubleArray, deviation: DoubleArray) -> DoubleArray:
    logs = _EVIDENCE * strengths - 0.5 * (((changes - mean) / deviation) ** 2).sum(axis=1)
    values = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(values / values.sum(axis=1, keepdims=True))


def _stretch(trials: _Trials, best: int, changes: DoubleArray) -> Stretch:
    if not changes[best].any():
        return UNCHANGED
    long_m, short_m, turn_deg = changes[best].tolist()
    a, b, d, e = trials.matrices[best].ravel().tolist()
    col, row = trials.moves[best].tolist()
    return Stretch(2 * long_m, 2 * short_m, turn_deg, (a, b, d, e), float(col), float(row))
