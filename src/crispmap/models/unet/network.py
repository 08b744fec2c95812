"""The U-Net as published, layer by layer.

Source: Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015,
figure 1 and section 2: two valid 3x3 convolutions a level, 2x2 max pooling, twice the filters on each of four levels
down; up again by 2x2 up-convolutions, each result beside the crop of what the level had on the way down.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from crispmap.models.base import CoarseNetwork, crop

_LEVELS = 4  # poolings on the way down
_LOST_PX = 4  # of a side, in the two valid convolutions of a level
_STRIDE = 2**_LEVELS
_DROPPED = 0.5  # share of features left out in training, at the end of the way down


class UNet(CoarseNetwork):
    """Two valid convolutions, ReLU after each, on every level of the way down and up; 23 convolutions in all.

    The published network maps 572 pixels to 388: sides of its scores are a multiple of 16, and 4. Here the image
    reaches 2 pixels further and as much is cropped, for scores to begin and end on multiples of 16.

    Args:
        width: Filters of the first level; 64 as published.
    """

    def __init__(self, bands: int, classes: int, width: int) -> None:
        super().__init__()
        self.architecture = "unet"
        self.arguments = {"bands": bands, "classes": classes, "width": width}
        self.bands, self.classes, self.stride_px = bands, classes, _STRIDE
        self.train_margin_px = self.halo_px = -(-(_skip_offset(0) + _LOST_PX) // _STRIDE) * _STRIDE - 2
        self.radius_px = _radius_px()
        widths = [width << level for level in range(_LEVELS + 1)]
        self.down = nn.ModuleList(_two_convolutions(*pair) for pair in pairwise([bands, *widths]))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(wide, narrow, 2, stride=2) for wide, narrow in pairwise(reversed(widths))
        )
        self.beside = nn.ModuleList(_two_convolutions(wide, narrow) for wide, narrow in pairwise(reversed(widths)))
        self.classify = nn.Conv2d(width, classes, 1)
        self._initialise()

    def _initialise(self) -> None:
        """Draw weights with variance 2 / the number of incoming nodes, as section 3 asks for."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.weight[0].numel()))
            elif isinstance(layer, nn.ConvTranspose2d):  # every output pixel sees one pixel of each map
                nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_channels))
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - as the base class
        features, passed = image, []
        for level, convolutions in enumerate(self.down):
            features = convolutions(features if level == 0 else functional.max_pool2d(features, 2))
            passed.append(features)
        features = functional.dropout(passed.pop(), _DROPPED, training=self.training)
        for up, convolutions in zip(self.up, self.beside, strict=True):
            features = up(features)
            kept = passed.pop()
            beside = crop(kept, (kept.shape[-1] - features.shape[-1]) // 2)
            features = convolutions(torch.cat([beside, features], dim=1))
        return crop(self.classify(features), self.halo_px - _skip_offset(0) - _LOST_PX)


def unet(bands: int = 3, classes: int = 2, width: int = 64) -> UNet:
    """The U-Net of Ronneberger et al. 2015, or a narrower one."""
    return UNet(bands, classes, width)


def _two_convolutions(incoming: int, outgoing: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(incoming, outgoing, 3), nn.ReLU(inplace=True), nn.Conv2d(outgoing, outgoing, 3), nn.ReLU(inplace=True)
    )


def _skip_offset(level: int) -> int:
    """Return how far the features that come up to a level begin within those it had on the way down."""
    return 2 * (_LOST_PX // 2) if level == _LEVELS - 1 else 2 * (_skip_offset(level + 1) + _LOST_PX)


def _radius_px() -> int:
    """Return how far a pixel of the image can be from a score that it reaches, of all phases of the poolings."""
    furthest = 0
    for place in range(_STRIDE):
        first, last = _seen(0, place, place)
        centre = place + _skip_offset(0) + _LOST_PX
        furthest = max(furthest, centre - first, last - centre)
    return furthest


def _seen(level: int, first: int, last: int) -> tuple[int, int]:
    """Return the pixels of the image that a range of a level's last features depends on, along one axis."""
    last += _LOST_PX
    if level == _LEVELS:
        return _seen_below(level, first, last)
    offset = _skip_offset(level)
    beside = _seen_below(level, first + offset, last + offset + _LOST_PX)
    under = _seen(level + 1, first // 2, last // 2)
    return min(beside[0], under[0]), max(beside[1], under[1])


def _seen_below(level: int, first: int, last: int) -> tuple[int, int]:
    """Return the pixels of the image that a range of what enters a level on the way down depends on."""
    for _ in range(level):
        first, last = 2 * first, 2 * last + 1 + _LOST_PX
    return first, last
