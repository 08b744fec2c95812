"""Maps written to files: block by block, in bounded memory, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from crispmap.classes import ClassSchema
from crispmap.errors import ModelError, SceneError
from crispmap.grid import Block
from crispmap.inference.plan import BLOCK_PX, visit_blocks
from crispmap.scene.reader import SceneReader
from crispmap.scene.writer import RasterWriter, check_paths, class_map_writer, scores_writer
from crispmap.types import IGNORE, BoolArray, CountArray, FloatArray, LabelArray

Progress = Callable[[int, int], None]
"""Called after every block with the pixels done and the pixels in all."""


@dataclass(frozen=True)
class Output:
    """What to write of one raster of scores.

    Attributes:
        scores: The scores, one band a class.
        map_path: File for the class map, or None.
        scores_path: File for the scores, or None.
    """

    scores: SceneReader
    map_path: Path | None = None
    scores_path: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files to write."""
        return tuple(path for path in (self.map_path, self.scores_path) if path is not None)


def write_maps(
    scores: SceneReader,
    schema: ClassSchema,
    *,
    map_path: Path,
    scores_path: Path | None = None,
    block_px: int = BLOCK_PX,
    force: bool = False,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
) -> tuple[int, ...]:
    """Write the class map of a raster of scores, and the scores if wanted; return the pixels of every class.

    The class map holds the class with the highest score, the first of equals, and 255 exactly where the scores are
    invalid; the scores file holds NaN there. Both files appear together and complete, or not at all. Their bytes do not
    depend on ``block_px``.

    Args:
        scores: The scores, one band a class, of any kind; read once, block by block.
        schema: The classes.
        map_path: File for the class map.
        scores_path: File for the scores, or None.
        block_px: Side of the blocks read and written.
        force: Replace files that exist.
        progress: Told the pixels done and the pixels in all.
        tags: Metadata for both files.

    Raises:
        OutputError: If a file exists and ``force`` is not given, is given twice, is the input, or cannot be written.
        ModelError: If there are not as many scores as classes.
        SceneError: If no pixel is valid.
    """
    outputs = [Output(scores, map_path, scores_path)]
    return write_outputs(outputs, schema, block_px=block_px, force=force, progress=progress, tags=tags)[0]


def write_outputs(
    outputs: Sequence[Output],
    schema: ClassSchema,
    *,
    block_px: int = BLOCK_PX,
    force: bool = False,
    progress: Progress | None = None,
    tags: Mapping[str, str] | None = None,
) -> list[tuple[int, ...]]:
    """Write several rasters of scores on one grid, as ``write_maps`` does, in one walk over the scene.

    Raises:
        As ``write_maps`` does.
    """
    for output in outputs:
        _check_classes(output.scores, schema)
    check_paths([path for output in outputs for path in output.paths], [output.scores.path for output in outputs])
    shape = outputs[0].scores.grid.shape
    counts = np.zeros((len(outputs), len(schema)), np.int64)
    done = 0
    with _Files() as files:
        sinks = [_Sink(output, schema, files, tags, force) for output in outputs]
        for block in visit_blocks(shape, block_px):
            counts += np.stack([sink.write(block) for sink in sinks])
            done += block.height * block.width
            if progress is not None:
                progress(done, shape[0] * shape[1])
        if not counts.any():
            raise SceneError(
                f"{outputs[0].scores.path} holds no valid pixel.",
                expected="a scene with at least one pixel that is not nodata",
                remedy="check the scene's nodata value and mask with gdalinfo",
            )
    return [tuple(int(value) for value in count) for count in counts]


class _Sink:
    """The open files of one output."""

    def __init__(
        self, output: Output, schema: ClassSchema, files: _Files, tags: Mapping[str, str] | None, force: bool
    ) -> None:
        self._scores = output.scores
        self._classes = len(schema)
        self._map_writer: RasterWriter | None = None
        self._scores_writer: RasterWriter | None = None
        grid = output.scores.grid
        if output.map_path is not None:
            writer = class_map_writer(output.map_path, grid, schema, tags=tags, force=force)
            self._map_writer = files.open(writer)
        if output.scores_path is not None:
            writer = scores_writer(output.scores_path, grid, schema.names, tags=tags, force=force)
            self._scores_writer = files.open(writer)

    def write(self, block: Block) -> CountArray:
        """Write one block; return the pixels of every class. What holds no valid pixel stays nodata unwritten."""
        scores, valid = self._scores.read(block)
        if not valid.any():
            return np.zeros(self._classes, np.int64)
        classes = class_map(scores, valid)
        if self._map_writer is not None:
            self._map_writer.write(block, classes)
        if self._scores_writer is not None:
            scores[:, ~valid] = np.nan
            self._scores_writer.write(block, scores)
        return np.bincount(classes[valid], minlength=self._classes)


def class_map(scores: FloatArray, valid: BoolArray) -> LabelArray:
    """Return the class with the highest score, the first of equals; 255 where invalid.

    Args:
        scores: (class, row, col).
        valid: (row, col).
    """
    return np.where(valid, scores.argmax(axis=0), IGNORE).astype(np.uint8)


class _Files:
    """Files that are finished together: where one fails, those finished before it are removed again."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._finished: list[Path] = []

    def open(self, writer: RasterWriter) -> RasterWriter:
        """Enter a writer; it is finished or discarded with the others."""
        self._stack.push(lambda kind, error, trace: self._note(writer.path, kind is None))
        return self._stack.enter_context(writer)

    def _note(self, path: Path, finished: bool) -> bool:
        if finished:
            self._finished.append(path)
        return False

    def __enter__(self) -> _Files:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stack.__exit__(kind, error, trace)
        except BaseException:
            for path in self._finished:
                path.unlink(missing_ok=True)
            raise


def _check_classes(scores: SceneReader, schema: ClassSchema) -> None:
    if scores.band_count != len(schema):
        raise ModelError(
            f"{scores.path} gives {scores.band_count} scores a pixel for {len(schema)} classes.",
            expected=f"one score for each of {', '.join(schema.names)}",
            remedy="give the scores of these classes, one band a class",
        )
