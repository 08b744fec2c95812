"""Coarse scores of the coarse network's training area by networks that did not learn there.

A network's scores are more confident and more often right where it was trained than elsewhere, the more so the smaller
the area: a refiner that learns from them there learns to trust them too much. Where the network is overfitted, the area
is therefore cut in parts, and each part is scored by a network trained on the others (cross-fitting: Stone,
"Cross-validatory choice and assessment of statistical predictions", 1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy import special

from crispmap.data.training_data import Piece, TrainingData, learned_and_held_out
from crispmap.evaluation.readers import AreaUnion
from crispmap.geo.grid import Block, Grid
from crispmap.project.coarse import CoarseScores
from crispmap.project.file import Project
from crispmap.project.training import train_coarse
from crispmap.raster.scene import Scene
from crispmap.training.options import TrainingRun
from crispmap.types import IGNORE, BoolArray, FloatArray

FOLDS = 3
"""Parts of the coarse area, and extra trainings: with fewer, each network lacks more of what the project's own saw."""
OVERFITTED = 2.0
"""The network is overfitted where its loss on held-out data exceeds that on its training data by this factor."""


class FoldScores(Scene):
    """Scores of an image combined from several: each part of it from its own, the rest from the first."""

    def __init__(self, scores: Scene, parts: Sequence[tuple[AreaUnion, Scene]]) -> None:
        self.grid: Grid = scores.grid
        self.band_names = scores.band_names
        self.path: Path = scores.path
        self._scores, self._parts = scores, parts

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        masks = [area.mask(block) for area, _ in self._parts]
        values, valid = np.zeros((self.band_count, *block.shape), np.float32), np.zeros(block.shape, np.bool_)
        if not np.any(masks, axis=0).all():
            values, valid = self._scores.read(block)
        for mask, (_, scores) in zip(masks, self._parts, strict=True):
            if mask.any():
                own, known = scores.read(block)
                values, valid = np.where(mask, own, values), np.where(mask, known, valid)
        return values, valid

    def close(self) -> None:
        """Do nothing: the scores are closed where they were opened."""


class FoldedScores(CoarseScores):
    """Coarse scores that on the coarse area come from networks that did not learn there."""

    def __init__(self, scores: CoarseScores, folds: Sequence[CoarseScores], pieces: Sequence[Piece]) -> None:
        self.card = scores.card
        self._whole, self._folds, self._pieces = scores, folds, pieces

    def on(self, image: Scene, given: Scene | None) -> Scene:
        """Return the scores of an image on its grid."""
        areas = [piece.area for piece in self._pieces if piece.image is image]
        parts = [
            (AreaUnion([area.bands(FOLDS)[index] for area in areas]), fold.on(image, given))
            for index, fold in enumerate(self._folds)
        ]
        return FoldScores(self._whole.on(image, given), parts)


def fold_scores(
    data: TrainingData, project: Project, scores: CoarseScores, run: TrainingRun
) -> tuple[FoldedScores, float]:
    """Return coarse scores that on the coarse area come from networks that did not learn there, and training seconds.

    They learn for as many steps as the project's own network: longer trainings give more confident scores. Each part
    has its own folder, and one that is finished is not trained again.
    """
    pieces, _ = learned_and_held_out(data, "coarse", gsd_m=data.gsd_m)
    # A network to start from may have learned where it is to be without knowledge.
    project = replace(project, coarse=project.coarse.model_copy(update={"start": None}))
    folds, seconds = [], 0.0
    stop_after = None if scores.card is None else scores.card.provenance.get("best_step")
    for index in range(FOLDS):
        mine = run.below(str(index + 1), f"without part {index + 1} of {FOLDS}")
        model = mine.folder / "coarse.safetensors"
        card = train_coarse(data, project, model, mine, choose=partial(others, index), stop_after=stop_after)
        seconds += float(card.provenance["seconds"])
        folds.append(CoarseScores(project, model, run.device))
    return FoldedScores(scores, folds, pieces), seconds


def loss_on(scores: CoarseScores, pieces: Sequence[Piece]) -> float:
    """Return the mean cross-entropy, in nats, of coarse scores with labels on some pieces; 0 where nothing is known."""
    total, count = 0.0, 0
    for piece in pieces:
        raster = scores.on(piece.image, piece.scores)
        for block, ids in piece.labelled_blocks():
            values, valid = raster.read(block)
            known = valid & (ids != IGNORE)
            chances: FloatArray = special.log_softmax(values[:, known], axis=0)
            total -= float(np.take_along_axis(chances, ids[known][None].astype(np.intp), axis=0).sum(dtype=np.float64))
            count += int(known.sum())
    return total / max(1, count)


def others(index: int, pieces: Sequence[Piece]) -> list[Piece]:
    """Return some pieces without their part ``index``, of ``FOLDS``."""
    return [
        piece.within(band) for piece in pieces for other, band in enumerate(piece.area.bands(FOLDS)) if other != index
    ]
