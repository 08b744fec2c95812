"""What is drawn of the regions of a class map: their outlines, footprints of buildings, or centrelines of roads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely import Polygon

from crispmap.geo.area_pieces import block_around
from crispmap.geo.draw import affine_points, enclosed
from crispmap.geo.grid import Block, Grid
from crispmap.geo.local_plane import LocalPlane
from crispmap.polygons.beside import Beside
from crispmap.polygons.bridges import bridged
from crispmap.polygons.centrelines import Centreline, centrelines
from crispmap.polygons.chains import Indices
from crispmap.polygons.class_raster import ClassRaster
from crispmap.polygons.footprints import Shape, divided, plain_outlines, shape_of, without_overlaps
from crispmap.polygons.polygons import Geometries, PolygonAreas, polygons_of
from crispmap.polygons.regions import RegionBatch
from crispmap.polygons.rules import Numbers
from crispmap.polygons.simplify import simplified, simplified_together
from crispmap.polygons.split import parts_of_region
from crispmap.polygons.strips import Strips
from crispmap.polygons.vector_file import VectorFile
from crispmap.types import BoolArray, DoubleArray

_LEAST_PART = 2.0  # times the area that is sieved: what a part of a building has at least
_LEAST_PART_PX = 12.0
_SHORTEST = 5.0  # widths that a road has at least which begins and ends on the map by itself


@dataclass
class ClassPolygons:
    """What was written of one class."""

    class_id: int
    name: str  # its name, or its id as text
    polygons: int = 0  # how many polygons, or lines, were written
    area_m2: float = 0.0  # their area on the ground; of lines that of the regions they lie in
    left_out: int = 0  # how many were smaller than asked for
    left_out_m2: float = 0.0  # the area of those
    length_m: float = 0.0  # the length of lines on the ground


@dataclass
class Outlines:
    """Regions drawn by their outlines, as they come."""

    raster: ClassRaster
    file: VectorFile
    strips: Strips
    numbers: Numbers
    confidence: Beside | None = None
    scores: Beside | None = None
    tallies: dict[int, ClassPolygons] = field(default_factory=dict)
    several: bool = False  # whether regions of more than one class are drawn

    def __post_init__(self) -> None:
        self._areas = PolygonAreas(self.grid)
        self._gsd_m = self.grid.gsd_m()
        self._side_m = math.sqrt(math.prod(self._gsd_m))

    @property
    def grid(self) -> Grid:
        """The grid of the map."""
        return self.raster.grid

    def tally(self, class_id: int) -> ClassPolygons:
        """Return what was written of a class."""
        return self.tallies.setdefault(class_id, ClassPolygons(class_id, self.raster.name_of(class_id)))

    def begin(self) -> None:
        """Create the layer, even where no region comes."""
        self.add(RegionBatch.empty())

    def add(self, batch: RegionBatch) -> None:
        """Draw regions; those that are too small are only counted."""
        polygons = polygons_of(batch.rings, self.grid.transform)
        area_m2 = self._areas.of(polygons)
        wanted = area_m2 >= self.numbers.min_area_m2
        self._count(batch.values, area_m2, wanted)
        if self.numbers.simplify_m > 0 and wanted.any():
            rings = batch.taken(np.flatnonzero(wanted)).rings
            rings = simplified(rings, self.numbers.simplify_m, self._gsd_m)
            polygons[wanted] = polygons_of(rings, self.grid.transform)
        self.write(polygons[wanted], batch.values[wanted], {
            "area_m2": area_m2[wanted], "confidence": self.strips.confidence(self.first_pixels(batch))[wanted],
        })  # fmt: skip

    def finish(self) -> None:
        """Draw what could not be drawn before all regions were known."""

    def write(self, shapes: Geometries, class_ids: NDArray[Any], columns: Mapping[str, DoubleArray]) -> None:
        """Write features (n,) in the CRS of the map with their attributes."""
        names = np.array([self.tally(one).name for one in class_ids.tolist()], np.object_)
        kept = {name: column for name, column in columns.items() if name != "confidence" or self.confidence}
        self.file.write(shapes, {"class_id": np.asarray(class_ids, np.int32), "class_name": names, **kept})

    def first_pixels(self, batch: RegionBatch) -> Indices:
        """Return the first pixel of each region (n,), counted row by row."""
        rings = batch.rings
        outer = np.flatnonzero(np.diff(rings.owner, prepend=-1))
        start = rings.points[(np.cumsum(rings.lengths) - rings.lengths)[outer]].astype(np.int64)
        return np.asarray(start[:, 1] * self.grid.width + start[:, 0])

    def placed(self, shapes: Geometries) -> Geometries:
        """Return shapes in metres of the grid in its CRS, outer rings counterclockwise."""
        gsd, transform = np.asarray(self._gsd_m), self.grid.transform
        moved = shapely.transform(shapes, lambda points: affine_points(transform, points / gsd))
        return np.asarray(shapely.orient_polygons(moved), np.object_)

    def _count(self, class_ids: NDArray[Any], area_m2: DoubleArray, wanted: BoolArray) -> None:
        for class_id in np.unique(class_ids).tolist():
            own, entry = class_ids == class_id, self.tally(class_id)
            entry.polygons += int((own & wanted).sum())
            entry.area_m2 += float(area_m2[own & wanted].sum())
            entry.left_out += int((own & ~wanted).sum())
            entry.left_out_m2 += float(area_m2[own & ~wanted].sum())


@dataclass
class Footprints(Outlines):
    """Regions drawn as footprints of buildings, all at the end: none may overlap another."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shapes: list[Shape] = []
        self._region: list[int] = []  # the region each shape is of
        self._class_ids: list[int] = []
        self._sure: list[float] = []
        self._regions = 0

    def add(self, batch: RegionBatch) -> None:
        """Keep the shapes of regions, and of their parts."""
        exact = plain_outlines(batch.rings, 0.0, self._gsd_m)
        plain = plain_outlines(batch.rings, self.numbers.simplify_m, self._gsd_m)
        sure = self.strips.confidence(self.first_pixels(batch))
        for number, class_id in enumerate(batch.values.tolist()):
            shapes, confidences = self._shapes_of(batch, number, plain[number], exact[number])
            self._shapes += shapes
            self._region += [self._regions] * len(shapes)
            self._class_ids += [class_id] * len(shapes)
            self._sure += confidences or [float(sure[number])]
            self._regions += 1

    def finish(self) -> None:
        """Write the footprints."""
        exact = self.placed(_array([one.outlines[-1] for one in self._shapes]))
        drawn = self.placed(_array(without_overlaps(self._shapes, self._region)))
        drawn = np.where(shapely.is_valid(drawn), drawn, exact)  # far from the origin corners are rounded
        area_m2, class_ids = self._areas.of(drawn), np.array(self._class_ids, np.int64)
        wanted = self._areas.of(exact) >= self.numbers.min_area_m2
        self._count(class_ids, area_m2, wanted)
        columns = {"area_m2": area_m2[wanted], "confidence": np.array(self._sure, np.float64)[wanted]}
        self.write(drawn[wanted], class_ids[wanted], columns)

    def _shapes_of(
        self, batch: RegionBatch, number: int, plain: Polygon, exact: Polygon
    ) -> tuple[list[Shape], list[float]]:
        """Return the shapes of a region, and the confidence of each where it comes apart."""
        one = batch.taken(np.array([number]))
        if self.several and one.rings.node.any():  # it shares a border with a region of another class
            return [Shape((plain, exact), 0.0)], []
        if self.scores is not None:
            block, labels, count = self._parts(one, self.scores)
            if count > 1:
                parts = divided(one.rings, labels, (block.row, block.col), self.numbers.simplify_m, self._gsd_m)
                return parts[1], self._confidences(block, labels, parts[0])
        return [shape_of(exact, plain, self._side_m)], []

    def _parts(self, one: RegionBatch, scores: Beside) -> tuple[Block, NDArray[np.int32], int]:
        """Return the block around a region, and the part of it that each pixel belongs to."""
        ends = np.cumsum(one.rings.lengths)[:-1]
        rings = np.split(one.rings.points.astype(np.float64), ends)
        block = block_around(rings[:1], self.grid)
        pixel_m2 = math.prod(self._gsd_m)
        least_px = max(_LEAST_PART * self.numbers.sieve_m2 / pixel_m2, _LEAST_PART_PX)
        labels, count = parts_of_region(enclosed(rings, block), scores.margin(block, int(one.values[0])), least_px)
        return block, labels, count

    def _confidences(self, block: Block, labels: NDArray[np.int32], numbers: list[int]) -> list[float]:
        """Return the mean confidence of parts."""
        if self.confidence is None:
            return [math.nan] * len(numbers)
        values = self.confidence.confidence(block)
        inside = [values[labels == number] for number in numbers]
        return [float(np.nanmean(one)) if np.isfinite(one).any() else math.nan for one in inside]


