"""Refined scores of a scene, computed when read, and every step of a refiner over an area."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from crispmap.errors import GridError, ModelError
from crispmap.geo.grid import Block
from crispmap.inference.align import scores_on_scene
from crispmap.inference.blend import OVERLAP_PX, BlendedScores
from crispmap.inference.engines import Engine, EngineChoice, open_engine
from crispmap.inference.engines.torch_engine import TorchEngine
from crispmap.inference.plan import BLOCK_PX, STRIP_PX, plan_tiles
from crispmap.inference.tiled import ComputeTile, Pixels, TiledScores
from crispmap.models.base import Refiner
from crispmap.models.model import RefinerModel
from crispmap.models.scaling import scaled_input
from crispmap.raster.scene import SceneReader, cut_reflected
from crispmap.types import FloatArray

TILE_PX = 128
"""Longest side of a refiner's tile: its hidden layers stay in the cache; 512 takes 3 to 5 times as long on a CPU."""


def refined_scores(
    scores: SceneReader,
    image: SceneReader,
    model: RefinerModel,
    *,
    engine: EngineChoice = EngineChoice("torch"),
    block_px: int = BLOCK_PX,
    tile_px: int = TILE_PX,
    shifted: bool = False,
) -> TiledScores | BlendedScores:
    """Return the refined scores of a scene as a raster computed when read; tiled or not, the values are the same.

    Outside the scene the refiner sees the reflection of both scores and image. Invalid pixels enter it as 0. A pixel
    is valid where both scores and image are.

    Args:
        scores: Scores, one band a class, on the image's grid or on a coarser one over the same ground.
        image: The scene's bands, raw.
        model: The refiner and its card.
        engine: What computes.
        block_px: Side of the blocks it will be read in; sizes what is kept in memory and changes no value.
        tile_px: Longest side of the tiles computed at once.
        shifted: Cut the scene elsewhere, to see whether the scores depend on the cut.

    Raises:
        ModelError: If the number of classes or bands is not the refiner's.
        GridError: If scores and image do not cover the same ground.
    """
    refiner = model.network
    check_refiner(refiner, scores.band_count, image.band_count)
    scores = scores_on_scene(scores, image)
    plan = plan_tiles(image.grid.shape, tile_px=tile_px, shifted=shifted)
    keep = plan.tiles_to_keep((block_px, block_px), STRIP_PX)
    overlap = OVERLAP_PX if refiner.radius_px is None else 0
    window = plan.tile_shape[0] + 2 * overlap, plan.tile_shape[1] + 2 * overlap
    opened = _opened(refiner, window, engine)
    compute = _window_computer(scores, image, model, opened)
    names, text = scores.band_names, opened.text
    if overlap:
        return BlendedScores(image.grid, scores, names, plan, compute, keep=keep, engine=text)
    return TiledScores(image.grid, names, scores.path, plan, compute, keep=keep, engine=text)


def check_refiner(refiner: Refiner, classes: int, bands: int) -> None:
    """Check that a refiner was made for so many classes and bands.

    Raises:
        ModelError: If it was not.
    """
    _check_maps("classes", classes, refiner.classes, "refine scores of the refiner's own classes")
    _check_maps("bands", bands, refiner.bands, "choose the bands the refiner was trained on with --bands")


def _opened(refiner: Refiner, shape: tuple[int, int], choice: EngineChoice) -> Engine:
    """Return the engine that computes windows of this shape."""
    side = tuple(length + 2 * refiner.margin_px for length in shape)
    example = (np.zeros((1, count, *side), np.float32) for count in (refiner.classes, refiner.bands))
    return open_engine(refiner.for_inference(), tuple(example), choice)


def _window_computer(scores: SceneReader, image: SceneReader, model: RefinerModel, engine: Engine) -> ComputeTile:
    """Return what computes a window of refined scores."""
    margin, scaling = model.network.margin_px, model.scaling

    def compute(window: Block) -> Pixels:
        coarse, valid = scores.read(window.padded(margin))
        core = valid[margin : margin + window.height, margin : margin + window.width]
        if not core.any():
            return np.zeros((scores.band_count, *window.shape), np.float32), core
        pixels, _ = image.read(window.padded(margin))
        refined = engine.run(coarse[None], scaled_input(pixels, valid, scaling)[None])[0][0]
        refined[:, ~core] = 0
        return refined, core

    return compute


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
    engine = TorchEngine(_EveryStep(refiner), device)
    plan = plan_tiles(shape, tile_px=tile_px)
    steps = [np.empty_like(scores, np.float32) for _ in range(refiner.iterations + 1)]
    for tile in plan.over(Block(0, 0, *shape)):
        window = tile.padded(refiner.margin_px)
        shared = tile.intersection(Block(0, 0, *shape))
        results = engine.run(cut_reflected(scores, window)[None], cut_reflected(image, window)[None])
        for step, result in zip(steps, results, strict=True):
            step[:, *shared.slices] = result[0, :, : shared.height, : shared.width]
    return steps


class _EveryStep(nn.Module):
    """A refiner that gives the scores before the first and after every step."""

    def __init__(self, refiner: Refiner) -> None:
        super().__init__()
        self._refiner = refiner

    def forward(self, scores: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self._refiner.all_iterations(scores, image))


def _check_maps(what: str, given: int, expected: int, remedy: str) -> None:
    if given != expected:
        raise ModelError(
            f"The refiner is given {given} {what} and was made for {expected}.",
            expected=f"{expected} {what}",
            remedy=remedy,
        )
