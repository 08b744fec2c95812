"""The verb ``vectorize``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispmap.cli.completion import classes_of_map
from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ForceOption, JsonOption, grouped, notify_written, words_of
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.polygons.vectorize import ClassPolygons, PolygonRules


@dataclass(frozen=True)
class PolygonFlags:
    """Which polygons are written, and how exact."""

    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            autocompletion=classes_of_map,
            help="Classes of the map by name or id, such as building,road; or all. By default all but 0, the "
            "background.",
        ),
    ] = None
    min_area_m2: Annotated[
        float, typer.Option(min=0, help="Leave out smaller polygons; square metres on the ground.")
    ] = 0.0
    simplify_m: Annotated[
        float, typer.Option(min=0, help="How far outlines may deviate to have fewer corners, in metres.")
    ] = 0.0

    def rules(self) -> PolygonRules:
        """Return them as the library takes them."""
        from crispmap.polygons.vectorize import PolygonRules

        names = None if self.classes is None else tuple(words_of(self.classes))
        return PolygonRules(names, self.min_area_m2, self.simplify_m)


@grouped
def vectorize(
    class_map: Annotated[Path, typer.Argument(metavar="MAP", help="A class map, or any raster of class ids.")],
    *,
    out: Annotated[Path, typer.Option(help="The file to write: .gpkg, .geojson, .fgb or .parquet, by its name.")],
    polygons: PolygonFlags,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a class map into polygons.

    Each connected region of a class becomes a polygon along its pixels, with holes and its area on the ground.
    Pixels that touch only at a corner are not connected. Pixels without a class never become a polygon.
    """
    from crispmap.polygons.vectorize import vectorize_file

    found = vectorize_file(class_map, out, polygons.rules(), force=force, events=shown_progress())
    _show(found, out, as_json)


def _show(found: list[ClassPolygons], out: Path, as_json: bool) -> None:
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
