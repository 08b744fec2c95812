"""The first screen of a comparison: which method is best, by how much, where it is not, and all of them in order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from crispmap.evaluation.evaluation import Evaluation
from crispmap.report.pages.answer import Answer, answer_of
from crispmap.report.tables.comparison import RETHRESHOLDED, Row, verdict, winner
from crispmap.report.tables.model import DASH

_EDGE = 0.03  # of the line, at both ends


@dataclass(frozen=True)
class Rank:
    """A method on the line of mean IoU; places on it in percent of its length."""

    name: str
    value: str
    interval: str
    at: str  # empty where it has no mean IoU
    low: str = ""  # where the interval begins; empty without one
    width: str = ""


@dataclass(frozen=True)
class Ranks:
    """All methods, the best first, on one line of mean IoU."""

    rows: Sequence[Rank]
    span: str  # what the line spans


def answer_of_methods(rows: Sequence[Row], own: str, over_seeds: str = "") -> Answer:
    """Return which method is best, and how it compares with what recalibration of its coarse network reaches.

    Args:
        over_seeds: A sentence about all seeds, where there were several.
    """
    best = winner(rows)
    if best is None:
        return Answer("No answer.", [verdict(rows, own)])
    said = verdict(rows, own)
    words = [over_seeds, f"With the first seed, {said[0].lower()}{said[1:]}"] if over_seeds else [said]
    if best.name.endswith(RETHRESHOLDED):
        return answer_of(_named(best), None, ["Recalibration alone is best.", *words], None)
    name = best.name.partition("+")[0] + RETHRESHOLDED
    rival = next((row for row in rows if row.name == name), None)
    if rival is None:
        return answer_of(_named(best), None, [f"Best: {best.name}.", *words], None)
    ahead = round(100 * best.mean_iou.value, 1) - round(100 * rival.mean_iou.value, 1)
    if math.isfinite(ahead):
        words.append(f"That is {ahead:.1f} points above what recalibration alone makes of its coarse network.")
    return answer_of(_named(best), _named(rival), [f"Best: {best.name}.", *words], None)


def _named(row: Row) -> tuple[str, Evaluation]:
    return row.name, row.evaluation


def ranks_of(rows: Sequence[Row]) -> Ranks:
    """Return the methods from the highest mean IoU to the lowest, then those without one."""
    ordered = sorted(rows, key=lambda row: -row.mean_iou.value if math.isfinite(row.mean_iou.value) else math.inf)
    known = [end for row in rows for end in row.mean_iou if math.isfinite(end)]
    if not known:
        return Ranks([Rank(row.name, DASH, "", "") for row in ordered], "")
    low, high = min(known), max(known)
    air = _EDGE * (high - low) or 0.01

    def place(share: float) -> float:
        return 100 * (share - low + air) / (high - low + 2 * air)

    def rank(row: Row) -> Rank:
        value, start, end = row.mean_iou
        if not math.isfinite(value):
            return Rank(row.name, DASH, "", "")
        if not math.isfinite(start):
            return Rank(row.name, f"{100 * value:.1f}", "", f"{place(value):.2f}")
        within = f"{100 * start:.1f} to {100 * end:.1f}"
        width = f"{place(end) - place(start):.2f}"
        return Rank(row.name, f"{100 * value:.1f}", within, f"{place(value):.2f}", f"{place(start):.2f}", width)

    return Ranks([rank(row) for row in ordered], f"{100 * (low - air):.1f} to {100 * (high + air):.1f} %")
