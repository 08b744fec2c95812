"""The hand-written equations: laws of each, and closed forms where there are some."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from crispmap.models.base import crop
from crispmap.refiners.pde.edges import edge_stopping, gradient_margin_px, structure_tensor
from crispmap.refiners.pde.refiner import (
    AnisotropicRefiner,
    EdgeStoppedRefiner,
    GeodesicRefiner,
    HeatRefiner,
    PdeRefiner,
)

PDES = {one.architecture: one for one in (HeatRefiner, EdgeStoppedRefiner, AnisotropicRefiner, GeodesicRefiner)}
DIFFUSIONS = ["heat", "edge-stopped", "anisotropic"]
EDGE_AWARE = ["edge-stopped", "anisotropic", "geodesic"]


def build(name: str, classes: int = 2, bands: int = 2, **arguments: Any) -> PdeRefiner:
    return PDES[name](classes, bands, **arguments)


def noise(seed: int, count: int, side: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(1, count, side, side)))


def pictures(refiner: PdeRefiner, side: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    full = side + 2 * refiner.margin_px
    return noise(seed, refiner.classes, full), noise(seed + 1, refiner.bands, full)


@pytest.mark.parametrize("name", list(PDES))
def test_an_argument_that_is_not_the_equations_is_refused(name: str) -> None:
    # Heat flow looks at no edge: a kappa it took and ignored would stand in its card as if it had been chosen.
    unknown = {"kappa": 0.2} if name == "heat" else {"viscosity": 0.2}
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        build(name, **unknown)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        build(name).but(**unknown)


@pytest.mark.parametrize("name", list(PDES))
def test_constant_scores_stay(name: str) -> None:
    refiner = build(name, iterations=2, substeps=3)
    _, image = pictures(refiner, 8)
    scores = torch.tensor([3.0, -1.0], dtype=torch.float64)[None, :, None, None].expand(1, 2, *image.shape[-2:])
    torch.testing.assert_close(refiner(scores, image), crop(scores, refiner.margin_px), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", DIFFUSIONS)
def test_a_diffusion_loses_and_makes_nothing(name: str) -> None:
    refiner = build(name, iterations=3, substeps=2)
    _, image = pictures(refiner, 40)
    scores = torch.zeros(1, 2, *image.shape[-2:], dtype=torch.float64)  # mass far from a border of zeros
    middle = image.shape[-1] // 2
    scores[..., middle - 5 : middle + 5, middle - 5 : middle + 5] = noise(7, 2, 10)
    refined = refiner(scores, image)
    torch.testing.assert_close(refined.sum((2, 3)), scores.sum((2, 3)))


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**31), name=st.sampled_from(["heat", "edge-stopped"]), dt=st.floats(0.01, 0.25),
    kappa=st.floats(0.01, 10),
)  # fmt: skip
def test_heat_and_edge_stopped_diffusion_keep_the_bounds(seed: int, name: str, dt: float, kappa: float) -> None:
    extra = {} if name == "heat" else {"kappa": kappa}
    refiner = build(name, iterations=4, substeps=2, dt=dt, **extra)
    scores, image = pictures(refiner, 6, seed)
    low, high = scores.amin((2, 3), keepdim=True), scores.amax((2, 3), keepdim=True)
    for step in refiner.all_iterations(scores, image):
        assert (step >= low - 1e-12).all()
        assert (step <= high + 1e-12).all()


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**31), kappa=st.floats(0.01, 10), sigma=st.floats(0.3, 1.5))
def test_anisotropic_diffusion_never_raises_the_sum_of_squares(seed: int, kappa: float, sigma: float) -> None:
    refiner = AnisotropicRefiner(2, 3, iterations=4, substeps=3, dt=0.25, kappa=kappa, sigma_px=sigma)
    image = noise(seed, 3, 20 + 2 * refiner.margin_px)
    scores = torch.zeros(1, 2, *image.shape[-2:], dtype=torch.float64)
    middle = image.shape[-1] // 2
    scores[..., middle - 4 : middle + 4, middle - 4 : middle + 4] = noise(seed + 1, 2, 8)
    energies = [step.square().sum().item() for step in refiner.all_iterations(scores, image)]
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(energies))


def test_heat_at_the_largest_time_step_is_stable_and_beyond_is_not() -> None:
    refiner = HeatRefiner(2, 1, iterations=1, substeps=100)
    rows, cols = np.mgrid[:220, :220]
    board = torch.from_numpy(np.where((rows + cols) % 2, 1.0, -1.0))[None, None].expand(1, 2, 220, 220)
    assert refiner(board, board[:, :1]).abs().max() <= 1
    refiner.dt = 0.26  # what the constructor refuses
    assert refiner(board, board[:, :1]).abs().max() > 100


@pytest.mark.parametrize("dt", [0.0, -0.1, 0.2501, math.nan, math.inf])
@pytest.mark.parametrize("name", list(PDES))
def test_an_unstable_time_step_is_refused(name: str, dt: float) -> None:
    with pytest.raises(ValueError, match=r"dt is .*at most 0\.25.*stable"):
        build(name, dt=dt)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"substeps": 0}, "substeps is 0"), ({"substeps": 2.5}, "substeps is 2.5"),
        ({"iterations": 11, "substeps": 100}, "at most 1000"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", list(PDES))
def test_bad_time_is_refused(name: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(name, **change)


@pytest.mark.parametrize("change", [{"kappa": 0.0}, {"kappa": math.inf}, {"sigma_px": 0.2}, {"sigma_px": 11.0}])
@pytest.mark.parametrize("name", EDGE_AWARE)
def test_bad_edges_are_refused(name: str, change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(change))} is .*expected"):
        build(name, **change)


@pytest.mark.parametrize("dt", [0.25, 0.1])
def test_heat_converges_to_the_closed_form(dt: float) -> None:
    time_px2 = 12.5
    refiner = HeatRefiner(2, 1, iterations=1, substeps=round(time_px2 / dt), dt=dt)
    side = 41 + 2 * refiner.margin_px
    place = np.arange(side) - side // 2
    variance = 16.0
    start = np.exp(-(place[:, None] ** 2 + place[None] ** 2) / (2 * variance))
    scores = torch.from_numpy(start)[None, None].repeat(1, 2, 1, 1)
    grown = variance + 2 * time_px2
    kept = place[refiner.margin_px : -refiner.margin_px]
    expected = variance / grown * np.exp(-(kept[:, None] ** 2 + kept[None] ** 2) / (2 * grown))
    assert np.abs(refiner(scores, scores[:, :1])[0, 0].numpy() - expected).max() < 0.005


def test_one_time_step_of_heat_is_the_five_point_stencil() -> None:
    refiner = HeatRefiner(2, 1, iterations=1, substeps=1, dt=0.2)
    scores = torch.zeros(1, 2, 5, 5, dtype=torch.float64)
    scores[..., 2, 2] = 1
    expected = torch.tensor([[0, 0.2, 0], [0.2, 0.2, 0.2], [0, 0.2, 0]], dtype=torch.float64)
    torch.testing.assert_close(refiner(scores, scores[:, :1])[0, 0], expected)


@pytest.mark.parametrize("name", ["edge-stopped", "anisotropic"])
def test_without_edges_diffusion_is_heat_flow(name: str) -> None:
    refiner = build(name, iterations=2, substeps=4)
    scores, image = pictures(refiner, 9)
    flat = torch.full_like(image, 3.0)
    heat = HeatRefiner(2, 2, iterations=2, substeps=4)
    expected = heat.all_iterations(crop(scores, refiner.edge_margin_px), crop(flat, refiner.edge_margin_px))
    for ours, other in zip(refiner.all_iterations(scores, flat), expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-12)


def side_by_side(refiner: PdeRefiner, side: int = 20, contrast: float = 100.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores that change three pixels beside the image's vertical edge."""
    full = side + 2 * refiner.margin_px
    image = torch.zeros(1, refiner.bands, full, full, dtype=torch.float64)
    image[..., full // 2 :] = contrast
    return image, image[:, :1].expand(1, refiner.classes, full, full) / contrast


@pytest.mark.parametrize("name", ["edge-stopped", "anisotropic"])
def test_nothing_diffuses_across_a_strong_edge(name: str) -> None:
    refiner = build(name, bands=3, iterations=1, substeps=50, kappa=0.01, sigma_px=0.5)
    image, scores = side_by_side(refiner)
    torch.testing.assert_close(refiner(scores, image), crop(scores, refiner.margin_px), rtol=0, atol=1e-3)


def test_anisotropic_diffusion_flows_along_an_edge_where_edge_stopped_diffusion_stands_still() -> None:
    spread = {}
    for name in ("edge-stopped", "anisotropic"):
        refiner = build(name, bands=1, iterations=1, substeps=20, kappa=0.01, sigma_px=0.5)
        image, _ = side_by_side(refiner)
        scores = noise(3, 2, image.shape[-1])
        column = image.shape[-1] // 2 - 1  # just left of the edge
        spread[name] = crop(scores, refiner.margin_px)[..., column - refiner.margin_px].std().item()
        spread[name] = refiner(scores, image)[..., column - refiner.margin_px].std().item() / spread[name]
    assert spread["edge-stopped"] > 0.9
    assert spread["anisotropic"] < 0.5


def test_the_anisotropic_diffusivity_is_g_across_and_1_along_an_edge() -> None:
    refiner = AnisotropicRefiner(2, 1, kappa=0.5, sigma_px=1.0)
    slope, angle = 0.8, 0.6
    rows, cols = np.mgrid[:20, :20]
    ramp = slope * (math.cos(angle) * cols + math.sin(angle) * rows)
    image = torch.from_numpy(ramp)[None, None]
    xx, yy, xy = (one.flatten()[0].item() for one in refiner.coefficients(image))
    values, vectors = np.linalg.eigh([[xx, xy], [xy, yy]])
    g = edge_stopping(image, 1.0, 0.5).flatten()[0].item()
    assert g == pytest.approx(1 / (1 + slope**2 / 0.5**2))
    np.testing.assert_allclose(values, [g, 1.0], atol=1e-9)
    assert abs(vectors[:, 0] @ [math.cos(angle), math.sin(angle)]) == pytest.approx(1)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), sigma=st.floats(0.3, 2.0))