@dataclass
class Coverage(Outlines):
    """Regions drawn by outlines that are simplified all together at the end: neighbours share every border."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._parts: list[tuple[Geometries, NDArray[np.int32], DoubleArray, DoubleArray]] = []

    def add(self, batch: RegionBatch) -> None:
        """Keep regions."""
        exact = plain_outlines(batch.rings, 0.0, self._gsd_m)
        area_m2 = self._areas.of(polygons_of(batch.rings, self.grid.transform))
        self._parts.append((exact, batch.values, area_m2, self.strips.confidence(self.first_pixels(batch))))

    def finish(self) -> None:
        """Write the regions that are large enough."""
        exact, values, area_m2, sure = (np.concatenate(one) for one in zip(*self._parts, strict=True))
        wanted = area_m2 >= self.numbers.min_area_m2
        self._count(values, area_m2, wanted)
        drawn = self.placed(simplified_together(exact, self.numbers.simplify_m, self._side_m))
        columns = {"area_m2": area_m2[wanted], "confidence": sure[wanted]}
        self.write(drawn[wanted], values[wanted], columns)


@dataclass
class Roads(Outlines):
    """Regions drawn as centrelines of roads, all at the end: gaps between regions are bridged."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._lines: dict[int, list[Centreline]] = {}
        self._sure: dict[int, list[float]] = {}

    def add(self, batch: RegionBatch) -> None:
        """Keep the centrelines of regions; the regions that are too small are only counted."""
        area_m2 = self._areas.of(polygons_of(batch.rings, self.grid.transform))
        wanted = area_m2 >= self.numbers.min_area_m2
        self._count(batch.values, area_m2, wanted)
        exact = plain_outlines(batch.rings, 0.0, self._gsd_m)
        sure = self.strips.confidence(self.first_pixels(batch))
        for number in np.flatnonzero(wanted).tolist():
            found = centrelines(exact[number], self._side_m, self.numbers.simplify_m)
            class_id = int(batch.values[number])
            self._lines.setdefault(class_id, []).extend(found)
            self._sure.setdefault(class_id, []).extend([float(sure[number])] * len(found))

    def finish(self) -> None:
        """Write the centrelines, class by class."""
        plane = LocalPlane.of_grid(self.grid)
        self._write(np.zeros(0, np.object_), 0, [np.zeros(0)] * 3)  # creates the layer even without a line
        for class_id in sorted(self._lines):
            bridges = bridged(self._lines[class_id])
            joined = [one for one in bridges if self._is_road(one[0])]
            lines = self.placed(_array([one.line for one, _ in joined]))
            length_m = shapely.length(shapely.transform(lines, plane.to_metres))
            parts = [np.array([(self._sure[class_id][one], self._lines[class_id][one].line.length) for one in members])
                     for _, members in joined]  # fmt: skip
            sure = np.array([np.average(own[:, 0], weights=own[:, 1]) for own in parts], np.float64)
            entry = self.tally(class_id)
            entry.polygons, entry.length_m = len(lines), float(length_m.sum())
            entry.left_out += len(bridges) - len(joined)
            self._write(lines, class_id, [length_m, np.array([one.width for one, _ in joined], np.float64), sure])

    def _write(self, lines: Geometries, class_id: int, columns: list[DoubleArray]) -> None:
        names = ("length_m", "width_m", "confidence")
        self.write(lines, np.full(len(lines), class_id), dict(zip(names, columns, strict=True)))

    def _is_road(self, one: Centreline) -> bool:
        """Return whether a line is long, goes on as another, or leaves the map."""
        if not all(one.free) or one.line.length >= _SHORTEST * one.width:
            return True
        ends = np.asarray(one.line.coords)[[0, -1]] / self._gsd_m
        return bool(((ends < 1) | (ends > np.array(self.grid.shape[::-1]) - 1)).any())

    def begin(self) -> None:
        """Do nothing: the layer is written at the end."""


def _array(shapes: list[Any]) -> Geometries:
    """Return geometries as an array, also where there is none."""
    found = np.empty(len(shapes), np.object_)
    found[:] = shapes
    return found
