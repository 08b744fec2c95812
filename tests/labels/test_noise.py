"""Label noise: of amount 0 the identity, else of the amount asked for."""

from __future__ import annotations

import math
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod

from crispmap.errors import InputError
from crispmap.labels.noise import LabelNoise, SmoothField, move, simulate_noise

UTM = CRS.from_epsg(32631)


def town(crs: object = UTM, size_m: float = 1000.0, houses: int = 60, streets: int = 6) -> gpd.GeoDataFrame:
    rng = np.random.default_rng(5)
    x, y = rng.uniform(0, size_m, (2, houses)) + np.array([[500_000], [5_400_000]])
    shapes = [shapely.box(a, b, a + 12, b + 8) for a, b in zip(x, y, strict=True)]
    for step in np.linspace(0, size_m, streets):
        points = np.arange(0, size_m + 1, 50.0)
        shapes.append(shapely.LineString(np.column_stack([500_000 + points, np.full_like(points, 5_400_000 + step)])))
    ids = [1] * houses + [2] * streets
    widths = [math.nan] * houses + [9.0] * streets
    frame = gpd.GeoDataFrame({"class_id": ids, "width_m": widths}, geometry=shapes, crs=UTM)
    return frame if crs == UTM else frame.to_crs(crs)


def ground_shift(before: gpd.GeoDataFrame, after: gpd.GeoDataFrame) -> np.ndarray:
    """East and north metres between the centroids, by geodesics."""
    points = [shapely.get_coordinates(frame.to_crs(4326).geometry.centroid.to_numpy()) for frame in (before, after)]
    azimuth, _, length = Geod(ellps="WGS84").inv(*points[0].T, *points[1].T)
    return np.column_stack([length * np.sin(np.radians(azimuth)), length * np.cos(np.radians(azimuth))])


pytestmark = pytest.mark.filterwarnings("ignore:Geometry is in a geographic CRS")


# --- identity ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crs", [UTM, 4326, 3857])
@given(seed=st.integers(0, 9), smooth=st.floats(1, 1e4))
@settings(max_examples=10, deadline=None)
def test_noise_of_amount_0_is_identity(crs: object, seed: int, smooth: float) -> None:
    frame = town(crs)
    for noise in (LabelNoise(smooth_m=smooth), LabelNoise(omission={}, smooth_m=smooth)):
        same = simulate_noise(frame, noise, seed=seed)
        assert shapely.equals_identical(same.geometry.to_numpy(), frame.geometry.to_numpy()).all()
        assert same.drop(columns="geometry").equals(frame.drop(columns="geometry"))


def test_no_features_stay_none() -> None:
    assert simulate_noise(town().iloc[:0], LabelNoise(shift_m=3)).empty


# --- displacement ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("crs", [UTM, 4326, 3857])
def test_an_offset_is_metres_east_and_north_on_the_ground(crs: object) -> None:
    frame = town(crs)
    shift = ground_shift(frame, move(frame, 4.0, -3.0))
    np.testing.assert_allclose(shift, [[4.0, -3.0]] * len(frame), atol=5e-3)


def test_without_crs_the_units_count_as_metres() -> None:
    frame = town().set_crs(None, allow_override=True)
    moved = move(frame, 4.0, -3.0)
    np.testing.assert_allclose(
        shapely.get_coordinates(moved.geometry) - shapely.get_coordinates(frame.geometry),
        np.tile([4.0, -3.0], (426, 1)),
        atol=1e-8,
    )


