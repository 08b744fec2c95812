"""The report of a comparison: one self-contained HTML file that shows methods side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from crispmap.report.charts.roc import roc_svg
from crispmap.report.charts.steps import steps_svg
from crispmap.report.filters import counted
from crispmap.report.pages.comparison_data import ComparisonReport, FilterBank, LearnedFilter
from crispmap.report.pages.html import Picture, chart_markup, picture, render_page, sections_of, write_page
from crispmap.report.pages.listing import text_of
from crispmap.report.pages.page_pictures import CROP_SIDE_PX, heat_ramp, strip_view
from crispmap.report.pictures.maps import diverging_png
from crispmap.report.pictures.photos import every
from crispmap.report.tables.comparison import comparison_tables, verdict
from crispmap.report.tables.seeds import seed_tables, seed_verdict

_FEW_BLOCKS = 30
_MEAN_IOU = "Mean IoU, %"
_SECTIONS = (
    ("tables", "figures", "Figures"),
    ("rocs", "roc", "Receiver operating characteristics"),
    ("steps", "steps", "Over the steps"),
    ("strips", "maps", "Maps side by side"),
    ("banks", "filters", "What the filters do"),
    ("settings", "settings", "Settings"),
    ("notes", "notes", "Notes"),
)


def write_comparison(path: str | Path, data: ComparisonReport, *, force: bool = False) -> Path:
    """Write the report of a comparison as one HTML file, complete or not at all; return its path.

    Raises:
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    return write_page(path, render_comparison(data), force=force)


def render_comparison(data: ComparisonReport) -> str:
    """Return the report of a comparison as HTML text; the same data give the same text."""
    view: dict[str, Any] = {
        "title": data.title,
        "verdict": seed_verdict(data.seeds, data.own) or verdict(data.rows, data.own),
        "own": data.own,
        "classes": [(one.name, one.colour) for one in data.schema],
        "tables": [*seed_tables(data.seeds, data.own), *comparison_tables(data.rows, data.own)],
        "missing": [(one.name, one.text) for one in data.missing],
        "blocks": f"{data.blocks[0]} squares of {data.blocks[1]:.0f} m",
        "rough": data.blocks[0] < _FEW_BLOCKS,
        "rocs": [
            (name, chart_markup(roc_svg(lines, title=f"Receiver operating characteristics of {name}")))
            for name, lines in data.rocs.items()
            if lines
        ],
        "steps": [
            (name, chart_markup(steps_svg(curves, title=f"Mean IoU over the steps of {name}", value_name=_MEAN_IOU)))
            for name, curves in data.steps.items()
        ],
        "ramp": heat_ramp(),
        "strips": [strip_view(strip, data.schema) for strip in data.strips],
        "banks": [_bank(bank) for bank in data.banks],
        "settings": [(name, text_of(value)) for name, value in data.settings.items()],
        "notes": list(data.notes),
    }
    return render_page("comparison.html.j2", view | {"sections": sections_of(view, _SECTIONS)})


def _bank(bank: FilterBank) -> dict[str, Any]:
    """Return the filters of a bank with their pictures: by order, first derivatives first, then by share."""

    def strength(one: LearnedFilter) -> tuple[int, float]:
        order = one.nature.order
        return (3, 0.0) if order is None else ((2, 0, 1)[order], -one.nature.by_order[order])

    return {
        "title": bank.title,
        "summary": counted([one.nature for one in bank.filters]),
        "filters": [(one.name, one.nature.text, *_filter_pictures(one)) for one in sorted(bank.filters, key=strength)],
    }


def _filter_pictures(one: LearnedFilter) -> tuple[Picture, Picture]:
    weights = picture(diverging_png(one.nature.pattern), "", f"Weights of {one.name}")
    response = picture(diverging_png(every(one.response, CROP_SIDE_PX)), "", f"Response of {one.name}")
    return weights, response
