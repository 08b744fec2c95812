"""The interfaces of coarse networks and refiners."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from crispmap.geo.squares import Squares
from crispmap.models.lazy import read_context


class CoarseNetwork(nn.Module):
    """A network from image bands to one score map per class.

    Where its influence radius has a bound, scores of any part of a scene are those of the whole, wherever on the stride
    grid it is cut. Networks of valid convolutions read the same context in training and
    inference: then ``train_margin_px`` equals ``halo_px``. Networks that pad train without context; inference reads a
    halo around every tile, as wide as their influence radius, and crops it, so that effects of padding are never kept.
    """

    architecture: str  # name in the registry
    arguments: dict[str, Any]  # of its builder
    bands: int  # of the image
    classes: int  # score maps
    train_margin_px: int  # context ``forward`` takes on every side of its scores; 0 for networks that pad
    # Context inference reads on every side of a tile: as far as any pixel outside the tile changes a score in it, or
    # less where ``reading`` asked for it; a multiple of the stride if it is more than train_margin_px
    halo_px: int
    stride_px: int  # height, width and origin of any window of scores are multiples of it
    radius_px: int | None  # influence radius: the furthest an input pixel can change an output pixel; None if unbounded
    encoder_start: Mapping[str, Any] = MappingProxyType({})  # what its encoder started from, for the card
    squares: Squares | None = None  # the squares that have one class each, their side the stride; None: every pixel has

    @property
    def encoder(self) -> nn.Module | None:
        """The part that may start from trained weights and learn at a rate of its own; None without one."""
        return None

    def forward(self, image: Tensor) -> Tensor:
        """Return scores (batch, class, row, col): logits whose softmax gives probabilities.

        Args:
            image: (batch, band, row + 2 train_margin_px, col + 2 train_margin_px), scaled as the model card says.
        """
        raise NotImplementedError

    def reading(self, context_px: int) -> Self:
        """Return the network with the same weights that reads at least so much context around a tile in inference."""
        other = copy.copy(self)
        other.halo_px = read_context(context_px, self.train_margin_px, self.stride_px)
        return other

    def for_inference(self) -> nn.Module:
        """Return a module from an image with ``halo_px`` on every side to its scores, in the fastest form for engines.

        It is the network itself if training reads the same context; else later changes of the network may not reach it.
        """
        return self if self.halo_px == self.train_margin_px else _Cropped(self)

    def for_export(self) -> nn.Module:
        """Return ``for_inference`` up to rounding, as one graph for images of any size."""
        return self.for_inference()


class _Cropped(nn.Module):
    """A padded network without the scores of its halo."""

    def __init__(self, network: CoarseNetwork) -> None:
        super().__init__()
        self._network, self._cropped_px = network, network.halo_px - network.train_margin_px

    def forward(self, image: Tensor) -> Tensor:
        return crop(self._network(image), self._cropped_px)


class Refiner(nn.Module):
    """A map from image + scores to sharper scores, one iteration at a time.

    With a bounded radius it is exact on any part of a scene.
    Scores and image reach ``margin_px`` further than the result on every side: borders are never padded.
    """

    architecture: str  # name in the registry
    arguments: dict[str, Any]  # of its builder
    classes: int  # score maps
    bands: int  # of the image
    iterations: int  # done by ``forward``
    margin_px: int  # pixels the inputs reach beyond the result on every side; a multiple of the stride
    radius_px: int | None  # influence radius, of scores and of image; None if unbounded
    stride_px: int = 1  # origin of any window of scores is a multiple of it
    torch_only: bool = False  # whether its graph has too many operations for other engines than PyTorch

    def forward(self, scores: Tensor, image: Tensor) -> Tensor:
        """Return the refined scores (batch, class, row, col), logits.

        Args:
            scores: (batch, class, row + 2 margin_px, col + 2 margin_px), logits.
            image: (batch, band, row + 2 margin_px, col + 2 margin_px), scaled as the model card says.
        """
        return self.all_iterations(scores, image)[-1]

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:
        """Return the scores after 0, 1, .. ``iterations`` iterations, each (batch, class, row, col).

        The first is the input, without its margin.
        """
        raise NotImplementedError

    def for_inference(self) -> nn.Module:
        """Return the current ``forward`` of this refiner in the fastest form for engines, as ``CoarseNetwork`` does."""
        return self


def crop(maps: Tensor, margin_px: int) -> Tensor:
    """Return maps without a margin on each of the four sides."""
    if margin_px == 0:
        return maps
    return maps[..., margin_px : maps.shape[-2] - margin_px, margin_px : maps.shape[-1] - margin_px]


def bilinear_kernel(size: int, stride: int) -> Tensor:
    """Return the (size, size) kernel with which a deconvolution of this stride interpolates bilinearly."""
    # Not by torch: on the meta device, where models are built before they are loaded, that imports its compiler.
    line = np.clip(1 - np.abs(np.arange(size) - (size - 1) / 2) / stride, 0, None)
    return torch.from_numpy(np.outer(line, line).astype(np.float32))


def init_fan_in(weight: Tensor, fan_in: int) -> None:
    """Fill a weight uniformly with variance 1 / fan_in.

    Source: "a distribution that depends on the number of neuron inputs", Maggiori et al., after Glorot and Bengio 2010.
    """
    bound = math.sqrt(3.0 / fan_in)
    nn.init.uniform_(weight, -bound, bound)
