"""Area tables as files: CSV, Excel, Markdown or a page, by the name of the file."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from crispmap.areas.table import DATE_PARTS, Tables
from crispmap.errors import OutputError
from crispmap.files.atomic import write_atomically
from crispmap.raster.targets import check_paths, check_target
from crispmap.report.tables.area import accuracy_tables, area_tables
from crispmap.report.tables.markdown import markdown_table, one_line

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

_DECIMALS = 6  # of square kilometres: a square metre
_SHOWN_AS = "#,##0.00####"  # in Excel, which keeps the whole number
_SHEET_NAME = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
_SHEET_LETTERS = 31  # that Excel allows in the name of a sheet
_ACCURACY = ("class", "figure", "value", "standard_error", "margin_95")


def check_area_targets(
    paths: Sequence[Path], inputs: Sequence[Path] = (), *, accuracy: bool = False, force: bool = False
) -> None:
    """Raise OutputError unless tables can be written to these files.

    Args:
        inputs: What the tables are made of, which they may not replace.
        accuracy: Whether they will hold what a sample says.
    """
    beside = [_beside(path) for path in paths if accuracy and path.suffix.lower() == ".csv"]
    for path in [*paths, *beside]:
        if path.suffix.lower() not in _RENDERINGS:
            raise OutputError(
                f"Areas cannot be written to {path}.", expected=f"a name that ends in {', '.join(_RENDERINGS)}",
                remedy=f"Name it {path.with_suffix('.csv')}.",
            )  # fmt: skip
        check_target(path, force=force)
    check_paths([*paths, *beside], inputs)


def write_areas(path: Path, table: Tables) -> list[Path]:
    """Write a table in the format its name says, complete or not at all, and return what was written.

    Figures are square kilometres. Beside a CSV file, what a sample says goes to one of its own, ``_accuracy``.

    Raises:
        OutputError: If it cannot be written.
    """
    suffix = path.suffix.lower()
    write_atomically(path, _RENDERINGS[suffix](table))
    if suffix != ".csv" or table.accuracy is None:
        return [path]
    beside = _beside(path)
    write_atomically(beside, _csv([_ACCURACY, *_accuracy_rows(table)]))
    return [path, beside]


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}_accuracy{path.suffix}")


def _table_csv(table: Tables) -> bytes:
    """Return all sheets one below the other, with the class in a column of its own where there are several."""
    sheets, rows = table.sheets(), []
    first = ["class"] if len(sheets) > 1 else []
    rows.append([*first, *(part.lower() for part in sheets[0].parts), *sheets[0].heads])
    for sheet in sheets:
        for labels, figures in sheet.rows:
            rows.append([*([sheet.name] if first else []), *labels, *map(_number, figures)])
    return _csv(rows)


def _accuracy_rows(table: Tables) -> list[list[str]]:
    accuracy = table.accuracy
    if accuracy is None:
        return []
    rows = [("", "overall_accuracy", accuracy.overall)]
    for name, users, producers, area in zip(
        accuracy.class_names, accuracy.users, accuracy.producers, accuracy.area_m2, strict=True
    ):
        rows += [(name, "users_accuracy", users), (name, "producers_accuracy", producers)]
        rows.append((name, "area_km2", area.scaled(1e-6)))
    for figure, estimates in table.corrections().items():
        rows += [
            (name, f"{figure.lower()}_km2", one.scaled(1e-6))
            for name, one in zip(table.schema.names, estimates, strict=True)
        ]
    return [[name, figure, *(_exact(value) for value in one.to_dict().values())] for name, figure, one in rows]


def _number(value: float) -> str:
    """Return a number to a square metre, without zeros at the end; nothing where there is none."""
    return "" if math.isnan(value) else f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".")


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([[_harmless(cell) for cell in row] for row in rows])
    return text.getvalue().encode("utf-8")


def _harmless(cell: str) -> str:
    """Return a name that a spreadsheet would run as a formula with an apostrophe before it, any other as it is."""
    if not cell.startswith(("=", "+", "-", "@", "\t", "\r")):
        return cell
    with suppress(ValueError):
        float(cell)
        return cell
    return f"'{cell}"


def _workbook(table: Tables) -> bytes:
    """Return a workbook with a sheet for each table; totals are values, so that every program shows them."""
    from openpyxl import Workbook
    from openpyxl.comments import Comment

    book = Workbook()
    book.remove(book.active)
    for sheet in table.sheets():
        page = book.create_sheet(_sheet_name(sheet.name, book.sheetnames))
        _append(page, [*sheet.parts, *sheet.heads])
        if page.title != sheet.name:  # Excel has no room for it
            page["A1"].comment = Comment(sheet.name, "crispmap")
        for labels, values in sheet.rows:
            _append(page, [*(_dated(*one) for one in zip(sheet.parts, labels, strict=True)), *map(_or_none, values)])
        page.freeze_panes = page.cell(2, len(sheet.parts) + 1)
    if table.accuracy is not None:
        page = book.create_sheet(_sheet_name("Accuracy", book.sheetnames))
        _append(page, list(_ACCURACY))
        for name, figure, *figures in _accuracy_rows(table):
            _append(page, [name, figure, *(float(one) if one else None for one in figures)])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def _dated(part: str, label: str) -> str | int:
    """Return a year, month or day as a number; names of regions stay text, for 0011 is not 11."""
    return int(label) if part in DATE_PARTS and label.isdecimal() else label


def _append(page: Worksheet, values: Sequence[str | float | None]) -> None:
    """Append a row; text is never a formula."""
    row = page.max_row + 1 if page["A1"].value is not None else 1
    for column, value in enumerate(values, 1):
        cell = page.cell(row, column, value)
        if isinstance(value, str):
            cell.data_type = "s"
        elif isinstance(value, float):
            cell.number_format = _SHOWN_AS


def _sheet_name(name: str, taken: Sequence[str]) -> str:
    """Return a name that Excel allows and no sheet has."""
    plain = _SHEET_NAME.sub("_", name).strip("'")[:_SHEET_LETTERS] or "_"
    known, number, found = {one.casefold() for one in taken}, 1, plain
    while found.casefold() in known:
        number += 1
        found = f"{plain[: _SHEET_LETTERS - len(str(number)) - 1]}~{number}"
    return found


def _markdown(table: Tables) -> bytes:
    tables = [*area_tables(table), *accuracy_tables(table)]
    return ("\n\n".join(f"{one_line(one.title)}:\n\n{markdown_table(one)}" for one in tables) + "\n").encode("utf-8")


def _page(table: Tables) -> bytes:
    from crispmap.report.pages.area import render_areas

    return render_areas(table).encode("utf-8")


_RENDERINGS: dict[str, Callable[[Tables], bytes]] = {
    ".csv": _table_csv, ".xlsx": _workbook, ".md": _markdown, ".html": _page,
}  # fmt: skip
