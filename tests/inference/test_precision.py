"""Reduced precision is taken where it is exact enough and faster, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import InputError, ModelError
from crispmap.inference import precision as tried
from crispmap.inference.precision import LEAST_PIXELS, PrecisionTrial, choose_precision

SIDE = 200
VALID = np.ones((SIDE, SIDE), np.bool_)


class Sample:
    """A sample whose scores in each precision, and their time, are given."""

    def __init__(self, scores, seconds, valid=VALID, pieces=1):
        self.scores, self.seconds, self.valid, self.pieces = scores, seconds, valid, pieces
        self.clock = 0.0
        self.computed = []

    def open_at(self, precision):
        if precision not in self.scores:
            raise InputError(f"no {precision} here")

        def compute():
            self.computed.append(precision)
            self.clock += self.seconds[precision]
            scores = self.scores[precision]
            if scores is None:
                raise ModelError("not finite")
            return [(scores, self.valid)] * self.pieces

        return compute


@pytest.fixture
def choose(monkeypatch):
    def run(sample):
        monkeypatch.setattr(tried.time, "perf_counter", lambda: sample.clock)
        return choose_precision(sample.open_at)

    return run


def scores(changed=0, shift=0.0):
    """Scores of two classes, of which the first wins everywhere but on the first ``changed`` pixels."""
    values = np.zeros((2, SIDE, SIDE), np.float32)
    values[0] = 1.0
    values[1].ravel()[:changed] = 1.5
    return values + np.float32(shift)


def test_the_fastest_that_is_exact_enough_is_taken(choose):
    sample = Sample(
        {"float32": scores(), "bfloat16": scores(3, 0.25), "float16": scores(0, 0.125)},
        {"float32": 4.0, "bfloat16": 1.0, "float16": 2.0},
    )
    choice = choose(sample)
    assert choice.precision == "bfloat16"
    assert [trial.speed_ratio for trial in choice.trials] == [4.0, 2.0]
    assert [trial.changed for trial in choice.trials] == [3 / SIDE**2, 0.0]
    assert [trial.largest_difference for trial in choice.trials] == [1.75, 0.125]
    assert choice.tag.startswith("bfloat16; bfloat16 changes 0.75 labels in 10,000 (40,000 pixels tried), scores by")
    assert "fast" not in choice.tag


@pytest.mark.parametrize(
    ("changed", "seconds", "taken"),
    [
        (3, 1.0, "bfloat16"),
        (4, 1.0, "float32"),  # 1 in 10,000, not fewer
        (0, 4.0, "float32"),  # not faster
        (0, 5.0, "float32"),  # slower
        (0, 3.6, "float32"),  # hardly faster
        (0, 3.2, "bfloat16"),
    ],
)
def test_what_changes_too_much_or_gains_too_little_is_left(choose, changed, seconds, taken):
    sample = Sample({"float32": scores(), "bfloat16": scores(changed)}, {"float32": 4.0, "bfloat16": seconds})
    assert choose(sample).precision == taken


def test_a_small_sample_proves_nothing(choose):
    few = VALID.copy()
    few.ravel()[LEAST_PIXELS - 1 :] = False
    exact = {"float32": scores(), "bfloat16": scores()}
    times = {"float32": 4.0, "bfloat16": 1.0}
    assert choose(Sample(exact, times, few)).precision == "float32"
    assert choose(Sample(exact, times, few, pieces=2)).precision == "bfloat16"  # pieces count together
    assert choose(Sample(exact, times, np.zeros_like(VALID))).precision == "float32"


def test_invalid_pixels_are_not_compared(choose):
    valid = VALID.copy()
    valid.ravel()[:50] = False
    sample = Sample({"float32": scores(), "bfloat16": scores(50)}, {"float32": 4.0, "bfloat16": 1.0}, valid)
    (trial,) = choose(sample).trials
    assert (trial.pixels, trial.changed, trial.largest_difference) == (SIDE**2 - 50, 0.0, 0.0)


def test_precisions_not_offered_and_those_that_overflow_are_passed_over(choose):
    sample = Sample({"float32": scores(), "float16": None}, {"float32": 4.0, "float16": 1.0})
    choice = choose(sample)
    assert (choice.precision, choice.trials, choice.tag) == ("float32", (), "float32")


def test_float32_that_fails_is_an_error(choose):
    with pytest.raises(ModelError):
        choose(Sample({"float32": None, "bfloat16": scores()}, {"float32": 4.0, "bfloat16": 1.0}))


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1e3), st.floats(0, 1e3),
)  # fmt: skip
def test_acceptance_needs_all_three(pixels, changed, difference, ratio):
    trial = PrecisionTrial("bfloat16", pixels, changed, difference, ratio)
    assert trial.accepted == (pixels >= 30_000 and changed < 1e-4 and ratio >= 1.2)
    assert f"{pixels:,} pixels" in trial.text
