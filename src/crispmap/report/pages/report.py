"""The report: one self-contained HTML file about a project's maps.

The same data give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.evaluation.evaluation import Evaluation, chance_note
from crispmap.metrics import ConfusionMatrix
from crispmap.report.charts.steps import Curve, steps_svg
from crispmap.report.charts.training import training_svg
from crispmap.report.pages.answer import answer_of, between
from crispmap.report.pages.html import Picture, chart_markup, render_page, within_limit, write_page
from crispmap.report.pages.layout import Layout
from crispmap.report.pages.listing import groups_of
from crispmap.report.pages.page_pictures import (
    crop_view,
    error_pictures,
    extremes_of,
    gain_picture,
    heat_ramp,
    locator,
    overview_pictures,
    pictured_classes,
    steps_view,
    strip_view,
)
from crispmap.report.pages.report_data import MethodResult, ReportData
from crispmap.report.pages.verdict import words_of
from crispmap.report.pictures.maps import ERROR_COLOURS, GAIN_COLOURS
from crispmap.report.pictures.views import Overview, Whole
from crispmap.report.tables.evaluations import chance_tables, class_table, dice_table, summary_table
from crispmap.report.tables.images import image_table
from crispmap.report.tables.model import DASH
from crispmap.types import IGNORE

_MOST_IMAGES = 5  # best images, and worst images, in the list
_NO_PICTURE = 9.0  # the shape of nothing: words take the whole width
_LONE = {"right in both": "right", "wrong in both": "wrong", "not scored": "not scored"}  # of a map without a rival
_MOST_IN_MATRIX = 60  # classes of a confusion matrix that a page has room for


def write_report(path: str | Path, data: ReportData, *, force: bool = False) -> Path:
    """Write the report, complete or not at all, and return its path; a missing folder is created.

    It is one file of at most 3 MB. Large areas are thinned to 1,024 pixels a side, crops to 320, or less.

    Raises:
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    return write_page(path, render_report(data), force=force)


def render_report(data: ReportData) -> str:
    """Return the report as HTML text, of at most 3 MB: pictures are as large as that allows."""
    words = _words(data)
    return within_limit(lambda share: render_page("report.html.j2", words | _pictures(data, share)))


def _words(data: ReportData) -> dict[str, Any]:
    """Return all of the page but its pictures."""
    baseline = data.rethresholded if data.final is not None else None
    answer = answer_of(_named(data.best), None if baseline is None else _named(baseline), words_of(data), data.ahead)
    matrix = data.best.evaluation.confusion
    pictured, others = len(pictured_classes(data)), len(data.schema) - 1
    return {
        "title": data.title,
        "answer": answer if matrix.counts.any() else replace(answer, rows=(), more_classes=0),
        "interval": "" if data.ahead is None else between(data.ahead),
        "classes": [(one.name, one.colour) for one in data.schema],
        "summary": summary_table(data.evaluations),
        "dice": dice_table(data.evaluations),
        "chance": chance_tables(data.evaluations),
        "has_boundaries": bool(data.best.evaluation.widths_m),
        "images": image_table(data.images, _MOST_IMAGES) if data.images else None,
        "warnings": _warnings(data),
        "charts": _charts(data),
        "ramp": heat_ramp(),
        "error_colours": _swatches(ERROR_COLOURS),
        "fewer": pictured if pictured < others else 0,
        "per_class": class_table(data.evaluations),
        "confusion": _confusion(matrix) if len(data.schema) <= _MOST_IN_MATRIX else None,
        "final": data.best.name,
        "rethresholded": data.rethresholded is not None,
        "trainings": [
            (name, chart_markup(training_svg(curve, title=f"Training of the {name}")))
            for name, curve in data.trainings.items()
            if not curve.is_empty
        ],
        "timings": _timings(data.timings),
        "settings": groups_of(data.settings),
        "provenance": groups_of(data.provenance),
        "notes": list(data.notes),
    }


def _named(method: MethodResult) -> tuple[str, Evaluation]:
    return method.name, method.evaluation


def _swatches(colours: Mapping[str, tuple[int, int, int, int]]) -> list[tuple[str, str]]:
    return [(name, f"rgb({r} {g} {b} / {alpha / 255:.2f})") for name, (r, g, b, alpha) in colours.items()]


def _pictures(data: ReportData, share: float) -> dict[str, Any]:
    """Return the pictures of the page, at a share of their full size."""
    area = data.overview
    whole = None if area is None or area.place is None else Whole(area.image, area.place)
    panels = [strip_view(panel, data.schema, share) for panel in data.panels]
    view: dict[str, Any] = {
        "panels": panels,
        "extremes": extremes_of(panels),
        "crops": [crop_view(crop, number, data.schema, share) for number, crop in enumerate(data.crops, 1)],
        "steps": [steps_view(crop, data, share) for crop in data.crops if crop.heat or len(crop.steps) > 2],
        "errors": error_pictures(data, share),
        "locator": locator(whole, data.crops, share),
        "overview": [], "first": [], "gains": False, "place": "", "thinned": 1,
    }  # fmt: skip
    if area is None:
        return view | {"layout": Layout.of(1.0, 0) if len(panels) > 1 else Layout.of(_NO_PICTURE, 0)}
    shown = overview_pictures(area, data.schema, share)
    return view | _first_screen(data, area, shown, share)


