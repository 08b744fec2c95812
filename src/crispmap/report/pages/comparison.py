"""The report of a comparison: one self-contained HTML file that shows methods side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from crispmap.report.charts.roc import roc_svg
from crispmap.report.charts.steps import steps_svg
from crispmap.report.filters import counted
from crispmap.report.pages.comparison_data import ComparisonReport, FilterBank, LearnedFilter
from crispmap.report.pages.html import Picture, chart_markup, picture, render_page, within_limit, write_page
from crispmap.report.pages.listing import groups_of
from crispmap.report.pages.method_ranks import answer_of_methods, ranks_of
from crispmap.report.pages.page_pictures import CROP_SIDE_PX, heat_ramp, locator, strip_view
from crispmap.report.pictures.maps import diverging_png
from crispmap.report.pictures.photos import every
from crispmap.report.tables.comparison import RETHRESHOLDED, comparison_tables, winner
from crispmap.report.tables.evaluations import class_table
from crispmap.report.tables.seeds import seed_tables, seed_verdict

_FEW_BLOCKS = 30
_MEAN_IOU = "Mean IoU, %"
_FIRST_SIDE_SHARE = 0.8  # pictures of the first screen, of the size of those below


def write_comparison(path: str | Path, data: ComparisonReport, *, force: bool = False) -> Path:
    """Write the report of a comparison as one HTML file, complete or not at all; return its path.

    Raises:
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    return write_page(path, render_comparison(data), force=force)


def render_comparison(data: ComparisonReport) -> str:
    """Return the report of a comparison as HTML text, of at most 3 MB; the same data give the same text."""
    words = _words(data)
    return within_limit(lambda share: render_page("comparison.html.j2", words | _pictures(data, share)))


def _words(data: ComparisonReport) -> dict[str, Any]:
    """Return all of the page but its pictures."""
    return {
        "title": data.title,
        "answer": answer_of_methods(data.rows, data.own, seed_verdict(data.seeds, data.own)),
        "ranks": ranks_of(data.rows),
        "own": data.own,
        "classes": [(one.name, one.colour) for one in data.schema],
        "tables": [*seed_tables(data.seeds, data.own), *comparison_tables(data.rows, data.own)],
        "per_class": class_table([(row.name, row.evaluation) for row in data.rows]),
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
        "settings": groups_of(data.settings),
        "notes": list(data.notes),
    }


def _pictures(data: ComparisonReport, share: float) -> dict[str, Any]:
    """Return the pictures of the page, at a share of their full size."""
    strips = [strip_view(strip, data.schema, share) for strip in data.strips]
    return {
        "strips": strips,
        "first": _first(data, share),
        "locator": locator(data.whole, data.strips, share),
        "banks": [_bank(bank, share) for bank in data.banks],
    }


def _first(data: ComparisonReport, share: float) -> dict[str, Any] | None:
    """Return the first piece as the best map and its baseline show it, and its class maps side by side."""
    best = winner(data.rows)
    if not data.strips or best is None:
        return None
    strip, alone = data.strips[0], best.name.partition("+")[0].removesuffix(RETHRESHOLDED)
    names = dict.fromkeys(name for name in ("reference", alone, best.name) if name in strip.maps)
    few = replace(strip, maps={name: strip.maps[name] for name in names}, activations={})
    return strip_view(few, data.schema, _FIRST_SIDE_SHARE * share)


def _bank(bank: FilterBank, share: float) -> dict[str, Any]:
    """Return the filters of a bank with their pictures: by order, first derivatives first, then by share."""

    def strength(one: LearnedFilter) -> tuple[int, float]:
        order = one.nature.order
        return (3, 0.0) if order is None else ((2, 0, 1)[order], -one.nature.by_order[order])

    return {
        "title": bank.title,
        "summary": counted([one.nature for one in bank.filters]),
        "filters": [
            (one.name, one.nature.text, *_filter_pictures(one, share)) for one in sorted(bank.filters, key=strength)
        ],
    }


def _filter_pictures(one: LearnedFilter, share: float) -> tuple[Picture, Picture]:
    weights = picture(diverging_png(one.nature.pattern), "", f"Weights of {one.name}", kind="marks")
    response = picture(
        diverging_png(every(one.response, round(CROP_SIDE_PX * share))), "", f"Response of {one.name}", kind="marks"
    )
    return weights, response
