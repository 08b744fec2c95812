"""What refiners written by hand have in common: a few numbers instead of learned weights, and class biases."""

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
    """The range of a number.

    Attributes:
        start: Where the search starts.
        low: Least value, above 0.
        high: Largest value.
    """

    start: float
    low: float
    high: float

    def moved(self, value: float, factor: float) -> float:
        """Return the value times the factor, no further than the range goes."""
        return min(self.high, max(self.low, value * factor))


@dataclass(frozen=True)
class FitPlan:
    """How the numbers of a refiner written by hand are fitted.

    Attributes:
        ranges: Where each is looked for, in the order they are changed.
        tries: Most points tried.
        tile_px: Side of the tiles that are tried on.
        run: Arguments of every try besides.
        reads_iterations: Whether the best number of iterations is read off the run of each try.
    """

    ranges: Mapping[str, Range]
    tries: int
    tile_px: int
    run: Mapping[str, int] = field(default_factory=dict)
    reads_iterations: bool = False


class HandWrittenRefiner(Refiner):
    """A refiner whose rule is written by hand; its card's arguments are all there is to it, its file has no weights.

    Attributes:
        fit_plan: How its numbers are fitted.
        biases: A number a class, added to the scores before the first iteration; the scores after 0 iterations lack
            them.

    Args:
        classes: Classes, 2 or more.
        bands: Bands of the image, 1 or more.
        iterations: Iterations, 1 or more.
        biases: Finite numbers, one a class, or None for zeros.
        parameters: The rule's other arguments, kept for the card.

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
        require("biases", given, len(given) == classes, f"{classes} numbers, one a class")
        require("biases", given, all(math.isfinite(bias) for bias in given), "finite numbers")
        self.classes, self.bands, self.iterations, self.biases = classes, bands, iterations, given
        self.arguments = {"classes": classes, "bands": bands, "iterations": iterations, "biases": given, **parameters}

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
