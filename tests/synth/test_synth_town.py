"""A town's plan: nothing overlaps, everything connects, shares stay in range, chance comes from the seed alone."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from shapely import LineString, MultiPoint, Point, Polygon, STRtree
from shapely.geometry.base import BaseGeometry

from crispmap.errors import InputError
from crispmap.synth.chance import Dice, Waves
from crispmap.synth.features import Frame, Town
from crispmap.synth.setting import draw_setting, smooth_line
from crispmap.synth.site import Site, cut
from crispmap.synth.town import plan_town

SEEDS = st.integers(0, 40)


@cache
def hamlet(seed: int) -> Town:
    return plan_town((210.0, 180.0), seed)


@cache
def village(seed: int) -> Town:
    return plan_town((420.0, 360.0), seed)


@given(SEEDS)
@settings(deadline=None, max_examples=6)
def test_no_building_overlaps_a_road_or_another_building(seed: int) -> None:
    town = hamlet(seed)
    outlines = [building.outline for building in town.buildings]
    for outline in outlines:
        assert outline.is_valid
        assert outline.intersection(town.carriageway).area < 1e-3
    for first, second in STRtree(outlines).query(outlines, predicate="intersects").T:
        if first < second:
            assert outlines[first].intersection(outlines[second]).area < 0.05


@given(SEEDS)
@settings(deadline=None, max_examples=6)
def test_an_outline_is_what_its_wings_cover(seed: int) -> None:
    for building in hamlet(seed).buildings:
        wings = shapely.union_all([wing.outline for wing in building.wings])
        assert building.outline.difference(wings).area < 0.05
        assert building.outline.area > 0.5 * wings.area
        assert building.height_m >= max(wing.eave_m for wing in building.wings)


@given(SEEDS)
@settings(deadline=None, max_examples=6)
def test_all_streets_hang_together(seed: int) -> None:
    town = hamlet(seed)
    assert isinstance(town.carriageway.buffer(0.01), Polygon)
    for road in town.roads:
        assert 3.5 <= road.width_m <= 12.0
        assert road.line.is_valid
        assert town.carriageway.buffer(0.01).contains(road.line)


@pytest.mark.parametrize("seed", range(3))
def test_shares_of_the_ground_are_those_of_a_small_town(seed: int) -> None:
    town = village(seed)
    frame = town.setting.frame
    built = sum(building.outline.intersection(frame).area for building in town.buildings) / frame.area
    paved = town.carriageway.intersection(frame).area / frame.area
    assert 0.08 <= built <= 0.25
    assert 0.06 <= paved <= 0.15


def test_every_third_of_the_default_town_holds_everything() -> None:
    town = plan_town((1200.0, 800.0), 0)
    kinds = {"terrace": 40, "house": 60, "industrial": 1, "shed": 20}
    places = {kind: np.array([b.outline.centroid.x for b in town.buildings if b.kind == kind]) for kind in kinds}
    fields = [s for s in town.surfaces if s.material in ("wheat", "maize", "pasture", "stubble", "soil", "soil_red")]
    for left in (0.0, 400.0, 800.0):
        for kind, least in kinds.items():
            assert np.count_nonzero((places[kind] >= left) & (places[kind] < left + 400)) >= least, kind
        third = shapely.box(left, 0, left + 400, 800)
        assert sum(field.shape.intersection(third).area for field in fields) > 15_000
    assert {building.kind for building in town.buildings} >= {"church", "apartments", "barn"}
    assert {road.highway for road in town.roads} >= {"secondary", "tertiary", "residential", "unclassified"}
    assert any(road.line.crosses(town.water) for road in town.roads)


def test_the_same_seed_gives_the_same_town_and_another_seed_another() -> None:
    first, again, other = plan_town((150.0, 120.0), 3), plan_town((150.0, 120.0), 3), plan_town((150.0, 120.0), 4)
    assert [b.outline.wkb for b in first.buildings] == [b.outline.wkb for b in again.buildings]
    assert [s.shape.wkb for s in first.surfaces] == [s.shape.wkb for s in again.surfaces]
    assert first.trees == again.trees
    assert first.cars == again.cars
    assert first.carriageway.wkb != other.carriageway.wkb


@given(st.integers(0, 30), st.floats(64, 130), st.floats(64, 130))
@settings(deadline=None, max_examples=5)
def test_even_the_smallest_towns_hold_streets_and_where_there_is_room_houses(
    seed: int, width: float, height: float
) -> None:
    town = plan_town((width, height), seed)
    frame = town.setting.frame
    houses = any(building.outline.intersects(frame) for building in town.buildings)
    assert houses or min(width, height) < 90  # of 800 towns of 64 to 80 m, two lie in a field
    assert 0.05 < town.carriageway.intersection(frame).area / frame.area < 0.45


def test_a_large_town_has_several_rows_of_centres() -> None:
    setting = draw_setting((800.0, 1600.0), Dice.of(0, 1))
    assert len(setting.centres) == 4
    assert len(setting.mains) == 2


@pytest.mark.parametrize("size", [(63.9, 100.0), (100.0, 0.0), (float("nan"), 100.0), (float("inf"), 100.0)])
def test_a_town_of_no_size_is_refused(size: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="sides of 64 m or more"):
        plan_town(size)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="Seed -1"):
        plan_town((100.0, 100.0), -1)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_waves_have_mean_square_one(seed: int) -> None:
    waves = Waves.draw(np.random.default_rng(seed), (50.0, 100.0))
    points = np.random.default_rng(1).uniform(0, 20_000, (20_000, 2))
    assert np.mean(waves.at(points) ** 2) == pytest.approx(1.0, abs=0.15)


@given(st.floats(-100, 100), st.floats(-100, 100), st.floats(-4, 4), st.floats(-50, 50), st.floats(-50, 50))
@settings(deadline=None, max_examples=40)
def test_frames_are_rigid(x: float, y: float, angle: float, u: float, v: float) -> None:
    frame = Frame(x, y, angle)
    assert np.hypot(*np.subtract(frame.at(u, v), (x, y))) == pytest.approx(np.hypot(u, v), abs=1e-9)
    assert frame.rect(0, 3, 0, 2).area == pytest.approx(6.0)
    assert frame.rect(0, 3, 0, 2).exterior.is_ccw
    assert_array_equal(frame.moved(u, v).at(0, 0), frame.at(u, v))


def test_smooth_lines_keep_their_ends_and_are_even() -> None:
    line = shapely.get_coordinates(smooth_line(np.array([[0.0, 0.0], [50.0, 80.0], [100.0, 0.0]]), 5.0))
    assert line[[0, -1]] == pytest.approx(np.array([[0, 0], [100, 0]]))
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    assert steps.min() > 4.5
    assert steps.max() < 5.5


def test_fronts_look_into_the_block_and_skip_corners() -> None:
    block = site(shapely.box(0, 0, 40, 30), shapely.box(0, 0, 40, 30).exterior)
    for run in range(0, 140, 7):
        front = block.front(run, 6.0)
        (x0, y0), (x1, y1) = block.at(run), block.at(run + 6.0)
        if front is None:
            assert min(abs(x1 - x0), abs(y1 - y0)) > 1.0  # round a corner
        else:
            assert shapely.box(-1, -1, 41, 31).contains(front.rect(-3, 3, 0, 4))


def test_fronts_lie_on_streets() -> None:
    block = site(shapely.box(0, 0, 40, 30), shapely.box(0, -5, 40, 0))
    for run in range(0, 134, 3):
        on_street = block.at(run)[1] == block.at(run + 6)[1] == 0.0
        assert (block.front(run, 6.0) is not None) == on_street


@given(SEEDS)
@settings(deadline=None, max_examples=6)
def test_no_trunk_stands_in_a_building_or_on_a_road(seed: int) -> None:
    town = hamlet(seed)
    trunks = shapely.points([(tree.x, tree.y) for tree in town.trees])
    taken = [building.outline for building in town.buildings] + [town.carriageway]
    assert STRtree(taken).query(trunks, predicate="within").size == 0


def site(ground: Polygon, streets: BaseGeometry | None = None) -> Site:
    dice, nothing = Dice.of(0, 1), Polygon()
    town = Town(draw_setting((100.0, 100.0), dice), (), nothing, nothing, LineString())
    return Site(ground, nothing if streets is None else streets, town, dice)


@given(st.integers(0, 1000), st.integers(1, 12))
@settings(deadline=None, max_examples=30)
def test_lots_share_the_ground_by_nearness(seed: int, count: int) -> None:
    ground = shapely.box(0, 0, 60, 40)
    points = np.random.default_rng(seed).uniform((1, 1), (59, 39), (count, 2))
    lots = site(ground).lots([Point(place) for place in points], 100.0)
    assert sum(lot.area for lot in lots) == pytest.approx(ground.area, rel=1e-4)
    probes = np.random.default_rng(2).uniform((0, 0), (60, 40), (200, 2))
    nearest = np.linalg.norm(probes[:, None] - points[None], axis=2).argmin(axis=1)
    for probe, place in zip(probes, nearest, strict=True):
        assert lots[place].distance(Point(probe)) < 0.01


def test_a_site_knows_what_is_free() -> None:
    ground = site(shapely.box(0, 0, 60, 40))
    ground.taken.append(shapely.box(10, 10, 20, 20))
    assert ground.is_free(shapely.box(21, 10, 25, 20))
    assert not ground.is_free(shapely.box(21, 10, 25, 20), 2.0)
    assert not ground.is_free(shapely.box(15, 15, 25, 25))
    assert not ground.is_free(shapely.box(50, 30, 61, 35))
    assert list(ground.scatter(Polygon(), 5)) == []


@given(st.integers(0, 500))
@settings(deadline=None, max_examples=20)
def test_cutting_leaves_what_the_others_do_not_cover(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = MultiPoint(rng.uniform(0, 30, (8, 2))).convex_hull
    others = [Frame(*rng.uniform(0, 30, 2), 0.4).rect(-5, 5, -3, 3).buffer(1.5) for _ in range(3)]
    rest = cut(shape, others)
    expected = shape.difference(shapely.union_all(others))
    assert rest.symmetric_difference(expected).area < 0.1
