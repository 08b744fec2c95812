"""Coarse network and refiner as one, from the raw pixels of a whole image: what may be exported, and how it tiles."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from crispmap.errors import InputError, ModelError
from crispmap.inference.blend import OVERLAP_PX
from crispmap.inference.scores import ScoreModels
from crispmap.models.card import ModelCard
from crispmap.models.model import CoarseModel, RefinerModel
from crispmap.models.registry import architectures

if TYPE_CHECKING:
    from crispmap.inference.modules import WholeModule

_SAME = 0.01  # by how much a ratio of pixel sizes may differ from a whole number


class WholeNetwork:
    """A coarse network and, where it is given, a refiner at the same pixel size or at a whole fraction of it.

    Attributes:
        score_models: Both, as maps are made with them.
        coarse: The coarse network.
        refiner: The refiner, if there is one.

    Raises:
        ModelError: If they know other classes or bands.
        InputError: If no graph can hold them: of pixel sizes without a whole ratio.
    """

    def __init__(self, models: ScoreModels) -> None:
        if models.coarse is None:
            raise ValueError("there is no coarse network")
        self.score_models, self.coarse, self.refiner = models, models.coarse, models.refiner
        if self.refiner is not None:
            self._check(self.coarse.card, self.refiner.card)

    def _check(self, ours: ModelCard, theirs: ModelCard) -> None:
        if (ours.schema.names, ours.band_names) != (theirs.schema.names, theirs.band_names):
            raise ModelError(
                f"The network has the classes {', '.join(ours.schema.names)} and the bands "
                f"{', '.join(ours.band_names)}; the refiner has {', '.join(theirs.schema.names)} and "
                f"{', '.join(theirs.band_names)}.",
                expected="a refiner of the same classes and bands in the same order",
            )
        if abs(ours.gsd_m / theirs.gsd_m / max(1, self.ratio) - 1) > _SAME:
            raise InputError(
                f"The network works at {ours.gsd_m:g} m and the refiner at {theirs.gsd_m:g} m: one graph cannot hold "
                "both.",
                expected="one pixel size, or the network's a whole multiple of the refiner's",
                remedy="let both work at one with gsd_m=, or leave out refiner=",
            )

    @property
    def models(self) -> list[CoarseModel | RefinerModel]:
        """Both, in the order they work."""
        return self.score_models.all

    @property
    def card(self) -> ModelCard:
        """The card of the last of them, whose pixel size the input has."""
        return self.models[-1].card

    @property
    def ratio(self) -> int:
        """How many pixels of the input a pixel of the coarse network is wide."""
        return round(self.coarse.card.gsd_m / self.card.gsd_m)

    @property
    def stride_px(self) -> int:
        """What origins of windows are multiples of, for their probabilities to be those of the whole."""
        own = 1 if self.refiner is None else int(self.refiner.network.stride_px)
        return math.lcm(self.coarse.network.stride_px * self.ratio, own)

    @property
    def side_px(self) -> int:
        """What sides of an input are multiples of: 1, the ratio, or the side of the squares of a classifier."""
        return self.ratio if self.coarse.network.squares is None else self.stride_px

    @property
    def context_px(self) -> int:
        """How far from the border of an input probabilities may differ from those of the scene that it is cut of.

        Where a network depends on the whole input, it is the overlap by which maps are blended.
        """
        if self.score_models.blended:
            return OVERLAP_PX
        reach = 0 if self.refiner is None else self.refiner.network.margin_px
        between = 1 if self.ratio > 1 else 0  # what lies between two pixels of the network depends on both
        return reach + (self.coarse.network.halo_px + between) * self.ratio

    def module(self) -> WholeModule:
        """Return the module that computes it."""
        from crispmap.inference.modules import WholeModule

        return WholeModule(self)


def check_exportable(card: ModelCard) -> None:
    """Raise InputError where a model is no network of layers, which other runtimes do not take."""
    known = architectures().get(card.architecture)
    if known is not None and known.learner not in ("gradient", None):
        rest = "a network without it" if card.kind == "refiner" else "a network such as unet-lite0"
        raise InputError(
            f"A model of the kind {card.architecture} cannot be exported: it is no network of layers.",
            expected=f"{rest}, or a refiner that learns, such as rnn",
            remedy="train such a model; map with this one by crispmap predict",
        )
