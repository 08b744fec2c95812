"""Receiver operating characteristics of scores, counted block by block, with a bound on the error.

Scores are counted in bins, the float32 numbers truncated to their first bits: 65,536 bins that are denser for small
numbers, so that neither scale nor range must be known. Values in one bin count as equal. The resulting error of the
area under the curve is bounded exactly by the counts: half of the pairs that share a bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.types import BoolArray, CountArray, DoubleArray, FloatArray

_BITS = 16
_BINS = 1 << _BITS


class AreaUnderCurve(NamedTuple):
    """The area under a receiver operating characteristic."""

    value: float  # 0..1; NaN where there is no positive or no negative
    error: float  # how far the value can be from that of unbinned scores, at most


@dataclass(frozen=True)
class RocCurve:
    """Rates at every threshold, from the highest to the lowest; scores at or above it are positive."""

    false_positive_rate: DoubleArray  # share of negatives taken for positive, 0..1, rising
    true_positive_rate: DoubleArray  # share of positives found, 0..1, rising


class ThresholdCounts:
    """Counts of positives and negatives by score; a megabyte for any number of pixels."""

    def __init__(self) -> None:
        self.positives: CountArray = np.zeros(_BINS, np.int64)
        self.negatives: CountArray = np.zeros(_BINS, np.int64)

    def add(self, scores: FloatArray, positive: BoolArray) -> None:
        """Count pixels of any shape by finite scores, higher for positive.

        Raises:
            ValueError: If the shapes differ or a score is not finite.
        """
        if scores.shape != positive.shape:
            raise ValueError(f"scores of shape {scores.shape} for labels of shape {positive.shape}")
        if not np.isfinite(scores).all():
            raise ValueError("a score is not finite")
        bins = _bin(scores)
        self.positives += np.bincount(bins[positive], minlength=_BINS)
        self.negatives += np.bincount(bins[~positive], minlength=_BINS)

    def area(self) -> AreaUnderCurve:
        """Return the area under the receiver operating characteristic, ties counting half.

        Source: Fawcett, "An introduction to ROC analysis", 2006: the probability that a positive scores higher than a
        negative.
        """
        pairs = float(self.positives.sum()) * float(self.negatives.sum())
        if pairs == 0:
            return AreaUnderCurve(float("nan"), 0.0)
        below = np.cumsum(self.negatives) - self.negatives
        shared = float((self.positives.astype(np.float64) * self.negatives).sum())
        won = float((self.positives.astype(np.float64) * below).sum())
        return AreaUnderCurve((won + shared / 2) / pairs, shared / 2 / pairs)

    def curve(self, points: int | None = None) -> RocCurve:
        """Return the receiver operating characteristic at every score, or at about as many points as given."""
        seen = np.flatnonzero(self.positives + self.negatives)[::-1]
        true, false = np.cumsum(self.positives[seen]), np.cumsum(self.negatives[seen])
        rates = [
            np.concatenate([[0.0], counts / counts[-1] if len(counts) and counts[-1] else np.full(len(counts), np.nan)])
            for counts in (false, true)
        ]
        if points is not None and len(rates[0]) > points:
            along = np.nan_to_num(rates[0]) + np.nan_to_num(rates[1])
            kept = np.unique(np.searchsorted(along, np.linspace(0, along[-1], points)))
            kept = np.unique(np.concatenate([[0], np.minimum(kept, len(along) - 1), [len(along) - 1]]))
            return RocCurve(rates[0][kept], rates[1][kept])
        return RocCurve(rates[0], rates[1])


def one_against_rest(scores: FloatArray, class_id: int) -> FloatArray:
    """Return the log odds of a class against all others, float32 (row, col), from logits (class, row, col)."""
    others = np.delete(scores, class_id, axis=0).astype(np.float64)
    top = others.max(axis=0)
    rest = top + np.log(np.exp(others - top).sum(axis=0))
    odds: FloatArray = (scores[class_id] - rest).astype(np.float32)
    return odds


def _bin(scores: FloatArray) -> NDArray[np.int64]:
    """Return each score's bin; the order of bins is that of the scores."""
    bits = np.ascontiguousarray(scores, np.float32).view(np.uint32)
    negative = bits >> 31 == 1
    # Of the negatives the larger magnitude is the smaller number; -0.0 joins 0.0.
    ordered = np.where(negative, 0x80000000 - (bits & 0x7FFFFFFF), bits + np.uint32(0x80000000))
    return (ordered >> np.uint32(32 - _BITS)).astype(np.int64)
