"""The town as OpenStreetMap has it: traced hastily from another image of another time.

Roads are centre lines, with tags but without widths; buildings are outlines. Both are shifted (smoothly, as images are,
and each object a little by itself), incomplete, generalised, and partly out of date.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress

import geopandas
import numpy as np
import shapely
from shapely import LineString, STRtree
from shapely.affinity import rotate, scale, translate
from shapely.geometry.base import BaseGeometry

from crispmap.synth.chance import Dice, Waves
from crispmap.synth.features import Building, Town
from crispmap.synth.site import polygons_of
from crispmap.types import DoubleArray

_REACH_M = 15.0  # objects this far outside the scene are mapped too: a shift may bring them in
_RECORDS_FROM = 100_000_001


@dataclass(frozen=True)
class MappingErrors:
    """How imprecise the mappers were; all amounts 0 gives the exact objects."""

    offset_m: tuple[float, float] | None = None  # systematic shift (east, north), or None to draw one of 1 to 2 m
    drift_m: float = 2.75  # root mean square length of the smooth shift that varies from place to place
    jitter_m: float = 0.4  # standard deviation, east and north, of what every object is shifted by itself
    omitted: float = 0.12  # share of buildings missing, in clusters, as where nobody has mapped yet
    sheds_omitted: float = 0.85  # share of sheds missing
    roads_omitted: float = 0.15  # share of short residential streets missing
    gone: float = 0.03  # buildings, as a share of those there, that were pulled down before the picture was taken
    merged: float = 0.75  # share of rows of houses drawn as one
    simplified: float = 0.5  # share of outlines of several wings drawn as one rectangle


@dataclass(frozen=True)
class Drift:
    """A smooth shift of the whole map: a systematic part and one that varies over some hundred metres."""

    offset_m: tuple[float, float]
    rms_m: float
    east: Waves
    north: Waves

    @classmethod
    def draw(cls, errors: MappingErrors, dice: Dice) -> Drift:
        """Draw the shift of a map."""
        length, towards = dice.between(1.0, 2.0), dice.between(0, 2 * math.pi)
        offset = errors.offset_m or (length * math.cos(towards), length * math.sin(towards))
        return cls(offset, errors.drift_m, *(Waves.draw(dice, (180.0, 480.0), 8) for _ in range(2)))

    def at(self, points: DoubleArray) -> DoubleArray:
        """Return the shifts (east, north) in metres at points (n, 2)."""
        varying = np.column_stack([self.east.at(points), self.north.at(points)]) * (self.rms_m / math.sqrt(2))
        shifts: DoubleArray = varying + np.array(self.offset_m)
        return shifts


@dataclass(frozen=True)
class OsmLayers:
    """The mapped objects as frames in metres of the town, and their displacement."""

    buildings: geopandas.GeoDataFrame  # columns osm_id, building, geometry (polygons)
    roads: geopandas.GeoDataFrame  # columns osm_id, highway, geometry (lines); foot paths are among them
    drift: Drift  # the smooth shift


def map_town(town: Town, seed: int = 0, errors: MappingErrors | None = None) -> OsmLayers:
    """Return an imprecise map of a town; the same town, seed and errors give the same map."""
    errors, dice = errors or MappingErrors(), Dice.of(seed, 3)
    drift = Drift.draw(errors, dice)
    near = town.setting.frame.buffer(_REACH_M)
    seen = [building for building in town.buildings if building.outline.intersects(near)]
    outlines = list(_outlines(_remaining(seen, errors, dice), errors, dice))
    outlines += [(shape, "yes") for shape in _pulled_down(town, seen, round(errors.gone * len(seen)), dice)]
    tagged = [("yes" if dice.chance(0.65) else kind, shape) for shape, kind in outlines]
    buildings = [(tag, _misplaced(shape, drift, errors, dice)) for tag, shape in tagged]
    minor = ("residential", "living_street", "unclassified")
    small = [road.highway in minor and road.line.length < 180 for road in town.roads]
    mapped = [not (little and dice.chance(errors.roads_omitted)) for little in small]
    lines = [("footway", town.path), *((road.highway, road.line) for road in compress(town.roads, mapped))]
    roads = [(kind, _traced(line, drift, errors, dice)) for kind, line in lines if line.intersects(near)]
    return OsmLayers(_frame(buildings, "building"), _frame(roads, "highway"), drift)


def _frame(records: Sequence[tuple[str, BaseGeometry]], tag: str) -> geopandas.GeoDataFrame:
    """Return records of a tag and a shape as a frame, each with its own id."""
    numbered = [(_RECORDS_FROM + index, *record) for index, record in enumerate(records)]
    return geopandas.GeoDataFrame(numbered, columns=["osm_id", tag, "geometry"], geometry="geometry")


def _remaining(seen: list[Building], errors: MappingErrors, dice: Dice) -> list[Building]:
    """Return the buildings that have been mapped."""
    kept = [one for one in seen if one.kind != "shed" or not dice.chance(errors.sheds_omitted)]
    places = shapely.get_coordinates([one.outline.centroid for one in kept])
    missing = np.zeros(len(kept), dtype=bool)
    while kept and missing.mean() < errors.omitted:
        gaps = np.hypot(*(places - places[dice.integers(len(kept))]).T)
        near = np.flatnonzero((gaps < dice.between(8.0, 38.0)) & ~missing)
        room = math.ceil(errors.omitted * len(kept)) - int(missing.sum())
        missing[near[np.argsort(gaps[near], kind="stable")][:room]] = True
    return [one for one, gone in zip(kept, missing, strict=True) if not gone]


def _outlines(buildings: list[Building], errors: MappingErrors, dice: Dice) -> Iterator[tuple[BaseGeometry, str]]:
    """Yield outlines as mappers draw them, with their kinds: rows as one, wings left out or boxed in."""
    rows: dict[int, list[Building]] = defaultdict(list)
    for index, building in enumerate(buildings):
        rows[building.row if building.row >= 0 else -1 - index].append(building)
    for houses in rows.values():
        if len(houses) > 1 and dice.chance(errors.merged):
            closed = shapely.union_all([house.outline.buffer(0.4, join_style="mitre") for house in houses])
            opened = closed.buffer(-0.4, join_style="mitre").simplify(1.8)  # without small steps
            yield from ((part, "terrace") for part in polygons_of(opened, 8.0))
            continue
        for house in houses:
            shape: BaseGeometry = house.outline
            if len(house.wings) > 1 and dice.chance(errors.simplified):
                shape = dice.pick((house.wings[0].outline, shape.oriented_envelope))
            yield shape, house.kind


def _pulled_down(town: Town, seen: list[Building], count: int, dice: Dice) -> list[BaseGeometry]:
    """Return outlines of demolished buildings: copies of existing ones, beside them, on free land."""
    standing = STRtree([one.outline for one in town.buildings] + [town.carriageway])
    found: list[BaseGeometry] = []
    for _ in range(60 * count):
        shape = translate(dice.pick(seen).outline, *dice.uniform(-40, 40, 2))
        if len(found) < count and shape.area > 20 and not len(standing.query(shape, predicate="intersects")):
            found.append(shape)
    return found


def _misplaced(outline: BaseGeometry, drift: Drift, errors: MappingErrors, dice: Dice) -> BaseGeometry:
    """Return an outline shifted by the drift at its middle and by a jitter, slightly turned and stretched."""
    east, north = drift.at(shapely.get_coordinates(outline.centroid))[0] + dice.normal(0, 1, 2) * errors.jitter_m
    sloppy = errors.jitter_m / 0.4
    turned = rotate(outline, float(dice.normal(0, 1.2)) * sloppy, origin="centroid")
    wide, high = 1 + sloppy * dice.normal(0.0, 0.025, 2)
    return translate(scale(turned, wide, high, origin="centroid"), float(east), float(north))


def _traced(line: LineString, drift: Drift, errors: MappingErrors, dice: Dice) -> LineString:
    """Return a centre line as a mapper draws it: fewer points, each displaced."""
    simple = line.simplify(0.8) if errors.jitter_m else line
    clicked = shapely.get_coordinates(shapely.segmentize(simple, 40.0))
    own = dice.normal(0, 1, 2) + dice.normal(0, 0.6, clicked.shape)
    return LineString(clicked + drift.at(clicked) + own * errors.jitter_m)
