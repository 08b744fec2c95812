"""The engine that suits a network, a machine and a choice."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from crispmap.errors import CrispmapWarning, InputError, ModelError
from crispmap.inference.engines.choice import EngineChoice
from crispmap.inference.engines.interface import Array, Engine, PrecisionError

if TYPE_CHECKING:
    from torch import nn


def open_engine(module: nn.Module, example: tuple[Array, ...], choice: EngineChoice) -> Engine:
    """Return an engine that evaluates a network on contiguous inputs of the shapes and dtypes of an example.

    PyTorch moves the network to the device and puts it in evaluation mode; the others copy it.

    Raises:
        InputError: If the engine asked for is not installed or cannot take the network, the precision or the device.
        ModelError: If a weight is infinite or not a number.
    """
    _check_weights(module)
    if any(getattr(part, "torch_only", False) for part in module.modules()):
        if choice.name not in ("auto", "torch"):
            raise InputError(
                f"The engine {choice.name} cannot take a refiner of so many operations.",
                expected="the engine torch or auto",
                remedy="leave the engine out",
            )
        return _torch(module, choice)
    if choice.name in ("openvino", "onnxruntime"):
        return _on_cpu(module, example, choice, choice.name)
    if choice.name == "torch" or choice.on_cuda:
        return _torch(module, choice)
    try:
        return _on_cpu(module, example, choice, "openvino")
    except PrecisionError:
        raise
    except InputError as error:
        engine = _torch(module, choice)
        message = f"PyTorch computes in the place of OpenVINO, several times slower: {error.given}"
        warnings.warn(message, CrispmapWarning, stacklevel=2)
        return engine


def _torch(module: nn.Module, choice: EngineChoice) -> Engine:
    from crispmap.inference.engines.torch_engine import TorchEngine

    return TorchEngine(module, choice.device, choice.precision)


def _on_cpu(module: nn.Module, example: tuple[Array, ...], choice: EngineChoice, name: str) -> Engine:
    if choice.device not in ("auto", "cpu"):
        raise InputError(
            f"The engine {choice.name} runs on the CPU here, not on {choice.device}.",
            expected="the device auto or cpu",
            remedy=f"use the engine torch for the device {choice.device}",
        )
    if name == "onnxruntime":
        from crispmap.inference.engines.onnxruntime_engine import OnnxRuntimeEngine

        return OnnxRuntimeEngine(module, example, choice.precision)
    from crispmap.inference.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(module, example, choice.precision, choice.threads)


def _check_weights(module: nn.Module) -> None:
    for name, values in module.state_dict().items():
        if not values.isfinite().all():
            raise ModelError(
                f"The network's {name} has values that are infinite or not numbers.",
                expected="finite weights",
                remedy="train the model again with a lower learning rate",
            )
