"""What the labels of a project hold on its scenes, looked at before any training, and drawn as a small picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapError, InputError
from crispmap.files.address import is_address
from crispmap.files.atomic import check_free, write_atomically
from crispmap.labels.survey import LabelSurvey, survey_labels
from crispmap.project.file import Project, ProjectScene
from crispmap.project.inputs import label_options
from crispmap.raster.files import open_scene
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import SceneReader
from crispmap.report.pictures.maps import class_rgb
from crispmap.report.pictures.photos import ByteArray, rgb_preview, thinning
from crispmap.report.pictures.strip import strip_png

LABELS_PICTURE = "labels.png"

_PAGE_PX, _GAP_PX = 740, 8  # the width of the picture, and between its tiles
_MOST_SCENE_PX = 400_000_000  # a larger scene takes minutes to read for a small picture: it is drawn grey
_GREY = 128


@dataclass(frozen=True, eq=False)
class LabelsOfScene:
    """The labels or the reference of one scene, looked at."""

    scene: ProjectScene
    use: str  # "labels" or "reference"
    survey: LabelSurvey | None  # None where they cannot be used
    error: CrispmapError | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the pixels as plain values."""
        found = {} if self.survey is None else self.survey.to_dict()
        return {"scene": self.scene.name, "for": self.use, **found}


def labels_of(project: Project) -> list[LabelsOfScene]:
    """Return what is found in all labels and references on a disk that a project names; none of a data set."""
    return (
        [] if project.data_set is not None else [one for scene in project.scenes for one in _of_scene(project, scene)]
    )


def _of_scene(project: Project, scene: ProjectScene) -> Iterator[LabelsOfScene]:
    sections = {"labels": scene.labels, "reference": scene.reference}
    named = {use: one for use, one in sections.items() if one is not None and _is_here(one.path)}
    if not named or not all(map(_is_here, scene.images.values())):
        return
    for use, section in named.items():
        try:
            with open_scene(scene.ref) as opened:
                grid, turn = opened.grid, opened.turn
            options = replace(label_options(section), turn=turn)
            yield LabelsOfScene(scene, use, survey_labels(section.path, project.schema, grid, options))
        except CrispmapError as error:
            yield LabelsOfScene(scene, use, None, error)


def _is_here(path: Path) -> bool:
    return not is_address(path) and path.exists()


def write_labels_picture(
    path: str | Path, found: Sequence[LabelsOfScene], schema: ClassSchema, *, force: bool = False
) -> Path:
    """Write a small picture, a row for each scene: it, its labels and its reference; return its path.

    Raises:
        InputError: If no labels were found that can be drawn.
        OutputError: If the file exists and ``force`` is not given, or cannot be written.
    """
    target = check_free(path, force=force)
    rows = _rows(found)
    if not rows:
        raise InputError(
            "There are no labels to draw.", expected="a project whose scene and labels lie on a disk and can be read",
            remedy="Give its project file, and correct the problems that are shown for it.",
        )  # fmt: skip
    uses = list(dict.fromkeys(use for surveys in rows.values() for use in surveys))
    tile_px = (_PAGE_PX - _GAP_PX) // (1 + len(uses)) - _GAP_PX
    pictures = []
    for name, scene in {one.scene.name: one.scene for one in found if one.survey is not None}.items():
        preview = _preview(scene, tile_px)
        drawn = [_drawn(rows[name].get(use), preview.shape[1:], schema) for use in uses]
        pictures.append([preview, *drawn])
    several = len(rows) > 1 or len(uses) > 1
    first = next(iter(next(iter(rows.values())).values()))
    legend = [
        (one.name if several else f"{one.name} {100 * first.classes[index].share:.3g} %", one.rgb)
        for index, one in enumerate(schema)
    ]
    longest = max(max(picture.shape[1:]) for row in pictures for picture in row)
    side = longest * max(1, tile_px // longest)  # small scenes enlarged by whole pixels, within the page
    write_atomically(target, strip_png(pictures, ("scene", *uses), legend, tile_px=side))
    return target


def _rows(found: Sequence[LabelsOfScene]) -> dict[str, dict[str, LabelSurvey]]:
    """Return what can be drawn: by the name of the scene, and by what it is for."""
    rows: dict[str, dict[str, LabelSurvey]] = {}
    for one in found:
        if one.survey is not None:
            rows.setdefault(one.scene.name, {})[one.use] = one.survey
    return rows


def _drawn(survey: LabelSurvey | None, shape: tuple[int, ...], schema: ClassSchema) -> ByteArray:
    """Return labels as a picture of a shape, uint8 (3, row, col): white where there are none."""
    if survey is None:
        return np.full((3, *shape), 255, np.uint8)
    rows, cols = (
        (np.arange(count) * side + side // 2) // count for count, side in zip(shape, survey.ids.shape, strict=True)
    )
    return class_rgb(survey.ids[np.ix_(rows, cols)], schema)


def _preview(scene: ProjectScene, tile_px: int) -> ByteArray:
    """Return a scene as a picture of a tile's size, uint8 (3, row, col)."""
    with open_scene(scene.ref) as opened:
        n = thinning(opened.grid.shape, tile_px)
        if opened.grid.height * opened.grid.width > _MOST_SCENE_PX:
            height, width = opened.grid.resampled(n, n).shape
            return np.full((3, height, width), _GREY, np.uint8)
        if n == 1:
            return _read(opened)
        with closing(ResampledScene(opened, n, n)) as thinned:
            return _read(thinned)


def _read(scene: SceneReader) -> ByteArray:
    pixels, valid = scene.read(scene.grid.block)
    return rgb_preview(pixels, valid=valid)
