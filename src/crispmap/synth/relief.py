"""Heights and surfaces: for every fine pixel, what is seen from straight above and how high it is.

Surfaces are numbered; a catalogue keeps what each number looks like. Later and higher things cover earlier, lower ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from affine import Affine
from numpy.random import Generator
from numpy.typing import NDArray
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from crispmap.synth.features import Car, Surface, Tree, Wing
from crispmap.synth.materials import MATERIALS, Material
from crispmap.synth.texture import smooth_noise
from crispmap.types import DoubleArray, FloatArray

_CROWN_KINDS = 16


@dataclass(frozen=True)
class Sun:
    """Where the sun stands: azimuth clockwise from north, elevation above the horizon."""

    azimuth_deg: float = 152.0
    elevation_deg: float = 47.0

    @property
    def towards(self) -> tuple[float, float]:
        """Unit vector (east, north) towards the sun."""
        azimuth = math.radians(self.azimuth_deg)
        return math.sin(azimuth), math.cos(azimuth)

    @property
    def slope(self) -> float:
        """Tangent of the elevation."""
        return math.tan(math.radians(self.elevation_deg))

    def facing(self, slope: float, downhill_rad: float) -> float:
        """Return the direct light on a plane relative to flat ground, from its slope and the direction it falls."""
        east, north = self.towards
        towards = math.cos(downhill_rad) * east + math.sin(downhill_rad) * north
        return max(0.0, (1 + slope * towards / self.slope) / math.sqrt(1 + slope * slope))


@dataclass
class Catalogue:
    """What each surface number looks like; number 0 is rough grass.

    Attributes:
        rng: Draws how one piece differs from another.
    """

    rng: Generator
    colours: list[tuple[float, float, float, float]] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    angles: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add("rough")

    def add(self, name: str, angle_rad: float = 0.0, light: float = 1.0, tone: float = 0.0) -> int:
        """Enter a surface and return its number."""
        material = MATERIALS[name]
        tone = tone or self.draw_tone(name)
        tint = self.rng.normal(0, 0.014, 3)
        red, green, blue, infrared = material.colour
        shade = light * tone
        self.colours.append(
            (red * shade * (1 + tint[0]), green * shade * (1 + tint[1]), blue * shade * (1 + tint[2]), infrared * shade)
        )
        self.materials.append(material)
        self.angles.append(angle_rad)
        return len(self.colours) - 1

    def draw_tone(self, name: str) -> float:
        """Return the brightness of one piece of a material against the material's own."""
        return float(np.clip(self.rng.normal(1, MATERIALS[name].vary), 0.72, 1.3))

    def colour_table(self) -> FloatArray:
        """Return the colours, (surface, 4)."""
        return np.array(self.colours, dtype=np.float32)

    def texture_table(self) -> FloatArray:
        """Return grain at four scales, dryness, row depth and the rows' wave vector (east, north), (surface, 8)."""
        rows = []
        for material, angle in zip(self.materials, self.angles, strict=True):
            wave = 2 * math.pi / material.row_m if material.row_m else 0.0
            rows.append(
                (*material.grain, material.dry, material.row_depth, -wave * math.sin(angle), wave * math.cos(angle))
            )
        return np.array(rows, dtype=np.float32)


