"""Building sites: finding space for things, and laying, building and planting them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely import MultiPoint, MultiPolygon, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from crispmap.synth.chance import Dice
from crispmap.synth.features import Building, Frame, Surface, Town, Tree
from crispmap.synth.houses import Style, draw_car, draw_details

PRECISION_M = 0.001
_SPECIES = {
    "broad": (1.8, 4.6, 2.9),
    "dark": (1.8, 4.2, 2.9),
    "poplar": (1.6, 3.2, 4.5),
    "conifer": (1.3, 3.0, 3.2),
    "fruit": (1.3, 2.4, 2.0),
    "bush": (0.6, 1.7, 1.1),
}
"""Range of a crown's radius in metres, and a tree's height over that radius."""


def polygons_of(shape: BaseGeometry, least_m2: float = 1.0) -> list[Polygon]:
    """Return the polygons of a geometry of at least an area."""
    parts = shapely.get_parts(shapely.get_parts(shape))
    return [part for part in parts if isinstance(part, Polygon) and part.area >= least_m2]


def clip(shape: BaseGeometry, ground: BaseGeometry) -> MultiPolygon:
    """Return the intersection of a shape and an area as polygons, on a millimetre grid for robust shared edges."""
    return MultiPolygon(polygons_of(shapely.intersection(shape, ground, grid_size=PRECISION_M), 0.0))


def cut(shape: BaseGeometry, others: Iterable[BaseGeometry]) -> MultiPolygon:
    """Return a shape less others as polygons, on a millimetre grid for robust shared edges."""
    taken = shapely.union_all(list(others), grid_size=PRECISION_M)
    return MultiPolygon(polygons_of(shapely.difference(shape, taken, grid_size=PRECISION_M), 0.0))


def draw_tree(x: float, y: float, species: str, dice: Dice, radius_m: float = 0.0) -> Tree:
    """Return a tree of the usual size of its species, or of a given one."""
    low, high, slender = _SPECIES[species]
    radius = radius_m or dice.between(low, high)
    return Tree(x, y, radius, min(18.0, slender * radius * dice.between(0.8, 1.15) + 0.6), species)


@dataclass
class Site:
    """A plot to build on, and the means to do it."""

    ground: Polygon  # the ground; roads and their verges are not part of it
    streets: BaseGeometry  # all carriageways with their verges, prepared
    town: Town  # where things are appended
    dice: Dice  # the source of chance
    taken: list[Polygon] = field(default_factory=list)  # outlines already standing on this ground

    def __post_init__(self) -> None:
        shapely.prepare(self.ground)
        self._ring = orient(self.ground).exterior

    @property
    def edge_m(self) -> float:
        """Length of the ground's outer edge."""
        return float(self._ring.length)

    def at(self, run_m: float) -> tuple[float, float]:
        """Return the point (x, y) at a length along the ground's outer edge, which runs counterclockwise."""
        point = self._ring.interpolate(run_m % self.edge_m)
        return point.x, point.y

    def front(self, run_m: float, length_m: float) -> Frame | None:
        """Return the middle of a straight front along a street, ``v`` into the plot; None if there is none."""
        a, middle, b = (self.at(run_m + share * length_m) for share in (0.0, 0.5, 1.0))
        frame = Frame((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, math.atan2(b[1] - a[1], b[0] - a[0]))
        bent = math.dist(a, b) < 0.97 * length_m or math.dist(middle, frame.at(0, 0)) > 0.06 * length_m
        return None if bent or not shapely.dwithin(self.streets, Point(middle), 1.0) else frame

    def is_free(self, shape: BaseGeometry, clearance_m: float = 0.0) -> bool:
        """Return whether a shape is inside the plot, with a clearance from everything on it."""
        if not self.ground.contains(shape):
            return False
        return not (self.taken and shapely.dwithin(np.array(self.taken, dtype=object), shape, clearance_m).any())

    def build(self, style: Style, door: Frame, front_m: float, apart_m: float, row: int = -1) -> Building | None:
        """Add a building where it fits, if necessary without its wing; return it, or None.

        Neighbours of a row touch: a wall is cut off where another house already is.
        """
        wings = style.draw_wings(front_m, door, self.dice)
        for bodies in (wings, wings[:1]):
            outline: BaseGeometry = shapely.union_all([wing.outline for wing in bodies])
            plan = outline if row < 0 else outline.buffer(-0.03, join_style="mitre")
            if self.is_free(plan, apart_m):
                rest = cut(outline, [one for one in self.taken if one.intersects(outline)])
                shape = max(rest.geoms, key=lambda part: float(part.area))
                self.taken.append(shape)
                building = Building(shape, bodies, style.kind, draw_details(bodies[0], self.dice), row)
                self.town.buildings.append(building)
                return building
        return None

    def lay(self, shape: BaseGeometry, material: str, angle_rad: float = 0.0, height_m: float = 0.0) -> None:
        """Add a surface, hedge or wall, clipped to the plot."""
        inside = shape if self.ground.contains(shape) else clip(shape, self.ground)
        (self.town.barriers if height_m else self.town.surfaces).append(Surface(inside, material, angle_rad, height_m))

    def scatter(self, ground: BaseGeometry, count: float) -> Iterator[tuple[float, float]]:
        """Yield random points in an area, ``count`` on average."""
        if ground.area > 0:
            left, bottom, right, top = ground.bounds
            tries = self.dice.poisson(count * (right - left) * (top - bottom) / ground.area)
            xs, ys = self.dice.uniform(left, right, tries), self.dice.uniform(bottom, top, tries)
            hits = shapely.contains_xy(ground, xs, ys)
            yield from zip(xs[hits].tolist(), ys[hits].tolist(), strict=True)

    def plant(self, ground: BaseGeometry, m2_each: float, species: Sequence[str]) -> None:
        """Scatter trees over an area."""
        for x, y in self.scatter(ground, ground.area / m2_each):
            self.town.trees.append(draw_tree(x, y, self.dice.pick(species), self.dice))

    def park(self, frame: Frame) -> None:
        """Park a car at a frame's origin, along its ``u``, if the spot is free."""
        if self.is_free(frame.rect(-2.4, 2.4, -1, 1)):
            self.town.cars.extend(draw_car(frame, self.dice))

    def lots(self, seeds: Sequence[Point], reach_m: float) -> list[Polygon]:
        """Return the part of the plot nearest to each seed and within reach of it, in the order of the seeds."""
        cells: Iterable[BaseGeometry] = [self.ground] * len(seeds)
        if len(seeds) > 1:
            cells = shapely.get_parts(shapely.voronoi_polygons(MultiPoint(seeds), extend_to=self.ground, ordered=True))
        lots = []
        for cell, seed in zip(cells, seeds, strict=True):
            near = clip(cell, clip(seed.buffer(reach_m, quad_segs=2), self.ground))
            lots.append(min(near.geoms, key=seed.distance, default=Polygon()))
        return lots
