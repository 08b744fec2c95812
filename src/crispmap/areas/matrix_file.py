"""Confusion matrices as tables: rows are the classes of the map, columns those of the reference."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from crispmap.areas.csv_file import csv_rows
from crispmap.errors import AreaError
from crispmap.types import CountArray

_TRANSPOSED = re.compile(r"\s*(ref|tru|actual|observed|ground|real)", re.IGNORECASE)
_MOST = 10**12  # more points than anyone labels, and few enough to add up exactly


def read_matrix(path: str | Path, class_names: Sequence[str]) -> CountArray:
    r"""Return counts of sampled units (class of the map, class of the reference) in the order of the classes.

    The file is CSV: names of the reference in the first row, names of the map in the first column, in any order. The
    first cell may say so: empty, or text such as ``map\reference``.

    Raises:
        AreaError: If it cannot be read, says that rows are the reference, is not square, has other names than the
            map, or holds anything but whole numbers of 0 or more.
    """
    rows = csv_rows(path)
    if not rows:
        raise AreaError(f"{path} is empty.", expected="a confusion matrix as CSV")
    if _TRANSPOSED.match(rows[0][0]):
        raise AreaError(
            f"{path} has the reference in its rows, as its first cell {rows[0][0]!r} says.",
            expected="the classes of the map in rows, those of the reference in columns",
            remedy="Transpose the table.",
        )
    columns, names = [one.strip() for one in rows[0][1:]], [row[0].strip() for row in rows[1:]]
    if any(len(row) != len(rows[0]) for row in rows) or len(names) != len(columns):
        raise AreaError(
            f"{path} has {len(names)} rows of figures and {len(columns)} columns.",
            expected="a square matrix with a row and a column for each class, without totals",
            remedy="Complete it, or leave out what is not a class.",
        )
    for what, found in (("rows", names), ("columns", columns)):
        if sorted(found) != sorted(class_names):
            raise AreaError(
                f"The {what} of {path} are {', '.join(found)}.",
                expected=f"the classes of the map, each once: {', '.join(class_names)}",
                remedy="Name rows and columns as the map names its classes; leave out totals.",
            )
    counts = np.array([[_count(cell, path) for cell in row[1:]] for row in rows[1:]], np.int64)
    return counts[np.ix_([names.index(one) for one in class_names], [columns.index(one) for one in class_names])]


def _count(cell: str, path: str | Path) -> int:
    text = cell.strip()
    if not re.fullmatch(r"\d+(\.0*)?", text) or float(text) > _MOST:
        raise AreaError(
            f"{path} holds {text!r} as a count.", expected="whole numbers of sampled units, 0 or more",
            remedy="Give counts, not shares or areas.",
        )  # fmt: skip
    return int(text.partition(".")[0])
