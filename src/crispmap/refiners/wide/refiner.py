"""A trained refiner with a wide view: dilated features of image and scores, and gated steps that mix classes.

    f       = W(dilated convolutions of [I ; s(u_0)])               (once)
    d, g    = V relu(A * s(u_t) + f + b)
    u_{t+1} = u_t + sigmoid(g) d                                    (every step with the same A, V)

where s(u) = clamp(log softmax u). The recurrence is that of the paper, u plus a perceptron of filtered scores and image
(``rnn``, equations 5 to 8), with three changes. Features are learned in several layers, which also read the coarse
scores, and reach tens of pixels, not two. The update of a class reads the scores of all classes. A gate lets a step
change a pixel completely or not at all. Every convolution is valid and without stride: exact on any cut.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crispmap.models.base import Refiner, crop, init_fan_in
from crispmap.refiners.hand_written import require

DILATIONS = (1, 2, 4, 8, 8, 4, 2, 1)  # dilation of each layer: out to a wide view, and back to detail
_STEM_PX = 1
_REACH_PX = 2
_LOWEST = -10.0


class WideRefiner(Refiner):
    """A learned iterative process that sharpens all classes' scores together, using their surroundings.

    Args:
        width: Maps of each layer of features, 1 or more; the cost grows with its square.
        hidden: Hidden units of the step's perceptron, 1 or more.
        dilations: Of each layer of features, 1 or more.

    Raises:
        ValueError: If an argument is out of its range.

    Source: the recurrence after Maggiori, Charpiat, Tarabalka and Alliez, "Recurrent Neural Networks to Correct
    Satellite Image Classification Maps"; dilated features after Yu and Koltun 2016, "Multi-Scale Context Aggregation by
    Dilated Convolutions"; residual layers after He et al. 2016.
    """

    architecture = "wide"

    def __init__(
        self,
        classes: int,
        bands: int,
        iterations: int = 5,
        width: int = 16,
        hidden: int = 32,
        dilations: Sequence[int] = DILATIONS,
    ) -> None:
        super().__init__()
        counts = (("bands", bands, 1), ("iterations", iterations, 1), ("width", width, 1), ("hidden", hidden, 1))
        for name, value, least in (("classes", classes, 2), *counts):
            require(name, value, value >= least and int(value) == value, f"a whole number of {least} or more")
        good = len(dilations) > 0 and all(int(one) == one and one >= 1 for one in dilations)
        require("dilations", dilations, good, "whole numbers of 1 or more, at least one of them")
        self.arguments = {"classes": classes, "bands": bands, "iterations": iterations, "width": width}
        self.arguments |= {"hidden": hidden, "dilations": list(dilations)}
        self.classes, self.bands, self.iterations = classes, bands, iterations
        self._dilations = tuple(dilations)
        # The first step adds nothing to the reach: it reads scores within the reach of the features.
        self._before_px = _STEM_PX + sum(dilations) - _REACH_PX
        self.margin_px = self.radius_px = self._before_px + _REACH_PX * iterations
        self.stem = nn.Conv2d(bands + classes, width, 2 * _STEM_PX + 1)
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 3, dilation=dilation) for dilation in dilations)
        self.term = nn.Conv2d(width, hidden, 1)
        self.on_scores = nn.Conv2d(classes, hidden, 2 * _REACH_PX + 1, bias=False)
        self.update = nn.Conv2d(hidden, 2 * classes, 1)
        self._initialise()

    def _initialise(self) -> None:
        """Initialise near the identity: small updates, and layers that add a little to their input."""
        for name, weight in self.named_parameters():
            if weight.ndim == 1:
                nn.init.zeros_(weight)
                continue
            variance = {"layers": 0.5, "update": 0.003}.get(name.partition(".")[0], 2.0)
            init_fan_in(weight, round(weight[0].numel() / variance))

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        term = self._features(scores, image)
        u = crop(scores, self._before_px)
        steps = [u]
        for step in range(self.iterations):
            hidden = torch.relu(self.on_scores(_tamed(u)) + crop(term, _REACH_PX * step))
            change, gate = self.update(hidden).split(self.classes, dim=1)
            u = crop(u, _REACH_PX) + torch.sigmoid(gate) * change
            steps.append(u)
        return [crop(u, _REACH_PX * (self.iterations - step)) for step, u in enumerate(steps)]

    def _features(self, scores: Tensor, image: Tensor) -> Tensor:
        """Return the features for the steps, (batch, hidden, row, col) on the pixels of the first step."""
        maps = torch.relu(self.stem(torch.cat([image, _tamed(scores)], dim=1)))
        for layer, dilation in zip(self.layers, self._dilations, strict=True):
            maps = torch.relu(layer(maps) + crop(maps, dilation))
        term: Tensor = self.term(maps)
        return term


def _tamed(scores: Tensor) -> Tensor:
    """Return scaled log probabilities, from about -2 for the impossible to 1 for the certain."""
    return 1 + 0.3 * F.log_softmax(scores, dim=1).clamp(min=_LOWEST)
