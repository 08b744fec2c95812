"""Layers of training data, (band, row, col), and the three places where one is kept.

In memory a layer is an array. In an unnamed file, which vanishes with the process, it is stored block after block; on
demand its blocks are read from the scene. Blocks pass through one cache of bounded size. A mapped file would do for
reading, but every page touched then counts as memory of the process.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from crispmap.errors import OutputError
from crispmap.geo.grid import Block
from crispmap.raster.cached import BlockCache, parts_of
from crispmap.raster.scene import SceneReader, bounding_block, cut_reflected, reflected_indices

FILE_BLOCK_PX = 128  # side of the blocks in a file: of larger ones a patch needs less than it reads
SCENE_BLOCK_PX = 256  # side of the blocks read from a scene: a read costs much, a pixel little
_ZEROS = 1 << 20


class Layer(Protocol):
    """Bands over the pixels of a piece."""

    @property
    def memory_bytes(self) -> int:
        """Bytes in memory, without those in a cache."""

    def read(self, block: Block) -> NDArray[Any]:
        """Return a block (band, row, col), reflected where it reaches outside; it must not be written to."""


class StoredLayer(Layer, Protocol):
    """A layer that is filled before it is read."""

    def write(self, block: Block, values: NDArray[Any]) -> None:
        """Set the values (band, row, col) of a block; it begins and ends at multiples of ``FILE_BLOCK_PX`` or edges."""


def layer_bytes(shape: tuple[int, int, int], dtype: DTypeLike) -> int:
    """Return the size of a layer's values."""
    return int(np.prod(shape)) * np.dtype(dtype).itemsize


class ArrayLayer:
    """A layer in memory."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._array = array
        self.memory_bytes = array.nbytes

    def read(self, block: Block) -> NDArray[Any]:  # noqa: D102 - as the protocol
        return cut_reflected(self._array, block)

    def write(self, block: Block, values: NDArray[Any]) -> None:  # noqa: D102 - as the protocol
        self._array[:, *block.slices] = values


class BlockLayer(ABC):
    """A layer (band, row, col) put together from blocks of ``side_px``, each loaded when it is needed."""

    memory_bytes = 0
    _numbers = itertools.count()

    def __init__(
        self, shape: tuple[int, int, int], dtype: DTypeLike, cache: BlockCache[NDArray[Any]], side_px: int
    ) -> None:
        self._shape, self._dtype, self._cache, self._side_px = shape, np.dtype(dtype), cache, side_px
        self._number = next(self._numbers)

    @abstractmethod
    def _load(self, block: Block) -> NDArray[Any]:
        """Return one of the blocks the layer is cut into."""

    def read(self, block: Block) -> NDArray[Any]:  # noqa: D102 - as the protocol
        rows = reflected_indices(block.row, block.height, self._shape[1])
        cols = reflected_indices(block.col, block.width, self._shape[2])
        inside = bounding_block(rows, cols)
        values = self._assembled(inside)
        return values if inside == block else values.take(rows - inside.row, 1).take(cols - inside.col, 2)

    def _assembled(self, block: Block) -> NDArray[Any]:
        """Return a block inside the layer, copied from those it touches."""
        values = np.empty((self._shape[0], *block.shape), self._dtype)
        for part in self._parts(block):
            held = self._cache.get((self._number, part.row, part.col), lambda part=part: self._load(part))  # type: ignore[misc]
            shared = part.intersection(block)
            values[:, *shared.relative_to(block).slices] = held[:, *shared.relative_to(part).slices]
        return values

    def _parts(self, block: Block) -> list[Block]:
        """Return the layer's blocks that a block touches."""
        return parts_of(block, self._side_px, self._shape[1:])


class FileLayer(BlockLayer):
    """A layer in an unnamed file whose space is reserved at once; OutputError if the folder cannot take it."""

    def __init__(
        self, shape: tuple[int, int, int], dtype: DTypeLike, cache: BlockCache[NDArray[Any]], folder: Path
    ) -> None:
        super().__init__(shape, dtype, cache, FILE_BLOCK_PX)
        size = layer_bytes(shape, dtype)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed with the layer
            weakref.finalize(self, self._file.close)
            _reserve(self._file, size)
        except OSError as error:
            raise OutputError(
                f"{size / 1e9:.1f} GB of training data cannot be kept in {folder}: {error.strerror}.",
                expected="a folder that can be written, with that much space",
                remedy="choose a folder with more space, allow more memory, or train on a smaller area",
            ) from error

    def write(self, block: Block, values: NDArray[Any]) -> None:  # noqa: D102 - as the protocol
        for part in self._parts(block):
            held = np.ascontiguousarray(values[:, *part.relative_to(block).slices], self._dtype)
            self._file.seek(self._place(part))
            self._file.write(held.data)

    def _load(self, block: Block) -> NDArray[Any]:
        shape = (self._shape[0], *block.shape)
        size, place = layer_bytes(shape, self._dtype), self._place(block)
        if hasattr(os, "pread"):  # forked processes share one position in the file
            data = os.pread(self._file.fileno(), size, place)
        else:
            self._file.seek(place)
            data = self._file.read(size)
        return np.frombuffer(data, self._dtype).reshape(shape)

    def _place(self, block: Block) -> int:
        """Return where a block begins in the file: blocks follow each other row by row."""
        return (block.row * self._shape[2] + block.height * block.col) * self._shape[0] * self._dtype.itemsize


class DemandLayer:
    """A layer whose windows are read when they are needed, from what keeps the latest by itself."""

    memory_bytes = 0

    def __init__(self, area: Block, read: Callable[[Block], NDArray[Any]]) -> None:
        self._area, self._read = area, read

    def read(self, block: Block) -> NDArray[Any]:  # noqa: D102 - as the protocol
        rows = reflected_indices(block.row, block.height, self._area.height)
        cols = reflected_indices(block.col, block.width, self._area.width)
        inside = bounding_block(rows, cols)
        values = self._read(Block(self._area.row + inside.row, self._area.col + inside.col, *inside.shape))
        return values if inside == block else values.take(rows - inside.row, 1).take(cols - inside.col, 2)


class SceneLayer(BlockLayer):
    """The bands of an area of a scene, read when they are needed; the scene must stay open."""

    def __init__(self, scene: SceneReader, area: Block, dtype: DTypeLike, cache: BlockCache[NDArray[Any]]) -> None:
        super().__init__((scene.band_count, *area.shape), dtype, cache, SCENE_BLOCK_PX)
        self._scene, self._area = scene, area

    def _load(self, block: Block) -> NDArray[Any]:
        place = Block(self._area.row + block.row, self._area.col + block.col, *block.shape)
        return self._scene.read(place)[0].astype(self._dtype)


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the space on disk now: a disk that is full is better noticed before hours of training."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, _ZEROS):
        file.write(bytes(min(_ZEROS, size - start)))
