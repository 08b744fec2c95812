"""The recurrence for CPUs against the plain loop that GPUs run."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.refiners.rnn.recurrence import Folded, recur, recur_plainly


def random_case(
    batch: int, classes: int, maps: int, steps: int, units: int
) -> tuple[torch.Tensor, torch.Tensor, Folded]:
    generator = torch.Generator().manual_seed(batch + 10 * classes + 100 * maps)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).mul_(0.3).requires_grad_()

    side = 4 * steps + 3
    weights = Folded(
        draw(classes * units, 1, 5, 5),
        draw(classes * units, maps, 5, 5),
        draw(classes * units),
        draw(classes, units),
        draw(classes),
    )
    return draw(batch, classes, side, side + 2), draw(batch, maps, side, side + 2), weights


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5))
def test_both_forms_give_the_same_scores_and_gradients(
    batch: int, classes: int, maps: int, steps: int, units: int
) -> None:
    scores, image, weights = random_case(batch, classes, maps, steps, units)
    found = []
    for form in (recur, recur_plainly):
        results = form(scores, image, weights, steps)
        loss = sum((k + 1) * one.square().sum() for k, one in enumerate(results))
        found.append((results, torch.autograd.grad(loss, [scores, image, *weights])))
    for one, other in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(one, other)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other)


def test_the_gradient_is_that_of_finite_differences() -> None:
    scores, image, weights = random_case(3, 2, 1, 2, 3)
    assert torch.autograd.gradcheck(
        lambda *values: tuple(recur(values[0], values[1], Folded(*values[2:]), 2)), (scores, image, *weights)
    )


@pytest.mark.parametrize("needed", ["scores", "image", "weights"])
def test_only_the_gradients_that_are_needed_are_given(needed: str) -> None:
    scores, image, weights = random_case(2, 2, 2, 2, 3)
    if needed != "scores":
        scores = scores.detach()
    if needed != "image":
        image = image.detach()
    if needed != "weights":
        weights = Folded(*(one.detach() for one in weights))
    recur(scores, image, weights, 2)[-1].sum().backward()
    assert (scores.grad is not None) == (needed == "scores")
    assert (image.grad is not None) == (needed == "image")
    assert all((one.grad is not None) == (needed == "weights") for one in weights)
