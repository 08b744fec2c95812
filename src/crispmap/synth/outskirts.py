"""What lies around a town: works and warehouses, farms, fields, orchards, woods, playing fields."""

from __future__ import annotations

import math

import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from crispmap.synth.features import Frame, Wing, blob
from crispmap.synth.frontage import Site, clip, polygons_of
from crispmap.synth.houses import pitched, roof_furniture
from crispmap.synth.quarters import lay_parking

_HALL_ROOFS = ("metal_white", "metal_grey", "metal_grey", "metal_blue", "roof_gravel", "fibre", "rust", "roof_grey")
_CROPS = (
    "wheat",
    "wheat",
    "stubble",
    "maize",
    "maize",
    "pasture",
    "pasture",
    "pasture",
    "meadow",
    "fallow",
    "soil",
    "soil_red",
)


def fill_works(site: Site, angle_rad: float) -> None:
    """Set halls on a paved yard, with car parks, stores of goods and bare ground."""
    site.lay(site.ground, site.pick("concrete", "asphalt_yard", "gravel"), angle_rad)
    middle = site.ground.representative_point()
    frame = Frame(middle.x, middle.y, angle_rad)
    reach = math.sqrt(site.ground.area)
    halls = ((30, 62, 22, 38), (18, 34, 14, 22), (12, 20, 9, 14))
    for count, (long0, long1, wide0, wide1) in enumerate(halls):
        for _ in range(9 * (count + 1)):
            spot = frame.moved(site.between(-0.6, 0.6) * reach, site.between(-0.6, 0.6) * reach)
            _hall(site, spot, site.between(long0, long1), site.between(wide0, wide1))
    for _ in range(4):
        spot = frame.moved(site.between(-0.6, 0.3) * reach, site.between(-0.6, 0.4) * reach)
        if site.is_free(spot.rect(0, 30, 0, 16), 1.0):
            lay_parking(site, spot, 30.0, 1)
            site.taken.append(spot.rect(0, 30, 0, 16))  # keeps goods out of the car park
    _goods(site, angle_rad)


