"""The picture of a town from above: red, green, blue and near infrared, as a sensor would see it.

Geometry, light and shadow are drawn on pixels of half the size and averaged; textures, haze, the sensor's blur and
noise follow at full size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.ndimage import gaussian_filter
from shapely.geometry.base import BaseGeometry

from crispmap.errors import GridError
from crispmap.geo.grid import Grid
from crispmap.synth.features import Road
from crispmap.synth.light import cast_shadows, crown_light
from crispmap.synth.relief import Relief, Sun
from crispmap.synth.texture import smooth_noise
from crispmap.synth.town import Town, ground_transform
from crispmap.types import FloatArray

_FINE = 2
_STRIP_PX = 256
_SKYLIGHT = np.array([0.36, 0.41, 0.5, 0.3], dtype=np.float32)
"""What is left of full light in a shadow; skylight is blue."""
_HAZE = np.array([168, 178, 196, 120], dtype=np.float32)
_HAZE_SHARE = 0.07
_BLUR_PX = 0.52
_NOISE = (1.3, 0.012)
"""Sensor noise: standard deviation of the dark, and what brightness adds."""


def render(town: Town, grid: Grid, seed: int = 0, *, sun: Sun | None = None) -> NDArray[np.uint8]:
    """Return the picture of a town, bands red, green, blue, near infrared, (4, row, col), 0..255.

    The same town, grid and seed give the same bytes.

    Args:
        town: The town; its south-west corner lies at the grid's lower left corner.
        grid: A north-up grid with square pixels over the town's ground.
        seed: Draws textures, colours and noise.
        sun: Where the sun stands; by default south-south-east, 47 degrees high.

    Raises:
        GridError: If the grid does not cover just the town's ground with square pixels.
    """
    gsd = _checked_gsd(town, grid)
    rng = np.random.default_rng([seed, 2])
    relief = _draw(town, (grid.height * _FINE, grid.width * _FINE), gsd / _FINE, sun or Sun(), rng)
    image = _lit(relief)
    _texture(image, relief, gsd, rng)
    wear = _wear(town, grid, rng)
    return _sensed(image * wear, gsd, rng)


def _checked_gsd(town: Town, grid: Grid) -> float:
    """Return the pixel's side, having checked that the grid is the town's."""
    a, b, _, d, e, _ = tuple(grid.transform)[:6]
    fits = abs(grid.width * a - town.size_m[0]) < 1e-6 and abs(grid.height * a - town.size_m[1]) < 1e-6
    if b or d or a <= 0 or abs(a + e) > 1e-9 or not fits:
        raise GridError(
            f"A grid of {grid.height} x {grid.width} pixels of {a:g} x {-e:g} for a town of {town.size_m} m.",
            expected="a north-up grid of square pixels that covers the town's ground",
        )
    return float(a)


def _draw(town: Town, shape: tuple[int, int], gsd_m: float, sun: Sun, rng: Generator) -> Relief:
    """Return the relief of a town: ground, roads, barriers, cars, buildings, trees."""
    relief = Relief(shape, gsd_m, sun, rng)
    add = relief.catalogue.add
    ground = [(one.shape, add(one.material, one.angle_rad, tone=one.tone)) for one in town.surfaces]
    relief.lay([*ground, (town.water, add("water"))])
    relief.lay([(road.area(road.verge_m), add(road.verge)) for road in reversed(town.roads)])
    relief.lay(_carriageways(town.roads, town.carriageway, relief))
    relief.lay([(one.shape, add(one.material)) for one in town.painted])
    relief.raise_all(town.barriers)
    for car in town.cars:
        relief.car(car)
    for building in town.buildings:
        for wing in (*building.wings, *building.details):
            relief.roof(wing)
    relief.trees(town.trees)
    return relief


def _carriageways(roads: Sequence[Road], carriageway: BaseGeometry, relief: Relief) -> list[tuple[BaseGeometry, int]]:
    """Return the streets' surfaces, the greatest last, after what rounds their corners."""
    pieces = [(carriageway, relief.catalogue.add("asphalt"))]
    pieces += [(road.area(), relief.catalogue.add(road.surface)) for road in reversed(roads)]
    return pieces


