"""The classes of a data set: those the project names, those of its class file, or those its layout is known to have."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from crispmap.classes import ClassDef, ClassSchema, class_colour
from crispmap.errors import SchemaError
from crispmap.labels.palette import colour_code
from crispmap.project.pairs.find import classified
from crispmap.project.pairs.layout import CLASS_FILE, PARTS, UNKNOWN_NAMES, Layout


class NoClassesError(SchemaError):
    """A data set that says nothing of its classes."""


_COLUMNS = ("name", "r", "g", "b")


def classes_of(
    folder: Path, layout: Layout, given: tuple[ClassDef, ...] | None = None
) -> tuple[tuple[ClassDef, ...], tuple[str, ...]]:
    """Return the classes of a data set, by default its own, and the colours of pixels that nothing is known of.

    Raises:
        SchemaError: If the class file cannot be read, or neither it nor the layout names classes.
    """
    if given is not None:
        return given, layout.ignored
    file = next((path for part in PARTS if (path := folder / part / CLASS_FILE).is_file()), None)
    if file is not None:
        classes, unknown = read_class_file(file)
        return classes, unknown or layout.ignored
    if layout.class_folders:
        names = sorted({one.class_name for one in classified(folder)})
        return tuple(ClassDef(name, class_colour(index)) for index, name in enumerate(names)), ()
    if not layout.classes:
        raise NoClassesError(
            f"{folder} has no {CLASS_FILE}, and the layout {layout.name} no classes of its own.",
            expected="classes: in the project file, or a class file with the columns name,r,g,b",
            remedy="Add classes: with the name and the colour of each.",
        )
    return layout.classes, layout.ignored


def read_class_file(path: Path) -> tuple[tuple[ClassDef, ...], tuple[str, ...]]:
    """Return the classes of a table with the columns name, r, g, b, and the colours that are no class.

    Raises:
        SchemaError: If a column is missing, a value is no number of 0 to 255, or a name or colour comes twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _wrong(path, f"it cannot be read: {error}") from error
    rows = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    heads = [cell.casefold() for cell in rows[0]] if rows else []
    missing = [name for name in _COLUMNS if name not in heads]
    if missing:
        raise _wrong(path, f"its first line has no column {' or '.join(missing)}")
    places = [heads.index(name) for name in _COLUMNS]
    found: dict[str, int] = {}
    for number, row in enumerate(rows[1:], 2):
        name, *values = [row[place] if place < len(row) else "" for place in places]
        code = _code(path, number, name, values)
        if name.casefold() in map(str.casefold, found) or code in found.values():
            raise _wrong(path, f"line {number}: the name {name!r} or its colour comes twice")
        found[name] = code
    colours = {name: f"#{code:06x}" for name, code in found.items()}
    unknown = tuple(colour for name, colour in colours.items() if name.casefold() in UNKNOWN_NAMES)
    classes = tuple(ClassDef(name, colour) for name, colour in colours.items() if colour not in unknown)
    ClassSchema(classes)
    return classes, unknown


def _code(path: Path, number: int, name: str, values: Sequence[str]) -> int:
    """Return the colour of a row as one number."""
    if not name or not all(value.isdecimal() and int(value) <= 255 for value in values):
        raise _wrong(path, f"line {number}: {', '.join([name, *values])!r} is no name with three numbers of 0 to 255")
    red, green, blue = map(int, values)
    return colour_code((red, green, blue))


def _wrong(path: Path, given: str) -> SchemaError:
    return SchemaError(
        f"{path}: {given}.", expected="a table with the columns name,r,g,b, a line for every class, each once",
        remedy="Correct the file, or name the classes under classes: in the project file.",
    )  # fmt: skip
