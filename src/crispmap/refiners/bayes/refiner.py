"""Empirical-Bayes smoothing of class probabilities, as INPE's program sits does it.

The log-odds x of a class at a pixel are a measurement with variance sigma^2 of a quantity whose prior is normal, with
the mean m and the variance s^2 that the log-odds of the class have in the window around the pixel. The posterior mean

    x' = s^2 / (s^2 + sigma^2) x + sigma^2 / (s^2 + sigma^2) m

replaces x: where log-odds agree, a pixel that does not gives way to them; where they vary, as at borders, it stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from crispmap.models.base import crop
from crispmap.refiners.hand_written import FitPlan, HandWrittenRefiner, Range, require

LARGEST_WINDOW_PX = 99  # time and memory grow with its square
_LARGEST_LOG_ODDS = math.log(0.9999 / 0.0001)  # sits reads probabilities as 0.0001 to 0.9999

RANGES = {
    "window_px": Range(9, 3, 25, odd=True),
    "smoothness": Range(20.0, 0.1, 10_000.0),
    "neigh_fraction": Range(0.5, 0.125, 1.0),
}
"""Search ranges, first the number that decides most; the starts are sits' own numbers."""


class BayesRefiner(HandWrittenRefiner):
    """The empirical-Bayes smoothing of Camara et al.: every class by itself, regardless of the image.

    The new scores are logarithms of the smoothed probabilities, which softmax makes sum to 1, as their arg max is that
    of x'. Log-odds are taken within ±ln 9999, so that the variance of a window is not that of a few certain pixels.

    Args:
        iterations: How often it is done, 1 or more (the paper: 1).
        smoothness: sigma^2, above 0: one number for all classes, or one for each.
        window_px: Side of the window, an odd number of 3 to ``LARGEST_WINDOW_PX``; the pixel itself is part of it.
        neigh_fraction: Share, above 0, at most 1, of the window's pixels that mean and variance are of: those with the
            highest log-odds, at least 2. Below 1 a class holds its ground at its borders.
        biases: A bias for each class, added to the scores before the first step; none by default.

    Raises:
        ValueError: If an argument is out of its range.

    Source: "Bayesian Inference for Post-Processing of Remote-Sensing Image Classification", Remote Sensing 16 (23),
    4572, 2024; the variance has n - 1 below the line, as in the authors' program.
    """

    architecture = "bayes"
    fit_plan = FitPlan(RANGES, tries=30, tile_px=256)

    def __init__(  # noqa: PLR0913 - the model's parameters
        self,
        classes: int,
        bands: int,
        iterations: int = 1,
        *,
        smoothness: float | Sequence[float] = 20.0,
        window_px: int = 9,
        neigh_fraction: float = 0.5,
        biases: Sequence[float] | None = None,
    ) -> None:
        given = smoothness if isinstance(smoothness, (int, float)) else [float(one) for one in smoothness]
        parameters = {"smoothness": given, "window_px": window_px, "neigh_fraction": neigh_fraction}
        super().__init__(classes, bands, iterations, biases, parameters)
        self.smoothness = [float(given)] * classes if isinstance(given, (int, float)) else given
        expected = f"a finite number above 0, or {classes}, one for each class"
        require("smoothness", given, len(self.smoothness) == classes, expected)
        require("smoothness", given, all(0 < one < math.inf for one in self.smoothness), expected)
        odd = 3 <= window_px <= LARGEST_WINDOW_PX and window_px % 2 == 1
        require("window_px", window_px, odd, f"an odd whole number of 3 to {LARGEST_WINDOW_PX}")
        self.window_px = int(window_px)
        least = f"a share above 0, at most 1, of the {self.window_px**2} pixels at least 2"
        require("neigh_fraction", neigh_fraction, 1 / self.window_px**2 < neigh_fraction <= 1, least)
        self._used = math.ceil(neigh_fraction * self.window_px**2)
        self.margin_px = self.radius_px = iterations * (self.window_px // 2)

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        results, u = [scores], self.biased(scores)
        for _ in range(self.iterations):
            u = self._smoothed(u)
            results.append(u)
        return [crop(one, self.margin_px - index * (self.window_px // 2)) for index, one in enumerate(results)]

    def _smoothed(self, scores: Tensor) -> Tensor:
        """Return scores smoothed once, without half a window on every side."""
        smoothed = []
        for class_id, sigma2 in enumerate(self.smoothness):
            odds = _log_odds(scores, class_id)
            around = odds.unfold(1, self.window_px, 1).unfold(2, self.window_px, 1).flatten(3)
            if self._used < around.shape[-1]:
                around = around.topk(self._used, sorted=False).values
            s2, m = torch.var_mean(around, dim=-1)
            share = s2 / (s2 + sigma2)
            smoothed.append(share * crop(odds, self.window_px // 2) + (1 - share) * m)
        return F.logsigmoid(torch.stack(smoothed, dim=1))


def _log_odds(scores: Tensor, class_id: int) -> Tensor:
    """Return the log-odds (batch, row, col) of a class's probability."""
    others = torch.cat([scores[:, :class_id], scores[:, class_id + 1 :]], dim=1)
    return (scores[:, class_id] - others.logsumexp(1)).clamp(-_LARGEST_LOG_ODDS, _LARGEST_LOG_ODDS)
