"""Where people live: terraced blocks with courtyards, houses in gardens, flats, and the church square."""

from __future__ import annotations

import math

import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry

from crispmap.synth.features import Building, Frame, Wing
from crispmap.synth.frontage import Ring, Site, polygons_of
from crispmap.synth.houses import (
    FLATS,
    SHEDS,
    Style,
    body,
    detached_wings,
    draw_roof,
    draw_style,
    pitched,
    roof_furniture,
)

LOT_REACH_M = 30.0
"""Gardens end this far from their house."""


def fill_core(site: Site) -> None:
    """Line a block with rows of houses that share walls, and fill its courtyards."""
    style = draw_style(site.rng, (5.2, 9.0))
    ring = Ring(site.ground)
    run, row = 0.0, site.works.next_row()
    fronts: list[tuple[Frame, float]] = []
    while run < ring.length_m - 6:
        front = site.between(6.5, 13.0)
        frame = ring.front(run, front)
        if frame is None or not site.fronts_street(frame, front) or not _town_house(site, frame, front, style, row):
            run, row = run + 1.0, site.works.next_row()
            continue
        fronts.append((frame, front))
        run += front
        if site.chance(0.1):
            run, row = run + site.between(2.5, 5.0), site.works.next_row()
    _courtyards(site, [frame.at(front / 2, 7.0) for frame, front in fronts])


def _town_house(site: Site, frame: Frame, front: float, style: Style, row: int) -> bool:
    """Build a house of a row, its side walls on the plot's; return whether there was room."""
    setback = site.between(0.1, 0.5)
    for depth in (site.between(8.5, 13.0), 7.5):
        plan = frame.rect(0.03, front - 0.03, setback, setback + depth)
        if site.is_free(plan):
            break
    else:
        return False
    roof, material = draw_roof(style, site.rng)
    form = "gable" if roof == "hip" else roof
    eave = site.between(*style.storey_m)
    main = Wing(frame.moved(front / 2, setback + depth / 2), front, depth, eave, 0.0, form, material)
    wings = [pitched(main, style.slope * 0.8)]
    annexe = setback + depth + site.between(3.0, 8.0)
    wide = site.between(0.35, 0.6) * front
    if site.chance(0.55) and site.is_free(frame.rect(0.1, wide, setback + depth, annexe)):
        form = site.pick("flat", "shed", "gable")
        top = site.pick(*FLATS) if form == "flat" else site.pick(*style.roofs)
        back = body(frame, (0.1, wide), (setback + depth - 0.5, annexe), form, top, site.between(2.8, 5.0))
        wings.append(pitched(back, style.slope))
    site.build(tuple(wings), "terrace", roof_furniture(wings[0], site.rng), row)
    return True


def _courtyards(site: Site, seeds: list[tuple[float, float]]) -> None:
    """Fill what the rows enclose: yards of every kind, workshops, trees, cars."""
    inside = [seed for seed in dict.fromkeys(seeds) if site.ground.covers(Point(seed))]
    lots = site.lots(inside) if inside else [site.ground]
    for lot in lots:
        material = site.pick("concrete", "paving", "gravel", "asphalt_yard", "garden", "lawn", "rough", "earth")
        site.lay(lot, material, site.between(0, math.pi))
        green = material in ("garden", "lawn", "rough")
        if lot.area > 90 and site.chance(0.4):
            _outhouse(site, lot, (4.0, 9.0), (3.5, 6.0))
        for x, y in site.scatter(lot, 3 if green else int(site.chance(0.35))):
            site.plant(x, y, site.between(1.2, 4.2), site.pick("broad", "broad", "fruit", "bush"))
        for x, y in site.scatter(lot, 0 if green else int(site.rng.integers(0, 3))):
            frame = Frame(x, y, site.between(0, math.pi))
            if site.is_free(frame.rect(-2.5, 2.5, -1.2, 1.2)):
                site.park(frame)
        if site.chance(0.4):
            site.raise_barrier(lot.exterior.buffer(0.18, cap_style="flat"), "wall", 2.0)


