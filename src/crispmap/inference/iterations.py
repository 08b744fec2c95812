"""Ground after every step of a refiner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crispmap.evaluate.readers import LabelSource, UnitedGround
from crispmap.geo.areas import Area, box_of
from crispmap.geo.grid import Block
from crispmap.inference.products import class_map
from crispmap.inference.refine import TILE_PX, refine_area
from crispmap.metrics import ConfusionMatrix
from crispmap.models.model import RefinerModel
from crispmap.models.scaling import scaled_input
from crispmap.raster.scene import SceneReader
from crispmap.types import IGNORE, FloatArray, LabelArray

_CHUNK_PX = 512
_WIDE_MARGIN_PX = 32
"""Refiners that reach further are run in larger tiles: of small ones nearly all would be margin."""
_WIDE_TILE_PX = 512


class StepMaps:
    """Scores and class maps of ground after 0, 1, .. steps of a refiner.

    Args:
        image: The scene on the working grid.
        scores: Coarse scores on the same grid, wherever the refiner reaches.
        refiner: The refiner and its card.
        device: "auto", "cpu" or "cuda".
    """

    def __init__(self, image: SceneReader, scores: SceneReader, refiner: RefinerModel, device: str = "auto") -> None:
        self._image, self._scores, self._refiner, self._scaling = image, scores, refiner.network, refiner.scaling
        self._device = device

    def over(self, block: Block) -> list[tuple[FloatArray, LabelArray]]:
        """Return scores (class, row, col) and class ids (row, col) of a block after every step, the coarse map's first.

        A pixel is known where both image and coarse scores are; elsewhere the class id is 255.
        """
        around = block.padded(self._refiner.margin_px)
        values, valid = self._scores.read(around)
        pixels, seen = self._image.read(around)
        known = valid & seen
        image = scaled_input(pixels, known, self._scaling)
        tile_px = TILE_PX if self._refiner.margin_px <= _WIDE_MARGIN_PX else _WIDE_TILE_PX
        scores = np.where(known, values, np.float32(0))
        steps = refine_area(self._refiner, scores, image, device=self._device, tile_px=tile_px)
        core = block.relative_to(around).slices
        return [(step[:, *core], class_map(step[:, *core], known[core])) for step in steps]

    def curve(self, areas: Sequence[Area], reference: LabelSource, names: Sequence[str]) -> list[ConfusionMatrix]:
        """Return the confusion matrix on some ground after every step, the coarse map's first."""
        counts = [ConfusionMatrix(names) for _ in range(self._refiner.iterations + 1)]
        ground = UnitedGround(areas)
        # Over the box of all areas, not area by area: the boxes of two polygons may share ground.
        for block in box_of(areas).pieces(_CHUNK_PX):
            mask = ground.mask(block)
            if mask.any():
                labels = np.where(mask, reference.read(block), np.uint8(IGNORE))
                for count, (_, step) in zip(counts, self.over(block), strict=True):
                    count.update(step, labels)
        return counts
