"""A page of areas: tables, charts and what a sample says of them, in one file that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crispmap.areas.table import KM2, AreaTable, Tables
from crispmap.report.charts.area import ClassBar, classes_svg, periods_svg
from crispmap.report.pages.html import chart_markup, render_page
from crispmap.report.tables.area import accuracy_tables, area_tables
from crispmap.report.tables.model import FigureTable

_MOST_ROWS, _MOST_COLUMNS = 16, 10  # of a table on the first screen


def render_areas(table: Tables) -> str:
    """Return a page of areas as HTML text; the same areas give the same text."""
    areas = table if isinstance(table, AreaTable) else None
    charts = [] if areas is None else [(name, chart_markup(svg)) for name, svg in _charts(areas)]
    accuracy, tables = accuracy_tables(table), area_tables(table)
    first = accuracy[0] if accuracy else _first(tables, charts)
    view: dict[str, Any] = {
        "title": "Change" if areas is None else "Areas",
        "lede": table.summary(),
        "first": first,
        "chart": charts[0] if charts else None,
        "charts": charts[1:],
        "accuracy": accuracy,
        "tables": [one for one in tables if one is not first],
        "is_change": areas is None,
        "dated": areas is not None and areas.is_dated,
    }
    return render_page("area.html.j2", view)


def _first(tables: Sequence[FigureTable], charts: Sequence[tuple[str, Any]]) -> FigureTable | None:
    """Return the table that the first screen shows, of the class of its chart; None if it is too large."""
    titles = [name for name, _ in charts[:1]]
    one = next((table for table in tables if table.title in titles), tables[0])
    fits = len(one.rows) <= _MOST_ROWS and len(one.heads) <= _MOST_COLUMNS
    return one if fits else None


def _charts(table: AreaTable) -> list[tuple[str, str]]:
    """Return a chart of all classes or, where there are several periods, one of each class that is there."""
    if len(table.periods) > 1:
        by_class = zip(table.schema.names, (table.area_m2 / KM2).transpose(2, 0, 1), strict=True)
        return [
            (f"{name}, km2", periods_svg(table.periods, table.regions, km2, title=f"Area of {name}"))
            for name, km2 in by_class
            if km2.any()
        ]
    corrected = None if table.accuracy is None else table.accuracy.area_m2
    values = table.area_m2[0].sum(axis=0) if corrected is None else table.mapped_m2[0]
    bars = [
        ClassBar(one.name, one.colour, float(values[k]) / KM2, None if corrected is None else corrected[k].scaled(1e-6))
        for k, one in enumerate(table.schema)
    ]
    return [("Area of each class, km2", classes_svg(bars, title="Areas"))]
