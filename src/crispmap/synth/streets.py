"""The street network, and what is on and along the streets.

There are main roads, a through road at every centre, and the built-up pieces of an uneven grid. The grid's lines run
beside the main roads and, along the local directions, across them. They are cut where they cross: pieces in dense areas
become streets, some lines continue over open land as lanes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise, product

import numpy as np
import shapely
from shapely import LineString, MultiLineString
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring

from crispmap.synth.chance import Dice
from crispmap.synth.features import Frame, Road, Surface, Town
from crispmap.synth.houses import draw_car
from crispmap.synth.setting import Setting
from crispmap.synth.site import draw_tree

_STEP_M = 5.0
_OPEN = 0.1  # density below which land is open: lanes instead of streets
_KINDS = {
    "secondary": ((9.5, 12.0), ("asphalt_dark", "asphalt", "asphalt")),
    "tertiary": ((6.8, 8.4), ("asphalt_dark", "asphalt", "asphalt_worn")),
    "residential": ((4.8, 6.6), ("asphalt", "asphalt_worn", "asphalt_pale", "asphalt_dark")),
    "living_street": ((4.0, 5.0), ("asphalt", "asphalt_pale", "paving")),
    "unclassified": ((3.5, 4.6), ("asphalt_worn", "asphalt_pale", "asphalt_worn")),
}
"""Range of widths in metres, and surfaces, of every highway value."""
_VERGES = ("pavement", "pavement", "paving", "asphalt_worn")


def plan_streets(setting: Setting, dice: Dice) -> tuple[Road, ...]:
    """Return the streets of a town, all of them connected; only main and through roads cross the river."""
    main, through = ("secondary", "tertiary") if setting.radius_m >= 90 else ("tertiary", "residential")
    throughs = [_across(x, y, setting) for x, y in setting.centres.tolist()]
    roads = [_dressed(line, main, dice) for line in setting.mains]
    roads += [_dressed(line, through, dice) for line in throughs]
    grid = [line for line in _grid(setting, dice) if not line.is_empty]
    crossed = shapely.union_all([*setting.mains, *throughs, *grid])
    for line in grid:
        for street in _built(line, crossed, [road.line for road in roads], setting, dice):
            roads.append(_dressed(street, _rank(street, setting, dice), dice))
    network = shapely.get_parts(shapely.union_all([road.area() for road in roads]))
    body: BaseGeometry = network[shapely.area(network).argmax()]
    return tuple(road for road in roads if road.line.intersects(body))


def _across(x: float, y: float, setting: Setting) -> LineString:
    """Return a line through a place across the local direction, from edge to edge."""
    halves = []
    for turn in (math.pi / 2, -math.pi / 2):
        half = [(x, y)]
        while shapely.contains_xy(setting.domain, *half[-1]) and len(half) < 3000:
            angle = setting.direction(*half[-1]) + turn
            half.append((half[-1][0] + _STEP_M * math.cos(angle), half[-1][1] + _STEP_M * math.sin(angle)))
        halves.append(half)
    return LineString([*halves[1][:0:-1], *halves[0]])


def _grid(setting: Setting, dice: Dice) -> Iterator[LineString]:
    """Yield lines across and beside every main road, at uneven distances."""
    for main in setting.mains:
        runs = np.cumsum(dice.uniform(56, 104, int(main.length / 56)))
        for place in shapely.line_interpolate_point(main, runs[runs < main.length]):
            if setting.domain.contains(place):
                yield _across(place.x, place.y, setting)
        for side in (1, -1):
            for away in np.cumsum(dice.uniform(64, 100, 6)):
                beside = shapely.get_parts(main.offset_curve(side * away).intersection(setting.domain))
                yield max(beside, key=lambda part: float(part.length), default=LineString())


def _built(
    line: LineString, crossed: BaseGeometry, before: Sequence[LineString], setting: Setting, dice: Dice
) -> Iterator[LineString]:
    """Yield the streets along a line of the grid: built-up runs of pieces between crossings."""
    crossings = shapely.points(shapely.get_coordinates(line.intersection(crossed.difference(line))))
    stops = np.unique(shapely.line_locate_point(line, crossings))
    stops = stops[np.diff(stops, prepend=-99.0) > 20.0]
    lane = dice.chance(0.3)
    pieces = [LineString(substring(line, *ends).coords) for ends in pairwise(stops.tolist())]
    built = [piece for piece in pieces if _is_built(piece, before, lane, setting, dice)]
    yield from shapely.get_parts(shapely.line_merge(MultiLineString(built)))


def _is_built(piece: LineString, before: Sequence[LineString], lane: bool, setting: Setting, dice: Dice) -> bool:
    """Return whether a piece becomes a street: in a dense area or a lane, away from the river and other streets."""
    middle = piece.interpolate(0.5, normalized=True)
    dense = setting.density(middle.x, middle.y) > _OPEN
    if not (dice.chance(0.78) if dense else lane) or setting.river.dwithin(piece, setting.river_width_m / 2 + 9):
        return False
    return float(shapely.distance(np.array(before), middle).min()) > min(30.0, 0.4 * piece.length)


def _rank(line: LineString, setting: Setting, dice: Dice) -> str:
    """Return the OpenStreetMap highway value that fits a street."""
    middle = line.interpolate(0.5, normalized=True)
    if setting.density(middle.x, middle.y) < _OPEN:
        return "unclassified"
    if line.length < 130 and dice.chance(0.5):
        return "living_street"
    return "tertiary" if line.length > 330 and dice.chance(0.5) else "residential"


def _dressed(line: LineString, highway: str, dice: Dice) -> Road:
    """Return a street with a width, a surface and verges."""
    lane = highway == "unclassified"
    widths, surfaces = _KINDS[highway]
    return Road(
        line,
        highway,
        round(dice.between(*widths), 1),
        dice.pick(surfaces),
        "rough" if lane else dice.pick(_VERGES),
        dice.between(0.8, 1.6) if lane else dice.between(1.3, 2.2),
    )


def furnish_streets(town: Town, dice: Dice) -> None:
    """Paint and patch the carriageways, and add trees and cars along them."""
    for road in town.roads:
        town.painted += _patches(road, dice)
        town.painted += _markings(road, dice)
        _add_cars(town, road, dice)
        if dice.chance(0.48):
            _add_trees(town, road, dice)


def _along(road: Road, first_m: float, gaps_m: tuple[float, float], dice: Dice) -> Iterator[Frame]:
    """Yield frames along a road's centre line, ``u`` along the road, at random gaps."""
    run = first_m
    while run < road.line.length - first_m:
        here, there = road.line.interpolate(run), road.line.interpolate(run + 1.0)
        yield Frame(here.x, here.y, math.atan2(there.y - here.y, there.x - here.x))
        run += dice.between(*gaps_m)


