"""The figures of several maps side by side: in sum, and class by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from crispmap.errors import InputError
from crispmap.evaluation.evaluation import Evaluation
from crispmap.report.tables.model import Column, FigureTable, Head, section_of, table_of

Evaluations = Sequence[tuple[str, Evaluation]]  # the names of maps and their figures, in the order of the rows

_ColumnsOf = Callable[[Evaluations, int], list[Column[Evaluation]]]


def summary_table(evaluations: Evaluations, *, most_classes: int | None = None) -> FigureTable:
    """Return one row per map: overall accuracy, mean IoU, IoU of each class, mean boundary F1, the share not mapped.

    With more classes than ``most_classes``, none of them has a column.
    """
    first = evaluations[0][1]
    names = _shown(first.class_names, most_classes)
    columns: list[Column[Evaluation]] = [
        Column(Head("Overall accuracy"), lambda e: e.overall_accuracy),
        Column(Head("Mean IoU"), lambda e: e.mean_iou),
        *iou_columns(names),
        *boundary_f1_columns(first.widths_m),
    ]
    if any(one.unmapped_share for _, one in evaluations):
        columns.append(Column(Head("Not mapped"), lambda e: e.unmapped_share, best=None))
    return table_of("Figures of each map", "Map", columns, evaluations)


def dice_table(evaluations: Evaluations, *, most_classes: int | None = None) -> FigureTable:
    """Return one row per map: Dice over all pixels, mean and of each class, and per image where there are several.

    With more classes than ``most_classes``, none of them has a column.
    """
    names = _shown(evaluations[0][1].class_names, most_classes)
    columns: list[Column[Evaluation]] = [Column(Head("Mean Dice"), lambda e: e.mean_dice)]
    if _several_images(evaluations):
        columns.append(Column(Head("Dice per image"), lambda e: e.dice_per_image))
    columns += [_figure("Dice", name, lambda e, k: e.dice[k], index) for index, name in enumerate(names)]
    return table_of("Dice coefficients; over all pixels they are F1 scores", "Map", columns, evaluations)


def _shown(class_names: Sequence[str], most: int | None) -> Sequence[str]:
    return class_names if most is None or len(class_names) <= most else ()


def _several_images(evaluations: Evaluations) -> bool:
    return any(one.images.images > 1 for _, one in evaluations)


def iou_columns(class_names: Sequence[str]) -> list[Column[Evaluation]]:
    """Return a column of IoU for every class."""
    return [_figure("IoU", name, lambda e, k: e.iou[k], index) for index, name in enumerate(class_names)]


def boundary_f1_columns(widths_m: Sequence[float]) -> list[Column[Evaluation]]:
    """Return a column of boundary F1, the mean over the classes, for every width."""
    return [_figure("Boundary F1", f"{w:g} m", lambda e, k: e.boundary_f1[k], k) for k, w in enumerate(widths_m)]


def chance_tables(evaluations: Evaluations) -> list[FigureTable]:
    """Return one row per map: for every width the mean boundary F1, that of a random map, and the share above it.

    Where boundaries are compared at no width there is no table.
    """
    columns = [
        column
        for index, width in enumerate(evaluations[0][1].widths_m)
        for group in [f"At {width:g} m"]
        for column in (
            _figure(group, "F1", lambda e, k: e.boundary_f1[k], index),
            replace(_figure(group, "by chance", lambda e, k: e.boundary_chance[k], index), best=None),
            _figure(group, "above chance", lambda e, k: e.boundary_above_chance[k], index),
        )
    ]
    title = "Boundary F1 beside that of a random map of the same class shares"
    return [table_of(title, "Map", columns, evaluations)] if columns else []


def area_table(evaluations: Evaluations) -> FigureTable:
    """Return one row per map for every class: IoU, precision, recall, F1, and Dice where there are several images."""
    return _table_by_class(evaluations, _area_columns)


def boundary_table(evaluations: Evaluations) -> FigureTable:
    """Return one row per map for every class: boundary F1 and IoU, and relaxed precision and recall."""
    return _table_by_class(evaluations, _boundary_columns)


def class_table(evaluations: Evaluations) -> FigureTable:
    """Return one row per map for every class, with the figures of area and of boundaries."""
    return _table_by_class(evaluations, lambda one, k: _area_columns(one, k) + _boundary_columns(one, k))


def _table_by_class(evaluations: Evaluations, columns_of: _ColumnsOf) -> FigureTable:
    first = evaluations[0][1]
    by_class = [columns_of(evaluations, class_id) for class_id in range(len(first.class_names))]
    sections = [
        section_of(columns, evaluations, name) for columns, name in zip(by_class, first.class_names, strict=True)
    ]
    heads = [column.head for column in by_class[0]]
    return FigureTable("Figures of each class", "Map", heads, sections, "Class")


def _area_columns(evaluations: Evaluations, class_id: int) -> list[Column[Evaluation]]:
    columns = [
        _figure("", "IoU", lambda e, k: e.iou[k], class_id),
        _figure("", "Precision", lambda e, k: e.confusion.precision[k], class_id),
        _figure("", "Recall", lambda e, k: e.confusion.recall[k], class_id),
        _figure("", "F1", lambda e, k: e.confusion.f1[k], class_id),
    ]
    if _several_images(evaluations):
        columns.append(_figure("", "Dice per image", lambda e, k: e.images.by_class[k], class_id))
    return columns


def _boundary_columns(evaluations: Evaluations, class_id: int) -> list[Column[Evaluation]]:
    one = evaluations[0][1]
    widths = [(index, f"{width:g} m") for index, width in enumerate(one.widths_m)]
    relaxed = f"Relaxed, {one.relaxed.slack_px:g} px"
    return [
        *(_figure("Boundary F1", text, _at_width("f1", index), class_id) for index, text in widths),
        *(_figure("Boundary IoU", text, _at_width("iou", index), class_id) for index, text in widths),
        _figure(relaxed, "Precision", lambda e, k: e.relaxed.precision[k], class_id),
        _figure(relaxed, "Recall", lambda e, k: e.relaxed.recall[k], class_id),
    ]


def _at_width(figure: str, width: int) -> Callable[[Evaluation, int], float]:
    return lambda evaluation, class_id: getattr(evaluation.boundary, figure)[width, class_id]


def _figure(group: str, name: str, figure: Callable[[Evaluation, int], float], index: int) -> Column[Evaluation]:
    """Return a column of a figure taken at an index."""
    return Column(Head(name, group), lambda evaluation: float(figure(evaluation, index)))


def check_comparable(evaluations: Evaluations) -> None:
    """Raise InputError unless there are evaluations, all of the same classes, widths and slack."""
    if not evaluations:
        raise InputError("There is no map to show.", expected="at least one evaluation")
    for what, rules in (
        ("classes", {one.class_names for _, one in evaluations}),
        ("boundary widths", {one.widths_m for _, one in evaluations}),
        ("slack", {one.relaxed.slack_px for _, one in evaluations}),
    ):
        if len(rules) > 1:
            raise InputError(
                f"The maps have different {what}: {' and '.join(str(one) for one in sorted(rules, key=str))}.",
                expected=f"the same {what} for all maps of a table",
                remedy="evaluate all maps with the same settings",
            )
