"""Generated ground that the shipped refiner learns on: towns of many styles, as many sensors see them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from rasterio.features import rasterize
from scipy.ndimage import gaussian_filter

from crispmap.geo.grid import Grid
from crispmap.refiners.general.planes import planes_from
from crispmap.synth.chance import Dice
from crispmap.synth.features import Town
from crispmap.synth.osm import MappingErrors, map_town
from crispmap.synth.render import render
from crispmap.synth.styles import draw_style
from crispmap.synth.town import plan_town
from crispmap.synth.truth import true_classes
from crispmap.synth.write import town_grid
from crispmap.types import FloatArray, LabelArray

SIDE_PX = 640
CLASSES = 3  # background, building, road
_GSD_M = (0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0, 1.3)
_ROAD_M = 7.0  # width that the imprecise labels give to every road


@dataclass
class Ground:
    """One town: what a refiner sees of it, and what is true."""

    seed: int
    gsd_m: float
    image: FloatArray  # (band, row, col), scaled to mean 0 and deviation 1
    planes: FloatArray  # (plane, row, col)
    truth: LabelArray
    labels: LabelArray  # as an imprecise map has them
    scores: list[FloatArray] = field(default_factory=list)  # (class, row, col) each
    alike: list[FloatArray] = field(default_factory=list)  # likeness by each of the scores, likewise


def grounds(seed: int, count: int) -> Iterator[Ground]:
    """Yield so many towns, each with its own style, sensor and pixel size."""
    for number in range(count):
        yield ground_of(1000 * seed + number)


def ground_of(seed: int) -> Ground:
    """Return the town of a seed."""
    dice = Dice.of(seed, 11)
    gsd_m = dice.pick(_GSD_M)
    grid = town_grid((SIDE_PX, SIDE_PX), gsd_m)
    town = plan_town((SIDE_PX * gsd_m, SIDE_PX * gsd_m), seed)
    style = draw_style(seed)
    image = _sensed(render(town, grid, seed, sun=style.sun, materials=style.materials), dice)
    mean, deviation = image.mean(axis=(1, 2)), image.std(axis=(1, 2))
    image = (image - mean[:, None, None]) / np.maximum(deviation, 1e-3)[:, None, None]
    flat = image.reshape(len(image), -1).astype(np.float64)
    covariance = flat @ flat.T / flat.shape[1]
    table = np.array(planes_from(flat.mean(axis=1), covariance), np.float32)
    planes = np.tensordot(table[:, :-1], image, 1) + table[:, -1, None, None]
    labels = _imprecise(town, grid, seed, dice)
    return Ground(seed, gsd_m, image, planes.astype(np.float32), true_classes(town, grid), labels)


def _sensed(image: NDArray[np.uint8], dice: Dice) -> FloatArray:
    """Return the bands of another sensor, season and air: (band, row, col), 1 to 4 bands."""
    seen: NDArray[Any] = image.astype(np.float32)
    kind = dice.pick(("rgb", "rgb", "rgb", "all", "grey"))
    seen = seen if kind == "all" else seen[:3]
    if kind == "grey":
        shares = dice.dirichlet(np.ones(3)).astype(np.float32)
        seen = np.tensordot(shares[None], seen, 1)
    bands = len(seen)
    mix = np.eye(bands) + dice.normal(0, 0.12, (bands, bands))
    seen = np.tensordot(mix.astype(np.float32), seen, 1)
    seen = 255 * np.clip(seen / 255, 0, 1) ** dice.between(0.6, 1.7)
    haze = dice.between(0.0, 0.35)
    seen = (1 - haze) * seen + haze * dice.between(120, 220)
    sigma = dice.between(0.0, 1.2)
    seen = np.stack([gaussian_filter(band, sigma) for band in seen])
    seen += dice.standard_normal(seen.shape).astype(np.float32) * dice.between(0.0, 6.0)
    if dice.chance(0.5):
        seen = np.stack([_compressed(band, int(dice.integers(35, 96))) for band in seen])
    sensed: FloatArray = np.clip(seen, 0, 255).astype(np.float32)
    return sensed


def _compressed(band: FloatArray, quality: int) -> FloatArray:
    kept = io.BytesIO()
    Image.fromarray(np.clip(band, 0, 255).astype(np.uint8)).save(kept, "JPEG", quality=quality)
    return np.asarray(Image.open(kept), np.float32)


def _imprecise(town: Town, grid: Grid, seed: int, dice: Dice) -> LabelArray:
    """Return the labels of an imprecise map, of which some are better than others."""
    errors = MappingErrors(
        drift_m=dice.between(0.5, 3.5), jitter_m=dice.between(0.1, 1.2), omitted=dice.between(0.02, 0.2),
        merged=dice.between(0.0, 0.75),
    )  # fmt: skip
    layers = map_town(town, seed, errors)
    roads = [(shape.buffer(_ROAD_M / 2), 2) for shape in layers.roads.geometry[layers.roads.highway != "footway"]]
    shapes = [*roads, *((shape, 1) for shape in layers.buildings.geometry)]
    drawn: LabelArray = np.zeros(grid.shape, np.uint8)
    across = grid.transform.a
    transform = Affine(across, 0.0, 0.0, 0.0, -across, across * grid.height)
    if shapes:
        rasterize(shapes, out=drawn, transform=transform)
    return drawn
