"""Reduced precision is taken where it is exact enough, and no more is computed than tells."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import InputError, ModelError
from crispmap.inference.precision import LEAST_PIXELS, KeptVerdicts, PrecisionTrial, choose_precision

SIDE = 200
VALID = np.ones((SIDE, SIDE), np.bool_)


class Sample:
    """A sample whose scores in each precision are given, the same in every part."""

    def __init__(self, scores, valid=VALID, parts=1):
        self.scores, self.valid, self.parts = scores, valid, parts
        self.computed = []

    def open_at(self, precision):
        if precision not in self.scores:
            raise InputError(f"no {precision} here")

        def compute(part):
            self.computed.append((precision, part))
            scores = self.scores[precision]
            if scores is None:
                raise ModelError("not finite")
            return [(scores, self.valid)]

        return compute

    def choose(self, *candidates):
        return choose_precision(
            candidates or ("float16", "bfloat16"), self.open_at, parts=self.parts, sample_px=SIDE**2 * self.parts
        )


def scores(changed=0, shift=0.0):
    """Scores of two classes, of which the first wins everywhere but on the first ``changed`` pixels."""
    values = np.zeros((2, SIDE, SIDE), np.float32)
    values[0] = 1.0
    values[1].ravel()[:changed] = 1.5
    return values + np.float32(shift)


def test_the_first_that_is_exact_enough_is_taken_and_no_further_one_tried():
    sample = Sample({"float32": scores(), "bfloat16": scores(3, 0.25), "float16": scores(0, 0.125)})
    choice = sample.choose("bfloat16", "float16")
    assert choice.precision == "bfloat16"
    (trial,) = choice.trials
    assert (trial.pixels, trial.changed, trial.largest_difference) == (SIDE**2, 3 / SIDE**2, 1.75)
    assert choice.tag.startswith("bfloat16; bfloat16 changes 0.75 labels in 10,000 (40,000 pixels tried), scores by")
    assert sample.computed == [("float32", 0), ("bfloat16", 0)]


@pytest.mark.parametrize(("changed", "taken"), [(3, "bfloat16"), (4, "float32")])  # 1 in 10,000 is not fewer
def test_what_changes_too_much_is_left(changed, taken):
    choice = Sample({"float32": scores(), "bfloat16": scores(changed)}).choose()
    assert (choice.precision, choice.settled) == (taken, True)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(0, 40))
def test_a_trial_ends_where_the_limit_of_the_whole_sample_is_passed(parts, changed):
    sample = Sample({"float32": scores(), "bfloat16": scores(changed)}, parts=parts)
    choice = sample.choose("bfloat16")
    assert choice.precision == ("float32" if changed >= 4 else "bfloat16")
    needed = next((part for part in range(1, parts) if changed * part >= 4 * parts), parts)
    assert sample.computed == [(name, part) for part in range(needed) for name in ("float32", "bfloat16")]
    assert choice.trials[0].pixels == needed * SIDE**2


def test_float32_is_computed_once_for_all_that_are_tried():
    sample = Sample({"float32": scores(), "float16": scores(40), "bfloat16": scores(1)}, parts=3)
    choice = sample.choose()
    assert (choice.precision, len(choice.trials)) == ("bfloat16", 2)
    assert [part for name, part in sample.computed if name == "float32"] == [0, 1, 2]


def test_a_small_sample_proves_nothing():
    few = VALID.copy()
    few.ravel()[LEAST_PIXELS - 1 :] = False
    exact = {"float32": scores(), "bfloat16": scores()}
    alone = Sample(exact, few).choose()
    assert (alone.precision, alone.settled) == ("float32", False)
    assert Sample(exact, few, parts=2).choose().precision == "bfloat16"  # parts count together
    assert not Sample(exact, np.zeros_like(VALID)).choose().settled
    assert not Sample(exact).choose("float16").settled  # not offered, so nothing is known


def test_invalid_pixels_are_not_compared():
    valid = VALID.copy()
    valid.ravel()[:50] = False
    (trial,) = Sample({"float32": scores(), "bfloat16": scores(50)}, valid).choose().trials
    assert (trial.pixels, trial.changed, trial.largest_difference) == (SIDE**2 - 50, 0.0, 0.0)


def test_precisions_not_offered_and_those_that_overflow_are_passed_over():
    choice = Sample({"float32": scores(), "float16": None}).choose()
    assert (choice.precision, choice.trials, choice.tag) == ("float32", (), "float32")
    choice = Sample({"float32": scores(), "float16": None, "bfloat16": scores()}).choose()
    assert choice.precision == "bfloat16"


def test_float32_that_fails_is_an_error():
    with pytest.raises(ModelError):
        Sample({"float32": None, "bfloat16": scores()}).choose()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(0, 1), st.floats(0, 1e3))
def test_acceptance_needs_both(pixels, changed, difference):
    trial = PrecisionTrial("bfloat16", pixels, changed, difference)
    assert trial.accepted == (pixels >= 30_000 and changed < 1e-4)
    assert trial.settled == (pixels >= 30_000 or changed >= 1e-4)
    assert f"{pixels:,} pixels" in trial.text


def test_verdicts_are_kept_by_what_they_depend_on():
    verdicts = KeptVerdicts()
    verdicts.put("a", "float32; ..")
    assert (verdicts.get("a"), verdicts.get("b")) == ("float32; ..", None)
