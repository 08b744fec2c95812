"""Facts about a model file, from its header alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crispmap.models.card import CARD_KEY, ModelCard, card_in, opened_model


@dataclass(frozen=True)
class ModelFacts:
    """Facts about a model file."""

    path: Path  # the file
    weights: int  # how many numbers it holds
    card: ModelCard | None  # its model card; None in a file of another tool
    metadata: dict[str, str]  # what the file says of itself, the card included

    @property
    def kind(self) -> str:
        """What kind of model it is."""
        return "model" if self.card is None else f"{self.card.kind} model"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, the kind first."""
        facts: dict[str, Any] = {"kind": self.kind, "path": self.path, "weights": self.weights}
        if self.card is None:
            return facts | {"card": None, "metadata": self.metadata}
        card = self.card
        return facts | {
            "architecture": card.architecture,
            "arguments": card.arguments,
            "gsd_m": card.gsd_m,
            "radius_px": card.radius_px,
            "stride_px": card.stride_px,
            "classes": card.schema.legend(),
            "bands": [
                {"name": name, "offset": offset, "scale": scale}
                for name, offset, scale in zip(card.band_names, card.scaling.offset, card.scaling.scale, strict=True)
            ],
            "provenance": card.provenance,
        }


def describe_model(path: str | Path) -> ModelFacts:
    """Return the facts about a model file of any tool.

    Raises:
        ModelError: If it is missing, truncated, of another kind, or its card is damaged or of a newer format.
    """
    path = Path(path)
    with opened_model(path, "numpy") as file:
        metadata = file.metadata() or {}
        sizes = [math.prod(file.get_slice(name).get_shape()) for name in file.keys()]  # noqa: SIM118 - no mapping
    card = card_in(metadata, path) if CARD_KEY in metadata else None
    return ModelFacts(path, sum(sizes), card, metadata)
