"""Coarse network and refiner as one network from image to map, for engines that run them as one graph."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from crispmap.geo.grid import Block
from crispmap.models.base import crop
from crispmap.models.model import CoarseModel, RefinerModel
from crispmap.raster.scene import reflected_indices


class MapNetwork(nn.Module):
    """A coarse network, a refiner, or both: from the pixels around one tile to the scores of the tile.

    With both, the refiner sees at the border of the scene what it sees when it is given saved scores: their reflection
    (``reflected_places``), not the network's scores of a reflected image.

    Attributes:
        halo_px: Pixels of scores the refiner reads beyond a tile, rounded up to the network's stride.
        margin_px: Pixels of the image read beyond a tile on every side.
        stride_px: Tile origins are multiples of it.
    """

    def __init__(self, coarse: CoarseModel | None, refiner: RefinerModel | None) -> None:
        super().__init__()
        model = coarse or refiner
        if model is None:
            raise ValueError("a map needs a network or a refiner")
        self.scaling, self.classes = model.scaling, model.network.classes
        self.stride_px = 1 if coarse is None else coarse.network.stride_px
        self._reach_px = 0 if refiner is None else refiner.network.margin_px
        self.margin_px = context_px(coarse, refiner)
        self.halo_px = self.margin_px - (0 if coarse is None else coarse.network.halo_px)
        self.network = None if coarse is None else coarse.network.for_inference()
        self.refiner = None if refiner is None else refiner.network.for_inference()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the scores of a tile (1, class, row, col): refined, coarse, or refined and coarse.

        Inputs are the scaled image (1, band, row + 2 margin_px, col + 2 margin_px), 0 where invalid; with network and
        refiner, also the valid pixels (1, 1, row + 2 halo_px, col + 2 halo_px) as 0 and 1, and the places of rows and
        columns that ``reflected_places`` gives. Without network: the scores, shaped like the image, and the image.
        """
        if self.network is None:
            return (self._refined(*inputs),)
        image, *rest = inputs
        scores = self.network(image)
        if self.refiner is None:
            return (scores,)
        known, rows, cols = rest
        scores = (scores * known).index_select(2, rows).index_select(3, cols)
        refined = self._refined(
            crop(scores, self.halo_px - self._reach_px), crop(image, self.margin_px - self._reach_px)
        )
        return refined, crop(scores, self.halo_px)

    def _refined(self, scores: Tensor, image: Tensor) -> Tensor:
        if self.refiner is None:
            raise ValueError("there is no refiner")
        refined: Tensor = self.refiner(scores, image)
        return refined


def context_px(coarse: CoarseModel | None, refiner: RefinerModel | None) -> int:
    """Return the pixels of the image that are read beyond a tile on every side: the refiner's and the network's."""
    reach = 0 if refiner is None else refiner.network.margin_px
    if coarse is None:
        return reach
    return math.ceil(reach / coarse.network.stride_px) * coarse.network.stride_px + coarse.network.halo_px


def reflected_places(tile: Block, halo_px: int, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the reflection about the scene's border takes the rows and columns of a window around a tile.

    Inside the scene a row is itself. Rows so far outside that no pixel of the scene sees them stay in the window. The
    tile begins inside the scene.
    """
    window = tile.padded(halo_px)
    places = []
    for start, count, size in ((window.row, window.height, shape[0]), (window.col, window.width, shape[1])):
        place = reflected_indices(start, count, size) - start
        places.append(np.clip(place, 0, count - 1).astype(np.int64))
    return places[0], places[1]
