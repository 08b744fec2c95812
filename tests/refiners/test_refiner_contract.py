"""What every refiner promises, checked on each of them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import ModelError
from crispmap.models.base import Refiner, crop
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model, save_model
from crispmap.models.registry import architectures
from crispmap.models.scaling import Scaling
from crispmap.refiners.bayes.refiner import BayesRefiner
from crispmap.refiners.crf.refiner import CrfRefiner
from crispmap.refiners.general.network import PLANES, GeneralRefiner
from crispmap.refiners.hand_written import HandWrittenRefiner
from crispmap.refiners.pde.refiner import AnisotropicRefiner, EdgeStoppedRefiner, GeodesicRefiner, HeatRefiner
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from crispmap.refiners.wide.refiner import WideRefiner

COLOURS = ("#ffffff", "#d7191c", "#fdae61")
LEARNED = {
    f"{variant}, {features}": (variant, features)
    for variant in ("class-specific", "class-agnostic", "untied")
    for features in ("image", "derivatives")
}
BY_HAND: dict[str, HandWrittenRefiner] = {
    "bayes": BayesRefiner(3, 4, iterations=2, smoothness=2.0, window_px=5, biases=(0.5, 0.0, -1.0)),
    "crf": CrfRefiner(
        3, 4, iterations=3, theta_alpha_px=1.5, theta_beta=2.0, theta_gamma_px=1.0, biases=(0.5, 0.0, -1.0)
    ),
    "heat": HeatRefiner(3, 4, iterations=3, substeps=2, dt=0.2, biases=(0.5, 0.0, -1.0)),
    "edge-stopped": EdgeStoppedRefiner(3, 4, iterations=3, substeps=2, kappa=0.7, sigma_px=0.8),
    "anisotropic": AnisotropicRefiner(3, 4, iterations=2, substeps=3, dt=0.25, kappa=0.7, sigma_px=0.5),
    "geodesic": GeodesicRefiner(3, 4, iterations=3, substeps=1, kappa=0.7, sigma_px=1.2, biases=(0.5, 0.0, -1.0)),
}


@pytest.fixture(params=[*LEARNED, "wide", "general", *BY_HAND])
def refiner(request: pytest.FixtureRequest) -> Refiner:
    if request.param == "wide":
        torch.manual_seed(0)
        return WideRefiner(3, 4, iterations=2, width=6, hidden=5, dilations=(1, 3)).double().eval()
    if request.param == "general":
        return general()
    return BY_HAND[request.param] if request.param in BY_HAND else learned(request.param)


@pytest.fixture(params=list(LEARNED))
def recurrent(request: pytest.FixtureRequest) -> RecurrentRefiner:
    return learned(request.param)


def general() -> GeneralRefiner:
    torch.manual_seed(0)
    planes = torch.randn(PLANES, 5).tolist()
    forms = [(one + one.T).tolist() for one in 0.1 * torch.randn(3, 2 * PLANES + 1, 2 * PLANES + 1)]
    made = GeneralRefiner(3, 4, planes=planes, forms=forms, widths=(5, 6, 7), dilations=(1, 2))
    torch.nn.init.normal_(made.change.weight)
    return made.double().eval()


def learned(name: str) -> RecurrentRefiner:
    torch.manual_seed(0)
    variant, features = LEARNED[name]
    return RecurrentRefiner(3, 4, iterations=3, variant=variant, features=features, filters=8, hidden=6).double().eval()


def inputs(refiner: Refiner, height: int, width: int, batch: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (height + 2 * refiner.margin_px, width + 2 * refiner.margin_px)
    scores = torch.randn(batch, refiner.classes, *shape, generator=generator, dtype=torch.float64)
    return scores, torch.randn(batch, refiner.bands, *shape, generator=generator, dtype=torch.float64)


def refined(refiner: Refiner, scores: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return refiner(scores, image)


@pytest.mark.parametrize("shape", [(1, 1), (7, 20), (16, 16)])
def test_every_step_covers_the_same_extent(refiner: Refiner, shape: tuple[int, int]) -> None:
    scores, image = inputs(refiner, *shape, batch=3)
    steps = refiner.all_iterations(scores, image)
    assert len(steps) == refiner.iterations + 1
    assert all(step.shape == (3, refiner.classes, *shape) for step in steps)
    assert torch.equal(steps[0], crop(scores, refiner.margin_px))
    assert torch.equal(steps[-1], refiner(scores, image))


def test_any_window_gives_the_scores_of_the_whole(refiner: Refiner) -> None:
    scores, image = inputs(refiner, 15 + 5 * refiner.stride_px, 21 + 3 * refiner.stride_px)
    whole = refined(refiner, scores, image)
    row, col = 5 * refiner.stride_px, 3 * refiner.stride_px
    window = (..., slice(row, row + 9 + 2 * refiner.margin_px), slice(col, col + 11 + 2 * refiner.margin_px))
    part = refined(refiner, scores[window], image[window])
    difference = (part - whole[..., row : row + 9, col : col + 11]).abs().max()
    assert (difference <= 1e-12) == (refiner.radius_px is not None)  # None says that it cannot be cut


@pytest.mark.parametrize("touched_input", [0, 1], ids=["scores", "image"])
def test_the_declared_radius_is_true(refiner: Refiner, touched_input: int) -> None:
    radius = refiner.margin_px + 1 if refiner.radius_px is None else refiner.radius_px
    size = 2 * radius + 5
    plain_inputs = inputs(refiner, size, size)
    plain = refined(refiner, *plain_inputs)
    touched = [one.clone() for one in plain_inputs]
    middle = size // 2
    # Each class by another amount: the same for all would leave the softmax as it is, but for rounding.
    amounts = 100.0 * torch.arange(1, touched[touched_input].shape[1] + 1)
    touched[touched_input][..., middle + refiner.margin_px, middle + refiner.margin_px] += amounts
    changed = (refined(refiner, *touched) != plain).any(dim=1)[0].nonzero()
    if touched_input == 1 and isinstance(refiner, BayesRefiner | HeatRefiner):
        assert not len(changed)  # these do not look at the image
        return
    assert len(changed)
    assert ((changed - middle).abs().max() <= radius) == (refiner.radius_px is not None)


def test_every_refiner_of_the_registry_is_held_to_this() -> None:
    kept = {one.architecture for one in BY_HAND.values()} | {"rnn", "wide", "general"}
    assert kept == set(architectures("refiner"))


def test_the_radius_is_reached_through_the_scores() -> None:
    torch.manual_seed(0)
    refiner = RecurrentRefiner(2, 1, iterations=4).double()
    scores, image = inputs(refiner, 21, 21)
    touched = scores.clone()
    touched[..., 10 + refiner.margin_px, 10 + refiner.margin_px] += 1e3
    changed = (refined(refiner, touched, image) != refined(refiner, scores, image)).any(dim=1)[0].nonzero()
    assert (changed - 10).abs().max() == refiner.radius_px == 8


def test_a_zero_update_is_the_identity(recurrent: RecurrentRefiner) -> None:
    with torch.no_grad():
        recurrent.output_weight.zero_()
        recurrent.output_bias.zero_()
    scores, image = inputs(recurrent, 6, 6)
    for step in recurrent.all_iterations(scores, image):
        assert torch.equal(step, crop(scores, recurrent.margin_px))


def test_the_folded_form_is_the_papers_form(recurrent: RecurrentRefiner) -> None:
    scores, image = inputs(recurrent, 12, 12, batch=3)
    for ours, papers in zip(
        recurrent.all_iterations(scores, image), recurrent.all_iterations_as_in_paper(scores, image), strict=True
    ):
        torch.testing.assert_close(ours, papers, rtol=1e-10, atol=1e-10)


def test_the_folded_form_is_the_papers_form_to_1e_5_in_float32(recurrent: RecurrentRefiner) -> None:
    recurrent.float()
    scores, image = (one.float() for one in inputs(recurrent, 24, 24))
    ours, papers = refined(recurrent, scores, image), recurrent.all_iterations_as_in_paper(scores, image)[-1]
    assert (ours - papers).abs().max() <= 1e-5 * max(1.0, papers.abs().max().item())


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_gradients_of_the_folded_form_are_those_of_the_papers_form(recurrent: RecurrentRefiner, batch: int) -> None:
    scores, image = inputs(recurrent, 6, 8, batch=batch)
    scores.requires_grad_()
    image.requires_grad_()
    wanted = [scores, image, *recurrent.parameters()]

    def gradients(steps: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        loss = steps[-1].square().sum() + steps[1].sin().sum()  # an intermediate step too: deep supervision
        return torch.autograd.grad(loss, wanted)

    ours = gradients(recurrent.all_iterations(scores, image))
    papers = gradients(recurrent.all_iterations_as_in_paper(scores, image))
    for one, other in zip(ours, papers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_a_loss_on_an_early_step_alone_has_gradients_too(recurrent: RecurrentRefiner) -> None:
    scores, image = inputs(recurrent, 4, 4)
    weights = [p for name, p in recurrent.named_parameters() if "bias" not in name]
    ours = torch.autograd.grad(recurrent.all_iterations(scores, image)[1].square().sum(), weights, allow_unused=True)
    papers = torch.autograd.grad(
        recurrent.all_iterations_as_in_paper(scores, image)[1].square().sum(), weights, allow_unused=True
    )
    for one, other in zip(ours, papers, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_the_arguments_build_the_same_architecture(refiner: Refiner) -> None:
    again = architectures()[refiner.architecture].build(**refiner.arguments)
    assert {n: p.shape for n, p in again.state_dict().items()} == {n: p.shape for n, p in refiner.state_dict().items()}


def test_a_model_file_gives_the_same_refiner(refiner: Refiner, tmp_path: Path) -> None:
    refiner.float()
    classes = ClassSchema(tuple(ClassDef(name, colour) for name, colour in zip("abc", COLOURS, strict=True)))
    card = ModelCard(
        kind="refiner", architecture=refiner.architecture, arguments=refiner.arguments, schema=classes,
        band_names=tuple("rgbn"), scaling=Scaling((0.0,) * 4, (1.0,) * 4), gsd_m=0.5,
        radius_px=refiner.radius_px, stride_px=refiner.stride_px,
    )  # fmt: skip
    loaded = load_model(save_model(tmp_path / "refiner.safetensors", refiner, card), kind="refiner")
    again, card_again = loaded.network, loaded.card
    assert card_again == card
    assert (again.margin_px, again.radius_px, again.iterations) == (
        refiner.margin_px,
        refiner.radius_px,
        refiner.iterations,
    )
    scores, image = (one.float() for one in inputs(refiner, 5, 6))
    assert torch.equal(refined(again, scores, image), refined(refiner, scores, image))


@pytest.mark.parametrize("name", list(BY_HAND))
def test_refiners_by_hand_treat_all_classes_alike(name: str) -> None:
    refiner = BY_HAND[name].but(biases=None)
    scores, image = inputs(refiner, 10, 10)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(refined(refiner, scores[:, order], image), refined(refiner, scores, image)[:, order])


@pytest.mark.parametrize("name", list(BY_HAND))
def test_biases_are_added_to_the_scores_before_the_first_step(name: str) -> None:
    biases = torch.tensor([1.0, -0.5, 0.25])
    refiner, plain = BY_HAND[name].but(biases=biases.tolist()), BY_HAND[name].but(biases=None)
    scores, image = inputs(refiner, 8, 9)
    first, *later = refiner.all_iterations(scores, image)
    _, *expected = plain.all_iterations(scores + biases[:, None, None], image)
    assert torch.equal(first, crop(scores, refiner.margin_px))
    for ours, other in zip(later, expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-12)


BAD = {"classes": 1, "bands": 0, "iterations": 0, "biases": (0.0, math.nan, 0.0)}


@pytest.mark.parametrize("name", list(BY_HAND))
@pytest.mark.parametrize("change", [*BAD.items(), ("biases", (1.0, 2.0)), ("iterations", 1.5)])
def test_bad_arguments_of_refiners_by_hand_are_refused(name: str, change: tuple[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{change[0]} is .*expected"):
        BY_HAND[name].but(**dict([change]))


def test_a_card_with_bad_arguments_is_no_model(tmp_path: Path) -> None:
    refiner = BY_HAND["heat"]
    classes = ClassSchema(tuple(ClassDef(name, colour) for name, colour in zip("abc", COLOURS, strict=True)))
    card = ModelCard(
        kind="refiner", architecture="heat", arguments={**refiner.arguments, "dt": 0.3}, schema=classes,
        band_names=tuple("rgbn"), scaling=Scaling((0.0,) * 4, (1.0,) * 4), gsd_m=0.5, radius_px=6,
        stride_px=1,
    )  # fmt: skip
    path = save_model(tmp_path / "refiner.safetensors", refiner, card)
    with pytest.raises(ModelError, match=r"dt is 0\.3"):
        load_model(path)


def test_the_class_agnostic_refiner_commutes_with_a_permutation_of_classes() -> None:
    refiner = RecurrentRefiner(4, 2, iterations=2, variant="class-agnostic").double()
    scores, image = inputs(refiner, 10, 10)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(refined(refiner, scores[:, order], image), refined(refiner, scores, image)[:, order])


def test_the_class_specific_refiner_does_not() -> None:
    refiner = RecurrentRefiner(3, 2, iterations=1).double()
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


@pytest.mark.parametrize(("arguments", "message"), [({"variant": "loose"}, "loose"), ({"iterations": 0}, "0")])
def test_bad_arguments_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RecurrentRefiner(3, 3, **arguments)
