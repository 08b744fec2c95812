"""Where an engine gets a network from: it is loaded only where its graph is not kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crispmap.inference.engines.interface import Array

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class NetworkSource:
    """A network that an engine may be opened for."""

    role: str  # which of its owner's networks it is
    module: Callable[[], nn.Module]  # returns it
    # all that decides what it computes; empty where that is not known, and its graph is not kept
    identity: tuple[str, ...] = ()
    any_shape: bool = False  # whether one graph serves inputs of any shape
    smallest: tuple[Array, ...] = ()  # the smallest inputs it takes, to be traced on where one graph serves any

    @classmethod
    def of(cls, role: str, network: Any) -> NetworkSource:
        """Return a coarse network or refiner as inference runs it."""
        shared = getattr(network, "identity", ()), getattr(network, "any_shape", False)
        return cls(role, network.for_inference, *shared)
