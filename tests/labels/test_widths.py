"""Widths read from the text people write."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.labels.widths import MAX_WIDTH_M, parse_lanes, parse_width_m, width_from_tags


@pytest.mark.parametrize(
    ("text", "metres"),
    [
        ("7", 7.0),
        ("7 m", 7.0),
        ("7m", 7.0),
        ("7 M.", 7.0),
        ("7 metres", 7.0),
        ("5.5", 5.5),
        ("5,5", 5.5),
        (".5", 0.5),
        ("~7", 7.0),
        ("~ 7", 7.0),
        ("2;3", 2.5),
        ("6-8", 7.0),
        ("6 m - 8 m", 7.0),
        ("20'", 6.096),
        ("20 ft", 6.096),
        ("12'6\"", 3.81),
        ("12 ft 6 in", 3.81),
        ("650 cm", 6.5),
        ("0.01 km", 10.0),
        ("10 yd", 9.144),
        (7, 7.0),
        (7.5, 7.5),
        ("500", MAX_WIDTH_M),
    ],
)
def test_widths_people_write(text: object, metres: float) -> None:
    assert parse_width_m(text) == pytest.approx(metres)


NOT_WIDTHS = ["", " ", ";", "wide", "7 parsecs", "m", "-7", "0", "1e9", "501", "5 5", "12'6", "nan", "inf", "7;wide"]


@pytest.mark.parametrize("text", [*NOT_WIDTHS, None, True, math.nan, math.inf, [7]])
def test_what_is_no_width(text: object) -> None:
    assert math.isnan(parse_width_m(text))


@given(st.floats(0.1, 500))
@settings(max_examples=50, deadline=None)
def test_a_number_is_read_as_written(value: float) -> None:
    text = f"{value:.3f}"
    assert parse_width_m(text) == parse_width_m(f"{text} m") == pytest.approx(float(text))
    assert parse_width_m(f"{float(text) * 100:.6f} cm") == pytest.approx(float(text), abs=1e-6)


@given(st.text(max_size=12))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_the_parser(text: str) -> None:
    for parse in (parse_width_m, parse_lanes):
        value = parse(text)
        assert math.isnan(value) or 0 < value <= MAX_WIDTH_M


@pytest.mark.parametrize(("text", "lanes"), [("2", 2), ("2;3", 2.5), ("1.5", 1.5), (4, 4), (2.0, 2)])
def test_lanes(text: object, lanes: float) -> None:
    assert parse_lanes(text) == lanes


@pytest.mark.parametrize("text", ["0", "-1", "25", "two", "2 m", "", None])
def test_what_is_no_number_of_lanes(text: object) -> None:
    assert math.isnan(parse_lanes(text))


def test_the_better_key_wins() -> None:
    assert width_from_tags({"width": "8", "est_width": "9", "lanes": "2"}) == 8
    assert width_from_tags({"width": "?", "est_width": "9", "lanes": "2"}) == 9
    assert width_from_tags({"lanes": "2"}) == 7
    assert width_from_tags({"lane_number": "3"}) == 10.5
    assert math.isnan(width_from_tags({"highway": "primary"}))
