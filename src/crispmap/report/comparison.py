"""Methods side by side: rows of figures, costs and intervals, as tables on a terminal, in Markdown and for JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crispmap.errors import InputError
from crispmap.evaluate.compare import Evaluation
from crispmap.evaluate.intervals import Interval
from crispmap.report.tables import DASH, percent, print_table


def count(value: float) -> str:
    """Return a whole number, or a rounded one, as text."""
    return str(round(value))


def short(value: float) -> str:
    """Return a number with three digits."""
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


@dataclass(frozen=True)
class Cost:
    """What a method takes.

    Attributes:
        parameters: Numbers learned, of coarse network and refiner together.
        training_s: Seconds they took to learn, together.
        seconds_per_mpx: Seconds to map a million pixels.
        peak_mib: Peak memory of the process that mapped, in MiB.
    """

    parameters: int
    training_s: float
    seconds_per_mpx: float
    peak_mib: float


@dataclass(frozen=True)
class Row:
    """A map in the table.

    Attributes:
        name: The method's name; for its re-thresholded map with that word behind.
        evaluation: Areas and boundaries.
        auc: Area under the receiver operating characteristic, 0..1; NaN where undefined.
        accuracy: Overall accuracy with its interval.
        mean_iou: Mean IoU with its interval.
        ahead: By how much mean IoU is above that of the method compared with; None of that method itself, or without
            one.
        cost: What it takes; None of a re-thresholded map, which costs what the coarse map does.
    """

    name: str
    evaluation: Evaluation
    auc: float
    accuracy: Interval
    mean_iou: Interval
    ahead: Interval | None = None
    cost: Cost | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values: shares 0..1, None where undefined."""
        one = self.evaluation
        return {
            "name": self.name,
            "overall_accuracy": _ends(self.accuracy),
            "mean_iou": _ends(self.mean_iou),
            "mean_iou_ahead": None if self.ahead is None else _ends(self.ahead),
            "iou": {name: _known(float(value)) for name, value in zip(one.class_names, one.iou, strict=True)},
            "boundary_f1": [
                {"width_m": width, "value": _known(float(value))}
                for width, value in zip(one.widths_m, one.boundary_f1, strict=True)
            ],
            "auc": _known(self.auc),
            "cost": None if self.cost is None else dict(vars(self.cost)),
        }


@dataclass(frozen=True)
class Missing:
    """A method without figures.

    Attributes:
        name: The method's name.
        reason: Why, as a sentence.
        skipped: Whether it was not tried.
    """

    name: str
    reason: str
    skipped: bool

    @property
    def text(self) -> str:
        """What stands in the place of its figures."""
        return f"{'left out' if self.skipped else 'failed'}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"name": self.name, "skipped" if self.skipped else "failed": self.reason}


@dataclass(frozen=True)
class Cell:
    """A figure as text, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Column:
    """A column of figures.

    Attributes:
        head: Its heading.
        value: Gives a row's figure; NaN where it has none.
        text: Writes one that is a number.
        best: Chooses the best of several, ``max`` or ``min``; None where none is best.
    """

    head: str
    value: Callable[[Row], float]
    text: Callable[[float], str]
    best: Callable[[list[float]], float] | None = max


def quality_columns(rows: Sequence[Row]) -> list[Column]:
    """Return the columns of quality: accuracy, mean IoU, IoU by class, boundary F1 by width, AUC.

    Raises:
        InputError: If there is no row.
    """
    if not rows:
        raise InputError("There is no finished method to show.", expected="at least one method with figures")
    one = rows[0].evaluation
    return [
        Column("Overall accuracy", lambda row: row.accuracy.value, percent),
        Column("Mean IoU", lambda row: row.mean_iou.value, percent),
        *(_class_column(name, index) for index, name in enumerate(one.class_names)),
        *(_boundary_column(width, index) for index, width in enumerate(one.widths_m)),
        Column("AUC", lambda row: row.auc, "{:.4f}".format),
    ]


def _class_column(name: str, index: int) -> Column:
    return Column(f"IoU {name}", lambda row: float(row.evaluation.iou[index]), percent)


def _boundary_column(width_m: float, index: int) -> Column:
    return Column(f"Boundary F1 {width_m:g} m", lambda row: float(row.evaluation.boundary_f1[index]), percent)


COST_COLUMNS = (
    Column("Parameters", lambda row: math.nan if row.cost is None else row.cost.parameters, count, None),
    Column("Training s", lambda row: math.nan if row.cost is None else row.cost.training_s, short, None),
    Column("s per Mpx", lambda row: math.nan if row.cost is None else row.cost.seconds_per_mpx, short, min),
    Column("Peak MiB", lambda row: math.nan if row.cost is None else row.cost.peak_mib, count, min),
)
"""The columns of what methods take."""


def priced(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that tell what they take."""
    return [row for row in rows if row.cost is not None]


