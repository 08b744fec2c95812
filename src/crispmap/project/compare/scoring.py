"""The figures of a method on the test ground, and after every step of its refiner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.evaluate.compare import evaluate_maps
from crispmap.evaluate.evaluation import Evaluation
from crispmap.evaluate.intervals import block_side_px, count_by_block
from crispmap.evaluate.readers import AreaUnion
from crispmap.evaluate.recalibration import BiasedLabels, fit_biases_on
from crispmap.evaluate.roc import ThresholdCounts, one_against_rest
from crispmap.geo.areas import Area, box_of
from crispmap.inference.iterations import IterationMaps
from crispmap.labels.reader import LabelReader
from crispmap.metrics import ConfusionMatrix
from crispmap.models.file import load_model
from crispmap.project.compare.mapping import BoxScores
from crispmap.project.file import Project
from crispmap.project.inputs import Sources
from crispmap.raster.scene import SceneReader
from crispmap.types import IGNORE, CountArray, DoubleArray

_CHUNK_PX = 512
_CURVE_POINTS = 200


@dataclass(frozen=True, eq=False)
class Scores:
    """The figures of one map.

    Attributes:
        evaluation: Areas and boundaries.
        blocks: Confusion counts by bootstrap block, (block, class, class).
        auc: By class, the area under its receiver operating characteristic against all others; NaN where undefined.
        curves: By class, (false positive rate, true positive rate), thinned for drawing.
    """

    evaluation: Evaluation
    blocks: CountArray
    auc: tuple[float, ...]
    curves: tuple[tuple[list[float], list[float]], ...]

    @property
    def mean_auc(self) -> float:
        """Of two classes that of the second, as in the papers; else the mean over the classes that have one."""
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
        """Return the scores that ``to_dict`` wrote."""
        evaluation = Evaluation.from_dict(entries["evaluation"])
        size = len(evaluation.class_names)
        return cls(
            evaluation,
            np.array(entries["blocks"], np.int64).reshape(-1, size, size),
            tuple(float("nan") if value is None else float(value) for value in entries["auc"]),
            tuple((one["false_positive_rate"], one["true_positive_rate"]) for one in entries["curves"]),
        )


class TestGround:
    """A project's test ground with its reference.

    Args:
        sources: The project's inputs.
    """

    __test__ = False  # for pytest, which takes classes of such names for tests

    def __init__(self, sources: Sources) -> None:
        self.project: Project = sources.project
        self.grid = sources.image.grid
        self.areas: list[Area] = sources.areas(self.grid)["test"]
        self.box = box_of(self.areas)
        self.ground = AreaUnion(self.areas)
        self.reference: LabelReader = sources.reference(self.grid)
        self.block_px = block_side_px(self.grid.mean_gsd_m())

    def open_scores(self, folder: Path) -> BoxScores:
        """Return the scores that a method left in a folder."""
        return BoxScores(folder, self.grid, self.box, self.project.schema.names)

    def score(self, scores: SceneReader, biases: DoubleArray | None = None) -> Scores:
        """Return the figures of the map of scores, plus biases where given.

        Raises:
            LabelError: If nothing is labelled there, or the map covers none of it.
        """
        schema = self.project.schema
        added = np.zeros(len(schema)) if biases is None else biases
        labels = BiasedLabels(scores, added)
        evaluation = evaluate_maps(labels, self.reference, self.grid, schema, area=self.areas)
        blocks = count_by_block(labels, self.reference, (self.ground, self.box), schema.names, self.block_px)
        counts = self._thresholds(scores, added)
        return Scores(
            evaluation, blocks, tuple(one.area().value for one in counts), tuple(_thinned(one) for one in counts)
        )

    def _thresholds(self, scores: SceneReader, biases: DoubleArray) -> list[ThresholdCounts]:
        counts = [ThresholdCounts() for _ in self.project.schema]
        for block in self.box.pieces(_CHUNK_PX):
            mask = self.ground.mask(block)
            if not mask.any():
                continue
            labels = self.reference.read(block)
            values, valid = scores.read(block)
            known = mask & valid & (labels != IGNORE)
            values = (values + biases[:, None, None]).astype(np.float32)
            for class_id, count in enumerate(counts):
                count.add(one_against_rest(values, class_id)[known], labels[known] == class_id)
        return counts


def _thinned(counts: ThresholdCounts) -> tuple[list[float], list[float]]:
    curve = counts.curve(_CURVE_POINTS)
    x, y = curve.false_positive_rate, curve.true_positive_rate
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return [], []
    return np.round(x, 5).tolist(), np.round(y, 5).tolist()


def biases_on_refiner_ground(sources: Sources, scores: SceneReader) -> DoubleArray:
    """Return the class biases of the re-thresholded map, fitted on all precise ground the refiner has.

    Raises:
        LabelError: If a class has no labelled pixel there.
    """
    grid = sources.image.grid
    areas = sources.areas(grid)["refiner"]
    return fit_biases_on(scores, sources.reference(grid), AreaUnion(areas), seed=sources.project.seed)


def curve_over_steps(
    sources: Sources, scores: SceneReader, refiner_path: Path, areas: Sequence[Area], device: str
) -> list[ConfusionMatrix]:
    """Return the confusion matrix on some ground after 0, 1, .. steps of a refiner.

    Args:
        sources: The project's inputs.
        scores: Coarse scores on the working grid, wherever the refiner reaches.
        refiner_path: The refiner's model file.
        areas: The ground.
        device: "auto", "cpu" or "cuda".
    """
    steps = IterationMaps(sources.image, scores, load_model(refiner_path, kind="refiner"), device)
    return steps.curve(areas, sources.reference(sources.image.grid), sources.project.schema.names)
