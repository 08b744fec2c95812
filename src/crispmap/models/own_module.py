"""A torch module of one's own as a coarse network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crispmap.classes import ClassSchema
from crispmap.errors import ModelError, number_of
from crispmap.models.base import CoarseNetwork
from crispmap.models.card import ModelCard
from crispmap.models.model import CoarseModel, Model
from crispmap.models.scaling import Scaling

ARCHITECTURE = "own-module"
_TRIES = 3


class OwnModule(CoarseNetwork):
    """A coarse network that is any module from an image (batch, band, row, col) to scores (batch, class, row, col).

    The module may pad, so that scores have the image's height and width, or leave out the same margin on every side.

    Args:
        module: The module, in evaluation mode from now on.
        bands: Bands it takes.
        classes: Score maps it gives.
        radius_px: Its influence radius; None if unbounded.
        stride_px: Height and width of what it takes are multiples of it.

    Raises:
        ModelError: If scores have another shape, or a pixel further away than the radius changes them.
    """

    architecture = ARCHITECTURE

    def __init__(self, module: nn.Module, *, bands: int, classes: int, radius_px: int | None, stride_px: int) -> None:
        super().__init__()
        self.module = module.eval()
        self.arguments = {}
        self.bands, self.classes, self.stride_px, self.radius_px = bands, classes, stride_px, radius_px
        self.train_margin_px = self._margin()
        reach = self.train_margin_px if radius_px is None else max(radius_px, self.train_margin_px)
        step = math.ceil((reach - self.train_margin_px) / stride_px) * stride_px
        self.halo_px = self.train_margin_px + step
        if radius_px is not None:
            self._check_radius(radius_px)

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - as the base class
        scores: Tensor = self.module(image)
        return scores

    def _margin(self) -> int:
        """Return by how much scores are smaller than the image on every side."""
        side = max(256, 2 * (self.radius_px or 0) + 64)
        side = math.ceil(side / self.stride_px) * self.stride_px
        with torch.inference_mode():
            try:
                scores = self.module(torch.zeros(1, self.bands, side, side))
            except (RuntimeError, ValueError, TypeError) as error:
                raise ModelError(
                    f"The module does not take an image of shape (1, {self.bands}, {side}, {side}): {error}",
                    expected=f"a module that takes {number_of(self.bands, 'band')}, on the CPU, in float32",
                    remedy="correct the number of bands, or the stride",
                ) from error
        shape = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        margin, odd = divmod(side - scores.shape[-1], 2) if isinstance(scores, Tensor) and scores.ndim == 4 else (-1, 0)
        if odd or margin < 0 or shape != (1, self.classes, side - 2 * margin, side - 2 * margin):
            raise ModelError(
                f"The module gives {shape} for an image of shape (1, {self.bands}, {side}, {side}).",
                expected=f"scores (1, {self.classes}, row, col) on the image's pixels, or without an even margin",
                remedy="wrap the module so that it returns a tensor of logits, one map a class",
            )
        return margin

    def _check_radius(self, radius_px: int) -> None:
        """Change single pixels and see how far the scores change."""
        around = radius_px + self.halo_px + 3 * self.stride_px
        side = 2 * math.ceil(around / self.stride_px) * self.stride_px
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(1, self.bands, side, side, generator=generator)
        module = self.for_inference()
        with torch.inference_mode():
            before = module(image)
            if not torch.isfinite(before).all():
                raise ModelError(
                    "The module gives scores that are no numbers.", expected="finite scores for random input"
                )
            for index in range(_TRIES):
                place = side // 2 + index * max(1, self.stride_px // _TRIES)
                touched = image.clone()
                touched[..., place, place] += 10
                changed = (module(touched) != before).any(dim=1)[0].nonzero() + self.halo_px
                reach = int((changed - place).abs().max()) if len(changed) else 0
                if reach > radius_px:
                    raise ModelError(
                        f"radius_px is {radius_px}, but a pixel {number_of(reach, 'pixel')} away changes "
                        f"the module's scores.",
                        expected="a radius as far as any pixel can change a score",
                        remedy=f"give radius_px={reach} or more, or None for a module that sees the whole image",
                    )


def coarse_model(  # noqa: PLR0913 - what a card says
    module: nn.Module,
    *,
    classes: ClassSchema,
    bands: Sequence[str],
    gsd_m: float,
    radius_px: int | None,
    scaling: Scaling | None = None,
    stride_px: int = 1,
) -> CoarseModel:
    """Return a module of one's own with its card, ready to map with, to refine, or to be compared.

    Args:
        module: Any module from images to logits; see ``OwnModule``.
        classes: The classes of its scores, in order.
        bands: Names of the bands it takes, in order.
        gsd_m: Ground sampling distance it works at, in metres.
        radius_px: How far an input pixel can change a score, in pixels; None where there is no bound.
        scaling: What turns raw values into what it takes; None: raw values.
        stride_px: Height and width of what it takes are multiples of it.

    Raises:
        ModelError: If the module's scores do not fit, or it sees further than the radius.
    """
    for name, value, fits in (
        ("module", type(module).__name__, isinstance(module, nn.Module)),
        ("classes", classes, isinstance(classes, ClassSchema)),
        ("bands", bands, isinstance(bands, list | tuple)),
        ("gsd_m", gsd_m, isinstance(gsd_m, float | int)),
        ("radius_px", radius_px, radius_px is None or (isinstance(radius_px, int) and radius_px >= 0)),
        ("stride_px", stride_px, isinstance(stride_px, int) and stride_px >= 1),
        ("scaling", scaling, scaling is None or isinstance(scaling, Scaling)),
    ):
        if not fits:
            raise ModelError(f"{name} is {value!r}.", expected="see help(crispmap.coarse_model)")
    network = OwnModule(module, bands=len(bands), classes=len(classes), radius_px=radius_px, stride_px=stride_px)
    scaling = scaling or Scaling((0.0,) * len(bands), (1.0,) * len(bands))
    card = ModelCard("coarse", ARCHITECTURE, {}, classes, tuple(bands), scaling, gsd_m, radius_px, stride_px)
    return Model(network, card)
