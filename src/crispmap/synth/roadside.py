"""What lies on and along streets: lane markings, crossings, patches, rows of trees, standing and driving cars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import shapely
from numpy.random import Generator
from shapely import LineString, Point
from shapely.geometry.base import BaseGeometry

from crispmap.synth.features import Car, Frame, Road, Surface, Tree, Works
from crispmap.synth.setting import Setting

_PAINTS = ("white", "white", "silver", "silver", "grey", "black", "blue", "red", "dark_blue")


def furnish_streets(
    roads: Sequence[Road], carriageway: BaseGeometry, setting: Setting, works: Works, rng: Generator
) -> list[Surface]:
    """Add trees and cars along streets to the works; return what is painted or patched on the carriageways."""
    shapely.prepare(carriageway)
    painted: list[Surface] = []
    standing = np.array([building.outline for building in works.buildings], dtype=object)
    tree = shapely.STRtree(standing)
    for road in roads:
        painted += _patches(road, rng)
        if road.highway in ("secondary", "tertiary"):
            painted += _lane_marks(road, rng)
        if road.highway != "unclassified" and rng.random() < 0.55:
            painted += _crossings(road, rng)
        _cars(road, setting, works, rng)
        if rng.random() < 0.42:
            _trees(road, carriageway, tree, works, rng)
    return painted


def _frames(road: Road, first_m: float, gaps_m: tuple[float, float], rng: Generator) -> Iterator[Frame]:
    """Yield frames along a road's centre line, ``u`` along the road, at random gaps."""
    run = first_m
    while run < road.line.length - first_m:
        here, there = road.line.interpolate(run), road.line.interpolate(run + 1.0)
        yield Frame(here.x, here.y, math.atan2(there.y - here.y, there.x - here.x))
        run += float(rng.uniform(*gaps_m))


def _patches(road: Road, rng: Generator) -> list[Surface]:
    """Return mended places and trenches in a road's surface."""
    made = []
    for frame in _frames(road, 8.0, (14.0, 70.0), rng):
        long, wide = rng.uniform(1.5, 14), rng.uniform(0.5, 1.6)
        v = rng.uniform(-0.5, 0.5) * max(road.width_m - 2 * wide, 0.1)
        shape = frame.rect(-long / 2, long / 2, v - wide / 2, v + wide / 2)
        material = str(rng.choice(["asphalt_dark", "asphalt", "asphalt_worn"]))
        made.append(Surface(shape.intersection(road.area(-0.2)), material))
    return [one for one in made if not one.shape.is_empty and one.shape.geom_type.endswith("Polygon")]


def _lane_marks(road: Road, rng: Generator) -> list[Surface]:
    """Return the dashed middle line, and edge lines on wide roads."""
    dash, gap = (3.0, 6.0) if rng.random() < 0.6 else (3.0, 2.0)
    made = [
        Surface(frame.rect(-dash / 2, dash / 2, -0.11, 0.11), "paint")
        for frame in _frames(road, 6.0, (dash + gap, dash + gap + 1e-6), rng)
    ]
    if road.highway == "secondary":
        for side in (-1, 1):
            edge = road.line.offset_curve(side * (road.width_m / 2 - 0.35))
            if not edge.is_empty:
                made.append(Surface(edge.buffer(0.09, cap_style="flat", quad_segs=2), "paint_worn"))
    return made


def _crossings(road: Road, rng: Generator) -> list[Surface]:
    """Return zebra crossings near the ends of a street."""
    made = []
    for run in (11.0, road.line.length - 11.0):
        if road.line.length < 50 or rng.random() < 0.4:
            continue
        here, there = road.line.interpolate(run), road.line.interpolate(run + 1.0)
        frame = Frame(here.x, here.y, math.atan2(there.y - here.y, there.x - here.x))
        half = road.width_m / 2 - 0.3
        for v in np.arange(-half, half - 0.4, 1.0):
            made.append(Surface(frame.rect(-1.4, 1.4, v, v + 0.5), "paint"))
    return made


