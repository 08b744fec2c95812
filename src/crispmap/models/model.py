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
    """A network and what is needed to use it."""

    network: NetworkT_co  # the coarse network or refiner, in evaluation mode, on the CPU when loaded
    card: ModelCard

    @property
    def classes(self) -> ClassSchema:
        """The classes of its scores, in order."""
        return self.card.schema

    @property
    def scaling(self) -> Scaling:
        """The constants from raw values to the network's input."""
        return self.card.scaling


CoarseModel = Model[CoarseNetwork]
RefinerModel = Model[Refiner]
