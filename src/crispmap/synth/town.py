"""A generated town: a plan in vectors, in metres, x east and y north of the scene's south-west corner."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from affine import Affine
from numpy.random import Generator
from shapely import LineString, MultiPolygon
from shapely.geometry.base import BaseGeometry

from crispmap.errors import InputError
from crispmap.geo.grid import Grid
from crispmap.synth.features import Building, Car, Frame, Road, Surface, Tree, Works, blob
from crispmap.synth.frontage import Site, clip, cut, polygons_of
from crispmap.synth.outskirts import fill_farm, fill_open, fill_park, fill_sports, fill_wood, fill_works
from crispmap.synth.quarters import fill_core, fill_estate, fill_homes, fill_square
from crispmap.synth.roadside import furnish_streets, river_area, riverside
from crispmap.synth.setting import Setting, draw_setting
from crispmap.synth.streets import plan_streets
from crispmap.types import DoubleArray

LEAST_SIDE_M = 64.0
_FILLET_M = 3.5


@dataclass(frozen=True)
class Town:
    """A town as planned; everything reaches somewhat beyond the scene.

    Attributes:
        size_m: (width, height) of the scene.
        seed: What it was drawn from.
        setting: Where it lies.
        roads: Streets and country lanes: what the truth calls road.
        paths: Foot paths and field tracks, 2 m wide: background in the truth.
        carriageway: The exact ground of all roads, kerb to kerb, with rounded corners.
        buildings: All buildings, down to sheds; none overlaps another or a road.
        surfaces: The ground from below to above: fields, gardens, yards, car parks.
        painted: Markings and patches on the carriageways.
        barriers: Hedges, walls, containers.
        water: River and ponds.
        trees: All trees.
        cars: All cars and lorries.
    """

    size_m: tuple[float, float]
    seed: int
    setting: Setting
    roads: tuple[Road, ...]
    paths: tuple[LineString, ...]
    carriageway: BaseGeometry
    buildings: tuple[Building, ...]
    surfaces: tuple[Surface, ...]
    painted: tuple[Surface, ...]
    barriers: tuple[Surface, ...]
    water: BaseGeometry
    trees: tuple[Tree, ...]
    cars: tuple[Car, ...]


def plan_town(size_m: tuple[float, float], seed: int = 0) -> Town:
    """Return a town with a neighbourhood centre every 400 m of width.

    From every centre the town thins out: rows of houses round courtyards and a church square, houses in gardens,
    flats, works, playing fields, then farms, fields and woods. The same size and seed give the same town.

    Args:
        size_m: (width, height) of the scene in metres.
        seed: Any integer from 0.

    Raises:
        InputError: If a side is shorter than 64 m, or the seed is negative.
    """
    if not (min(size_m) >= LEAST_SIDE_M and math.isfinite(max(size_m))):
        raise InputError(f"A town of {size_m[0]} x {size_m[1]} m.", expected=f"sides of {LEAST_SIDE_M:g} m or more")
    if seed < 0:
        raise InputError(f"Seed {seed}.", expected="an integer from 0")
    rng = np.random.default_rng([seed, 1])
    setting = draw_setting(size_m, rng)
    roads = plan_streets(setting, rng)
    carriageway = _with_round_corners(roads)
    streets = shapely.union_all([carriageway, *(road.area(road.verge_m) for road in roads)])
    water = river_area(setting, rng)
    works = Works()
    _fill_blocks(setting, streets, water, works, rng)
    path = riverside(setting, water.difference(streets), works, rng)
    painted = furnish_streets(roads, carriageway, setting, works, rng)
    return Town(
        size_m,
        seed,
        setting,
        tuple(roads),
        (path,),
        carriageway,
        tuple(works.buildings),
        tuple(works.surfaces),
        tuple(painted),
        tuple(works.barriers),
        water,
        tuple(works.trees),
        tuple(works.cars),
    )


def _with_round_corners(roads: list[Road]) -> BaseGeometry:
    """Return the ground of all carriageways, with kerbs rounded where streets meet."""
    sharp = shapely.union_all([road.area() for road in roads])
    return sharp.buffer(_FILLET_M, quad_segs=4).buffer(-_FILLET_M, quad_segs=4).union(sharp)


@dataclass(frozen=True)
class _Special:
    """Ground set apart for one use, whatever the blocks are."""

    use: str
    shape: MultiPolygon
    angle_rad: float


def _fill_blocks(setting: Setting, streets: BaseGeometry, water: BaseGeometry, works: Works, rng: Generator) -> None:
    """Give every block between the streets a use, and fill it."""
    shapely.prepare(streets)
    free = MultiPolygon(polygons_of(setting.domain.difference(streets).difference(water.buffer(6.0))))
    specials = _draw_specials(setting, free, rng)
    for special in specials:
        for part in polygons_of(special.shape):
            _fill_special(Site(part, streets, setting, works, rng), special)
    taken = [special.shape for special in specials]
    for block in polygons_of(free, 20.0):
        for part in polygons_of(cut(block, taken), 12.0):
            _fill_block(Site(part, streets, setting, works, rng))


def _fill_block(site: Site) -> None:
    """Fill a block by how near a centre it is."""
    middle = site.ground.representative_point()
    dense = site.setting.density_at(middle.x, middle.y)
    compact = site.ground.area < 14000
    if compact and dense > 0.5 + site.between(-0.08, 0.08):
        fill_core(site)
        return
    base = len(site.works.surfaces)
    fill_homes(site)
    gardens = [surface.shape for surface in site.works.surfaces[base:]]
    left = cut(site.ground, gardens) if gardens else site.ground
    laid = site.works.surfaces[base:]
    del site.works.surfaces[base:]
    fill_open(site, left)
    site.works.surfaces.extend(laid)


def _fill_special(site: Site, special: _Special) -> None:
    """Fill ground that was set apart."""
    if special.use == "square":
        fill_square(site, special.angle_rad)
    elif special.use == "works":
        fill_works(site, special.angle_rad)
    elif special.use == "estate":
        fill_estate(site, special.angle_rad)
    elif special.use == "sports":
        fill_sports(site, special.angle_rad)
    elif special.use == "farm":
        fill_farm(site, special.angle_rad)
    elif special.use == "park":
        fill_park(site)
    else:
        fill_wood(site)


_PLANS = (
    ("square", (0.05, 0.45), (50.0, 46.0)),
    ("works", (1.0, 1.7), (150.0, 100.0)),
    ("estate", (0.6, 1.3), (115.0, 80.0)),
    ("sports", (1.0, 2.0), (122.0, 88.0)),
    ("works", (1.1, 2.0), (95.0, 75.0)),
    ("park", (0.4, 1.3), (75.0, 60.0)),
    ("farm", (1.5, 2.4), (72.0, 58.0)),
    ("wood", (1.3, 2.6), (110.0, 80.0)),
    ("wood", (1.3, 2.9), (70.0, 50.0)),
)
"""Use, distance from the centre in radii, and size in metres, of what every neighbourhood has."""


def _draw_specials(setting: Setting, free: MultiPolygon, rng: Generator) -> list[_Special]:
    """Return ground for the church, works, flats, pitch, park, farm and woods of every neighbourhood."""
    found: list[_Special] = []
    for centre in setting.centres:
        for plan in _PLANS:
            special = _find_room(plan, centre, found, free, (setting, rng))
            if special is not None:
                found.append(special)
    return found


def _find_room(
    plan: tuple[str, tuple[float, float], tuple[float, float]],
    centre: DoubleArray,
    found: list[_Special],
    free: MultiPolygon,
    lie: tuple[Setting, Generator],
) -> _Special | None:
    """Return room for a plan between the streets at a distance from a centre, clear of what was found before."""
    setting, rng = lie
    use, reach, size = plan
    scale = min(1.0, setting.radius_m / 150.0) / 2
    for _ in range(40):
        away, towards = setting.radius_m * rng.uniform(*reach), rng.uniform(0, 2 * math.pi)
        x, y = centre + away * np.array([math.cos(towards), math.sin(towards)])
        angle = setting.direction(x, y) + float(rng.choice([0.0, math.pi / 2]))
        long, wide = scale * size[0], scale * size[1]
        shape = Frame(x, y, angle).rect(-long, long, -wide, wide)
        if use in ("wood", "park"):
            shape = blob(x, y, (long, wide), angle, rng)
        inside = shape.intersection(setting.frame).area > 0.85 * shape.area
        near = float(np.linalg.norm(setting.centres - [x, y], axis=1).min()) >= 0.85 * away
        if not inside or not near or any(shape.intersects(other.shape) for other in found):
            continue
        parts = polygons_of(clip(shape, free), 120.0 if use in ("wood", "park") else 0.66 * shape.area)
        if parts:
            return _Special(use, MultiPolygon(parts), angle)
    return None


def ground_transform(grid: Grid) -> Affine:
    """Return the transform of a grid from pixel positions to the town's own metres, its lower left corner (0, 0)."""
    across, up = grid.transform.a, grid.transform.e
    return Affine(across, 0.0, 0.0, 0.0, up, -up * grid.height)
