"""Refined scores of a scene, computed when read."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from crispmap.errors import ModelError, number_of
from crispmap.geo.grid import Block
from crispmap.inference.align import ScoresOnScene, scores_on_scene
from crispmap.inference.blend import OVERLAP_PX, BlendedScores
from crispmap.inference.coarse import gsd_ratio
from crispmap.inference.engines import Engine, EngineChoice, KeptEngines, NetworkSource
from crispmap.inference.plan import STRIP_PX, Cut, plan_tiles
from crispmap.inference.tiled import ComputeTile, Pixels, TiledScores
from crispmap.models.model import RefinerModel
from crispmap.models.scaling import scaled_input
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import SceneReader

if TYPE_CHECKING:
    from torch import nn

    from crispmap.models.base import Refiner

_WIDE_MARGIN_PX, _WIDE_TILE_PX = 32, 512
"""Refiners that reach further run in larger tiles: of small ones nearly all would be margin."""
TILE_PX = 128
"""Longest side of a refiner's tile: its hidden layers stay in the cache; 512 takes 3 to 5 times as long on a CPU."""


def refined_scores(  # noqa: PLR0913 - each is a choice of its own
    scores: SceneReader,
    image: SceneReader,
    model: RefinerModel,
    *,
    engine: EngineChoice = EngineChoice("torch"),
    cut: Cut = Cut(),
    every_iteration: bool = False,
    engines: KeptEngines | None = None,
) -> ScoresOnScene | TiledScores:
    """Return the refined scores of a scene as a raster computed when read.

    Values are those of the refiner on the whole scene; of refiners with unbounded influence, tiles are blended.
    Outside the scene the refiner sees the reflection of both scores and image. Invalid pixels enter it as 0. A pixel
    is valid where both scores and image are. Where the scene's ground sampling distance differs from the refiner's by
    more than 1 %, scores and image are averaged by area to the refiner's, and its scores are brought back bilinearly.
    ``scores`` may have larger pixels than the image. With ``every_iteration`` the raster has the bands after
    0, 1, .. iterations, one set after the other.

    Raises:
        ModelError: If the number of classes or bands is not the refiner's.
        GridError: If scores and image do not cover the same area.
        SceneError: If the scene's pixels are far smaller or larger than the refiner's.
    """
    refiner = model.network
    check_refiner(refiner, scores.band_count, image.band_count)
    ratio = gsd_ratio(image, model.card.gsd_m)
    scores = scores_on_scene(scores, image)
    if ratio != (1.0, 1.0):
        scores, resampled = ResampledScene(scores, *ratio), ResampledScene(image, *ratio)
        cut = replace(cut, block_px=math.ceil(cut.block_px / min(ratio)))
        refined = refined_scores(
            scores, resampled, model, engine=engine, cut=cut, every_iteration=every_iteration, engines=engines
        )
        return ScoresOnScene(refined, image, ratio, refined.engine)
    side = cut.tile_px or (TILE_PX if refiner.margin_px <= _WIDE_MARGIN_PX else _WIDE_TILE_PX)
    overlap = OVERLAP_PX if refiner.radius_px is None else 0
    plan = plan_tiles(
        image.grid.shape, tile_px=side, stride_px=refiner.stride_px, shifted=cut.shifted, overlap_px=overlap
    )
    keep = plan.tiles_to_keep((cut.block_px, cut.block_px), STRIP_PX)
    window = [length + 2 * refiner.margin_px for length in plan.window_shape]
    example = [np.zeros((1, count, *window), np.float32) for count in (refiner.classes, refiner.bands)]
    source = _every_iteration(refiner) if every_iteration else NetworkSource.of("refiner", refiner)
    opened = (engines or KeptEngines()).open(source, tuple(example), engine)
    names = scores.band_names * (refiner.iterations + 1 if every_iteration else 1)
    compute = _window_computer(scores, image, model, opened, len(names))
    kind = BlendedScores if overlap else TiledScores
    return kind(scores, names, plan, compute, keep=keep, engine=opened.text)


def check_refiner(refiner: Refiner, classes: int, bands: int) -> None:
    """Raise ModelError unless a refiner was made for so many classes and bands."""
    for what, given, expected, remedy in (
        ("class", classes, refiner.classes, "refine scores of the refiner's own classes"),
        ("band", bands, refiner.bands, "choose the bands the refiner was trained on with bands="),
    ):
        if given != expected:
            raise ModelError(
                f"The refiner is given {number_of(given, what)} and was made for {expected}.",
                expected=number_of(expected, what),
                remedy=remedy,
            )


def _window_computer(
    scores: SceneReader, image: SceneReader, model: RefinerModel, engine: Engine, count: int
) -> ComputeTile:
    """Return what computes a window of so many maps of refined scores."""
    margin, scaling = model.network.margin_px, model.scaling

    def compute(window: Block) -> Pixels:
        coarse, valid = scores.read(window.padded(margin))
        core = valid[margin : margin + window.height, margin : margin + window.width]
        if not core.any():
            return np.zeros((count, *window.shape), np.float32), core
        pixels, _ = image.read(window.padded(margin))
        refined = engine.run(coarse[None], scaled_input(pixels, valid, scaling)[None])[0][0]
        refined[:, ~core] = 0
        return refined, core

    return compute


def _every_iteration(refiner: Refiner) -> NetworkSource:
    def module() -> nn.Module:
        from crispmap.inference.modules import EveryIteration

        return EveryIteration(refiner)

    return NetworkSource("every iteration", module)
