"""What every coarse network promises, whatever its layers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class CoarseNetwork(nn.Module):
    """A network from image bands to one score map a class, exact on any ground it is given.

    All convolutions are valid: the image reaches ``margin_px`` further than the scores on every side, so that no
    invented border ever enters a score, and a scene may be cut anywhere on the stride grid.

    Attributes:
        architecture: Name in the model registry.
        arguments: Keyword arguments that build the network again.
        bands: Bands of the image.
        classes: Score maps.
        margin_px: Pixels the image reaches beyond the scores on every side.
        stride_px: Height and width of the scores, and the origin of any window, are multiples of it.
        radius_px: Influence radius: the furthest an input pixel can change an output pixel. None if unbounded.
    """

    architecture: str
    arguments: dict[str, Any]
    bands: int
    classes: int
    margin_px: int
    stride_px: int
    radius_px: int | None

    def forward(self, image: Tensor) -> Tensor:
        """Return scores (batch, class, row, col): logits whose softmax gives probabilities.

        Args:
            image: (batch, band, row + 2 margin_px, col + 2 margin_px), scaled as the model card says.
        """
        raise NotImplementedError


def bilinear_kernel(size: int, stride: int) -> Tensor:
    """Return the (size, size) kernel with which a deconvolution of this stride interpolates bilinearly."""
    centre = (size - 1) / 2
    line = (1 - (torch.arange(size) - centre).abs() / stride).clamp(min=0)
    return line[:, None] * line[None, :]
