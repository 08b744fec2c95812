"""A page of areas: tables, charts and what a sample says of them, in one file that loads nothing."""

from __future__ import annotations

from typing import Any

from crispmap.areas.table import KM2, AreaTable, Tables
from crispmap.report.charts.area import ClassBar, classes_svg, periods_svg
from crispmap.report.pages.html import chart_markup, render_page, sections_of
from crispmap.report.tables.area import accuracy_tables, area_tables

_SECTIONS = (("charts", "charts", "Charts"), ("accuracy", "accuracy", "Accuracy"), ("tables", "areas", "Areas"))


def render_areas(table: Tables) -> str:
    """Return a page of areas as HTML text; the same areas give the same text."""
    told = isinstance(table, AreaTable)
    view: dict[str, Any] = {
        "title": "Areas" if told else "Change",
        "lede": table.summary(),
        "charts": [(name, chart_markup(svg)) for name, svg in (_charts(table) if isinstance(table, AreaTable) else [])],
        "accuracy": accuracy_tables(table),
        "tables": area_tables(table),
        "told": told,
        "dated": isinstance(table, AreaTable) and table.is_dated,
    }
    return render_page("area.html.j2", view | {"sections": sections_of(view, _SECTIONS)})


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
