"""The engine that suits a network, a machine and a wish."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from crispmap.errors import CrispmapWarning, InputError, ModelError
from crispmap.inference.engines.choice import EngineChoice
from crispmap.inference.engines.interface import Array, Engine, PrecisionError

if TYPE_CHECKING:
    from torch import nn


def open_engine(module: nn.Module, example: tuple[Array, ...], choice: EngineChoice) -> Engine:
    """Return an engine that evaluates a network.

    Args:
        module: The network. PyTorch moves it to the device and puts it in evaluation mode; the others copy it.
        example: What ``forward`` takes, contiguous; the engine takes inputs of these shapes and dtypes.
        choice: Which engine, in which precision, where, for how many threads.

    Raises:
        InputError: If the engine asked for is not installed or cannot take the network, the precision or the device.
        ModelError: If a weight is infinite or not a number.
    """
    _check_weights(module)
    if any(getattr(part, "torch_only", False) for part in module.modules()):
        _check_torch(choice)
        return _torch(module, choice)
    if choice.name == "openvino":
        return _openvino(module, example, choice)
    if choice.name == "onnxruntime":
        return _onnxruntime(module, example, choice)
    if choice.name == "auto" and not choice.on_cuda:
        return _openvino_or_torch(module, example, choice)
    return _torch(module, choice)


def _openvino_or_torch(module: nn.Module, example: tuple[Array, ...], choice: EngineChoice) -> Engine:
    try:
        return _openvino(module, example, choice)
    except PrecisionError:
        raise
    except InputError as error:
        engine = _torch(module, choice)
        warnings.warn(
            f"PyTorch computes in the place of OpenVINO, several times slower: {error.given}",
            CrispmapWarning,
            stacklevel=3,
        )
        return engine


def _torch(module: nn.Module, choice: EngineChoice) -> Engine:
    from crispmap.inference.engines.torch_engine import TorchEngine

    return TorchEngine(module, choice.device, choice.precision)


def _openvino(module: nn.Module, example: tuple[Array, ...], choice: EngineChoice) -> Engine:
    from crispmap.inference.engines.openvino_engine import OpenVinoEngine

    _check_cpu(choice)
    return OpenVinoEngine(module, example, choice.precision, choice.threads)


def _onnxruntime(module: nn.Module, example: tuple[Array, ...], choice: EngineChoice) -> Engine:
    from crispmap.inference.engines.onnxruntime_engine import OnnxRuntimeEngine

    _check_cpu(choice)
    return OnnxRuntimeEngine(module, example, choice.precision)


def _check_torch(choice: EngineChoice) -> None:
    if choice.name not in ("auto", "torch"):
        raise InputError(
            f"The engine {choice.name} cannot take a refiner of so many operations.",
            expected="the engine torch or auto",
            remedy="leave the engine out",
        )


def _check_weights(module: nn.Module) -> None:
    for name, values in module.state_dict().items():
        if not values.isfinite().all():
            raise ModelError(
                f"The network's {name} holds values that are infinite or not numbers.",
                expected="finite weights",
                remedy="train the model again with a lower learning rate",
            )


def _check_cpu(choice: EngineChoice) -> None:
    if choice.device not in ("auto", "cpu"):
        raise InputError(
            f"The engine {choice.name} runs on the CPU here, not on {choice.device}.",
            expected="the device auto or cpu",
            remedy=f"use the engine torch for the device {choice.device}",
        )
