"""Where a town lies: its centres, how dense it is around them, which way its streets tend, its river."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.random import Generator
from shapely import LineString, Polygon, box

from crispmap.types import DoubleArray

MARGIN_M = 70.0
"""The town is planned this far beyond the scene, so that nothing ends at the scene's border."""


@dataclass(frozen=True)
class Waves:
    """A smooth random field: a sum of plane waves, of root mean square 1.

    Attributes:
        vectors: Wave vectors in radians a metre, (waves, 2).
        phases: Phases in radians, (waves,).
    """

    vectors: DoubleArray
    phases: DoubleArray

    @classmethod
    def draw(cls, rng: Generator, length_m: tuple[float, float], count: int = 6) -> Waves:
        """Draw waves whose lengths lie in a range, in directions of every kind."""
        lengths = rng.uniform(*length_m, count)
        angles = rng.uniform(0, 2 * math.pi, count)
        vectors = np.column_stack([np.cos(angles), np.sin(angles)]) * (2 * math.pi / lengths)[:, None]
        return cls(vectors, rng.uniform(0, 2 * math.pi, count))

    def at(self, points: DoubleArray) -> DoubleArray:
        """Return the field at points (n, 2)."""
        waves: DoubleArray = np.sin(points @ self.vectors.T + self.phases)
        total: DoubleArray = waves.sum(axis=1) * math.sqrt(2.0 / len(self.phases))
        return total


@dataclass(frozen=True)
class Setting:
    """The lie of the land.

    Attributes:
        size_m: (width, height) of the scene.
        centres: Neighbourhood centres, (n, 2).
        radius_m: How far a neighbourhood reaches: density falls to 1/e there.
        mains: Centre lines of the main roads, each (n, 2), west to east.
        river: Centre line of the river, south to north.
        river_width_m: Mean width of the river.
        bend: Turns the streets.
        patch: Makes density uneven.
    """

    size_m: tuple[float, float]
    centres: DoubleArray
    radius_m: float
    mains: tuple[DoubleArray, ...]
    river: LineString
    river_width_m: float
    bend: Waves
    patch: Waves

    @cached_property
    def domain(self) -> Polygon:
        """The ground planned: the scene and a margin."""
        width, height = self.size_m
        return box(-MARGIN_M, -MARGIN_M, width + MARGIN_M, height + MARGIN_M)

    @cached_property
    def frame(self) -> Polygon:
        """The ground of the scene."""
        return box(0.0, 0.0, *self.size_m)

    @cached_property
    def _guides(self) -> tuple[DoubleArray, DoubleArray]:
        """Points of the main roads and the directions there."""
        points = np.concatenate([line[:-1][::4] for line in self.mains])
        steps = np.concatenate([np.diff(line, axis=0)[::4] for line in self.mains])
        return points, steps / np.linalg.norm(steps, axis=1, keepdims=True)

    def density(self, points: DoubleArray) -> DoubleArray:
        """Return how densely built the places (n, 2) are, 0 (open land) to about 1 (a centre)."""
        gaps = np.linalg.norm(points[:, None] - self.centres[None], axis=2).min(axis=1)
        stretch = 1.0 + 0.16 * self.patch.at(points)
        density: DoubleArray = np.exp(-((gaps / (self.radius_m * stretch)) ** 2))
        return density

    def density_at(self, x: float, y: float) -> float:
        """Return the density of one place."""
        return float(self.density(np.array([[x, y]]))[0])

    def direction(self, x: float, y: float) -> float:
        """Return the angle, in radians, of the streets that run along the main road here."""
        points, along = self._guides
        place = np.array([[x, y]])
        weight = 1.0 / (((points - place) ** 2).sum(axis=1) + 60.0**2) ** 2
        mean = (along * weight[:, None]).sum(axis=0)
        return math.atan2(mean[1], mean[0]) + 0.2 * float(self.bend.at(place)[0])


def smooth_line(control: DoubleArray, step_m: float = 5.0) -> DoubleArray:
    """Return a curve near the control points (n, 2), sampled evenly (Chaikin's corner cutting)."""
    points = control
    for _ in range(5):
        inner = np.stack([0.75 * points[:-1] + 0.25 * points[1:], 0.25 * points[:-1] + 0.75 * points[1:]], axis=1)
        points = np.concatenate([points[:1], inner.reshape(-1, 2), points[-1:]])
    run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    even = np.linspace(0.0, run[-1], max(2, round(run[-1] / step_m) + 1))
    return np.column_stack([np.interp(even, run, points[:, 0]), np.interp(even, run, points[:, 1])])


def draw_setting(size_m: tuple[float, float], rng: Generator) -> Setting:
    """Return a setting in which every 400 m of width has a neighbourhood centre of its own."""
    width, height = size_m
    across, up = max(1, round(width / 400)), max(1, round(height / 800))
    cell = width / across, height / up
    radius = min(178.0, 0.45 * min(cell))
    rows = [_row_of_centres(cell, row, across, rng) for row in range(up)]
    mains = tuple(_main_road(centres, width, rng) for centres in rows)
    river_x = cell[0] * (rng.integers(1, across) if across > 1 else 0.12) + rng.uniform(-0.08, 0.08) * cell[0]
    return Setting(
        size_m,
        np.concatenate(rows),
        radius,
        mains,
        LineString(_river(river_x, height, cell[0], rng)),
        float(np.clip(0.07 * radius, 4.0, 11.0) * rng.uniform(0.8, 1.2)),
        Waves.draw(rng, (280.0, 700.0)),
        Waves.draw(rng, (90.0, 260.0)),
    )


def _row_of_centres(cell: tuple[float, float], row: int, across: int, rng: Generator) -> DoubleArray:
    """Return one centre in every cell of a row, (across, 2)."""
    x = (np.arange(across) + 0.5 + rng.uniform(-0.1, 0.1, across)) * cell[0]
    y = (row + rng.uniform(0.34, 0.66, across)) * cell[1]
    return np.column_stack([x, y])


def _main_road(centres: DoubleArray, width: float, rng: Generator) -> DoubleArray:
    """Return a curving road from west to east past all centres of a row, (n, 2)."""
    sway = 0.1 * width / len(centres)
    ends = [
        [-MARGIN_M - 40, centres[0, 1] + 2 * rng.normal(0, sway)],
        [width + MARGIN_M + 40, centres[-1, 1] + 2 * rng.normal(0, sway)],
    ]
    control = [ends[0]]
    for index, centre in enumerate(centres):
        control.append(list(centre + rng.normal(0, 0.25 * sway, 2)))
        if index + 1 < len(centres):
            step = centres[index + 1] - centre
            bulge = rng.choice([-1.0, 1.0]) * rng.uniform(0.6, 1.3) * sway
            control += [list(centre + f * step + [0.0, b * bulge]) for f, b in ((0.36, 1.0), (0.66, -0.5))]
    return smooth_line(np.array([*control, ends[1]]))


def _river(x: float, height: float, cell_m: float, rng: Generator) -> DoubleArray:
    """Return a winding line from south to north, (n, 2)."""
    count = max(4, round(height / 110) + 3)
    ys = np.linspace(-MARGIN_M - 40, height + MARGIN_M + 40, count)
    return smooth_line(np.column_stack([x + rng.normal(0, 0.055 * cell_m, count), ys]))
