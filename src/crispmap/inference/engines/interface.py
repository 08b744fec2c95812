"""What every engine promises, whatever library does the work."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import InputError, ModelError
from crispmap.inference.engines.choice import EngineName, Precision
from crispmap.types import FloatArray

Array: TypeAlias = NDArray[Any]
"""An input of a network: float32 maps or int64 places."""

_SHOWN = 300
"""Characters shown of what a library says: some tell their whole graph."""


class PrecisionError(InputError):
    """A precision that an engine does not offer on this machine."""


class Engine(Protocol):
    """A network ready to be called on arrays, on one device, in one precision, without gradients.

    The same input gives the same bytes on the same machine, whatever the number of cores, of threads, and of calls
    under way: on a CPU every call is computed by one core.

    Attributes:
        name: The library that computes.
        precision: Precision of the arithmetic.
        device: "cpu", "cuda" or "cuda:N".
        text: Library with version, precision and device in words, such as "openvino 2026.4.1, float32, cpu".
    """

    @property
    def name(self) -> EngineName: ...  # noqa: D102 - as the attribute

    @property
    def precision(self) -> Precision: ...  # noqa: D102 - as the attribute

    @property
    def device(self) -> str: ...  # noqa: D102 - as the attribute

    @property
    def text(self) -> str: ...  # noqa: D102 - as the attribute

    def run(self, *inputs: Array) -> list[FloatArray]:
        """Return what the network's ``forward`` gives, one float32 array an output, batch axis and all.

        Several threads may call at once. The arrays are the caller's own: no later call changes them.

        Args:
            inputs: What ``forward`` takes, of the shapes and dtypes of the example the engine was opened with.

        Raises:
            ModelError: If an input or an output is infinite or not a number.
        """
        ...


def check_finite_inputs(inputs: Iterable[Array]) -> None:
    """Do nothing if all that a network is given is finite.

    Outputs alone do not tell: some libraries' ReLU makes 0 of what is not a number.

    Raises:
        ModelError: If a value is infinite or not a number.
    """
    if not all(np.isfinite(values).all() for values in inputs):
        raise ModelError(
            "The network is given values that are infinite or not numbers.",
            expected="finite values",
            remedy="check that the scene's values are in the range the model was trained on, "
            "and that its nodata value is declared",
        )


def check_finite(outputs: Iterable[FloatArray]) -> None:
    """Do nothing if all outputs of a network are finite.

    Raises:
        ModelError: If one is infinite or not a number.
    """
    if not all(np.isfinite(output).all() for output in outputs):
        raise ModelError(
            "The network gives scores that are infinite or not numbers.",
            expected="finite scores",
            remedy="check that the scene's values are in the range the model was trained on, "
            "or train the model again with a lower learning rate",
        )


def check_precision(engine: str, precision: Precision, offered: tuple[Precision, ...]) -> None:
    """Do nothing if an engine offers a precision on this machine.

    Raises:
        PrecisionError: If it does not.
    """
    if precision not in offered:
        raise PrecisionError(
            f"{engine} does not compute in {precision} on this machine.",
            expected=f"one of {', '.join(offered)}",
            remedy="use the precision float32 or auto",
        )


def refusal(engine: str, error: Exception) -> InputError:
    """Return the error that says that an engine cannot take a network, with the start of what the library says."""
    reason = " ".join(str(error).split())
    shown = reason if len(reason) <= _SHOWN else f"{reason[:_SHOWN]} .."
    return InputError(
        f"{engine} cannot take this network: {shown}",
        expected="a network of operations it knows",
        remedy="use the engine torch or auto",
    )
