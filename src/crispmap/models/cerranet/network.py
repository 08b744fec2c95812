"""CerraNet, a classifier of squares of satellite images.

Source: Miranda, Maximiano, Santiago Junior, Korting, Fonseca, "Classification of the water volume of dams using
heterogeneous remote sensing images through a deep convolutional neural network", GEOINFO 2021: six blocks of a 3x3
convolution, ReLU, 2x2 average pooling and dropout; average pooling to 2x2; three dense layers.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from crispmap.geo.squares import LabelRule, Squares
from crispmap.models.squares import SquareClassifier

_FILTERS = (1, 1, 2, 2, 4, 4)  # of each block, in those of the first
_DROPPED = 0.15  # share of features left out in training after each block


class CerraNet(SquareClassifier):
    """Six blocks of a padded 3x3 convolution, ReLU, 2x2 average pooling and dropout, then three dense layers.

    Args:
        width: Filters of the first two blocks; 64 as published.
    """

    def __init__(self, bands: int, classes: int, squares: Squares, context_px: int, width: int) -> None:
        super().__init__(bands, classes, squares, context_px)
        self.architecture = "cerranet"
        self.arguments = {
            "bands": bands, "classes": classes, "width": width, "context_px": context_px,
            "square_px": squares.side_px, "label": squares.label,
        }  # fmt: skip
        filters = [width * factor for factor in _FILTERS]
        self.blocks = nn.Sequential(*(_block(*pair) for pair in pairwise([bands, *filters])))
        last = filters[-1]
        self.dense = nn.Sequential(
            nn.Linear(4 * last, last), nn.ReLU(inplace=True), nn.Linear(last, last // 2), nn.ReLU(inplace=True),
            nn.Linear(last // 2, classes),
        )  # fmt: skip
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):  # nine layers of PyTorch's own weights hardly pass a signal
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def classify(self, squares: Tensor) -> Tensor:  # noqa: D102 - as the base class
        scores: Tensor = self.dense(_quarters(self.blocks(squares)).flatten(1))
        return scores


def cerranet(
    bands: int = 3,
    classes: int = 2,
    square_px: int = 128,
    context_px: int = 0,
    label: LabelRule = "centre",
    width: int = 64,
) -> CerraNet:
    """CerraNet as published, of any number of bands and classes, or a narrower one."""
    return CerraNet(bands, classes, Squares(square_px, label), context_px, width)


def _block(incoming: int, outgoing: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(incoming, outgoing, 3, padding=1), nn.ReLU(inplace=True), nn.AvgPool2d(2), nn.Dropout(_DROPPED)
    )


def _quarters(features: Tensor) -> Tensor:
    """Return the means of the four quarters, (square, filter, 2, 2): adaptive pooling as every engine takes it."""
    height, width = features.shape[-2:]
    rows = (slice(0, -(-height // 2)), slice(height // 2, height))
    cols = (slice(0, -(-width // 2)), slice(width // 2, width))
    means = [features[..., row, col].mean(dim=(-2, -1)) for row in rows for col in cols]
    return torch.stack(means, dim=-1).reshape(*features.shape[:2], 2, 2)