class Relief:
    """The fine raster under construction.

    Attributes:
        surface: Surface numbers, (row, col) int32.
        height_m: Heights above the ground, (row, col) float32.
        crown: Where a tree's crown is seen, (row, col) bool.
    """

    def __init__(self, shape: tuple[int, int], gsd_m: float, sun: Sun, rng: Generator) -> None:
        """Start with bare ground of ``shape`` fine pixels of ``gsd_m``; the south-west corner is (0, 0)."""
        self.gsd_m = gsd_m
        self.sun = sun
        self.rng = rng
        self.catalogue = Catalogue(rng)
        self.surface: NDArray[np.int32] = np.zeros(shape, dtype=np.int32)
        self.height_m: FloatArray = np.zeros(shape, dtype=np.float32)
        self.crown: NDArray[np.bool_] = np.zeros(shape, dtype=np.bool_)
        self.transform = Affine(gsd_m, 0, 0, 0, -gsd_m, shape[0] * gsd_m)
        self._rag = smooth_noise((640, 640), 1.1 / gsd_m, rng)

    def lay(self, pieces: Iterable[tuple[BaseGeometry, int]]) -> None:
        """Paint ground surfaces, later ones over earlier ones."""
        shapes = [(shape, number) for shape, number in pieces if not shape.is_empty]
        if shapes:
            rasterize(shapes, out=self.surface, transform=self.transform)

    def raise_all(self, things: Iterable[Surface]) -> None:
        """Set up low upright things: hedges, walls, containers."""
        numbers: list[tuple[BaseGeometry, int]] = []
        heights: list[tuple[BaseGeometry, float]] = []
        for thing in things:
            numbers.append((thing.shape, self.catalogue.add(thing.material, thing.angle_rad)))
            heights.append((thing.shape, thing.height_m))
        self.lay(numbers)
        if heights:
            rasterize(heights, out=self.height_m, transform=self.transform)

    def window(self, x: float, y: float, reach_m: float) -> tuple[slice, slice, DoubleArray, DoubleArray] | None:
        """Return the rows and columns around a point and the offsets (east, north) of their centres from it."""
        height, width = self.surface.shape
        col, row = x / self.gsd_m, height - y / self.gsd_m
        reach = reach_m / self.gsd_m
        r0, r1 = max(0, math.floor(row - reach)), min(height, math.ceil(row + reach) + 1)
        c0, c1 = max(0, math.floor(col - reach)), min(width, math.ceil(col + reach) + 1)
        if r0 >= r1 or c0 >= c1:
            return None
        east = (np.arange(c0, c1) + 0.5 - col) * self.gsd_m
        north = (row - np.arange(r0, r1) - 0.5) * self.gsd_m
        return slice(r0, r1), slice(c0, c1), east[None, :], north[:, None]

    def roof(self, wing: Wing) -> None:
        """Put a wing's roof up; of overlapping roofs the higher is seen."""
        place = self.window(wing.frame.x, wing.frame.y, math.hypot(wing.length_m, wing.width_m) / 2 + self.gsd_m)
        if place is None:
            return
        rows, cols, east, north = place
        c, s = math.cos(wing.frame.angle_rad), math.sin(wing.frame.angle_rad)
        u, v = east * c + north * s, north * c - east * s
        inside = (np.abs(u) <= wing.length_m / 2) & (np.abs(v) <= wing.width_m / 2)
        if wing.roof == "decal":
            number = self.catalogue.add(wing.material, wing.frame.angle_rad)
            self.surface[rows, cols][inside] = number
            return
        height, face = _roof_shape(wing, u, v)
        shown = inside & (height > self.height_m[rows, cols])
        numbers = self._faces(wing)
        self.height_m[rows, cols][shown] = height[shown]
        self.surface[rows, cols][shown] = numbers[face[shown]]

    def _faces(self, wing: Wing) -> NDArray[np.int32]:
        """Enter a wing's roof planes: +v, -v, +u, -u and the ridge; return their numbers, (5,)."""
        tone = self.catalogue.draw_tone(wing.material)
        run = wing.width_m if wing.roof == "shed" else wing.width_m / 2
        slope = 0.0 if wing.roof == "flat" else wing.rise_m / run
        angle = wing.frame.angle_rad
        falls = (angle + math.pi / 2, angle - math.pi / 2, angle, angle + math.pi)
        numbers = []
        for fall in falls:
            light = 0.36 + 0.64 * self.sun.facing(slope, fall)
            rows = angle + math.pi / 2 if MATERIALS[wing.material].row_m else angle
            numbers.append(self.catalogue.add(wing.material, rows, light, tone))
        numbers.append(self.catalogue.add(wing.material, angle, 1.12 if slope else 1.0, tone))
        return np.array(numbers, dtype=np.int32)

    def car(self, car: Car) -> None:
        """Stand a car: body, dark windows, roof."""
        body = Wing(car.frame, car.length_m, car.width_m, 0.8 * car.height_m, 0.0, "flat", car.paint)
        self.roof(body)
        if car.height_m < 2.0:
            glass = Wing(car.frame.moved(-0.25, 0), 0.5 * car.length_m, car.width_m - 0.25, 0.0, 0.0, "decal", "window")
            self.roof(glass)
            top = Wing(car.frame.moved(-0.3, 0), 0.33 * car.length_m, car.width_m - 0.25, 1.45, 0.0, "flat", car.paint)
            self.roof(top)

    def trees(self, trees: Iterable[Tree]) -> None:
        """Grow the trees; crowns cover what is lower."""
        kinds: dict[str, list[int]] = {}
        for tree in trees:
            if tree.species not in kinds:
                kinds[tree.species] = [self.catalogue.add(tree.species) for _ in range(_CROWN_KINDS)]
            self._tree(tree, kinds[tree.species][int(self.rng.integers(_CROWN_KINDS))])

    def _tree(self, tree: Tree, number: int) -> None:
        """Grow one tree: a ragged dome, or a cone."""
        place = self.window(tree.x, tree.y, 1.15 * tree.radius_m)
        if place is None:
            return
        rows, cols, east, north = place
        r0, c0 = (int(start) for start in self.rng.integers(0, 400, 2))
        rag = self._rag[r0 : r0 + north.shape[0], c0 : c0 + east.shape[1]]
        off = np.sqrt(east**2 + north**2) / tree.radius_m + 0.11 * rag
        dome = 1 - off if tree.species == "conifer" else np.sqrt(np.clip(1 - off**2, 0, None))
        rough = 0.22 * min(tree.radius_m, 3.0) * rag
        height = tree.height_m * (0.6 + 0.4 * dome) + rough
        shown = (off < 1) & (height > self.height_m[rows, cols])
        self.height_m[rows, cols][shown] = height[shown]
        self.surface[rows, cols][shown] = number
        self.crown[rows, cols][shown] = True


def _roof_shape(wing: Wing, u: DoubleArray, v: DoubleArray) -> tuple[DoubleArray, NDArray[np.int8]]:
    """Return heights and plane numbers (0..3, 4 for the ridge) of a roof at (u, v)."""
    half, long = wing.width_m / 2, wing.length_m / 2
    face = np.where(v >= 0, 0, 1).astype(np.int8)
    if wing.roof == "flat":
        face[:] = 4
        return np.full(v.shape, wing.eave_m), face
    if wing.roof == "shed":
        face[:] = 1
        return wing.eave_m + wing.rise_m * (0.5 + v / wing.width_m), face
    side = 1 - np.abs(v) / half
    if wing.roof == "hip":
        end = (long - np.abs(u)) / half
        ends = end < side
        face = np.where(ends, np.where(u >= 0, 2, 3), face).astype(np.int8)
        side = np.minimum(side, end)
        face[(np.abs(v) < 0.16) & ~ends] = 4
    else:
        face[np.abs(v) < 0.16] = 4
    return wing.eave_m + wing.rise_m * side, face
