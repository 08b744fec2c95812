"""Object figures as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from rich.console import Console

from crispmap.polygons.objects import ObjectFigures
from crispmap.report.tables.model import Column, FigureTable, Head, section_of
from crispmap.report.tables.terminal import print_table

_Named: TypeAlias = tuple[str, ObjectFigures]


def object_table(figures: Mapping[str, Mapping[str, ObjectFigures]]) -> FigureTable:
    """Return one row per file for every class, from the figures by file and class."""
    columns = _columns()
    classes = dict.fromkeys(name for by_class in figures.values() for name in by_class)
    sections = []
    for name in classes:
        rows = [(file, by_class[name]) for file, by_class in figures.items() if name in by_class]
        sections.append(section_of(columns, rows, name))
    return FigureTable("Objects of each class", "File", [column.head for column in columns], sections, "Class")


def print_objects(figures: Mapping[str, Mapping[str, ObjectFigures]], console: Console | None = None) -> None:
    """Print the table."""
    print_table(object_table(figures), console or Console(highlight=False))


def _columns() -> list[Column[ObjectFigures]]:
    def whole(value: float) -> str:
        return f"{value:.0f}"

    def metres(value: float) -> str:
        return f"{value:.2f}"

    def corners(value: float) -> str:
        return f"{value:g}"

    return [
        Column(Head("map", "objects"), lambda one: one.predicted, whole, None),
        Column(Head("reference", "objects"), lambda one: one.reference, whole, None),
        Column(Head("precision"), lambda one: one.precision),
        Column(Head("recall"), lambda one: one.recall),
        Column(Head("F1"), lambda one: one.f1),
        Column(Head("PoLiS m"), lambda one: one.polis_m, metres, min),
        Column(Head("corner offset m"), lambda one: one.corner_offset_m, metres, min),
        Column(Head("map", "corners"), lambda one: one.predicted_corners, corners, None),
        Column(Head("reference", "corners"), lambda one: one.reference_corners, corners, None),
    ]
