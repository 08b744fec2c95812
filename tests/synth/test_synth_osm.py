"""The imprecise map is as imprecise as it says, no more; without imprecision it is the truth."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import STRtree

from crispmap.synth.chance import Dice
from crispmap.synth.features import Town
from crispmap.synth.osm import Drift, MappingErrors, map_town
from crispmap.synth.town import plan_town

EXACT = MappingErrors((0.0, 0.0), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@cache
def town() -> Town:
    return plan_town((420.0, 360.0), 2)


def displacements(shapes: list[shapely.Polygon], like: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Return true centres and shifts, (n, 2) each, of mapped shapes whose house is the only one like them nearby."""
    outlines = np.array([building.outline for building in town().buildings if building.kind == "house"])
    centres = shapely.get_coordinates(shapely.centroid(outlines))
    found = []
    for shape in shapes:
        gaps = np.array(shape.centroid.coords[0]) - centres
        near = np.flatnonzero(np.hypot(*gaps.T) < 9.0)
        if len(near) == 1 and abs(np.log(outlines[near[0]].area / shape.area)) < like:
            found.append((centres[near[0]], gaps[near[0]]))
    places, shifts = np.array(found).transpose(1, 0, 2)
    return places, shifts


def test_a_precise_map_is_the_truth() -> None:
    layers = map_town(town(), 0, EXACT)
    near = town().setting.frame.buffer(15)
    true = [b.outline for b in town().buildings if b.outline.intersects(near)]
    mapped = list(layers.buildings.geometry)
    assert len(mapped) == len(true)
    assert shapely.union_all(mapped).symmetric_difference(shapely.union_all(true)).area < 1e-3 * len(true)
    lines = shapely.union_all([road.line for road in town().roads if road.line.intersects(near)])
    roads = layers.roads[layers.roads["highway"] != "footway"]
    assert shapely.hausdorff_distance(shapely.union_all(list(roads.geometry)), lines) < 1e-6


@given(st.integers(0, 200), st.floats(0.5, 6.0))
@settings(deadline=None, max_examples=20)
def test_the_drift_has_the_stated_size(seed: int, rms: float) -> None:
    drift = Drift.draw(MappingErrors(drift_m=rms), Dice.of(seed, 0))
    assert 1.0 <= np.hypot(*drift.offset_m) <= 2.0
    places = np.random.default_rng(0).uniform(0, 30_000, (8000, 2))
    shifts = drift.at(places)
    varying = shifts - drift.offset_m
    assert np.sqrt((varying**2).sum(axis=1).mean()) == pytest.approx(rms, rel=0.12)
    apart = drift.at(places + np.array([1.0, 0.0])) - shifts
    assert np.hypot(*apart.T).max() < 0.12 * rms


def test_houses_are_displaced_by_the_drift_alone_without_jitter() -> None:
    layers = map_town(town(), 1, MappingErrors(offset_m=(1.2, -0.9), jitter_m=0.0, simplified=0.0))
    places, shifts = displacements(list(layers.buildings.geometry))
    assert len(places) > 20
    assert np.abs(shifts - layers.drift.at(places)).max() < 1e-6


def test_default_displacement_is_near_three_metres_and_jitter_as_stated() -> None:
    lengths, own = [], []
    for seed in range(6):
        layers = map_town(town(), seed, MappingErrors(simplified=0.0))
        places, shifts = displacements(list(layers.buildings.geometry), 0.15)
        lengths.append(np.hypot(*shifts.T))
        own.append(shifts - layers.drift.at(places))
    assert 2.2 < np.sqrt((np.concatenate(lengths) ** 2).mean()) < 4.2
    assert np.concatenate(own).std() == pytest.approx(0.4, abs=0.12)


def test_buildings_are_missing_in_clusters_and_sheds_nearly_all() -> None:
    base = MappingErrors(**{**EXACT.__dict__, "omitted": 0.12, "sheds_omitted": 0.85})
    layers = map_town(town(), 3, base)
    near = town().setting.frame.buffer(15)
    seen = [b for b in town().buildings if b.outline.intersects(near)]
    mapped = STRtree([shape.buffer(-0.3) for shape in layers.buildings.geometry])
    missing = [b for b in seen if len(mapped.query(b.outline, predicate="intersects")) == 0]
    sheds = sum(b.kind == "shed" for b in seen)
    assert sum(b.kind == "shed" for b in missing) > 0.65 * sheds
    large = [b for b in missing if b.kind != "shed"]
    assert 0.08 < len(large) / (len(seen) - sheds) < 0.16
    kept = [b for b in seen if b.kind != "shed" and b not in large]
    gaps = [min(b.outline.distance(o.outline) for o in large if o is not b) for b in large]
    others = [min(b.outline.distance(o.outline) for o in large) for b in kept]
    assert np.median(gaps) < 0.5 * np.median(others)


def test_ghosts_stand_where_nothing_is() -> None:
    base = MappingErrors(**{**EXACT.__dict__, "gone": 0.2})
    layers = map_town(town(), 3, base)
    exact = map_town(town(), 3, EXACT)
    ghosts = layers.buildings.geometry.iloc[len(exact.buildings) :]
    assert len(ghosts) > 10
    real = shapely.union_all([b.outline for b in town().buildings] + [town().carriageway])
    assert max(ghost.intersection(real).area for ghost in ghosts) < 1e-6


def test_rows_become_one_outline_of_about_their_area() -> None:
    base = MappingErrors(**{**EXACT.__dict__, "merged": 1.0})
    merged, exact = map_town(town(), 0, base).buildings, map_town(town(), 0, EXACT).buildings
    assert len(merged) < 0.9 * len(exact)
    assert merged.area.sum() == pytest.approx(exact.area.sum(), rel=0.08)


def test_small_streets_are_forgotten_and_large_ones_never() -> None:
    base = MappingErrors(**{**EXACT.__dict__, "roads_omitted": 1.0})
    few, all_roads = map_town(town(), 0, base).roads, map_town(town(), 0, EXACT).roads
    assert len(few) < len(all_roads)
    for value in ("secondary", "tertiary"):
        assert (few["highway"] == value).sum() == (all_roads["highway"] == value).sum()


def test_the_map_has_tags_and_no_widths_and_depends_on_the_seed() -> None:
    first, again, other = map_town(town(), 1), map_town(town(), 1), map_town(town(), 2)
    assert list(first.buildings.columns) == ["osm_id", "building", "geometry"]
    assert list(first.roads.columns) == ["osm_id", "highway", "geometry"]
    assert set(first.buildings["building"]) >= {"yes", "house"}
    assert "footway" in set(first.roads["highway"])
    assert first.buildings.geometry.is_valid.all()
    assert first.buildings.geometry.to_wkb().equals(again.buildings.geometry.to_wkb())
    assert not first.buildings.geometry.to_wkb().equals(other.buildings.geometry.to_wkb())
