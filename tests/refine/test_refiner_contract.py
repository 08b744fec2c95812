"""What every refiner promises, checked on each of them."""

from __future__ import annotations

import pytest
import torch

from crispmap.models.store import ARCHITECTURES
from crispmap.refine.base import Refiner, crop
from crispmap.refine.rnn import RecurrentRefiner

REFINERS = {
    f"{variant}, {features}": (variant, features)
    for variant in ("class-specific", "class-agnostic", "untied")
    for features in ("image", "derivatives")
}


@pytest.fixture(params=list(REFINERS))
def refiner(request: pytest.FixtureRequest) -> Refiner:
    torch.manual_seed(0)
    variant, features = REFINERS[request.param]
    return RecurrentRefiner(3, 4, steps=3, variant=variant, features=features, filters=8, hidden=6).double().eval()


def inputs(refiner: Refiner, height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (height + 2 * refiner.margin_px, width + 2 * refiner.margin_px)
    scores = torch.randn(batch, refiner.classes, *shape, generator=generator, dtype=torch.float64)
    return scores, torch.randn(batch, refiner.bands, *shape, generator=generator, dtype=torch.float64)


def refined(refiner: Refiner, scores: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return refiner(scores, image)


@pytest.mark.parametrize("shape", [(1, 1), (7, 20), (16, 16)])
def test_every_step_covers_the_same_ground(refiner: Refiner, shape: tuple[int, int]) -> None:
    scores, image = inputs(refiner, *shape, batch=3)
    steps = refiner.all_steps(scores, image)
    assert len(steps) == refiner.steps + 1
    assert all(step.shape == (3, refiner.classes, *shape) for step in steps)
    assert torch.equal(steps[0], crop(scores, refiner.margin_px))
    assert torch.equal(steps[-1], refiner(scores, image))


def test_any_window_gives_the_scores_of_the_whole(refiner: Refiner) -> None:
    scores, image = inputs(refiner, 20, 24)
    whole = refined(refiner, scores, image)
    window = (..., slice(5, 5 + 9 + 2 * refiner.margin_px), slice(3, 3 + 11 + 2 * refiner.margin_px))
    part = refined(refiner, scores[window], image[window])
    torch.testing.assert_close(part, whole[..., 5:14, 3:14], rtol=0, atol=1e-12)


@pytest.mark.parametrize("touched_input", [0, 1], ids=["scores", "image"])
def test_the_declared_radius_is_true(refiner: Refiner, touched_input: int) -> None:
    size = 2 * refiner.radius_px + 5
    plain_inputs = inputs(refiner, size, size)
    plain = refined(refiner, *plain_inputs)
    touched = [one.clone() for one in plain_inputs]
    middle = size // 2
    touched[touched_input][..., middle + refiner.margin_px, middle + refiner.margin_px] += 100.0
    changed = (refined(refiner, *touched) != plain).any(dim=1)[0].nonzero()
    assert len(changed)
    assert (changed - middle).abs().max() <= refiner.radius_px


def test_the_radius_is_reached_through_the_scores() -> None:
    torch.manual_seed(0)
    refiner = RecurrentRefiner(2, 1, steps=4).double()
    scores, image = inputs(refiner, 21, 21)
    touched = scores.clone()
    touched[..., 10 + refiner.margin_px, 10 + refiner.margin_px] += 1e3
    changed = (refined(refiner, touched, image) != refined(refiner, scores, image)).any(dim=1)[0].nonzero()
    assert (changed - 10).abs().max() == refiner.radius_px == 8


def test_a_zero_update_is_the_identity(refiner: Refiner) -> None:
    with torch.no_grad():
        refiner.output_weight.zero_()
        refiner.output_bias.zero_()
    scores, image = inputs(refiner, 6, 6)
    for step in refiner.all_steps(scores, image):
        assert torch.equal(step, crop(scores, refiner.margin_px))


def test_the_folded_form_is_the_papers_form(refiner: Refiner) -> None:
    scores, image = inputs(refiner, 12, 12, batch=3)
    for ours, papers in zip(
        refiner.all_steps(scores, image), refiner.all_steps_as_in_paper(scores, image), strict=True
    ):
        torch.testing.assert_close(ours, papers, rtol=1e-10, atol=1e-10)


def test_the_folded_form_is_the_papers_form_to_1e_5_in_float32(refiner: Refiner) -> None:
    refiner.float()
    scores, image = (one.float() for one in inputs(refiner, 24, 24))
    ours, papers = refined(refiner, scores, image), refiner.all_steps_as_in_paper(scores, image)[-1]
    assert (ours - papers).abs().max() <= 1e-5 * max(1.0, papers.abs().max().item())


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_gradients_of_the_folded_form_are_those_of_the_papers_form(refiner: Refiner, batch: int) -> None:
    scores, image = inputs(refiner, 6, 8, batch=batch)
    scores.requires_grad_()
    image.requires_grad_()
    wanted = [scores, image, *refiner.parameters()]

    def gradients(steps: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        loss = steps[-1].square().sum() + steps[1].sin().sum()  # an intermediate step too: deep supervision
        return torch.autograd.grad(loss, wanted)

    ours = gradients(refiner.all_steps(scores, image))
    papers = gradients(refiner.all_steps_as_in_paper(scores, image))
    for one, other in zip(ours, papers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_a_loss_on_an_early_step_alone_has_gradients_too(refiner: Refiner) -> None:
    scores, image = inputs(refiner, 4, 4)
    weights = [p for name, p in refiner.named_parameters() if "bias" not in name]
    ours = torch.autograd.grad(refiner.all_steps(scores, image)[1].square().sum(), weights, allow_unused=True)
    papers = torch.autograd.grad(
        refiner.all_steps_as_in_paper(scores, image)[1].square().sum(), weights, allow_unused=True
    )
    for one, other in zip(ours, papers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_the_arguments_build_the_same_architecture(refiner: Refiner) -> None:
    again = ARCHITECTURES[refiner.architecture](**refiner.arguments)
    assert {n: p.shape for n, p in again.state_dict().items()} == {n: p.shape for n, p in refiner.state_dict().items()}


def test_the_class_agnostic_refiner_commutes_with_a_permutation_of_classes() -> None:
    refiner = RecurrentRefiner(4, 2, steps=2, variant="class-agnostic").double()
    scores, image = inputs(refiner, 10, 10)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(refined(refiner, scores[:, order], image), refined(refiner, scores, image)[:, order])


def test_the_class_specific_refiner_does_not() -> None:
    refiner = RecurrentRefiner(3, 2, steps=1).double()
    scores, image = inputs(refiner, 6, 6)
    order = torch.tensor([2, 0, 1])
    assert not torch.allclose(refined(refiner, scores[:, order], image), refined(refiner, scores, image)[:, order])


def test_the_papers_refiner_has_the_papers_size() -> None:
    refiner = RecurrentRefiner(3, 3)
    # 32 M of 5x5, 32 N of 5x5x3, and for each of 3 classes 64 -> 32 -> 1 with biases.
    assert sum(p.numel() for p in refiner.parameters()) == 32 * 25 + 32 * 75 + 3 * (64 * 32 + 32 + 32 + 1)
    assert refiner.radius_px == 10


def test_untied_steps_have_weights_of_their_own() -> None:
    tied, untied = RecurrentRefiner(3, 3), RecurrentRefiner(3, 3, variant="untied")
    assert sum(p.numel() for p in untied.parameters()) == 5 * sum(p.numel() for p in tied.parameters())


@pytest.mark.parametrize(("arguments", "message"), [({"variant": "loose"}, "loose"), ({"steps": 0}, "1 step")])
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecurrentRefiner(3, 3, **arguments)
