"""The table of methods over seeds: means, spreads and leads against NumPy's, and its sentence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crispmap.evaluation.intervals import Interval
from crispmap.report.tables.seeds import SeedRow, seed_tables, seed_verdict, spread

SHARES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


def row(name: str, *values: float, lead: Interval | None = None, ahead: tuple[float, ...] = ()) -> SeedRow:
    return SeedRow(name, values, tuple((value, value / 2) for value in values), (1.0, 3.0), ahead, lead)


@given(SHARES)
def test_the_table_holds_mean_spread_and_lowest(values: list[float]) -> None:
    (table,) = seed_tables([row("a <b>", *values)])
    cells = dict(zip((head.text for head in table.heads), (cell.text for cell in table.rows[0][1]), strict=True))
    assert cells["Seeds"] == str(len(values))
    assert cells["Mean IoU mean"] == f"{100 * np.mean(values):.2f}"
    assert cells["Mean IoU lowest"] == f"{100 * min(values):.2f}"
    assert cells["Boundary F1 3 m mean"] == f"{100 * np.mean([value / 2 for value in values]):.2f}"
    assert cells["Mean IoU ±"] == (f"{100 * np.std(values, ddof=1):.2f}" if len(values) > 1 else "")
    assert cells["ahead mean"] == ""


@given(SHARES)
def test_the_spread_is_that_of_a_sample(values: list[float]) -> None:
    assert math.isnan(spread(values)) if len(values) < 2 else spread(values) == pytest.approx(np.std(values, ddof=1))


def test_without_seeds_there_is_no_table_and_nothing_to_say() -> None:
    assert seed_tables([]) == []
    assert seed_verdict([], "a") == ""
    assert seed_verdict([row("a", math.nan)], "a") == ""


def test_the_sentence_names_what_the_spread_cannot_tell_from_the_best() -> None:
    lead = Interval(0.05, 0.01, 0.09)
    best = row("new", 0.6, 0.7, lead=lead, ahead=(0.04, 0.06))
    said = seed_verdict([row("own", 0.55, 0.64), best], "own")
    assert "new, mean IoU 65.00 ± 7.07 %; +5.00 points compared with own (+1.00 to +9.00)" in said
    assert said.endswith("with every seed above all others.")
    close = [best, row("own", 0.55, 0.64), *(row(name, 0.3, 0.71) for name in "abcd"), row("failed once", 0.1)]
    assert seed_verdict(close, "own").endswith("with some seeds no better than a, b, c and 2 more.")


def test_as_plain_values() -> None:
    told = row("a", 0.5, math.nan, lead=Interval(0.1, math.nan, math.nan), ahead=(0.1,)).to_dict()
    assert told["seeds"] == 2
    assert told["mean_iou"] == {"mean": None, "standard_deviation": None, "by_seed": [0.5, None]}
    assert told["boundary_f1"][1]["width_m"] == 3.0
    assert told["mean_iou_ahead"] == {
        "mean": 0.1, "standard_deviation": None, "by_seed": [0.1], "low": None, "high": None
    }  # fmt: skip
    assert row("a", 0.5).to_dict()["mean_iou_ahead"] is None
