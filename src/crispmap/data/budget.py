"""How much memory the data of a training may take, and what is kept within it."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from crispmap.data.layers import ArrayLayer, FileLayer, StoredLayer, layer_bytes
from crispmap.errors import InputError
from crispmap.files.memory import machine_memory
from crispmap.raster.cached import BlockCache

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{unit}I": 1024**power for power, unit in enumerate("KMGT", 1)}
_SHARE = 4  # by default the data may take this part of the machine's memory
_CACHE_SHARE = 8  # this part of a budget is for blocks of layers that are not in memory


class DataBudget:
    """The memory that all data of one training share, first come, first served; ``cache`` is within it.

    By default it is a quarter of the memory of the machine or its cgroup; what does not fit goes to ``folder``, by
    default the system's folder for temporary files.

    Raises:
        InputError: If ``total_bytes`` is below 1.
    """

    def __init__(self, total_bytes: int | None = None, folder: Path | None = None) -> None:
        self.total_bytes = machine_memory() // _SHARE if total_bytes is None else total_bytes
        if self.total_bytes < 1:
            raise InputError(f"Training data may take {total_bytes} bytes.", expected="1 byte or more")
        self.cache = BlockCache[NDArray[Any]](self.total_bytes // _CACHE_SHARE)
        self.left_bytes = self.total_bytes - self.cache.limit_bytes
        self._folder = Path(folder or tempfile.gettempdir())

    def fits(self, shape: tuple[int, int, int], dtype: DTypeLike) -> bool:
        """Return whether a layer (band, row, col) fits in what is left."""
        return layer_bytes(shape, dtype) <= self.left_bytes

    def layer(self, shape: tuple[int, int, int], dtype: DTypeLike) -> StoredLayer:
        """Return a layer to fill: in memory where it fits, else in a file.

        Raises:
            OutputError: If the folder is full or cannot be written.
        """
        if not self.fits(shape, dtype):
            return FileLayer(shape, dtype, self.cache, self._folder)
        self.left_bytes -= layer_bytes(shape, dtype)
        return ArrayLayer(np.zeros(shape, dtype))


def parse_bytes(text: str) -> int:
    """Return an amount of memory written as ``500MB``, ``2GB`` (powers of 1000) or ``2GiB`` (1024)."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?", text.strip().upper())
    size = int(float(found[1]) * _UNITS[found[2]]) if found and found[2] in _UNITS else 0
    if size < 1:
        raise InputError(f"The memory is {text!r}.", expected="a number with a unit, such as 500MB, 2GB or 1.5GiB")
    return size
