"""The recurrences for CPUs, of PyTorch's operations and of compiled loops, against the plain loop that GPUs run."""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.errors import CrispmapWarning
from crispmap.refiners import rnn
from crispmap.refiners.rnn import compiled
from crispmap.refiners.rnn.compiled import CompiledRecurrence, compiled_loops, suited
from crispmap.refiners.rnn.recurrence import CpuRecurrence, Folded, recur, recur_plainly

HAS_NUMBA = importlib.util.find_spec("numba") is not None
Form = type[CpuRecurrence | CompiledRecurrence]
FORMS = [CpuRecurrence, pytest.param(CompiledRecurrence, marks=pytest.mark.skipif(not HAS_NUMBA, reason="no Numba"))]
both = pytest.mark.parametrize("form", FORMS)


def of(form: Form) -> Callable[..., list[torch.Tensor]]:
    """Return ``recur`` in one of its forms."""
    return lambda scores, maps, weights, steps: list(form.apply(scores, maps, steps, *weights))


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


@both
@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 3), st.integers(1, 4), st.sampled_from([2, 4, 32]))
def test_all_forms_give_the_same_scores_and_gradients(
    form: Form, batch: int, classes: int, maps: int, steps: int, units: int
) -> None:
    scores, image, weights = random_case(batch, classes, maps, steps, units)
    found = []
    for one in (of(form), recur_plainly):
        results = one(scores, image, weights, steps)
        loss = sum((k + 1) * each.square().sum() for k, each in enumerate(results))
        found.append((results, torch.autograd.grad(loss, [scores, image, *weights])))
    for ours, others in zip(found[0], found[1], strict=True):
        for one, other in zip(ours, others, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10 * other.abs().max().item())


@both
def test_in_single_precision_gradients_are_those_of_double_within_rounding(form: Form) -> None:
    scores, image, weights = random_case(3, 3, 4, 5, 32)
    exact = torch.autograd.grad(recur_plainly(scores, image, weights, 5)[-1].square().mean(), list(weights))
    single = Folded(*(one.detach().float().requires_grad_() for one in weights))
    results = of(form)(scores.detach().float(), image.detach().float(), single, 5)
    for one, other in zip(torch.autograd.grad(results[-1].square().mean(), list(single)), exact, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


@both
def test_the_gradient_is_that_of_finite_differences(form: Form) -> None:
    scores, image, weights = random_case(3, 2, 1, 2, 2)
    assert torch.autograd.gradcheck(
        lambda *values: tuple(of(form)(values[0], values[1], Folded(*values[2:]), 2)), (scores, image, *weights)
    )


@both
@pytest.mark.parametrize("needed", ["scores", "image", "weights"])
@pytest.mark.parametrize("step", [0, 1])
def test_only_the_gradients_that_are_needed_are_given(form: Form, needed: str, step: int) -> None:
    scores, image, weights = random_case(2, 2, 2, 2, 2)
    every = torch.autograd.grad(recur_plainly(scores, image, weights, 2)[step].sum(), [scores, image, *weights])
    if needed != "scores":
        scores = scores.detach()
    if needed != "image":
        image = image.detach()
    if needed != "weights":
        weights = Folded(*(one.detach() for one in weights))
    of(form)(scores, image, weights, 2)[step].sum().backward()
    for value, expected in zip((scores, image, *weights), every, strict=True):
        name = "scores" if value is scores else "image" if value is image else "weights"
        assert (value.grad is not None) == (needed == name)
        if value.grad is not None:
            torch.testing.assert_close(value.grad, expected)


@both
def test_what_is_no_number_stays_none(form: Form) -> None:
    scores, image, weights = random_case(1, 1, 1, 2, 2)
    weights.kernel.data[1, 0, 2, 2] = torch.nan
    assert of(form)(scores, image, weights, 2)[-1].isnan().all()


@pytest.mark.skipif(not HAS_NUMBA, reason="no Numba")
def test_compiled_loops_give_the_same_bytes_in_any_number_of_threads() -> None:
    scores, image, weights = random_case(3, 2, 2, 3, 4)
    before, found = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            results = of(CompiledRecurrence)(scores, image, weights, 3)
            gradients = torch.autograd.grad(results[-1].sum(), [scores, *weights])
            found.add(b"".join(one.detach().numpy().tobytes() for one in (*results, *gradients)))
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


@pytest.fixture
def other_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[types.ModuleType | None], None]]:
    """Puts another module in the place of Numba."""

    def replace(module: types.ModuleType | None) -> None:
        monkeypatch.setitem(sys.modules, "numba", module)
        monkeypatch.delitem(sys.modules, "crispmap.refiners.rnn.kernel", raising=False)
        monkeypatch.delattr(rnn, "kernel", raising=False)
        compiled_loops.cache_clear()

    yield replace
    compiled_loops.cache_clear()


def test_without_numba_torch_computes(other_numba: Callable[[types.ModuleType | None], None]) -> None:
    other_numba(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled_loops() is None
    scores, image, weights = random_case(1, 2, 1, 1, 2)
    assert "CpuRecurrence" in str(recur(scores, image, weights, 1)[0].grad_fn)


@pytest.mark.parametrize("broken", ["import", "compiler", "loop", "off"])
def test_a_numba_that_does_not_work_is_warned_of_once_and_torch_computes(
    other_numba: Callable[[types.ModuleType | None], None], broken: str
) -> None:
    fake = types.ModuleType("numba")

    def fail(*_: object, **__: object) -> None:
        raise OSError("no linker on this machine")

    fake.config = types.SimpleNamespace(DISABLE_JIT=int(broken == "off"))  # type: ignore[attr-defined]
    if broken != "import":  # else it has no njit
        fake.njit = fail if broken == "compiler" else lambda **_: lambda loop: loop if broken == "off" else fail  # type: ignore[attr-defined]
    other_numba(fake)
    with pytest.warns(CrispmapWarning, match="Numba is installed but does not work"):
        assert compiled_loops() is None
    scores, image, weights = random_case(1, 2, 1, 1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "CpuRecurrence" in str(recur(scores, image, weights, 1)[0].grad_fn)


@pytest.mark.parametrize(("units", "dtype", "fit"), [
    (2, torch.float32, True), (32, torch.float64, True), (3, torch.float32, False), (34, torch.float32, False),
    (2, torch.bfloat16, False), (2, torch.float16, False),
])  # fmt: skip
def test_what_loops_cannot_take_torch_computes(
    monkeypatch: pytest.MonkeyPatch, units: int, dtype: torch.dtype, fit: bool
) -> None:
    _, _, weights = random_case(1, 2, 1, 1, units)
    assert suited(Folded(*(one.to(dtype) for one in weights))) == fit
    if dtype == torch.float32 and not fit:
        monkeypatch.setattr(compiled, "compiled_loops", lambda: pytest.fail("compiles in vain"))
        scores, image, weights = random_case(1, 2, 1, 1, units)
        assert "CpuRecurrence" in str(recur(scores, image, weights, 1)[0].grad_fn)