def cells_of(columns: Sequence[Column], rows: Sequence[Row]) -> list[list[Cell]]:
    """Return the figures of rows as text, the best of each column marked where they differ as shown."""
    by_column = []
    for column in columns:
        values = [float(column.value(row)) for row in rows]
        texts = [column.text(value) if math.isfinite(value) else DASH for value in values]
        known = [value for value in values if math.isfinite(value)]
        ranked = column.best is not None and len({column.text(value) for value in known}) > 1
        best = column.text(column.best(known)) if ranked and column.best is not None else None
        by_column.append([Cell(text, text == best) for text in texts])
    return [list(row) for row in zip(*by_column, strict=True)]


def winner(rows: Sequence[Row]) -> Row | None:
    """Return the row with the highest mean IoU; None where none has one."""
    known = [row for row in rows if math.isfinite(row.mean_iou.value)]
    return max(known, key=lambda row: row.mean_iou.value, default=None)


def verdict(rows: Sequence[Row], own: str) -> str:
    """Return in words which map is best, and what can be said of the difference to the project's own method.

    Args:
        rows: All maps.
        own: The name of the method the others are compared with.
    """
    best = winner(rows)
    if best is None:
        return "No map has a mean IoU."
    text = f"Best by mean IoU: {best.name}, {percent(best.mean_iou.value)} %{_between(best.mean_iou, '.2f')}"
    if best.name == own or best.ahead is None:
        return text + "."
    sure = math.isfinite(best.ahead.low) and best.ahead.low > 0
    return (
        f"{text}; {100 * best.ahead.value:+.2f} points beside {own}{_between(best.ahead, '+.2f')}"
        f"{'' if sure else ', which the choice of test ground alone may explain'}."
    )


def _between(one: Interval, form: str) -> str:
    return f" ({_span(one, form)})" if math.isfinite(one.low) else ""


def print_comparison(rows: Sequence[Row], missing: Sequence[Missing], console: Console | None = None) -> None:
    """Print quality, intervals and costs of methods as three tables, and below each a line for every missing one.

    Args:
        rows: The maps, at least one.
        missing: The methods without figures.
        console: Where to print; standard output by default.

    Raises:
        InputError: If there is no row.
    """
    console = console or Console(highlight=False)
    for columns, shown in ((quality_columns(rows), rows), (COST_COLUMNS, priced(rows))):
        if shown:
            print_table(_rich_table(columns, shown), console)
    print_table(_interval_table(rows), console)
    for one in missing:
        console.print(Text(f"{one.name}  {one.text}"), soft_wrap=True)


def _rich_table(columns: Sequence[Column], rows: Sequence[Row]) -> Table:
    table = _table([column.head for column in columns], rows)
    for row, cells in zip(rows, cells_of(columns, rows), strict=True):
        table.add_row(Text(row.name), *(Text(cell.text, style="bold" if cell.best else "") for cell in cells))
    return table


def _interval_table(rows: Sequence[Row]) -> Table:
    table = _table(["Accuracy, 95 %", "Mean IoU, 95 %", "Ahead in mean IoU"], rows)
    for row in rows:
        table.add_row(Text(row.name), *(Text(text) for text in interval_texts(row)))
    return table


def interval_texts(row: Row) -> list[str]:
    """Return the intervals of accuracy, of mean IoU and of the difference to the method compared with, as text."""
    ahead = DASH if row.ahead is None else _span(row.ahead, "+.2f")
    return [_span(row.accuracy, ".2f"), _span(row.mean_iou, ".2f"), ahead]


def _span(one: Interval, form: str) -> str:
    return f"{100 * one.low:{form}} to {100 * one.high:{form}}" if math.isfinite(one.low) else DASH


def _table(heads: Sequence[str], rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Map", overflow="fold", min_width=max(len(row.name.split()[0]) for row in rows))
    for head in heads:
        longest = max(len(word) for word in head.split())
        table.add_column(Text(head), justify="right", min_width=max(longest, len("100.00")))
    return table


def markdown_tables(rows: Sequence[Row], missing: Sequence[Missing]) -> str:
    """Return quality, costs and intervals as three Markdown tables, methods without figures listed below.

    Raises:
        InputError: If there is no row.
    """
    tables = [
        _markdown(quality_columns(rows), rows),
        _markdown(COST_COLUMNS, priced(rows)),
        _lines(["accuracy, 95 %", "mean IoU, 95 %", "ahead, 95 %"], [(row.name, interval_texts(row)) for row in rows]),
        "\n".join(f"- {one.name}: {one.text}" for one in missing),
    ]
    return "\n\n".join(table for table in tables if table) + "\n"


def _markdown(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    texts = [
        (row.name, [f"**{cell.text}**" if cell.best else cell.text for cell in cells])
        for row, cells in zip(rows, cells_of(columns, rows), strict=True)
    ]
    return _lines([column.head for column in columns], texts)


def _lines(heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| method | {' | '.join(heads)} |"
        yield "|---" * (len(heads) + 1) + "|"
        for name, cells in rows:
            yield f"| {name} | {' | '.join(cells)} |"

    return "\n".join(lines())


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _ends(one: Interval) -> dict[str, float | None]:
    return {"value": _known(one.value), "low": _known(one.low), "high": _known(one.high)}
