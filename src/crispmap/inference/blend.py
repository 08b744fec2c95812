"""Scores of models without a bounded influence radius: overlapping tiles, blended.

What such a model says of a pixel depends on everything it is shown, so no halo makes its tiles fit together. They
overlap, and from one to the next their weights go over linearly. The tiles lie where they lie whatever the block, so
the map still does not depend on how it was read; but it is not that of the model on the whole scene, and says so.
"""

from __future__ import annotations

import numpy as np

from crispmap.geo.grid import Block, Grid
from crispmap.inference.plan import TilePlan
from crispmap.inference.tiled import ComputeTile, KeptTiles, Pixels
from crispmap.raster.scene import Scene, SceneReader
from crispmap.types import FloatArray

OVERLAP_PX = 64
"""How far a tile's window reaches over its neighbours, on every side."""


class BlendedScores(Scene):
    """A raster with one band a class whose overlapping windows are computed when first read, and blended.

    Scores are float32, 0 where invalid; the weights of a pixel sum to 1. Several threads may read at once.

    Args:
        grid: Where the raster's pixels lie.
        source: What the scores are computed from, for band names and messages.
        band_names: The class names.
        plan: The raster's tiles.
        compute: Computes a window: a tile grown by ``overlap_px`` on every side.
        keep: Number of windows remembered.
        overlap_px: How far windows reach beyond their tiles.
        engine: What computes them, in words.
    """

    def __init__(
        self,
        grid: Grid,
        source: SceneReader,
        band_names: tuple[str, ...],
        plan: TilePlan,
        compute: ComputeTile,
        *,
        keep: int,
        overlap_px: int = OVERLAP_PX,
        engine: str = "",
    ) -> None:
        self.grid = grid
        self.engine = engine
        self.band_names = band_names
        self.path = source.path
        self._plan = plan
        self._overlap_px = overlap_px
        self._windows = KeptTiles(compute, keep)

    def _read_inside(self, block: Block) -> Pixels:
        scores = np.zeros((self.band_count, *block.shape), np.float32)
        weights = np.zeros(block.shape, np.float32)
        valid = np.zeros(block.shape, np.bool_)
        for tile in self._plan.over(block.padded(self._overlap_px)):
            window = tile.padded(self._overlap_px)
            shared = window.intersection(block)
            if shared.is_empty:
                continue
            target, source = shared.relative_to(block).slices, shared.relative_to(window).slices
            values, known = self._windows.get(window)
            weight = self._weight(window.shape)[source]
            scores[:, *target] += values[:, *source] * weight
            weights[target] += weight
            valid[target] |= known[source]
        scores /= weights
        scores[:, ~valid] = 0.0
        return scores, valid

    def _weight(self, shape: tuple[int, int]) -> FloatArray:
        """Return the weight of every pixel of a window; neighbours' weights sum to 1."""
        lines = []
        for length in shape:
            place = np.arange(length, dtype=np.float32) + np.float32(0.5)
            lines.append(np.minimum(np.minimum(place, length - place) / np.float32(2 * self._overlap_px), 1))
        weight: FloatArray = (lines[0][:, None] * lines[1]).astype(np.float32)
        return weight

    def close(self) -> None:
        """Forget the windows kept; the rasters they are computed from stay open."""
        self._windows.forget()
