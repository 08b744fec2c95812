"""What every coarse network and every refiner promises, whatever its layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class CoarseNetwork(nn.Module):
    """A network from image bands to one score map a class, exact on any part of a scene.

    A scene may be cut anywhere on the stride grid. Networks of valid convolutions read as much context in training as
    in inference: then ``train_margin_px`` equals ``halo_px``. Networks that pad train without context, and inference
    reads a halo around every tile, as wide as their influence radius, and crops it: what padding invents is never kept.

    Attributes:
        architecture: Name in the model registry.
        arguments: Keyword arguments that build the network again.
        bands: Bands of the image.
        classes: Score maps.
        train_margin_px: Context ``forward`` takes on every side of its scores; 0 for networks that pad.
        halo_px: Context inference reads on every side of a tile: at least the radius, and a multiple of the stride
            where it is more than ``train_margin_px``.
        stride_px: Height and width of the scores, and the origin of any window, are multiples of it.
        radius_px: Influence radius: the furthest an input pixel can change an output pixel. None if unbounded.
    """

    architecture: str
    arguments: dict[str, Any]
    bands: int
    classes: int
    train_margin_px: int
    halo_px: int
    stride_px: int
    radius_px: int | None

    def forward(self, image: Tensor) -> Tensor:
        """Return scores (batch, class, row, col): logits whose softmax gives probabilities.

        Args:
            image: (batch, band, row + 2 train_margin_px, col + 2 train_margin_px), scaled as the model card says.
        """
        raise NotImplementedError

    def for_inference(self) -> nn.Module:
        """Return a module from an image with ``halo_px`` on every side to its scores, in the form engines run fastest.

        The network itself where training reads the same context. What is returned is not trained: later changes of
        the network may not reach it.
        """
        return self if self.halo_px == self.train_margin_px else _Cropped(self)


class _Cropped(nn.Module):
    """A padded network without the scores of its halo."""

    def __init__(self, network: CoarseNetwork) -> None:
        super().__init__()
        self._network, self._cropped_px = network, network.halo_px - network.train_margin_px

    def forward(self, image: Tensor) -> Tensor:
        return crop(self._network(image), self._cropped_px)


class Refiner(nn.Module):
    """A map from image + scores to sharper scores, one iteration at a time, exact on any part of a scene.

    Scores and image reach ``margin_px`` further than the result on every side: nothing is invented at a border.

    Attributes:
        architecture: Name in the model registry.
        arguments: Keyword arguments that build the refiner again.
        classes: Score maps.
        bands: Bands of the image.
        iterations: Iterations done by ``forward``.
        margin_px: Pixels the inputs reach beyond the result on every side.
        radius_px: Influence radius, of scores and of image. None if unbounded.
        torch_only: Whether PyTorch alone can run it: written out as a graph for another engine, its operations would
            be too many.
    """

    architecture: str
    arguments: dict[str, Any]
    classes: int
    bands: int
    iterations: int
    margin_px: int
    radius_px: int | None
    torch_only: bool = False

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
        """Return a module with the ``forward`` of this refiner as it is now, in the form engines run fastest.

        By default the refiner itself. What is returned is not trained: later changes of the refiner may not reach it.
        """
        return self


def crop(maps: Tensor, margin_px: int) -> Tensor:
    """Return maps without a margin on each of the four sides."""
    if margin_px == 0:
        return maps
    return maps[..., margin_px : maps.shape[-2] - margin_px, margin_px : maps.shape[-1] - margin_px]


def bilinear_kernel(size: int, stride: int) -> Tensor:
    """Return the (size, size) kernel with which a deconvolution of this stride interpolates bilinearly."""
    centre = (size - 1) / 2
    line = (1 - (torch.arange(size) - centre).abs() / stride).clamp(min=0)
    return line[:, None] * line[None, :]
