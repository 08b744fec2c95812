"""Heights, surfaces and sunlight: for every pixel what is seen from straight above, its height, and its shadow.

Pieces of a material are numbered; a table holds their looks. Later and higher things cover lower ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from affine import Affine
from numpy.random import Generator
from numpy.typing import NDArray
from rasterio.features import rasterize

from crispmap.synth.chance import smooth_noise
from crispmap.synth.features import Surface, Tree, Wing
from crispmap.synth.materials import MATERIALS, Material
from crispmap.types import BoolArray, DoubleArray, FloatArray

_RIDGE_M = 0.16
_Place: TypeAlias = tuple[slice, slice]


@dataclass(frozen=True)
class Sun:
    """The position of the sun: azimuth clockwise from north, elevation above the horizon."""

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
        """Return the direct light on a plane relative to flat ground, from its slope and downhill direction."""
        east, north = self.towards
        towards = math.cos(downhill_rad) * east + math.sin(downhill_rad) * north
        return max(0.0, (1 + slope * towards / self.slope) / math.sqrt(1 + slope * slope))


class Relief:
    """The fine raster under construction.

    Attributes:
        surface: Numbers of pieces of a material, (row, col) int32; 0 is rough grass.
        height_m: Heights above the ground, (row, col) float32.
        light: Light on roofs and leaves relative to flat ground, (row, col) float32.
        crown: Whether a tree's crown is seen, (row, col) bool.
    """

    def __init__(
        self,
        shape: tuple[int, int],
        gsd_m: float,
        sun: Sun,
        rng: Generator,
        materials: Mapping[str, Material] = MATERIALS,
    ) -> None:
        """Start with flat ground of ``shape`` fine pixels of ``gsd_m``; the south-west corner is (0, 0)."""
        self._materials = materials
        self.gsd_m = gsd_m
        self.sun = sun
        self.rng = rng
        self._pieces: list[tuple[float, ...]] = []
        self.enter("rough")
        self.surface: NDArray[np.int32] = np.zeros(shape, dtype=np.int32)
        self.height_m: FloatArray = np.zeros(shape, dtype=np.float32)
        self.light: FloatArray = np.ones(shape, dtype=np.float32)
        self.crown: BoolArray = np.zeros(shape, dtype=np.bool_)
        self.transform = Affine(gsd_m, 0, 0, 0, -gsd_m, shape[0] * gsd_m)
        self._rag = smooth_noise((640, 640), 1.1 / gsd_m, rng)

    def enter(self, name: str, angle_rad: float = 0.0) -> int:
        """Add a piece of a material, with its own brightness and tint, and return its number."""
        material = self._materials[name]
        tone = min(1.3, max(0.72, self.rng.normal(1, material.vary)))
        tint = np.array([*self.rng.normal(1, 0.014, 3), 1.0]) * tone
        wave = 2 * math.pi / material.row_m if material.row_m else 0.0
        rows = material.row_depth, -wave * math.sin(angle_rad), wave * math.cos(angle_rad)
        self._pieces.append((*(material.colour * tint), *material.grain, material.dry, *rows))
        return len(self._pieces) - 1

    def looks(self) -> FloatArray:
        """Return, (piece, 12): colour in 4 bands, grain at 4 scales, dryness, row depth, wave vector of the rows."""
        return np.array(self._pieces, dtype=np.float32)

    def lay(self, things: Iterable[Surface]) -> None:
        """Paint ground surfaces and set up hedges and walls, later ones over earlier ones."""
        there = [thing for thing in things if not thing.shape.is_empty]
        numbers = [(thing.shape, self.enter(thing.material, thing.angle_rad)) for thing in there]
        heights = [(thing.shape, thing.height_m) for thing in there if thing.height_m]
        for shapes, values in ((numbers, self.surface), (heights, self.height_m)):
            if shapes:
                rasterize(shapes, out=values, transform=self.transform)

    def _around(self, x: float, y: float, reach_m: float) -> tuple[_Place, DoubleArray, DoubleArray]:
        """Return the rows and columns around a point and the offsets (east, north) of their centres from it."""
        height, width = self.surface.shape
        col, row, reach = x / self.gsd_m, height - y / self.gsd_m, reach_m / self.gsd_m
        r0, r1 = (min(height, max(0, int(edge))) for edge in (row - reach, row + reach + 2))
        c0, c1 = (min(width, max(0, int(edge))) for edge in (col - reach, col + reach + 2))
        east = (np.arange(c0, c1) + 0.5 - col) * self.gsd_m
        north = (row - np.arange(r0, r1) - 0.5) * self.gsd_m
        return (slice(r0, r1), slice(c0, c1)), east[None, :], north[:, None]

    def roof(self, wing: Wing) -> None:
        """Draw a wing's roof; of overlapping roofs the higher is seen."""
        reach = math.hypot(wing.length_m, wing.width_m) / 2 + self.gsd_m
        place, east, north = self._around(wing.frame.x, wing.frame.y, reach)
        c, s = math.cos(wing.frame.angle_rad), math.sin(wing.frame.angle_rad)
        u, v = east * c + north * s, north * c - east * s
        inside = (np.abs(u) <= wing.length_m / 2) & (np.abs(v) <= wing.width_m / 2)
        if wing.roof == "decal":
            self.surface[place][inside] = self.enter(wing.material, wing.frame.angle_rad)
            return
        height, face = _roof_shape(wing, u, v)
        slope, seams = 2 * wing.rise_m / wing.width_m, wing.frame.angle_rad + math.pi / 2
        light = [0.36 + 0.64 * self.sun.facing(slope, seams - turn * math.pi / 2) for turn in range(4)]
        light.append(1.12 if slope else 1.0)
        shown = inside & (height > self.height_m[place])
        self._show(place, shown, height, self.enter(wing.material, seams), np.array(light)[face])

    def _show(self, place: _Place, shown: BoolArray, height: DoubleArray, number: int, light: DoubleArray) -> None:
        """Draw the visible pixels of a thing."""
        self.height_m[place][shown] = height[shown]
        self.light[place][shown] = light[shown]
        self.surface[place][shown] = number

    def tree(self, tree: Tree) -> None:
        """Draw a tree, a ragged dome or a cone, brighter towards the sun; its crown covers lower things."""
        place, east, north = self._around(tree.x, tree.y, 1.15 * tree.radius_m)
        r0, c0 = self.rng.integers(0, 400, 2)
        rag = self._rag[r0 : r0 + north.shape[0], c0 : c0 + east.shape[1]]
        off = np.sqrt(east**2 + north**2) / tree.radius_m + 0.11 * rag
        dome = 1 - off if tree.species == "conifer" else np.sqrt(np.clip(1 - off**2, 0, None))
        height = tree.height_m * (0.6 + 0.4 * dome) + 0.22 * min(tree.radius_m, 3.0) * rag
        towards = (east * self.sun.towards[0] + north * self.sun.towards[1]) / tree.radius_m
        light = 0.92 + 0.3 * np.tanh(towards + 0.5 * rag)
        shown = (off < 1) & (height > self.height_m[place])
        self._show(place, shown, height, self.enter(tree.species), light)
        self.crown[place][shown] = True


