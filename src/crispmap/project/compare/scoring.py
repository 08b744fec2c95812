"""The figures of a method on the test areas, and after every iteration of its refiner."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from crispmap.data.training_data import Piece, by_image
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.intervals import block_side_px, count_by_block
from crispmap.evaluation.recalibration import BiasedLabels
from crispmap.evaluation.roc import ThresholdCounts, one_against_rest
from crispmap.events import SILENT, Events, progress
from crispmap.inference.iterations import IterationMaps
from crispmap.metrics import ConfusionMatrix, counts_from
from crispmap.models.model import RefinerModel
from crispmap.project.coarse import CoarseScores
from crispmap.project.compare.mapping import BoxScores
from crispmap.project.file import Project
from crispmap.project.inputs import Sources
from crispmap.project.scored import ScoredScene, iteration_curve, scored_scenes
from crispmap.raster.scene import SceneReader
from crispmap.types import IGNORE, CountArray, DoubleArray

_CHUNK_PX = 512
_CURVE_POINTS = 200


@dataclass(frozen=True, eq=False)
class Scores:
    """The figures of one map."""

    evaluation: Evaluation  # areas and boundaries
    blocks: CountArray  # confusion counts by bootstrap block, (block, class, class)
    # By class, the area under its receiver operating characteristic against all others; NaN where undefined
    auc: tuple[float, ...]
    # By class, (false positive rate, true positive rate), thinned for drawing
    curves: tuple[tuple[list[float], list[float]], ...]

    @property
    def mean_auc(self) -> float:
        """The AUC of the second of two classes, as in the papers; else the mean over the classes that have one."""
        known = [value for value in (self.auc[1:] if len(self.auc) == 2 else self.auc) if np.isfinite(value)]
        return float(np.mean(known)) if known else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain values, safe for JSON; read back by ``from_dict``."""
        return {
            "evaluation": self.evaluation.to_dict(),
            "blocks": self.blocks.tolist(),
            "auc": [value if np.isfinite(value) else None for value in self.auc],
            "curves": [{"false_positive_rate": x, "true_positive_rate": y} for x, y in self.curves],
        }

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> Scores:
        """Return the scores that ``to_dict`` wrote.

        Raises:
            InputError, ValueError: If the entries are something else.
        """
        found = _Entries.model_validate(entries)
        evaluation = Evaluation.from_dict(found.evaluation)
        size = len(evaluation.class_names)
        if {len(found.auc), len(found.curves)} != {size}:
            raise ValueError(f"expected figures of {size} classes")
        return cls(
            evaluation, counts_from(found.blocks, (len(found.blocks), size, size)),
            tuple(float("nan") if value is None else value for value in found.auc),
            tuple((one.false_positive_rate, one.true_positive_rate) for one in found.curves),
        )  # fmt: skip


class _Curve(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    false_positive_rate: list[float]
    true_positive_rate: list[float]


class _Entries(BaseModel):
    """Scores as they are written."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    evaluation: dict[str, Any]
    blocks: list[Any]
    auc: list[float | None]
    curves: list[_Curve]


class TestAreas:
    """A project's test areas over all its scenes."""

    __test__ = False  # for pytest, which takes classes of such names for tests

    def __init__(self, sources: Sources) -> None:
        self.project: Project = sources.project
        self.scenes = scored_scenes(sources)

    def open_scores(self, folder: Path) -> list[BoxScores]:
        """Return the scores that a method left in a folder, scene by scene."""
        names = self.project.schema.names
        return [BoxScores(folder / one.name, one.grid, one.box, names) for one in self.scenes]

    def score(
        self, rasters: Sequence[SceneReader], biases: DoubleArray | None = None, events: Events = SILENT
    ) -> Scores:
        """Return the figures of the map of scores, one raster a scene, with biases added where given."""
        schema = self.project.schema
        added = np.zeros(len(schema)) if biases is None else biases
        evaluations, blocks = [], []
        counts = [ThresholdCounts() for _ in schema]
        with progress(events, "evaluation", sum(math.prod(one.grid.shape) for one in self.scenes)) as running:
            for scene, raster in zip(self.scenes, rasters, strict=True):
                labels = BiasedLabels(raster, added)
                evaluations.append(scene.evaluate(labels, schema, running))
                side = block_side_px(scene.grid.mean_gsd_m())
                blocks.append(count_by_block(labels, scene.reference, (scene.pixels, scene.box), schema.names, side))
                _count_thresholds(counts, scene, raster, added)
        return Scores(
            sum(evaluations[1:], evaluations[0]), np.concatenate(blocks), tuple(one.area().value for one in counts),
            tuple(_thinned(one) for one in counts),
        )  # fmt: skip


def _count_thresholds(
    counts: Sequence[ThresholdCounts], scene: ScoredScene, scores: SceneReader, biases: DoubleArray
) -> None:
    for block in scene.box.pieces(_CHUNK_PX):
        mask = scene.pixels.mask(block)
        if not mask.any():
            continue
        labels = scene.reference.read(block)
        values, valid = scores.read(block)
        known = mask & valid & (labels != IGNORE)
        values = (values + biases[:, None, None]).astype(np.float32)
        for class_id, count in enumerate(counts):
            count.add(one_against_rest(values, class_id)[known], labels[known] == class_id)


def _thinned(counts: ThresholdCounts) -> tuple[list[float], list[float]]:
    curve = counts.curve(_CURVE_POINTS)
    x, y = curve.false_positive_rate, curve.true_positive_rate
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return [], []
    return np.round(x, 5).tolist(), np.round(y, 5).tolist()


def curve_over_iterations(
    pieces: Sequence[Piece], coarse: CoarseScores, refiner: RefinerModel, device: str, events: Events = SILENT
) -> list[ConfusionMatrix]:
    """Return the confusion matrix on some pieces after every iteration of a refiner, the coarse map's first."""
    parts = []
    for same in by_image(pieces):
        maps = IterationMaps(same[0].image, coarse.on(same[0].image, same[0].scores), refiner, device)
        parts.append((maps, [piece.area for piece in same], same[0].labels))
    return iteration_curve(parts, refiner.card.schema.names, events)
