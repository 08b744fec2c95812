"""Tables of figures as text: in columns on a terminal, the best bold; plain elsewhere, for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from crispmap.evaluation.evaluation import Evaluation
from crispmap.report.tables.comparison import Missing, Row, comparison_tables
from crispmap.report.tables.evaluations import (
    area_table,
    boundary_table,
    chance_tables,
    check_comparable,
    dice_table,
    summary_table,
)
from crispmap.report.tables.model import Cell, FigureTable

_DASH = "-"
_CLASSES_IN_SUMMARY = 8  # more do not fit a terminal; the table by class has them
_WIDE = 10_000
_NAME_WIDTH, _FIGURE_WIDTH = 8, len("100.00")
_LONGEST_WORD = 24


def print_evaluations(evaluations: Mapping[str, Evaluation], console: Console | None = None) -> None:
    """Print the summary of maps, their figures by class, and their boundary figures by class.

    Raises:
        InputError: If there is no map, or their classes, widths or slack differ.
    """
    named = list(evaluations.items())
    check_comparable(named)
    console = console or Console(highlight=False)
    overall = [make(named, most_classes=_CLASSES_IN_SUMMARY) for make in (summary_table, dice_table)]
    for table in (*overall, *chance_tables(named), area_table(named), boundary_table(named)):
        print_table(table, console)


def print_comparison(
    rows: Sequence[Row],
    missing: Sequence[Missing],
    more: Sequence[FigureTable] = (),
    console: Console | None = None,
) -> None:
    """Print quality, intervals and costs of methods, and more tables, followed by a line for every missing one.

    Raises:
        InputError: If there is no row.
    """
    console = console or Console(highlight=False)
    for table in (*comparison_tables(rows), *more):
        print_table(table, console)
    for one in missing:
        console.print(Text(f"{one.name}  {one.text}"), soft_wrap=True)


def print_table(table: FigureTable, console: Console) -> None:
    """Print a table: in columns on a terminal, plain elsewhere."""
    if console.is_terminal:
        _print_in_columns(_laid_out(table), console, names=1 if table.sections_label else 0)
    else:
        _print_plain(_laid_out(table), console)


def _laid_out(table: FigureTable) -> Table:
    """Return a table with columns of names, which break between words only, then of figures, which never break."""
    out = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    if table.sections_label:
        _add_names(out, table.sections_label, [section.name for section in table.sections])
    _add_names(out, table.label, [name for name, _ in table.rows])
    for index, head in enumerate(table.heads):
        longest = max((len(cells[index].text) for _, cells in table.rows), default=0)
        least = max(_longest_word(head.text), _FIGURE_WIDTH, longest)
        out.add_column(Text(head.text), justify="right", min_width=least)
    for section in table.sections:
        for index, (name, cells) in enumerate(section.rows):
            first = [Text(section.name if index == 0 else "")] if table.sections_label else []
            out.add_row(*first, Text(name), *map(_text, cells), end_section=index == len(section.rows) - 1)
    return out


def _add_names(table: Table, head: str, names: Sequence[str]) -> None:
    width = min(_LONGEST_WORD, max(map(_longest_word, names)))
    table.add_column(head, overflow="fold", min_width=max(_NAME_WIDTH, width))


def _text(cell: Cell) -> Text:
    return Text(cell.text or _DASH, style="bold" if cell.best else "")


def _longest_word(text: str) -> int:
    return max((len(word) for word in text.split()), default=0)


def _print_in_columns(table: Table, console: Console, *, names: int) -> None:
    """Print a table in the width of a terminal, or wider if figures would be cut."""
    table.box, table.show_edge = box.SIMPLE_HEAD, False
    if Measurement.get(console, console.options.update_width(_WIDE), table).maximum > console.width:
        _narrow(table, console.width, names)
    console.print(table, crop=False)
    console.print()


def _narrow(table: Table, width: int, names: int) -> None:
    """Give every column its least width, and what is left of the terminal's to the names of the rows."""
    least = [column.min_width or 0 for column in table.columns]
    gaps = len(least) - 1
    table.padding = (0, 1, 0, 0) if sum(least) + 2 * gaps <= width else (0, 0)  # the box adds a space
    for column, own in zip(table.columns, least, strict=True):
        column.width = own
    longest = max(len(str(cell)) for cell in table.columns[names].cells)
    spare = width - sum(least) - 2 * gaps
    table.columns[names].width = least[names] + max(0, min(spare, longest - least[names]))
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
    console.file.flush()  # before what standard error says next, where both go to one file
