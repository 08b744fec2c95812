"""What every engine promises, with any library behind it."""

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

_SHOWN = 300  # characters shown of a library's message: some print their whole graph


class PrecisionError(InputError):
    """A precision that an engine does not offer on this machine."""


class Engine(Protocol):
    """A network ready to be called on arrays, on one device, in one precision, without gradients.

    The same input gives the same bytes on the same machine, for any number of cores, threads and calls under way: on
    a CPU every call is computed by one core. ``text`` has library, version, precision and device in words, such as
    "openvino 2026.4.1, float32, cpu".
    """

    @property
    def name(self) -> EngineName: ...  # noqa: D102 - plain

    @property
    def text(self) -> str: ...  # noqa: D102 - as above

    def at(self, precision: Precision) -> Engine:
        """Return an engine of the same network in another precision, made in less time than from the network.

        Raises:
            PrecisionError: If it is not offered.
        """

    def run(self, *inputs: Array) -> list[FloatArray]:
        """Return what the network's ``forward`` gives, one float32 array an output, batch axis and all.

        Inputs have the shapes and dtypes of the example the engine was opened with. Several threads may call at once.
        The arrays are the caller's own: no later call changes them.

        Raises:
            ModelError: If an input or an output is infinite or not a number.
        """


def check_finite_inputs(inputs: Iterable[Array]) -> None:
    """Raise ModelError if a value that a network is given is infinite or not a number.

    Outputs alone do not show it: some libraries' ReLU makes 0 of what is not a number.
    """
    if not all(np.isfinite(values).all() for values in inputs):
        raise ModelError(
            "The network is given values that are infinite or not numbers.",
            expected="finite values",
            remedy="check that the scene's values are in the range the model was trained on, "
            "and that its nodata value is declared",
        )


def check_finite(outputs: Iterable[FloatArray]) -> None:
    """Raise ModelError if an output of a network is infinite or not a number."""
    if not all(np.isfinite(output).all() for output in outputs):
        raise ModelError(
            "The network gives scores that are infinite or not numbers.",
            expected="finite scores",
            remedy="check that the scene's values are in the range the model was trained on, "
            "or train the model again with a lower learning rate",
        )


def check_precision(engine: str, precision: Precision, offered: tuple[Precision, ...]) -> None:
    """Raise PrecisionError if an engine does not offer a precision on this machine."""
    if precision not in offered:
        raise PrecisionError(
            f"{engine} does not compute in {precision} on this machine.",
            expected=f"one of {', '.join(offered)}",
            remedy="use the precision float32 or auto",
        )


def refusal(engine: str, error: Exception) -> InputError:
    """Return the error for an engine that cannot take a network, with the start of its library's message."""
    reason = " ".join(str(error).split())
    shown = reason if len(reason) <= _SHOWN else f"{reason[:_SHOWN]} .."
    return InputError(
        f"{engine} cannot take this network: {shown}",
        expected="a network of operations it knows",
        remedy="use the engine torch or auto",
    )