def _hall(site: Site, frame: Frame, length_m: float, width_m: float) -> None:
    """Build a hall, sometimes with a lower office in front."""
    roof = site.pick("flat", "gable", "flat")
    wing = Wing(frame, length_m, width_m, site.between(5.5, 9.5), 0.0, roof, site.pick(*_HALL_ROOFS))
    office = Wing(frame.moved(0, width_m / 2 + 2.5), 0.45 * length_m, 7.0, 4.0, 0.0, "flat", "roof_gravel")
    wings = (pitched(wing, 0.16), office) if site.chance(0.4) else (pitched(wing, 0.16),)
    if not site.is_free(shapely.union_all([one.outline for one in wings]), 5.0):
        return
    lights: tuple[Wing, ...] = ()
    if site.chance(0.5):
        count = int(length_m // 6)
        spots = [wing.frame.moved((i - (count - 1) / 2) * 6.0, 0) for i in range(count)]
        lights = tuple(Wing(spot, 1.3, 0.7 * width_m, 0.0, 0.0, "decal", "skylight") for spot in spots)
    site.build(wings, "industrial", lights + roof_furniture(wings[0], site.rng))


def _goods(site: Site, angle_rad: float) -> None:
    """Leave containers, lorries, heaps and weeds about a yard."""
    for x, y in site.scatter(site.ground.buffer(-4), int(site.ground.area / 260)):
        frame = Frame(x, y, angle_rad + (0 if site.chance(0.6) else math.pi / 2))
        if not site.is_free(frame.rect(-7, 7, -2, 2), 0.5):
            continue
        kind = site.rng.random()
        if kind < 0.4:
            site.park(frame, lorry=True)
        elif kind < 0.7:
            paint = site.pick("container_blue", "container_red", "container_green", "rust")
            site.raise_barrier(frame.rect(-6, 6, -1.25, 1.25), paint, 2.6)
        else:
            heap = site.pick("earth", "soil_red", "sand", "rough")
            site.lay(blob(x, y, (site.between(3, 10), site.between(2, 6)), angle_rad, site.rng), heap)
    for x, y in site.scatter(site.ground.exterior.buffer(2.5).intersection(site.ground), int(site.ground.length / 14)):
        site.plant(x, y, site.between(1.6, 3.8), site.pick("broad", "poplar", "bush"))


def fill_farm(site: Site, angle_rad: float) -> None:
    """Set a dwelling and barns round a yard."""
    site.lay(site.ground, site.pick("gravel", "concrete", "earth"), angle_rad)
    middle = site.ground.representative_point()
    frame = Frame(middle.x, middle.y, angle_rad)
    plans = (
        (0, 14, 30, 12, 0.0),
        (-20, -6, 26, 11, 1.0),
        (16, -10, 14, 9, 0.0),
        (24, 8, 18, 10, 1.0),
        (-2, -18, 34, 14, 0.0),
    )
    for u, v, length, width, quarter in plans:
        spot = frame.moved(u, v, quarter * math.pi / 2)
        roof = site.pick("fibre", "tile_old", "tile_red", "rust", "metal_grey")
        wing = Wing(spot, length * site.between(0.8, 1.1), width, site.between(3.5, 5.5), 0.0, "gable", roof)
        if site.is_free(wing.outline, 2.0):
            site.build((pitched(wing, 0.4),), "barn", roof_furniture(wing, site.rng))
    for x, y in site.scatter(site.ground.exterior.buffer(3).intersection(site.ground), int(site.ground.length / 13)):
        site.plant(x, y, site.between(2.0, 4.5), "broad")


def fill_sports(site: Site, angle_rad: float) -> None:
    """Lay a football pitch with its lines, a clay court and a club house."""
    site.lay(site.ground, "lawn", angle_rad)
    middle = site.ground.representative_point()
    frame = Frame(middle.x, middle.y, angle_rad)
    scale = min(1.0, math.sqrt(site.ground.area / 9000.0))
    long, wide = 48 * scale, 31 * scale
    site.lay(frame.rect(-long, long, -wide, wide), "pitch", angle_rad)
    marks = [frame.rect(-long, long, -wide, wide).exterior, shapely.LineString([frame.at(0, -wide), frame.at(0, wide)])]
    marks += [frame.rect(*ends, -12 * scale, 12 * scale).exterior for ends in ((-long, -long + 12), (long - 12, long))]
    marks.append(shapely.Point(frame.at(0, 0)).buffer(9 * scale, quad_segs=4).exterior)
    for mark in marks:
        site.lay(mark.buffer(0.1), "paint")
    court = frame.moved(0, wide + 12)
    for offset in (-19.0, 19.0):
        site.lay(court.rect(offset - 17, offset + 17, -8, 8), "clay")
        site.lay(court.rect(offset - 11.9, offset + 11.9, -5.5, 5.5).exterior.buffer(0.1), "paint")
    house = Wing(frame.moved(0, -wide - 9), 18, 8, 3.2, 0.0, "flat", "roof_gravel")
    if site.is_free(house.outline, 1.0):
        site.build((house,), "public")
    for x, y in site.scatter(site.ground.exterior.buffer(4).intersection(site.ground), int(site.ground.length / 9)):
        site.plant(x, y, site.between(2.2, 4.2), site.pick("broad", "poplar"))


def fill_wood(site: Site) -> None:
    """Cover the ground with trees, close to each other."""
    site.lay(site.ground, "forest_floor")
    mix = site.pick("broad", "dark", "mixed")
    for x, y in site.scatter(site.ground.buffer(-1.0), int(site.ground.area / 17)):
        species = site.pick("broad", "dark", "broad", "conifer") if mix == "mixed" else mix
        site.plant(x, y, site.between(2.0, 4.6), species)


def fill_park(site: Site) -> None:
    """Lay lawns and paths under scattered trees."""
    site.lay(site.ground, "lawn")
    centre = site.ground.representative_point()
    for angle in (0.3, 1.4, 2.6):
        path = shapely.LineString(
            [Frame(centre.x, centre.y, angle).at(u, 4 * math.sin(u / 9)) for u in range(-80, 81, 5)]
        )
        site.lay(path.buffer(1.1), "gravel")
    for x, y in site.scatter(site.ground, int(site.ground.area / 85)):
        site.plant(x, y, site.between(2.0, 5.2), site.pick("broad", "broad", "dark", "conifer"))


def fill_open(site: Site, ground: BaseGeometry) -> None:
    """Cover open ground: small pieces with rough grass and trees, large ones with fields."""
    for part in polygons_of(ground, 4.0):
        middle = part.representative_point()
        angle = site.setting.direction(middle.x, middle.y)
        if part.area < 1500:
            _waste(site, part)
        elif part.area < 5000 and site.chance(0.45):
            _orchard(site, part, angle)
        else:
            _fields(site, part, angle)


def _waste(site: Site, part: Polygon) -> None:
    """Cover a left-over piece."""
    site.lay(part, site.pick("rough", "lawn_dry", "garden", "meadow", "rough", "earth"))
    for x, y in site.scatter(part.buffer(-0.5), int(part.area / 70)):
        site.plant(x, y, site.between(1.0, 3.8), site.pick("broad", "bush", "bush", "dark"))


def _orchard(site: Site, part: Polygon, angle: float) -> None:
    """Plant fruit trees in rows, or lay out allotments."""
    if site.chance(0.5):
        site.lay(part, site.pick("meadow", "lawn_dry", "rough"), angle)
        pitch = site.between(5.0, 7.5)
        _rows_of_trees(site, part, angle, pitch)
        return
    for strip in _strips(site, part, angle, (6.0, 11.0)):
        site.lay(strip, site.pick("bed", "garden", "lawn", "lawn_dry", "soil_red", "rough"), angle + math.pi / 2)
        for x, y in site.scatter(strip, 1):
            hut = Frame(x, y, angle)
            plan = hut.rect(-1.5, 1.5, -1.2, 1.2)
            if site.is_free(plan, 1.0) and strip.contains(plan) and site.chance(0.6):
                site.build(
                    (Wing(hut, 3.0, 2.4, 2.2, 0.3, "gable", site.pick("roof_wood", "fibre", "bitumen")),), "shed"
                )


def _rows_of_trees(site: Site, part: Polygon, angle: float, pitch: float) -> None:
    """Plant trees on a grid."""
    middle = part.representative_point()
    frame = Frame(middle.x, middle.y, angle)
    reach = int(math.hypot(*(b - a for a, b in zip(part.bounds[:2], part.bounds[2:], strict=True))) / pitch) + 1
    inner = part.buffer(-2.0)
    for row in range(-reach, reach + 1):
        for column in range(-reach, reach + 1):
            x, y = frame.at(column * pitch, row * pitch)
            if shapely.contains_xy(inner, x, y) and site.chance(0.93):
                site.plant(x, y, site.between(1.4, 2.2), "fruit")


def _strips(site: Site, part: Polygon, angle: float, widths: tuple[float, float]) -> list[Polygon]:
    """Cut ground into strips that run along an angle."""
    middle = part.centroid
    frame = Frame(middle.x, middle.y, angle)
    reach = math.hypot(part.bounds[2] - part.bounds[0], part.bounds[3] - part.bounds[1])
    strips: list[Polygon] = []
    v = -reach + site.between(0, widths[0])
    while v < reach:
        wide = site.between(*widths)
        strips += polygons_of(clip(part, frame.rect(-reach, reach, v, v + wide)), 8.0)
        v += wide
    return strips


def _fields(site: Site, part: Polygon, angle: float) -> None:
    """Divide ground into fields, each with a crop, a margin of grass and perhaps a hedge."""
    across = angle + (math.pi / 2 if site.chance(0.5) else 0.0)
    for strip in _strips(site, part, across, (38.0, 95.0)):
        site.lay(strip, "rough")
        for field in polygons_of(strip.buffer(-site.between(0.6, 1.6)), 60.0):
            _crop(site, field, across)
        if site.chance(0.3):
            for x, y in site.scatter(strip.exterior.buffer(1.6).intersection(strip), int(strip.length / 7)):
                site.plant(x, y, site.between(1.0, 3.8), site.pick("broad", "bush", "bush", "dark"))


def _crop(site: Site, field: Polygon, angle: float) -> None:
    """Sow one field, with tractor lines; a vineyard now and then, lone trees in pastures."""
    if site.chance(0.08):
        site.lay(field, "vines", angle)
        return
    crop = site.pick(*_CROPS)
    rows = angle + site.between(-0.06, 0.06)
    site.lay(field, crop, rows)
    if crop in ("wheat", "maize", "stubble", "soil"):
        _tractor_lines(site, field, rows, crop)
    else:
        for x, y in site.scatter(field, int(field.area / 2200)):
            site.plant(x, y, site.between(1.4, 4.8), site.pick("broad", "bush", "dark"))


def _tractor_lines(site: Site, field: Polygon, angle: float, crop: str) -> None:
    """Drive pairs of wheel tracks through a field, at the width of a spraying boom."""
    middle = field.centroid
    frame = Frame(middle.x, middle.y, angle)
    reach = math.hypot(field.bounds[2] - field.bounds[0], field.bounds[3] - field.bounds[1]) / 2 + 5
    boom, v = site.between(14, 24), -reach
    while v < reach:
        for wheel in (-0.9, 0.9):
            site.lay(frame.rect(-reach, reach, v + wheel - 0.22, v + wheel + 0.22).intersection(field), f"{crop}_track")
        v += boom