def _roof_shape(wing: Wing, u: DoubleArray, v: DoubleArray) -> tuple[DoubleArray, NDArray[np.int8]]:
    """Return heights and planes at (u, v): 0 and 2 face +v and -v, 1 and 3 face +u and -u, 4 is flat or the ridge."""
    half = wing.width_m / 2
    side = 1 - np.abs(v) / half
    end = (wing.length_m / 2 - np.abs(u)) / half if wing.roof == "hip" else np.float64(math.inf)
    face = np.where(end < side, np.where(u >= 0, 1, 3), np.where(v >= 0, 0, 2)).astype(np.int8)
    face[(side <= end) & (np.abs(v) < _RIDGE_M) | (wing.roof == "flat")] = 4
    return wing.eave_m + wing.rise_m * np.minimum(side, end), face


def cast_shadows(height_m: FloatArray, gsd_m: float, sun: Sun) -> BoolArray:
    """Return which pixels are in shadow, from heights in pixels of ``gsd_m``.

    A pixel is in shadow if, k steps towards the sun, something is higher than the pixel by more than the sun's rise
    over k steps. The maximum over all k is taken by doubling: log2(steps) passes instead of steps.
    """
    east, north = sun.towards
    longest = max(abs(east), abs(north))
    drop_m = gsd_m / longest * sun.slope
    reach = math.ceil(float(height_m.max(initial=0.0)) / drop_m) + 1
    top = height_m.copy()
    stride = 1
    while stride <= min(reach, max(top.shape)):
        rows, cols = round(-stride * north / longest), round(stride * east / longest)
        here, there = (_overlap(top, sign * rows, sign * cols) for sign in (-1, 1))
        np.maximum(here, there - np.float32(stride * drop_m), out=here)
        stride *= 2
    shadow: BoolArray = top > height_m + np.float32(0.12)
    return shadow


def _overlap(array: FloatArray, rows: int, cols: int) -> FloatArray:
    """Return the view of an array that overlaps with itself moved up by rows and left by columns."""
    height, width = array.shape
    return array[max(0, rows) : max(0, height + min(0, rows)), max(0, cols) : max(0, width + min(0, cols))]