def _outhouse(site: Site, lot: Polygon, longs: tuple[float, float], wides: tuple[float, float]) -> Building | None:
    """Build a shed or workshop somewhere in a lot; None if there was no room."""
    length, width = site.between(*longs), site.between(*wides)
    borders = lot.exterior
    for x, y in site.scatter(lot, 14):
        near = borders.project(Point(x, y))
        a, b = borders.interpolate(near), borders.interpolate(near + 1.0)
        frame = Frame(x, y, math.atan2(b.y - a.y, b.x - a.x))
        plan = frame.rect(-length / 2, length / 2, -width / 2, width / 2)
        if lot.contains(plan) and site.is_free(plan, 1.0):
            roof = site.pick("gable", "flat", "shed")
            wing = Wing(frame, length, width, site.between(2.0, 2.6), 0.0, roof, site.pick(*SHEDS))
            return site.build((pitched(wing, 0.45),), "shed")
    return None


def fill_homes(site: Site) -> None:
    """Line a block with houses in gardens, here and there a terrace; what no garden reaches is left to the rest."""
    style = draw_style(site.rng)
    ring = Ring(site.ground)
    run = site.between(0, 6)
    homes: list[tuple[Building, Frame, float]] = []
    while run < ring.length_m - 12:
        dense = site.setting.density_at(*ring.at(run))
        front = site.between(13.0, 19.0) if dense > 0.35 else site.between(16.0, 25.0)
        if dense < 0.1 or (dense < 0.2 and site.chance(0.15)):
            run += 8.0
            continue
        made = _terrace(site, ring, run, style) if site.chance(0.07) else []
        made = made or _home(site, ring.front(run, front), front, style)
        homes += made
        run += sum(width for _, _, width in made) if made else 2.5
    if homes:
        _gardens(site, homes)


def _home(site: Site, frame: Frame | None, front: float, style: Style) -> list[tuple[Building, Frame, float]]:
    """Build one detached house behind a front; an empty list where there is no room."""
    if frame is None or not site.fronts_street(frame, front):
        return []
    for shrink in (1.0, 0.85):
        size = shrink * site.between(8.5, max(9.0, min(15.5, front - 3.0))), shrink * site.between(7.5, 11.0)
        turn = site.between(-0.05, 0.05) + (math.pi if site.chance(0.04) else 0.0)
        door = frame.moved(front / 2 + site.between(-0.8, 0.8), style.setback_m + site.between(-0.7, 1.6), turn)
        wings = detached_wings(door, size, style, site.rng)
        outline = shapely.union_all([wing.outline for wing in wings])
        if site.is_free(outline, 2.4):
            home = site.build(wings, "house", roof_furniture(wings[0], site.rng))
            return [(home, frame, front)]
    return []


def _terrace(site: Site, ring: Ring, run: float, style: Style) -> list[tuple[Building, Frame, float]]:
    """Build a row of 3 to 7 like houses, wall to wall; an empty list where there is no room."""
    count, unit = int(site.rng.integers(3, 8)), site.between(5.4, 7.2)
    frame = ring.front(run, count * unit)
    depth = site.between(8.5, 10.5)
    if frame is None or not site.fronts_street(frame, count * unit):
        return []
    if not site.is_free(frame.rect(0, count * unit, style.setback_m, style.setback_m + depth), 3.0):
        return []
    row, material, eave = site.works.next_row(), site.pick(*style.roofs), site.between(4.6, 6.2)
    made = []
    for index in range(count):
        plot = frame.moved(index * unit, 0)
        jog = style.setback_m + (site.between(0, 0.8) if site.chance(0.4) else 0.0)
        main = Wing(plot.moved(unit / 2, jog + depth / 2), unit, depth, eave, 0.0, "gable", material)
        wing = pitched(main, style.slope)
        home = site.build((wing,), "terrace", roof_furniture(wing, site.rng), row)
        made.append((home, plot, unit))
    return made


