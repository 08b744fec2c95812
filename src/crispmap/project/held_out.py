"""How well scores do on pieces that nothing has learned from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from crispmap.data.training_data import Piece
from crispmap.evaluation.recalibration import BiasedLabels
from crispmap.metrics import ConfusionMatrix
from crispmap.raster.scene import SceneReader
from crispmap.types import DoubleArray


def mean_iou_on(
    pieces: Sequence[Piece],
    scores_of: Callable[[Piece], SceneReader],
    names: Sequence[str],
    biases: DoubleArray | None = None,
) -> float:
    """Return the mean IoU, 0..1, of the map of scores on some pieces; NaN where nothing is labelled there.

    Args:
        scores_of: Returns the scores over a piece's image.
        names: Of the classes.
        biases: What is added to the scores of each class.
    """
    matrix = ConfusionMatrix(names)
    added = np.zeros(len(names)) if biases is None else biases
    for piece in pieces:
        labels = BiasedLabels(scores_of(piece), added)
        for block, reference in piece.labelled_blocks():
            matrix.update(labels.read(block), np.ascontiguousarray(reference))
    return float(matrix.mean_iou)
