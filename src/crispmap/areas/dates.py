"""The dates of maps: from their names, from a tag of the file, or from a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from crispmap.areas.csv_file import csv_rows
from crispmap.errors import AreaError, number_of
from crispmap.files.address import shown
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import tags_of

DateSource: TypeAlias = Literal["filename", "tag", "column"]
Period: TypeAlias = Literal["day", "month", "year"]

DATE_TAG = "TIFFTAG_DATETIME"
"""The tag of a GeoTIFF that says when it was taken."""

_PARTS: dict[Period, int] = {"year": 1, "month": 2, "day": 3}
_YEAR, _MONTH, _DAY = r"(?P<y>19\d\d|20\d\d|21\d\d)", r"(?P<m>0[1-9]|1[0-2])", r"(?P<d>0[1-9]|[12]\d|3[01])"
# The first that finds a date decides; two dates of one form are ambiguous, and so is a month beside another date.
_FORMS = tuple(
    tuple(re.compile(rf"(?<!\d){form}(?!\d)") for form in forms)
    for forms in (
        (rf"{_YEAR}(?P<s>[-_.:]){_MONTH}(?P=s){_DAY}", rf"{_YEAR}{_MONTH}{_DAY}"),  # 2022-08-31, 2022_08_31, 20220831
        (rf"{_YEAR}(?P<s>[-_.]){_MONTH}(?!(?P=s)\d)", rf"(?<!\dT){_YEAR}{_MONTH}"),  # 2022-08, 202208
        (rf"{_YEAR}(?P<n>\d{{3}})", rf"{_YEAR}(?P<m>[1-9]){_DAY}"),  # 2022045: day of the year, or a month of one digit
        (  # 31-08-2022, in either order
            rf"(?P<d>\d{{1,2}})[-_./](?P<m>\d{{1,2}})[-_./]{_YEAR}",
            rf"(?P<m>\d{{1,2}})[-_./](?P<d>\d{{1,2}})[-_./]{_YEAR}",
        ),
        (rf"{_YEAR}(?![-_.:]?\d)",),  # 2022
    )
)
_MONTHS = _FORMS[1]
_TIME = re.compile(r"[T _](\d{2}:?\d{2}(:?\d{2})?(\.\d+)?)(Z|[+-]\d{2}:?\d{2})?\s*$")


@dataclass(frozen=True, order=True)
class MapDate:
    """A date as exact as it is known: (year,), (year, month) or (year, month, day)."""

    parts: tuple[int, ...]

    @property
    def text(self) -> str:
        """As ISO 8601: ``2022``, ``2022-08`` or ``2022-08-31``."""
        return "-".join(f"{part:02d}" for part in self.parts)

    def within(self, period: Period) -> MapDate | None:
        """Return the period it lies in, or None where it is not known as exactly as that."""
        return MapDate(self.parts[: _PARTS[period]]) if len(self.parts) >= _PARTS[period] else None


def periods_of(
    paths: Sequence[Path], source: DateSource | None, *, period: Period = "month", tag: str = DATE_TAG,
    table: str | Path | None = None,
) -> list[MapDate | None]:  # fmt: skip
    """Return the period of each map; None for all without a source.

    Args:
        source: Where the dates are; "column" is the column ``date`` of the table.
        tag: The tag of the files that holds it, for "tag".
        table: A CSV file with columns ``map``, the path or name of a map, and ``date``; for "column".

    Raises:
        AreaError: If a date is missing, cannot be read, is less exact than the period, or can be read in two ways.
        SceneError: If a map cannot be read.
    """
    if source is None:
        return [None] * len(paths)
    if source == "filename":
        texts = [(f"The name {path.name}", path.name) for path in paths]
    elif source == "tag":
        texts = [(f"The tag {tag} of {shown(path)}", _tag(path, tag)) for path in paths]
    else:
        rows = _rows(table)
        texts = [(f"The date of {path.name} in {table}", _row_of(path, rows, table)) for path in paths]
    return [_period(read_date(text, what), period, what) for what, text in texts]


def read_date(text: str, what: str) -> MapDate:
    """Return the one date in a text.

    Known are 2022-08-31, 2022_08_31, 20220831, 2022-08, 202208, 2022, 2022045 (day of the year) and 31.08.2022, beside
    letters or other numbers too, as far as they can be read in one way.

    Args:
        what: What the text is, for errors, such as "The name burnt_2022-08.tif".

    Raises:
        AreaError: If there is none, or it can be read in two ways.
    """
    text = _TIME.sub("", text.strip())
    for forms in _FORMS:
        if not (found := _found(text, forms)):
            continue
        known = {one.within("month") for one in found}
        if len(readings := found | (_found(text, _MONTHS) - known)) > 1:
            raise _ambiguous(what, [one.text for one in sorted(readings)])
        return readings.pop()
    raise AreaError(
        f"{what} holds no date.", expected="a date such as 2022-08, 2022-08-31 or 20220831",
        remedy="Rename the map, or list maps and dates in a table: dates=maps.csv",
    )  # fmt: skip


def _found(text: str, forms: Sequence[re.Pattern[str]]) -> set[MapDate]:
    return {day for form in forms for match in form.finditer(text) if (day := _in_calendar(match))}


def _in_calendar(match: re.Match[str]) -> MapDate | None:
    """Return the date of a match, or None if the calendar has no such day."""
    part = {name: int(value) for name, value in match.groupdict().items() if name != "s"}
    try:
        if "n" in part:
            day = datetime.strptime(f"{part['y']} {part['n']:03d}", "%Y %j").date()
            return MapDate((day.year, day.month, day.day))
        date(part["y"], part.get("m", 1), part.get("d", 1))
    except ValueError:
        return None
    return MapDate(tuple(part[name] for name in "ymd" if name in part))


def _period(found: MapDate, period: Period, what: str) -> MapDate:
    within = found.within(period)
    if within is None:
        raise AreaError(
            f"{what} says {found.text}, without a {period}.", expected=f"a date with its {period}",
            remedy="Give the whole date, or tell areas by a longer period, such as period=year",
        )  # fmt: skip
    return within


def _ambiguous(what: str, readings: Sequence[str]) -> AreaError:
    return AreaError(
        f"{what} can be read as {' or '.join(readings)}.", expected="one date, such as 2022-08-31",
        remedy="Rename the map, or list maps and dates in a table: dates=maps.csv",
    )  # fmt: skip


def _tag(path: Path, tag: str) -> str:
    with open_dataset(path) as dataset:
        tags = tags_of(dataset)
    if tag not in tags:
        raise AreaError(
            f"{shown(path)} has no tag {tag}.",
            expected=f"one of {', '.join(sorted(tags)) or 'none: it has no tags'}",
            remedy="Name the tag that holds the date, such as date_tag=ACQUIRED, or take dates from elsewhere.",
        )
    return str(tags[tag])


def _rows(table: str | Path | None) -> list[Mapping[str, str]]:
    """Return the columns map and date of a table."""
    if table is None:
        raise AreaError(
            "Dates are to come from a column, and no table is given.",
            expected="a CSV file with columns map and date", remedy="Give it: dates=maps.csv",
        )  # fmt: skip
    head, *rows = csv_rows(table) or [[]]
    columns = [one.strip().casefold() for one in head]
    if not rows or not {"map", "date"} <= set(columns):
        raise AreaError(
            f"{table} has {'the columns ' + ', '.join(head) if rows else 'no rows'}.",
            expected="the columns map, the path or name of a map, and date",
        )
    filled = [[one.strip() for one in (*row, *[""] * len(columns))] for row in rows]
    return [{name: row[columns.index(name)] for name in ("map", "date")} for row in filled]


def _row_of(path: Path, rows: Sequence[Mapping[str, str]], table: str | Path | None) -> str:
    """Return the date of a map by its path or name."""
    for wanted in (path, Path(path.name)):
        found = {row["date"] for row in rows if Path(row["map"]) == wanted}
        if len(found) == 1:
            return found.pop()
        if found:
            raise _ambiguous(f"The date of {wanted} in {table}", sorted(found))
    raise AreaError(
        f"{table} has no date for {path}: {number_of(len(rows), 'map')} listed.",
        expected="a row for every map", remedy="Add it, under the path or the name of the map.",
    )  # fmt: skip
