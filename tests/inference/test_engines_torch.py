"""PyTorch as an engine: plain float32, one core a call, no setting left behind, and no device it does not have."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from small_models import StridedNetwork, random_image

from crispmap.errors import InputError
from crispmap.inference.engines.interface import PrecisionError
from crispmap.inference.engines.torch_engine import TorchEngine, offered_precisions
from crispmap.models.device import choose_device

SETTINGS = ("matmul", "tf32", "benchmark", "deterministic", "grad", "cores")


def settings() -> dict[str, object]:
    cudnn = torch.backends.cudnn
    values = (
        torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark, cudnn.deterministic,
        torch.is_grad_enabled(), torch.get_num_threads(),
    )  # fmt: skip
    return dict(zip(SETTINGS, values, strict=True))


class Spy(StridedNetwork):
    """Remembers the settings it was computed under."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, object]] = []

    def forward(self, image):
        self.seen.append(settings())
        return super().forward(image)


@pytest.fixture
def careless():
    """A process that trades precision for speed, and computes on three cores."""
    before, cores = torch.get_float32_matmul_precision(), torch.get_num_threads()
    torch.set_float32_matmul_precision("medium")
    torch.set_num_threads(3)
    yield settings()
    torch.set_float32_matmul_precision(before)
    torch.set_num_threads(cores)


def test_the_result_is_that_of_the_module_bit_for_bit_and_again():
    network, image = StridedNetwork(), random_image((30, 40))[None]
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    engine = TorchEngine(network, "cpu")
    for _ in range(2):
        (scores,) = engine.run(image)
        assert np.array_equal(scores, expected)
        assert scores.dtype == np.float32


def test_inputs_that_do_not_lie_together_are_taken():
    image = random_image((30, 40))[None]
    odd = image[..., ::-1].copy()[..., ::-1]
    assert np.array_equal(TorchEngine(StridedNetwork()).run(odd)[0], TorchEngine(StridedNetwork()).run(image)[0])


def test_networks_are_put_in_evaluation_mode():
    class Noisy(StridedNetwork):
        def forward(self, image):
            return torch.dropout(super().forward(image), 0.5, self.training)

    engine, image = TorchEngine(Noisy().train()), random_image((30, 40))[None]
    assert np.array_equal(engine.run(image)[0], engine.run(image)[0])


def test_settings_are_plain_and_of_one_core_inside_and_restored_after(careless):
    network = Spy()
    TorchEngine(network, "cpu").run(random_image((30, 30))[None])
    assert network.seen == [dict(zip(SETTINGS, ("highest", False, False, True, False, 1), strict=True))]
    assert settings() == careless


def test_settings_are_plain_in_every_thread_until_the_last_has_left(careless):
    network = Spy()
    engine, image = TorchEngine(network, "cpu"), random_image((90, 90))[None]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: engine.run(image), range(40)))
    assert len(network.seen) == 40
    assert {tuple(seen.values()) for seen in network.seen} == {("highest", False, False, True, False, 1)}
    assert settings() == careless


def test_settings_are_restored_after_a_failure(careless):
    with pytest.raises(RuntimeError):
        TorchEngine(StridedNetwork(), "cpu").run(random_image((30, 30), bands=5)[None])
    assert settings() == careless


def test_bfloat16_is_rounded_but_given_as_float32():
    image = np.random.default_rng(0).normal(size=(1, 2, 30, 40)).astype(np.float32)
    (exact,) = TorchEngine(StridedNetwork(), "cpu").run(image)
    engine = TorchEngine(StridedNetwork(), "cpu", "bfloat16")
    (rounded,) = engine.run(image)
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < 0.03 * np.abs(exact).max()
    assert engine.precision == "bfloat16"
    assert "bfloat16" in engine.text


def test_precisions_a_device_does_not_have_are_refused():
    with pytest.raises(PrecisionError, match=r"(?s)float16.*float32, bfloat16.*precision float32"):
        TorchEngine(StridedNetwork(), "cpu", "float16")
    assert offered_precisions(torch.device("cuda")) == ("float32", "bfloat16", "float16")


@pytest.mark.parametrize("name", ["tpu", "cuda:", "cuda:-1", "cuda:x", "CPU", "cpu:0", "cuda:0 ", ""])
def test_unknown_devices_are_refused(name):
    with pytest.raises(InputError, match=r"(?s)There is no device.*auto, cpu, cuda, or cuda:0"):
        choose_device(name)


@pytest.mark.parametrize("name", ["cuda", "cuda:0"])
def test_absent_devices_are_refused(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=rf"(?s){name}.*device cpu or auto"):
        choose_device(name)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"
    assert choose_device("cpu").type == "cpu"
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match=r"(?s)cuda:2.*2 CUDA devices.*a number below 2"):
        choose_device("cuda:2")
