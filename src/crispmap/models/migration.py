"""Model files of older formats, brought to what this version reads.

Format 2 (2026-11): a refiner's ``steps`` are its ``iterations``; a support vector machine's ``centre`` and ``spread``
are its ``mean`` and ``scale``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

V = TypeVar("V")
_WEIGHTS_OF_FORMAT_1 = {"centre": "mean", "spread": "scale"}


def migrated_card(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a card of any older format as those of this one."""
    facts = dict(facts)
    if facts["format"] == 1:
        arguments = dict(facts["arguments"])
        if facts["kind"] == "refiner" and "steps" in arguments:
            arguments["iterations"] = arguments.pop("steps")
        facts |= {"format": 2, "arguments": arguments}
    return facts


def migrated_weights(weights: Mapping[str, V]) -> dict[str, V]:
    """Return weights under the names of this format, whatever format they are of."""
    return {_WEIGHTS_OF_FORMAT_1.get(name, name): value for name, value in weights.items()}
