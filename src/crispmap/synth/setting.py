"""The setting of a town: its centres, the density around them, the direction of its streets, its river."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from scipy.interpolate import CubicSpline
from shapely import LineString, Polygon, box

from crispmap.synth.chance import Dice, Waves
from crispmap.types import DoubleArray

MARGIN_M = 70.0  # the town is planned this far beyond the scene, so that nothing ends at the scene's border


@dataclass(frozen=True)
class Setting:
    """The geography of a town."""

    size_m: tuple[float, float]  # (width, height) of the scene
    centres: DoubleArray  # neighbourhood centres, (n, 2)
    radius_m: float  # how far a neighbourhood reaches: density falls to 1/e there
    mains: tuple[LineString, ...]  # centre lines of the main roads, west to east
    river: LineString  # centre line of the river, south to north
    river_width_m: float  # width of the river
    waves: Waves  # make the streets bend, and density uneven

    @cached_property
    def domain(self) -> Polygon:
        """The planned extent: the scene and a margin."""
        width, height = self.size_m
        return box(-MARGIN_M, -MARGIN_M, width + MARGIN_M, height + MARGIN_M)

    @cached_property
    def frame(self) -> Polygon:
        """The extent of the scene."""
        return box(0.0, 0.0, *self.size_m)

    @cached_property
    def _guides(self) -> tuple[DoubleArray, DoubleArray]:
        """Points of the main roads and the directions there."""
        lines = [shapely.get_coordinates(line)[::4] for line in self.mains]
        points = np.concatenate([line[:-1] for line in lines])
        steps = np.concatenate([np.diff(line, axis=0) for line in lines])
        return points, steps / np.linalg.norm(steps, axis=1, keepdims=True)

    def density(self, x: float, y: float) -> float:
        """Return how densely built a place is, 0 (open land) to about 1 (a centre)."""
        gap = np.linalg.norm(self.centres - [x, y], axis=1).min()
        stretch = 1.0 + 0.16 * self.waves.at(np.array([[x, y]]))[0]
        return float(np.exp(-((gap / (self.radius_m * stretch)) ** 2)))

    def direction(self, x: float, y: float) -> float:
        """Return the angle, in radians, of the streets that run along the main road here."""
        points, along = self._guides
        place = np.array([[x, y]])
        weight = 1.0 / (((points - place) ** 2).sum(axis=1) + 60.0**2) ** 2
        mean = (along * weight[:, None]).sum(axis=0)
        return math.atan2(mean[1], mean[0]) + 0.2 * float(self.waves.at(place)[0])


def smooth_line(control: DoubleArray, step_m: float = 5.0) -> LineString:
    """Return a curve through the control points (n, 2), sampled evenly."""
    run = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(control, axis=0), axis=1))])
    curve = LineString(CubicSpline(run, control)(np.linspace(0.0, run[-1], 20 * len(control))))
    even = np.linspace(0.0, curve.length, max(2, round(curve.length / step_m) + 1))
    return LineString(shapely.line_interpolate_point(curve, even))


def draw_setting(size_m: tuple[float, float], dice: Dice) -> Setting:
    """Return a setting with a neighbourhood centre in every 400 m of width."""
    width, height = size_m
    across, up = max(1, round(width / 400)), max(1, round(height / 800))
    cell = np.array([width / across, height / up])
    radius = min(178.0, 0.45 * float(cell.min()))
    corners = np.array([[(column, row) for column in range(across)] for row in range(up)])
    centres = (corners + dice.uniform((0.4, 0.34), (0.6, 0.66), corners.shape)) * cell
    river_x = float(cell[0]) * ((dice.integers(1, across) if across > 1 else 0.12) + dice.between(-0.08, 0.08))
    return Setting(
        size_m,
        centres.reshape(-1, 2),
        radius,
        tuple(_main_road(row, width, dice) for row in centres),
        _river(river_x, height, float(cell[0]), dice),
        float(np.clip(0.07 * radius, 4.0, 11.0)) * dice.between(0.8, 1.2),
        Waves.draw(dice, (200.0, 600.0)),
    )


def _main_road(centres: DoubleArray, width: float, dice: Dice) -> LineString:
    """Return a curving road from west to east past all centres of a row."""
    sway = 0.1 * width / len(centres)
    ends = np.array([[-MARGIN_M - 40, centres[0, 1]], [width + MARGIN_M + 40, centres[-1, 1]]])
    ends[:, 1] += dice.normal(0, 1.5 * sway, 2)
    control = np.concatenate([ends[:1], centres, ends[1:]])
    between = (control[1:] + control[:-1]) / 2
    between[:, 1] += dice.normal(0, 0.5 * sway, len(between))
    whole = np.concatenate([control, between])
    return smooth_line(whole[whole[:, 0].argsort()])


def _river(x: float, height: float, cell_m: float, dice: Dice) -> LineString:
    """Return a winding line from south to north."""
    count = max(4, round(height / 110) + 3)
    ys = np.linspace(-MARGIN_M - 40, height + MARGIN_M + 40, count)
    return smooth_line(np.column_stack([x + dice.normal(0, 0.045 * cell_m, count), ys]))
