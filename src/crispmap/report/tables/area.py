"""Areas by class, region and period, and what a sample says of them, as tables of figures."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from crispmap.areas.accuracy import Estimate, MapAccuracy
from crispmap.areas.table import KM2, AreaSheet, Tables
from crispmap.report.tables.model import Cell, FigureTable, Head, TableSection, percent
from crispmap.types import DoubleArray

NO_LABEL = "\u00a0"  # in place of the dash of a missing figure
_DIGITS = 4  # of the largest figure of a table, at least
_LEAST_DIGITS = 3  # of the largest figure of each column, as far as few more decimals give them
_MORE_DECIMALS = 2


def area_tables(table: Tables) -> list[FigureTable]:
    """Return the areas in square kilometres: for maps with dates one table a class, else one of all classes."""
    return [_figures(sheet) for sheet in table.sheets()]


def accuracy_tables(table: Tables) -> list[FigureTable]:
    """Return mapped and corrected areas with accuracies by class, then other corrected areas; none without a sample."""
    if table.accuracy is None:
        return []
    first, more = _accuracies(table.accuracy, table.mapped_m2[0], len(table.schema)), table.corrections()
    if not more:
        return [first]
    write = _writer(max(abs(one.value) for found in more.values() for one in found) / KM2)
    heads = [Head(name, group) for group in more for name in ("area", "± 95 %")]
    rows = [
        (name, [cell for found in more.values() for cell in _cells(found[k].scaled(1 / KM2), write)])
        for k, name in enumerate(table.schema.names)
    ]
    return [first, FigureTable("Corrected, km2", "Class", heads, [TableSection("", rows)])]


def _accuracies(accuracy: MapAccuracy, mapped_m2: DoubleArray, named: int) -> FigureTable:
    """Return areas and accuracies of the first classes, ``named`` of them, and of others that are anywhere."""
    heads = [
        Head("Mapped, km2"),
        *(Head(name, "Corrected, km2") for name in ("area", "± 95 %")),
        *(Head(name, "User's accuracy, %") for name in ("share", "± 95 %")),
        *(Head(name, "Producer's accuracy, %") for name in ("share", "± 95 %")),
    ]
    write = _writer(max(*mapped_m2.tolist(), *(one.value for one in accuracy.area_m2)) / KM2)
    rows = [
        (name, [Cell(write(float(mapped_m2[k]) / KM2)), *_cells(accuracy.area_m2[k].scaled(1 / KM2), write),
                *_cells(accuracy.users[k], percent), *_cells(accuracy.producers[k], percent)])
        for k, name in enumerate(accuracy.class_names)
        if k < named or mapped_m2[k] > 0 or accuracy.area_m2[k].value > 0
    ]  # fmt: skip
    return FigureTable(accuracy_title(accuracy), "Class", heads, [TableSection("", rows)])


def accuracy_title(accuracy: MapAccuracy) -> str:
    """Return the overall accuracy as a line of text."""
    overall = accuracy.overall
    return (
        f"Overall accuracy {percent(overall.value)} ± {percent(overall.margin)} %, from {accuracy.points} points; "
        "intervals of 95 %"
    )


def _cells(one: Estimate, write: Callable[[float], str]) -> list[Cell]:
    return [Cell(write(value) if math.isfinite(value) else "") for value in (one.value, one.margin)]


def _figures(sheet: AreaSheet) -> FigureTable:
    write = _writer(*np.nan_to_num(np.abs([values for _, values in sheet.rows])).max(axis=0).tolist())
    heads = [*(Head(part) for part in sheet.parts[1:]), *(Head(head) for head in sheet.heads)]
    rows = [
        (labels[0], [*(Cell(label or NO_LABEL) for label in labels[1:]), *(Cell(write(value)) for value in values)])
        for labels, values in sheet.rows
    ]
    return FigureTable(f"{sheet.name}, km2", sheet.parts[0], heads, [TableSection("", rows)])


def _writer(*largest: float) -> Callable[[float], str]:
    """Return what writes the figures of a table with as many decimals as the largest needs for some digits.

    Args:
        largest: The largest figure of all, or of each column: where one is small, a few more decimals show it.
    """
    decimals = _decimals(max(largest), _DIGITS)
    most = decimals + _MORE_DECIMALS
    needed = [_decimals(value, _LEAST_DIGITS) for value in largest if value >= 10**-most]
    decimals = min(most, max([decimals, *needed]))

    def write(value: float) -> str:
        if not math.isfinite(value):
            return ""
        text = f"{value:.{decimals}f}"
        return f"<{10**-decimals:.{decimals}f}" if value > 0 and float(text) == 0 else text

    return write


def _decimals(value: float, digits: int) -> int:
    return max(0, digits - 1 - (math.floor(math.log10(value)) if value > 0 else 0))
