"""The fully convolutional networks of the two papers, layer by layer.

Both are Mnih's network made fully convolutional: a first convolution with stride 4, two more, a classifier as wide as
Mnih's fully connected layer, and a learned deconvolution back to the image's sampling. ReLU between layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from crispmap.models.base import CoarseNetwork, bilinear_kernel, init_fan_in

_STRIDE = 4
_UPSAMPLE = 8


class FullyConvolutionalNetwork(CoarseNetwork):
    """A stack of valid convolutions on a quarter of the image's sampling, then a deconvolution 8x8 with stride 4.

    Args:
        kernels: Sides of the four convolutions; the first has stride 4.
        filters: Filters of the three hidden convolutions.
        binary: Train one map z for two classes, returned as the scores (-z/2, +z/2): their softmax cross-entropy is the
            sigmoid cross-entropy of z. Needs ``classes == 2``.
    """

    def __init__(
        self, architecture: str, kernels: Sequence[int], filters: Sequence[int], bands: int, classes: int, binary: bool
    ) -> None:
        super().__init__()
        if binary and classes != 2:
            raise ValueError(f"a binary network has 2 classes, not {classes}")
        self.architecture = architecture
        self.arguments = {"bands": bands, "classes": classes, "binary": binary}
        self.bands, self.classes, self.binary = bands, classes, binary
        self.stride_px = _STRIDE
        # A feature sees `field` pixels; the deconvolution pastes it over 8 pixels centred on that field's centre.
        field = kernels[0] + _STRIDE * sum(side - 1 for side in kernels[1:])
        self.train_margin_px = self.halo_px = field // 2
        self.radius_px = field // 2 + _UPSAMPLE // 2 - 1
        maps = 1 if binary else classes
        widths = (bands, *filters, maps)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, side, stride=_STRIDE if index == 0 else 1)
            for index, ((n_in, n_out), side) in enumerate(zip(pairwise(widths), kernels, strict=True))
        )
        self.upsample = nn.ConvTranspose2d(maps, maps, _UPSAMPLE, stride=_STRIDE, padding=_STRIDE, groups=maps)
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.convolutions:
            init_fan_in(layer.weight, layer.weight[0].numel())  # type: ignore[arg-type,index]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.upsample.weight.copy_(bilinear_kernel(_UPSAMPLE, _STRIDE).expand_as(self.upsample.weight))
        nn.init.zeros_(self.upsample.bias)  # type: ignore[arg-type]

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - as the base class
        features = image
        for index, layer in enumerate(self.convolutions):
            features = layer(features if index == 0 else torch.relu(features))
        maps: Tensor = self.upsample(features)
        return torch.cat([-maps / 2, maps / 2], dim=1) if self.binary else maps


def fcn_rnn(bands: int = 3, classes: int = 3, binary: bool = False) -> FullyConvolutionalNetwork:
    """The coarse network of the RNN paper: 64@12x12 stride 4, 128@3x3, 128@3x3, K@9x9, deconvolution.

    Source: Maggiori, Charpiat, Tarabalka, Alliez, "Recurrent Neural Networks to Correct Satellite Image Classification
    Maps", section III. Designed for 1 m ground sampling. The deconvolution has one 8x8 filter per class, as in IGARSS.
    """
    return FullyConvolutionalNetwork("fcn-rnn", (12, 3, 3, 9), (64, 128, 128), bands, classes, binary)


def fcn_igarss(bands: int = 3, classes: int = 2, binary: bool | None = None) -> FullyConvolutionalNetwork:
    """The FCN of the IGARSS paper: 64@12x12 stride 4, 112@4x4, 80@3x3, 1@9x9, deconvolution 8x8 stride 4.

    Source: Maggiori, Tarabalka, Charpiat, Alliez, "Fully Convolutional Neural Networks for Remote Sensing Image
    Classification", IGARSS 2016, figure 1. Binary with a sigmoid as published; with more classes, one map per class.
    """
    as_published = classes == 2 if binary is None else binary
    return FullyConvolutionalNetwork("fcn-igarss", (12, 4, 3, 9), (64, 112, 80), bands, classes, as_published)
