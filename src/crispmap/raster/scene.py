"""The interface of scenes, and the reflection about their border that all of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import without_secrets
from crispmap.files.notebook import html_table
from crispmap.files.turn import AS_STORED, Turn
from crispmap.geo.grid import Block, Grid
from crispmap.types import BoolArray, FloatArray

_STREAM_PX = 1024


class SceneReader(Protocol):
    """Anything that delivers blocks of an image: a file, a resampled view of one, a raster of scores."""

    @property
    def grid(self) -> Grid:
        """The grid of the pixels."""

    @property
    def band_names(self) -> tuple[str, ...]:
        """One name a band, in the order ``read`` delivers them."""

    @property
    def band_count(self) -> int:
        """Number of bands ``read`` delivers."""

    @property
    def path(self) -> Path:
        """The file the pixels come from, for messages."""

    def read(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return the image and its valid pixels of one block; see ``Scene.read``."""


class Scene(ABC):
    """An open scene: a ``SceneReader`` that is closed by ``with`` or ``close``."""

    grid: Grid
    band_names: tuple[str, ...]  # in the order of ``read``
    path: Path  # the file the pixels come from
    turn: Turn = AS_STORED  # from the pixels as a file or an array has them to those of the grid
    quick_windows = False  # whether small windows anywhere are read from a disk as they are, without decoding more

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type the values are of before they are read as float32."""
        return np.dtype(np.float32)

    @property
    def band_count(self) -> int:
        """Number of bands."""
        return len(self.band_names)

    def read(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block, of any place and size; outside the scene it holds the reflection about the border.

        The reflection repeats the border pixel (…1 0 | 0 1 2…) and goes back and forth as often as needed.

        Returns:
            The image, float32 (band, row, col), raw values, 0.0 in all bands where invalid; and the valid
            pixels, bool (row, col).

        Raises:
            SceneError: If the file cannot be read there; it names the file and the block.
        """
        rows = reflected_indices(block.row, block.height, self.grid.height)
        cols = reflected_indices(block.col, block.width, self.grid.width)
        if block.is_empty:
            return np.zeros((self.band_count, *block.shape), np.float32), np.zeros(block.shape, np.bool_)
        inside = bounding_block(rows, cols)
        image, valid = self._read_inside(inside)
        if inside == block:
            return image, valid
        rows, cols = rows - inside.row, cols - inside.col
        # One axis after the other: over both at once numpy is three times as slow.
        return image.take(rows, axis=1).take(cols, axis=2), valid.take(rows, axis=0).take(cols, axis=1)

    def _repr_html_(self) -> str:
        crs, (x, y) = self.grid.crs, self.grid.gsd_m()
        facts = {
            "pixels": f"{self.grid.height:,} x {self.grid.width:,} of {y:.4g} x {x:.4g} m, {self.dtype.name}",
            "bands": ", ".join(self.band_names),
            "coordinate system": "none" if crs is None else crs.name,
            "bounds": ", ".join(f"{value:.10g}" for value in self.grid.bounds),
        }
        return html_table(f"crispmap scene: {without_secrets(str(self.path))}", facts.items())

    def read_valid(self, block: Block) -> BoolArray:
        """Return the valid pixels (row, col) of one block inside the scene, as ``read`` does."""
        return self.read(block)[1]

    @abstractmethod
    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid, as ``read`` does."""

    @abstractmethod
    def close(self) -> None:
        """Release the file; the scene cannot be read afterwards. Closing twice is allowed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def reflected_indices(start: int, count: int, size: int) -> NDArray[np.intp]:
    """Return the indices 0..size-1 at positions start..start+count-1 of the reflected line; start may be negative.

    The line has period ``2 size`` (0 1 2 | 2 1 0 | 0 1 2 …): numpy's ``symmetric`` padding, without its limits.
    """
    place = np.arange(start, start + count) % (2 * size)
    return np.where(place < size, place, 2 * size - 1 - place)


def cut_reflected(array: NDArray[Any], block: Block) -> NDArray[Any]:
    """Return the block of an array (…, row, col), reflected about its border; a view if the block lies inside."""
    height, width = array.shape[-2:]
    if block.row >= 0 and block.col >= 0 and block.row_stop <= height and block.col_stop <= width:
        return array[(..., *block.slices)]
    rows = reflected_indices(block.row, block.height, height)
    cols = reflected_indices(block.col, block.width, width)
    gathered: NDArray[Any] = array[..., rows[:, None], cols]
    return gathered


def bounding_block(rows: NDArray[np.intp], cols: NDArray[np.intp]) -> Block:
    """Return the smallest block that holds all these rows and columns."""
    row, col = int(rows.min()), int(cols.min())
    return Block(row, col, int(rows.max()) - row + 1, int(cols.max()) - col + 1)


def read_whole(reader: SceneReader) -> tuple[FloatArray, BoolArray]:
    """Return the image (band, row, col) and the valid pixels (row, col) of the whole scene, in memory.

    Raises:
        SceneError: If the file cannot be read.
    """
    return reader.read(reader.grid.block)


def has_valid(reader: SceneReader) -> bool:
    """Return whether the scene holds any valid pixel, reading block by block and only up to the first one.

    Raises:
        SceneError: If the file cannot be read.
    """
    return any(bool(reader.read(block)[1].any()) for block in reader.grid.blocks(_STREAM_PX))
