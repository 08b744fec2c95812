"""Rasters written to files block by block in any order; a file is complete or absent.

Pixels go to an uncompressed scratch file in a hidden folder beside the target; on success they become a Cloud-Optimized
GeoTIFF, which is read back, compared with what was written and renamed onto the target. So the bytes of the file depend
on the pixels alone, not on order or blocks, and neither a crash nor a full disk leaves half a map. Runs that must
survive a crash use ``crispmap.raster.block_store``.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from numpy.typing import ArrayLike
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import OutputError, SceneError, SchemaError
from crispmap.files.atomic import scratch_folder
from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import tags_of
from crispmap.geo.grid import Block, Grid
from crispmap.raster.beside import put_with_names
from crispmap.raster.cog import checksum, create_raster, differing, write_cog
from crispmap.raster.spec import CLASSES_TAG, RasterSpec, class_map_spec, scores_spec
from crispmap.raster.targets import (
    check_target,
    size_text,
    sync_file,
    write_failure,
)


class RasterWriter:
    """A raster being written; a context manager.

    On leaving ``with`` normally the target is a Cloud-Optimized GeoTIFF (see ``write_cog``). On leaving by an
    exception, KeyboardInterrupt included, nothing is left and an older target stays as it was. Pixels never written
    hold nodata (0 without nodata). Meanwhile the folder needs space for the uncompressed and the compressed raster.

    Args:
        spec: The raster to write.
        force: Whether an existing file, with its sidecar files, may be replaced.

    Raises:
        OutputError: On construction, if the target exists without ``force`` or cannot be written; on
            entering, if the disk has no space for the uncompressed raster; later, if it is full or fails.
    """

    def __init__(self, spec: RasterSpec, *, force: bool = False) -> None:
        self.path = check_target(spec.path, force=force)
        self.grid = spec.grid
        self._spec = spec
        self._force = force
        self._folder: Path | None = None
        self._held = ExitStack()
        self._dataset: DatasetWriter | None = None
        self._written: list[tuple[Block, int]] = []

    def __enter__(self) -> Self:
        self._check_room()
        try:
            self._folder = self._held.enter_context(scratch_folder(self.path))
            side = self._spec.tile_px
            tiles = {"tiled": True, "blockxsize": side, "blockysize": side, "interleave": "band", "sparse_ok": True}
            scratch = self._folder / "scratch.tif"
            self._dataset = create_raster(scratch, self._spec, driver="GTiff", bigtiff="IF_SAFER", **tiles)
        except (RasterioError, OSError) as error:
            self._discard()
            raise self._failure(error) from error
        except BaseException:
            self._discard()
            raise
        return self

    def _check_room(self) -> None:
        """Raise OutputError if the disk cannot even hold the uncompressed raster."""
        needed = self._spec.size
        free = shutil.disk_usage(self.path.absolute().parent).free
        if free < needed:
            raise OutputError(
                f"{self.path} needs {size_text(needed)} while it is written; the disk has {size_text(free)} free.",
                expected="a disk with enough space",
                remedy="Free some space, or choose another disk.",
            )

    def write(self, block: Block, array: ArrayLike) -> None:
        """Write one block, as ``RasterSpec.checked`` takes it; where blocks overlap, the later one wins.

        Raises:
            OutputError: If the disk is full or fails.
            ValueError: If the block leaves the grid, or shape or type do not fit.
        """
        if self._dataset is None:
            raise ValueError("a raster is written inside its with statement")
        values = self._spec.checked(block, array)
        if block.is_empty:
            return
        try:
            window = Window(block.col, block.row, block.width, block.height)
            self._dataset.write(values, window=window)
        except (RasterioError, OSError) as error:
            raise self._failure(error) from error
        self._written.append((block, checksum(values)))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._discard()

    def _finish(self) -> None:
        """Turn the scratch file into the finished raster and move it onto the target."""
        if self._dataset is None or self._folder is None:
            raise ValueError("a raster is finished once")
        finished = self._folder / "finished.tif"
        try:
            self._dataset.close()
            write_cog(self._folder / "scratch.tif", finished, self._spec)
            self._verify(finished)
            sync_file(finished)
            check_target(self.path, force=self._force)  # another program may have written it meanwhile
            put_with_names(finished, self._spec)
        except (RasterioError, OSError) as error:
            raise self._failure(error) from error

    def _verify(self, finished: Path) -> None:
        """Raise OSError unless the finished raster holds the pixels that were written last."""
        for place in differing(finished, self._spec, self._written):
            block = self._written[place][0]
            later = (other for other, _ in self._written[place + 1 :])
            if all(block.intersection(other).is_empty for other in later):
                raise OSError("the file does not hold what was written to it")

    def _failure(self, error: BaseException) -> OutputError:
        return write_failure(self.path, error, kept="what was written so far has been removed")

    def _discard(self) -> None:
        """Remove the scratch folder; harmless the second time."""
        if self._dataset is not None:
            with suppress(RasterioError, OSError):
                self._dataset.close()
            self._dataset = None
        self._held.close()
        self._folder = None


def class_map_writer(
    path: str | Path, grid: Grid, schema: ClassSchema, *, tags: Mapping[str, str] | None = None, force: bool = False
) -> RasterWriter:
    """Return the writer of a class map, see ``class_map_spec``.

    Raises:
        OutputError: If the target exists without ``force`` or cannot be written.
    """
    return RasterWriter(class_map_spec(path, grid, schema, tags or {}), force=force)


def scores_writer(
    path: str | Path, grid: Grid, names: Sequence[str], *, tags: Mapping[str, str] | None = None, force: bool = False
) -> RasterWriter:
    """Return the writer of a raster of float32 logits, see ``scores_spec``.

    Raises:
        OutputError: If the target exists without ``force`` or cannot be written.
    """
    return RasterWriter(scores_spec(path, grid, names, tags or {}), force=force)


def read_class_schema(path: str | Path) -> ClassSchema | None:
    """Return the class schema in the tags of a class map, or None without one.

    Raises:
        SceneError: If the file cannot be opened, or its schema cannot be read.
    """
    with open_dataset(path) as dataset:
        text = tags_of(dataset).get(CLASSES_TAG)
    if text is None:
        return None
    try:
        return ClassSchema.from_json(text)
    except SchemaError as error:
        raise SceneError(
            f"{path} has class names that cannot be read: {error.given}",
            expected=f"a class schema in its tag {CLASSES_TAG}",
            remedy="The file is damaged; make the map again.",
        ) from error
