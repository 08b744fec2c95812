"""What the refiner of a wider view adds to what every refiner promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.inference.engines import EngineChoice, open_engine
from crispmap.models.base import crop
from crispmap.refiners.wide.refiner import WideRefiner


def made(classes: int = 3, bands: int = 2, seed: int = 0, **arguments: object) -> WideRefiner:
    torch.manual_seed(seed)
    small = {"iterations": 2, "width": 4, "hidden": 5, "dilations": (1, 2), **arguments}
    refiner = WideRefiner(classes, bands, **small).double().eval()
    with torch.no_grad():
        for one in refiner.parameters():
            one.add_(0.1 * torch.randn_like(one))
    return refiner


def inputs(refiner: WideRefiner, side: int = 5, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    length = side + 2 * refiner.margin_px
    scores = 4 * torch.randn(2, refiner.classes, length, length, generator=generator, dtype=torch.float64)
    return scores, torch.randn(2, refiner.bands, length, length, generator=generator, dtype=torch.float64)


@given(st.integers(1, 3), st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(2, 4), st.integers(0, 2**16))
@settings(deadline=None, max_examples=15)
def test_the_radius_is_the_sum_of_what_layers_and_steps_reach(steps, dilations, classes, seed):
    refiner = made(classes, iterations=steps, dilations=dilations, seed=seed)
    assert refiner.margin_px == refiner.radius_px == 1 + sum(dilations) + 2 * (steps - 1)
    scores, image = inputs(refiner, 1, seed)
    found = refiner(scores, image)
    assert found.shape == (2, classes, 1, 1)
    assert torch.isfinite(found).all()


def test_the_first_row_read_is_seen_in_scores_and_in_image():
    refiner = made(dilations=(1, 2), iterations=2, width=16, hidden=16)
    for touched in (0, 1):
        both = list(inputs(refiner, 1))
        before = refiner(*both)
        both[touched] = both[touched].clone()
        both[touched][:, 0, 0] += 50
        assert not torch.equal(refiner(*both), before)


def test_scores_plus_a_number_at_every_pixel_are_refined_plus_that_number():
    refiner = made()
    scores, image = inputs(refiner)
    shift = torch.randn(2, 1, *scores.shape[-2:], dtype=torch.float64)
    expected = refiner(scores, image) + crop(shift, refiner.margin_px)
    torch.testing.assert_close(refiner(scores + shift, image), expected)


def test_a_closed_gate_is_the_identity_whatever_the_change():
    refiner = made()
    with torch.no_grad():
        refiner.update.weight[refiner.classes :] = 0
        refiner.update.bias[refiner.classes :] = -1e4
    scores, image = inputs(refiner)
    for step in refiner.all_iterations(scores, image):
        assert torch.equal(step, crop(scores, refiner.margin_px))


def test_every_class_sees_the_scores_of_the_others():
    refiner = made()
    scores, image = inputs(refiner)
    touched = scores.clone()
    touched[:, 2] += 3
    changed = refiner(touched, image) - refiner(scores, image)
    assert (changed[:, :2].abs().amax((0, 2, 3)) > 0).all()


def test_scores_out_of_the_question_do_not_blind_it():
    refiner = made()
    scores, image = inputs(refiner)
    certain, more_certain = scores.clone(), scores.clone()
    certain[:, 0] += 1e3
    more_certain[:, 0] += 1e6
    difference = refiner(more_certain, image) - refiner(certain, image)
    torch.testing.assert_close(difference[:, 1:], torch.zeros_like(difference[:, 1:]), rtol=0, atol=1e-9)


def test_it_starts_near_the_identity():
    torch.manual_seed(0)
    refiner = WideRefiner(3, 4).eval()
    scores, image = plain_inputs(refiner)
    with torch.no_grad():
        change = refiner(scores, image) - crop(scores, refiner.margin_px)
    assert 0 < change.abs().mean() < 1


def plain_inputs(refiner: WideRefiner) -> tuple[torch.Tensor, torch.Tensor]:
    side = 8 + 2 * refiner.margin_px
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(1, refiner.classes, side, side, generator=generator)
    return scores, torch.randn(1, refiner.bands, side, side, generator=generator)


@pytest.mark.parametrize("name", ["torch", "openvino", "onnxruntime"])
def test_the_form_for_inference_gives_the_same_scores_in_every_engine(name):
    torch.manual_seed(0)
    refiner = WideRefiner(3, 4, iterations=2, width=8, hidden=8, dilations=(1, 4)).eval()
    scores, image = plain_inputs(refiner)
    with torch.no_grad():
        expected = refiner(scores, image).numpy()
    example = scores.numpy(), image.numpy()
    (found,) = open_engine(refiner.for_inference(), example, EngineChoice(name)).run(*example)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)


BAD = {
    "classes": [1, 2.5], "bands": [0], "iterations": [0, 1.5], "width": [0], "hidden": [-1],
    "dilations": [(), (0,), (1.5,)],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_arguments_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is .*expected"):
        WideRefiner(**{"classes": 2, "bands": 1, name: value})
