"""The things a generated town is made of: plain records, in metres, x east and y north of its south-west corner."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry


@dataclass(frozen=True)
class Frame:
    """A local frame: ``u`` runs along a street, ``v`` to the left of it, into the block.

    Attributes:
        x: Origin, metres east.
        y: Origin, metres north.
        angle_rad: Direction of ``u``, counter-clockwise from east.
    """

    x: float
    y: float
    angle_rad: float

    def at(self, u: float, v: float) -> tuple[float, float]:
        """Return the point (x, y) at (u, v) of this frame."""
        c, s = math.cos(self.angle_rad), math.sin(self.angle_rad)
        return self.x + u * c - v * s, self.y + u * s + v * c

    def moved(self, u: float, v: float, turn_rad: float = 0.0) -> Frame:
        """Return the frame with its origin at (u, v) of this one, turned counter-clockwise."""
        return Frame(*self.at(u, v), self.angle_rad + turn_rad)

    def rect(self, u0: float, u1: float, v0: float, v1: float) -> Polygon:
        """Return the rectangle between two values of ``u`` and two of ``v``."""
        return Polygon([self.at(u0, v0), self.at(u1, v0), self.at(u1, v1), self.at(u0, v1)])


def blob(x: float, y: float, half: tuple[float, float], angle: float, rng: Generator) -> Polygon:
    """Return an uneven oval around (x, y), of two half axes, the first along an angle."""
    turns = np.linspace(0, 2 * math.pi, 24, endpoint=False)
    wobble = 1 + 0.16 * np.sin(2 * turns + rng.uniform(0, 6)) + 0.1 * np.sin(5 * turns + rng.uniform(0, 6))
    frame = Frame(x, y, angle)
    return Polygon(
        [frame.at(half[0] * w * math.cos(t), half[1] * w * math.sin(t)) for t, w in zip(turns, wobble, strict=True)]
    )


@dataclass(frozen=True)
class Road:
    """A street: its centre line and what a mapper would say of it.

    Attributes:
        line: The centre line.
        width_m: Width of the carriageway, kerb to kerb.
        highway: OpenStreetMap value, such as ``residential``.
        name: Street name, empty for lanes.
        verge_m: Width of the pavement or grass verge on either side; background in the truth.
        verge: Material of the verge.
        surface: Material of the carriageway.
        turning: End point of a cul-de-sac with a turning circle, or None.
    """

    line: LineString
    width_m: float
    highway: str
    name: str = ""
    verge_m: float = 1.5
    verge: str = "pavement"
    surface: str = "asphalt"
    turning: tuple[float, float] | None = None

    def area(self, extra_m: float = 0.0) -> BaseGeometry:
        """Return the carriageway with its turning circle, grown by ``extra_m`` on either side."""
        shape = self.line.buffer(self.width_m / 2 + extra_m, quad_segs=4)
        if self.turning is None:
            return shape
        return shape.union(Point(self.turning).buffer(self.width_m / 2 + 3.5 + extra_m, quad_segs=6))


@dataclass(frozen=True)
class Wing:
    """A rectangular body with one roof.

    Attributes:
        frame: Origin at the centre, ``u`` along the ridge.
        length_m: Side along ``u``.
        width_m: Side along ``v``.
        eave_m: Height of the eaves above the ground.
        rise_m: Height of the ridge above the eaves.
        roof: ``gable``, ``hip``, ``shed``, ``flat``, or ``decal`` (paint on whatever roof is there: windows, panels).
        material: Roof material.
    """

    frame: Frame
    length_m: float
    width_m: float
    eave_m: float
    rise_m: float
    roof: str
    material: str

    @property
    def outline(self) -> Polygon:
        """The rectangle seen from above."""
        a, b = self.length_m / 2, self.width_m / 2
        return self.frame.rect(-a, a, -b, b)

    @property
    def height_m(self) -> float:
        """Height of the highest point."""
        return self.eave_m + self.rise_m


@dataclass(frozen=True)
class Building:
    """One building: what its roof covers, seen from straight above.

    Attributes:
        outline: The exact outline.
        wings: The bodies whose union, less ground another building took first, is the outline.
        details: Chimneys, vents, windows and panels on the roof.
        kind: OpenStreetMap value: ``house``, ``terrace``, ``apartments``, ``industrial``, ``shed``, ``church``, ...
        row: Number of the row of houses it stands in, or -1: mappers draw rows as one.
    """

    outline: Polygon
    wings: tuple[Wing, ...]
    kind: str
    details: tuple[Wing, ...] = ()
    row: int = -1

    @property
    def height_m(self) -> float:
        """Height of the highest ridge."""
        return max(wing.height_m for wing in self.wings)

    @property
    def angle_rad(self) -> float:
        """Direction of the ridge of the main wing, counter-clockwise from east."""
        return self.wings[0].frame.angle_rad


@dataclass(frozen=True)
class Surface:
    """A piece of ground, or of something low standing on it.

    Attributes:
        shape: Its outline.
        material: What it is made of.
        angle_rad: Direction of rows, furrows or seams, counter-clockwise from east.
        height_m: Height above the ground: 0 for ground, more for hedges, walls and cars.
        tone: Brightness against the material's own, or 0 to draw it at random.
    """

    shape: BaseGeometry
    material: str
    angle_rad: float = 0.0
    height_m: float = 0.0
    tone: float = 0.0


@dataclass(frozen=True)
class Tree:
    """A tree: where it stands, how wide its crown and how high it is, in metres."""

    x: float
    y: float
    radius_m: float
    height_m: float
    species: str


@dataclass(frozen=True)
class Car:
    """A car or lorry, standing or driving; ``angle_rad`` is where it points."""

    frame: Frame
    length_m: float
    width_m: float
    height_m: float
    paint: str


@dataclass
class Works:
    """What has been built so far; the planners append to it."""

    buildings: list[Building] = field(default_factory=list)
    surfaces: list[Surface] = field(default_factory=list)
    barriers: list[Surface] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    cars: list[Car] = field(default_factory=list)
    rows: int = 0

    def next_row(self) -> int:
        """Return a number no row of houses has yet."""
        self.rows += 1
        return self.rows
