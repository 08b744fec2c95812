"""A model: a network or refiner together with its card."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, Self, TypeAlias, TypeVar

from crispmap.classes import ClassSchema
from crispmap.files.notebook import html_table
from crispmap.models.card import ModelCard
from crispmap.models.scaling import Scaling

if TYPE_CHECKING:
    from crispmap.models.base import CoarseNetwork, Refiner

NetworkT_co = TypeVar("NetworkT_co", "CoarseNetwork", "Refiner", covariant=True)


@dataclass(frozen=True, repr=False)
class Model(Generic[NetworkT_co]):
    """A network and what is needed to use it."""

    # the coarse network or refiner, in evaluation mode, on the CPU when loaded; for maps it may be a LazyNetwork
    network: NetworkT_co
    card: ModelCard

    def __repr__(self) -> str:
        return f"Model({', '.join(f'{name}: {value}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        return html_table("crispmap model", self._facts().items())

    def _facts(self) -> dict[str, str]:
        """Return what a person wants to know of it first."""
        card = self.card
        radius = "unbounded" if card.radius_px is None else f"{card.radius_px} px"
        weights = sum(value.numel() for value in self.network.parameters())
        return {
            "kind": card.kind,
            "architecture": card.architecture,
            "classes": ", ".join(card.schema.names),
            "bands": ", ".join(card.band_names),
            "ground sampling distance": f"{card.gsd_m:g} m",
            "influence radius": radius,
            "weights": f"{weights:,}",
        }

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return "refiner" if self.card.kind == "refiner" else "coarse network"

    def working_at(self, gsd_m: float) -> Self:
        """Return the model as if it had been trained at another pixel size."""
        return replace(self, card=replace(self.card, gsd_m=gsd_m))

    @property
    def classes(self) -> ClassSchema:
        """The classes of its scores, in order."""
        return self.card.schema

    @property
    def scaling(self) -> Scaling:
        """The constants from raw values to the network's input."""
        return self.card.scaling


CoarseModel: TypeAlias = Model["CoarseNetwork"]
RefinerModel: TypeAlias = Model["Refiner"]
