"""The form for inference is the refiner, class by class, with its weights as they are."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.refiners.rnn.by_class import RecurrenceByClass
from crispmap.refiners.rnn.refiner import VARIANTS, RecurrentRefiner, Variant

FEATURES = ("image", "derivatives")


def made(variant: Variant, features: str, *, classes: int = 3, bands: int = 4, iterations: int = 5) -> RecurrentRefiner:
    torch.manual_seed(classes + 10 * bands + 100 * iterations)
    refiner = RecurrentRefiner(classes, bands, iterations=iterations, variant=variant, features=features)
    with torch.no_grad():  # biases start at 0, where a wrong one would not be seen
        refiner.hidden_bias.uniform_(-0.5, 0.5)
        refiner.output_bias.uniform_(-0.5, 0.5)
        refiner.output_weight.mul_(0.3)
    return refiner


def inputs(refiner: RecurrentRefiner, shape: tuple[int, int], batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    height, width = (side + 2 * refiner.margin_px for side in shape)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(batch, refiner.classes, height, width, generator=generator)
    return scores, torch.randn(batch, refiner.bands, height, width, generator=generator)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(VARIANTS), st.sampled_from(FEATURES), st.integers(2, 4), st.integers(1, 4), st.integers(1, 5),
    st.integers(1, 20), st.integers(1, 20), st.integers(1, 2),
)  # fmt: skip
def test_the_form_for_inference_is_the_papers(variant, features, classes, bands, steps, height, width, batch):
    refiner = made(variant, features, classes=classes, bands=bands, iterations=steps)
    scores, image = inputs(refiner, (height, width), batch)
    with torch.no_grad():
        expected = refiner.all_iterations_as_in_paper(scores, image)[-1]
        refined = refiner.for_inference()(scores, image)
    assert refined.shape == (batch, classes, height, width)
    assert (refined - expected).abs().max() <= 1e-5 * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_in_double_precision_it_is_the_refiner_to_the_last_digits(variant: Variant, features: str) -> None:
    refiner = made(variant, features).double()
    scores, image = (values.double() for values in inputs(refiner, (9, 14)))
    with torch.no_grad():
        refined = refiner.for_inference()(scores, image)
        torch.testing.assert_close(refined, refiner.all_iterations(scores, image)[-1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_its_weights_are_constants_of_the_refiner_as_it_was(variant: Variant) -> None:
    refiner = made(variant, "derivatives")
    form = refiner.for_inference()
    assert isinstance(form, RecurrenceByClass)
    assert list(form.parameters()) == []
    scores, image = inputs(refiner, (6, 7))
    before = form(scores, image)
    assert not before.requires_grad
    with torch.no_grad():
        for weight in refiner.parameters():
            weight.add_(1.0)
        refiner.features.kernel.zero_()
    assert torch.equal(form(scores, image), before)


def test_refiners_without_a_form_of_their_own_are_it_themselves() -> None:
    from crispmap.refiners.pde.refiner import HeatRefiner

    refiner = HeatRefiner(2, 1)
    assert refiner.for_inference() is refiner
