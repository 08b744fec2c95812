"""A refiner of any classes and any bands: the same network for every class, on three planes of the image.

    r_k = V(P I, s_k, o_k, d_k)        u'_k = log softmax(u)_k + r_k

s_k are the log-odds of a class against all others, o_k those of the strongest of the others, P I the image's grey and
the first two components of its colours (``crispmap.refiners.general.planes``), and d_k how much a pixel looks like the
class (``crispmap.refiners.general.likeness``). V is a small U-Net of three levels.
It knows neither how many classes there are nor which one it looks at: classes in another order give the same scores in
that order.

Convolutions are padded with zeros, and the margin, wider than the reach of any pixel, is cut off at the end: no effect
of padding is ever kept. Pooling makes the values depend on where the window begins, in whole strides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crispmap.models.base import Refiner, crop
from crispmap.refiners.general.likeness import AROUND_PX, description, likeness
from crispmap.refiners.general.planes import planes_of
from crispmap.refiners.hand_written import require

STRIDE_PX = 4
PLANES = 3
_WIDTHS = (16, 32, 48)
_DILATIONS = (1, 2, 4)  # of the layers of the coarsest level
_SURE = 8.0  # log-odds are read within this


class GeneralRefiner(Refiner):
    """A trained refiner that serves classes and bands it has not seen.

    Args:
        planes: For each of ``PLANES`` planes a weight for every band of the scaled image, and a constant; by default
            the mean of the bands and nothing else.
        forms: For each class the quadratic form of its likeness; by default every pixel looks like all of them.
        biases: A number added to the refined scores of each class; by default none.
        widths: Maps of the levels, from the finest.
        dilations: Dilation of each layer of the coarsest level.

    Raises:
        ValueError: If an argument is out of its range.

    Source: Ronneberger et al. 2015 (U-Net); the class-agnostic residual on scores after the RNN paper's equation 8.
    """

    architecture = "general"
    stride_px = STRIDE_PX

    def __init__(  # noqa: PLR0913, PLR0917 - the model's parameters
        self,
        classes: int,
        bands: int,
        iterations: int = 1,
        planes: Sequence[Sequence[float]] | None = None,
        forms: Sequence[Sequence[Sequence[float]]] | None = None,
        biases: Sequence[float] | None = None,
        widths: Sequence[int] = _WIDTHS,
        dilations: Sequence[int] = _DILATIONS,
    ) -> None:
        super().__init__()
        require("classes", classes, classes >= 2, "2 or more")
        require("bands", bands, bands >= 1, "1 or more")
        require("iterations", iterations, iterations == 1, "1: it refines at once")
        require("widths", widths, len(widths) == 3 and min(widths) >= 1, "three whole numbers of 1 or more")
        require("dilations", dilations, len(dilations) >= 1 and min(dilations) >= 1, "whole numbers of 1 or more")
        chosen = grey(bands) if planes is None else [[float(one) for one in plane] for plane in planes]
        right = len(chosen) == PLANES and all(len(plane) == bands + 1 for plane in chosen)
        require("planes", planes, right, f"{PLANES} planes of {bands} weights and a constant")
        alike = [[[0.0] * (2 * PLANES + 1)] * (2 * PLANES + 1)] * classes if forms is None else forms
        square = len(alike) == classes and {len(row) for form in alike for row in form} == {2 * PLANES + 1}
        require("forms", "another shape", square, f"{classes} square tables of {2 * PLANES + 1} rows")
        self.arguments: dict[str, Any] = {"classes": classes, "bands": bands, "iterations": iterations}
        self.arguments |= {"planes": chosen, "forms": alike, "widths": list(widths), "dilations": list(dilations)}
        self.arguments["biases"] = [0.0] * classes if biases is None else [float(one) for one in biases]
        own = self.arguments["biases"]
        require("biases", own, len(own) == classes, f"{classes} numbers")
        self.classes, self.bands, self.iterations = classes, bands, iterations
        self._planes, self._forms = chosen, alike
        # Three layers at the finest level, three in the middle; pooling reaches up to a pixel of the coarsest.
        reach = AROUND_PX + 3 + 2 * 3 + STRIDE_PX * sum(dilations) + STRIDE_PX - 1
        self.margin_px = self.radius_px = -(-reach // STRIDE_PX) * STRIDE_PX
        fine, middle, deep = widths
        self.on_planes = _layer(PLANES, fine)
        self.on_scores = _layer(3, fine)
        self.fine = _layer(fine, fine)
        self.middle = nn.ModuleList([_layer(fine, middle), _layer(middle, middle)])
        sizes = (middle, *(deep for _ in dilations))
        self.deep = nn.ModuleList(_layer(a, deep, each) for a, each in zip(sizes[:-1], dilations, strict=True))
        self.to_middle, self.back_middle = nn.Conv2d(deep, middle, 1), _layer(middle, middle)
        self.to_fine, self.back_fine = nn.Conv2d(middle, fine, 1), _layer(fine, fine)
        self.change = nn.Conv2d(fine, 1, 1)
        for weight in self.parameters():  # at first it changes nothing
            if weight.ndim == 4:
                nn.init.kaiming_uniform_(weight, nonlinearity="relu")
            else:
                nn.init.zeros_(weight)
        nn.init.zeros_(self.change.weight)

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        return [crop(scores, self.margin_px), self(scores, image)]

    def forward(self, scores: Tensor, image: Tensor) -> Tensor:
        """Return the refined scores, as the base class."""
        biases = torch.tensor(self.arguments["biases"], dtype=scores.dtype, device=scores.device)
        return crop(self.refined(scores, *self.seen(image)), self.margin_px) + biases[:, None, None]

    def leave_scores(self, biases: Sequence[float] | None = None) -> None:
        """Make it leave every map as it is: from now on biases, by default none, are all that is added to scores."""
        self.arguments["biases"] = [0.0] * self.classes if biases is None else [float(one) for one in biases]
        for weight in self.change.parameters():
            nn.init.zeros_(weight)

    def seen(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return planes and likeness (batch, class, row, col) of a scaled image."""
        planes = planes_of(image, self._planes)
        return planes, likeness(description(planes), self._forms)

    def refined(self, scores: Tensor, planes: Tensor, alike: Tensor) -> Tensor:
        """Return refined scores (batch, class, row, col) without biases; the margin depends on the padding."""
        batch, classes, height, width = scores.shape
        below, right = -height % STRIDE_PX, -width % STRIDE_PX
        if below or right:
            scores, planes, alike = (F.pad(one, (0, right, 0, below)) for one in (scores, planes, alike))
        known = torch.log_softmax(scores, dim=1)
        odds = [_odds(known, k).clamp(-_SURE, _SURE) for k in range(classes)]
        seen = []
        for k in range(classes):
            others = torch.stack([one for j, one in enumerate(odds) if j != k], dim=1).amax(1)
            seen.append(torch.stack([odds[k], others, alike[:, k]], dim=1))
        pairs = torch.stack(seen, dim=1).flatten(0, 1) / (_SURE / 2)
        on_planes = self.on_planes(planes)[:, None].expand(-1, classes, -1, -1, -1).flatten(0, 1)
        maps = torch.relu(on_planes + self.on_scores(pairs))
        change = self._change(maps).view(batch, classes, *scores.shape[2:])
        limited: Tensor = known.clamp(min=-2 * _SURE) + change
        return limited[..., :height, :width]

    def _change(self, maps: Tensor) -> Tensor:
        fine = torch.relu(self.fine(maps))
        middle = F.avg_pool2d(fine, 2)
        for layer in self.middle:
            middle = torch.relu(layer(middle))
        deep = F.avg_pool2d(middle, 2)
        for layer in self.deep:
            deep = torch.relu(layer(deep))
        middle = torch.relu(self.back_middle(middle + _enlarged(self.to_middle(deep))))
        fine = torch.relu(self.back_fine(fine + _enlarged(self.to_fine(middle))))
        change: Tensor = self.change(fine)
        return change


def grey(bands: int) -> list[list[float]]:
    """Return the planes of an image whose colours are not known: the mean of its bands, and nothing else."""
    return [[1.0 / bands] * bands + [0.0], *([[0.0] * (bands + 1)] * (PLANES - 1))]


def _layer(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


def _enlarged(maps: Tensor) -> Tensor:
    return F.interpolate(maps, scale_factor=2.0, mode="nearest")


def _odds(known: Tensor, k: int) -> Tensor:
    """Return the log-odds (batch, row, col) of a class from log probabilities."""
    others = torch.cat([known[:, :k], known[:, k + 1 :]], dim=1)
    odds: Tensor = known[:, k] - others.logsumexp(1)
    return odds
