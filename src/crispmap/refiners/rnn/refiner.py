"""The recurrent refiner of Maggiori, Charpiat, Tarabalka and Alliez, in the paper's form and folded.

    u_{k,t+1} = u_{k,t} + f_k([M * u_{k,t} ; N * g(I)])        (equations 5 to 8)

with f_k a perceptron of one hidden ReLU layer. As there is no non-linearity between the filters M, N and that layer,
both are folded into it: one 5x5 convolution per class on u, and an image term computed once for all steps. It is the
same function in a third of the time; weights are folded, not features, so gradients reach M, N and the perceptron.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crispmap.models.base import Refiner, crop, init_fan_in
from crispmap.refiners.rnn.by_class import RecurrenceByClass
from crispmap.refiners.rnn.features import FEATURES
from crispmap.refiners.rnn.recurrence import Folded, recur

Variant = Literal["class-specific", "class-agnostic", "untied"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
_KERNEL = 5


class RecurrentRefiner(Refiner):
    """A learned iterative process that sharpens every class's scores along the edges of the image.

    Args:
        iterations: Iterations, 1 or more (the paper: 5).
        variant: "class-specific" (one perceptron per class), "class-agnostic" (one for all) or "untied" (own weights
            for every step; the paper finds that it overfits).
        features: The input of the filters N: "image" (equation 7) or "derivatives" (equation 5).
        filters: Filters M, and as many N (the paper: 32).
        hidden: Hidden units of each perceptron (the paper: 32).

    Source: "Recurrent Neural Networks to Correct Satellite Image Classification Maps", sections II and III.
    """

    architecture = "rnn"

    def __init__(  # noqa: PLR0913, PLR0917 - the model's parameters
        self,
        classes: int,
        bands: int,
        iterations: int = 5,
        variant: Variant = "class-specific",
        features: str = "image",
        filters: int = 32,
        hidden: int = 32,
    ) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise ValueError(f"variant {variant!r} is not one of {', '.join(VARIANTS)}")
        if iterations < 1:
            raise ValueError(f"a recurrent refiner needs 1 iteration or more, not {iterations}")
        self.arguments = {"classes": classes, "bands": bands, "iterations": iterations, "variant": variant}
        self.arguments |= {"features": features, "filters": filters, "hidden": hidden}
        self.classes, self.bands, self.iterations, self.variant = classes, bands, iterations, variant
        self.features = FEATURES[features](bands)
        self.margin_px = self.radius_px = _KERNEL // 2 * iterations + self.features.margin_px
        cells = iterations if variant == "untied" else 1
        perceptrons = 1 if variant == "class-agnostic" else classes
        self.filters_m = nn.Parameter(torch.empty(cells, filters, _KERNEL, _KERNEL))
        self.filters_n = nn.Parameter(torch.empty(cells, filters, self.features.maps, _KERNEL, _KERNEL))
        self.hidden_weight = nn.Parameter(torch.empty(cells, perceptrons, hidden, 2 * filters))
        self.hidden_bias = nn.Parameter(torch.zeros(cells, perceptrons, hidden))
        self.output_weight = nn.Parameter(torch.empty(cells, perceptrons, hidden))
        self.output_bias = nn.Parameter(torch.zeros(cells, perceptrons))
        init_fan_in(self.filters_m, _KERNEL**2)
        init_fan_in(self.filters_n, self.features.maps * _KERNEL**2)
        init_fan_in(self.hidden_weight, 2 * filters)
        init_fan_in(self.output_weight, hidden)

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        maps = self.features(image)
        start = crop(scores, self.features.margin_px)
        if self.variant == "untied":
            steps = self._untied_steps(start, maps)
        else:
            steps = recur(start, maps, self._folded(0), self.iterations)
        return self._cropped([start, *steps])

    def _untied_steps(self, scores: Tensor, maps: Tensor) -> list[Tensor]:
        steps = []
        for step in range(self.iterations):
            (scores,) = recur(scores, crop(maps, 2 * step), self._folded(step), 1)
            steps.append(scores)
        return steps

    def for_inference(self) -> nn.Module:
        """Return the folded recurrence with constant weights, class by class; equal to ``forward`` up to rounding."""
        stages = [(self._folded(0), self.iterations)]
        if self.variant == "untied":
            stages = [(self._folded(step), 1) for step in range(self.iterations)]
        return RecurrenceByClass(self.features, stages)

    def _folded(self, cell: int) -> Folded:
        weight = self.hidden_weight[cell]
        filters = self.filters_m.shape[1]
        units = weight.shape[1]

        def per_class(values: Tensor) -> Tensor:
            return values.expand(self.classes, *values.shape[1:])

        kernel = torch.einsum("khf,fyx->khyx", weight[..., :filters], self.filters_m[cell])
        image_kernel = torch.einsum("khf,fcyx->khcyx", weight[..., filters:], self.filters_n[cell])
        return Folded(
            per_class(kernel).reshape(self.classes * units, 1, _KERNEL, _KERNEL),
            per_class(image_kernel).reshape(self.classes * units, -1, _KERNEL, _KERNEL),
            per_class(self.hidden_bias[cell]).reshape(-1),
            per_class(self.output_weight[cell]),
            self.output_bias[cell].expand(self.classes),
        )

    def all_iterations_as_in_paper(self, scores: Tensor, image: Tensor) -> list[Tensor]:
        """Return ``all_iterations`` in the paper's form (M, N, concatenation, perceptron), as a reference."""
        maps = self.features(image)
        u = crop(scores, self.features.margin_px)
        steps = [u]
        for step in range(self.iterations):
            cell = step if self.variant == "untied" else 0
            on_image = F.conv2d(crop(maps, 2 * step), self.filters_n[cell])
            updates = [self._update_as_in_paper(u[:, k : k + 1], on_image, cell, k) for k in range(self.classes)]
            u = crop(u, 2) + torch.cat(updates, dim=1)
            steps.append(u)
        return self._cropped(steps)

    def _update_as_in_paper(self, u: Tensor, on_image: Tensor, cell: int, class_id: int) -> Tensor:
        perceptron = 0 if self.variant == "class-agnostic" else class_id
        on_scores = F.conv2d(u, self.filters_m[cell][:, None])
        pool = torch.cat([on_scores, on_image], dim=1)
        hidden = F.conv2d(
            pool, self.hidden_weight[cell, perceptron][:, :, None, None], self.hidden_bias[cell, perceptron]
        )
        weight = self.output_weight[cell, perceptron][None, :, None, None]
        return F.conv2d(torch.relu(hidden), weight, self.output_bias[cell, perceptron][None])

    def _cropped(self, steps: list[Tensor]) -> list[Tensor]:
        """Crop the scores of every step to the shape of the last."""
        return [crop(u, 2 * (self.iterations - index)) for index, u in enumerate(steps)]
