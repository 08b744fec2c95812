"""What refiners written by hand have in common: a few numbers instead of learned weights, and class biases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from crispmap.refine.base import Refiner


class HandWrittenRefiner(Refiner):
    """A refiner whose rule is written by hand; its card's arguments are all there is to it, its file has no weights.

    Attributes:
        biases: A number a class, added to the scores before the first step. The scores after 0 steps lack them.

    Args:
        classes: Classes, 2 or more.
        bands: Bands of the image, 1 or more.
        steps: Steps, 1 or more.
        biases: Finite numbers, one a class, or None for zeros.
        parameters: The rule's other arguments, kept for the card.

    Raises:
        ValueError: If an argument is out of its range.
    """

    torch_only = True

    def __init__(
        self, classes: int, bands: int, steps: int, biases: Sequence[float] | None, parameters: dict[str, Any]
    ) -> None:
        super().__init__()
        for name, value, least in (("classes", classes, 2), ("bands", bands, 1), ("steps", steps, 1)):
            require(name, value, value >= least and int(value) == value, f"a whole number of {least} or more")
        given = [0.0] * classes if biases is None else [float(bias) for bias in biases]
        require("biases", given, len(given) == classes, f"{classes} numbers, one a class")
        require("biases", given, all(math.isfinite(bias) for bias in given), "finite numbers")
        self.classes, self.bands, self.steps, self.biases = classes, bands, steps, given
        self.arguments = {"classes": classes, "bands": bands, "steps": steps, "biases": given, **parameters}

    def but(self, **changes: Any) -> Self:
        """Return the same refiner with some of its arguments changed.

        Raises:
            ValueError: If an argument is out of its range.
        """
        return type(self)(**{**self.arguments, **changes})

    def biased(self, scores: Tensor) -> Tensor:
        """Return the scores (batch, class, row, col) plus the biases."""
        biases = torch.tensor(self.biases, dtype=scores.dtype, device=scores.device)
        return scores + biases[:, None, None]


def require(name: str, value: object, holds: bool, expected: str) -> None:
    """Raise unless an argument is as expected.

    Raises:
        ValueError: If it is not.
    """
    if not holds:
        raise ValueError(f"{name} is {value}; expected: {expected}")
