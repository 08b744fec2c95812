"""A new project: a project file with areas proposed for its scene, to fill in."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from crispmap.errors import CrispmapWarning, InputError, LabelError, OutputError, SceneError, number_of
from crispmap.files.address import is_address, is_missing
from crispmap.files.atomic import write_atomically
from crispmap.labels.osm import DEFAULT_CLASSES, OSM_PRESETS
from crispmap.labels.proposal import ProposedClasses, named_classes
from crispmap.project.file.findings import findings_of
from crispmap.project.file.project import PROJECT_FILE
from crispmap.project.file.template import DataSetProposal, ProjectInputs, SceneSize, data_set_text, project_text

if TYPE_CHECKING:
    from crispmap.project.file.dataset_section import DatasetSection


@dataclass(frozen=True)
class NewProject:
    """A project file that was written."""

    path: Path
    classes: tuple[str, ...]  # the names of its classes, the background first
    without_rules: tuple[str, ...]  # classes whose tag rules have yet to be written
    from_labels: bool  # whether the classes are those that the labels show


def create_project(
    folder: Path,
    inputs: ProjectInputs = ProjectInputs(),  # noqa: B008 - it is frozen
    *,
    classes: Sequence[str] | None = None,
    class_column: str | None = None,
    force: bool = False,
) -> NewProject:
    """Write a project file to fill in, with areas proposed for the scene where one is given.

    Args:
        classes: Their names; the background is always the first. By default those that the labels show, else
            DEFAULT_CLASSES.
        class_column: In place of names: the column of the labels, vectors on a disk, whose values are the classes.

    Raises:
        InputError: If a file is missing, both names and a column are given, or the column does not serve.
    """
    target = _free_target(folder, force)
    for path in inputs.given:
        if is_missing(path):
            raise InputError(f"There is no file {path}.", expected="a file that exists", remedy="Check the path.")
    by_column = None if class_column is None else _of_column(inputs.labels, class_column, classes)
    shown, precise = by_column or _shown_by(inputs.labels), _shown_by(inputs.reference)
    from_labels = classes is None and (shown or precise) is not None
    proposed = _proposed(inputs, classes, shown or precise)
    options, reference_options = (_options(one, proposed.names) for one in (shown, precise))
    proposed = replace(proposed, options=options, reference_options=reference_options)
    write_atomically(target, project_text(target, inputs, proposed, _scene_size(inputs.scene)).encode())
    without = [name for name in proposed.names[1:] if proposed.rules and name not in (*OSM_PRESETS, *proposed.tags)]
    return NewProject(target, proposed.names, tuple(without), from_labels=from_labels)


@dataclass(frozen=True)
class NewDataSetProject:
    """A project file that was written for a data set."""

    path: Path
    summary: str
    shares: Mapping[str, float]  # of the classes among the labelled pixels
    notes: tuple[str, ...]  # what a person should know of the set


def create_data_set_project(
    folder: Path,
    data_set: Path,
    patterns: Sequence[tuple[str, str]] = (),
    *,
    classes: Sequence[str] | None = None,
    force: bool = False,
) -> NewDataSetProject:
    """Write a project file for a folder of images and masks, which trains as it is.

    Args:
        patterns: Of images, with one *, each with that of their masks, with {id}; by default the layout is recognised.
        classes: Names in place of those that the set has.
    """
    from crispmap.project.file.dataset_section import DatasetSection  # for a scene nothing of it is needed
    from crispmap.project.pairs.survey import survey_data_set

    target = _free_target(folder, force)
    given: dict[str, Any] = {"path": str(data_set)}
    if patterns:
        images, masks = (tuple(one) for one in zip(*patterns, strict=True))
        given |= {"layout": "pairs", "images": images, "masks": masks}
    survey = survey_data_set(_section(DatasetSection, given), classes)
    facts, found = survey.data_set.to_dict(), survey.data_set.found
    shares = survey.shares()
    keys: dict[str, Any] = {
        "layout": found.layout.name,
        **{name: list(given[name]) for name in ("images", "masks") if name in given},
    }
    grids = [one.grid for one in survey.data_set.facts.values()]
    if any(grid.crs is None for grid in grids):
        keys["assume_gsd_m"] = found.layout.gsd_m or 1.0
    if survey.data_set.ignored:
        keys["ignored"] = list(survey.data_set.ignored)
    if facts["left_out"]:
        keys["damaged"] = "skip"
    if survey.split:
        keys["split"] = survey.split
    summary = f"{number_of(facts['images'], 'image')}, {facts['images_with_mask']} with a mask, most of "
    summary += f"{facts['usual_size'][0]} x {facts['usual_size'][1]} pixels"
    kept = [(one, shares[one.name]) for one in survey.kept]
    proposal = DataSetProposal(keys, data_set, kept, survey.seed, max(one.mean_gsd_m() for one in grids), summary)
    write_atomically(target, data_set_text(target, proposal).encode())
    return NewDataSetProject(target, f"{found.layout.name}: {summary}", shares, tuple(survey.notes()))


def _section(section: type[DatasetSection], given: Mapping[str, Any]) -> DatasetSection:
    """Return a section of values given in Python, or raise InputError."""
    try:
        return section.model_validate(given)
    except ValidationError as error:
        first = findings_of(error, section, dict(given))[0]
        raise InputError(f"The data set: {first.given}.", expected=first.expected, remedy=first.remedy) from error


def _proposed(inputs: ProjectInputs, classes: Sequence[str] | None, shown: ProposedClasses | None) -> ProposedClasses:
    """Return the classes of these names, else those shown, else DEFAULT_CLASSES."""
    if classes is None and shown is not None:
        return shown
    # Only vectors need rules that tell the classes of features; what is no file here is taken for vectors.
    rules = inputs.labels is None or is_address(inputs.labels) or shown is None or shown.rules
    return named_classes(DEFAULT_CLASSES if classes is None else classes, rules=rules)


def _options(shown: ProposedClasses | None, names: Sequence[str]) -> dict[str, Any]:
    """Return the keys that labels need; features without a name are all of the one class there is."""
    options = {} if shown is None else dict(shown.options)
    if options.get("all_as", names[-1]) not in names:
        options["all_as"] = names[-1]
    return options if len(names) == 2 or options.get("all_as") in (None, *DEFAULT_CLASSES) else {}


def _of_column(labels: Path | None, column: str, classes: Sequence[str] | None) -> ProposedClasses:
    """Return the classes that a column of the labels holds."""
    from crispmap.labels.class_columns import classes_of_column
    from crispmap.labels.mask import is_vector_file

    if labels is None or is_address(labels) or classes is not None or not is_vector_file(labels):
        raise InputError(
            f"The classes are to be those of column {column}, without vectors on a disk or beside names of classes.",
            expected="labels in a vector file, and either its column of classes or their names",
            remedy="Name vectors as labels, and leave classes= out.",
        )
    return classes_of_column(labels, column)


def _shown_by(labels: Path | None) -> ProposedClasses | None:
    """Return the classes that labels on a disk show, or None; labels that cannot be read are told of later, in full."""
    if labels is None or is_address(labels):
        return None
    from crispmap.labels.propose import proposed_classes  # without labels nothing is read

    try:
        return proposed_classes(labels)
    except (LabelError, SceneError) as error:
        warnings.warn(f"The labels show no classes: {error.given}", CrispmapWarning, stacklevel=3)
        return None


def _scene_size(scene: Path | None) -> SceneSize:
    if scene is None:
        return SceneSize()
    from crispmap.raster.files import open_scene  # without a scene nothing is read

    with open_scene(scene) as opened:
        grid = opened.grid
        return SceneSize(grid.shape, grid.mean_gsd_m(), grid.crs is not None, known=True)


def _free_target(folder: Path, force: bool) -> Path:
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            f"{folder} is a file, not a folder.", expected="the folder for the project file",
            remedy="Name a folder, and give the scene as scene=.",
        )  # fmt: skip
    target = folder / PROJECT_FILE
    if target.exists() and not force:
        remedy = "Give force=True to replace it, or another folder."
        raise OutputError(f"{target} exists.", expected="a new file", remedy=remedy)
    return target
