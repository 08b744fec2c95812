"""The report: one self-contained HTML file about a project's maps.

The same data give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.evaluation.evaluation import chance_note
from crispmap.metrics import ConfusionMatrix
from crispmap.report.charts.steps import Curve, steps_svg
from crispmap.report.charts.training import training_svg
from crispmap.report.pages.html import chart_markup, render_page, sections_of, write_page
from crispmap.report.pages.listing import groups_of
from crispmap.report.pages.page_pictures import (
    crop_view,
    error_pictures,
    heat_ramp,
    overview_pictures,
    overview_thinning,
    strip_view,
)
from crispmap.report.pages.report_data import ReportData
from crispmap.report.pictures.maps import ERROR_COLOURS
from crispmap.report.tables.evaluations import chance_tables, class_table, dice_table, summary_table
from crispmap.report.tables.images import image_table
from crispmap.report.tables.model import DASH

_SECTIONS = (
    ("overview", "area", "The whole area"),
    ("summary", "figures", "Figures"),
    ("images", "images", "Image by image"),
    ("charts", "steps", "Over the steps"),
    ("crops", "crops", "Step by step"),
    ("errors", "errors", "Where the maps err"),
    ("per_class", "classes", "Class by class"),
    ("trainings", "training", "Over the training"),
    ("timings", "time", "Time taken"),
    ("settings", "settings", "Settings"),
    ("provenance", "provenance", "Provenance"),
    ("notes", "notes", "Notes"),
)

_MOST_IMAGES = 5  # best images, and worst images, in the list
_NOTHING = "There is no mean IoU: the reference and the maps have no pixel in common."


def write_report(path: str | Path, data: ReportData, *, force: bool = False) -> Path:
    """Write the report, complete or not at all, and return its path; a missing folder is created.

    Large areas are thinned to 1,024 pixels a side, crops to 320.

    Raises:
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    return write_page(path, render_report(data), force=force)


def render_report(data: ReportData) -> str:
    """Return the report as HTML text."""
    view: dict[str, Any] = {
        "title": data.title,
        "conclusion": _conclusion(data),
        "classes": [(one.name, one.colour) for one in data.schema],
        "overview": overview_pictures(data),
        "thinned": overview_thinning(data),
        "summary": summary_table(data.evaluations),
        "dice": dice_table(data.evaluations),
        "chance": chance_tables(data.evaluations),
        "has_boundaries": bool(data.best.evaluation.widths_m),
        "images": image_table(data.images, _MOST_IMAGES) if data.images else None,
        "panels": [strip_view(panel, data.schema) for panel in data.panels],
        "warnings": _warnings(data),
        "charts": _charts(data),
        "crops": [crop_view(crop, data.schema) for crop in data.crops],
        "ramp": heat_ramp(),
        "errors": error_pictures(data),
        "error_colours": [
            (name, f"rgb({r} {g} {b} / {alpha / 255:.2f})") for name, (r, g, b, alpha) in ERROR_COLOURS.items()
        ],
        "per_class": class_table(data.evaluations),
        "confusion": _confusion(data.best.evaluation.confusion),
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
    return render_page("report.html.j2", view | {"sections": sections_of(view, _SECTIONS)})


def _conclusion(data: ReportData) -> list[str]:
    """Return the result in words: what sharpening did, then the comparison with recalibration alone."""
    coarse, final = (100 * one.evaluation.mean_iou for one in (data.coarse, data.best))
    if not (math.isfinite(coarse) and math.isfinite(final)):
        return [_NOTHING]
    if data.final is None or data.rethresholded is None:
        return [f"The map reaches a mean IoU of {coarse:.1f} %."]
    rival = 100 * data.rethresholded.evaluation.mean_iou
    first = f"{data.sharpening} {_change(coarse, final)}"
    if not math.isfinite(rival):
        return [first + "."]
    verdict = _verdict(data.sharpening, round(final, 1) - round(rival, 1))
    return [f"{first}; re-thresholding alone reaches {rival:.1f} %.", verdict]


def _change(before: float, after: float) -> str:
    change = round(after, 1) - round(before, 1)
    if change == 0:
        return f"left mean IoU at {after:.1f} %"
    return f"{'raised' if change > 0 else 'lowered'} mean IoU from {before:.1f} to {after:.1f} %"


def _verdict(sharpening: str, ahead: float) -> str:
    if ahead == 0:
        return f"Here {sharpening[0].lower()}{sharpening[1:]} does no more than recalibration alone can do."
    place = "ahead of" if ahead > 0 else "behind"
    return f"{sharpening} is {abs(ahead):.1f} points {place} what recalibration alone can do."


def _warnings(data: ReportData) -> list[str]:
    """Return warnings about the pixels behind the figures."""
    out = []
    for name, one in data.evaluations:
        if one.confusion.unmapped_px:
            pixels = _count(one.confusion.unmapped_px)
            have = "labelled pixel has" if one.confusion.unmapped_px == 1 else "labelled pixels have"
            out.append(f"{name}: {pixels} {have} no class in the map. The figures leave them out.")
    absent = np.flatnonzero(data.best.evaluation.confusion.reference_px == 0)
    if absent.size:
        names = ", ".join(data.schema[int(index)].name for index in absent)
        out.append(f"The reference has no pixel of: {names}.")
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
