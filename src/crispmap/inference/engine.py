"""The engine that evaluates a network: PyTorch on a CPU or a CUDA device, in full float32 and repeatable."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from crispmap.errors import InputError, ModelError
from crispmap.types import FloatArray

DEVICES = ("auto", "cpu", "cuda")


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of this name; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        InputError: If the name is none of ``DEVICES``, or CUDA is asked for and not available.
    """
    if name not in DEVICES:
        raise InputError(f"There is no device {name!r}.", expected=f"one of {', '.join(DEVICES)}")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise InputError(
            "The device cuda was asked for, but PyTorch finds none here.",
            expected="an NVIDIA GPU with its driver and a CUDA build of PyTorch",
            remedy="use the device cpu or auto",
        )
    return torch.device("cuda" if available and name != "cpu" else "cpu")


class TorchEngine:
    """A network ready to be called on arrays: in evaluation mode, on one device, without gradients.

    The same input gives the same bytes on the same machine: no TF32, no bfloat16, no search for the fastest kernel.

    Args:
        module: The network; it is moved to the device and put in evaluation mode.
        device: One of ``DEVICES``.
    """

    def __init__(self, module: nn.Module, device: str = "auto") -> None:
        self._device = choose_device(device)
        self._module = module.to(self._device).eval()

    def __call__(self, *arrays: FloatArray) -> FloatArray:
        """Return the network's scores (class, row, col) float32 for arrays (map or band, row, col).

        Raises:
            ModelError: If a score is infinite or not a number.
        """
        return self._evaluate(self._module, arrays)[0]

    def all_steps(self, *arrays: FloatArray) -> list[FloatArray]:
        """Return the scores (class, row, col) before the first and after every step of a refiner.

        Raises:
            ModelError: If a score is infinite or not a number.
        """
        return self._evaluate(self._module.all_steps, arrays)

    def _evaluate(self, function: Any, arrays: tuple[FloatArray, ...]) -> list[FloatArray]:
        with torch.inference_mode(), _exact_float32():
            tensors = [torch.from_numpy(np.ascontiguousarray(array))[None].to(self._device) for array in arrays]
            outputs = function(*tensors)
            outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
            results = [output[0].float().cpu().numpy() for output in outputs]
        if not all(np.isfinite(result).all() for result in results):
            raise ModelError(
                "The network gives scores that are infinite or not numbers.",
                expected="finite scores",
                remedy="check that the scene's values are in the range the model was trained on, "
                "or train the model again with a lower learning rate",
            )
        return results


@contextmanager
def _exact_float32() -> Iterator[None]:
    """Switch off every faster, coarser arithmetic, and put the settings back afterwards."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
