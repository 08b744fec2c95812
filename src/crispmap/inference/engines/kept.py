"""Engines kept open for the next scene: opening one takes longer than mapping a small scene."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import replace
from typing import TypeAlias

from crispmap.inference.engines.choice import EngineChoice
from crispmap.inference.engines.interface import Array, Engine
from crispmap.inference.engines.opening import open_engine
from crispmap.inference.engines.source import NetworkSource

_Key: TypeAlias = tuple[str, EngineChoice, tuple[tuple[tuple[int, ...], str], ...]]
"""Role, choice, and shape and dtype of each input."""
_KEPT = 2
"""Engines kept: of a network and a refiner that work apart."""


class KeptEngines:
    """The engines opened last, each for one network, one shape of its inputs, and one choice.

    The weights of the networks do not change meanwhile. Several threads may ask at once.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[_Key, Engine] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, source: NetworkSource, example: tuple[Array, ...], choice: EngineChoice) -> Engine:
        """Return the engine of a network, opened now or kept from before; see ``open_engine``.

        Networks are told apart by their role.
        """
        key = source.role, choice, tuple((one.shape, one.dtype.str) for one in example)
        with self._lock:
            if key not in self._kept:
                alike = self._in_another_precision(key)
                self._kept[key] = open_engine(source, example, choice) if alike is None else alike.at(choice.precision)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def _in_another_precision(self, key: _Key) -> Engine | None:
        """Return an engine kept that differs in its precision alone."""
        role, choice, inputs = key
        for (other_role, other, other_inputs), engine in self._kept.items():
            if (other_role, other_inputs) == (role, inputs) and replace(other, precision=choice.precision) == choice:
                return engine
        return None
