"""Plots along streets: walking a block's edge and finding room for things on its ground."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import shapely
from numpy.random import Generator
from shapely import MultiPoint, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from crispmap.synth.features import Building, Car, Frame, Surface, Tree, Wing, Works
from crispmap.synth.setting import Setting

PRECISION_M = 0.001


def polygons_of(shape: BaseGeometry, least_m2: float = 1.0) -> list[Polygon]:
    """Return the polygons of a geometry that are not smaller than an area."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return [part for part in parts if isinstance(part, Polygon) and part.area >= least_m2]


def clip(shape: BaseGeometry, ground: BaseGeometry) -> MultiPolygon:
    """Return the polygons a shape shares with ground, on a millimetre grid so that shared edges cannot break it."""
    return MultiPolygon(polygons_of(shapely.intersection(shape, ground, grid_size=PRECISION_M), 0.0))


def cut(shape: BaseGeometry, others: Iterable[BaseGeometry]) -> MultiPolygon:
    """Return the polygons of a shape less others, on a millimetre grid so that shared edges cannot break it."""
    taken = shapely.union_all(list(others), grid_size=PRECISION_M)
    return MultiPolygon(polygons_of(shapely.difference(shape, taken, grid_size=PRECISION_M), 0.0))


class Ring:
    """The outer edge of a block, walked with the block on the left."""

    def __init__(self, ground: Polygon) -> None:
        xy = np.asarray(orient(ground).exterior.coords)[:, :2]
        self._xy = xy
        self._run = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
        self.length_m = float(self._run[-1])

    def at(self, run_m: float) -> tuple[float, float]:
        """Return the point (x, y) at a length along the edge."""
        run = run_m % self.length_m
        return (
            float(np.interp(run, self._run, self._xy[:, 0])),
            float(np.interp(run, self._run, self._xy[:, 1])),
        )

    def front(self, run_m: float, length_m: float) -> Frame | None:
        """Return the frame of a straight front, ``v`` into the block; None where the edge bends."""
        a, b = self.at(run_m), self.at(run_m + length_m)
        middle = self.at(run_m + length_m / 2)
        chord = math.dist(a, b)
        sag = math.dist(middle, ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2))
        if chord < 0.97 * length_m or sag > 0.06 * length_m:
            return None
        return Frame(*a, math.atan2(b[1] - a[1], b[0] - a[0]))


