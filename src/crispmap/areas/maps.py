"""The maps of one date: their classes, their pixels strip by strip, and the ground that two of them show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import AreaError, SchemaError
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import turns_between
from crispmap.labels.layers import grid_box
from crispmap.labels.warped import WarpedRaster
from crispmap.polygons.class_raster import ClassRaster
from crispmap.polygons.corners import NOTHING, Values
from crispmap.raster.compose.placed import pixel_shift
from crispmap.types import IGNORE, BoolArray, CountArray, DoubleArray

Overlap: TypeAlias = Literal["error", "first", "last"]
"""Ground that two maps of one date show: refused, or taken from the first or the last in the order given."""

_STRIP_PIXELS = 1 << 21


@dataclass(frozen=True)
class MapFile:
    """A class map and where its pixels lie; not opened, for there may be more maps than a process can have open."""

    path: Path
    grid: Grid

    @classmethod
    def of(cls, path: Path) -> MapFile:
        """Return what is known of a map, or raise SceneError if it cannot be read."""
        with ClassRaster(path) as raster:
            return cls(path, raster.grid)


@dataclass(frozen=True, eq=False)
class Strip:
    """Whole rows of a map."""

    block: Block
    ids: CountArray  # (row, col) class ids; ``none`` where the map has no class
    none: int  # the number of classes
    area_m2: DoubleArray  # (row, col) of each pixel on the ground


def schema_of_maps(paths: Sequence[Path], schema: ClassSchema | None = None) -> ClassSchema:
    """Return the classes of maps, which all have the same names in the same order.

    Args:
        schema: The classes of all, in place of those they carry.

    Raises:
        SchemaError: If a map does not name its classes and none are given, or two differ.
        SceneError: If a map cannot be read.
    """
    found: list[ClassSchema] = []
    for path in paths:
        with ClassRaster(path) as raster:
            own = schema or raster.schema
        if own is None:
            raise SchemaError(
                f"{path} does not name its classes.", expected="a class map written by crispmap",
                remedy="Give them: classes=project.yaml",
            )  # fmt: skip
        found.append(own)
        if own.names != found[0].names:
            raise SchemaError(
                f"{paths[0]} has the classes {', '.join(found[0].names)}, {path} {', '.join(own.names)}.",
                expected="the same classes in the same order in all maps",
                remedy="Tell the areas of maps of one kind at a time.",
            )
    return found[0]


def strips_of(raster: ClassRaster, schema: ClassSchema) -> Iterator[Strip]:
    """Yield the strips of a map from the top.

    Raises:
        AreaError: If it holds an id of no class.
        SceneError: If it cannot be read.
    """
    size, top = len(schema), 0
    for values in raster.strips(None, background=True, rows=max(1, _STRIP_PIXELS // raster.grid.width)):
        block = Block(top, 0, *values.shape)
        top = block.row_stop
        yield Strip(block, _class_ids(values, raster, schema), size, raster.grid.pixel_areas_m2(block))


def strips_of_maps(maps: Sequence[MapFile], schema: ClassSchema, overlap: Overlap) -> Iterator[tuple[int, Strip]]:
    """Yield the strips of the maps of one date after the number of each; ground that two show is in one of them.

    Raises:
        AreaError: As ``OtherMaps`` and ``strips_of``.
        SceneError: If a map cannot be read.
    """
    for index, one in enumerate(maps):
        with ClassRaster(one.path) as raster, OtherMaps(maps, index, overlap) as others:
            for strip in strips_of(raster, schema):
                yield index, others.removed_from(strip)


class MapOn:
    """A map read on the pixels of another, by the class at their centres; a context manager.

    Raises:
        AreaError: If their pixels differ and not both have a coordinate reference system.
    """

    def __init__(self, raster: ClassRaster, grid: Grid) -> None:
        self._raster = raster
        self.is_resampled = False  # whether the pixels of the two differ, beyond a shift by whole ones
        self._view: WarpedRaster | None = None
        if not raster.grid.has_pixels_of(grid):
            _check_placed(raster.path, raster.grid, grid)
            self.is_resampled = pixel_shift(raster.grid, grid) is None
            self._view = raster.on(grid)

    def __enter__(self) -> MapOn:
        return self

    def __exit__(self, *_: object) -> None:
        if self._view is not None:
            self._view.close()

    def ids(self, block: Block, schema: ClassSchema) -> CountArray:
        """Return the class ids (row, col) of whole rows; the number of classes where there is none."""
        if self._view is None:
            return _class_ids(self._raster.rows(block.row, block.height), self._raster, schema)
        window = Window(block.col, block.row, block.width, block.height)
        values: Any = self._view.read([1], window=window)[0].astype(np.int32)
        there = self._view.dataset_mask(window=window) > 0
        return _class_ids(np.where(there, values, NOTHING), self._raster, schema)


def _class_ids(values: Values, raster: ClassRaster, schema: ClassSchema) -> CountArray:
    """Return values of a map as class ids, the number of classes where it has none."""
    known = (values != NOTHING) & (values != IGNORE)
    wrong = values[known & ((values < 0) | (values >= len(schema)))]
    if len(wrong):
        raise AreaError(
            f"{raster.path} holds the value {wrong[0]}, of no class.",
            expected=f"0 to {len(schema) - 1} ({', '.join(schema.names)}), or {IGNORE} where unknown",
            remedy="Give the classes of the map: classes=project.yaml",
        )
    return np.where(known, values, len(schema)).astype(np.int64)


class OtherMaps:
    """The other maps of a date that may show the ground of one; a context manager.

    A pixel is shown by another map where its centre lies in a pixel with a class of that.

    Raises:
        AreaError: If maps without a CRS cannot be told apart; on leaving, if ground was shared and is refused.
    """

    def __init__(self, maps: Sequence[MapFile], index: int, overlap: Overlap) -> None:
        self._own, self._overlap = maps[index], overlap
        others = maps[index + 1 :] if overlap == "last" else maps[:index]
        self._near = [one for one in others if _may_share(one, self._own)]
        self._shared_m2 = np.zeros(len(self._near))
        self._views: list[WarpedRaster] = []

    def __enter__(self) -> OtherMaps:
        with ExitStack() as stack:
            for one in self._near:
                self._views.append(stack.enter_context(ClassRaster(one.path)).on(self._own.grid))
                stack.callback(self._views[-1].close)
            self._opened = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._opened.close()
        if kind is None and self._overlap == "error" and self._shared_m2.any():
            worst = int(np.argmax(self._shared_m2))
            raise AreaError(
                f"{self._near[worst].path} and {self._own.path} show the same ground at the same date, "
                f"{self._shared_m2[worst] / 1e6:.6g} km2.",
                expected="maps of one date that do not overlap",
                remedy="Give one of them, or say which counts where they overlap: overlap=first",
            )

    def removed_from(self, strip: Strip) -> Strip:
        """Return a strip without the pixels that another map shows too."""
        ids = strip.ids
        for index, view in enumerate(self._views):
            shared = _seen(view, strip.block) & (ids < strip.none)
            self._shared_m2[index] += float(strip.area_m2[shared].sum())
            ids = np.where(shared, strip.none, ids)
        return Strip(strip.block, ids, strip.none, strip.area_m2)


def _seen(view: WarpedRaster, block: Block) -> BoolArray:
    window = Window(block.col, block.row, block.width, block.height)
    values: Any = view.read([1], window=window)[0]
    return np.asarray((view.dataset_mask(window=window) > 0) & (values != IGNORE))


def _check_placed(path: Path, grid: Grid, other: Grid) -> None:
    if grid.crs is None or other.crs is None:
        raise AreaError(
            f"{path} and another map cannot be laid over each other: not both have a coordinate reference system.",
            expected="maps that say where they are", remedy="Georeference them (gdal_edit.py -a_srs).",
        )  # fmt: skip


def _may_share(one: MapFile, other: MapFile) -> bool:
    """Return whether the extents of two maps touch."""
    _check_placed(one.path, one.grid, other.grid)
    box = grid_box(one.grid, other.grid.crs)
    left, low, right, high = other.grid.bounds
    return box is None or (
        bool(turns_between(box[::2], (left, right), other.grid.crs)) and box[1] < high and low < box[3]
    )
