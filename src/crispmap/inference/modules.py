"""The torch modules that engines are given."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crispmap.inference.network import MapNetwork
from crispmap.models.base import Refiner, crop


class MapModule(nn.Module):
    """The module of a ``MapNetwork``."""

    def __init__(self, of: MapNetwork) -> None:
        super().__init__()
        self._halo_crop_px, self._margin_crop_px = of.halo_px - of.reach_px, of.margin_px - of.reach_px
        self._halo_px = of.halo_px
        self.network = None if of.coarse is None else of.coarse.network.for_inference()
        self.refiner = None if of.refiner is None else of.refiner.network.for_inference()

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
        refined = self._refined(crop(scores, self._halo_crop_px), crop(image, self._margin_crop_px))
        return refined, crop(scores, self._halo_px)

    def _refined(self, scores: Tensor, image: Tensor) -> Tensor:
        if self.refiner is None:
            raise ValueError("there is no refiner")
        refined: Tensor = self.refiner(scores, image)
        return refined


class EveryIteration(nn.Module):
    """A refiner that gives the scores before the first and after every iteration, one after the other."""

    def __init__(self, refiner: Refiner) -> None:
        super().__init__()
        self._refiner = refiner

    def forward(self, scores: Tensor, image: Tensor) -> Tensor:  # noqa: D102 - as the class
        return torch.cat(self._refiner.all_iterations(scores, image), dim=1)
