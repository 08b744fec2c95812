"""Residential blocks: rows of houses round courtyards in the centre, houses in gardens around it."""

from __future__ import annotations

import math
from dataclasses import replace

from shapely import Polygon

from crispmap.synth.features import Building, Frame
from crispmap.synth.houses import Style
from crispmap.synth.land_use import fill_open
from crispmap.synth.site import Site, cut

LOT_REACH_M = 30.0  # gardens end this far from their house
_SHED_ROOFS = ("fibre", "rust", "bitumen", "tile_old", "metal_grey", "tile_grey", "tile_brown")
TOWN_HOUSE = Style("terrace", (6.5, 13.0), (7.5, 12.5), (5.2, 9.0), wing=0.6)
TERRACE = Style("terrace", (5.4, 7.2), (8.5, 10.5), (4.6, 6.2))
HOUSE = Style("house", (13.0, 25.0), (7.5, 11.0), (3.0, 5.8), wing=0.6)
SHED = Style("shed", (2.6, 5.0), (2.2, 3.4), (2.0, 2.6), _SHED_ROOFS, _SHED_ROOFS, flat=0.5)
WORKSHOP = replace(SHED, front_m=(4.0, 9.0), depth_m=(3.5, 6.0))
_YARDS = ("concrete", "paving", "gravel", "asphalt_worn", "earth", "garden", "lawn", "rough")
_LAWNS = ("lawn", "lawn", "lawn", "lawn_dry", "garden", "garden", "rough", "lawn_dry", "gravel", "earth")
_DRIVES = ("gravel", "gravel", "concrete", "paving", "asphalt_worn", "earth")
_BEDS = (("bed", 3.5, 2.2), ("soil_red", 3.0, 2.0), ("paving", 4.0, 2.5), ("concrete", 3.0, 2.5), ("pool", 3.8, 1.8))
_TREES = ("broad", "broad", "broad", "fruit", "fruit", "bush", "bush", "bush", "conifer", "dark")


def fill_block(site: Site) -> None:
    """Line a block's edge with houses and lay out the plot around each; the rest is open land."""
    middle = site.ground.representative_point()
    dense = site.town.setting.density(middle.x, middle.y)
    core = site.ground.area < 14000 and dense > 0.5 + site.dice.between(-0.08, 0.08)
    houses = _line_edge(site, core)
    lots = site.lots([house.outline.centroid for house in houses], LOT_REACH_M)
    fill_open(site, cut(site.ground, lots))
    for house, lot in zip(houses, lots, strict=True):
        _lay_out(site, lot, house, core)


def _line_edge(site: Site, core: bool) -> list[Building]:
    """Build along a block's edge: rows with passages between, or houses, closer together in dense parts."""
    dice = site.dice
    quarter, setback_m = (TOWN_HOUSE if core else HOUSE).in_quarter(dice), 0.3 if core else dice.between(2.0, 7.0)
    houses: list[Building] = []
    run = dice.between(0, 6)
    while run < site.edge_m - 8:
        dense = site.town.setting.density(*site.at(run))
        count, style = 1, replace(quarter, front_m=(13, 19) if dense > 0.35 else (16, 25))
        if core:
            count, style = 1 + int(dice.geometric(0.1)), quarter
        elif dice.chance(0.07):
            count, style = 4, replace(TERRACE, roofs=(dice.pick(quarter.roofs),))
        made: list[Building] = []
        if core or dense > 0.2 or (dense > 0.1 and dice.chance(0.85)):
            made, run = _build_row(site, run, count, style, setback_m)
        run += 2.0 if not made else 3.5 if core else 0.0
        houses += made
    return houses


def _build_row(site: Site, run: float, count: int, style: Style, setback_m: float) -> tuple[list[Building], float]:
    """Build houses wall to wall while there is room, or a detached one; return them and where they end."""
    dice, alone = site.dice, count == 1
    houses: list[Building] = []
    row = -1 if alone else len(site.town.buildings)  # a new number
    for _ in range(count):
        front_m = dice.between(*style.front_m)
        street = site.front(run, front_m)
        if street is None:
            break
        door = street.moved(0, setback_m + dice.between(-0.7, 1.6)) if alone else street.moved(0, setback_m)
        size_m = front_m * dice.between(0.56, 0.72) if alone else front_m
        house = site.build(style, door, size_m, 2.4 if alone else 0.0, row)
        if house is None:
            break
        houses.append(house)
        run += front_m
    return houses, run


def _lay_out(site: Site, lot: Polygon, house: Building, core: bool) -> None:
    """Lay out the plot around a house: lawn or paving, drive, shed, beds, cars, hedge or wall, trees."""
    dice, frame = site.dice, house.wings[0].frame
    site.lay(lot, dice.pick(_YARDS if core else _LAWNS), frame.angle_rad)
    drive = Polygon() if core else _lay_drive(site, house)
    shed = WORKSHOP if core else SHED
    for x, y in site.scatter(lot.buffer(-2), 1.0):
        site.build(shed, Frame(x, y, frame.angle_rad), dice.between(*shed.front_m), 1.0)
    for x, y in site.scatter(lot, 0.7):
        material, long, wide = dice.pick(_BEDS)
        bed = Frame(x, y, frame.angle_rad).rect(-long, long, -wide, wide)
        if site.is_free(bed, 0.5):
            site.lay(bed.intersection(lot), material, frame.angle_rad)
    for x, y in site.scatter(lot, 0.6 if core else 0.0):
        site.park(Frame(x, y, dice.between(0, math.pi)))
    if dice.chance(0.4 if core else 0.72):
        kind, thick_m, high_m = dice.pick((("hedge", 0.55, 1.9), ("concrete", 0.17, 1.5), ("hedge", 0.4, 1.4)))
        site.lay(lot.exterior.buffer(thick_m, cap_style="flat").difference(drive), kind, height_m=high_m)
    site.plant(lot, 85, _TREES)


def _lay_drive(site: Site, house: Building) -> Polygon:
    """Lay the drive from the street past a house, often with a car on it; return its shape."""
    dice, body = site.dice, house.wings[0]
    u = dice.pick((-1, 1)) * (body.length_m / 2 + 1.4)
    drive = body.frame.rect(u - 1.5, u + 1.5, -body.width_m / 2 - 12, dice.between(-4, 4))
    site.lay(drive, dice.pick(_DRIVES))
    if dice.chance(0.5):
        site.park(body.frame.moved(u, -body.width_m / 2, math.pi / 2))
    return drive
