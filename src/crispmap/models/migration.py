"""The migration of model files of older formats.

Format 2 (2026-11): a refiner's ``steps`` are its ``iterations``; an SVM classifier's ``centre`` and ``spread`` are its
``mean`` and ``scale``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

V = TypeVar("V")
_WEIGHTS_OF_FORMAT_1 = {"centre": "mean", "spread": "scale"}


def migrated_card(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a card of any older format in this one."""
    facts = dict(facts)
    arguments = facts.get("arguments")
    if facts["format"] == 1 and facts.get("kind") == "refiner" and isinstance(arguments, dict) and "steps" in arguments:
        facts["arguments"] = {"iterations" if name == "steps" else name: value for name, value in arguments.items()}
    return {**facts, "format": 2}


def migrated_weights(weights: Mapping[str, V]) -> dict[str, V]:
    """Return weights of any format under the names of this one."""
    return {_WEIGHTS_OF_FORMAT_1.get(name, name): value for name, value in weights.items()}
