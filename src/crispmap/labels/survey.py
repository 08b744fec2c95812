"""What of each class labels put on a scene, before anything is trained: objects, pixels, area, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.errors import number_of
from crispmap.files.address import file_name
from crispmap.geo.crs import crs_name
from crispmap.geo.equal_area import areas_by_id
from crispmap.geo.grid import Grid
from crispmap.labels.geometry import is_polygon
from crispmap.labels.left_out import LeftOut, Reason
from crispmap.labels.mask import is_vector_file, open_labels
from crispmap.labels.rasterize import VectorLabels, lines_as_areas
from crispmap.labels.reader import LabelOptions, LabelReader
from crispmap.labels.vectors import LabelFeatures, read_features
from crispmap.types import IGNORE, CountArray, DoubleArray, LabelArray

_MOST_SIDE_PX = 2048  # of a larger scene every n-th pixel is looked at
_READ_PX = 1024


@dataclass(frozen=True)
class ClassOnScene:
    """What labels hold of one class on a scene."""

    name: str
    objects: int | None  # single polygons, lines or points that touch the scene; None for masks and the background
    share: float  # of the scene's pixels, 0..1
    area_m2: float  # on the ground


@dataclass(frozen=True, eq=False)
class LabelSurvey:
    """What labels hold on a scene."""

    file: str  # its name
    classes: tuple[ClassOnScene, ...]  # in the order of the schema
    unknown_share: float  # of the scene's pixels that the labels know nothing of, 0..1
    ids: LabelArray  # class ids (row, col), of every n-th pixel of the scene
    every: int  # that n, 1 where all were looked at
    crs: str | None = None  # of vectors
    other_crs: bool = False  # whether that is not the scene's
    elsewhere: int | None = None  # features outside the scene; None for masks, and where the file does not tell
    invalid: int = 0  # polygons that were repaired
    left_out: LeftOut | None = None  # features that are not used, by reason

    @property
    def empty_classes(self) -> tuple[str, ...]:
        """The classes that have no pixel, except the first: vectors may cover all of a scene."""
        return tuple(one.name for one in self.classes[1:] if one.share == 0 and not one.objects)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the pixels as plain values."""
        facts: dict[str, Any] = {"file": self.file, "classes": [self._row(one) for one in self.classes]}
        facts["empty_classes"] = list(self.empty_classes)
        if self.unknown_share:
            facts["unknown_percent"] = round(100 * self.unknown_share, 2)
        if self.left_out is not None:
            facts |= {"crs": self.crs, "reprojected": self.other_crs, "outside_the_scene": self.elsewhere}
            facts |= {"repaired": self.invalid, "left_out": self._left_out()}
        if self.every > 1:
            facts["looked_at_every_nth_pixel"] = self.every
        return facts

    def lines(self) -> list[str]:
        """Return the same as a person reads it."""
        rows = [f"  {one.name}: {_percent(one.share)} of the scene{_objects(one)}" for one in self.classes]
        if self.unknown_share:
            rows.append(f"  unknown: {_percent(self.unknown_share)}")
        rest = []
        if self.elsewhere:
            rest.append(f"{number_of(self.elsewhere, 'feature')} outside the scene")
        if self.invalid:
            rest.append(f"{number_of(self.invalid, 'invalid polygon')}, repaired")
        rest += [f"features left out: {count} {reason}" for reason, count in self._left_out().items()]
        if self.other_crs:
            rest.append(f"reprojected from {self.crs}")
        return [f"On the scene, {self.file} shows:", *rows, *(f"  {one}" for one in rest)]

    def _left_out(self) -> dict[str, int]:
        counts = {} if self.left_out is None else self.left_out.counts
        outside = (Reason.ELSEWHERE, Reason.OUTSIDE)
        return {str(reason): count for reason, count in counts.items() if reason not in outside}

    def _row(self, one: ClassOnScene) -> dict[str, Any]:
        objects = {} if one.objects is None else {"objects": one.objects}
        return {"name": one.name, **objects, "percent": round(100 * one.share, 3), "area_m2": round(one.area_m2, 1)}