def _lit(relief: Relief) -> FloatArray:
    """Return the relief's colours in sun and shadow at full-size pixels, (4, row, col)."""
    table = relief.catalogue.colour_table()
    shadow = cast_shadows(relief.height_m, relief.gsd_m, relief.sun)
    model = crown_light(relief.height_m, relief.gsd_m, relief.sun)
    height, width = (side // _FINE for side in relief.surface.shape)
    image = np.empty((4, height, width), dtype=np.float32)
    for top in range(0, height, _STRIP_PX):
        rows = slice(top * _FINE, min(top + _STRIP_PX, height) * _FINE)
        dark = gaussian_filter(shadow[rows].astype(np.float32), 0.7)
        leaves = relief.crown[rows]
        modelled = np.where(leaves, model[rows], np.float32(1.0))
        dark = np.where(leaves, np.float32(0.75) * dark, dark)
        for band in range(4):
            fine = table[:, band][relief.surface[rows]] * modelled
            fine *= 1 - dark * (1 - _SKYLIGHT[band])
            image[band, top : top + _STRIP_PX] = _averaged(fine)
    return image


def _averaged(fine: FloatArray) -> FloatArray:
    """Return the means of 2 x 2 pixels."""
    mean: FloatArray = (fine[0::2, 0::2] + fine[1::2, 0::2] + fine[0::2, 1::2] + fine[1::2, 1::2]) * np.float32(0.25)
    return mean


def _texture(image: FloatArray, relief: Relief, gsd_m: float, rng: Generator) -> None:
    """Give every surface its grain, its rows and its dry places, in place."""
    shape = image.shape[1:]
    seen = relief.surface[::_FINE, ::_FINE]
    table = relief.catalogue.texture_table()
    grains = [smooth_noise((shape[0], shape[1]), length / gsd_m, rng) for length in (0.5, 1.6, 7.0, 30.0)]
    factor = np.ones(shape, dtype=np.float32)
    for index, grain in enumerate(grains):
        factor += table[:, index][seen] * grain
    east = (np.arange(shape[1], dtype=np.float32) + np.float32(0.5)) * np.float32(gsd_m)
    north = (shape[0] - np.arange(shape[0], dtype=np.float32) - np.float32(0.5)) * np.float32(gsd_m)
    rows, cols = np.nonzero(table[:, 5][seen])
    which = seen[rows, cols]
    phase = table[which, 6] * east[cols] + table[which, 7] * north[rows] + 0.5 * grains[2][rows, cols]
    factor[rows, cols] += table[which, 5] * np.sin(phase)
    dry = table[:, 4][seen] * (0.12 * grains[2] + 0.16 * grains[3])
    np.clip(factor, 0.4, 1.6, out=factor)
    for band, share in enumerate((1.0, 0.35, 0.45, -0.45)):
        image[band] *= factor * (1 + np.float32(share) * dry)


def _wear(town: Town, grid: Grid, rng: Generator) -> FloatArray:
    """Return the brightness of streets where wheels have polished or stained them, (row, col)."""
    tracks: list[tuple[BaseGeometry, float]] = []
    for road in town.roads:
        tone = float(rng.normal(0, 0.045))
        for lane in (-0.25, 0.25) if road.width_m > 5 else (0.0,):
            for wheel in (-0.8, 0.8):
                line = road.line.offset_curve(lane * road.width_m + wheel)
                tracks.append((line.buffer(0.35, quad_segs=2), tone))
    kept = [(track, tone) for track, tone in tracks if not track.is_empty]
    wear = np.zeros(grid.shape, dtype=np.float32)
    if kept:
        rasterize(kept, out=wear, transform=ground_transform(grid))
    blurred: FloatArray = 1 + gaussian_filter(wear, 0.8)
    return blurred


def _sensed(image: FloatArray, gsd_m: float, rng: Generator) -> NDArray[np.uint8]:
    """Return what the sensor makes of the light: uneven light, haze, blur, noise, 8 bits."""
    _, height, width = image.shape
    glow = 1 + np.float32(0.03) * smooth_noise((height, width), 180.0 / gsd_m, rng)
    veil = np.float32(_HAZE_SHARE) * (1 + np.float32(0.25) * smooth_noise((height, width), 260.0 / gsd_m, rng))
    sensed = np.empty(image.shape, dtype=np.uint8)
    for band in range(4):
        seen = image[band] * glow
        seen += veil * (_HAZE[band] - seen)
        seen = gaussian_filter(seen, _BLUR_PX)
        seen += rng.standard_normal(seen.shape, dtype=np.float32) * (_NOISE[0] + np.float32(_NOISE[1]) * seen)
        over = np.maximum(seen - 205, 0)
        seen -= 0.45 * over
        sensed[band] = np.clip(np.rint(seen), 0, 255).astype(np.uint8)
    return sensed
