"""Scores of models without a bounded influence radius: overlapping tiles, blended.

The scores of such a model at a pixel depend on all of its input, so no halo makes its tiles fit together. They overlap,
and from one to the next their weights change linearly. The tiles are the same for any block, so the map still does not
depend on how it was read; but it is not that of the model on the whole scene, which its tags record.
"""

from __future__ import annotations

import numpy as np

from crispmap.geo.grid import Block
from crispmap.inference.tiled import Pixels, TiledScores
from crispmap.types import FloatArray

OVERLAP_PX = 64  # how far a tile's window reaches over its neighbours, on every side


class BlendedScores(TiledScores):
    """Tiled scores from overlapping windows; the weights of a pixel sum to 1."""

    def _read_inside(self, block: Block) -> Pixels:
        scores = np.zeros((self.band_count, *block.shape), np.float32)
        weights = np.zeros(block.shape, np.float32)
        valid = np.zeros(block.shape, np.bool_)
        overlap = self._plan.overlap_px
        for tile in self._plan.over(block.padded(overlap)):
            window = tile.padded(overlap)
            shared = window.intersection(block)
            if shared.is_empty:
                continue
            target, source = shared.relative_to(block).slices, shared.relative_to(window).slices
            values, known = self._tiles.get(window)
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
            lines.append(np.minimum(np.minimum(place, length - place) / np.float32(2 * self._plan.overlap_px), 1))
        weight: FloatArray = (lines[0][:, None] * lines[1]).astype(np.float32)
        return weight
