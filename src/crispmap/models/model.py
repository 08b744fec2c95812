"""A model: a network or refiner together with its card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from crispmap.classes import ClassSchema
from crispmap.models.base import CoarseNetwork, Refiner
from crispmap.models.card import ModelCard
from crispmap.models.scaling import Scaling

NetworkT_co = TypeVar("NetworkT_co", CoarseNetwork, Refiner, covariant=True)


@dataclass(frozen=True)
class Model(Generic[NetworkT_co]):
    """A network that can be used, and what is needed to use it.

    Attributes:
        network: The coarse network or refiner, in evaluation mode, on the CPU when loaded.
        card: What it expects and where it comes from.
    """

    network: NetworkT_co
    card: ModelCard

    @property
    def classes(self) -> ClassSchema:
        """The classes of its scores, in order."""
        return self.card.schema

    @property
    def scaling(self) -> Scaling:
        """What turns raw values into what the network sees."""
        return self.card.scaling


CoarseModel = Model[CoarseNetwork]
RefinerModel = Model[Refiner]
