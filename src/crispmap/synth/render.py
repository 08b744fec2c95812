"""The image of a town from above: red, green, blue and near infrared, as a sensor would see it.

Geometry, light and shadow are drawn on pixels of half the size and averaged; textures, haze, the sensor's blur and
noise follow at full size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from crispmap.errors import GridError
from crispmap.geo.grid import Grid
from crispmap.synth.chance import Dice, smooth_noise
from crispmap.synth.features import Surface, Town
from crispmap.synth.materials import MATERIALS, Material
from crispmap.synth.relief import Relief, Sun, cast_shadows
from crispmap.types import FloatArray

_FINE = 2
_STRIP_PX = 256
_SKYLIGHT = np.array([0.36, 0.41, 0.5, 0.3], dtype=np.float32)  # the share of full light in a shadow; skylight is blue
_HAZE = np.array([168, 178, 196, 120], dtype=np.float32)
_NOISE = (1.3, 0.012)  # sensor noise: standard deviation in the dark, and its growth with brightness


def render(
    town: Town, grid: Grid, seed: int = 0, *, sun: Sun | None = None, materials: Mapping[str, Material] = MATERIALS
) -> NDArray[np.uint8]:
    """Return the image of a town, bands red, green, blue, near infrared, (4, row, col), 0..255.

    The same town, grid, seed (of textures, colours and noise), sun and materials give the same bytes.

    Raises:
        GridError: If the grid is not north-up with square pixels and exactly the town's extent.
    """
    gsd, turned, _, _, up, _ = grid.transform[:6]
    width_m, height_m = town.setting.size_m
    if turned or not np.allclose([gsd, -up], [width_m / grid.width, height_m / grid.height], rtol=1e-9):
        raise GridError(
            f"A grid of {grid.shape} pixels of {gsd:g} x {-up:g} m for a town of {width_m} x {height_m} m.",
            expected="a north-up grid of square pixels of the town's extent",
        )
    rng = Dice.of(seed, 2)
    relief = Relief((grid.height * _FINE, grid.width * _FINE), gsd / _FINE, sun or Sun(), rng, materials)
    _draw(town, relief)
    image = _lit(relief)
    _texture(image, relief, gsd, rng)
    return _sensed(image, gsd, rng)


def _draw(town: Town, relief: Relief) -> None:
    """Draw a town: ground, roads with the largest on top, hedges, cars, buildings, trees."""
    small_first = town.roads[::-1]
    relief.lay([*town.surfaces, Surface(town.water, "water")])
    relief.lay(Surface(road.area(road.verge_m), road.verge) for road in small_first)
    relief.lay([Surface(town.carriageway, "asphalt"), *(Surface(road.area(), road.surface) for road in small_first)])
    relief.lay([*town.painted, *town.barriers])
    bodies = [body for building in town.buildings for body in (*building.wings, *building.details)]
    for wing in (*town.cars, *bodies):
        relief.roof(wing)
    for tree in town.trees:
        relief.tree(tree)


def _lit(relief: Relief) -> FloatArray:
    """Return the relief's colours in sun and shadow at full-size pixels, (4, row, col)."""
    table = relief.looks()[:, :4]
    shadow = cast_shadows(relief.height_m, relief.gsd_m, relief.sun)
    height, width = (side // _FINE for side in relief.surface.shape)
    image = np.empty((4, height, width), dtype=np.float32)
    for top in range(0, height, _STRIP_PX):
        rows = slice(top * _FINE, min(top + _STRIP_PX, height) * _FINE)
        dark = gaussian_filter(shadow[rows].astype(np.float32), 0.7) * np.where(relief.crown[rows], np.float32(0.75), 1)
        for band in range(4):
            fine = table[:, band][relief.surface[rows]] * relief.light[rows] * (1 - dark * (1 - _SKYLIGHT[band]))
            fine = fine[::2] + fine[1::2]
            image[band, top : top + _STRIP_PX] = (fine[:, ::2] + fine[:, 1::2]) / 4
    return image


def _texture(image: FloatArray, relief: Relief, gsd_m: float, rng: Generator) -> None:
    """Add grain, rows and dry spots to every surface, in place."""
    seen = relief.surface[::_FINE, ::_FINE]
    height, width = seen.shape
    *grains, dryness, depth, wave_east, wave_north = (look[seen] for look in relief.looks()[:, 4:].T)
    noises = [smooth_noise((height, width), length / gsd_m, rng) for length in (0.5, 1.6, 7.0, 30.0)]
    east = (np.arange(width, dtype=np.float32) + 0.5) * gsd_m
    north = (height - np.arange(height, dtype=np.float32)[:, None] - 0.5) * gsd_m
    factor = 1 + depth * np.sin(wave_east * east + wave_north * north + 0.5 * noises[2])
    for grain, noise in zip(grains, noises, strict=True):
        factor += grain * noise
    np.clip(factor, 0.4, 1.6, out=factor)
    dry = dryness * (0.12 * noises[2] + 0.16 * noises[3])
    for band, share in enumerate((1.0, 0.35, 0.45, -0.45)):
        image[band] *= factor * (1 + np.float32(share) * dry)


def _sensed(image: FloatArray, gsd_m: float, rng: Generator) -> NDArray[np.uint8]:
    """Return what the sensor records: uneven light, haze, blur, noise, 8 bits."""
    _, height, width = image.shape
    glow = 1 + np.float32(0.03) * smooth_noise((height, width), 180.0 / gsd_m, rng)
    veil = np.float32(0.07) * (1 + np.float32(0.25) * smooth_noise((height, width), 260.0 / gsd_m, rng))
    sensed = np.empty(image.shape, dtype=np.uint8)
    for band in range(4):
        seen = image[band] * glow
        seen += veil * (_HAZE[band] - seen)
        seen = gaussian_filter(seen, 0.52)
        seen += rng.standard_normal(seen.shape, dtype=np.float32) * (_NOISE[0] + np.float32(_NOISE[1]) * seen)
        seen -= 0.45 * np.maximum(seen - 205, 0)
        sensed[band] = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return sensed
