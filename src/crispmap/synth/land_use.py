"""Land without houses: the areas every neighbourhood reserves for one use, and the open land between."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise, product

import numpy as np
from shapely import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from crispmap.synth.chance import Dice
from crispmap.synth.features import Frame, Town, Wing
from crispmap.synth.houses import PAINTS, Style
from crispmap.synth.site import Site, clip, polygons_of
from crispmap.types import DoubleArray

_METAL = ("metal_white", "metal_grey", "metal_grey", "metal_blue", "fibre", "rust", "roof_gravel", "roof_grey")
_FARM_ROOFS = ("fibre", "tile_old", "tile_red", "rust", "metal_grey")
CHURCH = Style("church", (24, 30), (10, 12), (8, 12), ("slate", "tile_old", "tile_red"), slope=0.9, wing=1.0)
HALLS = Style("industrial", (30, 62), (22, 38), (5.5, 9.5), _METAL, _METAL, slope=0.16, flat=0.6, wing=0.4)
SMALL_HALLS = Style("industrial", (12, 32), (9, 20), (4.5, 8.0), _METAL, _METAL, slope=0.16, flat=0.6, wing=0.3)
SLABS = Style("apartments", (28, 52), (11, 13.5), (9, 14), flat=1.0)
BARNS = Style("barn", (14, 34), (9, 14), (3.5, 5.5), _FARM_ROOFS, slope=0.4, wing=0.2)


@dataclass(frozen=True)
class LandUse:
    """The looks of an area reserved for one use."""

    reach: tuple[float, float]  # how far from the centre it lies, in radii of the neighbourhood
    size_m: tuple[float, float]  # length and width; rounded where it is planted all over
    materials: tuple[str, ...]  # materials to draw from
    species: tuple[str, ...] = ("broad",)  # trees to draw from
    m2_a_tree: float = 0.0  # ground for every tree; 0 where trees stand along the edge only
    # styles, how often each is tried at a random spot, and how far apart they stand
    buildings: tuple[tuple[Style, int, float], ...] = ()
    parking: float = 0.0  # how often a car park is tried
    m2_a_load: float = math.inf  # ground for every lorry or container that stands about
    # material and range of ``u`` and of ``v`` of what is laid on it; of "paint" only the outline
    patches: tuple[tuple[str, float, float, float, float], ...] = ()


_PITCH = (
    ("pitch", -48.0, 48.0, -31.0, 31.0),
    *(("paint", u0, u0 + 48.0, -31.0, 31.0) for u0 in (-48.0, 0.0)),
    *(("paint", u0, u0 + 12.0, -12.0, 12.0) for u0 in (-48.0, 36.0)),
    *(("soil_red", u0, u0 + 34.0, 35.0, 43.0) for u0 in (-36.0, 2.0)),
    *(("paint", u0, u0 + 24.0, 36.0, 42.0) for u0 in (-31.0, 7.0)),
)
_PATHS = (("gravel", -80.0, 80.0, -1.0, 1.0), ("gravel", -9.0, -7.0, -80.0, 80.0))
_YARDS, _HALLS = ("concrete", "asphalt_worn", "gravel"), ((HALLS, 9, 5.0), (SMALL_HALLS, 40, 5.0))
_WORKS = LandUse((1.0, 1.9), (150, 100), _YARDS, ("broad", "poplar", "bush"), 0, _HALLS, 4, 300)
_WOOD = LandUse((1.3, 2.8), (95, 68), ("rough",), ("broad", "dark", "conifer"), 17)
LAND_USES = (
    LandUse((0.05, 0.45), (50, 46), ("paving", "gravel"), ("broad",), 0, ((CHURCH, 12, 30.0),), 3),
    _WORKS,
    LandUse((0.6, 1.3), (115, 80), ("lawn", "lawn_dry"), ("broad", "broad", "dark"), 130, ((SLABS, 30, 8.0),), 6),
    LandUse((1.0, 2.0), (122, 88), ("lawn",), ("broad", "poplar"), patches=_PITCH),
    _WORKS,
    LandUse((0.4, 1.3), (75, 60), ("lawn",), ("broad", "dark", "conifer"), 85, patches=_PATHS),
    LandUse((1.5, 2.4), (72, 58), ("gravel", "concrete", "earth"), ("broad",), 0, ((BARNS, 14, 2.0),)),
    _WOOD,
    _WOOD,
)
"""The church square, works, flats, pitch, park, farm and woods of a neighbourhood, in the order of placement."""


def set_apart(town: Town, free: MultiPolygon, dice: Dice) -> Iterator[tuple[LandUse, Frame, MultiPolygon]]:
    """Yield a use, the frame at its centre and its shape, for every use of every neighbourhood that fits."""
    taken: list[BaseGeometry] = []
    for centre, use in product(town.setting.centres, LAND_USES):
        places = (_try_place(use, centre, town, free, dice) for _ in range(40))
        fits = (place for place in places if place and not any(place[2].intersects(other) for other in taken))
        for place in islice(fits, 1):
            taken.append(place[2])
            yield place


def _try_place(
    use: LandUse, centre: DoubleArray, town: Town, free: MultiPolygon, dice: Dice
) -> tuple[LandUse, Frame, MultiPolygon] | None:
    """Return the area of a use at a random place of a neighbourhood; None if it does not fit."""
    setting = town.setting
    away, towards = setting.radius_m * dice.between(*use.reach), dice.between(0, 2 * math.pi)
    x, y = centre + away * np.array([math.cos(towards), math.sin(towards)])
    if float(np.linalg.norm(setting.centres - [x, y], axis=1).min()) < 0.85 * away:
        return None
    frame = Frame(x, y, setting.direction(x, y) + dice.pick((0.0, math.pi / 2)))
    long, wide = (min(1.0, setting.radius_m / 150.0) * side / 2 for side in use.size_m)
    shape = frame.rect(-long, long, -wide, wide)
    if use.m2_a_tree:
        shape = shape.buffer(-0.7 * wide).buffer(0.7 * wide)
    if shape.intersection(setting.frame).area < 0.85 * shape.area:
        return None
    parts = polygons_of(clip(shape, free), 120.0 if use.m2_a_tree else 0.85 * shape.area)
    return (use, frame, MultiPolygon(parts)) if parts else None


def fill_apart(site: Site, use: LandUse, frame: Frame) -> None:
    """Lay surfaces, build, park and plant on a site according to its use."""
    dice = site.dice
    site.lay(site.ground, dice.pick(use.materials), frame.angle_rad)
    for material, *sides in use.patches:
        patch = frame.rect(*sides)
        site.lay(patch.exterior.buffer(0.12) if material == "paint" else patch, material, frame.angle_rad)
    for style, tries, apart_m in use.buildings:
        for spot in _spots(site, frame, tries):
            site.build(style, spot, dice.between(*style.front_m), apart_m)
    for spot in _spots(site, frame, use.parking):
        _lay_parking(site, spot)
    for spot in _spots(site, frame, site.ground.area / use.m2_a_load):
        if site.is_free(spot.rect(-7, 7, -2, 2), 0.5):
            load = Wing(spot, dice.between(6, 14), 2.5, dice.between(2.6, 3.2), 0.0, "flat", dice.pick(PAINTS))
            site.town.cars.append(load)
    planted = site.ground if use.m2_a_tree else site.ground.difference(site.ground.buffer(-2.5))
    site.plant(planted, use.m2_a_tree or 36.0, use.species)


def _spots(site: Site, frame: Frame, count: float) -> Iterator[Frame]:
    """Yield frames at random places of a site, along or across another frame."""
    for x, y in site.scatter(site.ground, count):
        yield Frame(x, y, frame.angle_rad + site.dice.pick((0.0, 0.0, math.pi / 2)))


def _lay_parking(site: Site, frame: Frame) -> None:
    """Lay a car park with two rows of stalls where there is room."""
    dice, length = site.dice, site.dice.between(20, 45)
    lot = frame.rect(0, length, 0, 16)
    if not site.is_free(lot, 0.5):
        return
    site.lay(lot, dice.pick(("asphalt", "asphalt_worn", "asphalt_pale", "asphalt_dark")))
    full = dice.between(0.25, 0.85)
    for index, v in product(range(int(length / 2.5)), (2.6, 13.4)):
        stall = frame.moved(index * 2.5 + 1.25, v, math.pi / 2)
        site.lay(stall.rect(-2.4, 2.4, 1.18, 1.3), "paint")
        if dice.chance(full):
            site.park(stall.moved(dice.between(-0.25, 0.25), 0, dice.between(-0.04, 0.04)))
    site.taken.append(lot)  # keeps loads out of the car park


_CROPS = ("wheat", "wheat", "stubble", "maize", "maize", "soil", "soil_red", "vines")
_PASTURES = ("pasture", "pasture", "pasture", "fallow")
_WASTE = ("rough", "rough", "lawn_dry", "garden", "pasture", "earth")
_HEDGEROW = ("broad", "bush", "bush", "dark")


def fill_open(site: Site, ground: BaseGeometry) -> None:
    """Cover open land: small pieces with rough grass and trees, large ones with fields in strips."""
    for part in polygons_of(ground, 4.0):
        if part.area < 1500:
            site.lay(part, site.dice.pick(_WASTE))
            site.plant(part, 70, _HEDGEROW)
            continue
        site.lay(part, "rough")
        middle, (left, bottom, right, top) = part.representative_point(), part.bounds
        angle = site.town.setting.direction(middle.x, middle.y) + site.dice.pick((0.0, math.pi / 2))
        reach = math.hypot(right - left, top - bottom)
        edges = np.cumsum(site.dice.uniform(38, 95, int(reach / 19) + 2)) - reach - 38
        for v0, v1 in pairwise(edges.tolist()):
            strip = Frame(middle.x, middle.y, angle).rect(-reach, reach, v0, v1)
            for field in polygons_of(clip(strip, part), 60.0):
                _lay_field(site, field, angle)


def _lay_field(site: Site, field: Polygon, angle_rad: float) -> None:
    """Sow a field or graze it, with a margin of grass and perhaps a hedgerow."""
    dice = site.dice
    grazed, inner = dice.chance(0.4), field.buffer(-dice.between(0.6, 1.6))
    site.lay(inner, dice.pick(_PASTURES if grazed else _CROPS), angle_rad + dice.between(-0.06, 0.06))
    site.plant(inner, 2200 if grazed else 20_000, _HEDGEROW)
    if dice.chance(0.35):
        site.plant(field.difference(field.buffer(-1.8)), 14, _HEDGEROW)