def _gardens(site: Site, homes: list[tuple[Building, Frame, float]]) -> None:
    """Give every house its garden, bounded by its neighbours' and by a distance."""
    seeds = [(home.outline.centroid.x, home.outline.centroid.y) for home, _, _ in homes]
    for (home, frame, front), lot, seed in zip(homes, site.lots(seeds), seeds, strict=True):
        reach = Point(seed).buffer(LOT_REACH_M, quad_segs=2)
        parts = polygons_of(lot.intersection(reach), 20.0)
        if parts:
            _garden(site, max(parts, key=lambda part: part.area), home, frame, front)


def _garden(site: Site, lot: Polygon, home: Building, frame: Frame, front: float) -> None:
    """Lay out one garden: lawn, drive, terrace, beds, pool, shed, hedge, trees."""
    angle = frame.angle_rad
    ground = "earth" if site.chance(0.035) else site.pick(*_LAWNS)
    site.lay(lot, ground, angle)
    drive = _drive(site, home, frame, front)
    wall = home.wings[0]
    terrace = wall.outline.buffer(site.between(1.2, 3.5), cap_style="square", join_style="mitre")
    half = frame.moved(site.between(-0.3, 0.3) * front, 0).rect(-front, front, wall.width_m, 60)
    if site.chance(0.8):
        site.lay(terrace.intersection(half).intersection(lot), site.pick("concrete", "paving", "paving", "concrete"))
    _garden_things(site, lot, frame)
    if site.chance(0.72):
        kind, thick, high = (("hedge", 0.55, 1.9), ("wall", 0.17, 1.5), ("hedge", 0.4, 1.4))[site.rng.integers(3)]
        border = lot.exterior.buffer(thick, cap_style="flat").difference(drive)
        site.raise_barrier(border, kind, high)
    for x, y in site.scatter(lot.buffer(-1.0), int(site.rng.poisson(lot.area / 95))):
        _plant_garden(site, x, y)


_LAWNS = ("lawn", "lawn", "lawn", "lawn_dry", "garden", "garden", "rough", "lawn_dry", "gravel")


def _drive(site: Site, home: Building, frame: Frame, front: float) -> BaseGeometry:
    """Lay the way from the street to the house, often with a car on it; return its ground."""
    last = home.wings[-1].frame
    dx, dy = last.x - frame.x, last.y - frame.y
    u = dx * math.cos(frame.angle_rad) + dy * math.sin(frame.angle_rad)
    v = -dx * math.sin(frame.angle_rad) + dy * math.cos(frame.angle_rad)
    wide = site.between(1.3, 2.6)
    drive = frame.rect(u - wide, u + wide, -0.5, v)
    site.lay(drive, site.pick("gravel", "concrete", "paving", "asphalt_yard", "gravel", "earth"))
    spot = frame.moved(u, max(2.4, v - home.wings[-1].width_m / 2 - 3.0), math.pi / 2)
    if site.chance(0.5) and site.is_free(spot.rect(-2.4, 2.4, -1, 1)):
        site.park(spot)
    return drive


def _garden_things(site: Site, lot: Polygon, frame: Frame) -> None:
    """Put a shed, a pool, a vegetable bed into a garden where there is room."""
    if site.chance(0.5):
        _outhouse(site, lot, (2.6, 5.0), (2.2, 3.4))
    spots = list(site.scatter(lot.buffer(-3.5), 6))
    if spots and site.chance(0.13):
        pool = Frame(*spots[0], frame.angle_rad)
        if site.is_free(pool.rect(-5, 5, -3, 3)):
            site.lay(pool.rect(-5, 5, -3, 3), "paving")
            site.lay(pool.rect(-3.8, 3.8, -1.8, 1.8), "pool")
    elif spots and site.chance(0.3):
        bed = Frame(*spots[-1], frame.angle_rad)
        site.lay(bed.rect(-3.5, 3.5, -2.2, 2.2).intersection(lot), site.pick("bed", "bed", "soil_red"), frame.angle_rad)


def _plant_garden(site: Site, x: float, y: float) -> None:
    """Plant one garden tree or bush; an old tree now and then reaches over the roof."""
    if site.chance(0.1):
        site.plant(x, y, site.between(3.6, 5.4), "broad")
        return
    species = site.pick("broad", "broad", "fruit", "fruit", "bush", "bush", "bush", "conifer", "dark")
    low, high = {"broad": (1.8, 4.0), "dark": (1.8, 4.2), "conifer": (1.2, 2.4), "bush": (0.6, 1.5)}.get(
        species, (1.3, 2.4)
    )
    site.plant(x, y, site.between(low, high), species)


