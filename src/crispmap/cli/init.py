"""The verb ``init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import notify
from crispmap.cli.options import ForceOption, quoted, words_of
from crispmap.errors import InputError


def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder for the project file.")] = Path(),
    scene: Annotated[list[Path] | None, typer.Option(help="The scene: any raster.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Imprecise labels, such as OpenStreetMap: vectors or a mask.")
    ] = None,
    reference: Annotated[Path | None, typer.Option(help="Precise labels of a small area: vectors or a mask.")] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Classes besides the background, separated by commas; by default those that the labels show, else "
            "building,road.",
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write a project file to fill in, with areas proposed for the scene where one is given."""
    from crispmap.project.file.template import ProjectInputs
    from crispmap.project.new import create_project

    if scene is not None and len(scene) > 1:
        raise InputError(
            f"{len(scene)} scenes are given.", expected="one --scene",
            remedy="Give one, then list the others under scenes: in the project file, as the guide shows.",
        )  # fmt: skip
    inputs = ProjectInputs(scene[0] if scene else None, labels, reference)
    names = None if classes is None else words_of(classes)
    project = create_project(folder, inputs, classes=names, force=force)
    if project.from_labels:
        notify(f"The labels show these classes: {', '.join(project.classes)}.")
    if project.without_rules:
        notify(f"No tag rules are known for {', '.join(project.without_rules)}: fill them in under osm.")
    notify(f"Wrote {project.path}. Look through it, then run: crispmap train {quoted(project.path)}")
