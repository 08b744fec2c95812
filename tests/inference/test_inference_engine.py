"""The engine evaluates in plain float32, leaves no setting behind, and refuses what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_models import StridedNetwork, random_image, small_refiner

from crispmap.errors import InputError, ModelError
from crispmap.inference.engine import TorchEngine, choose_device


def test_the_result_is_that_of_the_module_bit_for_bit_and_again():
    network, image = StridedNetwork(), random_image((30, 40))
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)[None])[0].numpy()
    engine = TorchEngine(network, "cpu")
    assert np.array_equal(engine(image), expected)
    assert np.array_equal(engine(image), expected)
    assert engine(image).dtype == np.float32


def test_networks_are_put_in_evaluation_mode():
    class Noisy(StridedNetwork):
        def forward(self, image):
            return torch.dropout(super().forward(image), 0.5, self.training)

    network = Noisy().train()
    engine = TorchEngine(network)
    assert np.array_equal(engine(random_image((30, 40))), engine(random_image((30, 40))))


def test_all_steps_end_with_the_call():
    engine = TorchEngine(small_refiner())
    scores, image = random_image((30, 30), bands=3), random_image((30, 30))
    assert np.array_equal(engine.all_steps(scores, image)[-1], engine(scores, image))


def test_settings_of_the_process_are_full_precision_inside_and_restored_after():
    seen = {}

    class Spy(StridedNetwork):
        def forward(self, image):
            seen["matmul"] = torch.get_float32_matmul_precision()
            seen["tf32"] = torch.backends.cudnn.allow_tf32
            seen["grad"] = torch.is_grad_enabled()
            return super().forward(image)

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    tf32 = torch.backends.cudnn.allow_tf32
    try:
        TorchEngine(Spy())(random_image((30, 30)))
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.backends.cudnn.allow_tf32 == tf32
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == {"matmul": "highest", "tf32": False, "grad": False}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    image = random_image((30, 30))
    image[0, 10, 10] = bad
    with pytest.raises(ModelError, match="range the model was trained on"):
        TorchEngine(StridedNetwork())(image)


def test_unknown_and_absent_devices_are_refused(monkeypatch):
    with pytest.raises(InputError, match=r"(?s)'tpu'.*auto, cpu, cuda"):
        choose_device("tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"(?s)cuda.*device cpu or auto"):
        choose_device("cuda")
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")


def test_auto_takes_cuda_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"
    assert choose_device("cpu").type == "cpu"
