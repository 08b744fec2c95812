"""The folded recurrence for inference: constant weights, one class after the other.

    u_{t+1} = u_t + w2 . relu(A * u_t + G * g(I) + b1) + b2     (for every class its own A, G, b1, w2, b2)

Convolutions on CPUs are optimised for many maps: a class by itself (1 map to the hidden units and back) runs faster
than all classes as groups of one convolution.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crispmap.models.base import crop
from crispmap.refiners.rnn.recurrence import Folded


class RecurrenceByClass(nn.Module):
    """All steps of a folded recurrence, from scores and image to refined scores.

    Args:
        features: From the image to the feature maps; removes its ``margin_px`` on every side.
        stages: Weights with the number of steps; each step removes 2 px on every side.
    """

    def __init__(self, features: nn.Module, stages: Sequence[tuple[Folded, int]]) -> None:
        super().__init__()
        self.features = copy.deepcopy(features).requires_grad_(False)
        self._margin_px = int(features.margin_px)  # type: ignore[arg-type]
        classes = len(stages[0][0].bias)
        self.classes = nn.ModuleList(_OneClass(stages, class_id) for class_id in range(classes))

    def forward(self, scores: Tensor, image: Tensor) -> Tensor:
        """Return the refined scores as ``Refiner.forward`` does."""
        maps = self.features(image)
        start = crop(scores, self._margin_px)
        refined = [one(start[:, class_id : class_id + 1], maps) for class_id, one in enumerate(self.classes)]
        return torch.cat(refined, dim=1)


class _OneClass(nn.Module):
    """All steps of one class."""

    def __init__(self, stages: Sequence[tuple[Folded, int]], class_id: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(_Steps(weights, class_id, count) for weights, count in stages)
        self._taken_px = [2 * count for _, count in stages]

    def forward(self, u: Tensor, maps: Tensor) -> Tensor:
        """Return the refined scores of the class (batch, 1, row, col)."""
        for steps, taken_px in zip(self.stages, self._taken_px, strict=True):
            u, maps = steps(u, maps), crop(maps, taken_px)
        return u


class _Steps(nn.Module):
    """Steps of one class with the same weights."""

    kernel: Tensor
    image_kernel: Tensor
    hidden_bias: Tensor
    readout: Tensor
    bias: Tensor

    def __init__(self, weights: Folded, class_id: int, count: int) -> None:
        super().__init__()
        self._count = count
        units = weights.readout.shape[1]
        mine = slice(class_id * units, (class_id + 1) * units)
        constants = {
            "kernel": weights.kernel[mine],
            "image_kernel": weights.image_kernel[mine],
            "hidden_bias": weights.hidden_bias[mine],
            "readout": weights.readout[class_id][None, :, None, None],
            "bias": weights.bias[class_id : class_id + 1],
        }
        for name, values in constants.items():
            self.register_buffer(name, values.detach().clone())

    def forward(self, u: Tensor, maps: Tensor) -> Tensor:
        """Return one class's scores (batch, 1, row, col) after ``count`` steps."""
        term = F.conv2d(maps, self.image_kernel, self.hidden_bias)
        for step in range(self._count):
            hidden = torch.relu(F.conv2d(u, self.kernel) + crop(term, 2 * step))
            u = crop(u, 2) + F.conv2d(hidden, self.readout, self.bias)
        return u
