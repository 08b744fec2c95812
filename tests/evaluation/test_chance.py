"""What a random map reaches at boundaries, against random maps that are drawn."""

from __future__ import annotations

import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning
from crispmap.evaluation.boundary import CROSS, half_widths_px, within
from crispmap.evaluation.chance import _disk_px, above_chance
from crispmap.evaluation.compare import MapComparison, boundary_rule, evaluate_arrays
from crispmap.evaluation.evaluation import CHANCE_TELLS_LITTLE, Evaluation, chance_note, warn_of_chance
from crispmap.evaluation.readers import ArrayLabels
from crispmap.geo.grid import Block
from crispmap.types import IGNORE

SCHEMA = ClassSchema((ClassDef("a", "#aaaaaa"), ClassDef("b", "#bb0000"), ClassDef("c", "#00cc00")))


def houses(side_px: int, gap_px: int, shape: tuple[int, int] = (96, 96)) -> np.ndarray:
    """Squares of two classes in turn on a background."""
    labels = np.zeros(shape, np.uint8)
    step = side_px + gap_px
    for row in range(gap_px, shape[0] - side_px, step):
        for col in range(gap_px, shape[1] - side_px, step):
            labels[row : row + side_px, col : col + side_px] = 1 + (row + col) // step % 2
    return labels


def drawn(shares: list[float], shape: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).choice(3, shape, p=shares).astype(np.uint8)


def evaluated(predicted: np.ndarray, reference: np.ndarray, gsd_m=(1.0, 1.0), widths_m=(1.0, 3.0)) -> Evaluation:
    return evaluate_arrays(predicted, reference, gsd_m, SCHEMA, widths_m=widths_m)


@given(
    st.sampled_from([(0.8, 0.15, 0.05), (0.34, 0.33, 0.33), (0.02, 0.08, 0.9)]),
    st.tuples(st.integers(3, 20), st.integers(2, 12)),
    st.sampled_from([(1.0, 1.0), (0.5, 0.7)]),
    st.integers(0, 1000),
)
@settings(deadline=None, max_examples=15)
def test_a_random_map_reaches_what_is_said_of_it(shares, ground, gsd_m, seed):
    shape = (160, 160)
    reference = houses(*ground, shape)
    one = evaluated(drawn(shares, shape, seed), reference, gsd_m)
    other = evaluated(drawn(shares, shape, seed + 1), reference, gsd_m)
    reached = (one.boundary.f1 + other.boundary.f1) / 2
    # Rare classes have few boundary pixels, and outlines at the edge of the grid see less of the map.
    np.testing.assert_allclose(one.chance_f1, reached, atol=0.06)
    assert np.abs(above_chance(one.boundary_f1, one.boundary_chance)[one.boundary_chance < 0.9]).max(initial=0) < 0.25


@given(st.floats(0.1, 25.0), st.tuples(st.floats(0.3, 3.0), st.floats(0.3, 3.0)))
@settings(max_examples=60)
def test_the_pixels_of_a_disk_and_around_it_are_those_of_one_drawn(distance, steps):
    reach = half_widths_px(distance, steps)
    side = max(len(reach), reach[0] + 1) + 1
    one = np.zeros((2 * side + 1, 2 * side + 1), np.bool_)
    one[side, side] = True
    disk = within(one, reach)
    assert _disk_px(reach) == (disk.sum(), within(disk, CROSS).sum())


def test_wide_boundaries_on_fine_pixels_take_little_memory():
    found = evaluated(houses(9, 6, (32, 32)), houses(9, 6, (32, 32)), (0.05, 0.05), (75.0,))
    tracemalloc.start()
    assert found.chance_f1.shape == (1, 3)
    assert tracemalloc.get_traced_memory()[1] < 1e6  # a disk of 3,000 pixels across, drawn, took 36 MB
    tracemalloc.stop()


def test_the_closed_form_is_the_mean_over_many_draws():
    reference, shares = houses(8, 6), (0.7, 0.25, 0.05)
    found = [evaluated(drawn(shares, reference.shape, seed), reference) for seed in range(40)]
    mean = np.mean([one.boundary.f1 for one in found], axis=0)
    expected = np.mean([one.chance_f1 for one in found], axis=0)
    np.testing.assert_allclose(mean, expected, atol=0.012)


@given(st.integers(5, 60), st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_any_tiling_gives_the_same_figure(block_px, seed):
    reference = houses(5, 4)
    reference[20:40, 50:60] = IGNORE
    predicted = drawn((0.6, 0.2, 0.2), reference.shape, seed)
    rule = boundary_rule(SCHEMA, (1.0, 1.0))
    whole = Block(0, 0, *reference.shape)
    comparison = MapComparison(ArrayLabels(predicted), ArrayLabels(reference), whole, SCHEMA, rule)
    np.testing.assert_array_equal(comparison.run(block_px).chance_f1, comparison.run().chance_f1)


def test_pixels_that_are_not_scored_count_for_nothing():
    reference = houses(8, 8)
    predicted = drawn((0.6, 0.2, 0.2), reference.shape, 3)
    framed = [np.pad(one, 30, constant_values=fill) for one, fill in ((predicted, 1), (reference, IGNORE))]
    np.testing.assert_array_equal(evaluated(*framed).chance_f1, evaluated(predicted, reference).chance_f1)


def test_a_perfect_map_is_wholly_above_chance_and_a_class_in_neither_map_has_no_figure():
    reference = np.where(houses(20, 20) > 0, np.uint8(1), np.uint8(0))
    one = evaluated(reference, reference)
    assert one.boundary_above_chance.tolist() == [1.0, 1.0]
    assert np.isnan(one.chance_f1[:, 2]).all()
    assert (one.boundary_chance < one.boundary_f1).all()


def test_a_map_of_one_class_reaches_nothing_by_chance():
    reference = houses(8, 8)
    assert evaluated(np.zeros_like(reference), reference).chance_f1.tolist() == [[0, 0, 0], [0, 0, 0]]


def test_figures_survive_as_plain_values():
    one = evaluated(drawn((0.6, 0.2, 0.2), (96, 96), 1), houses(8, 8))
    entries = one.to_dict()
    assert entries["boundary"][1]["chance_f1"] == one.boundary_chance[1]
    assert entries["boundary"][1]["f1_above_chance"] == one.boundary_above_chance[1]
    assert entries["classes"]["b"]["boundary"][0]["chance_f1"] == one.chance_f1[0, 1]
    np.testing.assert_array_equal(Evaluation.from_dict(entries).chance_f1, one.chance_f1)


def test_dense_ground_is_warned_of_and_open_ground_is_not():
    dense, open_ground = houses(3, 2), houses(24, 24)
    found = {"map": evaluated(drawn((0.4, 0.3, 0.3), dense.shape, 5), dense)}
    assert found["map"].boundary_chance[1] > CHANCE_TELLS_LITTLE > found["map"].boundary_chance[0]
    note = chance_note(found)
    assert "at 3 m" in note
    assert "at 1 m" not in note
    with pytest.warns(CrispmapWarning, match="random map"):
        warn_of_chance(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_chance({"map": evaluated(open_ground, open_ground)})
