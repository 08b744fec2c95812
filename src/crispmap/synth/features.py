"""The things a generated town is made of: plain records, in metres, x east and y north of its south-west corner."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from crispmap.synth.setting import Setting


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


@dataclass(frozen=True)
class Road:
    """A street: its centre line and what a mapper would say of it.

    Attributes:
        line: The centre line.
        highway: OpenStreetMap value, such as ``residential``.
        width_m: Width of the carriageway, kerb to kerb.
        surface: Material of the carriageway.
        verge: Material of the pavement or grass on either side; background in the truth.
        verge_m: Its width.
    """

    line: LineString
    highway: str
    width_m: float
    surface: str
    verge: str
    verge_m: float

    def area(self, extra_m: float = 0.0) -> Polygon:
        """Return the carriageway, grown by ``extra_m`` on either side."""
        return self.line.buffer(self.width_m / 2 + extra_m, quad_segs=4)


@dataclass(frozen=True)
class Wing:
    """A rectangular body with one roof: part of a building, or of a car.

    Attributes:
        frame: Origin at the centre, ``u`` along the ridge.
        length_m: Side along ``u``.
        width_m: Side along ``v``.
        eave_m: Height of the eaves above the ground.
        rise_m: Height of the ridge above the eaves.
        roof: ``gable``, ``hip``, ``flat``, or ``decal`` (paint on whatever roof is there: windows, panels).
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


@dataclass(frozen=True)
class Building:
    """One building: what its roof covers, seen from straight above.

    Attributes:
        outline: The exact outline.
        wings: The bodies whose union, less ground another building took first, is the outline.
        kind: OpenStreetMap value: ``house``, ``terrace``, ``apartments``, ``industrial``, ``shed``, ``church``, ...
        details: Chimneys, vents, windows and panels on the roof.
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
        return max(wing.eave_m + wing.rise_m for wing in self.wings)


@dataclass(frozen=True)
class Surface:
    """A piece of ground, or of something low standing on it.

    Attributes:
        shape: Its outline.
        material: What it is made of.
        angle_rad: Direction of rows, furrows or seams, counter-clockwise from east.
        height_m: Height above the ground: 0 for ground, more for hedges and walls.
    """

    shape: BaseGeometry
    material: str
    angle_rad: float = 0.0
    height_m: float = 0.0


@dataclass(frozen=True)
class Tree:
    """A tree: where it stands, how wide its crown and how high it is, in metres."""

    x: float
    y: float
    radius_m: float
    height_m: float
    species: str


@dataclass
class Town:
    """A town, planned in vectors; everything reaches somewhat beyond the scene.

    Attributes:
        setting: Where it lies.
        roads: Streets and country lanes: what the truth calls road.
        carriageway: The exact ground of all roads, kerb to kerb, with rounded corners.
        water: The river.
        path: The foot path along the river, 2 m wide: background in the truth.
        buildings: All buildings, down to sheds; none overlaps another or a road.
        surfaces: The ground from below to above: fields, gardens, yards, car parks.
        painted: Markings and patches on the carriageways.
        barriers: Hedges and walls.
        trees: All trees.
        cars: Bodies, windows and roofs of all cars and lorries.
    """

    setting: Setting
    roads: tuple[Road, ...]
    carriageway: BaseGeometry
    water: BaseGeometry
    path: LineString
    buildings: list[Building] = field(default_factory=list)
    surfaces: list[Surface] = field(default_factory=list)
    painted: list[Surface] = field(default_factory=list)
    barriers: list[Surface] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    cars: list[Wing] = field(default_factory=list)
