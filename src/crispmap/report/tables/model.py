"""The model of a table of figures: headings, rows in sections, the best marked."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

DASH = "–"  # a missing figure on a page

T = TypeVar("T")


def or_none(value: float) -> float | None:
    """Return a figure as a plain value, safe for JSON: None where it is not defined."""
    return float(value) if math.isfinite(value) else None


def percent(share: float) -> str:
    """Return a share as a percentage with two decimals."""
    return f"{100 * share:.2f}"


@dataclass(frozen=True)
class Cell:
    """A figure as text, empty where there is none, and whether it is the best of its column."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Head:
    """The heading of a column: a group that neighbouring columns may share, and a name within it."""

    name: str
    group: str = ""

    @property
    def text(self) -> str:
        """Both in one text."""
        return f"{self.group} {self.name}".strip()


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column of figures."""

    head: Head  # its heading
    value: Callable[[T], float]  # gives the figure of what stands in a row; NaN where there is none
    write: Callable[[float], str] = percent  # writes a figure that is a number
    # chooses the best of several, ``max`` or ``min``; None where none is best
    best: Callable[[list[float]], float] | None = max

    def cells(self, subjects: Sequence[T]) -> list[Cell]:
        """Return the figures of all rows, the best marked if they differ as text."""
        values = [float(self.value(one)) for one in subjects]
        texts = [self.write(value) if math.isfinite(value) else "" for value in values]
        known = [value for value in values if math.isfinite(value)]
        if self.best is None or len({self.write(value) for value in known}) < 2:
            return [Cell(text) for text in texts]
        best = self.write(self.best(known))
        return [Cell(text, text == best) for text in texts]


@dataclass(frozen=True)
class TableSection:
    """Rows under a common name; each row is a name and cells."""

    name: str
    rows: Sequence[tuple[str, Sequence[Cell]]]


@dataclass(frozen=True)
class FigureTable:
    """A table of figures."""

    title: str  # what it shows
    label: str  # what stands in the rows, such as "Map"
    heads: Sequence[Head]  # the headings of the figures
    sections: Sequence[TableSection]  # the rows; of a table without sections one that has no name
    sections_label: str = ""  # what the sections are, such as "Class"; empty without sections

    @property
    def header_spans(self) -> list[tuple[str, int]]:
        """Runs of neighbouring columns with the same group heading, "" for none: (heading, number of columns)."""
        spans: list[tuple[str, int]] = []
        for head in self.heads:
            if spans and spans[-1][0] == head.group:
                spans[-1] = head.group, spans[-1][1] + 1
            else:
                spans.append((head.group, 1))
        return spans

    @property
    def rows(self) -> list[tuple[str, Sequence[Cell]]]:
        """The name and the cells of every row."""
        return [row for section in self.sections for row in section.rows]


def section_of(columns: Sequence[Column[T]], subjects: Sequence[tuple[str, T]], name: str = "") -> TableSection:
    """Return the figures of named subjects, one row each."""
    by_column = [column.cells([one for _, one in subjects]) for column in columns]
    return TableSection(name, list(zip([row for row, _ in subjects], zip(*by_column, strict=True), strict=True)))


def table_of(title: str, label: str, columns: Sequence[Column[T]], subjects: Sequence[tuple[str, T]]) -> FigureTable:
    """Return a table without sections of the figures of named subjects, one row each."""
    return FigureTable(title, label, [column.head for column in columns], [section_of(columns, subjects)])
