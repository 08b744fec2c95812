"""The base of hand-written refiners: a few parameters instead of trained weights, and class biases."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from crispmap.models.base import Refiner


@dataclass(frozen=True)
class Range:
    """The search range of a parameter."""

    start: float  # where the search starts
    low: float  # least value, above 0
    high: float  # largest value
    odd: bool = False  # whether it takes odd whole numbers only; then all three are such

    def moved(self, value: float, factor: float) -> float:
        """Return the value times the factor, clipped to the range, as the nearest value it takes."""
        moved = min(self.high, max(self.low, value * factor))
        return 2 * round((moved - 1) / 2) + 1 if self.odd else moved


@dataclass(frozen=True)
class FitPlan:
    """How the parameters of a hand-written refiner are fitted."""

    ranges: Mapping[str, Range]  # where each is looked for, in the order they are changed
    tries: int  # most points tried
    tile_px: int  # side of the tiles that are tried on
    run: Mapping[str, int] = field(default_factory=dict)  # arguments of every try besides
    reads_iterations: bool = False  # whether the best number of iterations is read off the run of each try


class HandWrittenRefiner(Refiner):
    """A refiner with a hand-written rule; the arguments in its card are everything, its file has no weights.

    Attributes:
        fit_plan: How its parameters are fitted.
        biases: A bias for each class, added to the scores before the first iteration; the scores after 0 iterations are
            without them.

    Args:
        biases: Finite numbers, one for each class, or None for zeros.
        parameters: The rule's other arguments, for the card.

    Raises:
        ValueError: If an argument is out of its range.
    """

    torch_only = True
    fit_plan: ClassVar[FitPlan]

    def __init__(
        self, classes: int, bands: int, iterations: int, biases: Sequence[float] | None, parameters: dict[str, Any]
    ) -> None:
        super().__init__()
        for name, value, least in (("classes", classes, 2), ("bands", bands, 1), ("iterations", iterations, 1)):
            require(name, value, value >= least and int(value) == value, f"a whole number of {least} or more")
        given = [0.0] * classes if biases is None else [float(bias) for bias in biases]
        require("biases", given, len(given) == classes, f"{classes} numbers, one for each class")
        require("biases", given, all(math.isfinite(bias) for bias in given), "finite numbers")
        self.classes, self.bands, self.iterations, self.biases = classes, bands, iterations, given
        self.arguments = {"classes": classes, "bands": bands, "iterations": iterations, "biases": given, **parameters}

    def but(self, **changes: Any) -> Self:
        """Return the same refiner with some arguments changed; ValueError if one is out of its range."""
        return type(self)(**{**self.arguments, **changes})

    def biased(self, scores: Tensor) -> Tensor:
        """Return the scores (batch, class, row, col) plus the biases."""
        biases = torch.tensor(self.biases, dtype=scores.dtype, device=scores.device)
        return scores + biases[:, None, None]


def require(name: str, value: object, holds: bool, expected: str) -> None:
    """Raise ValueError unless an argument is as expected."""
    if not holds:
        raise ValueError(f"{name} is {value}; expected: {expected}")