def _first_screen(data: ReportData, area: Overview, shown: Sequence[Picture], share: float) -> dict[str, Any]:
    """Return what shows the whole area, and as much of it on the first screen as its shape leaves room for."""
    before, after = (one.name for one in (data.rethresholded or data.coarse, data.best))
    there = before in area.maps and after in area.maps
    layout = Layout.of(shown[0].ratio, len(shown))
    first = [] if len(data.panels) > 1 or not there else [gain_picture(area, data.schema, (before, after), share)]
    by_use = [one for name in (after, before, "reference", "image") for one in shown if one.caption == name]
    scored, lone = not (area.reference == IGNORE).all(), before == after
    colours = _swatches(GAIN_COLOURS)
    if lone:
        colours = [(_LONE[name], colour) for name, colour in colours if name in _LONE]
    rows = area.place.block.height if area.place is not None else area.reference.shape[0]
    return {
        "overview": shown,
        "first": [*first, *by_use][: layout.count] if first else [],
        "gains": scored,
        "gain_colours": colours,
        "layout": Layout.of(1.0, len(shown)) if len(data.panels) > 1 else layout,
        "place": "" if area.place is None else area.place.text,
        "thinned": -(-rows // shown[0].height),
    }


def _warnings(data: ReportData) -> list[str]:
    """Return warnings about the pixels behind the figures."""
    from markupsafe import Markup

    out = []
    for name, one in data.evaluations:
        if one.confusion.unmapped_px:
            pixels = _count(one.confusion.unmapped_px)
            have = "labelled pixel has" if one.confusion.unmapped_px == 1 else "labelled pixels have"
            out.append(f"{name}: {pixels} {have} no class in the map. The figures leave them out.")
    matrix = data.best.evaluation.confusion
    absent = np.flatnonzero(matrix.reference_px == 0)
    if absent.size and matrix.counts.any():
        names = Markup(", ").join(Markup("<bdi>{}</bdi>").format(data.schema[int(index)].name) for index in absent)
        out.append(Markup("The reference has no pixel of: {}.").format(names))
    note = chance_note(dict(data.evaluations))
    return [*out, note] if note else out


def _charts(data: ReportData) -> list[tuple[str, Any]]:
    """Return the charts over the steps; none without steps."""
    if len(data.curve) < 2 or data.rethresholded is None:
        return []
    rival = data.rethresholded.evaluation.confusion
    accuracies = [matrix.overall_accuracy for matrix in data.curve]
    charts = {
        "Mean IoU": [Curve("refined", [matrix.mean_iou for matrix in data.curve], baseline=rival.mean_iou)],
        "Overall accuracy": [Curve("refined", accuracies, baseline=rival.overall_accuracy)],
        "IoU of each class": [
            Curve(one.name, [float(matrix.iou[k]) for matrix in data.curve], one.colour, float(rival.iou[k]))
            for k, one in enumerate(data.schema)
        ],
    }
    return [
        (name, chart_markup(steps_svg(curves, title=f"{name} over the refinement steps", value_name=f"{name}, %")))
        for name, curves in charts.items()
    ]


def _confusion(matrix: ConfusionMatrix) -> dict[str, Any]:
    """Return the confusion matrix with its rows as shares of the reference class."""
    rows = []
    for name, counts in zip(matrix.class_names, matrix.counts.tolist(), strict=True):
        total = sum(counts)
        shares = [count / total if total else math.nan for count in counts]
        cells = [
            {
                "count": _count(count),
                "share": f"{share:.3f}" if total else "0",
                "percent": f"{100 * share:.1f} %" if total else DASH,
            }
            for count, share in zip(counts, shares, strict=True)
        ]
        rows.append((name, cells))
    return {"names": list(matrix.class_names), "rows": rows}


def _timings(timings: Mapping[str, float]) -> list[dict[str, str]]:
    """Return the stages with their seconds and their share of the longest, in percent."""
    longest = max(timings.values(), default=0.0)
    return [
        {
            "name": str(name),
            "seconds": f"{seconds:,.1f}".replace(",", "\u202f"),
            "share": f"{100 * seconds / longest if longest > 0 else 0:.1f}",
        }
        for name, seconds in timings.items()
    ]


def _count(value: int) -> str:
    """Return an integer in groups of three digits, separated by narrow no-break spaces."""
    return f"{value:,}".replace(",", "\u202f")
