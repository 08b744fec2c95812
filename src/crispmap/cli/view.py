"""The verb ``view``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import notify, print_line
from crispmap.cli.options import ForceOption, notify_written, parse_bands
from crispmap.cli.progress import shown_progress


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

    options = ViewOptions(scene, parse_bands(bands) or (), reference)
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