@given(shift=st.floats(0.5, 20), smooth=st.floats(20, 500), seed=st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_the_field_has_the_size_asked_for(shift: float, smooth: float, seed: int) -> None:
    frame = town(streets=0)
    moved = simulate_noise(frame, LabelNoise(shift_m=shift, smooth_m=smooth), seed=seed)
    size = np.sqrt((ground_shift(frame, moved) ** 2).sum(axis=1).mean())
    assert size == pytest.approx(shift, rel=1e-3)


def test_polygons_move_rigidly_and_lines_bend() -> None:
    frame = town()
    moved = simulate_noise(frame, LabelNoise(shift_m=8, smooth_m=60))
    for before, after in zip(frame.geometry, moved.geometry, strict=True):
        step = shapely.get_coordinates(after) - shapely.get_coordinates(before)
        if before.geom_type == "Polygon":
            np.testing.assert_allclose(step, np.broadcast_to(step[:1], step.shape), atol=5e-3)
            assert after.area == pytest.approx(before.area, rel=1e-3)
        else:
            assert np.ptp(step, axis=0).max() > 1


def test_lines_that_meet_go_on_meeting() -> None:
    meeting = [shapely.LineString([(0, 0), (50, 0)]), shapely.LineString([(50, 0), (50, 90)])]
    frame = gpd.GeoDataFrame({"class_id": [2, 2], "width_m": [7.0, 7.0]}, geometry=meeting)
    first, second = simulate_noise(frame, LabelNoise(shift_m=5, smooth_m=20)).geometry
    assert first.coords[-1] == second.coords[0]


def test_jitter_has_its_size_and_moves_whole_objects() -> None:
    frame = town(houses=400)
    moved = simulate_noise(frame, LabelNoise(jitter_m=2.0))
    shift = ground_shift(frame, moved)
    assert np.sqrt((shift**2).sum(axis=1).mean()) == pytest.approx(2.0, rel=1e-3)
    line = shapely.get_coordinates(moved.geometry.iloc[-1]) - shapely.get_coordinates(frame.geometry.iloc[-1])
    np.testing.assert_allclose(line, np.broadcast_to(line[:1], line.shape), atol=5e-3)


def test_the_field_is_smooth_and_gaussian() -> None:
    draws = np.stack([
        SmoothField(10.0, 1, np.random.default_rng(seed)).at(np.array([[0.0, 0], [0, 10], [20, 0], [200, 0]]))[:, 0]
        for seed in range(3000)
    ])  # fmt: skip
    covariance = draws.T @ draws / len(draws)
    expected = np.exp(-(np.array([0, 10, 20, 200]) ** 2) / 200)
    np.testing.assert_allclose(covariance[0], expected, atol=0.08)
    assert abs(draws.mean()) < 0.05


def test_many_points_are_as_few_at_a_time() -> None:
    field = SmoothField(30.0, 2, np.random.default_rng(1))
    points = np.random.default_rng(2).uniform(0, 100, (20_000, 2))
    np.testing.assert_allclose(field.at(points)[9000:9010], field.at(points[9000:9010]), atol=1e-9)


# --- omission ----------------------------------------------------------------------------------------------------


@given(share=st.floats(0.01, 1), cluster=st.sampled_from([0.0, 80.0]), seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_share_left_out_is_exact(share: float, cluster: float, seed: int) -> None:
    frame = town()
    left = simulate_noise(frame, LabelNoise(omission=share, omission_cluster_m=cluster), seed=seed)
    assert (left["class_id"] == 1).sum() == 60 - round(share * 60)
    assert (left["class_id"] == 2).sum() == 6 - round(share * 6)
    assert set(left.geometry.to_wkt()) <= set(frame.geometry.to_wkt())
    assert left.index.tolist() == list(range(len(left)))


def test_omission_by_class() -> None:
    left = simulate_noise(town(), LabelNoise(omission={1: 0.5}))
    assert left["class_id"].value_counts().to_dict() == {1: 30, 2: 6}


def test_clusters_leave_out_neighbours() -> None:
    frame = town(houses=600, streets=0)
    numbered = frame.assign(number=range(len(frame)))

    def neighbours_share_fate(cluster: float) -> float:
        left = simulate_noise(numbered, LabelNoise(omission=0.5, omission_cluster_m=cluster), seed=3)
        kept = np.isin(np.arange(len(frame)), left["number"])
        centres = shapely.get_coordinates(frame.geometry.centroid.to_numpy())
        near = np.hypot(*(centres[:, None] - centres[None]).transpose(2, 0, 1)) + np.eye(len(frame)) * 1e9
        return float((kept == kept[near.argmin(axis=1)]).mean())

    assert neighbours_share_fate(200.0) > 0.85
    assert neighbours_share_fate(0.0) < 0.65


# --- outlines and widths -----------------------------------------------------------------------------------------


def test_rows_of_buildings_become_one() -> None:
    row = [shapely.box(x, 0, x + 9, 8) for x in (0, 10, 20)] + [shapely.box(60, 0, 70, 8), shapely.box(0, 8.5, 9, 20)]
    street = shapely.LineString([(0, -10), (35, -10.2), (70, -10)])
    frame = gpd.GeoDataFrame(
        {"class_id": [1, 1, 1, 1, 3, 2], "width_m": [math.nan] * 5 + [6.0], "name": list("abcdef")},
        geometry=[*row, street],
    )
    drawn = simulate_noise(frame, LabelNoise(generalise_m=2.0))
    assert drawn["class_id"].tolist() == [1, 1, 3, 2]
    assert sorted(drawn.geometry.area.round(1)) == [0, 80, 103.5, 232]
    assert drawn["width_m"].iloc[-1] == 6.0
    assert drawn["name"].tolist()[1:] == ["d", "e", "f"]
    assert shapely.get_num_coordinates(drawn.geometry.iloc[-1]) == 2
    assert drawn.geometry.is_valid.all()


def test_lines_alone_are_simplified() -> None:
    drawn = simulate_noise(town(houses=0), LabelNoise(generalise_m=5.0))
    assert (shapely.get_num_coordinates(drawn.geometry.to_numpy()) == 2).all()


def test_widths_of_lines_become_one() -> None:
    found = simulate_noise(town(), LabelNoise(road_width_m=7.0))
    assert (found["width_m"][found["class_id"] == 2] == 7.0).all()
    assert found["width_m"][found["class_id"] == 1].isna().all()


# --- repeatability and bad input ---------------------------------------------------------------------------------


def test_a_seed_gives_one_result_and_kinds_do_not_disturb_each_other() -> None:
    frame = town()
    full = LabelNoise(shift_m=3, jitter_m=1, omission=0.3, generalise_m=1, offset_m=(1, 1), road_width_m=7)
    first, again, other = (simulate_noise(frame, full, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.geometry.to_wkt().equals(other.geometry.to_wkt())
    left = simulate_noise(frame.assign(n=range(len(frame))), LabelNoise(omission=0.3), seed=1)
    both = simulate_noise(frame.assign(n=range(len(frame))), LabelNoise(omission=0.3, shift_m=3), seed=1)
    assert left["n"].tolist() == both["n"].tolist()


@pytest.mark.parametrize(
    "wrong",
    [
        {"shift_m": -1},
        {"shift_m": math.nan},
        {"jitter_m": math.inf},
        {"smooth_m": 0},
        {"omission": 1.1},
        {"omission": {1: -0.1}},
        {"omission_cluster_m": -5},
        {"generalise_m": -5},
        {"road_width_m": 0},
        {"offset_m": (math.nan, 0)},
    ],
)
def test_impossible_amounts_are_errors(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        LabelNoise(**wrong)
