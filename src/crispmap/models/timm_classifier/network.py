"""Classifiers of timm on the squares of a scene.

Source: Wightman, "PyTorch Image Models", 2019.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from crispmap.errors import ModelError
from crispmap.geo.squares import LabelRule, Squares
from crispmap.models.smp.names import LITE0
from crispmap.models.squares import SquareClassifier
from crispmap.models.weights.encoder import start_encoder


class TimmClassifier(SquareClassifier):
    """The pooled features of a classifier, and one dense layer; batch normalisation is as learned when maps are made.

    Args:
        model: Its name in timm.
        weights: What its features start from; see ``start_encoder``.

    Raises:
        ModelError: If it cannot see squares of this size, or the weights cannot be read or are another classifier's.
    """

    def __init__(
        self, bands: int, classes: int, squares: Squares, context_px: int, model: str, weights: str = "random"
    ) -> None:
        super().__init__(bands, classes, squares, context_px)
        self.architecture = "timm"
        self.arguments = {
            "bands": bands, "classes": classes, "model": model, "context_px": context_px,
            "square_px": squares.side_px, "label": squares.label,
        }  # fmt: skip
        self.features, count = _features(model, bands, squares.side_px + 2 * context_px)
        self.encoder_start = start_encoder(self.features, model, weights, bands)
        self.dense = nn.Linear(count, classes)

    @property
    def encoder(self) -> nn.Module:
        """All but the last layer, which may start from trained weights."""
        return self.features

    def classify(self, squares: Tensor) -> Tensor:  # noqa: D102 - as the base class
        scores: Tensor = self.dense(self.features(squares))
        return scores


def timm_classifier(  # noqa: PLR0913 - the options of a project file
    bands: int = 3,
    classes: int = 2,
    *,
    square_px: int = 128,
    context_px: int = 0,
    label: LabelRule = "centre",
    model: str = LITE0,
    weights: str = "random",
) -> TimmClassifier:
    """Any ``model`` of timm, by default an EfficientNet-lite0, for any number of bands and classes."""
    return TimmClassifier(bands, classes, Squares(square_px, label), context_px, model, weights)


def _features(name: str, bands: int, side_px: int) -> tuple[nn.Module, int]:
    """Return a classifier without its last layer, and how many features it gives.

    Those made for one size of image are built for that of the squares.
    """
    import timm

    config = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {"in_chans": bands, "num_classes": 0}
    if config is not None and config.fixed_input_size:
        options["img_size"] = side_px
    try:
        features: nn.Module = timm.create_model(name, pretrained=False, **options)
        device = next(features.parameters()).device
        with torch.no_grad():
            given = features.eval()(torch.zeros(1, bands, side_px, side_px, device=device))
    except (AssertionError, TypeError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"{name} cannot see squares of {side_px} pixels, context included: {str(error).splitlines()[0]}",
            expected="squares of a size that it takes, such as 128",
            remedy="choose other squares with square_px, or another model",
        ) from error
    return features.train(), int(given.shape[1])
