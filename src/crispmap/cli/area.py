"""The verb ``area``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from crispmap.cli.console import print_json
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
    from crispmap.areas.table import Tables


OverlapOption: TypeAlias = Annotated[
    Literal["error", "first", "last"],
    typer.Option(help="Ground that two maps of one date show: refused, or of the first or last map given."),
]


@dataclass(frozen=True)
class RegionFlags:
    """Where areas are told of."""

    regions: Annotated[
        Path | None, typer.Option(help="Polygons to tell areas by, in any CRS; by default all that the maps show.")
    ] = None
    by: Annotated[str, typer.Option(metavar="COLUMN", help="The column with the names of the regions.")] = "name"
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="The layer of the regions.")] = None
    overlapping_regions: Annotated[
        Literal["error", "count"],
        typer.Option(help="Ground in two regions: refused, or counted in both, so that totals count it twice."),
    ] = "error"


@dataclass(frozen=True)
class DateFlags:
    """When maps were taken."""

    date_from: Annotated[
        Literal["filename", "tag", "column"] | None,
        typer.Option(help="Where the date of each map is: in its name, in a tag, or in the column date of --dates."),
    ] = None
    dates: Annotated[
        Path | None, typer.Option(metavar="CSV", help="A table with the columns map and date: implies column.")
    ] = None
    date_tag: Annotated[str, typer.Option(metavar="TAG", help="The tag with the date.")] = "TIFFTAG_DATETIME"
    period: Annotated[
        Literal["day", "month", "year"], typer.Option(help="What areas are told by; maps of one period add up.")
    ] = "month"
    overlap: OverlapOption = "error"


@dataclass(frozen=True)
class AccuracyFlags:
    """What corrects areas for the errors of the maps."""

    confusion: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV", help="Counts of sampled points: classes of the map in rows, of reality in columns."
        ),
    ] = None
    sample: Annotated[
        Path | None, typer.Option(help="A sample of crispmap sample with its column reference filled in.")
    ] = None


@dataclass(frozen=True)
class TableFlags:
    """Which classes tables have, and where they go."""

    classes: MapClassesOption = None
    out: Annotated[
        list[Path] | None, typer.Option(help="A file to write: .csv, .xlsx, .md or .html; may be given again.")
    ] = None
    force: ForceOption = False


@grouped
def area(
    maps: Annotated[list[Path], typer.Argument(metavar="MAP...", help="Class maps.")],
    *,
    regions: RegionFlags,
    dates: DateFlags,
    accuracy: AccuracyFlags,
    tables: TableFlags,
    as_json: JsonOption = False,
) -> None:
    """Tell areas in km2 by class, region and month, right on the ground in any CRS.

    Pixels on the border of a region count by the share inside it. Maps of one month are parts of one map. Ground
    without data, and ground of a region beyond the maps, is told as not seen. With a sample of places that a person
    has labelled, areas are corrected for the errors of the map, with intervals of 95 %, for all the map as a whole.
    """
    from crispmap.areas.run import AreaOptions, areas_of
    from crispmap.report.tables.area_files import check_area_targets, write_areas

    targets = tables.out or []
    options = AreaOptions(**vars(regions), **vars(dates), **vars(accuracy))
    check_area_targets(
        targets, [*maps, *files_of(regions.regions, dates.dates, tables.classes, *vars(accuracy).values())],
        accuracy=any(vars(accuracy).values()), force=tables.force,
    )  # fmt: skip
    table = areas_of(maps, options, schema=named_classes(tables.classes), events=shown_progress())
    if as_json:
        print_json(table.to_dict())
    else:
        print_tables(table)
    for path in targets:
        notify_written(write_areas(path, table))


def print_tables(table: Tables) -> None:
    """Print areas and, where known, accuracies on standard output."""
    from rich.console import Console

    from crispmap.report.tables.area import accuracy_tables, area_tables
    from crispmap.report.tables.terminal import print_table

    console = Console(highlight=False)
    for one in [*area_tables(table), *accuracy_tables(table)]:
        console.print(one.title, markup=False, soft_wrap=True)
        print_table(one, console)
