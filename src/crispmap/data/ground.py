"""Ground: a piece of a scene held for training, with its labels and, for a refiner, coarse scores.

A ground holds no pixel outside its block. Context beyond its border is the reflection about that border, so a
training never sees the ground of another area.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from crispmap.data.scaling import strips
from crispmap.errors import GridError, InputError, LabelError, OutputError
from crispmap.geo.grid import Block
from crispmap.models.scaling import Scaling, scaled_input
from crispmap.types import IGNORE, CountArray, FloatArray, LabelArray

if TYPE_CHECKING:
    from crispmap.raster.scene import SceneReader

LabelSource: TypeAlias = LabelArray | Callable[[Block], LabelArray]
"""Labels of the whole block, or a function that gives them for any block of the scene."""

MEMORY_LIMIT_BYTES = 1_500_000_000
"""Ground above this size is kept in a file, and only what a patch needs is read from it."""

_FINGERPRINT_BYTES = 1 << 26
_ZEROS = 1 << 20


@dataclass(frozen=True, eq=False)
class Ground:
    """One piece of ground.

    Attributes:
        image: float32 (band, row, col), scaled as the network sees it, 0 where the scene is invalid.
        labels: uint8 (row, col), class ids; IGNORE where nothing is known, outside the area, or where the
            image is invalid.
        scores: float32 (class, row, col) of the coarse network, or None.

    Arrays may be memory-mapped files. The image's valid mask is not kept: invalid pixels have label IGNORE.

    Raises:
        InputError: If shapes or types disagree, or the piece has no pixel.
    """

    image: FloatArray
    labels: LabelArray
    scores: FloatArray | None = None

    def __post_init__(self) -> None:
        if self.labels.dtype != np.uint8 or self.labels.ndim != 2 or self.labels.size == 0:
            raise InputError(
                f"Labels of type {self.labels.dtype} and shape {self.labels.shape}.",
                expected="uint8 class ids (row, col), at least one pixel",
            )
        for name, array in (("image", self.image), ("scores", self.scores)):
            if array is None:
                continue
            if array.dtype != np.float32 or array.ndim != 3 or array.shape[1:] != self.labels.shape:
                raise InputError(
                    f"The {name} of a ground has type {array.dtype} and shape {array.shape}.",
                    expected=f"float32 (…, row, col) over the {self.labels.shape} pixels of the labels",
                )

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.labels.shape
        return int(height), int(width)

    @property
    def memory_bytes(self) -> int:
        """Bytes held in memory; memory-mapped arrays count as 0."""
        arrays = [a for a in (self.image, self.labels, self.scores) if a is not None]
        return sum(a.nbytes for a in arrays if not isinstance(a, np.memmap))

    def with_scores(self, scores: FloatArray) -> Ground:
        """Return the same ground with these coarse scores, (class, row, col) float32.

        Raises:
            InputError: If type or shape do not fit.
        """
        return replace(self, scores=scores)

    def fingerprint(self) -> int:
        """Return a check sum of the ground: all of it up to 64 MB an array, evenly spread rows above."""
        code = 0
        for array in (self.labels, self.image, self.scores):
            if array is not None:
                code = _check_sum(array, code)
        return code


def load_ground(
    reader: SceneReader,
    block: Block,
    labels: LabelSource,
    scaling: Scaling,
    *,
    cache_folder: Path | None = None,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
) -> Ground:
    """Return the ground of one block of a scene: scaled, with image 0 and label IGNORE where the scene is invalid.

    The scene is read in strips. Ground that is larger than the limit goes to an unnamed file in the cache
    folder, which vanishes with the process.

    Args:
        reader: The scene.
        block: Which part of it; inside the scene.
        labels: uint8 (row, col), of the block, or a function of a block of the scene. IGNORE outside the
            area.
        scaling: Constants of each band.
        cache_folder: Where large ground is kept; the system's folder for temporary files by default.
        memory_limit_bytes: Above this size the ground is kept in a file.

    Raises:
        GridError: If the block is empty or reaches outside the scene.
        InputError: If the scaling is of another number of bands.
        LabelError: If the labels' shape is not the block's.
        OutputError: If the cache folder is full or cannot be written.
    """
    if block.is_empty or block.intersection(reader.grid.block) != block:
        raise GridError(
            f"A training area spans {block.row, block.col} to {block.row_stop, block.col_stop} (row, col).",
            expected=f"an area within the scene of {reader.grid.height} x {reader.grid.width} pixels",
            remedy="clip the area to the scene",
        )
    image_shape = (reader.band_count, *block.shape)
    on_disk = np.prod(image_shape) * 4 + block.height * block.width > memory_limit_bytes
    folder = Path(cache_folder or tempfile.gettempdir()) if on_disk else None
    image = allocate(image_shape, np.float32, folder)
    kept = allocate(block.shape, np.uint8, folder)
    for strip in strips(block):
        rows = slice(strip.row - block.row, strip.row_stop - block.row)
        raw, valid = reader.read(strip)
        image[:, rows] = scaled_input(raw, valid, scaling)
        kept[rows] = np.where(valid, _labels_of(labels, strip, block), IGNORE)
    return Ground(image, kept)


def allocate(shape: tuple[int, ...], dtype: DTypeLike, folder: Path | None) -> NDArray[Any]:
    """Return an array of zeros: in memory, or in an unnamed file of a folder that vanishes with the process.

    Raises:
        OutputError: If the folder is full or cannot be written.
    """
    if folder is None:
        return np.zeros(shape, dtype)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file, size)
            return np.memmap(file, dtype, mode="r+", shape=shape)
    except OSError as error:
        raise OutputError(
            f"{size / 1e9:.1f} GB of training ground cannot be kept in {folder}: {error.strerror}.",
            expected="a folder that can be written, with that much space",
            remedy="choose another cache folder, or a smaller training area",
        ) from error


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the space on disk now: once the disk is full, a write to a mapped file kills the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, _ZEROS):
        file.write(bytes(min(_ZEROS, size - start)))
    file.flush()


def count_classes(grounds: Sequence[Ground], class_names: Sequence[str]) -> CountArray:
    """Return the number of labelled pixels of each class over all pieces, int64 (class,).

    Raises:
        LabelError: If a class has no pixel, or a label is no class's id.
    """
    counts = np.zeros(256, np.int64)
    for ground in grounds:
        for strip in strips(Block(0, 0, *ground.shape)):
            counts += np.bincount(ground.labels[strip.slices].ravel(), minlength=256)
    return checked_counts(counts, class_names)


def checked_counts(counts: CountArray, class_names: Sequence[str]) -> CountArray:
    """Return the number of pixels of each class, int64 (class,), from that of each id, int64 (256,).

    Raises:
        LabelError: If a class has no pixel, or a label is no class's id.
    """
    known = len(class_names)
    strange = np.flatnonzero(counts[known:IGNORE]) + known
    if strange.size:
        raise LabelError(
            f"The training labels hold the ids {', '.join(map(str, strange))}.",
            expected=f"ids 0 to {known - 1} ({', '.join(class_names)}), or {IGNORE} where nothing is known",
            remedy="add the classes, or leave such pixels out",
        )
    missing = [name for name, count in zip(class_names, counts, strict=False) if count == 0]
    if missing:
        raise LabelError(
            f"The training area holds no pixel of class {' or '.join(repr(n) for n in missing)}.",
            expected="at least one labelled pixel of every class",
            remedy="enlarge the training area, correct the class's tag rule, or leave the class out",
        )
    return counts[:known]


def _labels_of(labels: LabelSource, strip: Block, block: Block) -> LabelArray:
    """Return the labels of a strip of the block."""
    part = labels(strip) if callable(labels) else labels[strip.relative_to(block).slices]
    given = part.shape if callable(labels) else labels.shape
    expected = strip.shape if callable(labels) else block.shape
    if given != expected:
        raise LabelError(
            f"Labels of shape {given} were given.", expected=f"shape {expected}, as the ground they describe"
        )
    return part


def _check_sum(array: NDArray[Any], code: int) -> int:
    """Return the running check sum after an array (…, row, col), or evenly spread rows of a large one."""
    step = -(-array.nbytes // _FINGERPRINT_BYTES)
    code = zlib.crc32(repr((array.shape, str(array.dtype))).encode(), code)
    return zlib.crc32(np.ascontiguousarray(array[..., ::step, :]).data, code)
