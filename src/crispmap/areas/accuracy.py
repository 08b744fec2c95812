"""Accuracies and areas corrected for the errors of a map, from a stratified random sample.

One estimator serves all: the ratio of two totals over strata, each unit of a sample counting by the area it stands for
(Stehman 2014, eq. 25 to 28). Where the strata are the classes of the map it is that of Olofsson et al. (2013, 2014).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crispmap.errors import AreaError, number_of
from crispmap.types import CountArray, DoubleArray

QUANTILE = 1.959963984540054
"""Standard errors to either side of an estimate that hold 95 %."""


@dataclass(frozen=True)
class Estimate:
    """An estimate with its standard error; both NaN where nothing can be said."""

    value: float
    error: float

    @property
    def margin(self) -> float:
        """Half the width of the 95 % interval."""
        return QUANTILE * self.error

    def scaled(self, factor: float) -> Estimate:
        """Return it in another unit."""
        return Estimate(factor * self.value, factor * self.error)

    def to_dict(self) -> dict[str, float | None]:
        """Return it as plain values, None where nothing can be said."""
        values = {"value": self.value, "standard_error": self.error, "margin_95": self.margin}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}


@dataclass(frozen=True, eq=False)
class ReferenceSample:
    """A stratified random sample of places where map and reference have both been read.

    Raises:
        AreaError: If there is no stratum with an area, a stratum with an area holds fewer than two units and is not
            known whole, or one holds units and has no area.
    """

    class_names: tuple[str, ...]  # in order of id
    strata: tuple[str, ...]  # names
    counts: CountArray  # (stratum, class of the map, class of the reference) units
    area_m2: DoubleArray  # (stratum,) area on the ground
    # (stratum,) units in all, for the correction of samples that hold a good part of them; None: far more than sampled
    units: CountArray | None = None

    def __post_init__(self) -> None:
        sizes = self.counts.sum(axis=(1, 2))
        if not self.area_m2.sum() > 0:
            raise AreaError("No stratum of the sample has an area.", expected="a map with classes")
        known = np.zeros(len(sizes), np.bool_) if self.units is None else sizes >= self.units
        few = [
            index for index in np.flatnonzero((self.area_m2 > 0) & (sizes < 2)) if not (known[index] and sizes[index])
        ]
        if few:
            held = ", ".join(f"{self.strata[index]} ({number_of(int(sizes[index]), 'point')})" for index in few)
            raise AreaError(
                f"The sample says too little of: {held}.",
                expected="two labelled points or more in every stratum: one alone shows no variation",
                remedy="Label more points there, or merge the classes in map and sample.",
            )
        if stray := [self.strata[index] for index in np.flatnonzero((self.area_m2 <= 0) & (sizes > 0))]:
            raise AreaError(
                f"The sample has points in {', '.join(stray)}, of which the map has no area.",
                expected="points in strata that are there",
                remedy="Give the map that the sample was drawn from.",
            )

    @classmethod
    def of_matrix(cls, class_names: Sequence[str], matrix: CountArray, area_m2: DoubleArray) -> ReferenceSample:
        """Return the sample behind a confusion matrix (class of the map, class of the reference) of sampled units.

        The strata are the classes of the map.
        """
        counts = np.zeros((len(matrix), *matrix.shape), np.int64)
        rows = np.arange(len(matrix))
        counts[rows, rows] = matrix
        return cls(tuple(class_names), tuple(class_names), counts, np.asarray(area_m2, np.float64))


@dataclass(frozen=True)
class MapAccuracy:
    """What a sample says of a map: estimates with their standard errors."""

    class_names: tuple[str, ...]
    points: int  # units of the sample
    overall: Estimate  # overall accuracy, 0..1
    users: tuple[Estimate, ...]  # by class: of what the map gives it, the share that is right
    producers: tuple[Estimate, ...]  # by class: of what is of it, the share that the map gives it
    area_m2: tuple[Estimate, ...]  # by class: its area, corrected for the errors of the map
    area_covariance: tuple[tuple[float, ...], ...]  # (class, class) of these

    def combined(self, weights: Sequence[float]) -> Estimate:
        """Return the sum of the areas of classes, each times its weight, in square metres."""
        factors, values = np.array(weights, np.float64), np.array([one.value for one in self.area_m2])
        variance = float(factors @ np.array(self.area_covariance) @ factors)
        return Estimate(float(factors @ values), math.sqrt(max(0.0, variance)))

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values: shares 0..1, areas in square metres."""
        by_class = zip(self.class_names, self.users, self.producers, self.area_m2, strict=True)
        return {
            "points": self.points,
            "overall_accuracy": self.overall.to_dict(),
            "classes": [
                {
                    "name": name,
                    "users_accuracy": users.to_dict(),
                    "producers_accuracy": producers.to_dict(),
                    "area_m2": area.to_dict(),
                }
                for name, users, producers, area in by_class
            ],
        }


def map_accuracy(sample: ReferenceSample) -> MapAccuracy:
    """Return accuracies and corrected areas with their standard errors."""
    size = len(sample.class_names)
    unit = np.eye(size)
    mapped, reference = unit[:, :, np.newaxis] * np.ones(size), unit[:, np.newaxis, :] * np.ones((size, 1))
    everything, total = np.ones((size, size)), float(sample.area_m2.sum())
    return MapAccuracy(
        sample.class_names,
        int(sample.counts.sum()),
        _ratio(sample, unit, everything),
        tuple(_ratio(sample, mapped[k] * reference[k], mapped[k]) for k in range(size)),
        tuple(_ratio(sample, mapped[k] * reference[k], reference[k]) for k in range(size)),
        tuple(_ratio(sample, reference[k], everything).scaled(total) for k in range(size)),
        tuple(map(tuple, _covariance(sample).tolist())),
    )


def _covariance(sample: ReferenceSample) -> DoubleArray:
    """Return the covariance of the corrected areas (class, class)."""
    there = sample.area_m2 > 0
    found = np.zeros((len(sample.class_names),) * 2)
    for counts, area, unseen in zip(
        sample.counts[there].sum(axis=1), sample.area_m2[there], _unseen(sample)[there], strict=True
    ):
        size, share = counts.sum(), counts / counts.sum()
        found += area**2 * unseen * (np.diag(share) - np.outer(share, share)) / max(size - 1, 1)
    return found


def _unseen(sample: ReferenceSample) -> DoubleArray:
    """Return the share of each stratum that was not sampled; 1 where its units are not known."""
    size = sample.counts.sum(axis=(1, 2))
    if sample.units is None:
        return np.ones(len(size))
    return np.asarray(1 - size / np.maximum(np.maximum(sample.units, size), 1))


def _ratio(sample: ReferenceSample, part: DoubleArray, whole: DoubleArray) -> Estimate:
    """Return the ratio of the areas on which two conditions hold, by (class of the map, class of the reference)."""
    there = sample.area_m2 > 0
    counts, area = sample.counts[there], sample.area_m2[there]
    size = counts.sum(axis=(1, 2))
    above, below = (float((area * (counts * one).sum(axis=(1, 2)) / size).sum()) for one in (part, whole))
    if below == 0:
        return Estimate(math.nan, math.nan)
    rest = part - above / below * whole
    mean = (counts * rest).sum(axis=(1, 2)) / size
    squares = (counts * (rest - mean[:, np.newaxis, np.newaxis]) ** 2).sum(axis=(1, 2))
    spread = squares / np.maximum(size - 1, 1)
    variance = float((area**2 * _unseen(sample)[there] * spread / size).sum())
    return Estimate(above / below, math.sqrt(variance) / below)
