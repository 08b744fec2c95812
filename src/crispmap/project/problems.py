"""What keeps a project's scenes, labels and areas from being used, found without training: all problems."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from crispmap.errors import CrispmapError
from crispmap.files.address import is_address
from crispmap.geo.area_pieces import resolve_areas
from crispmap.geo.areas import Area
from crispmap.geo.grid import Block, Grid
from crispmap.labels.mask import open_labels
from crispmap.labels.reader import LabelReader
from crispmap.project.file import Project, ProjectScene
from crispmap.project.inputs import label_options
from crispmap.raster.files import open_scene
from crispmap.types import IGNORE, CountArray

_MOST_PX = 64_000_000  # labels of larger scenes are not looked through: that takes minutes
_KEYS = re.compile(r"\b(all_as|assume_crs|assume_gsd_m|encoding|nodata|threshold|tolerance|unknown)=(\S+)")
"""Arguments in remedies, which are keys of the project file here."""
_WINDOW_PX = 256  # side of the windows among which those of a missing class are found


@dataclass(frozen=True)
class Problem:
    """Something that is wrong with a project's inputs."""

    where: str  # the scene or the area
    problem: str
    remedy: str


def problems_of(project: Project) -> list[Problem]:
    """Return what is wrong with the scenes, labels and areas of a project, including missing files.

    Scenes are opened, areas are laid on them, and the classes of the labels in each are counted.
    """
    missing = [_missing("models", path) for path in project.models.values() if not _is_here(path)]
    if project.data_set is not None:  # whose pairs were checked as it was read
        return missing + [_problem(f"image {one.pair.name}", one.error) for one in project.data_set.damaged]
    return [
        *missing,
        *(problem for scene in project.scenes for problem in (*_missing_files(scene), *_of_scene(project, scene))),
    ]


def _missing(where: str, path: Path) -> Problem:
    return Problem(where, f"There is no file {path}", "Check the path.")


def _missing_files(scene: ProjectScene) -> Iterator[Problem]:
    sections = {"labels": scene.labels, "reference": scene.reference, "scores": scene.scores}
    files = {**scene.images, **{name: one.path for name, one in sections.items() if one is not None}}
    for name, path in files.items():
        if not _is_here(path):
            yield _missing(f"scene {scene.name}, {name}", path)


def _is_here(path: Path) -> bool:
    return is_address(path) or path.exists()


def _of_scene(project: Project, scene: ProjectScene) -> Iterator[Problem]:
    name = f"scene {scene.name}"
    if not all(map(_is_here, scene.images.values())):
        return
    try:
        with open_scene(scene.ref) as opened:
            grid, turn = opened.grid, opened.turn
    except CrispmapError as error:
        yield _problem(name, error)
        return
    areas: dict[str, list[Area]] = {}
    yield from _of_areas(name, scene, grid, areas)
    for section, roles in ((scene.labels, ("coarse",)), (scene.reference, ("refiner", "validation", "test"))):
        if section is not None and _is_here(section.path):
            try:
                options = replace(label_options(section), turn=turn)
                with closing(open_labels(section.path, project.schema, grid, options=options)) as labels:
                    own = {role: areas[role] for role in roles if areas.get(role)}
                    yield from _missing_classes(name, labels, own, areas)
            except CrispmapError as error:
                yield _problem(f"{name}, {section.path.name}", error)


def _of_areas(name: str, scene: ProjectScene, grid: Grid, found: dict[str, list[Area]]) -> Iterator[Problem]:
    """Yield what is wrong with the areas of a scene, and put those that lie on it into ``found``, by role."""
    wrong = 0
    for role, pieces in scene.areas.items():
        for piece in pieces:
            try:
                found.setdefault(role, []).extend(resolve_areas({role: [piece]}, grid, grid)[role])
            except CrispmapError as error:
                wrong += 1
                yield _problem(f"{name}, areas: {role}", error)
    if not wrong:
        try:
            resolve_areas(scene.areas, grid, grid)
        except CrispmapError as error:
            yield _problem(f"{name}, areas", error)


def _problem(where: str, error: CrispmapError) -> Problem:
    return Problem(where, error.given.rstrip("."), in_keys(error.remedy))


def in_keys(remedy: str) -> str:
    """Return a remedy that names arguments as one that names keys of the project file."""
    return _KEYS.sub(r"\1: \2", remedy)


def _missing_classes(
    name: str, labels: LabelReader, areas: Mapping[str, Sequence[Area]], taken: Mapping[str, Sequence[Area]]
) -> Iterator[Problem]:
    """Yield, for the areas of each role, the classes that no pixel of theirs has, and where to find one.

    Scenes of more than _MOST_PX pixels are skipped.

    Args:
        areas: The areas that need these labels, by role.
        taken: The areas of all roles.
    """
    if labels.grid.height * labels.grid.width > _MOST_PX:
        return
    windows = _windows(labels, [area for ones in taken.values() for area in ones]) if areas else []
    counted = {role: _counts(labels, ones) for role, ones in taken.items()} if areas else {}
    for role in areas:
        for index, one in enumerate(labels.schema):
            if counted[role][index] == 0:
                best = max(windows, key=lambda window, index=index: window[1][index], default=None)  # type: ignore[misc]
                others = [other for other, counts in counted.items() if counts[index]]
                advice = _advice(best, index, others)
                yield Problem(f"{name}, areas: {role}", f"The labels there have no {one.name}", advice)


def _counts(labels: LabelReader, areas: Sequence[Area]) -> CountArray:
    """Return the pixels of each id in areas."""
    counts = np.zeros(IGNORE + 1, np.int64)
    for area in areas:
        for block in area.block.pieces(1024):
            counts += np.bincount(labels.read(block)[area.mask(block)], minlength=IGNORE + 1)
    return counts


def _advice(best: tuple[Block, CountArray] | None, index: int, others: Sequence[str]) -> str:
    if (best is None or best[1][index] == 0) and others:
        there = " and ".join(others)
        return f"Move or swap the areas: these labels have it in areas: {there}, and in no window free of areas."
    if best is None or best[1][index] == 0:
        return "Leave the class out, or give labels that have it: no window free of areas has it."
    block = best[0]
    shown = [block.row, block.col, block.height, block.width]
    return f"Add an area that has it, such as window: {shown} with {int(best[1][index])} of its pixels."


def _windows(labels: LabelReader, taken: Sequence[Area]) -> list[tuple[Block, CountArray]]:
    """Return the windows of a scene that no area touches, with the pixels of each id in them."""
    return [
        (block, np.bincount(labels.read(block).ravel(), minlength=IGNORE + 1))
        for block in _blocks(labels.grid)
        if all(block.intersection(area.block).is_empty for area in taken)
    ]


def _blocks(grid: Grid) -> Iterator[Block]:
    """Yield the windows of a grid, at least four along its shorter side."""
    return grid.blocks(max(1, min(_WINDOW_PX, min(grid.shape) // 4)))