def test_slopes_are_those_of_the_image_smoothed_by_a_gaussian(seed: int, sigma: float) -> None:
    image = noise(seed, 2, 30)
    margin = gradient_margin_px(sigma)
    xx, xy, yy = structure_tensor(image, sigma)
    bands = image[0].numpy()

    def derivative(axis: int) -> np.ndarray[Any, Any]:
        # scipy's sampled derivative of a Gaussian, scaled so that a ramp has its slope
        ramp = gaussian_filter1d(np.arange(60.0), sigma, order=1, radius=margin)[30]
        along = gaussian_filter1d(bands, sigma, axis=axis, order=1, radius=margin) / ramp
        return gaussian_filter1d(along, sigma, axis=3 - axis, radius=margin)[:, margin:-margin, margin:-margin]

    dx, dy = derivative(2), derivative(1)
    for ours, expected in ((xx, dx * dx), (xy, dx * dy), (yy, dy * dy)):
        np.testing.assert_allclose(ours[0, 0].numpy(), expected.mean(0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", EDGE_AWARE)
def test_edges_are_seen_alike_however_many_bands_show_them(name: str) -> None:
    scores, image = pictures(build(name, bands=1), 6)
    several = build(name, bands=4)(scores, image.expand(-1, 4, -1, -1))
    torch.testing.assert_close(several, build(name, bands=1)(scores, image))


def distance_to_a_disc(radius: float, side: int) -> np.ndarray[Any, Any]:
    place = np.arange(side) - (side - 1) / 2
    return radius - np.hypot(place[:, None], place[None])


@pytest.mark.parametrize(("dt", "start"), [(0.25, 12.0), (0.1, 8.0)])
def test_a_disc_shrinks_at_the_rate_of_its_curvature(dt: float, start: float) -> None:
    time_px2 = start**2 / 16  # of a step; the disc vanishes after 8
    refiner = GeodesicRefiner(2, 1, iterations=5, substeps=round(time_px2 / dt), dt=dt)
    side = 2 * round(start) + 7 + 2 * refiner.margin_px
    level = torch.from_numpy(distance_to_a_disc(start, side))
    scores = torch.stack([-level, level])[None]
    for step, result in enumerate(refiner.all_iterations(scores, torch.zeros_like(scores[:, :1]))):
        radius = math.sqrt((result[0, 1] > result[0, 0]).sum().item() / math.pi)
        expected = math.sqrt(start**2 - 2 * refiner.dt * refiner.substeps * step)  # dr/dt = -1/r
        assert radius == pytest.approx(expected, abs=0.25)


def test_contours_stop_where_the_image_has_an_edge() -> None:
    # The scores' disc is two pixels larger than the image's: the contour shrinks onto the edge, and stays.
    drawn = GeodesicRefiner(2, 1, iterations=1, substeps=120, sigma_px=1.0, kappa=0.03)
    side = 27 + 2 * drawn.margin_px
    level = torch.from_numpy(distance_to_a_disc(10.0, side))
    image = (torch.from_numpy(distance_to_a_disc(8.0, side)) > 0).double()[None, None]
    scores = torch.stack([-level, level])[None]
    free, kept = (
        (result[0, 1] > result[0, 0]).sum().item()
        for result in (drawn(scores, torch.zeros_like(image)), drawn(scores, image))
    )
    assert free == pytest.approx(math.pi * (10**2 - 2 * 30), rel=0.06)
    assert kept == pytest.approx(math.pi * 8**2, rel=0.06)


def test_contours_do_not_see_what_all_classes_share() -> None:
    refiner = build("geodesic", classes=3)
    scores, image = pictures(refiner, 8)
    shared = noise(9, 1, scores.shape[-1])
    torch.testing.assert_close(
        refiner(scores + shared, image), refiner(scores, image) + crop(shared, refiner.margin_px)
    )


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**31), kappa=st.floats(0.01, 10))
def test_active_contours_do_not_grow_noise(seed: int, kappa: float) -> None:
    refiner = build("geodesic", iterations=4, substeps=10, dt=0.25, kappa=kappa)
    scores, image = pictures(refiner, 10, seed)
    last = refiner(scores, image)
    assert last.abs().max() <= 1.5 * scores.abs().max()


@pytest.mark.parametrize("name", list(PDES))
def test_steps_group_time_steps(name: str) -> None:
    few, many = build(name, iterations=2, substeps=3), build(name, iterations=6, substeps=1)
    scores, image = pictures(few, 7)
    assert few.margin_px == many.margin_px
    for ours, other in zip(few.all_iterations(scores, image), many.all_iterations(scores, image)[::3], strict=True):
        assert torch.equal(ours, other)


def test_the_margin_holds_every_time_step_and_the_scale_of_edges() -> None:
    assert HeatRefiner(2, 1, iterations=5, substeps=4).radius_px == 20
    assert EdgeStoppedRefiner(2, 1, iterations=5, substeps=4, sigma_px=1.5).radius_px == 25
