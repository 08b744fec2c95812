"""The verb ``vectorize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ForceOption, notify_written, words_of
from crispmap.cli.progress import TerminalProgress

if TYPE_CHECKING:
    from crispmap.polygons.vectorize import ClassPolygons


def vectorize(
    class_map: Annotated[Path, typer.Argument(metavar="MAP", help="A class map, or any raster of class ids.")],
    *,
    out: Annotated[
        Path, typer.Option("--out", help="The file to write: .gpkg, .geojson, .fgb or .parquet, by its name.")
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            "--classes",
            metavar="NAMES",
            help="Classes of the map by name or id, such as building,road; or all. By default all but 0, the "
            "background.",
        ),
    ] = None,
    min_area_m2: Annotated[
        float, typer.Option("--min-area-m2", min=0, help="Leave out smaller polygons; square metres on the ground.")
    ] = 0.0,
    simplify_m: Annotated[
        float, typer.Option("--simplify-m", min=0, help="How far outlines may stray to have fewer corners, in metres.")
    ] = 0.0,
    force: ForceOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Turn a class map into polygons.

    Each connected region of a class becomes a polygon along its pixels, with holes and its area on the ground.
    Pixels that touch at a corner only are not connected. Ground without class is never a polygon.
    """
    from crispmap.polygons.vectorize import PolygonRules, vectorize_file

    names = None if classes is None else tuple(words_of(classes))
    rules = PolygonRules(names, min_area_m2, simplify_m)
    found = vectorize_file(class_map, out, rules, force=force, events=TerminalProgress())
    _show(found, out, as_json)


def _show(found: list[ClassPolygons], out: Path, as_json: bool) -> None:
    """Print how much of each class was written."""
    if as_json:
        print_json({"path": out, "classes": [
            {"id": one.class_id, "name": one.name, "polygons": one.polygons, "area_m2": one.area_m2,
             "left_out": one.left_out, "left_out_m2": one.left_out_m2} for one in found
        ]})  # fmt: skip
        return
    for one in found:
        less = f"  ({one.left_out} smaller, {one.left_out_m2 / 1e4:.2f} ha, left out)" if one.left_out else ""
        print_line(f"{one.name:<16} {one.polygons:>12} polygons  {one.area_m2 / 1e4:12.2f} ha{less}")
    if not any(one.polygons for one in found):
        notify("No polygons found: the map has no region of these classes that is large enough. The layer is empty.")
    notify_written([out])
