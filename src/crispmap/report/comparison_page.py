"""The report of a comparison: one HTML file that shows methods side by side and loads nothing."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from crispmap.classes import ClassSchema
from crispmap.errors import InputError
from crispmap.files.atomic import check_free, write_atomically
from crispmap.report.comparison import (
    COST_COLUMNS,
    Cell,
    Column,
    Missing,
    Row,
    cells_of,
    interval_texts,
    priced,
    quality_columns,
    verdict,
)
from crispmap.report.filters import FilterNature, counted
from crispmap.report.page import Picture, picture, render_page
from crispmap.report.plots import Curve, class_map_png, curve_svg, every, photo_jpeg
from crispmap.report.roc_chart import RocLine, key_svg, roc_svg
from crispmap.types import FloatArray, LabelArray

_CROP_SIDE_PX = 320
_MOST_OVERSHOOT = 3.0


@dataclass(frozen=True)
class Strip:
    """A small piece of ground as every method maps it.

    Attributes:
        title: Any text.
        image: uint8 (3, row, col).
        maps: Class ids uint8 (row, col) by name, the reference first.
    """

    title: str
    image: NDArray[np.uint8]
    maps: Mapping[str, LabelArray]


@dataclass(frozen=True)
class LearnedFilter:
    """A learned filter.

    Attributes:
        name: What it is called, such as "M 3".
        nature: What it does.
        response: (row, col) what it answers on a piece of ground.
    """

    name: str
    nature: FilterNature
    response: FloatArray


@dataclass(frozen=True)
class FilterBank:
    """The filters of one kind.

    Attributes:
        title: What they read.
        filters: All of them.
    """

    title: str
    filters: Sequence[LearnedFilter]


@dataclass(frozen=True)
class ComparisonReport:
    """Everything the report of a comparison shows.

    Attributes:
        title: Any text.
        schema: The classes.
        rows: The maps, at least one.
        missing: The methods without figures.
        own: The name of the method the others are compared with.
        blocks: Number and side, in metres, of the bootstrap blocks.
        rocs: By class name, the lines of its chart.
        steps: By name of a refiner, mean IoU over its steps.
        strips: Pieces of ground to look at closely.
        banks: The filters of the own method, or none.
        settings: Names and values, anything printable.
        notes: Paragraphs of text.

    Raises:
        InputError: If there is no row.
    """

    title: str
    schema: ClassSchema
    rows: Sequence[Row]
    missing: Sequence[Missing]
    own: str
    blocks: tuple[int, float]
    rocs: Mapping[str, Sequence[RocLine]] = field(default_factory=dict)
    steps: Mapping[str, Sequence[Curve]] = field(default_factory=dict)
    strips: Sequence[Strip] = ()
    banks: Sequence[FilterBank] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_rows(self.rows)


def check_rows(rows: Sequence[Row]) -> None:
    """Check that there is a map to report.

    Raises:
        InputError: If there is none.
    """
    if not rows:
        raise InputError(
            "No method of the comparison is finished, so there is nothing to report.",
            expected="at least one method with figures",
            remedy="run the comparison first",
        )


def write_comparison(path: str | Path, data: ComparisonReport, *, force: bool = False) -> Path:
    """Write the report of a comparison as one HTML file, whole or not at all; return its path.

    Raises:
        OutputError: If the path exists and ``force`` is not given, or cannot be written.
    """
    target = check_free(path, force=force)
    write_atomically(target, render_comparison(data).encode("utf-8"))
    return target


def render_comparison(data: ComparisonReport) -> str:
    """Return the report of a comparison as HTML text; the same data give the same text."""
    view: dict[str, Any] = {
        "title": data.title,
        "verdict": verdict(data.rows, data.own),
        "own": data.own,
        "classes": [(one.name, one.colour) for one in data.schema],
        "tables": _tables(data),
        "missing": [(one.name, one.text) for one in data.missing],
        "blocks": f"{data.blocks[0]} squares of {data.blocks[1]:.0f} m",
        "rough": data.blocks[0] < 30,
        "rocs": _rocs(data),
        "steps": _steps(data),
        "strips": [_strip(strip, data.schema) for strip in data.strips],
        "banks": [_bank(bank) for bank in data.banks],
        "settings": [(name, str(value)) for name, value in data.settings.items()],
        "notes": list(data.notes),
    }
    names = {
        "tables": ("figures", "Figures"),
        "rocs": ("roc", "Receiver operating characteristics"),
        "steps": ("steps", "Over the steps"),
        "strips": ("maps", "Maps side by side"),
        "banks": ("filters", "What the filters do"),
        "settings": ("settings", "Settings"),
        "notes": ("notes", "Notes"),
    }
    view["sections"] = [section for key, section in names.items() if view[key]]
    return render_page("comparison.html.j2", view)


@dataclass(frozen=True)
class _Table:
    """A table of the page."""

    title: str
    heads: list[str]
    rows: list[tuple[str, list[Cell]]]


def _tables(data: ComparisonReport) -> list[_Table]:
    spans = [(row.name, [Cell(text) for text in interval_texts(row)]) for row in data.rows]
    heads = ["Overall accuracy", "Mean IoU", f"Mean IoU ahead of {data.own}"]
    tables = [
        _table("Quality, in percent; AUC as a share", quality_columns(data.rows), data.rows),
        _Table("95 % intervals, in percent and points", heads, spans),
    ]
    costly = priced(data.rows)
    return [*tables, _table("What methods take", COST_COLUMNS, costly)] if costly else tables


def _table(title: str, columns: Sequence[Column], rows: Sequence[Row]) -> _Table:
    cells = cells_of(columns, rows)
    return _Table(title, [column.head for column in columns], [(r.name, c) for r, c in zip(rows, cells, strict=True)])


def _rocs(data: ComparisonReport) -> list[dict[str, Any]]:
    from markupsafe import Markup

    # The charts escape their texts, so their markup may stand in the page as it is.
    return [
        {
            "name": name,
            "svg": Markup(roc_svg(lines, title=f"Receiver operating characteristics of {name}")),  # noqa: S704
            "keys": [(Markup(key_svg(one.colour, one.dash)), one.name, one.auc) for one in lines],  # noqa: S704
        }
        for name, lines in data.rocs.items()
        if lines
    ]


def _steps(data: ComparisonReport) -> list[tuple[str, Any]]:
    from markupsafe import Markup

    return [
        (name, Markup(curve_svg(curves, title=f"Mean IoU over the steps of {name}")))  # noqa: S704
        for name, curves in data.steps.items()
    ]


def _strip(strip: Strip, schema: ClassSchema) -> dict[str, Any]:
    photo = photo_jpeg(strip.image, max_side_px=_CROP_SIDE_PX)
    pictures = [picture(photo, "image", f"{strip.title}: image")]
    for name, labels in strip.maps.items():
        pictures.append(picture(class_map_png(every(labels, _CROP_SIDE_PX), schema), name, f"{strip.title}: {name}"))
    return {"title": strip.title, "pictures": pictures}


def _bank(bank: FilterBank) -> dict[str, Any]:
    def strength(one: LearnedFilter) -> tuple[int, float]:
        order = one.nature.order
        return (3, 0.0) if order is None else ((2, 0, 1)[order], -one.nature.by_order[order])

    shown = sorted(bank.filters, key=strength)
    return {
        "title": bank.title,
        "summary": counted([one.nature for one in bank.filters]),
        "filters": [(one.name, one.nature.text, *_filter_pictures(one)) for one in shown],
    }


def _filter_pictures(one: LearnedFilter) -> tuple[Picture, Picture]:
    weights = picture(diverging_png(one.nature.pattern), "", f"Weights of {one.name}")
    response = picture(diverging_png(every(one.response, _CROP_SIDE_PX)), "", f"Answer of {one.name}")
    return weights, response


def diverging_png(values: NDArray[np.floating[Any]]) -> bytes:
    """Return values as a picture: white at 0, red above, blue below, full at 3 times their root mean square.

    Args:
        values: (row, col), finite.
    """
    scale = _MOST_OVERSHOOT * math.sqrt(float((np.asarray(values, np.float64) ** 2).mean())) or 1.0
    share = np.clip(np.asarray(values, np.float64) / scale, -1, 1)
    fading = (255 * (1 - np.abs(share)))[..., None]
    end = np.where(share[..., None] >= 0, (178, 24, 43), (33, 102, 172))
    colours = np.rint(fading + np.abs(share)[..., None] * end).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).quantize(64).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
