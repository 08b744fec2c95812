"""The verb ``vectorize``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from crispmap.cli.completion import classes_of_map
from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ForceOption, JsonOption, grouped, notify_written, words_of
from crispmap.cli.progress import shown_progress

if TYPE_CHECKING:
    from crispmap.polygons.features import ClassPolygons
    from crispmap.polygons.rules import PolygonRules

Preset: TypeAlias = Literal["buildings", "roads", "landcover"]


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
    preset: Annotated[
        Preset | None,
        typer.Option(
            help="buildings: footprints with right angles; roads: centrelines with widths; landcover: all classes, "
            "generalised together. With areas and lengths that suit; those given count instead."
        ),
    ] = None
    min_area_m2: Annotated[
        float | None, typer.Option(min=0, help="Leave out smaller polygons; square metres on the ground.")
    ] = None
    sieve_m2: Annotated[
        float | None,
        typer.Option(min=0, help="Join smaller regions, of any class, to the neighbour with the longest border."),
    ] = None
    fill_holes_m2: Annotated[float | None, typer.Option(min=0, help="Fill smaller holes in the classes.")] = None
    simplify_m: Annotated[
        float | None, typer.Option(min=0, help="How far outlines may deviate to have fewer corners, in metres.")
    ] = None
    confidence: Annotated[
        Path | None, typer.Option(help="A confidence raster, or scores: each polygon gets its mean confidence.")
    ] = None
    scores: Annotated[
        Path | None, typer.Option(help="The scores behind the map: the preset buildings splits touching ones by them.")
    ] = None

    def rules(self) -> PolygonRules:
        """Return them as the library takes them."""
        from crispmap.polygons.rules import PolygonRules

        given = {one.name: getattr(self, one.name) for one in fields(self)}
        names = None if self.classes is None else tuple(words_of(self.classes))
        return PolygonRules(**given | {"classes": names})


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
    A preset makes what people would digitise instead: footprints, centrelines, or land cover.
    """
    from crispmap.polygons.vectorize import vectorize_file

    found = vectorize_file(class_map, out, polygons.rules(), force=force, events=shown_progress())
    _show(found, out, as_json, lines=polygons.preset == "roads")


def _show(found: list[ClassPolygons], out: Path, as_json: bool, *, lines: bool) -> None:
    if as_json:
        print_json({"path": out, "classes": [
            {"id": one.class_id, "name": one.name, ("lines" if lines else "polygons"): one.polygons,
             "area_m2": one.area_m2, "left_out": one.left_out, "left_out_m2": one.left_out_m2}
            | ({"length_m": one.length_m} if lines else {}) for one in found
        ]})  # fmt: skip
        return
    for one in found:
        less = f"  ({one.left_out} smaller, {one.left_out_m2 / 1e4:.2f} ha, left out)" if one.left_out else ""
        if lines:
            less = f"  ({one.left_out} short pieces left out)" if one.left_out else ""
        size = f"lines     {one.length_m / 1e3:12.2f} km" if lines else f"polygons  {one.area_m2 / 1e4:12.2f} ha"
        print_line(f"{one.name:<16} {one.polygons:>12} {size}{less}")
    if not any(one.polygons for one in found):
        notify("No polygons found: the map has no region of these classes that is large enough. The layer is empty.")
    notify_written([out])