def survey_labels(path: Path, schema: ClassSchema, grid: Grid, options: LabelOptions | None = None) -> LabelSurvey:
    """Return what labels, vectors or a mask, hold on a scene's grid; of a large one every n-th pixel is looked at.

    Raises:
        LabelError: If they cannot be read, do not overlap the scene, or hold no class.
    """
    options = options or LabelOptions()
    every = max(1, -(-max(grid.shape) // _MOST_SIDE_PX))
    thinned = grid if every == 1 else grid.resampled(every, every)
    if not is_vector_file(path):
        return _surveyed(path, open_labels(path, schema, thinned, options=options), every)
    found = read_features(path, schema, grid=grid, options=options, points=True)
    reader = VectorLabels(
        found.frame, thinned, schema, road_width_m=options.road_width_m, all_touched=options.all_touched,
        point_px=max(1, options.point_px // every),
    )  # fmt: skip
    return _surveyed(path, reader, every, found, _counted(found, grid, schema, options))


def _surveyed(
    path: Path,
    reader: LabelReader,
    every: int,
    found: LabelFeatures | None = None,
    objects: tuple[list[int], int | None] | None = None,
) -> LabelSurvey:
    """Return what a reader gives, and of vectors what is known of their features."""
    ids, pixels, area_m2 = _drawn(reader)
    names, total = reader.schema.names, max(1, ids.size)
    counts = [None] * len(names) if objects is None else [None, *objects[0][1:]]
    classes = tuple(
        ClassOnScene(name, counts[index], float(pixels[index] / total), float(area_m2[index]))
        for index, name in enumerate(names)
    )
    unknown = float(pixels[IGNORE] / total)
    if found is None or objects is None:
        return LabelSurvey(file_name(path), classes, unknown, ids, every)
    crs, grid_crs = found.layers[0].crs, reader.grid.crs
    other = crs is not None and grid_crs is not None and crs != grid_crs
    shapes = found.given[is_polygon(found.given)]
    return LabelSurvey(
        file_name(path), classes, unknown, ids, every,
        crs=None if crs is None else crs_name(crs), other_crs=other, elsewhere=objects[1],
        invalid=int((~shapely.is_valid(shapes)).sum()), left_out=found.left_out,
    )  # fmt: skip


def _drawn(reader: LabelReader) -> tuple[LabelArray, CountArray, DoubleArray]:
    """Return the class ids of a whole grid, and the pixels and area of each."""
    ids: LabelArray = np.empty(reader.grid.shape, np.uint8)
    pixels, area_m2 = np.zeros(IGNORE + 1, np.int64), np.zeros(IGNORE + 1)
    for block in reader.grid.blocks(_READ_PX):
        ids[block.slices] = reader.read(block)
        counted, measured = areas_by_id(reader.grid, block, ids[block.slices])
        pixels += counted
        area_m2 += measured
    return ids, pixels, area_m2


def _counted(
    found: LabelFeatures, grid: Grid, schema: ClassSchema, options: LabelOptions
) -> tuple[list[int], int | None]:
    """Return the objects of each class that touch the scene, and how many features lie outside it, if that is known."""
    areas = lines_as_areas(found.frame, grid, schema, road_width_m=options.road_width_m)
    touching = _meets(areas.geometry.bounds.to_numpy(), grid)
    ids = found.frame["class_id"].to_numpy()[touching]
    counts = [int((ids == index).sum()) for index in range(len(schema))]
    if any(one.features < 0 for one in found.layers):
        return counts, None
    said = found.left_out.counts
    outside = said.get(Reason.ELSEWHERE, 0) + said.get(Reason.OUTSIDE, 0) + int((~touching).sum())
    return counts, outside


def _meets(bounds: DoubleArray, grid: Grid) -> NDArray[np.bool_]:
    left, bottom, right, top = grid.bounds
    return np.asarray(
        (bounds[:, 0] < right) & (bounds[:, 2] > left) & (bounds[:, 1] < top) & (bounds[:, 3] > bottom), np.bool_
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _objects(one: ClassOnScene) -> str:
    """Return how many objects of a class there are, and how large the ground is."""
    count = "" if one.objects is None else f", {number_of(one.objects, 'object')}"
    return f"{count}, {one.area_m2 / 1e6:.3g} km²" if one.area_m2 else count


def empty_class_advice(names: Sequence[str], path: str) -> str:
    """Return what a person should know of classes that labels put nowhere on the scene."""
    several = ", ".join(names)
    return (
        f"Nothing of {several} lies on the scene in {path}: nothing can be learned of it. Correct the rules under "
        "classes:, leave it out there, or give labels that have it."
    )
