"""Mnih's patch network as in the IGARSS paper: the predecessor of the fully convolutional networks, for comparison."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispmap.models.base import CoarseNetwork, init_fan_in

PATCH_PX = 64  # side of an image patch
LABELLED_PX = 16  # side of the labelled square in its middle
_KERNELS, _FILTERS, _STRIDE = (12, 4, 3), (64, 112, 80), 4
_FEATURE_SIDE = 9
_BATCH = 64


class PatchNetwork(CoarseNetwork):
    """64@12x12 stride 4, 112@4x4, 80@3x3, then one layer from all features of a 64x64 patch to its 16x16 centre.

    Every pixel of the 16x16 square has its own weights, so the map jumps where two squares meet; by how much is
    measured by ``crispmap.evaluation.discontinuity``. Maps are computed patch by patch in batches of 64, as published:
    neighbouring patches overlap by three quarters on each axis and compute these features again. ``shared`` is the same
    function with features computed once; it is used in training, where patches may hold many squares.

    Args:
        binary: Train one map z for two classes, returned as the scores (-z/2, +z/2), as published: their softmax
            cross-entropy is the sigmoid cross-entropy of z. By default for two classes.

    Source: Maggiori, Tarabalka, Charpiat, Alliez, "Fully Convolutional Neural Networks for Remote Sensing Image
    Classification", IGARSS 2016, section 2 and figure 1a, after Mnih's thesis (Toronto 2013). Designed for 1 m.
    """

    def __init__(self, bands: int = 3, classes: int = 2, binary: bool | None = None) -> None:
        super().__init__()
        self.binary = classes == 2 if binary is None else binary
        if self.binary and classes != 2:
            raise ValueError(f"a binary network has 2 classes, not {classes}")
        self.architecture = "mnih"
        self.arguments = {"bands": bands, "classes": classes, "binary": self.binary}
        self.bands, self.classes = bands, classes
        self.train_margin_px = self.halo_px = (PATCH_PX - LABELLED_PX) // 2
        self.stride_px = LABELLED_PX
        # From a corner of the labelled square to the far side of the patch.
        self.radius_px = self.halo_px + LABELLED_PX - 1
        self.convolutions = nn.ModuleList(
            nn.Conv2d(n_in, n_out, side, stride=_STRIDE if index == 0 else 1)
            for index, ((n_in, n_out), side) in enumerate(zip(pairwise((bands, *_FILTERS)), _KERNELS, strict=True))
        )
        maps = 1 if self.binary else classes
        self.classify = nn.Linear(_FILTERS[-1] * _FEATURE_SIDE**2, maps * LABELLED_PX**2)
        for layer in (*self.convolutions, self.classify):
            init_fan_in(layer.weight, layer.weight[0].numel())
            nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor) -> Tensor:
        """Return scores: patch by patch in evaluation mode, within the memory of 64 patches; ``shared`` in training."""
        if self.training:
            return self.shared(image)
        batch, rows, cols = image.shape[0], *(self._squares(length) for length in image.shape[-2:])
        windows = image.unfold(2, PATCH_PX, LABELLED_PX).unfold(3, PATCH_PX, LABELLED_PX).permute(0, 2, 3, 1, 4, 5)
        places = torch.split(torch.arange(batch * rows * cols, device=image.device), _BATCH)
        squares = torch.cat([self._square(windows[_unravelled(some, rows, cols)]) for some in places])
        maps = squares.view(batch, rows, cols, -1, LABELLED_PX, LABELLED_PX).permute(0, 3, 1, 4, 2, 5)
        return self._scores(maps.reshape(batch, -1, rows * LABELLED_PX, cols * LABELLED_PX))

    def shared(self, image: Tensor) -> Tensor:
        """Return the scores of ``forward``, up to rounding, from features that neighbouring patches share.

        The last layer becomes a 9x9 convolution on every fourth feature: as no convolution pads, a patch has the same
        features as its pixels in the whole image.
        """
        kernel = self.classify.weight.view(-1, _FILTERS[-1], _FEATURE_SIDE, _FEATURE_SIDE)
        step = LABELLED_PX // _STRIDE
        squares = functional.conv2d(self._features(image), kernel, self.classify.bias, stride=step)
        return self._scores(functional.pixel_shuffle(squares, LABELLED_PX))

    def for_export(self) -> nn.Module:
        """Return what ``shared`` computes: a graph would hold one number of patches."""
        return _Shared(self)

    def _squares(self, length: int) -> int:
        return (length - 2 * self.halo_px) // LABELLED_PX

    def _features(self, image: Tensor) -> Tensor:
        features = image
        for layer in self.convolutions:
            features = torch.relu(layer(features))
        return features

    def _square(self, patches: Tensor) -> Tensor:
        """Return (patch, map * 256) of patches (patch, band, 64, 64)."""
        squares: Tensor = self.classify(self._features(patches).flatten(1))
        return squares

    def _scores(self, maps: Tensor) -> Tensor:
        return torch.cat([-maps / 2, maps / 2], dim=1) if self.binary else maps


class _Shared(nn.Module):
    """A patch network whose patches share features."""

    def __init__(self, network: PatchNetwork) -> None:
        super().__init__()
        self._network = network

    def forward(self, image: Tensor) -> Tensor:
        return self._network.shared(image)


def _unravelled(places: Tensor, rows: int, cols: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return image, row and column of squares counted row by row, image by image."""
    within = places % (rows * cols)
    return places // (rows * cols), within // cols, within % cols
