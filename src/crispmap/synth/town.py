"""Planning a town: streets first, then a use for all land between them."""

from __future__ import annotations

import math

import shapely
from shapely import LineString, MultiPolygon
from shapely.geometry.base import BaseGeometry

from crispmap.errors import InputError
from crispmap.synth.blocks import fill_block
from crispmap.synth.chance import Dice
from crispmap.synth.features import Town, Tree
from crispmap.synth.land_use import fill_apart, set_apart
from crispmap.synth.setting import draw_setting
from crispmap.synth.site import Site, cut, polygons_of
from crispmap.synth.streets import furnish_streets, plan_streets

LEAST_SIDE_M = 64.0
_FILLET_M = 3.5


def plan_town(size_m: tuple[float, float], seed: int = 0) -> Town:
    """Return a town of a (width, height) in metres with a neighbourhood centre every 400 m of width.

    Density falls from every centre: rows of houses round courtyards and a church square, houses in gardens, flats,
    works, playing fields, then farms, fields and woods. The same size and seed give the same town.

    Raises:
        InputError: If a side is shorter than 64 m, or the seed is negative.
    """
    if not (min(size_m) >= LEAST_SIDE_M and math.isfinite(max(size_m))):
        raise InputError(f"A town of {size_m[0]} x {size_m[1]} m.", expected=f"sides of {LEAST_SIDE_M:g} m or more")
    if seed < 0:
        raise InputError(f"Seed {seed}.", expected="an integer from 0")
    dice = Dice.of(seed, 1)
    setting = draw_setting(size_m, dice)
    roads = plan_streets(setting, dice)
    path = LineString(shapely.get_coordinates(setting.river.offset_curve(setting.river_width_m / 2 + 4.5)))
    sharp = shapely.union_all([road.area() for road in roads])
    rounded = sharp.buffer(_FILLET_M, quad_segs=4).buffer(-_FILLET_M, quad_segs=4)
    carriageway = rounded.union(sharp)  # closing may lose slivers of the streets
    town = Town(setting, roads, carriageway, setting.river.buffer(setting.river_width_m / 2), path)
    streets = shapely.union_all([carriageway, *(road.area(road.verge_m) for road in roads)])
    shapely.prepare(streets)
    _fill_ground(town, streets, dice)
    furnish_streets(town, dice)
    town.trees = _with_room(town)
    return town


def _fill_ground(town: Town, streets: BaseGeometry, dice: Dice) -> None:
    """Choose a use for all land between the streets, and fill it; a path follows the river."""
    banks = town.water.buffer(6.0)
    free = MultiPolygon(polygons_of(cut(town.setting.domain, [streets, banks])))
    taken = []
    for use, frame, ground in set_apart(town, free, dice):
        taken.append(ground)
        for part in ground.geoms:
            fill_apart(Site(part, streets, town, dice), use, frame)
    for part in polygons_of(cut(free, taken), 12.0):
        fill_block(Site(part, streets, town, dice))
    for part in polygons_of(cut(banks, [streets])):
        bank = Site(part, streets, town, dice)
        bank.lay(part, "rough")
        bank.lay(town.path.buffer(0.9), "gravel")
        bank.plant(part.difference(town.water.buffer(1.0)), 55, ("broad", "dark", "poplar", "bush"))


def _with_room(town: Town) -> list[Tree]:
    """Return the trees whose trunks are neither in a building nor on a street."""
    trunks = shapely.points([(tree.x, tree.y) for tree in town.trees])
    room = [0.3 + 0.25 * tree.radius_m for tree in town.trees]
    standing = shapely.STRtree([building.outline for building in town.buildings])
    blocked = set(standing.query(trunks, predicate="dwithin", distance=room)[0].tolist())
    shapely.prepare(town.carriageway)
    blocked.update(shapely.intersects(town.carriageway, trunks).nonzero()[0].tolist())
    return [tree for index, tree in enumerate(town.trees) if index not in blocked]
