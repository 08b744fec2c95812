"""Which engine is opened, what is refused, and that nobody is told of it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_models import StridedNetwork
from torch import nn

from crispmap.errors import CrispmapWarning, InputError
from crispmap.inference.engines import ENGINES, EngineChoice, open_engine
from crispmap.inference.engines.interface import PrecisionError
from crispmap.models import device

IMAGE = np.zeros((1, 2, 30, 30), np.float32)


class Unconvertible(nn.Module):
    """Computes what no graph of operations can hold."""

    def forward(self, image):
        return torch.linalg.eigvals(image[..., :4, :4]).real


@pytest.fixture
def without(monkeypatch):
    """Makes packages look as if they were not installed."""

    def remove(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return remove


def test_auto_on_a_cpu_is_openvino():
    assert open_engine(StridedNetwork(), (IMAGE,), EngineChoice(device="cpu")).name == "openvino"


def test_auto_falls_back_on_pytorch_and_says_so_where_openvino_is_not_installed(without):
    without("openvino")
    with pytest.warns(CrispmapWarning, match="PyTorch computes in the place of OpenVINO.*not installed"):
        engine = open_engine(StridedNetwork(), (IMAGE,), EngineChoice(device="cpu"))
    assert engine.name == "torch"
    assert np.isfinite(engine.run(IMAGE)[0]).all()


def test_auto_falls_back_on_pytorch_and_says_so_where_openvino_cannot_take_the_network():
    image = np.random.default_rng(0).normal(size=IMAGE.shape).astype(np.float32)
    with pytest.warns(CrispmapWarning, match="PyTorch computes in the place of OpenVINO.*cannot take") as told:
        engine = open_engine(Unconvertible(), (image,), EngineChoice(device="cpu"))
    assert engine.name == "torch"
    assert engine.run(image)[0].shape == (1, 2, 4)
    assert all(len(str(one.message)) < 500 for one in told)


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_an_engine_asked_for_that_cannot_take_the_network_is_an_error(engine):
    with pytest.raises(InputError, match=r"(?s)cannot take this network.*engine torch or auto"):
        open_engine(Unconvertible(), (IMAGE,), EngineChoice(engine))


@pytest.mark.parametrize(
    ("engine", "missing"),
    [("openvino", "openvino"), ("onnxruntime", "onnxruntime"), ("onnxruntime", "onnx"), ("onnxruntime", "onnxscript")],
)
def test_an_engine_asked_for_that_is_not_installed_is_an_error(without, engine, missing):
    without(missing)
    with pytest.raises(InputError, match=rf"(?s){engine} is not installed.*pip install.*torch or auto"):
        open_engine(StridedNetwork(), (IMAGE,), EngineChoice(engine))


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_engines_of_the_cpu_refuse_other_devices(engine):
    with pytest.raises(InputError, match=rf"(?s){engine} runs on the CPU.*engine torch for the device cuda"):
        open_engine(StridedNetwork(), (IMAGE,), EngineChoice(engine, device="cuda"))


def test_cuda_asked_for_and_absent_is_an_error_in_auto(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="cuda was asked for"):
        open_engine(StridedNetwork(), (IMAGE,), EngineChoice(device="cuda"))


def test_a_precision_openvino_does_not_offer_is_refused_rather_than_emulated(monkeypatch):
    from crispmap.inference.engines import openvino_engine

    monkeypatch.setattr(openvino_engine, "_offered", lambda core: ("float32",))
    for name in ("auto", "openvino"):
        with pytest.raises(PrecisionError, match=r"(?s)OpenVINO does not compute in bfloat16.*float32"):
            open_engine(StridedNetwork(), (IMAGE,), EngineChoice(name, "bfloat16", "cpu"))


def test_onnxruntime_offers_float32_alone():
    with pytest.raises(PrecisionError, match="bfloat16"):
        open_engine(StridedNetwork(), (IMAGE,), EngineChoice("onnxruntime", "bfloat16"))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "tensorrt"}, "one of auto, torch, openvino, onnxruntime"),
        ({"name": ""}, "one of auto"),
        ({"precision": "half"}, "one of float32, bfloat16, float16"),
        ({"precision": "auto"}, "one of float32"),
        ({"threads": 0}, "1 thread or more"),
        ({"threads": -3}, "1 thread or more"),
    ],
)
def test_choices_that_do_not_exist_are_refused(fields, expected):
    with pytest.raises(InputError, match=expected):
        EngineChoice(**fields)


def test_what_runs_on_cuda(monkeypatch):
    monkeypatch.setattr(device, "cuda_may_be_here", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [EngineChoice(name).on_cuda for name in ENGINES] == [True, True, False, False]
    assert not EngineChoice(device="cpu").on_cuda
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not any(EngineChoice(name).on_cuda for name in ENGINES)


QUIETING = ("CI", "TF_BUILD", "JENKINS_URL", "ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
SILENT = """
import socket, sys
from pathlib import Path

def refuse(*arguments, **_):
    Path(sys.argv[1]).write_text(repr(arguments))
    raise OSError

socket.getaddrinfo = socket.socket.connect = refuse
from crispmap.inference.engines import EngineChoice, open_engine
loaded = {"torch", "openvino", "onnxruntime", "onnx"} & set(sys.modules)
if loaded:
    sys.exit(f"importing the engines loads {loaded}")
import numpy as np
from crispmap.models.fcn.network import fcn_igarss
image = np.zeros((1, 3, 120, 120), np.float32)
for name in ("openvino", "onnxruntime"):
    open_engine(fcn_igarss(), (image,), EngineChoice(name)).run(image)
"""


@pytest.mark.slow
def test_engines_print_nothing_tell_nobody_and_leave_no_file_at_home(tmp_path):
    home, called = tmp_path / "home", tmp_path / "called"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if key not in QUIETING}
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", SILENT, str(called)],
        env={**environment, "HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not called.exists(), called.read_text()
    assert list(home.rglob("*")) == []
