"""Scores of a coarse network on a scene of any ground sampling distance, computed when read."""

from __future__ import annotations

import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np

from crispmap.errors import CrispmapWarning, ModelError, SceneError, number_of
from crispmap.geo.grid import Block
from crispmap.inference.align import ScoresOnScene
from crispmap.inference.blend import OVERLAP_PX, BlendedScores
from crispmap.inference.engines import Engine, EngineChoice, KeptEngines, NetworkSource
from crispmap.inference.plan import STRIP_PX, TILE_PX, Cut, fitted_tile_px, plan_tiles
from crispmap.inference.tiled import ComputeTile, Pixels, TiledScores
from crispmap.models.card import ModelCard
from crispmap.models.model import CoarseModel, RefinerModel
from crispmap.models.registry import architectures
from crispmap.models.scaling import scaled_input
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import SceneReader
from crispmap.types import FloatArray

_NAMELESS = re.compile(r"band[ _]?\d+")  # what a band is called that has no name
_SAME_GSD = 0.01
_RATIOS = (0.25, 64.0)
"""Model over scene pixel size: below, pixels are invented by the dozen; above, nothing of the scene is left."""
_SOURCE_PX = 2048
_MIN_TILE_PX = 64  # tiles shrink with the ratio to about this much of the scene, so that memory does not grow with it


def coarse_scores(
    image: SceneReader,
    model: CoarseModel,
    *,
    engine: EngineChoice = EngineChoice("torch"),
    cut: Cut = Cut(),
    engines: KeptEngines | None = None,
) -> ScoresOnScene:
    """Return a network's scores on a scene as a raster on the scene's grid, computed when read.

    However it is read, its values are those of the network applied to the whole scene at once; those of a network
    whose influence has no bound are blended from overlapping tiles instead, and depend on their size. Where the scene's
    ground sampling distance differs from the model's by more than 1 %, the image is averaged by area to the model's,
    the network runs there, and the scores are brought back bilinearly (IGARSS 2016, section 3). Outside the scene the
    network sees the image's reflection; invalid pixels enter it as 0. Scores are valid exactly where the scene is.

    Raises:
        ModelError: If the number of bands is not the network's.
        SceneError: If the scene's pixels are far smaller or larger than the model's.
    """
    network, card = model.network, model.card
    check_bands(image, card)
    ratio = gsd_ratio(image, card.gsd_m)
    seen = image if ratio == (1.0, 1.0) else ResampledScene(image, *ratio)
    stride = network.stride_px
    overlap = 0 if network.radius_px is not None else math.ceil(OVERLAP_PX / stride) * stride
    side = min(cut.tile_px or suited_tile_px(model), max(_MIN_TILE_PX, int(_SOURCE_PX / max(ratio))))
    if network.halo_px > network.train_margin_px:
        side = cut.tile_px or fitted_tile_px(
            seen.grid.shape, context_px=network.halo_px, stride_px=stride, least_px=side
        )  # fmt: skip
    plan = plan_tiles(seen.grid.shape, tile_px=side, stride_px=stride, shifted=cut.shifted, overlap_px=overlap)
    keep = plan.tiles_to_keep((cut.block_px / ratio[0], cut.block_px / ratio[1]), STRIP_PX / ratio[1])
    blank = np.zeros((1, network.bands, *(length + 2 * network.halo_px for length in plan.window_shape)), np.float32)
    opened = (engines or KeptEngines()).open(NetworkSource.of("coarse", network), (blank,), engine)
    compute = _window_computer(seen, model, opened, blank)
    kind = BlendedScores if overlap else TiledScores
    scores = kind(seen, card.schema.names, plan, compute, keep=keep)
    return ScoresOnScene(scores, image, ratio, opened.text)


def suited_tile_px(model: CoarseModel | RefinerModel) -> int:
    """Return the side of the tiles that the architecture of a model runs fastest on."""
    known = architectures().get(model.card.architecture)
    return TILE_PX if known is None else known.tile_px


def check_bands(image: SceneReader, card: ModelCard) -> None:
    """Raise ModelError unless a scene is read with as many bands as a network takes."""
    bands = len(card.band_names)
    if image.band_count != bands:
        raise ModelError(
            f"{image.path} is read with {number_of(image.band_count, 'band')} ({', '.join(image.band_names)}); the "
            f"model was trained on {bands} ({', '.join(card.band_names)}).",
            expected=number_of(bands, "band"),
            remedy="choose the bands the model was trained on, in its order, with bands=; or write them as a scene "
            "first: crispmap compose",
        )
    names, learned = list(image.band_names), list(card.band_names)
    if names != learned and sorted(names) == sorted(learned):
        warnings.warn(
            f"{image.path} is read with its bands as {', '.join(names)}; the model was trained on them as "
            f"{', '.join(learned)}. Choose them in that order with bands=, unless their names are wrong.",
            CrispmapWarning,
            stacklevel=2,
        )


def bands_by_name(image: SceneReader, models: Sequence[CoarseModel | RefinerModel]) -> tuple[int, ...]:
    """Return the numbers of the bands that models were trained on, of a scene that has more; a warning tells them.

    There are none where the scene has no more bands, does not have each name once, or names that say nothing.
    """
    names = models[0].card.band_names if models else ()
    counts = Counter(image.band_names)
    if image.band_count <= len(names) or any(counts[one] != 1 or _NAMELESS.fullmatch(one) for one in names):
        return ()
    numbers = tuple(image.band_names.index(one) + 1 for one in names)
    if numbers:
        warnings.warn(
            f"{image.path} has {number_of(image.band_count, 'band')}; those of the model are read by their names: "
            f"{', '.join(names)}. To choose others give their numbers with bands=, as {','.join(map(str, numbers))}.",
            CrispmapWarning,
            stacklevel=4,
        )
    return numbers


def gsd_ratio(image: SceneReader, gsd_m: float) -> tuple[float, float]:
    """Return the model's pixel size over the scene's along (y, x); 1 and 1 where both are within 1 %.

    Raises:
        SceneError: If a ratio is out of ``_RATIOS``.
    """
    x, y = image.grid.gsd_m()
    ratios = gsd_m / y, gsd_m / x
    if all(abs(1 / ratio - 1) <= _SAME_GSD for ratio in ratios):
        return 1.0, 1.0
    if not all(_RATIOS[0] <= ratio <= _RATIOS[1] for ratio in ratios):
        raise SceneError(
            f"{image.path} has pixels of {y:.4g} x {x:.4g} m; the model works at {gsd_m:.4g} m.",
            expected=f"pixels of {gsd_m / _RATIOS[1]:.4g} to {gsd_m / _RATIOS[0]:.4g} m",
            remedy="train a model at the scene's ground sampling distance; let it work at another with gsd_m=; if the "
            "scene has no georeference, give the size of its pixels with assume_gsd_m=",
        )
    return ratios


def _window_computer(image: SceneReader, model: CoarseModel, engine: Engine, blank: FloatArray) -> ComputeTile:
    """Return what computes a window on the network's own grid; every pixel has a score, valid or not."""
    scaling, halo = model.scaling, model.network.halo_px

    @cache
    def blank_scores() -> FloatArray:
        scores: FloatArray = engine.run(blank)[0][0]
        return scores

    def compute(window: Block) -> Pixels:
        pixels, valid = image.read(window.padded(halo))
        scores = engine.run(scaled_input(pixels, valid, scaling)[None])[0][0] if valid.any() else blank_scores()
        return scores, np.ones(window.shape, np.bool_)

    return compute