@dataclass
class Site:
    """A piece of ground to build on, and the means to do it.

    Attributes:
        ground: The ground; roads and their verges are not part of it.
        streets: All carriageways with their verges, prepared.
        setting: Where the town lies.
        works: Where things are appended.
        rng: The source of chance.
        taken: Outlines already standing on this ground.
    """

    ground: Polygon
    streets: BaseGeometry
    setting: Setting
    works: Works
    rng: Generator
    taken: list[Polygon] = field(default_factory=list)

    def __post_init__(self) -> None:
        shapely.prepare(self.ground)

    def chance(self, probability: float) -> bool:
        """Return True with a probability."""
        return bool(self.rng.random() < probability)

    def pick(self, *options: str) -> str:
        """Return one of the options."""
        return options[int(self.rng.integers(len(options)))]

    def between(self, low: float, high: float) -> float:
        """Return a number drawn evenly from a range."""
        return float(self.rng.uniform(low, high))

    def is_free(self, shape: BaseGeometry, clearance_m: float = 0.0) -> bool:
        """Return whether a shape lies on the ground, this far from everything standing."""
        if not self.ground.contains(shape):
            return False
        if not self.taken:
            return True
        return not bool(shapely.dwithin(np.array(self.taken, dtype=object), shape, clearance_m).any())

    def fronts_street(self, frame: Frame, length_m: float) -> bool:
        """Return whether the middle of a front lies on a street."""
        return bool(shapely.dwithin(self.streets, Point(frame.at(length_m / 2, 0)), 1.0))

    def build(self, wings: tuple[Wing, ...], kind: str, details: tuple[Wing, ...] = (), row: int = -1) -> Building:
        """Put up a building whose room has been found; its outline is its wings less what stands already."""
        outline: BaseGeometry = shapely.union_all([wing.outline for wing in wings])
        touching = [one for one in self.taken if one.intersects(outline)]
        if touching:
            outline = cut(outline, touching)
        building = Building(max(polygons_of(outline, 0.0), key=lambda part: part.area), wings, kind, details, row)
        self.works.buildings.append(building)
        self.taken.append(building.outline)
        return building

    def lay(self, shape: BaseGeometry, material: str, angle_rad: float = 0.0, tone: float = 0.0) -> None:
        """Lay a surface on the ground; parts outside the ground are cut off."""
        inside = shape if self.ground.contains(shape) else clip(shape, self.ground)
        parts = polygons_of(inside, 0.5)
        if parts:
            self.works.surfaces.append(Surface(MultiPolygon(parts), material, angle_rad, tone=tone))

    def raise_barrier(self, shape: BaseGeometry, material: str, height_m: float) -> None:
        """Put up a hedge or wall where nothing stands yet."""
        blocked = [one for one in self.taken if one.intersects(shape)]
        rest = clip(shape, self.ground)
        if blocked:
            rest = cut(rest, blocked)
        parts = polygons_of(rest, 0.2)
        if parts:
            self.works.barriers.append(Surface(MultiPolygon(parts), material, height_m=height_m))

    def plant(self, x: float, y: float, radius_m: float, species: str) -> None:
        """Plant a tree, unless its trunk would stand in a building."""
        trunk = Point(x, y)
        clear = 0.3 + 0.25 * radius_m
        if self.taken and shapely.dwithin(np.array(self.taken, dtype=object), trunk, clear).any():
            return
        slender = {"conifer": 3.2, "poplar": 4.5, "bush": 1.1, "fruit": 2.0}.get(species, 2.9)
        height = slender * radius_m * self.between(0.8, 1.15) + 0.6
        self.works.trees.append(Tree(x, y, radius_m, min(height, 18.0), species))

    def park(self, frame: Frame, lorry: bool = False) -> None:
        """Stand a car at a frame's origin, along its ``u``."""
        paint = self.pick("white", "white", "silver", "silver", "grey", "black", "black", "blue", "red", "dark_blue")
        if lorry:
            self.works.cars.append(Car(frame, self.between(8, 14), 2.5, 3.2, self.pick("white", "silver", "blue")))
        else:
            self.works.cars.append(Car(frame, self.between(3.9, 4.8), self.between(1.7, 1.9), 1.45, paint))

    def scatter(self, ground: BaseGeometry, count: int) -> Iterator[tuple[float, float]]:
        """Yield about ``count`` random points, those that fall on the ground."""
        if ground.is_empty or count < 1:
            return
        left, bottom, right, top = ground.bounds
        box_area = max((right - left) * (top - bottom), 1e-6)
        tries = min(20000, math.ceil(count * box_area / max(ground.area, 1e-6)))
        xs, ys = self.rng.uniform(left, right, tries), self.rng.uniform(bottom, top, tries)
        hits = shapely.contains_xy(ground, xs, ys)
        yield from zip(xs[hits].tolist(), ys[hits].tolist(), strict=True)

    def lots(self, seeds: list[tuple[float, float]], ground: Polygon | None = None) -> list[Polygon]:
        """Return the share of the ground nearest to each seed, in the order of the seeds."""
        ground = self.ground if ground is None else ground
        if len(seeds) == 1:
            return [ground]
        cells = shapely.get_parts(shapely.voronoi_polygons(MultiPoint(seeds), extend_to=ground, ordered=True))
        lots = []
        for cell, seed in zip(cells, seeds, strict=True):
            parts = polygons_of(clip(cell, ground), 0.0)
            gaps = [part.distance(Point(seed)) for part in parts]
            lots.append(parts[gaps.index(min(gaps))] if parts else Polygon())
        return lots

    def rest(self) -> BaseGeometry:
        """Return the ground on which nothing stands."""
        return cut(self.ground, self.taken) if self.taken else self.ground
