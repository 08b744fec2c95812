"""The verb ``change``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispmap.cli.area import AccuracyFlags, print_tables
from crispmap.cli.console import notify, print_json
from crispmap.cli.options import (
    ForceOption,
    JsonOption,
    MapClassesOption,
    files_of,
    grouped,
    named_classes,
    notify_written,
)
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.areas.change import ChangeTable


@dataclass(frozen=True)
class ChangeFlags:
    """What is written."""

    out: Annotated[Path | None, typer.Option(help="The map of changes to write, .tif.")] = None
    table: Annotated[
        list[Path] | None, typer.Option(help="A table to write: .csv, .xlsx, .md or .html; may be given again.")
    ] = None
    classes: MapClassesOption = None
    force: ForceOption = False


@grouped
def change(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The earlier class map.")],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="The later one, of the same classes.")],
    *,
    files: ChangeFlags,
    accuracy: AccuracyFlags,
    as_json: JsonOption = False,
) -> None:
    """Tell what became of each class between two maps, in km2.

    The table has the classes before in rows and those after in columns, with what each lost and gained in all, and the
    net of both. The map of changes has a class for all that stayed and for each change. Errors of both maps look like
    change: draw a sample of the map of changes, label it, and give it here.
    """
    from crispmap.areas.change import ChangeOptions, change_of
    from crispmap.report.tables.area_files import check_area_targets, write_areas

    targets = files.table or []
    options = ChangeOptions(out=files.out, force=files.force, **vars(accuracy))
    inputs = [before, after, *files_of(files.classes, *vars(accuracy).values())]
    check_area_targets(targets, inputs, accuracy=any(vars(accuracy).values()), force=files.force)
    table = change_of(before, after, options, schema=named_classes(files.classes), events=shown_progress())
    if as_json:
        print_json(table.to_dict())
    else:
        _print(table)
    notify_written([] if files.out is None else [files.out])
    for path in targets:
        notify_written(write_areas(path, table))


def _print(table: ChangeTable) -> None:
    print_tables(table)
    notify(table.summary())
