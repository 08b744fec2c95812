"""The report: one HTML file that shows and scores a coarse, a re-thresholded and a refined map.

The file loads nothing from anywhere: styles, pictures and charts are inside. The same data give the same
bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.errors import InputError, SchemaError
from crispmap.files.atomic import check_free, write_atomically
from crispmap.metrics import ConfusionMatrix
from crispmap.report.page import Picture, picture, render_page
from crispmap.report.plots import (
    ERROR_COLOURS,
    HEAT_LEVELS,
    Curve,
    class_map_png,
    class_rgb,
    curve_svg,
    data_uri,
    error_map_png,
    every,
    heat_png,
    photo_jpeg,
    strip_png,
)
from crispmap.types import FloatArray, LabelArray

if TYPE_CHECKING:  # showing figures needs none of the readers that making them needs
    from crispmap.evaluate.compare import Evaluation

DASH = "–"
"""What stands where there is no figure."""

_OVERVIEW_SIDE_PX = 1024
_ERROR_SIDE_PX = 640
_CROP_SIDE_PX = 320


@dataclass(frozen=True)
class MethodResult:
    """The figures of one map under the name it has in the report."""

    name: str
    evaluation: Evaluation


@dataclass(frozen=True)
class Crop:
    """A small piece of ground, followed through the refinement steps.

    Attributes:
        title: Any text.
        image: uint8 (3, row, col), see ``plots.rgb_preview``.
        reference: uint8 (row, col) class ids.
        steps: Class ids after each step, the coarse map first, the refined map last.
        heat: For any number of classes, by name: the probability (row, col), 0..1, after each step, as many
            as ``steps``.
        rethresholded: uint8 (row, col) class ids of the re-thresholded coarse map, where it is to be shown.
    """

    title: str
    image: NDArray[np.uint8]
    reference: LabelArray
    steps: Sequence[LabelArray]
    heat: Mapping[str, Sequence[FloatArray]] = field(default_factory=dict)
    rethresholded: LabelArray | None = None

    def __post_init__(self) -> None:
        if not self.steps:
            raise InputError(f"Crop {self.title!r} has no class map.", expected="at least the coarse one")
        extra = () if self.rethresholded is None else (self.rethresholded,)
        _check_shapes(f"Crop {self.title!r}", self.image, (self.reference, *self.steps, *extra))
        for name, planes in self.heat.items():
            if len(planes) != len(self.steps):
                raise InputError(
                    f"Crop {self.title!r}: {len(planes)} heat maps of {name!r}, {len(self.steps)} steps.",
                    expected="one heat map a step, the coarse one first",
                )
            _check_shapes(f"Crop {self.title!r}, heat of {name!r}", self.image, planes)


@dataclass(frozen=True)
class Overview:
    """The whole scored area: a picture uint8 (3, row, col) and four class maps uint8 (row, col)."""

    image: NDArray[np.uint8]
    reference: LabelArray
    coarse: LabelArray
    rethresholded: LabelArray
    refined: LabelArray

    def __post_init__(self) -> None:
        _check_shapes("The overview", self.image, (self.reference, self.coarse, self.rethresholded, self.refined))


@dataclass(frozen=True)
class ReportData:
    """Everything a report shows.

    Attributes:
        title: Any text.
        schema: The classes of every map in the report.
        coarse: Figures of the coarse map.
        rethresholded: Figures of the coarse map with class biases fitted on the refiner's training piece: the
            honest rival of the refined map, so a report is not made without it.
        refined: Figures of the refined map.
        others: Further rows of the table, shown before the refined map.
        curve: Confusion matrix after each step, the coarse map's first; empty for no chart.
        crops: Pieces of ground to look at closely.
        overview: The whole scored area, or None.
        settings: Nested mappings of anything printable.
        provenance: Nested mappings of anything printable: versions, seed, machine.
        timings: Seconds by stage, in order.
        notes: Paragraphs of text.
    """

    title: str
    schema: ClassSchema
    coarse: MethodResult
    rethresholded: MethodResult
    refined: MethodResult
    others: Sequence[MethodResult] = ()
    curve: Sequence[ConfusionMatrix] = ()
    crops: Sequence[Crop] = ()
    overview: Overview | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for matrix in (*(method.evaluation.confusion for method in self.methods), *self.curve):
            if tuple(matrix.class_names) != self.schema.names:
                raise SchemaError(
                    f"Figures of the classes {', '.join(matrix.class_names)}.",
                    expected=f"those of the report's schema: {', '.join(self.schema.names)}",
                )
        rules = {(e.boundary.widths_m, e.relaxed.slack_px) for e in (m.evaluation for m in self.methods)}
        if len(rules) > 1:
            raise InputError(
                f"Boundary figures of other widths (metres) and slacks (pixels): {sorted(rules)}.",
                expected="the same for every map",
                remedy="evaluate all maps with the same settings",
            )

    @property
    def methods(self) -> tuple[MethodResult, ...]:
        """The rows of the table: coarse, re-thresholded, others, refined."""
        return (self.coarse, self.rethresholded, *self.others, self.refined)


def _check_shapes(what: str, image: NDArray[np.uint8], planes: Sequence[NDArray[Any]]) -> None:
    """Refuse pictures of other shapes than their image."""
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"{what} has an image of shape {image.shape} and type {image.dtype}.",
            expected="uint8 (3, row, col)",
            remedy="make one from any image with plots.rgb_preview",
        )
    shapes = {plane.shape for plane in planes}
    if shapes != {image.shape[1:]}:
        raise InputError(
            f"{what} has maps of shapes {sorted(shapes)} and an image of shape {image.shape[1:]}.",
            expected="one shape for all",
        )


def write_report(path: str | Path, data: ReportData, *, force: bool = False) -> Path:
    """Write one HTML file that shows the data and loads nothing; return its path.

    The file appears whole or not at all. Its folder is made where it does not exist. Large areas are thinned
    to 1,024 pixels a side, crops to 320.

    Args:
        path: The file to write.
        data: What to show; every text in it is escaped.
        force: Whether to replace an existing file.

    Raises:
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    target = check_free(path, force=force)
    write_atomically(target, render_report(data).encode("utf-8"))
    return target


