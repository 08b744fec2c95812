"""The search: on functions whose best point is known."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.training.search import FACTORS, Point, Range, pattern_search

RANGES = {"a": Range(1.0, 0.01, 100.0), "b": Range(2.0, 0.1, 50.0)}
exponents = st.floats(-4, 4)


def hill(top: Point) -> object:
    def value(point: Point) -> float:
        return -sum(math.log(point[name] / best) ** 2 for name, best in top.items())

    return value


@settings(deadline=None, max_examples=40)
@given(a=st.floats(0.02, 50), b=st.floats(0.2, 25))
def test_a_hill_is_climbed_to_within_the_last_factor(a: float, b: float) -> None:
    found = pattern_search(RANGES, hill({"a": a, "b": b}), most=1000)
    assert found.complete
    assert max(found.best["a"] / a, a / found.best["a"]) <= FACTORS[-1]
    assert max(found.best["b"] / b, b / found.best["b"]) <= FACTORS[-1]


@settings(deadline=None, max_examples=40)
@given(a=st.floats(1e-3, 1e3), b=st.floats(1e-3, 1e3), most=st.integers(1, 30))
def test_what_is_found_is_the_best_of_what_was_tried_within_range(a: float, b: float, most: int) -> None:
    found = pattern_search(RANGES, hill({"a": a, "b": b}), most=most)
    assert 1 <= len(found.tried) <= most
    assert found.tried[0][0] == {"a": 1.0, "b": 2.0}
    assert found.value == max(value for _, value in found.tried)
    assert (found.best, found.value) in found.tried
    assert all(
        RANGES[name].low <= number <= RANGES[name].high for point, _ in found.tried for name, number in point.items()
    )
    points = [tuple(point.values()) for point, _ in found.tried]
    assert len(set(points)) == len(points)
    assert found == pattern_search(RANGES, hill({"a": a, "b": b}), most=most)


def test_a_best_point_beyond_the_range_ends_at_its_border() -> None:
    found = pattern_search(RANGES, hill({"a": 1e6, "b": 1e-6}), most=1000)
    assert found.best == {"a": 100.0, "b": 0.1}


def test_without_numbers_there_is_one_point() -> None:
    found = pattern_search({}, lambda point: 3.0, most=5)
    assert (found.best, found.value, found.tried, found.complete) == ({}, 3.0, (({}, 3.0),), True)


def test_a_value_that_is_no_number_never_wins() -> None:
    found = pattern_search(RANGES, lambda point: math.nan if point["a"] > 1 else -point["b"], most=100)
    assert found.best["a"] <= 1
    assert found.best["b"] == 0.1


def test_a_search_that_was_cut_short_says_so() -> None:
    assert not pattern_search(RANGES, hill({"a": 30.0, "b": 0.3}), most=4).complete
