"""The shipped refiner: weights that serve any classes and bands, made into a refiner for given ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from crispmap.errors import ModelError
from crispmap.models.card import model_hash
from crispmap.models.file import load_model
from crispmap.refiners.general.network import GeneralRefiner

SHIPPED = Path(__file__).with_name("general.safetensors")
"""The weights; ``make refiner`` makes them."""


def shipped_network(
    classes: int,
    bands: int,
    planes: Sequence[Sequence[float]],
    forms: Sequence[Sequence[Sequence[float]]] | None = None,
) -> GeneralRefiner:
    """Return the shipped refiner for so many classes and bands, in evaluation mode; see ``GeneralRefiner``.

    Raises:
        ModelError: If the package lacks its weights.
    """
    shipped = _shipped()
    own = {"classes": classes, "bands": bands, "planes": planes, "forms": forms, "biases": None}
    network = GeneralRefiner(**shipped.arguments | own)
    network.load_state_dict(shipped.state_dict())
    return network.eval()


def shipped_facts() -> Mapping[str, Any]:
    """Return what cards of refiners made of it have about it."""
    return {"shipped_sha256": model_hash(SHIPPED)}


@cache
def _shipped() -> GeneralRefiner:
    if not SHIPPED.is_file():
        raise ModelError(
            f"{SHIPPED.name} is not in the package.", expected="a complete installation",
            remedy="install crispmap again, or make the file with make refiner",
        )  # fmt: skip
    network = load_model(SHIPPED, "refiner").network
    if not isinstance(network, GeneralRefiner):
        raise ModelError(f"{SHIPPED.name} holds {network.architecture}.", expected=GeneralRefiner.architecture)
    return network
