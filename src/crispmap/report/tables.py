"""The figures of several maps side by side as text: in columns on a terminal, plain elsewhere.

All figures are percentages with two decimals. On a terminal the best of each column is bold, where the maps
differ.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from crispmap.errors import InputError
from crispmap.evaluate.compare import Evaluation

DASH = "-"
"""What stands where there is no figure."""

_CLASSES_IN_SUMMARY = 8  # more do not fit a terminal; they are in the table by class

_WIDE = 10_000
_NAME_WIDTH = 8
_LONGEST_WORD = 24


@dataclass(frozen=True)
class _Column:
    """A head, and the figure below it; the largest is best unless it is a share of something missed."""

    head: str
    figure: Callable[[Evaluation], float]
    ranked: bool = True


def print_evaluations(evaluations: Mapping[str, Evaluation], console: Console | None = None) -> None:
    """Print the summary of maps by name, their figures by class, and their boundary figures by class.

    Args:
        evaluations: Name of each map and its figures, in the order of the rows.
        console: Where to print; standard output by default.

    Raises:
        InputError: If there is no map, or maps are of other classes or compared at other widths.
    """
    _check_alike(evaluations)
    console = console or Console(highlight=False)
    for table in (summary_table(evaluations), class_table(evaluations), boundary_table(evaluations)):
        print_table(table, console)


def print_table(table: Table, console: Console) -> None:
    """Print a table whose first column "Map" holds names: in columns on a terminal, plain elsewhere."""
    if console.is_terminal:
        _print_in_columns(table, console)
    else:
        _print_plain(table, console)


def summary_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """Return one row a map: overall accuracy, mean IoU, IoU of each class and mean boundary F1."""
    columns = _summary_columns(list(evaluations.values()))
    table = _table(columns, Map=evaluations)
    for name, cells in zip(evaluations, _cells(columns, list(evaluations.values())), strict=True):
        table.add_row(Text(name), *cells)
    return table


def class_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """Return one row a map for every class: IoU, precision, recall and F1."""
    return _table_by_class(evaluations, lambda _, class_id: _area_columns(class_id))


def boundary_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """Return one row a map for every class: boundary F1 and IoU, and relaxed precision and recall."""
    return _table_by_class(evaluations, _boundary_columns)


def _table_by_class(
    evaluations: Mapping[str, Evaluation], columns_of: Callable[[Evaluation, int], list[_Column]]
) -> Table:
    maps = list(evaluations.values())
    table = _table(columns_of(maps[0], 0), Class=maps[0].class_names, Map=evaluations)
    for class_id, class_name in enumerate(maps[0].class_names):
        rows = _cells(columns_of(maps[0], class_id), maps)
        for index, (name, cells) in enumerate(zip(evaluations, rows, strict=True)):
            table.add_row(
                Text(class_name if index == 0 else ""), Text(name), *cells, end_section=index == len(rows) - 1
            )
    return table


def _summary_columns(maps: Sequence[Evaluation]) -> list[_Column]:
    names = maps[0].class_names
    shown = names if len(names) <= _CLASSES_IN_SUMMARY else ()
    columns = [
        _Column("Overall accuracy", lambda e: e.overall_accuracy),
        _Column("Mean IoU", lambda e: e.mean_iou),
        *(_of_class(f"IoU {name}", lambda e, k: e.iou[k], index) for index, name in enumerate(shown)),
        *(
            _of_class(f"Boundary F1 {width:g} m", lambda e, w: e.boundary_f1[w], index)
            for index, width in enumerate(maps[0].widths_m)
        ),
    ]
    if any(one.unmapped_share for one in maps):
        columns.append(_Column("Not mapped", lambda e: e.unmapped_share, ranked=False))
    return columns


def _area_columns(class_id: int) -> list[_Column]:
    return [
        _of_class("IoU", lambda e, k: e.iou[k], class_id),
        _of_class("Precision", lambda e, k: e.confusion.precision[k], class_id),
        _of_class("Recall", lambda e, k: e.confusion.recall[k], class_id),
        _of_class("F1", lambda e, k: e.confusion.f1[k], class_id),
    ]


def _boundary_columns(one: Evaluation, class_id: int) -> list[_Column]:
    widths = list(enumerate(one.widths_m))
    slack = f"{one.relaxed.slack_px:g} px"
    return [
        *(_of_class(f"Boundary F1 {width:g} m", _boundary_f1(index), class_id) for index, width in widths),
        *(_of_class(f"Boundary IoU {width:g} m", _boundary_iou(index), class_id) for index, width in widths),
        _of_class(f"Precision within {slack}", lambda e, k: e.relaxed.precision[k], class_id),
        _of_class(f"Recall within {slack}", lambda e, k: e.relaxed.recall[k], class_id),
    ]


def _boundary_f1(width: int) -> Callable[[Evaluation, int], float]:
    return lambda evaluation, class_id: evaluation.boundary.f1[width, class_id]


def _boundary_iou(width: int) -> Callable[[Evaluation, int], float]:
    return lambda evaluation, class_id: evaluation.boundary.iou[width, class_id]


def _of_class(head: str, figure: Callable[[Evaluation, int], float], index: int) -> _Column:
    """Return a column of a figure taken at an index."""
    return _Column(head, lambda e: float(figure(e, index)))


def _table(columns: Sequence[_Column], **names: Iterable[str]) -> Table:
    """Return an empty table: columns of names by their head, which break between words alone, then the figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for head, entries in names.items():
        width = min(_LONGEST_WORD, max(_longest_word(name) for name in entries))
        table.add_column(head, overflow="fold", min_width=max(_NAME_WIDTH, width))
    for column in columns:
        table.add_column(Text(column.head), justify="right", min_width=max(_longest_word(column.head), len("100.00")))
    return table


