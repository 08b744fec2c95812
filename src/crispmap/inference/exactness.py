"""Maps that are not those of their models on the whole scene: their tags say so, and what it costs.

Tiles of models without a radius are blended. A network that pads may be made to read less context than it depends on:
then a sample of the map is computed exactly too.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from crispmap.errors import CrispmapWarning
from crispmap.inference.engines import EngineChoice
from crispmap.inference.plan import Cut, TilePlan, computed_px
from crispmap.inference.scores import ScoreModels, score_work
from crispmap.inference.tiled import Pixels
from crispmap.inference.work import ScoreWork
from crispmap.raster.scene import Scene, SceneReader

BLENDED_TAG = "CRISPMAP_BLENDED"  # the tag of a map whose tiles are blended, with the reason
HALO_TAG = "CRISPMAP_HALO"  # the tag of a map made with less context than its network depends on, with what that costs
MOST_TILES, TILES_OF_ONE = 4, 16
"""Tiles that are computed exactly too: one of so many, at most this number, and one in any case."""


@dataclass(frozen=True)
class HaloCost:
    """What differs from the exact map where less context is read, on a sample of tiles."""

    halo_px: int
    exact_px: int  # what the exact map reads
    tiles: int
    pixels: int  # valid ones compared
    changed: int  # pixels whose class is another
    difference: float  # the largest of a probability
    saved: float  # pixels the exact map computes, over those of this one

    @property
    def text(self) -> str:
        """The finding in words, the same in every run."""
        return (
            f"{self.halo_px} px read around tiles, where the network depends on {self.exact_px}: "
            f"{self.changed / max(1, self.pixels):.3%} of the labels differ from the exact map's, probabilities by up "
            f"to {self.difference:.3f} ({self.pixels:,} pixels of {self.tiles} tiles tried); "
            f"{self.saved:.2g} times fewer pixels are computed"
        )


def blended_tags(work: ScoreWork) -> dict[str, str]:
    """Return what the tags of a map say of blended tiles, and warn likewise; nothing where there are none."""
    if not work.blended:
        return {}
    warnings.warn(work.blended, CrispmapWarning, stacklevel=3)
    return {BLENDED_TAG: work.blended}


def halo_tags(
    image: Scene, models: ScoreModels, given: SceneReader | None, work: ScoreWork, engine: EngineChoice
) -> dict[str, str]:
    """Return what the tags of a map say of its halo, and warn likewise; nothing where it is as wide as it should be."""
    if models.exact is None or models.coarse is None:
        return {}
    cost = _cost(image, models, given, work, engine)
    warnings.warn(f"The map is not exact: {cost.text}.", CrispmapWarning, stacklevel=3)
    return {HALO_TAG: cost.text}


def _cost(
    image: Scene, models: ScoreModels, given: SceneReader | None, work: ScoreWork, engine: EngineChoice
) -> HaloCost:
    whole = replace(models, coarse=models.exact, exact=None)
    exact = score_work(image, whole, given, engine=engine, cut=Cut(work.tile_px))
    halos = [one.coarse.network.halo_px for one in (models, whole) if one.coarse is not None]
    computed = [computed_px(image.grid.shape, one.tile_px(engine, image), one.context_px) for one in (models, whole)]
    cost = HaloCost(halos[0], halos[1], 0, 0, 0, 0.0, computed[1] / computed[0])
    plan = TilePlan(image.grid.shape, (work.tile_px, work.tile_px))
    tiles = [tile.intersection(image.grid.block) for tile in plan.over(image.grid.block)]
    wanted = min(MOST_TILES, -(-len(tiles) // TILES_OF_ONE))
    with ThreadPoolExecutor(engine.threads) as pool:
        for place in np.random.default_rng(0).permutation(len(tiles)):
            if cost.tiles < wanted:
                cost = _and_tile(cost, work.compute(tiles[place], pool), exact.compute(tiles[place], pool))
    return cost


def _and_tile(cost: HaloCost, found: list[Pixels] | None, exact: list[Pixels] | None) -> HaloCost:
    """Return the cost with one more tile; the same where it has no valid pixel."""
    if found is None or exact is None:
        return cost
    from scipy import special

    (scores, valid), (others, _) = found[0], exact[0]
    ours, theirs = scores[:, valid], others[:, valid]
    difference = np.abs(special.softmax(ours, axis=0) - special.softmax(theirs, axis=0)).max(initial=0.0)
    return replace(
        cost,
        tiles=cost.tiles + 1,
        pixels=cost.pixels + ours.shape[1],
        changed=cost.changed + int(np.count_nonzero(ours.argmax(0) != theirs.argmax(0))),
        difference=max(cost.difference, float(difference)),
    )
