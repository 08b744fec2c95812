"""The torch modules that engines are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispmap.inference.network import MapNetwork
from crispmap.models.base import Refiner, crop
from crispmap.models.scaling import Scaling

if TYPE_CHECKING:
    from crispmap.inference.runtimes.network import WholeNetwork


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


class WholeModule(nn.Module):
    """From the raw pixels of a whole image to probabilities: what other runtimes are given.

    Image and scores are reflected about the border of the image, as a map does at the border of its scene.
    """

    def __init__(self, of: WholeNetwork) -> None:
        super().__init__()
        coarse, refiner = of.coarse.network, None if of.refiner is None else of.refiner.network
        self._ratio, self._halo_px = of.ratio, coarse.halo_px
        self._stride_px = coarse.stride_px if of.side_px < of.stride_px else 1
        self._reach_px = 0 if refiner is None else refiner.margin_px
        self.network = coarse.for_export()
        self.refiner = None if refiner is None else refiner.for_inference()
        self.scalings = nn.ModuleList(_Scaled(model.scaling) for model in of.models)

    def forward(self, image: Tensor) -> Tensor:
        """Return probabilities (batch, class, row, col) of raw pixels (batch, band, row, col), NaN where not known."""
        known = (~image.isnan()).all(dim=1, keepdim=True)
        seen = torch.where(known, image, 0.0)
        if self._ratio > 1:
            weight = functional.avg_pool2d(known.to(image.dtype), self._ratio)
            seen = functional.avg_pool2d(seen, self._ratio) / weight.clamp(min=1e-6)
            scaled = self.scalings[0](seen, weight >= 0.5)
        else:
            scaled = self.scalings[0](seen, known)
        scores: Tensor = self.network(_reflected(scaled, self._halo_px, self._stride_px))
        if self._stride_px > 1:
            for dim in (2, 3):  # not by slices: exporters would want to be sure that there is as much
                scores = scores.index_select(dim, torch.arange(scaled.shape[dim], device=scaled.device))
        if self._ratio > 1:
            scores = functional.interpolate(
                scores, scale_factor=float(self._ratio), mode="bilinear", align_corners=False
            )
        if self.refiner is not None:
            image = self.scalings[1](image, known)
            scores = self.refiner(_reflected(scores * known, self._reach_px), _reflected(image, self._reach_px))
        return torch.softmax(scores, dim=1)


class _Scaled(nn.Module):
    """Raw values as a network's input, 0 where not known; see ``scaled_input``."""

    offset: Tensor
    scale: Tensor

    def __init__(self, scaling: Scaling) -> None:
        super().__init__()
        for name, values in (("offset", scaling.offset), ("scale", scaling.scale)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, image: Tensor, known: Tensor) -> Tensor:
        return torch.where(known, (image - self.offset) / self.scale, 0.0)


def _reflected(maps: Tensor, margin_px: int, stride_px: int = 1) -> Tensor:
    """Return maps with their reflection on all four sides, however small they are; see ``reflected_indices``.

    To the right and below it goes on to a whole number of strides.
    """
    if margin_px == 0 and stride_px == 1:
        return maps
    for dim in (2, 3):
        size = maps.shape[dim]
        # A tensor, for exporters to ONNX take no number here.
        period = torch.full((1,), 2 * size, dtype=torch.int64, device=maps.device)
        strides = (size + stride_px - 1) // stride_px
        place = torch.arange(-margin_px, strides * stride_px + margin_px, device=maps.device).remainder(period)
        maps = maps.index_select(dim, torch.where(place < size, place, 2 * size - 1 - place))
    return maps
