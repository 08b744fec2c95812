"""Coarse scores of the ground the coarse network learned from, as they would be had it not seen it.

A network's scores are surer and truer where it learned than elsewhere, much so where the ground is small: what learns
from them there learns to trust them too much. Ground learned by heart is therefore parted, and each part is scored by a
network trained on the others (cross-fitting: Stone, "Cross-validatory choice and assessment of statistical
predictions", 1974). Of ground that is not, the network's own scores are nearer to what it gives elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from scipy import special

from crispmap.evaluate.readers import AreaUnion
from crispmap.geo.areas import Area
from crispmap.geo.grid import Block, Grid
from crispmap.labels.reader import LabelReader
from crispmap.models.card import ModelCard
from crispmap.project.coarse import open_coarse
from crispmap.project.inputs import Sources, labelled_blocks
from crispmap.project.training import train_coarse
from crispmap.raster.scene import Scene
from crispmap.training.options import TrainingRun
from crispmap.types import IGNORE, BoolArray, FloatArray

FOLDS = 3
"""Parts of the coarse ground, and trainings more: of fewer, networks lack more of what the project's own has seen."""
OVERFITTED = 2.0
"""Ground is learned by heart where the loss on ground held out is more than so many times the loss on it."""


class FoldScores(Scene):
    """Scores of a scene put together from several: each part of the ground from its own, the rest from the first.

    Args:
        scores: Scores of the whole scene.
        parts: Pieces of ground on the same grid, and the scores that hold there.
    """

    def __init__(self, scores: Scene, parts: Sequence[tuple[AreaUnion, Scene]]) -> None:
        self.grid: Grid = scores.grid
        self.band_names = scores.band_names
        self.path: Path = scores.path
        self._scores, self._parts = scores, parts

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        masks = [ground.mask(block) for ground, _ in self._parts]
        values, valid = np.zeros((self.band_count, *block.shape), np.float32), np.zeros(block.shape, np.bool_)
        if not np.any(masks, axis=0).all():
            values, valid = self._scores.read(block)
        for mask, (_, scores) in zip(masks, self._parts, strict=True):
            if mask.any():
                own, known = scores.read(block)
                values, valid = np.where(mask, own, values), np.where(mask, known, valid)
        return values, valid

    def close(self) -> None:
        """Do nothing: whoever opened the scores closes them."""


def fold_scores(sources: Sources, scores: Scene, card: ModelCard, run: TrainingRun) -> tuple[FoldScores, float]:
    """Return coarse scores that on the coarse ground are by networks that did not learn there, and seconds of training.

    They learn for as many steps as the weights of the project's own did: longer ones are surer of what they see.

    Args:
        sources: The project's inputs.
        scores: Scores of the project's coarse network, on the working grid.
        card: The network's card.
        run: Where and how; each part has a folder of its own, and one that is finished is not trained again.
    """
    areas, _ = sources.pieces("coarse", sources.image.grid)
    parts, seconds = [], 0.0
    stop_after = card.provenance.get("best_step")
    for index in range(FOLDS):
        mine = run.below(str(index + 1), f"without part {index + 1} of {FOLDS}")
        model = mine.folder / "coarse.safetensors"
        train_coarse(sources, model, mine, choose=partial(others, index), stop_after=stop_after)
        own, learned = open_coarse(sources, model, run.device)
        seconds += float(learned.provenance["seconds"]) if learned is not None else 0.0
        parts.append((AreaUnion([area.bands(FOLDS)[index] for area in areas]), own))
    return FoldScores(scores, parts), seconds


def loss_on(scores: Scene, labels: LabelReader, areas: Sequence[Area]) -> float:
    """Return the mean cross-entropy, in nats, of coarse scores with labels on some areas; 0 where nothing is known."""
    total, count = 0.0, 0
    for block, ids in labelled_blocks(labels, areas):
        values, valid = scores.read(block)
        known = valid & (ids != IGNORE)
        chances: FloatArray = special.log_softmax(values[:, known], axis=0)
        total -= float(np.take_along_axis(chances, ids[known][None].astype(np.intp), axis=0).sum(dtype=np.float64))
        count += int(known.sum())
    return total / max(1, count)


def others(index: int, areas: Sequence[Area]) -> list[Area]:
    """Return some areas without their part ``index``, of ``FOLDS``."""
    return [band for area in areas for other, band in enumerate(area.bands(FOLDS)) if other != index]
