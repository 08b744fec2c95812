"""What is to evaluate a network: which engine, in which precision, on which device, in how many threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from crispmap.errors import InputError

EngineName = Literal["torch", "openvino", "onnxruntime"]
Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
ENGINES: tuple[str, ...] = ("auto", *get_args(EngineName))


@dataclass(frozen=True)
class EngineChoice:
    """What is to evaluate a network.

    The engine "auto" is PyTorch on a CUDA device, else OpenVINO where it is installed and can take the network, else
    PyTorch on the CPU.

    Raises:
        InputError: If name or precision is unknown, or ``threads`` is less than 1.
    """

    name: str = "auto"
    precision: Precision = "float32"  # precision of the arithmetic; results are float32 in any
    device: str = "auto"  # "auto" (CUDA where there is one), "cpu", "cuda" or "cuda:0", "cuda:1",
    threads: int = 1  # threads that will call the engine at once, 1 or more; they change no value

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise InputError(f"There is no engine {self.name!r}.", expected=f"one of {', '.join(ENGINES)}")
        if self.precision not in PRECISIONS:
            raise InputError(f"There is no precision {self.precision!r}.", expected=f"one of {', '.join(PRECISIONS)}")
        if self.threads < 1:
            raise InputError(f"An engine cannot serve {self.threads} threads.", expected="1 thread or more")

    @property
    def on_cuda(self) -> bool:
        """Whether the network runs on a CUDA device; InputError if the device is unknown or absent."""
        from crispmap.models.device import choose_device, cuda_may_be_here

        if self.name not in ("auto", "torch") or self.device == "cpu":
            return False
        if self.device == "auto" and not cuda_may_be_here():
            return False
        return choose_device(self.device).type == "cuda"

    @property
    def faster_precisions(self) -> tuple[Precision, ...]:
        """The precisions that the device has units for, so that they are faster than float32; the most exact first."""
        from crispmap.models.device import choose_device, has_units

        if self.name == "onnxruntime":
            return ()
        device = choose_device(self.device if self.on_cuda else "cpu")
        reduced: tuple[Literal["float16", "bfloat16"], ...] = ("float16", "bfloat16")
        return tuple(one for one in reduced if has_units(device, one))