def compare_strip(
    path: str | Path, crops: Sequence[Crop], schema: ClassSchema, *, force: bool = False, tile_px: int = 256
) -> Path:
    """Write one PNG of crops as rows: image, reference, coarse map, refined map; return its path.

    Args:
        path: The file to write.
        crops: At least one.
        schema: The classes, for colours and legend.
        force: Whether to replace an existing file.
        tile_px: Side of one picture, in pixels.

    Raises:
        InputError: If there is no crop.
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    target = check_free(path, force=force)
    rows = [
        [
            crop.image,
            *(class_rgb(labels, schema) for labels in (crop.reference, crop.steps[0], crop.steps[-1])),
        ]
        for crop in crops
    ]
    legend = [(one.name, one.rgb) for one in schema]
    write_atomically(target, strip_png(rows, ("image", "reference", "coarse", "refined"), legend, tile_px=tile_px))
    return target


def render_report(data: ReportData) -> str:
    """Return the report as HTML text."""
    return render_page("report.html.j2", _view(data))


# --- what the template shows ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cell:
    """A figure of a table."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class _Column:
    """A column of figures: its group, its name, and the figure of an evaluation (and class)."""

    group: str
    name: str
    value: Callable[[Evaluation, int], float]


def _view(data: ReportData) -> dict[str, Any]:
    """Return the values of every name in the template."""
    view: dict[str, Any] = {
        "title": data.title,
        "lede": _lede(data),
        "classes": [(one.name, one.colour) for one in data.schema],
        "overview": _overview(data),
        "thinned": 1 if data.overview is None else -(-max(data.overview.reference.shape) // _OVERVIEW_SIDE_PX),
        "summary": _summary(data),
        "boundary_note": _boundary_note(data.refined.evaluation),
        "warnings": _warnings(data),
        "charts": _charts(data),
        "crops": [_crop(crop, data.schema) for crop in data.crops],
        "ramp": data_uri(heat_png(np.linspace(0, 1, HEAT_LEVELS, dtype=np.float32)[None])),
        "errors": _errors(data),
        "error_colours": [(name, _css(colour)) for name, colour in ERROR_COLOURS.items()],
        "per_class": _per_class(data),
        "confusion": _confusion(data.refined.evaluation.confusion),
        "timings": _timings(data.timings),
        "settings": _groups(data.settings),
        "provenance": _groups(data.provenance),
        "notes": list(data.notes),
    }
    names = {
        "overview": ("area", "The whole area"),
        "summary": ("figures", "Figures"),
        "charts": ("steps", "Over the steps"),
        "crops": ("crops", "Step by step"),
        "errors": ("errors", "Where the maps err"),
        "per_class": ("classes", "Class by class"),
        "timings": ("time", "Time taken"),
        "settings": ("settings", "Settings"),
        "provenance": ("provenance", "Provenance"),
        "notes": ("notes", "Notes"),
    }
    view["sections"] = [section for key, section in names.items() if view[key]]
    return view


def _lede(data: ReportData) -> list[str]:
    """Return the result in words, first what refinement did, then what of it recalibration alone would do."""
    methods = (data.coarse, data.rethresholded, data.refined)
    coarse, rival, refined = (100 * method.evaluation.confusion.mean_iou for method in methods)
    if not (math.isfinite(coarse) and math.isfinite(refined)):
        return ["There is no mean IoU: the reference and the maps have no pixel in common."]
    change = round(refined, 1) - round(coarse, 1)
    if change == 0:
        first = f"Refinement left mean IoU at {refined:.1f} %"
    else:
        verb = "raised" if change > 0 else "lowered"
        first = f"Refinement {verb} mean IoU from {coarse:.1f} to {refined:.1f} %"
    if not math.isfinite(rival):
        return [first + "."]
    ahead = round(refined, 1) - round(rival, 1)
    if ahead > 0:
        verdict = f"Refinement is {ahead:.1f} points ahead of what recalibration alone can do."
    elif ahead < 0:
        verdict = f"Refinement stays {-ahead:.1f} points behind what recalibration alone can do."
    else:
        verdict = "Refinement does here what recalibration alone can do, no more."
    return [f"{first}; re-thresholding alone reaches {rival:.1f} %.", verdict]


def _warnings(data: ReportData) -> list[str]:
    """Return what a reader must know about the pixels behind the figures."""
    out = []
    for method in data.methods:
        holes = method.evaluation.confusion.unmapped_px
        if holes:
            out.append(
                f"{method.name}: {_count(holes)} pixels of the reference have no class in the map. "
                "The figures leave them out."
            )
    absent = np.flatnonzero(data.refined.evaluation.confusion.counts.sum(axis=1) == 0)
    if absent.size:
        names = ", ".join(data.schema[int(index)].name for index in absent)
        out.append(f"The reference holds no pixel of: {names}.")
    return out


def _css(colour: tuple[int, int, int, int]) -> str:
    """Return an RGBA colour as CSS."""
    return f"rgb({colour[0]} {colour[1]} {colour[2]} / {colour[3] / 255:.2f})"


# --- tables -----------------------------------------------------------------------------------------------


def _percent(value: float) -> str:
    """Return a share as a percentage with two decimals, or a dash."""
    return f"{100 * value:.2f}" if math.isfinite(value) else DASH


def _count(value: int) -> str:
    """Return a whole number in groups of three digits, parted by narrow spaces that do not break."""
    return f"{value:,}".replace(",", "\u202f")


def _cells(columns: Sequence[_Column], methods: Sequence[MethodResult], class_id: int = 0) -> list[list[_Cell]]:
    """Return rows of figures, the best of each column marked where they differ."""
    marked = []
    for column in columns:
        values = [float(column.value(method.evaluation, class_id)) for method in methods]
        texts = [_percent(value) for value in values]
        known = [value for value in values if math.isfinite(value)]
        best = _percent(max(known)) if len({_percent(value) for value in known}) > 1 else None
        marked.append([_Cell(text, text == best) for text in texts])
    return [list(row) for row in zip(*marked, strict=True)]


def _heads(columns: Sequence[_Column]) -> list[tuple[str, int]]:
    """Return the groups of neighbouring columns and how many each spans."""
    return [(group, len(list(members))) for group, members in groupby(columns, key=lambda column: column.group)]


def _iou_column(class_id: int, name: str) -> _Column:
    """Return the column of one class's IoU."""
    return _Column("IoU", name, lambda e, _: e.confusion.iou[class_id])


def _mean_boundary_columns(evaluation: Evaluation) -> list[_Column]:
    """Return a column of boundary F1, mean over the classes, for every width."""

    def column(index: int, width_m: float) -> _Column:
        return _Column("Boundary F1", f"{width_m:g} m", lambda e, _: e.boundary_f1[index])

    return [column(index, width_m) for index, width_m in enumerate(evaluation.boundary.widths_m)]


def _boundary_columns(evaluation: Evaluation) -> list[_Column]:
    """Return the columns of one class's boundary figures at every width, and its relaxed figures."""

    def f1(index: int, width_m: float) -> _Column:
        return _Column("Boundary F1", f"{width_m:g} m", lambda e, k: e.boundary.f1[index, k])

    def iou(index: int, width_m: float) -> _Column:
        return _Column("Boundary IoU", f"{width_m:g} m", lambda e, k: e.boundary.iou[index, k])

    relaxed = f"Relaxed, {evaluation.relaxed.slack_px:g} px"
    widths = list(enumerate(evaluation.boundary.widths_m))
    return [
        *(f1(*width) for width in widths),
        *(iou(*width) for width in widths),
        _Column(relaxed, "Precision", lambda e, k: e.relaxed.precision[k]),
        _Column(relaxed, "Recall", lambda e, k: e.relaxed.recall[k]),
    ]


def _boundary_note(evaluation: Evaluation) -> str:
    """Return what the boundary figures mean."""
    if not evaluation.boundary.widths_m:
        return ""
    return (
        "Boundary F1 asks how much of the outlines of map and reference lies within the stated width of the "
        "other, on the ground; here its mean over the classes."
    )


def _summary(data: ReportData) -> dict[str, Any]:
    """Return the table of the paper: one row a map."""
    columns = [
        _Column("", "Overall accuracy", lambda e, _: e.confusion.overall_accuracy),
        _Column("", "Mean IoU", lambda e, _: e.confusion.mean_iou),
        *(_iou_column(index, name) for index, name in enumerate(data.schema.names)),
        *_mean_boundary_columns(data.refined.evaluation),
    ]
    rows = zip((method.name for method in data.methods), _cells(columns, data.methods), strict=True)
    return {"groups": _heads(columns), "columns": [c.name for c in columns], "rows": list(rows)}


def _per_class(data: ReportData) -> dict[str, Any]:
    """Return the table of every figure by class, one row a map in each."""
    columns = [
        _Column("", "IoU", lambda e, k: e.confusion.iou[k]),
        _Column("", "Precision", lambda e, k: e.confusion.precision[k]),
        _Column("", "Recall", lambda e, k: e.confusion.recall[k]),
        _Column("", "F1", lambda e, k: e.confusion.f1[k]),
        *_boundary_columns(data.refined.evaluation),
    ]
    names = [method.name for method in data.methods]
    classes = [
        (name, list(zip(names, _cells(columns, data.methods, class_id), strict=True)))
        for class_id, name in enumerate(data.schema.names)
    ]
    return {"groups": _heads(columns), "columns": [c.name for c in columns], "classes": classes}


def _confusion(matrix: ConfusionMatrix) -> dict[str, Any]:
    """Return the confusion matrix with its rows as shares of the reference class."""
    rows = []
    for name, counts in zip(matrix.class_names, matrix.counts.tolist(), strict=True):
        total = sum(counts)
        rows.append(
            (
                name,
                [
                    {
                        "count": _count(count),
                        "share": f"{count / total if total else 0:.3f}",
                        "percent": f"{100 * count / total:.1f} %" if total else DASH,
                    }
                    for count in counts
                ],
            )
        )
    return {"names": list(matrix.class_names), "rows": rows}


def _timings(timings: Mapping[str, float]) -> list[dict[str, str]]:
    """Return the stages with their seconds and their share of the longest."""
    longest = max(timings.values(), default=0.0)
    return [
        {
            "name": str(name),
            "seconds": f"{seconds:,.1f}".replace(",", "\u202f"),
            "share": f"{100 * seconds / longest if longest > 0 else 0:.1f}",
        }
        for name, seconds in timings.items()
    ]


def _groups(entries: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return nested mappings as groups of (name, text): plain entries first, then one group a mapping."""
    nested = {str(key): _members(value) for key, value in entries.items()}
    plain = [(str(key), _text(value)) for key, value in entries.items() if not nested[str(key)]]
    groups = [(name, list(_flat(members, ()))) for name, members in nested.items() if members]
    return ([("", plain)] if plain else []) + groups


def _flat(entries: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested mappings under their joined names."""
    for key, value in entries.items():
        here = (*path, str(key))
        members = _members(value)
        if members:
            yield from _flat(members, here)
        else:
            yield " · ".join(here), _text(value)


def _members(value: object) -> Mapping[str, Any]:
    """Return a mapping as it is, a list of mappings under the numbers 1, 2, …, and nothing for all else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        return {str(number): item for number, item in enumerate(value, start=1)}
    return {}


def _text(value: object) -> str:
    """Return a setting as a reader would write it."""
    if value is None or value in ("", {}) or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (set, frozenset)):
        return ", ".join(sorted(_text(item) for item in value)) or DASH
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value) or DASH
    return str(value)


# --- pictures ---------------------------------------------------------------------------------------------


def _overview(data: ReportData) -> list[Picture]:
    """Return the five pictures of the whole area."""
    area = data.overview
    if area is None:
        return []
    maps = {
        "Reference": area.reference,
        data.coarse.name: area.coarse,
        data.rethresholded.name: area.rethresholded,
        data.refined.name: area.refined,
    }
    photo = photo_jpeg(area.image, max_side_px=_OVERVIEW_SIDE_PX)
    return [picture(photo, "Image", "Image of the whole area")] + [
        picture(class_map_png(every(labels, _OVERVIEW_SIDE_PX), data.schema), name, f"{name}, whole area")
        for name, labels in maps.items()
    ]


def _errors(data: ReportData) -> list[tuple[str, list[Picture]]]:
    """Return, for each class but the background, where the three maps err."""
    area = data.overview
    if area is None:
        return []
    maps = {
        data.coarse.name: area.coarse,
        data.rethresholded.name: area.rethresholded,
        data.refined.name: area.refined,
    }
    reference = every(area.reference, _ERROR_SIDE_PX)
    return [
        (
            one.name,
            [
                picture(
                    error_map_png(every(labels, _ERROR_SIDE_PX), reference, class_id),
                    name,
                    f"{name}: hits, misses and false alarms of {one.name}",
                )
                for name, labels in maps.items()
            ],
        )
        for class_id, one in enumerate(data.schema)
        if class_id > 0
    ]


def _crop(crop: Crop, schema: ClassSchema) -> dict[str, Any]:
    """Return one crop's pictures: class maps in a row, heat maps of each class below."""

    def class_map(labels: LabelArray, name: str) -> Picture:
        content = class_map_png(every(labels, _CROP_SIDE_PX), schema)
        return picture(content, name, f"{crop.title}: {name}")

    names = [_step_name(step, len(crop.steps) - 1) for step in range(len(crop.steps))]
    photo = photo_jpeg(crop.image, max_side_px=_CROP_SIDE_PX)
    before = [picture(photo, "image", f"{crop.title}: image"), class_map(crop.reference, "reference")]
    if crop.rethresholded is not None:
        before.append(class_map(crop.rethresholded, "re-thresholded"))
    heats = [
        {
            "name": name,
            "pictures": [
                picture(
                    heat_png(every(plane, _CROP_SIDE_PX)),
                    step,
                    f"{crop.title}: probability of {name}, {step}",
                )
                for plane, step in zip(planes, names, strict=True)
            ],
        }
        for name, planes in crop.heat.items()
    ]
    maps = before + [class_map(labels, name) for labels, name in zip(crop.steps, names, strict=True)]
    return {"title": crop.title, "maps": maps, "heats": heats, "columns": len(maps), "before": len(before)}


def _step_name(step: int, last: int) -> str:
    """Return what a step is called under its pictures."""
    if step == 0:
        return "coarse"
    return f"step {step}, refined" if step == last else f"step {step}"


def _charts(data: ReportData) -> list[tuple[str, Any]]:
    """Return the charts over the steps, none where there is no step."""
    from markupsafe import Markup

    if len(data.curve) < 2:
        return []
    rival = data.rethresholded.evaluation.confusion
    charts = {
        "Mean IoU, %": [Curve("refined", [m.mean_iou for m in data.curve], baseline=rival.mean_iou)],
        "Overall accuracy, %": [
            Curve("refined", [m.overall_accuracy for m in data.curve], baseline=rival.overall_accuracy)
        ],
        "IoU of each class, %": [
            Curve(one.name, [float(m.iou[k]) for m in data.curve], one.colour, float(rival.iou[k]))
            for k, one in enumerate(data.schema)
        ],
    }
    # curve_svg escapes its texts, so its markup may stand in the page as it is.
    return [
        (name, Markup(curve_svg(curves, title=f"{name} over the refinement steps")))  # noqa: S704
        for name, curves in charts.items()
    ]
