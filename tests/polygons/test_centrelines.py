"""Centrelines: length and width of roads drawn by hand and of a generated town, no spurs."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import LineString, affinity

from crispmap.polygons.centrelines import centrelines
from crispmap.polygons.polygons import polygons_of
from crispmap.polygons.regions import RegionTracer
from crispmap.synth.town import plan_town
from crispmap.synth.truth import ROAD, true_classes
from crispmap.synth.write import town_grid

GSD = 0.5


def drawn(area: shapely.Geometry, side_m: float = 100.0) -> list[shapely.Polygon]:
    """Return the outlines of the pixels, 0.5 m wide, whose centres an area holds."""
    centres = np.arange(0, side_m, GSD) + GSD / 2
    cols, rows = np.meshgrid(centres, centres)
    shapely.prepare(area)
    values = np.where(shapely.contains_xy(area, cols, rows), 1, np.iinfo(np.int32).min).astype(np.int32)
    return traced(values)


def traced(values: np.ndarray) -> list[shapely.Polygon]:
    tracer = RegionTracer(values.shape[1])
    batches = [tracer.push(values), tracer.finish()]
    return [one for batch in batches for one in polygons_of(batch.rings, Affine(GSD, 0, 0, 0, GSD, 0))]


@settings(deadline=None, max_examples=20)
@given(width=st.floats(4, 14), turn=st.floats(0, 180))
def test_a_straight_road_is_one_line_of_its_length_and_width(width: float, turn: float) -> None:
    line = affinity.rotate(LineString([(15, 50), (85, 50)]), turn, origin=(50, 50))
    (area,) = drawn(line.buffer(width / 2, cap_style="flat"))
    (found,) = centrelines(area, GSD, 0.6)
    assert found.line.length == pytest.approx(70, abs=1.5)
    assert found.width == pytest.approx(width, abs=0.6)
    assert found.line.hausdorff_distance(line) < 1.2
    assert len(found.line.coords) <= 6


def test_streets_that_cross_are_joined_at_one_place() -> None:
    cross = shapely.MultiLineString([[(10, 50), (90, 50)], [(50, 10), (50, 90)]])
    (area,) = drawn(cross.buffer(3, cap_style="flat"))
    found = centrelines(area, GSD, 0.6)
    assert len(found) == 4
    ends = [one.line.boundary.geoms for one in found]
    middle = [min(pair, key=lambda end: end.distance(shapely.Point(50, 50))) for pair in ends]
    assert len({(round(end.x, 6), round(end.y, 6)) for end in middle}) == 1
    assert sum(one.line.length for one in found) == pytest.approx(160, abs=3)


def test_what_sticks_out_less_than_the_width_is_no_road() -> None:
    street = LineString([(10, 50), (90, 50)]).buffer(4, cap_style="flat")
    bays = shapely.union_all([shapely.box(x, 54, x + 5, 59) for x in (20, 45, 70)])
    (area,) = drawn(street.union(bays))
    assert len(centrelines(area, GSD, 0.6)) == 1
    side = shapely.box(30, 54, 36, 90)
    (area,) = drawn(street.union(side))
    assert len(centrelines(area, GSD, 0.6)) == 3


def test_a_roundabout_is_a_ring() -> None:
    (area,) = drawn(shapely.Point(50, 50).buffer(40).difference(shapely.Point(50, 50).buffer(32)))
    (found,) = centrelines(area, GSD, 0.6)
    assert found.line.is_ring
    assert found.line.length == pytest.approx(2 * np.pi * 36, rel=0.03)


@pytest.mark.parametrize(
    "area", [shapely.box(0, 0, 0.5, 0.5), shapely.box(0, 0, 1, 0.5), shapely.Point(9, 9).buffer(9)]
)
def test_what_is_no_longer_than_wide_has_no_line(area: shapely.Polygon) -> None:
    assert centrelines(area, GSD, 0.6) == []


def test_streets_of_a_town_have_their_length() -> None:
    grid = town_grid((500, 600))
    town = plan_town((300.0, 250.0), 3)
    values = true_classes(town, grid).astype(np.int32)
    values[values != ROAD] = np.iinfo(np.int32).min
    found = [one for area in traced(values) for one in centrelines(area, GSD, 0.6)]
    truth = shapely.length(shapely.intersection([road.line for road in town.roads], town.setting.frame)).sum()
    assert sum(one.line.length for one in found) == pytest.approx(truth, rel=0.05)


@pytest.mark.parametrize("width_px", [1, 2, 3])
def test_roads_of_few_pixels_are_not_smoothed_away(width_px: int) -> None:
    values = np.full((40, 120), np.iinfo(np.int32).min, np.int32)
    values[20 : 20 + width_px, 10:110] = 1
    (area,) = traced(values)
    (found,) = centrelines(area, GSD, 0.6)
    assert found.line.length == pytest.approx(50, abs=0.6)
    assert found.width == pytest.approx(width_px * GSD, abs=0.1)
