"""The verb ``init``."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from crispmap.cli.console import notify
from crispmap.cli.options import ForceOption, grouped, quoted, words_of
from crispmap.errors import CrispmapWarning, InputError

_Path = Path | None
_Patterns = list[str] | None


@dataclass(frozen=True)
class SceneFlags:
    """A scene and its labels."""

    scene: Annotated[list[Path] | None, typer.Option(help="The scene: any raster.")] = None
    labels: Annotated[_Path, typer.Option(help="Imprecise labels, such as OpenStreetMap: vectors or a mask.")] = None
    reference: Annotated[_Path, typer.Option(help="Precise labels of a small area: vectors or a mask.")] = None


@dataclass(frozen=True)
class DataSetFlags:
    """A data set in place of a scene."""

    dataset: Annotated[
        _Path, typer.Option(metavar="FOLDER", help="A data set in place of a scene: a folder of images and masks.")
    ] = None
    images: Annotated[
        _Patterns, typer.Option(metavar="PATTERN", help="Its images, such as images/*.jpg; by default recognised.")
    ] = None
    masks: Annotated[_Patterns, typer.Option(metavar="PATTERN", help="The mask of each, such as masks/{id}.png.")] = (
        None
    )


@grouped
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder for the project file.")] = Path(),
    *,
    one: SceneFlags,
    many: DataSetFlags,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Classes besides the background, separated by commas; by default those that the labels show, else "
            "building,road. Of a data set, names for all of its classes.",
        ),
    ] = None,
    class_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="The column of the labels, vectors, whose values are the classes, in place of names."
        ),
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write a project file to fill in, with areas proposed for the scene where one is given.

    What of each class the labels hold on the scene is shown, and drawn as labels.png beside the file.

    For a data set the file is complete: its classes, and which images train, validate and test.
    """
    names = None if classes is None else words_of(classes)
    if many != DataSetFlags():
        _check_alone(one, many)
        if class_column is not None:
            raise InputError(
                "A column of classes is given for a data set.", expected="a scene and vectors",
                remedy="Leave --class-column out: masks say their classes by values or colours.",
            )  # fmt: skip
        _init_data_set(folder, many, names, force)
    else:
        _init_scene(folder, one, names, class_column, force)


def _init_scene(folder: Path, one: SceneFlags, names: list[str] | None, class_column: str | None, force: bool) -> None:
    from crispmap.project.file.template import ProjectInputs
    from crispmap.project.new import create_project

    if one.scene is not None and len(one.scene) > 1:
        raise InputError(
            f"{len(one.scene)} scenes are given.", expected="one --scene",
            remedy="Give one, then list the others under scenes: in the project file, as the guide shows.",
        )  # fmt: skip
    inputs = ProjectInputs(one.scene[0] if one.scene else None, one.labels, one.reference)
    look = inputs.scene is not None and (inputs.labels or inputs.reference) is not None
    if look:
        _check_picture(folder, force)
    project = create_project(folder, inputs, classes=names, class_column=class_column, force=force)
    if project.from_labels:
        notify(f"The labels show these classes: {', '.join(project.classes)}.")
    if project.without_rules:
        notify(f"No tag rules are known for {', '.join(project.without_rules)}: fill them in under osm.")
    if look:
        _show_labels(project.path)
    if names is None and class_column is None and one.labels is not None:
        _name_columns(one.labels)
    _notify_written(project.path)


def _check_picture(folder: Path, force: bool) -> None:
    from crispmap.files.atomic import check_free
    from crispmap.project.label_view import LABELS_PICTURE

    check_free(folder / LABELS_PICTURE, force=force)


def _show_labels(path: Path) -> None:
    """Say and draw what the labels of a new project hold on its scene; what is wrong with them is a warning."""
    from crispmap.labels.survey import empty_class_advice
    from crispmap.project.file import load_project
    from crispmap.project.label_view import LABELS_PICTURE, labels_of, write_labels_picture
    from crispmap.project.problems import in_keys

    project = load_project(path, check_files=False)
    found = labels_of(project)
    for one in found:
        if one.error is not None:
            text = f"The {one.use} cannot be used yet: {one.error.given.rstrip('.')}. {in_keys(one.error.remedy)}"
            warnings.warn(text, CrispmapWarning, stacklevel=1)
        elif one.survey is not None:
            for line in one.survey.lines():
                notify(line)
            if one.survey.empty_classes:
                text = empty_class_advice(one.survey.empty_classes, one.survey.file)
                warnings.warn(text, CrispmapWarning, stacklevel=1)
    if any(one.survey is not None for one in found):
        picture = write_labels_picture(path.parent / LABELS_PICTURE, found, project.schema, force=True)
        notify(f"Drawn as {picture}.")


def _name_columns(labels: Path) -> None:
    """Name the columns of vectors that would serve as class column."""
    from crispmap.files.address import is_address
    from crispmap.labels.class_columns import columns_or_none
    from crispmap.labels.mask import is_vector_file

    found = [] if is_address(labels) or not is_vector_file(labels) else columns_or_none(labels)
    if found:
        notify("Columns that would serve as classes instead, with --class-column and --force:")
        for one in found:
            notify(f"  {one.text}")


def _check_alone(one: SceneFlags, many: DataSetFlags) -> None:
    if many.dataset is None or len(many.images or ()) != len(many.masks or ()) or one != SceneFlags():
        raise InputError(
            "A data set is given beside a scene or labels, or patterns without it or without a partner.",
            expected="--dataset alone, or with as many --images as --masks",
            remedy="Give for example --dataset data --images 'images/*.jpg' --masks 'masks/{id}.png'.",
        )


def _init_data_set(folder: Path, many: DataSetFlags, names: list[str] | None, force: bool) -> None:
    from crispmap.project.new import create_data_set_project

    patterns = list(zip(many.images or (), many.masks or (), strict=True))
    project = create_data_set_project(folder, many.dataset or Path(), patterns, classes=names, force=force)
    notify(f"Found the layout {project.summary}.")
    notify(f"Classes: {', '.join(f'{name} {100 * share:.3g} %' for name, share in project.shares.items())}.")
    for note in project.notes:
        notify(note)
    _notify_written(project.path)


def _notify_written(path: Path) -> None:
    notify(f"Wrote {path}. Look through it, then run: crispmap train {quoted(path)}")
