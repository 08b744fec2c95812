"""The verb ``stac``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from crispmap.cli.console import notify, print_json
from crispmap.cli.options import ForceOption, JsonOption, notify_written


def stac(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder of class maps and models.")],
    date_from: Annotated[
        Literal["filename", "tag"] | None,
        typer.Option(
            help="Where the date of a map's scene is: in its name, or in its TIFF tag. By default the tag, "
            "else when the file was written."
        ),
    ] = None,
    force: ForceOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write a STAC catalogue of a folder: an item for each class map and model, and catalog.json.

    Maps have their outline, projection, classes with colours, and what made them; models what they take and give, by
    the MLM extension. Items of maps link those of their models where these are in the folder. Names are relative: the
    folder may move, and be served as it is.
    """
    from crispmap.catalogue.folder import write_catalogue

    found = write_catalogue(folder, dates=date_from, force=force)
    for path, why in found.left_out:
        notify(f"Left out: {path}: {why}")
    if as_json:
        print_json({"catalogue": found.path, "maps": found.maps, "models": found.models,
                    "left_out": [{"path": path, "why": why} for path, why in found.left_out]})  # fmt: skip
    else:
        notify_written(list(found.paths))