def _longest_word(text: str) -> int:
    return max((len(word) for word in text.split()), default=0)


def _cells(columns: Sequence[_Column], maps: Sequence[Evaluation]) -> list[list[Text]]:
    """Return rows of figures; the best of a column is bold where its figures differ as shown."""
    by_column = []
    for column in columns:
        figures = [column.figure(one) for one in maps]
        texts = [percent(figure) for figure in figures]
        best = percent(max((figure for figure in figures if math.isfinite(figure)), default=math.nan))
        marked = column.ranked and len(set(texts)) > 1
        by_column.append([Text(text, style="bold" if marked and text == best else "") for text in texts])
    return [list(row) for row in zip(*by_column, strict=True)]


def percent(share: float) -> str:
    """Return a share as a percentage with two decimals, or a dash where it is not a number."""
    return f"{100 * share:.2f}" if math.isfinite(share) else DASH


def _print_in_columns(table: Table, console: Console) -> None:
    """Print a table in the width of a terminal, or beyond it where figures would be cut."""
    table.box, table.show_edge = box.SIMPLE_HEAD, False
    if Measurement.get(console, console.options.update_width(_WIDE), table).maximum > console.width:
        _narrow(table, console.width)
    console.print(table, crop=False)
    console.print()


def _narrow(table: Table, width: int) -> None:
    """Give every column its least width, and what is left of the terminal's to the names of the maps."""
    least = [column.min_width or 0 for column in table.columns]
    gaps = len(least) - 1
    table.padding = (0, 1, 0, 0) if sum(least) + 2 * gaps <= width else (0, 0)  # the box adds a space
    for column, own in zip(table.columns, least, strict=True):
        column.width = own
    names = next(column for column in table.columns if column.header == "Map")
    longest = max(len(str(cell)) for cell in names.cells)
    spare = width - sum(least) - 2 * gaps
    names.width = (names.min_width or 0) + max(0, min(spare, longest - (names.min_width or 0)))
    if sum(least) + gaps > width:
        table.width = sum(least) + gaps


def _print_plain(table: Table, console: Console) -> None:
    """Print a table without lines or styles, as wide as it is, so that programs can read it."""
    wide = Console(file=console.file, width=_WIDE, color_system=None, highlight=False)
    with wide.capture() as capture:
        table.padding = (0, 2, 0, 0)  # two spaces part columns, for names may hold one
        wide.print(table)
    encoding = console.encoding
    for line in (*capture.get().splitlines(), ""):
        console.file.write(line.rstrip().encode(encoding, "backslashreplace").decode(encoding) + "\n")


def _check_alike(evaluations: Mapping[str, Evaluation]) -> None:
    """Raise InputError unless the evaluations can stand in one table."""
    if not evaluations:
        raise InputError("There is no map to show.", expected="at least one evaluation")
    for what, rules in (
        ("classes", {one.class_names for one in evaluations.values()}),
        ("boundary widths", {one.widths_m for one in evaluations.values()}),
        ("slack", {one.relaxed.slack_px for one in evaluations.values()}),
    ):
        if len(rules) > 1:
            raise InputError(
                f"The maps have other {what}: {' and '.join(str(one) for one in sorted(rules, key=str))}.",
                expected=f"one set of {what} for all maps in a table",
            )
