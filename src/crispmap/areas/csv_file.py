"""Tables that a person writes as CSV, by hand or in a spreadsheet."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from crispmap.errors import AreaError


def csv_rows(path: str | Path) -> list[list[str]]:
    """Return the rows that hold anything; cells are parted by what the first line has: semicolon, tab or comma.

    Raises:
        AreaError: If the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        head = text.lstrip().partition("\n")[0]
        dialect = next((one for one in ";\t" if one in head), ",")
        return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=dialect) if any(row)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise AreaError(f"{path} cannot be read: {error}.", expected="a CSV file in UTF-8") from error
