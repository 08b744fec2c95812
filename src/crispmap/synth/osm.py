"""The town as OpenStreetMap has it: traced from another picture, at another time, by people in a hurry.

Roads are centre lines, with tags but without widths; buildings are outlines. Both are shifted (smoothly, as
pictures are, and each thing a little by itself), incomplete, generalised, and partly out of date.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import geopandas
import numpy as np
import shapely
from numpy.random import Generator
from shapely import LineString, Polygon, STRtree
from shapely.affinity import rotate, scale, translate
from shapely.geometry.base import BaseGeometry

from crispmap.synth.features import Building, Frame, Road
from crispmap.synth.setting import Waves
from crispmap.synth.town import Town
from crispmap.types import DoubleArray

_REACH_M = 15.0
"""Things this far outside the scene are still mapped: a shift may bring them in."""
_RECORDS_FROM = 100_000_001


@dataclass(frozen=True)
class Mapping:
    """How imprecise the mappers were; all amounts 0 gives what is there.

    Attributes:
        offset_m: Systematic shift (east, north), or None to draw one of 1 to 2 m.
        drift_m: Root mean square length of the smooth shift that varies from place to place.
        jitter_m: Standard deviation, east and north, of what every object is shifted by itself.
        omitted: Share of buildings missing, in clusters, as where nobody has mapped yet.
        sheds_omitted: Share of sheds missing.
        roads_omitted: Share of short residential streets missing.
        gone: Buildings, as a share of those there, that were pulled down before the picture was taken.
        merged: Share of rows of houses drawn as one.
        simplified: Share of outlines of several wings drawn as one rectangle.
    """

    offset_m: tuple[float, float] | None = None
    drift_m: float = 2.75
    jitter_m: float = 0.4
    omitted: float = 0.12
    sheds_omitted: float = 0.85
    roads_omitted: float = 0.15
    gone: float = 0.03
    merged: float = 0.75
    simplified: float = 0.5


@dataclass(frozen=True)
class Drift:
    """A smooth shift of the whole map: a systematic part and one that varies over some hundred metres."""

    offset_m: tuple[float, float]
    rms_m: float
    east: Waves
    north: Waves

    @classmethod
    def draw(cls, mapping: Mapping, rng: Generator) -> Drift:
        """Draw the shift of a map."""
        length, towards = rng.uniform(1.0, 2.0), rng.uniform(0, 2 * math.pi)
        drawn = float(length * math.cos(towards)), float(length * math.sin(towards))
        waves = Waves.draw(rng, (180.0, 480.0), 8), Waves.draw(rng, (180.0, 480.0), 8)
        return cls(drawn if mapping.offset_m is None else mapping.offset_m, mapping.drift_m, *waves)

    def at(self, points: DoubleArray) -> DoubleArray:
        """Return the shifts (east, north) in metres at points (n, 2)."""
        varying = np.column_stack([self.east.at(points), self.north.at(points)]) * (self.rms_m / math.sqrt(2))
        shifts: DoubleArray = varying + np.array(self.offset_m)
        return shifts


@dataclass(frozen=True)
class OsmLayers:
    """What the mappers left: frames in metres of the town, and how far they were off.

    Attributes:
        buildings: Columns osm_id, building, geometry (polygons).
        roads: Columns osm_id, highway, name, lanes, surface, geometry (lines); foot paths are among them.
        drift: The smooth shift.
    """

    buildings: geopandas.GeoDataFrame
    roads: geopandas.GeoDataFrame
    drift: Drift


def map_town(town: Town, seed: int = 0, mapping: Mapping | None = None) -> OsmLayers:
    """Return an imprecise map of a town; the same town, seed and mapping give the same map."""
    mapping = mapping or Mapping()
    rng = np.random.default_rng([seed, 3])
    drift = Drift.draw(mapping, rng)
    near = town.setting.frame.buffer(_REACH_M)
    seen = [building for building in town.buildings if building.outline.intersects(near)]
    outlines = _outlines(_remaining(seen, mapping, rng), mapping, rng)
    outlines += _pulled_down(town, round(mapping.gone * len(seen)), rng)
    shapes = [_misplaced(outline, drift, mapping, rng) for outline, _ in outlines]
    buildings = geopandas.GeoDataFrame(
        {
            "osm_id": np.arange(len(shapes)) + _RECORDS_FROM,
            "building": [kind for _, kind in outlines],
        },
        geometry=shapes,
    )
    return OsmLayers(buildings, _road_frame(town, near, drift, mapping, rng), drift)


def _remaining(seen: list[Building], mapping: Mapping, rng: Generator) -> list[Building]:
    """Return the buildings somebody has mapped."""
    kept = [one for one in seen if one.kind != "shed" or rng.random() >= mapping.sheds_omitted]
    places = np.array([one.outline.centroid.coords[0] for one in kept]).reshape(-1, 2)
    missing = np.zeros(len(kept), dtype=bool)
    while kept and missing.mean() < mapping.omitted:
        middle = places[rng.integers(len(kept))]
        gaps = np.hypot(*(places - middle).T)
        near = np.flatnonzero((gaps < rng.uniform(8.0, 38.0)) & ~missing)
        room = math.ceil(mapping.omitted * len(kept)) - int(missing.sum())
        missing[near[np.argsort(gaps[near], kind="stable")][:room]] = True
    return [one for one, gone in zip(kept, missing, strict=True) if not gone]


def _outlines(buildings: list[Building], mapping: Mapping, rng: Generator) -> list[tuple[Polygon, str]]:
    """Return outlines as mappers draw them: rows as one, wings as rectangles, corners straightened."""
    rows: dict[int, list[Building]] = {}
    drawn: list[tuple[Polygon, str]] = []
    for building in buildings:
        if building.row >= 0:
            rows.setdefault(building.row, []).append(building)
        else:
            drawn.append((_generalised(building, mapping, rng), _tag(building.kind, rng)))
    for houses in rows.values():
        if len(houses) > 1 and rng.random() < mapping.merged:
            drawn += [(shape, _tag("terrace", rng)) for shape in _merged(houses)]
        else:
            drawn += [(_generalised(house, mapping, rng), _tag("house", rng)) for house in houses]
    return drawn


def _merged(houses: list[Building]) -> list[Polygon]:
    """Return a row of houses as one outline, its small steps straightened."""
    closed = shapely.union_all([house.outline.buffer(0.4, join_style="mitre") for house in houses])
    opened = closed.buffer(-0.4, join_style="mitre").simplify(1.8)
    return [part for part in shapely.get_parts(opened) if isinstance(part, Polygon) and part.area > 8]


def _generalised(building: Building, mapping: Mapping, rng: Generator) -> Polygon:
    """Return one outline, perhaps with its wings left out or boxed in."""
    outline = building.outline
    if len(building.wings) > 1 and rng.random() < mapping.simplified:
        boxed = building.wings[0].outline if rng.random() < 0.5 else outline.oriented_envelope
        return boxed if isinstance(boxed, Polygon) else outline
    return outline


def _tag(kind: str, rng: Generator) -> str:
    """Return the value of the building tag: mostly ``yes``."""
    value = {"terrace": "house", "barn": "farm_auxiliary"}.get(kind, kind)
    return "yes" if rng.random() < 0.65 else value


def _pulled_down(town: Town, count: int, rng: Generator) -> list[tuple[Polygon, str]]:
    """Return outlines of buildings that stand no more, among the houses."""
    standing = STRtree([one.outline for one in town.buildings] + [town.carriageway])
    width, height = town.size_m
    found: list[tuple[Polygon, str]] = []
    for _ in range(60 * count):
        if len(found) == count:
            break
        x, y = float(rng.uniform(0, width)), float(rng.uniform(0, height))
        if town.setting.density_at(x, y) < 0.08:
            continue
        half = rng.uniform(4.5, 8.0), rng.uniform(3.5, 5.5)
        shape = Frame(x, y, town.setting.direction(x, y)).rect(-half[0], half[0], -half[1], half[1])
        if len(standing.query(shape, predicate="intersects")) == 0:
            found.append((shape, "yes"))
    return found


def _misplaced(outline: Polygon, drift: Drift, mapping: Mapping, rng: Generator) -> Polygon:
    """Return an outline shifted by the drift at its middle and by a jitter, slightly turned and stretched."""
    middle = np.array(outline.centroid.coords[:1])
    east, north = drift.at(middle)[0] + rng.normal(0, 1, 2) * mapping.jitter_m
    sloppy = mapping.jitter_m / 0.4
    turned = rotate(outline, float(rng.normal(0, 1.2)) * sloppy, origin="centroid")
    wide, high = 1 + sloppy * rng.normal(0.0, 0.025, 2)
    stretched = scale(turned, wide, high, origin="centroid")
    shifted: Polygon = translate(stretched, float(east), float(north))
    return shifted


def _road_frame(
    town: Town, near: BaseGeometry, drift: Drift, mapping: Mapping, rng: Generator
) -> geopandas.GeoDataFrame:
    """Return the mapped centre lines and paths with their tags."""
    roads = [road for road in town.roads if road.line.intersects(near) and not _forgotten(road, mapping, rng)]
    roads += _never_built(town, roads, mapping, rng)
    paths = [path for path in town.paths if path.intersects(near)]
    lines = [_traced(road.line, drift, mapping, rng) for road in roads]
    lines += [_traced(path, drift, mapping, rng) for path in paths]
    lanes = [{"secondary": "2", "tertiary": "2"}.get(road.highway) if rng.random() < 0.3 else None for road in roads]
    surface = ["asphalt" if rng.random() < 0.4 else None for _ in roads]
    return geopandas.GeoDataFrame(
        {
            "osm_id": np.arange(len(lines)) + _RECORDS_FROM,
            "highway": [road.highway for road in roads] + ["footway"] * len(paths),
            "name": [road.name or None for road in roads] + [None] * len(paths),
            "lanes": lanes + [None] * len(paths),
            "surface": surface + [None] * len(paths),
        },
        geometry=lines,
    )


def _forgotten(road: Road, mapping: Mapping, rng: Generator) -> bool:
    """Return whether nobody has mapped a street: only small ones are forgotten."""
    small = road.highway in ("residential", "living_street", "unclassified") and road.line.length < 140
    return bool(small and rng.random() < mapping.roads_omitted)


def _never_built(town: Town, roads: list[Road], mapping: Mapping, rng: Generator) -> list[Road]:
    """Return streets that were mapped from a plan and are not there: off the ends of real ones, over open ground."""
    blind = [road for road in roads if road.turning is not None]
    made = []
    for road in blind:
        if rng.random() >= min(1.0, 8 * mapping.gone):
            continue
        (x0, y0), (x1, y1) = road.line.coords[-2:]
        run = float(rng.uniform(35, 80)) / math.hypot(x1 - x0, y1 - y0)
        line = LineString([(x1, y1), (x1 + run * (x1 - x0), y1 + run * (y1 - y0))])
        if line.intersects(town.setting.frame):
            made.append(replace(road, line=line, turning=None, name=""))
    return made


def _traced(line: LineString, drift: Drift, mapping: Mapping, rng: Generator) -> LineString:
    """Return a centre line as a mapper clicks it: fewer points, each where the other picture had it."""
    simple = line.simplify(0.8) if mapping.jitter_m else line
    clicked = shapely.get_coordinates(shapely.segmentize(simple, 40.0))
    own = rng.normal(0, 1, 2) * mapping.jitter_m
    return LineString(clicked + drift.at(clicked) + own + rng.normal(0, 0.6, clicked.shape) * mapping.jitter_m)
