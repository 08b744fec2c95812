"""Scenes of which few are open at a time: blocks are decoded when they are needed, and the latest of all kept.

Compressed images are slow to read by windows: one of up to ``WHOLE_BYTES`` is decoded as a whole, once.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import CrispmapWarning, SceneError
from crispmap.geo.grid import Block
from crispmap.raster.files import FileScene
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene
from crispmap.types import BoolArray, FloatArray

WHOLE_BYTES = 64_000_000
KEPT_BYTES = 300_000_000  # of decoded images and masks together
_BLOCK_PX = 1024  # side of the blocks of larger images


class _Sized(Protocol):
    @property
    def nbytes(self) -> int: ...


V = TypeVar("V", bound=_Sized)
_Slices = tuple[slice, slice]


class BlockCache(Generic[V]):
    """The blocks read last, of all layers together; forked processes keep up to ``limit_bytes`` each."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes, self.held_bytes = limit_bytes, 0
        self._kept: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], V]) -> V:
        """Return the block of a key, loaded where it is not kept."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            return found
        found = self._kept[key] = load()
        self.held_bytes += found.nbytes
        while self.held_bytes > self.limit_bytes:
            self.held_bytes -= self._kept.popitem(last=False)[1].nbytes
        return found


def parts_of(block: Block, side_px: int, shape: tuple[int, int]) -> list[Block]:
    """Return the blocks of a raster, cut into squares of a side, that a block inside it touches."""
    height, width = shape
    return [
        Block(row, col, min(side_px, height - row), min(side_px, width - col))
        for row in range(block.row // side_px * side_px, block.row_stop, side_px)
        for col in range(block.col // side_px * side_px, block.col_stop, side_px)
    ]


def side_of_blocks(shape: tuple[int, int], pixel_bytes: int) -> int:
    """Return the side of the blocks in which a raster is decoded: one where it is small enough."""
    height, width = shape
    return max(shape) if height * width * pixel_bytes <= WHOLE_BYTES else _BLOCK_PX


@dataclass(frozen=True, eq=False)
class _Decoded:
    image: NDArray[np.generic]  # (band, row, col), as stored, 0 where invalid
    valid: BoolArray | None  # None: all

    @property
    def nbytes(self) -> int:
        return self.image.nbytes + (0 if self.valid is None else self.valid.nbytes)


class CachedScene(Scene):
    """A raster file that is open only while a block of it is decoded.

    Args:
        cache: What is decoded, of all scenes that share it.
        skip: Whether an image that cannot be decoded is taken as one without data, with a warning, and is no error.
    """

    def __init__(self, ref: SceneRef, cache: BlockCache[_Decoded], *, skip: bool = False) -> None:
        with FileScene(ref) as file:
            self.grid, self.band_names, self.path, self.turn = file.grid, file.band_names, file.path, file.turn
            self._dtype = file.dtype
        self._ref, self._cache, self._skip = ref, cache, skip
        self._side_px = side_of_blocks(self.grid.shape, self.band_count * self._dtype.itemsize)

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The type the file stores its values in."""
        return self._dtype

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid."""
        image = np.empty((self.band_count, *block.shape), np.float32)
        for held, here, there in self._held(block):
            image[:, *here] = held.image[:, *there]
        return image, self.read_valid(block)

    def read_valid(self, block: Block) -> BoolArray:
        """Return the valid pixels of a block inside the scene, without its values."""
        valid = np.ones(block.shape, np.bool_)
        for held, here, there in self._held(block):
            if held.valid is not None:
                valid[here] = held.valid[there]
        return valid

    def _held(self, block: Block) -> Iterator[tuple[_Decoded, _Slices, _Slices]]:
        """Yield what is decoded of a block, with where it lies in the block and in what is decoded."""
        for part in parts_of(block, self._side_px, self.grid.shape):
            key = self._ref.files, self._ref.bands, part.row, part.col
            held = self._cache.get(key, lambda part=part: self._decoded(part))  # type: ignore[misc]
            shared = part.intersection(block)
            yield held, shared.relative_to(block).slices, shared.relative_to(part).slices

    def _decoded(self, part: Block) -> _Decoded:
        try:
            with FileScene(self._ref) as file:
                image, valid = file.read_stored(part)
        except SceneError as error:
            if not self._skip:
                raise
            warnings.warn(f"An image is left out: {error.given}", CrispmapWarning, stacklevel=2)
            return _Decoded(np.zeros((self.band_count, *part.shape), self._dtype), np.zeros(part.shape, np.bool_))
        return _Decoded(image, None if valid.all() else valid)

    def close(self) -> None:
        """Do nothing: no file is open."""
