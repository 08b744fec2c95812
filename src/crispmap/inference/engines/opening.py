"""The engine that suits a network, a machine and a choice."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from crispmap.errors import CrispmapWarning, InputError
from crispmap.inference.engines.choice import EngineChoice
from crispmap.inference.engines.graphs import TorchOnlyError, checked_module
from crispmap.inference.engines.interface import Array, Engine, PrecisionError
from crispmap.inference.engines.source import NetworkSource

if TYPE_CHECKING:
    from torch import nn


def open_engine(network: nn.Module | NetworkSource, example: tuple[Array, ...], choice: EngineChoice) -> Engine:
    """Return an engine that evaluates a network on contiguous inputs of the shapes and dtypes of an example.

    PyTorch moves the network to the device and puts it in evaluation mode; the others run a graph made of it, and load
    no PyTorch where that is kept from an earlier run.

    Raises:
        InputError: If the engine asked for is not installed or cannot take the network, the precision or the device.
        ModelError: If a weight is infinite or not a number.
    """
    source = network if isinstance(network, NetworkSource) else NetworkSource("network", lambda: network)
    source = replace(source, module=cache(source.module))  # the second choice takes the network of the first
    if choice.name in ("openvino", "onnxruntime"):
        return _on_cpu(source, example, choice, choice.name)
    if choice.name == "torch" or choice.on_cuda:
        return _torch(source, choice)
    try:
        return _on_cpu(source, example, choice, "openvino")
    except PrecisionError:
        raise
    except TorchOnlyError:
        return _torch(source, choice)
    except InputError as error:
        engine = _torch(source, choice)
        message = f"PyTorch computes in the place of OpenVINO, several times slower: {error.given}"
        warnings.warn(message, CrispmapWarning, stacklevel=2)
        return engine


def _torch(source: NetworkSource, choice: EngineChoice) -> Engine:
    from crispmap.inference.engines.torch_engine import TorchEngine

    return TorchEngine(checked_module(source, "torch"), choice.device, choice.precision)


def _on_cpu(source: NetworkSource, example: tuple[Array, ...], choice: EngineChoice, name: str) -> Engine:
    if choice.device not in ("auto", "cpu"):
        raise InputError(
            f"The engine {choice.name} runs on the CPU here, not on {choice.device}.",
            expected="the device auto or cpu",
            remedy=f"use the engine torch for the device {choice.device}",
        )
    if name == "onnxruntime":
        from crispmap.inference.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(source, example, choice.precision)
    from crispmap.inference.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(source, example, choice.precision, choice.threads)
