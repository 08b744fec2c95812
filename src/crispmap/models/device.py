"""The device PyTorch runs on. Importing it, and asking whether there may be CUDA, loads no torch."""

from __future__ import annotations

import ctypes
import re
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from crispmap.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")
_NUMBERED = re.compile(r"cuda:(\d{1,3})")
_CPU_UNITS = {
    "bfloat16": ("_is_avx512_bf16_supported", "_is_amx_tile_supported"),
    "float16": ("_is_amx_fp16_supported",),  # without matrix units it is slower than float32
}
_TENSOR_CORES = (7, 0)  # compute capability from which CUDA devices have units for float16


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of this name; ``auto`` is CUDA where there is one, else the CPU.

    Raises:
        InputError: If the name is none of these, or CUDA is asked for and not available.
    """
    numbered = _NUMBERED.fullmatch(name)
    if name not in DEVICES and numbered is None:
        raise InputError(
            f"There is no device {name!r}.", expected=f"one of {', '.join(DEVICES)}, or cuda:0, cuda:1, .."
        )
    import torch

    if name == "cpu":
        return torch.device("cpu")
    available = torch.cuda.is_available()
    if name == "auto":
        return torch.device("cuda" if available else "cpu")
    if not available:
        raise InputError(
            f"The device {name} was asked for, but PyTorch finds none here.",
            expected="an NVIDIA GPU with its driver and a CUDA build of PyTorch",
            remedy="use the device cpu or auto",
        )
    if numbered is not None and int(numbered[1]) >= torch.cuda.device_count():
        raise InputError(
            f"The device {name} was asked for, but PyTorch finds {torch.cuda.device_count()} CUDA devices.",
            expected=f"a number below {torch.cuda.device_count()}",
            remedy="use the device cuda or auto",
        )
    return torch.device(name)


def has_units(device: torch.device, precision: Literal["bfloat16", "float16"] = "bfloat16") -> bool:
    """Return whether a device multiplies in a reduced precision faster than in float32; False where it is not told."""
    import torch

    if device.type == "cuda":
        if precision == "float16":
            return torch.cuda.get_device_capability(device) >= _TENSOR_CORES
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    tests = (getattr(torch.cpu, name, None) for name in _CPU_UNITS[precision])
    return device.type == "cpu" and any(test is not None and bool(test()) for test in tests)


@cache
def cuda_may_be_here() -> bool:
    """Return whether PyTorch might find a CUDA device: False is sure, and takes no more than a look for its driver.

    PyTorch reaches NVIDIA's devices by the driver's library, and AMD's, which it calls CUDA too, by ``/dev/kfd``.
    """
    if sys.platform == "darwin":
        return False
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return Path("/dev/kfd").exists()
    return True