def _cars(road: Road, setting: Setting, works: Works, rng: Generator) -> None:
    """Stand cars at the kerb where people live, and let some drive on the larger roads."""
    kerb = road.width_m / 2 - 1.05
    if road.highway in ("residential", "tertiary", "living_street"):
        keen = float(rng.uniform(0.0, 0.75))
        for frame in _frames(road, 14.0, (5.6, 9.0), rng):
            if rng.random() < keen * min(1.0, 1.6 * setting.density_at(frame.x, frame.y)):
                works.cars.append(_car(frame.moved(0, -kerb if rng.random() < 0.8 else kerb), rng))
    busy = {"secondary": (25.0, 120.0), "tertiary": (60.0, 220.0)}.get(road.highway)
    if busy is not None:
        for frame in _frames(road, 10.0, busy, rng):
            way = 1.0 if rng.random() < 0.5 else -1.0
            works.cars.append(_car(frame.moved(0, -way * road.width_m / 4, 0.0 if way > 0 else math.pi), rng))


def _car(frame: Frame, rng: Generator) -> Car:
    """Return a car, or now and then a van."""
    if rng.random() < 0.08:
        return Car(frame, float(rng.uniform(5.2, 6.8)), 2.1, 2.5, "white")
    return Car(frame, float(rng.uniform(3.8, 4.8)), float(rng.uniform(1.7, 1.9)), 1.45, str(rng.choice(_PAINTS)))


def _trees(road: Road, carriageway: BaseGeometry, standing: shapely.STRtree, works: Works, rng: Generator) -> None:
    """Plant a row of trees on one or both verges; their crowns reach over the road."""
    radius = float(rng.uniform(2.3, 4.2))
    pitch = float(rng.uniform(7.0, 13.0))
    for side in ((1,), (-1,), (1, -1))[int(rng.integers(3))]:
        for frame in _frames(road, 10.0, (pitch, pitch + 1.0), rng):
            x, y = frame.at(0, side * (road.width_m / 2 + 0.7))
            trunk = Point(x, y)
            if rng.random() < 0.14 or carriageway.intersects(trunk):
                continue
            if len(standing.query(trunk, predicate="dwithin", distance=0.3 * radius)) == 0:
                size = radius * float(rng.uniform(0.75, 1.15))
                works.trees.append(Tree(x, y, size, 2.7 * size + 1.0, "broad"))


def river_area(setting: Setting, rng: Generator) -> BaseGeometry:
    """Return the river's water, of uneven width."""
    runs = np.arange(0, setting.river.length, 9.0)
    sway = np.convolve(rng.normal(0, 1, len(runs) + 8), np.ones(9) / 3, mode="valid")
    widths = setting.river_width_m * np.clip(1 + 0.22 * sway, 0.6, 1.5) / 2
    points = [setting.river.interpolate(run) for run in runs]
    discs = [point.buffer(width, quad_segs=4) for point, width in zip(points, widths, strict=True)]
    pairs = [shapely.union(a, b).convex_hull for a, b in pairwise(discs)]
    return shapely.union_all(pairs)


def riverside(setting: Setting, water: BaseGeometry, works: Works, rng: Generator) -> LineString:
    """Clothe the banks with trees; return the path along the river."""
    path = LineString(shapely.get_coordinates(setting.river.offset_curve(setting.river_width_m / 2 + 6.0)))
    banks = water.buffer(7).difference(water.buffer(1.5))
    works.surfaces.append(Surface(water.buffer(5), "rough"))
    works.surfaces.append(Surface(path.buffer(0.9), "gravel"))
    count = int(banks.area / 55)
    left, bottom, right, top = banks.bounds
    tries = int(count * (right - left) * (top - bottom) / max(banks.area, 1.0))
    xs, ys = rng.uniform(left, right, tries), rng.uniform(bottom, top, tries)
    standing = shapely.STRtree([building.outline for building in works.buildings])
    for x, y in zip(*(axis[shapely.contains_xy(banks, xs, ys)] for axis in (xs, ys)), strict=True):
        radius = float(rng.uniform(1.2, 4.4))
        if len(standing.query(Point(x, y), predicate="dwithin", distance=0.4 * radius)) == 0:
            species = str(rng.choice(["broad", "dark", "poplar", "bush"]))
            works.trees.append(Tree(float(x), float(y), radius, 2.2 * radius + 1, species))
    return path
