"""Refined scores of a scene, computed when read, and every step of a refiner over an area."""

from __future__ import annotations

import numpy as np

from crispmap.chips.scaling import Scaling, scaled_input
from crispmap.errors import GridError, ModelError
from crispmap.grid import Block
from crispmap.inference.align import scores_on_scene
from crispmap.inference.engine import TorchEngine
from crispmap.inference.plan import BLOCK_PX, STRIP_PX, plan_tiles
from crispmap.inference.tiled import Pixels, TiledScores
from crispmap.models.card import ModelCard
from crispmap.refine.base import Refiner
from crispmap.scene.reader import SceneReader, cut_reflected
from crispmap.types import FloatArray

TILE_PX = 128
"""Longest side of a refiner's tile: its hidden layers stay in the cache; 512 takes 3 to 5 times as long on a CPU."""


def refined_scores(
    scores: SceneReader,
    image: SceneReader,
    refiner: Refiner,
    card: ModelCard,
    *,
    device: str = "auto",
    block_px: int = BLOCK_PX,
    tile_px: int = TILE_PX,
) -> TiledScores:
    """Return the refined scores of a scene as a raster computed when read; tiled or not, the values are the same.

    Outside the scene the refiner sees the reflection of both scores and image. Invalid pixels enter it as 0. A pixel
    is valid where both scores and image are.

    Args:
        scores: Scores, one band a class, on the image's grid or on a coarser one over the same ground.
        image: The scene's bands, raw.
        refiner: The refiner.
        card: Its model card, with the scaling constants.
        device: ``auto``, ``cpu`` or ``cuda``.
        block_px: Side of the blocks it will be read in; sizes what is kept in memory and changes no value.
        tile_px: Longest side of the tiles computed at once.

    Raises:
        ModelError: If the number of classes or bands is not the refiner's.
        GridError: If scores and image do not cover the same ground.
    """
    _check_maps("classes", scores.band_count, refiner.classes, "refine scores of the refiner's own classes")
    _check_maps("bands", image.band_count, refiner.bands, "choose the bands the refiner was trained on with --bands")
    scores = scores_on_scene(scores, image)
    engine = TorchEngine(refiner, device)
    plan = plan_tiles(image.grid.shape, tile_px=tile_px)
    margin = refiner.margin_px
    scaling = Scaling.of(card)

    def compute(tile: Block) -> Pixels:
        coarse, valid = scores.read(tile.padded(margin))
        core = valid[margin : margin + tile.height, margin : margin + tile.width]
        if not core.any():
            return np.zeros((scores.band_count, *tile.shape), np.float32), core
        pixels, _ = image.read(tile.padded(margin))
        refined = engine(coarse, scaled_input(pixels, valid, scaling))
        refined[:, ~core] = 0
        return refined, core

    keep = plan.tiles_to_keep((block_px, block_px), STRIP_PX)
    return TiledScores(image.grid, scores.band_names, scores.path, plan, compute, keep)


def refine_area(
    refiner: Refiner,
    scores: FloatArray,
    image: FloatArray,
    *,
    device: str = "auto",
    tile_px: int = TILE_PX,
) -> list[FloatArray]:
    """Return the scores of an area before the first and after every step: steps + 1 arrays (class, row, col).

    Outside the area the refiner sees its reflection, so the last steps differ from the scene's map within the
    refiner's margin of the border; hand in a wider area and crop where that matters. Work is done in tiles.

    Args:
        refiner: The refiner.
        scores: Coarse scores (class, row, col) float32, 0 where invalid.
        image: Scaled image (band, row, col) float32, 0 where invalid.
        device: ``auto``, ``cpu`` or ``cuda``.
        tile_px: Longest side of the tiles computed at once.

    Raises:
        ModelError: If the number of classes or bands is not the refiner's.
        GridError: If scores and image differ in shape.
    """
    _check_maps("classes", scores.shape[0], refiner.classes, "refine scores of the refiner's own classes")
    _check_maps("bands", image.shape[0], refiner.bands, "give the bands the refiner was trained on")
    shape = scores.shape[1], scores.shape[2]
    if image.shape[1:] != shape:
        raise GridError(
            f"The scores have shape {shape}, the image has shape {image.shape[1:]}.",
            expected="scores and image of one (height, width)",
        )
    engine = TorchEngine(refiner, device)
    plan = plan_tiles(shape, tile_px=tile_px)
    steps = [np.empty_like(scores, np.float32) for _ in range(refiner.steps + 1)]
    for tile in plan.over(Block(0, 0, *shape)):
        window = tile.padded(refiner.margin_px)
        shared = tile.intersection(Block(0, 0, *shape))
        results = engine.all_steps(cut_reflected(scores, window), cut_reflected(image, window))
        for step, result in zip(steps, results, strict=True):
            step[:, *shared.slices] = result[:, : shared.height, : shared.width]
    return steps


def _check_maps(what: str, given: int, expected: int, remedy: str) -> None:
    if given != expected:
        raise ModelError(
            f"The refiner is given {given} {what} and was made for {expected}.",
            expected=f"{expected} {what}",
            remedy=remedy,
        )
