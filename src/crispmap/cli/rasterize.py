"""The verb ``rasterize``."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispmap.cli.console import print_json, print_line
from crispmap.cli.options import (
    DrawFlags,
    ForceOption,
    JsonOption,
    grouped,
    named_classes,
    notify_written,
)  # fmt: skip
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.classes import ClassSchema
    from crispmap.geo.grid import Grid
    from crispmap.labels.rasterize import DrawnClasses


@grouped
def rasterize(
    labels: Annotated[Path, typer.Argument(metavar="VECTORS", help="Vectors, or a mask of ids or colours.")],
    *,
    like: Annotated[Path, typer.Option(help="The scene whose grid the class map gets.")],
    out: Annotated[Path, typer.Option(help="The class map to write, a GeoTIFF.")],
    draw: DrawFlags,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Draw vectors as a class map on a scene's grid.

    Features belong to classes by their OpenStreetMap tags, or by a column class or class_name. Lines are
    drawn with their width on the ground: their own (width, lanes), else that of their class.
    """
    from crispmap.labels.mask import open_labels
    from crispmap.labels.osm import default_schema
    from crispmap.labels.rasterize import rasterize_file
    from crispmap.raster.files import read_grid, read_turn
    from crispmap.raster.targets import check_paths, check_raster_target

    check_paths([out], [labels, like])
    check_raster_target(out, force=force)
    schema, grid = named_classes(draw.classes) or default_schema(draw.all_as), read_grid(like)
    options = replace(draw.options(), turn=read_turn(like))
    with closing(open_labels(labels, schema, grid, options=options)) as reader:
        drawn = rasterize_file(reader, out, force=force, events=shown_progress())
    _show(out, grid, schema, drawn, as_json)


def _show(out: Path, grid: Grid, schema: ClassSchema, drawn: DrawnClasses, as_json: bool) -> None:
    pixels, area_m2 = drawn.pixels.tolist(), drawn.area_m2.tolist()
    total, ignored = sum(pixels), pixels[255]
    rows: list[dict[str, Any]] = [
        {"id": index, "name": one.name, "pixels": pixels[index], "area_m2": area_m2[index]}
        for index, one in enumerate(schema)
    ]
    if as_json:
        print_json({"path": out, "height_px": grid.height, "width_px": grid.width, "classes": rows,
                    "ignored_pixels": ignored})  # fmt: skip
        return
    for row in rows:
        share = 100 * row["pixels"] / total
        print_line(f"{row['name']:<16} {row['pixels']:>12} pixels  {share:6.2f} %  {row['area_m2'] / 1e4:12.2f} ha")
    if ignored:
        print_line(f"{'left out':<16} {ignored:>12} pixels  {100 * ignored / total:6.2f} %")
    notify_written([out])
