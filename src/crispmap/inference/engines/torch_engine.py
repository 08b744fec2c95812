"""PyTorch as an engine, on a CPU or a CUDA device: takes every network, and repeats itself to the bit."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from crispmap.inference.engines.choice import EngineName, Precision
from crispmap.inference.engines.interface import Array, check_finite, check_finite_inputs, check_precision
from crispmap.models.device import choose_device
from crispmap.types import FloatArray

_DTYPES: dict[Precision, torch.dtype] = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class TorchEngine:
    """A network in evaluation mode, run by PyTorch; see ``Engine``.

    In float32 no TF32 and no bfloat16 enters; in any precision no search for the fastest kernel. Reduced precision is
    PyTorch's autocast: convolutions are reduced, sums with float32 are not.

    Raises:
        InputError: If the device is unknown or absent, or does not have the precision.
    """

    name: EngineName = "torch"

    def __init__(self, module: nn.Module, device: str = "auto", precision: Precision = "float32") -> None:
        self._device = choose_device(device)
        self._on_cuda = self._device.type == "cuda"
        check_precision("PyTorch", precision, offered_precisions(self._device))
        self.precision: Precision = precision
        self.device = str(self._device)
        self.text = f"torch {torch.__version__}, {precision}, {self.device}"
        self._module = module.to(self._device).eval()
        if self._on_cuda:
            self._module = self._module.to(memory_format=torch.channels_last)

    def at(self, precision: Precision) -> TorchEngine:  # noqa: D102 - as the protocol
        return TorchEngine(self._module, self.device, precision)

    def run(self, *inputs: Array) -> list[FloatArray]:
        """Return what the network's ``forward`` gives; see ``Engine.run``. Inputs may have any shape it takes."""
        check_finite_inputs(inputs)
        with torch.inference_mode(), _PLAIN.arithmetic(), _one_core(not self._on_cuda), self._autocast():
            outputs = self._module(*(self._tensor(array) for array in inputs))
            outputs = [outputs] if isinstance(outputs, Tensor) else outputs
            results: list[FloatArray] = [output.float().cpu().contiguous().numpy() for output in outputs]
        check_finite(results)
        return results

    def _tensor(self, array: Array) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(self._device)
        maps = self._on_cuda and tensor.ndim == 4
        return tensor.contiguous(memory_format=torch.channels_last) if maps else tensor

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, _DTYPES.get(self.precision), enabled=self.precision in _DTYPES)


def offered_precisions(device: torch.device) -> tuple[Precision, ...]:
    """Return the precisions PyTorch computes in on a device, whether or not the device gains by it."""
    return ("float32", "bfloat16", "float16") if device.type == "cuda" else ("float32", "bfloat16")


@contextmanager
def _one_core(wanted: bool) -> Iterator[None]:
    """Let the calling thread compute on one core, and on as many as before afterwards."""
    before = torch.get_num_threads()
    if not wanted or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _PlainArithmetic:
    """Switches off every faster, coarser float32 arithmetic of the process while any thread asks for it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = ("highest", True, False, True)

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Compute plainly; the last thread to leave puts the settings back that the first one found."""
        with self._lock:
            if self._inside == 0:
                self._before = self._settings()
                self._set("highest", False, True, False)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._set(*self._before)

    @staticmethod
    def _settings() -> tuple[str, bool, bool, bool]:
        cudnn = torch.backends.cudnn
        return torch.get_float32_matmul_precision(), cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32

    @staticmethod
    def _set(matmul: str, benchmark: bool, deterministic: bool, tf32: bool) -> None:
        torch.set_float32_matmul_precision(matmul)
        cudnn = torch.backends.cudnn
        cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = benchmark, deterministic, tf32


_PLAIN = _PlainArithmetic()
