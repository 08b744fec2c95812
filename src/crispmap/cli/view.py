"""The verb ``view``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crispmap.cli.console import notify, print_line
from crispmap.cli.options import ForceOption, notify_written, parse_bands
from crispmap.cli.progress import shown_progress
from crispmap.errors import InputError

if TYPE_CHECKING:
    from crispmap.viewer.base_map import BaseMap


def chosen_base_map(osm: bool, url: str | None, credit: str | None) -> BaseMap | None:
    """Return the base map that is asked for; None where none is."""
    if not osm and url is None:
        if credit is not None:
            raise InputError("--base-map-credit is given without a base map.", expected="--base-map-url",
                             remedy="Add it, or leave out the words.")  # fmt: skip
        return None
    from crispmap.viewer.base_map import OPENSTREETMAP, BaseMap

    return BaseMap(url or OPENSTREETMAP, credit)


def view(  # noqa: PLR0913 - its options
    targets: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TARGET...",
            help="A project file or its folder; a folder of maps; or rasters, which lie over each other.",
            show_default="project.yaml",
        ),
    ] = None,
    *,
    reference: Annotated[
        Path | None, typer.Option(help="The class map that maps are held against; a project names its own.")
    ] = None,
    scene: Annotated[
        str | None, typer.Option(metavar="NAME", help="The scene to show of a project of several.")
    ] = None,
    bands: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help="The bands of images to show, such as 4,3,2 or 8.")
    ] = None,
    base_map: Annotated[
        bool,
        typer.Option("--base-map", help="Show OpenStreetMap around the scene, from its server: the page asks it."),
    ] = False,
    base_map_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Another base map: the address of its tiles, with {z}, {x} and {y} in it."),
    ] = None,
    base_map_credit: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The words that the maker of that base map asks to show.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a folder that any web server shows in the same way, and end."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port of this machine to serve the page on; 0: any free one.")
    ] = 0,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open the page in a browser.")] = False,
    force: ForceOption = False,
) -> None:
    """Look at image, maps, scores and errors, one over the other, on a map in the browser.

    The page is served to this machine alone and needs no network. It ends with Ctrl-C, or when it has been closed for
    a while.
    """
    from crispmap.viewer.run import ViewOptions, assemble, show

    options = ViewOptions(
        scene, parse_bands(bands) or (), reference, chosen_base_map(base_map, base_map_url, base_map_credit)
    )
    found = assemble(targets or [Path("project.yaml")], options)
    if export is not None:
        from crispmap.viewer.export import export_view

        notify_written([export_view(found, export, force=force, events=shown_progress())])
        notify("Any web server shows this folder, such as Python's, started in it: python -m http.server")
        return

    def announce(url: str) -> None:
        print_line(url)
        sys.stdout.flush()  # who reads it from a pipe wants it now
        notify("Served to this machine alone. Ctrl-C ends it, and so does closing the page.")

    show(found, announce, port=port, browser=not no_open, events=shown_progress())
