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
            ModelError: If an output is infinite or not a number.
        """
        ...


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
        InputError: If it does not.
    """
    if precision not in offered:
        raise InputError(
            f"{engine} does not compute in {precision} on this machine.",
            expected=f"one of {', '.join(offered)}",
            remedy="use the precision float32 or auto, or another engine",
        )
