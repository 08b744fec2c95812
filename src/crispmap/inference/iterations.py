"""A scene after every iteration of a refiner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crispmap.evaluation.readers import AreaUnion, LabelSource
from crispmap.events import SILENT, Events, progress
from crispmap.geo.areas import Area, box_of
from crispmap.geo.grid import Block
from crispmap.inference.engines import EngineChoice
from crispmap.inference.products import class_map
from crispmap.inference.refine import refined_scores
from crispmap.metrics import ConfusionMatrix
from crispmap.models.model import RefinerModel
from crispmap.raster.scene import SceneReader
from crispmap.types import IGNORE, FloatArray, LabelArray

_CHUNK_PX = 512


class IterationMaps:
    """Scores and class maps of a scene after 0, 1, .. iterations of a refiner, computed when asked for."""

    def __init__(self, image: SceneReader, scores: SceneReader, refiner: RefinerModel, device: str = "auto") -> None:
        self._classes, self.count = scores.band_count, refiner.network.iterations + 1
        engine = EngineChoice("torch", device=device)
        self._scores = refined_scores(scores, image, refiner, engine=engine, every_iteration=True)

    def over(self, block: Block) -> list[tuple[FloatArray, LabelArray]]:
        """Return scores (class, row, col) and class ids (row, col) of a block after 0, 1, .. iterations.

        A pixel is known where both image and coarse scores are; elsewhere the class id is 255.
        """
        values, valid = self._scores.read(block)
        parts = values.reshape(self.count, self._classes, *block.shape)
        return [(part, class_map(part, valid)) for part in parts]

    def curve(
        self, areas: Sequence[Area], reference: LabelSource, names: Sequence[str], events: Events = SILENT
    ) -> list[ConfusionMatrix]:
        """Return the confusion matrix on some areas after every iteration, the coarse map's first."""
        counts = [ConfusionMatrix(names) for _ in range(self.count)]
        chosen = AreaUnion(areas)
        # Over the box of all areas, not area by area: the boxes of two polygons may overlap.
        box = box_of(areas)
        with progress(events, "iterations", box.height * box.width) as running:
            for block in box.pieces(_CHUNK_PX):
                mask = chosen.mask(block)
                if mask.any():
                    labels = np.where(mask, reference.read(block), np.uint8(IGNORE))
                    for count, (_, step) in zip(counts, self.over(block), strict=True):
                        count.update(step, labels)
                running.advance(block.height * block.width)
        return counts
