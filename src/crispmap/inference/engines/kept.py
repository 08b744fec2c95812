"""Engines kept open for the next scene: opening one takes longer than mapping a small scene."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

from crispmap.inference.engines.choice import EngineChoice
from crispmap.inference.engines.interface import Array, Engine
from crispmap.inference.engines.opening import open_engine
from crispmap.inference.engines.source import NetworkSource

_KEPT = 2
"""Engines kept: of a network and a refiner that work apart."""


class KeptEngines:
    """The engines opened last, each for one network, one shape of its inputs, and one choice.

    The weights of the networks do not change meanwhile. Several threads may ask at once.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, Engine] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, source: NetworkSource, example: tuple[Array, ...], choice: EngineChoice) -> Engine:
        """Return the engine of a network, opened now or kept from before; see ``open_engine``.

        Networks are told apart by their role.
        """
        key = source.role, choice, tuple((one.shape, one.dtype.str) for one in example)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = open_engine(source, example, choice)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