def _patches(road: Road, dice: Dice) -> Iterator[Surface]:
    """Yield wheel tracks, patches and trenches of a road's surface."""
    for lane, wheel in product((-0.25, 0.25) if road.width_m > 5 else (0.0,), (-0.8, 0.8)):
        line = road.line.offset_curve(lane * road.width_m + wheel)
        yield Surface(line.buffer(0.35, cap_style="flat", quad_segs=2), road.surface)
    for frame in _along(road, 8.0, (14.0, 70.0), dice):
        long, wide = dice.between(0.7, 7.0), dice.between(0.25, 0.8)
        patch = frame.moved(0, dice.between(-0.5, 0.5) * (road.width_m - 2 * wide - 0.8)).rect(-long, long, -wide, wide)
        yield Surface(patch, dice.pick(("asphalt_dark", "asphalt", "asphalt_worn")))


def _markings(road: Road, dice: Dice) -> Iterator[Surface]:
    """Yield the dashed middle line of a larger road, and zebra crossings near the ends of a street."""
    pitch, half = dice.pick((9.0, 9.0, 5.0)), road.width_m / 2 - 0.3
    for frame in _along(road, 6.0, (pitch, pitch), dice) if road.highway in ("secondary", "tertiary") else ():
        yield Surface(frame.rect(-1.5, 1.5, -0.11, 0.11), "paint")
    for frame in _along(road, 11.0, (road.line.length - 22.5,) * 2, dice) if road.line.length > 50 else ():
        if road.highway != "unclassified" and dice.chance(0.33):
            for v in np.arange(-half, half - 0.4, 1.0):
                yield Surface(frame.rect(-1.4, 1.4, v, v + 0.5), "paint")


def _add_cars(town: Town, road: Road, dice: Dice) -> None:
    """Park cars at the kerb in residential streets, and put some in traffic on the larger roads."""
    kerb = road.width_m / 2 - 1.05
    if road.highway in ("residential", "tertiary", "living_street"):
        keen = dice.between(0.0, 1.2)
        for frame in _along(road, 14.0, (5.6, 9.0), dice):
            if dice.chance(keen * min(0.62, town.setting.density(frame.x, frame.y))):
                town.cars.extend(draw_car(frame.moved(0, dice.pick((-kerb, -kerb, -kerb, kerb))), dice))
    busy = {"secondary": (25.0, 120.0), "tertiary": (60.0, 220.0)}.get(road.highway)
    for frame in _along(road, 10.0, busy, dice) if busy else ():
        way = frame.moved(0, 0, dice.pick((0.0, math.pi)))
        town.cars.extend(draw_car(way.moved(0, -road.width_m / 4), dice))


def _add_trees(town: Town, road: Road, dice: Dice) -> None:
    """Plant a row of trees on one or both verges; their crowns reach over the road."""
    radius, pitch = dice.between(2.3, 4.2), dice.between(7.0, 13.0)
    for side in dice.pick(((1,), (-1,), (1, -1))):
        for frame in _along(road, 10.0, (pitch, pitch + 1.0), dice):
            if dice.chance(0.86):
                place = frame.at(0, side * (road.width_m / 2 + 0.7))
                town.trees.append(draw_tree(*place, "broad", dice, radius * dice.between(0.75, 1.15)))
