"""The images of a data set, from the best mapped to the worst."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from crispmap.evaluation.evaluation import Evaluation
from crispmap.report.tables.evaluations import Evaluations, iou_columns
from crispmap.report.tables.model import DASH, Column, FigureTable, Head, section_of

T = TypeVar("T")


def ranked(evaluations: Iterable[tuple[str, Evaluation]]) -> dict[str, Evaluation]:
    """Return evaluations by name, from the highest mean IoU to the lowest; last those without one."""

    def place(one: tuple[str, Evaluation]) -> tuple[float, str]:
        score = one[1].mean_iou
        return (-score if math.isfinite(score) else math.inf), one[0]

    return dict(sorted(evaluations, key=place))


def ends(ranks: Sequence[T], most: int) -> tuple[Sequence[T], Sequence[T]]:
    """Return up to ``most`` from the start and from the end, none of them twice."""
    best = ranks[:most]
    return best, ranks[max(len(best), len(ranks) - most) :]


def panel_title(name: str, evaluation: Evaluation) -> str:
    """Return an image's name with its scores."""
    shares = {"mean IoU": evaluation.mean_iou, "mean Dice": evaluation.mean_dice}
    shown = (f"{what} {100 * share:.1f} %" if math.isfinite(share) else DASH for what, share in shares.items())
    return f"Image {name}: {', '.join(shown)}"


def image_table(ranks: Evaluations, most: int) -> tuple[FigureTable, int]:
    """Return one row for each of the best and the worst images, ``most`` of each, and how many lie between."""
    columns: list[Column[Evaluation]] = [
        Column(Head("Mean IoU"), lambda e: e.mean_iou),
        Column(Head("Mean Dice"), lambda e: e.mean_dice),
        Column(Head("Overall accuracy"), lambda e: e.overall_accuracy),
        *iou_columns(ranks[0][1].class_names),
    ]
    columns = [replace(column, best=None) for column in columns]
    best, worst = ends(ranks, most)
    between = len(ranks) - len(best) - len(worst)
    parts = [("Best", best), ("Worst", worst)] if between else [("", [*best, *worst])]
    sections = [section_of(columns, rows, name) for name, rows in parts]
    return FigureTable("Figures of each image", "Image", [one.head for one in columns], sections), between
