"""Methods side by side: their figures with intervals, their costs, and the best of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from crispmap.errors import InputError
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.intervals import Interval, ends_of
from crispmap.report.tables.evaluations import boundary_f1_columns, chance_tables, dice_table, iou_columns
from crispmap.report.tables.model import Cell, Column, FigureTable, Head, TableSection, or_none, percent, table_of

RETHRESHOLDED = ", re-thresholded"  # what follows a method's name in the name of its re-thresholded map


@dataclass(frozen=True)
class Cost:
    """The costs of a method."""

    parameters: int  # numbers learned, of coarse network and refiner together
    training_s: float  # seconds their training took, together
    seconds_per_mpx: float  # seconds to map a million pixels
    peak_mib: float  # peak memory of the process that mapped, in MiB


@dataclass(frozen=True)
class Row:
    """A map in the table."""

    name: str  # the method's name; for its re-thresholded map followed by that word
    evaluation: Evaluation  # areas and boundaries
    auc: float  # area under the receiver operating characteristic, 0..1; NaN where undefined
    accuracy: Interval  # overall accuracy with its interval
    mean_iou: Interval  # mean IoU with its interval
    # by how much mean IoU is above that of the method compared with; None of that method itself, or without one
    ahead: Interval | None = None
    cost: Cost | None = None  # what it takes; None of a re-thresholded map, which costs what the coarse map does

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values: shares 0..1, None where undefined."""
        one = self.evaluation
        return {
            "name": self.name,
            "overall_accuracy": ends_of(self.accuracy),
            "mean_iou": ends_of(self.mean_iou),
            "mean_dice": or_none(one.mean_dice),
            "dice_per_image": or_none(one.dice_per_image),
            "mean_iou_ahead": None if self.ahead is None else ends_of(self.ahead),
            "iou": {name: or_none(float(value)) for name, value in zip(one.class_names, one.iou, strict=True)},
            "boundary_f1": [
                {"width_m": width, "value": or_none(value), "chance": or_none(chance), "above_chance": or_none(above)}
                for width, value, chance, above in zip(
                    one.widths_m,
                    one.boundary_f1.tolist(),
                    one.boundary_chance.tolist(),
                    one.boundary_above_chance.tolist(),
                    strict=True,
                )
            ],
            "auc": or_none(self.auc),
            "cost": None if self.cost is None else dict(vars(self.cost)),
        }


@dataclass(frozen=True)
class Missing:
    """A method without figures."""

    name: str
    reason: str  # why, as a sentence
    skipped: bool  # whether it was not tried

    @property
    def text(self) -> str:
        """The text in place of its figures."""
        return f"{'left out' if self.skipped else 'failed'}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"name": self.name, "skipped" if self.skipped else "failed": self.reason}


def comparison_tables(rows: Sequence[Row], own: str = "") -> list[FigureTable]:
    """Return the tables of quality, of Dice, of boundary F1 beside chance, of intervals and, if known, of costs.

    Args:
        own: The name of the method the others are compared with, for the heading.

    Raises:
        InputError: If there is no row.
    """
    check_rows(rows)
    priced = [(row.name, row.cost) for row in rows if row.cost is not None]
    named = [(row.name, row.evaluation) for row in rows]
    tables = [_quality(rows), dice_table(named), *chance_tables(named), _intervals(rows, own)]
    return [*tables, table_of("What methods take", "Method", _COST_COLUMNS, priced)] if priced else tables


def check_rows(rows: Sequence[Row]) -> None:
    """Raise InputError if there is no map to report."""
    if not rows:
        raise InputError(
            "No method of the comparison is finished, so there is nothing to report.",
            expected="at least one method with figures",
            remedy="run the comparison first",
        )


def _quality(rows: Sequence[Row]) -> FigureTable:
    one = rows[0].evaluation
    columns: list[Column[Row]] = [
        Column(Head("Overall accuracy"), lambda row: row.accuracy.value),
        Column(Head("Mean IoU"), lambda row: row.mean_iou.value),
        *(_of_row(column) for column in (*iou_columns(one.class_names), *boundary_f1_columns(one.widths_m))),
        Column(Head("AUC"), lambda row: row.auc, "{:.4f}".format),
    ]
    return table_of("Quality, in percent; AUC as a share", "Method", columns, [(row.name, row) for row in rows])


def _of_row(column: Column[Evaluation]) -> Column[Row]:
    return Column(column.head, lambda row: column.value(row.evaluation), column.write, column.best)


def _intervals(rows: Sequence[Row], own: str) -> FigureTable:
    ahead = f"Mean IoU ahead of {own}" if own else "Mean IoU ahead"
    heads = [Head(f"{name}, 95 %") for name in ("Overall accuracy", "Mean IoU", ahead)]
    named = []
    for row in rows:
        lead = "" if row.ahead is None else _span(row.ahead, "+.2f")
        named.append((row.name, [Cell(_span(row.accuracy, ".2f")), Cell(_span(row.mean_iou, ".2f")), Cell(lead)]))
    return FigureTable("Intervals, in percent and points", "Method", heads, [TableSection("", named)])


def _rounded(value: float) -> str:
    """Return a number rounded to three digits or, above 100, to an integer."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _cost_column(
    head: str, value: Callable[[Cost], float], write: Callable[[float], str], *, least_is_best: bool = True
) -> Column[Cost]:
    return Column(Head(head), value, write, min if least_is_best else None)


_COST_COLUMNS = (
    _cost_column("Parameters", lambda cost: cost.parameters, "{:.0f}".format, least_is_best=False),
    _cost_column("Training, s", lambda cost: cost.training_s, _rounded, least_is_best=False),
    _cost_column("Mapping, s per Mpx", lambda cost: cost.seconds_per_mpx, _rounded),
    _cost_column("Peak memory, MiB", lambda cost: cost.peak_mib, "{:.0f}".format),
)


def winner(rows: Sequence[Row]) -> Row | None:
    """Return the row with the highest mean IoU; None if no row has one."""
    known = [row for row in rows if math.isfinite(row.mean_iou.value)]
    return max(known, key=lambda row: row.mean_iou.value, default=None)


def verdict(rows: Sequence[Row], own: str) -> str:
    """Return in words which map is best, and how significant its lead over the project's own method is."""
    best = winner(rows)
    if best is None:
        return "No map has a mean IoU."
    text = f"Best by mean IoU: {best.name}, {percent(best.mean_iou.value)} %{_between(best.mean_iou, '.2f')}"
    if best.name == own or best.ahead is None:
        return text + "."
    sure = math.isfinite(best.ahead.low) and best.ahead.low > 0
    return (
        f"{text}; {100 * best.ahead.value:+.2f} points compared with {own}{_between(best.ahead, '+.2f')}"
        f"{'' if sure else ', which the choice of the test area alone may explain'}."
    )


def _between(one: Interval, form: str) -> str:
    return f" ({_span(one, form)})" if math.isfinite(one.low) else ""


def _span(one: Interval, form: str) -> str:
    return f"{100 * one.low:{form}} to {100 * one.high:{form}}" if math.isfinite(one.low) else ""
