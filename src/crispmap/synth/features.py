"""The elements of a generated town: plain records, in metres, x east and y north of its south-west corner."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from crispmap.synth.setting import Setting


@dataclass(frozen=True)
class Frame:
    """A local frame: ``u`` runs along a street, ``v`` to the left of it, into the block."""

    x: float  # origin, metres east
    y: float  # origin, metres north
    angle_rad: float  # direction of ``u``, counter-clockwise from east

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
    """A street."""

    line: LineString  # the centre line
    highway: str  # OpenStreetMap value, such as ``residential``
    width_m: float  # width of the carriageway, kerb to kerb
    surface: str  # material of the carriageway
    verge: str  # material of the pavement or grass on either side; background in the truth
    verge_m: float  # its width

    def area(self, extra_m: float = 0.0) -> Polygon:
        """Return the carriageway, grown by ``extra_m`` on either side."""
        return self.line.buffer(self.width_m / 2 + extra_m, quad_segs=4)


@dataclass(frozen=True)
class Wing:
    """A rectangular body with one roof: part of a building, or of a car."""

    frame: Frame  # origin at the centre, ``u`` along the ridge
    length_m: float  # side along ``u``
    width_m: float  # side along ``v``
    eave_m: float  # height of the eaves above the ground
    rise_m: float  # height of the ridge above the eaves
    roof: str  # ``gable``, ``hip``, ``flat``, or ``decal`` (drawn on the roof below: windows, panels)
    material: str  # roof material

    @property
    def outline(self) -> Polygon:
        """The rectangle seen from above."""
        a, b = self.length_m / 2, self.width_m / 2
        return self.frame.rect(-a, a, -b, b)


@dataclass(frozen=True)
class Building:
    """One building."""

    outline: Polygon  # the exact outline, seen from straight above
    wings: tuple[Wing, ...]  # the bodies whose union, less earlier buildings, is the outline
    kind: str  # OpenStreetMap value: ``house``, ``terrace``, ``apartments``, ``industrial``, ``shed``, ``church``, ..
    details: tuple[Wing, ...] = ()  # chimneys, vents, windows and panels on the roof
    row: int = -1  # number of the row of houses it stands in, or -1: mappers draw rows as one

    @property
    def height_m(self) -> float:
        """Height of the highest ridge."""
        return max(wing.eave_m + wing.rise_m for wing in self.wings)


@dataclass(frozen=True)
class Surface:
    """A piece of ground, or of something low on it."""

    shape: BaseGeometry  # its outline
    material: str  # what it is made of
    angle_rad: float = 0.0  # direction of rows, furrows or seams, counter-clockwise from east
    height_m: float = 0.0  # height above the ground: 0 for ground, more for hedges and walls


@dataclass(frozen=True)
class Tree:
    """A tree: its position, crown radius and height in metres."""

    x: float
    y: float
    radius_m: float
    height_m: float
    species: str


@dataclass
class Town:
    """A town, planned in vectors; everything reaches a little beyond the scene."""

    setting: Setting  # where it lies
    roads: tuple[Road, ...]  # streets and country lanes: what the truth calls road
    carriageway: BaseGeometry  # the exact ground of all roads, kerb to kerb, with rounded corners
    water: BaseGeometry  # the river
    path: LineString  # the foot path along the river, 2 m wide: background in the truth
    # all buildings, down to sheds; none overlaps another or a road
    buildings: list[Building] = field(default_factory=list)
    # the ground from below to above: fields, gardens, yards, car parks
    surfaces: list[Surface] = field(default_factory=list)
    painted: list[Surface] = field(default_factory=list)  # markings and patches on the carriageways
    barriers: list[Surface] = field(default_factory=list)  # hedges and walls
    trees: list[Tree] = field(default_factory=list)  # all trees
    cars: list[Wing] = field(default_factory=list)  # bodies, windows and roofs of all cars and lorries
