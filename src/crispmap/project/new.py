"""A new project: a project file with areas proposed for its scene, to fill in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import InputError, OutputError
from crispmap.files.address import is_missing
from crispmap.files.atomic import write_atomically
from crispmap.labels.osm import DEFAULT_CLASSES, OSM_PRESETS
from crispmap.project.file.project import PROJECT_FILE
from crispmap.project.file.template import ProjectInputs, SceneSize, project_text


@dataclass(frozen=True)
class NewProject:
    """A project file that was written."""

    path: Path
    without_rules: tuple[str, ...]  # classes whose tag rules have yet to be written


def create_project(
    folder: Path,
    inputs: ProjectInputs = ProjectInputs(),  # noqa: B008 - it is frozen
    *,
    classes: Sequence[str] = DEFAULT_CLASSES,
    force: bool = False,
) -> NewProject:
    """Write a project file to fill in, with areas proposed for the scene where one is given.

    The background is always the first class.
    """
    target = _free_target(folder, force)
    for path in inputs.given:
        if is_missing(path):
            raise InputError(f"There is no file {path}.", expected="a file that exists", remedy="Check the path.")
    names = [name for name in classes if name != "background"]
    write_atomically(target, project_text(target, inputs, names, _scene_size(inputs.scene)).encode())
    return NewProject(target, tuple(name for name in names if name not in OSM_PRESETS))


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
