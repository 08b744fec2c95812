"""The map after every iteration of a refiner, computed where it is looked at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Block
from crispmap.types import IGNORE, BoolArray, LabelArray

if TYPE_CHECKING:
    from crispmap.inference.iterations import IterationMaps

COARSEST = 1
"""The last level on which steps are computed: one tile of the next would take the work of sixteen."""
_KEPT = 64


class StepMaps:
    """Class ids after 0, 1, .. iterations; the blocks computed last are kept, for all steps of one come together."""

    def __init__(self, opened: Callable[[], IterationMaps]) -> None:
        self._opened = opened  # loads a network, which takes seconds: when the first tile is asked for
        self._maps: IterationMaps | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[int, Block], list[LabelArray]] = OrderedDict()

    def at(self, level: int, block: Block) -> list[LabelArray]:
        """Return the class ids (row, col) of a block of a level, by step."""
        key = level, block
        with self._lock:  # one at a time: a block already takes all cores
            if key not in self._kept:
                self._kept[key] = self._computed(level, block)
                while len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]

    def _computed(self, level: int, block: Block) -> list[LabelArray]:
        if self._maps is None:
            self._maps = self._opened()
        step = 1 << level
        whole = Block(block.row * step, block.col * step, block.height * step, block.width * step)
        return [np.ascontiguousarray(ids[::step, ::step]) for _, ids in self._maps.over(whole)]


@dataclass(frozen=True)
class StepPixels:
    """The map after one of the iterations, as a source of pixels."""

    maps: StepMaps
    index: int

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        ids = self.maps.at(level, block)[self.index]
        return ids[None], ids != IGNORE

    def close(self) -> None:
        """Nothing is held that others do not close."""
