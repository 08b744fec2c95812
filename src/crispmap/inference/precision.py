"""Whether scenes may be computed in reduced precision: a trial on a sample, before maps are begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from crispmap.errors import InputError
from crispmap.inference.engines import Precision
from crispmap.inference.tiled import Pixels

MOST_CHANGED = 1e-4  # share of labels a reduced precision must change fewer than
LEAST_PIXELS = 30_000
"""Valid pixels a trial needs: if none changes, the share is below 1 in 10,000 with 95 % confidence (3 / pixels)."""

Compute = Callable[[int], Sequence[Pixels]]
"""Computes one part of the sample, by its number: scores (class, row, col) and valid pixels (row, col)."""


class VerdictStore(Protocol):
    """What trials have found, by what they depend on. Several threads may use it at once."""

    def get(self, key: str) -> str | None:
        """Return what ``put`` was given, None without it."""

    def put(self, key: str, verdict: str) -> None:
        """Keep a verdict, in the words of a map's tag."""


class KeptVerdicts:
    """Verdicts kept in memory, for all scenes of a run."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def get(self, key: str) -> str | None:  # noqa: D102 - as the protocol
        return self._kept.get(key)

    def put(self, key: str, verdict: str) -> None:  # noqa: D102 - as the protocol
        self._kept[key] = verdict


@dataclass(frozen=True)
class PrecisionTrial:
    """A reduced precision beside float32 on the same sample."""

    precision: Precision
    pixels: int  # valid pixels compared
    changed: float  # share of these pixels whose label, the class with the highest score, is another, 0..1
    largest_difference: float  # largest difference of a score

    @property
    def accepted(self) -> bool:
        """Whether the precision is exact enough, on enough pixels."""
        return self.pixels >= LEAST_PIXELS and self.changed < MOST_CHANGED

    @property
    def settled(self) -> bool:
        """Whether more pixels are not needed to tell."""
        return self.accepted or self.changed >= MOST_CHANGED

    @property
    def text(self) -> str:
        """What was found: the same in every run."""
        return (
            f"{self.precision} changes {self.changed * 10_000:.2g} labels in 10,000 ({self.pixels:,} pixels tried), "
            f"scores by up to {self.largest_difference:.2g}"
        )


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision to compute in, and why."""

    precision: Precision  # float32, or the first that was accepted
    trials: tuple[PrecisionTrial, ...]  # what was tried, in the order of the candidates

    @property
    def settled(self) -> bool:
        """Whether it holds for other scenes too, because every trial has had enough pixels."""
        return bool(self.trials) and all(trial.settled for trial in self.trials)

    @property
    def tag(self) -> str:
        """The choice in words for a map's tags, such as "float32; bfloat16 changes 8.6 labels in 10,000 .."."""
        return "; ".join([self.precision, *(trial.text for trial in self.trials)])


def choose_precision(
    candidates: Sequence[Precision], open_at: Callable[[Precision], Compute], *, parts: int, sample_px: int
) -> PrecisionChoice:
    """Return the first candidate that changes fewer than 1 label in 10,000 of a sample; else float32.

    A precision that the engine does not offer, or in which scores overflow, is passed over. No more is computed than
    tells: a trial ends with the part at which a precision has changed too many labels for the whole sample.

    Args:
        candidates: Reduced precisions that are faster than float32, the one wanted most first.
        open_at: Opens the sample in a precision; InputError if it is not offered.
        parts: How many parts the sample has.
        sample_px: Pixels of the sample, valid or not.
    """
    exact = open_at("float32")
    reference: list[Sequence[Pixels]] = []
    trials: list[PrecisionTrial] = []
    for precision in candidates:
        try:
            reduced = open_at(precision)
        except InputError:
            continue
        trial = _Trial(precision)
        for part in range(parts):
            if part == len(reference):
                reference.append(exact(part))
            try:
                trial.compare(reference[part], reduced(part))
            except InputError:  # scores overflow
                break
            if trial.changed >= MOST_CHANGED * sample_px:
                trials.append(trial.result())
                break
        else:
            trials.append(trial.result())
        if trials and trials[-1].accepted:
            return PrecisionChoice(precision, tuple(trials))
    return PrecisionChoice("float32", tuple(trials))


class _Trial:
    """A trial under way."""

    def __init__(self, precision: Precision) -> None:
        self.precision = precision
        self.pixels = self.changed = 0
        self.largest = 0.0

    def compare(self, exact: Sequence[Pixels], reduced: Sequence[Pixels]) -> None:
        """Count the labels that differ."""
        for (scores, valid), (others, _) in zip(exact, reduced, strict=True):
            ours, theirs = scores[:, valid], others[:, valid]
            self.pixels += ours.shape[1]
            self.changed += int(np.count_nonzero(ours.argmax(0) != theirs.argmax(0)))
            self.largest = max(self.largest, float(np.abs(ours - theirs).max(initial=0.0)))

    def result(self) -> PrecisionTrial:
        """Return what has been found."""
        return PrecisionTrial(self.precision, self.pixels, self.changed / max(1, self.pixels), self.largest)
