"""What training by chance costs and gives: the figures of methods over several seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crispmap.evaluation.intervals import Interval
from crispmap.report.tables.model import Column, FigureTable, Head, or_none, table_of

_MOST_METHODS_NAMED = 3


@dataclass(frozen=True)
class SeedRow:
    """A map made with several seeds."""

    name: str  # as in the table of one seed
    mean_iou: tuple[float, ...]  # 0..1, by seed, of those that finished
    boundary_f1: tuple[tuple[float, ...], ...]  # by seed, then by width
    widths_m: tuple[float, ...]
    # by how much mean IoU is above that of the project's own method with the same seed, by seed; empty of that method
    ahead: tuple[float, ...] = ()
    lead: Interval | None = None  # the mean of these, with an interval over blocks and seeds

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values: shares 0..1, None where undefined."""
        return {
            "name": self.name,
            "seeds": len(self.mean_iou),
            "mean_iou": _figures(self.mean_iou),
            "boundary_f1": [
                {"width_m": width, **_figures([one[index] for one in self.boundary_f1])}
                for index, width in enumerate(self.widths_m)
            ],
            "mean_iou_ahead": None if self.lead is None else {
                **_figures(self.ahead), "low": or_none(self.lead.low), "high": or_none(self.lead.high),
            },
        }  # fmt: skip


def spread(values: Sequence[float]) -> float:
    """Return the standard deviation between runs, of the sample; NaN of fewer than two."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def seed_tables(rows: Sequence[SeedRow], own: str = "") -> list[FigureTable]:
    """Return the table of methods over seeds: mean and spread of each figure, and the lead; none without rows."""
    if not rows:
        return []
    ahead = f"ahead of {own}" if own else "ahead"
    columns: list[Column[SeedRow]] = [
        Column(Head("Seeds"), lambda row: len(row.mean_iou), "{:.0f}".format, None),
        *_of_seeds("Mean IoU", lambda row: row.mean_iou),
        Column(Head("lowest", "Mean IoU"), lambda row: min(row.mean_iou)),
    ]
    for index, width in enumerate(rows[0].widths_m):
        columns += _of_seeds(
            f"Boundary F1 {width:g} m", lambda row, index=index: [one[index] for one in row.boundary_f1]
        )
    columns += [
        Column(Head("mean", ahead), lambda row: _lead(row).value, _signed),
        Column(Head("±", ahead), lambda row: spread(row.ahead), best=None),
        Column(Head("from", ahead), lambda row: _lead(row).low, _signed, None),
        Column(Head("to", ahead), lambda row: _lead(row).high, _signed, None),
    ]
    most = max(len(row.mean_iou) for row in rows)
    title = f"Over {most} seeds: mean, standard deviation between seeds (±), and 95 % interval over blocks and seeds"
    return [table_of(f"{title}, in percent and points", "Method", columns, [(row.name, row) for row in rows])]


def seed_verdict(rows: Sequence[SeedRow], own: str) -> str:
    """Return in words which map is best over the seeds, and which others the spread cannot tell from it."""
    known = [row for row in rows if math.isfinite(np.mean(row.mean_iou))]
    if not known:
        return ""
    best = max(known, key=lambda row: float(np.mean(row.mean_iou)))
    text = f"Best over {len(best.mean_iou)} seeds: {best.name}, mean IoU {_with_spread(best.mean_iou)} %"
    if best.lead is not None and math.isfinite(best.lead.low):
        text += f"; {_signed(best.lead.value)} points compared with {own} "
        text += f"({_signed(best.lead.low)} to {_signed(best.lead.high)})"
    close = [row.name for row in known if row is not best and not _below(row.mean_iou, best.mean_iou)]
    if not close:
        return f"{text}; with every seed above all others."
    more = len(close) - _MOST_METHODS_NAMED
    named = ", ".join(close[:_MOST_METHODS_NAMED]) + (f" and {more} more" if more > 0 else "")
    return f"{text}; with some seeds no better than {named}."


def _below(values: Sequence[float], best: Sequence[float]) -> bool:
    """Return whether a method is below the best with each seed that both have."""
    return len(values) == len(best) and all(a < b for a, b in zip(values, best, strict=True))


def _of_seeds(head: str, values: Any) -> list[Column[SeedRow]]:
    return [
        Column(Head("mean", head), lambda row: float(np.mean(values(row)))),
        Column(Head("±", head), lambda row: spread(values(row)), best=None),
    ]


def _lead(row: SeedRow) -> Interval:
    return row.lead or Interval(math.nan, math.nan, math.nan)


def _with_spread(values: Sequence[float]) -> str:
    off = spread(values)
    return f"{100 * float(np.mean(values)):.2f}" + (f" ± {100 * off:.2f}" if math.isfinite(off) else "")


def _signed(share: float) -> str:
    return f"{100 * share:+.2f}"


def _figures(values: Sequence[float]) -> dict[str, Any]:
    mean = float(np.mean(values)) if len(values) else math.nan
    return {
        "mean": or_none(mean), "standard_deviation": or_none(spread(values)),
        "by_seed": [or_none(one) for one in values]
    }  # fmt: skip
