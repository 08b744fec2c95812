"""The fully connected conditional random field with Gaussian edge potentials, by mean field, as a refiner.

    Q_t(k) ~ exp(u_0(k) + w_1 sum_q a(p, q) Q_{t-1}(q, k) + w_2 sum_q s(p, q) Q_{t-1}(q, k)),    q other than p

with the appearance kernel a = exp(-|dp|^2 / 2 theta_alpha^2 - |dI|^2 / 2 theta_beta^2) and the smoothness kernel
s = exp(-|dp|^2 / 2 theta_gamma^2), both normalised symmetrically. With Potts compatibility a pixel is penalised for
other classes than its neighbours'; as beliefs sum to 1, that equals attraction to theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from types import EllipsisType
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from crispmap.models.base import crop
from crispmap.refiners.hand_written import FitPlan, HandWrittenRefiner, Range, require

WINDOW_SIGMAS = 3  # reach of the appearance kernel in theta_alpha
LARGEST_THETA_PX = 50.0  # of theta_alpha and theta_gamma: the margin grows with it, time with its square
_KEPT_BYTES = 1 << 28  # pair weights kept between iterations; the others are computed again each time


RANGES = {
    "appearance": Range(20.0, 0.05, 1000.0),
    "theta_beta": Range(0.5, 0.03, 10.0),
    "theta_alpha_px": Range(5.0, 1.0, 8.0),
    "smoothness": Range(1.0, 0.05, 1000.0),
    "theta_gamma_px": Range(1.5, 0.5, 6.0),
}
"""Search ranges; that of theta_alpha is low and narrow, as time grows with its square."""


class CrfRefiner(HandWrittenRefiner):
    """The dense CRF of Krähenbühl and Koltun: nearby pixels, in particular of similar colours, should agree.

    After step t the scores are logits of the mean field Q_t, on the scale of the input: weights of 0 leave it
    unchanged. Every step reads all pixels of its input, so pixels beyond the margin have some influence too:
    ``radius_px`` is None, and a map made of tiles depends on the tiles.

    Pairs further apart than ``WINDOW_SIGMAS`` theta_alpha are left out of the appearance kernel: each weighs less than
    exp(-4.5) = 1.1 % of a pair at the pixel itself, and all of them together, for equal colours, 1.1 % of the whole
    sum. The smoothness kernel is complete. Beyond the border of the input there are no pairs, also in the
    normalisation.

    Normalisation follows the authors' program, n(p)^-1/2 a(p, q) n(q)^-1/2 with n(p) the sum of a(p, q) over all q, p
    included; it keeps the pair energies symmetric. A pixel sends no message to itself, as in the paper's algorithm 1.

    Args:
        iterations: Mean-field iterations, 1 or more (the papers: 5).
        appearance: w_1, 0 or more.
        theta_alpha_px: Reach of the appearance kernel in pixels, above 0, at most ``LARGEST_THETA_PX``.
        theta_beta: Colour difference that separates, above 0, in units of the scaled image (Euclidean, all bands).
        smoothness: w_2, 0 or more.
        theta_gamma_px: Reach of the smoothness kernel in pixels, above 0, at most ``LARGEST_THETA_PX``.
        biases: A bias for each class, added to the scores before the first step; none by default.

    Raises:
        ValueError: If an argument is out of its range.

    Source: "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials", NIPS 2011.
    """

    architecture = "crf"
    fit_plan = FitPlan(RANGES, tries=30, tile_px=192)

    def __init__(  # noqa: PLR0913 - the model's parameters
        self,
        classes: int,
        bands: int,
        iterations: int = 5,
        *,
        appearance: float = 5.0,
        theta_alpha_px: float = 8.0,
        theta_beta: float = 0.5,
        smoothness: float = 1.0,
        theta_gamma_px: float = 1.5,
        biases: Sequence[float] | None = None,
    ) -> None:
        parameters = {"appearance": appearance, "theta_alpha_px": theta_alpha_px, "theta_beta": theta_beta}
        parameters |= {"smoothness": smoothness, "theta_gamma_px": theta_gamma_px}
        super().__init__(classes, bands, iterations, biases, parameters)
        for name, weight in (("appearance", appearance), ("smoothness", smoothness)):
            require(name, weight, 0 <= weight < math.inf, "a finite number of 0 or more")
        require("theta_beta", theta_beta, 0 < theta_beta < math.inf, "a finite number above 0")
        for name, theta in (("theta_alpha_px", theta_alpha_px), ("theta_gamma_px", theta_gamma_px)):
            require(name, theta, 0 < theta <= LARGEST_THETA_PX, f"a number above 0, at most {LARGEST_THETA_PX:g}")
        self.appearance, self.smoothness = appearance, smoothness
        self.theta_alpha_px, self.theta_beta, self.theta_gamma_px = theta_alpha_px, theta_beta, theta_gamma_px
        reach = [theta for weight, theta in ((appearance, theta_alpha_px), (smoothness, theta_gamma_px)) if weight > 0]
        self.margin_px = math.ceil(WINDOW_SIGMAS * max(reach, default=0.0))
        self.radius_px = None

    def all_iterations(self, scores: Tensor, image: Tensor) -> list[Tensor]:  # noqa: D102 - as the base class
        start = self.biased(scores)
        kernels: list[tuple[float, AppearanceKernel | SmoothnessKernel]] = []
        if self.appearance > 0:
            kernels.append((self.appearance, AppearanceKernel(image, self.theta_alpha_px, self.theta_beta)))
        if self.smoothness > 0:
            kernels.append((self.smoothness, SmoothnessKernel(image, self.theta_gamma_px)))
        u, results = start, [scores]
        for _ in range(self.iterations):
            belief = torch.softmax(u, dim=1)
            u = start
            for weight, kernel in kernels:
                u = u + weight * kernel.messages(belief)
            results.append(u)
        return [crop(one, self.margin_px) for one in results]


class _NormalisedKernel:
    """A kernel over pairs of pixels with symmetrically normalised messages; subclasses compute the plain sums."""

    _root: Tensor

    def sums(self, values: Tensor) -> Tensor:
        """Return at every pixel p the sum over all other pixels q of kernel(p, q) values(q)."""
        raise NotImplementedError

    def normalise(self, image: Tensor) -> None:
        """Compute n(p), p itself included with weight 1, for the pixels of an image."""
        self._root = torch.rsqrt(1 + self.sums(torch.ones_like(image[:, :1])))

    def messages(self, belief: Tensor) -> Tensor:
        """Return the messages to every pixel from the others, (batch, class, row, col)."""
        return self.sums(belief * self._root) * self._root


class SmoothnessKernel(_NormalisedKernel):
    """exp(-|dp|^2 / 2 theta^2) over all pairs: as it is a product over rows and columns, two matrix products."""

    def __init__(self, image: Tensor, theta_px: float) -> None:
        self._rows, self._cols = (_gaussian_matrix(length, theta_px, image) for length in image.shape[-2:])
        self.normalise(image)

    def sums(self, values: Tensor) -> Tensor:  # noqa: D102 - as the base class
        return self._rows @ values @ self._cols - values


class AppearanceKernel(_NormalisedKernel):
    """exp(-|dp|^2 / 2 theta_alpha^2 - |dI|^2 / 2 theta_beta^2) over the pairs within the window.

    Time grows with pixels times theta_alpha squared, and little with bands.
    """

    def __init__(self, image: Tensor, theta_alpha_px: float, theta_beta: float) -> None:
        self._theta_px = theta_alpha_px
        self._colours = image / (theta_beta * math.sqrt(2))
        offsets = list(self._offsets())
        count = _KEPT_BYTES // (image[:, :1].numel() * image.element_size())
        self._kept = list(self._pairs(offsets[:count]))
        self._others = offsets[count:]
        self.normalise(image)

    def sums(self, values: Tensor) -> Tensor:  # noqa: D102 - as the base class
        total = torch.zeros_like(values)
        for one, other, weights in chain(self._kept, self._pairs(self._others)):
            total[one].addcmul_(weights, values[other])
            total[other].addcmul_(weights, values[one])
        return total

    def _offsets(self) -> Iterator[tuple[int, int]]:
        """Yield one (rows, cols) of each two opposite offsets of the window that fit into the image."""
        height, width = self._colours.shape[-2:]
        reach = math.ceil(WINDOW_SIGMAS * self._theta_px)
        for down in range(min(reach, height - 1) + 1):
            for right in range(-min(reach, width - 1), min(reach, width - 1) + 1):
                near = math.hypot(down, right) <= WINDOW_SIGMAS * self._theta_px
                if near and (down, right) > (0, 0):
                    yield down, right

    def _pairs(self, offsets: Iterable[tuple[int, int]]) -> Iterator[_Pairs]:
        height, width = self._colours.shape[-2:]
        for down, right in offsets:
            left_part = slice(max(0, -right), width - max(0, right))
            right_part = slice(max(0, right), width + min(0, right))
            one, other = (..., slice(0, height - down), left_part), (..., slice(down, height), right_part)
            distance = (self._colours[one] - self._colours[other]).square_().sum(1, keepdim=True)
            apart = (down * down + right * right) / (2 * self._theta_px**2)
            yield _Pairs(one, other, distance.add_(apart).neg_().exp_())


_Index: TypeAlias = tuple[EllipsisType, slice, slice]


class _Pairs(NamedTuple):
    """The pairs of pixels at one offset."""

    one: _Index  # index of the first pixels of the pairs, in maps (batch, map, row, col)
    other: _Index  # index of the second ones
    weights: Tensor  # (batch, 1, row, col) kernel values


def _gaussian_matrix(length: int, theta_px: float, like: Tensor) -> Tensor:
    """Return exp(-(i - j)^2 / 2 theta^2), (length, length)."""
    place = torch.arange(length, dtype=like.dtype, device=like.device) / theta_px
    return torch.exp(-(place[:, None] - place[None, :]).square() / 2)
