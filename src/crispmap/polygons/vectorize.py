"""Class maps as polygons: a feature for each connected region of a class, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from crispmap.errors import InputError
from crispmap.events import SILENT, Events, progress
from crispmap.files.dataset import few_blocks_kept
from crispmap.polygons.class_raster import ALL, ClassRaster
from crispmap.polygons.polygons import PolygonAreas, polygons_of
from crispmap.polygons.regions import RegionBatch, RegionTracer
from crispmap.polygons.simplify import simplified
from crispmap.polygons.style import polygon_style
from crispmap.polygons.vector_file import PolygonFile
from crispmap.raster.targets import check_paths

_POINTS = 1 << 17  # corners made into polygons at once


@dataclass
class ClassPolygons:
    """What was written of one class."""

    class_id: int
    name: str  # its name, or its id as text
    polygons: int = 0  # how many polygons were written
    area_m2: float = 0.0  # their area on the ground
    left_out: int = 0  # how many were smaller than asked for
    left_out_m2: float = 0.0  # the area of those


@dataclass(frozen=True)
class PolygonRules:
    """Which polygons are made, and how.

    Raises:
        InputError: If a number is below 0 or not finite.
    """

    # names or ids of classes, or ``("all",)``; None for all but 0, the background
    classes: tuple[str, ...] | None = None
    min_area_m2: float = 0.0  # smaller polygons are left out; square metres on the ground
    simplify_m: float = 0.0  # how far outlines may stray to have fewer corners, in metres; 0 keeps them as they are

    def __post_init__(self) -> None:
        for what, value in (("smallest area", self.min_area_m2), ("simplification", self.simplify_m)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"The {what} is {value}.", expected="a number of 0 or more", remedy="Leave it out.")


@dataclass
class _Tally:
    raster: ClassRaster
    by_id: dict[int, ClassPolygons] = field(default_factory=dict)

    def of(self, class_id: int) -> ClassPolygons:
        return self.by_id.setdefault(class_id, ClassPolygons(class_id, self.raster.name_of(class_id)))


def vectorize_file(
    path: str | Path,
    out: str | Path,
    rules: PolygonRules | None = None,
    *,
    force: bool = False,
    strip_rows: int | None = None,
    events: Events = SILENT,
) -> list[ClassPolygons]:
    """Write the connected regions of a class map as polygons, and return the totals of each class.

    A region is connected through the sides of its pixels (4-connectivity), not through corners. Its polygon follows the
    sides of the pixels, with holes. Nodata is never a polygon. Attributes: class_id, class_name, and area_m2, the
    ground area of the region's pixels, which simplifying does not change. Features are ordered by their last row, then
    by their first pixel; neither they nor their order depends on ``strip_rows``. Rasterized on the map's grid, they
    give the map again. Memory holds one strip and the regions that cross its lower edge.

    Args:
        path: A class map, or any raster with one band of integers.
        out: GeoPackage, GeoJSON, FlatGeobuf or GeoParquet, by suffix.
        rules: By default all regions of every class but 0, not simplified.

    Raises:
        GridError: If the map's CRS is not tied to the earth.
        OutputError: If the file exists without ``force``, is the map, has an unknown format or one that cannot hold the
            coordinates, or cannot be written.
        SceneError: If the map is missing, not a raster, or holds no class ids.
        SchemaError: If a class is not one of the map's.
    """
    rules = rules or PolygonRules()
    check_paths([Path(out)], [Path(path)])
    with few_blocks_kept(), ClassRaster(path) as raster:
        everything = rules.classes is not None and tuple(rules.classes) == (ALL,)
        ids = raster.ids_of(None if everything else rules.classes)
        tally = _Tally(raster)
        known = range(0 if everything else 1, len(raster.schema) if raster.schema is not None else 0)
        for class_id in known if ids is None else ids:  # listed even without polygons
            tally.of(class_id)
        style = None if raster.schema is None else polygon_style(raster.schema, list(tally.by_id), "class_id")
        tracer = RegionTracer(raster.grid.width, nodes=rules.simplify_m > 0)
        area = PolygonAreas(raster.grid)
        with (
            progress(events, "polygons", math.prod(raster.grid.shape)) as running,
            PolygonFile(out, raster.grid, style=style, force=force) as file,
        ):
            _write(file, RegionBatch.empty(), rules, area, tally)  # creates the layer even without regions
            for strip in raster.strips(ids, background=everything, rows=strip_rows):
                _write(file, tracer.push(strip), rules, area, tally)
                running.advance(strip.size)
            _write(file, tracer.finish(), rules, area, tally)
    return [tally.by_id[class_id] for class_id in sorted(tally.by_id)]


def _write(file: PolygonFile, batch: RegionBatch, rules: PolygonRules, area: PolygonAreas, tally: _Tally) -> None:
    """Write the regions of a batch that are large enough."""
    grid = tally.raster.grid
    for part in _parts(batch):
        polygons = polygons_of(part.rings, grid.transform)
        area_m2 = area.of(polygons)
        wanted = area_m2 >= rules.min_area_m2
        for class_id in np.unique(part.values).tolist():
            own = part.values == class_id
            entry = tally.of(class_id)
            entry.polygons += int((own & wanted).sum())
            entry.area_m2 += float(area_m2[own & wanted].sum())
            entry.left_out += int((own & ~wanted).sum())
            entry.left_out_m2 += float(area_m2[own & ~wanted].sum())
        if rules.simplify_m > 0 and wanted.any():
            rings = part.taken(np.flatnonzero(wanted)).rings
            polygons[wanted] = polygons_of(simplified(rings, rules.simplify_m, grid.gsd_m()), grid.transform)
        columns = {
            "class_id": part.values[wanted],
            "class_name": np.array([tally.of(one).name for one in part.values[wanted].tolist()], np.object_),
            "area_m2": area_m2[wanted],
        }
        file.write(polygons[wanted], columns)


def _parts(batch: RegionBatch) -> Iterator[RegionBatch]:
    """Yield the regions of a batch in parts of a bounded number of corners; at least one part, even if empty."""
    corners = np.bincount(batch.rings.owner, weights=batch.rings.lengths, minlength=len(batch)).astype(np.int64)
    part = np.cumsum(corners) // _POINTS
    edges = [0, *(np.flatnonzero(np.diff(part)) + 1).tolist(), len(batch)]
    for first, stop in pairwise(edges):
        yield batch if len(edges) == 2 else batch.taken(np.arange(first, stop))
