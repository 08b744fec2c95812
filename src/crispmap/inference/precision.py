"""Whether a scene may be computed in reduced precision: a trial on a sample, before the map is begun."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from crispmap.errors import InputError
from crispmap.inference.engines import PRECISIONS, Precision
from crispmap.inference.tiled import Pixels

MOST_CHANGED = 1e-4  # share of labels a reduced precision must change fewer than
LEAST_GAIN = 1.2
"""How many times as fast a reduced precision must be: less is not worth a changed digit, and hard to measure."""
LEAST_PIXELS = 30_000
"""Valid pixels a trial needs: if none changes, the share is below 1 in 10,000 with 95 % confidence (3 / pixels)."""
_REPEATS = 3

Compute = Callable[[], Sequence[Pixels]]
"""Computes the sample: scores (class, row, col) and valid pixels (row, col), piece by piece."""


@dataclass(frozen=True)
class PrecisionTrial:
    """A reduced precision beside float32 on the same sample."""

    precision: Precision
    pixels: int  # valid pixels compared
    changed: float  # share of these pixels whose label, the class with the highest score, is another, 0..1
    largest_difference: float  # largest difference of a score
    speed_ratio: float  # time of float32 over time of the reduced precision

    @property
    def accepted(self) -> bool:
        """Whether the precision is exact enough, on enough pixels, and fast enough."""
        return self.pixels >= LEAST_PIXELS and self.changed < MOST_CHANGED and self.speed_ratio >= LEAST_GAIN

    @property
    def text(self) -> str:
        """What was found, but for the speed: the same in every run."""
        return (
            f"{self.precision} changes {self.changed * 10_000:.2g} labels in 10,000 ({self.pixels:,} pixels tried), "
            f"scores by up to {self.largest_difference:.2g}"
        )


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision to compute in, and why."""

    precision: Precision  # float32, or the fastest that was accepted
    trials: tuple[PrecisionTrial, ...]  # what was tried, in the order of the candidates

    @property
    def tag(self) -> str:
        """The choice in words for a map's tags, such as "float32; bfloat16 changes 8.6 labels in 10,000 ..".

        It has no speed, so that two runs that choose the same write the same bytes.
        """
        return "; ".join([self.precision, *(trial.text for trial in self.trials)])


def choose_precision(open_at: Callable[[Precision], Compute]) -> PrecisionChoice:
    """Return the fastest precision that changes fewer than 1 label in 10,000 of a sample; else float32.

    A precision the engine does not offer, or in which scores overflow, is passed over. The choice rests on a measured
    speed: it is made once a map, and kept where the map is resumed, or computed by several processes. ``open_at`` opens
    the sample in a precision, ready to be computed several times; InputError if it is not offered.
    """
    exact = open_at("float32")
    reference = exact()
    trials = []
    for precision in PRECISIONS[1:]:
        try:
            trials.append(_trial(precision, exact, reference, open_at(precision)))
        except InputError:
            continue
    accepted = [trial for trial in trials if trial.accepted]
    best = max(accepted, key=lambda trial: trial.speed_ratio, default=None)
    return PrecisionChoice("float32" if best is None else best.precision, tuple(trials))


def _trial(precision: Precision, exact: Compute, reference: Sequence[Pixels], reduced: Compute) -> PrecisionTrial:
    pixels = changed = 0
    largest = 0.0
    for (scores, valid), (others, _) in zip(reference, reduced(), strict=True):
        ours, theirs = scores[:, valid], others[:, valid]
        pixels += ours.shape[1]
        changed += int(np.count_nonzero(ours.argmax(0) != theirs.argmax(0)))
        largest = max(largest, float(np.abs(ours - theirs).max(initial=0.0)))
    return PrecisionTrial(precision, pixels, changed / max(1, pixels), largest, _speed_ratio(exact, reduced))


def _speed_ratio(exact: Compute, reduced: Compute) -> float:
    """Return the time of one over that of the other, each the shortest of a few, taken in turns."""
    times = [(_seconds(exact), _seconds(reduced)) for _ in range(_REPEATS)]
    slow, fast = min(exact_s for exact_s, _ in times), min(reduced_s for _, reduced_s in times)
    return slow / max(fast, 1e-9)


def _seconds(compute: Compute) -> float:
    start = time.perf_counter()
    compute()
    return time.perf_counter() - start