def fill_estate(site: Site, angle_rad: float) -> None:
    """Set blocks of flats on lawns, with parking between them."""
    site.lay(site.ground, site.pick("lawn", "lawn_dry"), angle_rad)
    middle = site.ground.representative_point()
    top = site.pick("roof_gravel", "membrane", "roof_grey", "bitumen")
    for row in range(-4, 5):
        frame = Frame(middle.x, middle.y, angle_rad).moved(0, row * 31.0)
        for column in range(-3, 4):
            length, width = site.between(28, 52), site.between(11, 13.5)
            slab = Wing(frame.moved(column * 58.0, 0), length, width, site.between(9, 14), 0.0, "flat", top)
            if site.is_free(slab.outline.buffer(2.0), 6.0):
                site.build((slab,), "apartments", roof_furniture(slab, site.rng))
                lay_parking(site, frame.moved(column * 58.0 - length / 2, width / 2 + 3.5), length, 1)
    for x, y in site.scatter(site.ground.buffer(-2), int(site.ground.area / 130)):
        site.plant(x, y, site.between(2.0, 4.8), site.pick("broad", "broad", "dark"))


def lay_parking(site: Site, frame: Frame, length_m: float, aisles: int) -> None:
    """Lay a car park of rows on both sides of aisles; rows run along ``u``, aisles follow each other along ``v``."""
    depth = aisles * 16.0
    lot = frame.rect(0, length_m, 0, depth)
    ground = polygons_of(lot.intersection(site.rest()), 60.0)
    for part in ground:
        site.lay(part, site.pick("asphalt", "asphalt_worn", "asphalt_yard", "asphalt_pale"))
    stalls = shapely.union_all(ground)
    full = site.between(0.25, 0.85)
    for row in range(2 * aisles):
        v = (row // 2) * 16.0 + (2.6 if row % 2 == 0 else 13.4)
        for index in range(int(length_m / 2.5)):
            stall = frame.moved(index * 2.5 + 1.25, v, math.pi / 2)
            if not stalls.contains(stall.rect(-2.5, 2.5, -1.2, 1.2)):
                continue
            site.lay(stall.rect(-2.4, 2.4, 1.18, 1.3), "paint")
            if site.chance(full):
                site.park(stall.moved(site.between(-0.25, 0.25), 0, site.between(-0.04, 0.04)))


def fill_square(site: Site, angle_rad: float) -> None:
    """Pave a square around a church, with rows of trees and parked cars."""
    site.lay(site.ground, site.pick("paving", "gravel", "setts"), angle_rad)
    centre = site.ground.representative_point()
    scale = min(1.0, math.sqrt(site.ground.area) / 46.0)
    frame = Frame(centre.x, centre.y, angle_rad)
    nave = Wing(frame, 30 * scale, 11 * scale, 9.0, 0.0, "gable", site.pick("slate", "tile_old", "tile_red"))
    aisle = Wing(frame.moved(5 * scale, 0, math.pi / 2), 19 * scale, 7 * scale, 8.0, 0.0, "gable", nave.material)
    tower = Wing(frame.moved(-16 * scale, 0), 6.5 * scale, 6.5 * scale, 17.0, 6.0, "hip", "slate")
    wings = (pitched(nave, 0.9), pitched(aisle, 0.9), tower)
    if site.is_free(shapely.union_all([wing.outline for wing in wings]), 2.0):
        site.build(wings, "church")
    else:
        fill_core(site)
        return
    lay_parking(site, frame.moved(-22 * scale, 12 * scale), 44 * scale, 1)
    walk = LineString(site.ground.buffer(-4.0).exterior.coords) if site.ground.area > 900 else site.ground.exterior
    for run in range(0, int(walk.length), 8):
        spot = walk.interpolate(run)
        site.plant(spot.x, spot.y, site.between(2.4, 3.4), "broad")
