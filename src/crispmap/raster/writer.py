"""Rasters to files: written block by block in any order, complete or not there at all.

The pixels gather in an uncompressed scratch file inside a hidden folder beside the target; on success they
become a Cloud-Optimized GeoTIFF, which is read back, compared with what was written and only then renamed
onto the target. So the bytes of the file depend on the pixels alone, not on the order or the cut of the
writing, and neither a crash nor a full disk leaves half a map behind. Work that is to survive a crash is
written through ``crispmap.raster.block_store``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from numpy.typing import ArrayLike
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import OutputError, SceneError, SchemaError
from crispmap.geo.grid import Block, Grid
from crispmap.raster.cog import checksum, create_raster, differing, write_cog
from crispmap.raster.files import open_dataset
from crispmap.raster.spec import CLASSES_TAG, SCORES_TAG, RasterSpec, class_map_spec, scores_spec
from crispmap.raster.targets import (
    check_paths,
    check_raster_target,
    check_target,
    put_in_place,
    size_text,
    sync_file,
    write_failure,
)

__all__ = [
    "CLASSES_TAG",
    "SCORES_TAG",
    "RasterWriter",
    "check_paths",
    "check_raster_target",
    "check_target",
    "class_map_writer",
    "read_class_schema",
    "scores_writer",
]


class RasterWriter:
    """A raster being written; a context manager.

    On leaving ``with`` normally the target is a Cloud-Optimized GeoTIFF: tiled, DEFLATE with predictor,
    overviews, BigTIFF where needed. On leaving by an exception, KeyboardInterrupt included, nothing is left
    and an older target stands untouched. Pixels never written hold nodata (0 without nodata).

    While writing, the folder of the target needs room for the uncompressed raster and for the compressed one.

    Args:
        spec: What is to be written, and where.
        force: Whether an existing file may be replaced; sidecar files GDAL keeps for it (.aux.xml, .ovr,
            .msk) are then removed, for they describe the old one.

    Attributes:
        path: The file to write.
        grid: Where its pixels lie.

    Raises:
        OutputError: On construction, if the target exists without ``force`` or cannot be written; on
            entering, if the disk has no room for the uncompressed raster; later, if it is full or fails.
    """

    def __init__(self, spec: RasterSpec, *, force: bool = False) -> None:
        self.path = check_target(spec.path, force=force)
        self.grid = spec.grid
        self._spec = spec
        self._force = force
        self._folder: Path | None = None
        self._dataset: DatasetWriter | None = None
        self._written: list[tuple[Block, int]] = []

    def __enter__(self) -> Self:
        self._check_room()
        try:
            prefix = f".{self.path.name[:100]}."
            folder = tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=self.path.absolute().parent)
            self._folder = Path(folder)
            self._dataset = self._create(self._folder / "scratch.tif")
        except (RasterioError, OSError) as error:
            self._discard()
            raise self._failure(error) from error
        except BaseException:
            self._discard()
            raise
        return self

    def _check_room(self) -> None:
        """Raise OutputError where the disk cannot even hold the uncompressed raster."""
        needed = self._spec.count * self.grid.height * self.grid.width * self._spec.read_dtype.itemsize
        free = shutil.disk_usage(self.path.absolute().parent).free
        if free < needed:
            raise OutputError(
                f"{self.path} needs {size_text(needed)} while it is written; the disk has {size_text(free)} free.",
                expected="a disk with enough space",
                remedy="Free some space, or choose another disk.",
            )

    def _create(self, path: Path) -> DatasetWriter:
        """Create the scratch file with all its metadata."""
        return create_raster(
            path,
            self._spec,
            driver="GTiff",
            tiled=True,
            blockxsize=self._spec.tile_px,
            blockysize=self._spec.tile_px,
            interleave="band",
            bigtiff="IF_SAFER",
            sparse_ok=True,
        )

    def write(self, block: Block, array: ArrayLike) -> None:
        """Write one block; of blocks that overlap the later one stands.

        Args:
            block: A window inside the grid.
            array: Its values, (band, row, col), or (row, col) for one band, of a type that fits the raster's
                without loss of kind (any real number into a float raster, no float into an integer one).

        Raises:
            OutputError: If the disk is full or fails.
            ValueError: If the block leaves the grid, or shape or type do not fit.
        """
        if self._dataset is None:
            raise ValueError("write a raster inside its with statement")
        values = self._spec.checked(block, array)
        if block.is_empty:
            return
        try:
            window = Window(block.col, block.row, block.width, block.height)
            self._dataset.write(values, window=window)
        except (RasterioError, OSError) as error:
            raise self._failure(error) from error
        self._written.append((block, checksum(values)))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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
            check_target(self.path, force=self._force)  # somebody may have written it meanwhile
            put_in_place(finished, self.path)
        except (RasterioError, OSError) as error:
            raise self._failure(error) from error

    def _verify(self, finished: Path) -> None:
        """Raise OSError unless the finished raster holds, pixel by pixel, what was written last."""
        for place in differing(finished, self._spec, self._written):
            block = self._written[place][0]
            later = (other for other, _ in self._written[place + 1 :])
            if all(block.intersection(other).is_empty for other in later):
                raise OSError("the file does not hold what was written to it")

    def _failure(self, error: BaseException) -> OutputError:
        """Return the error to raise for a write that failed."""
        return write_failure(self.path, error, kept="what was written so far has been removed")

    def _discard(self) -> None:
        """Remove the scratch folder; harmless when done already."""
        if self._dataset is not None:
            with suppress(RasterioError, OSError):
                self._dataset.close()
            self._dataset = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def class_map_writer(
    path: str | Path,
    grid: Grid,
    schema: ClassSchema,
    *,
    tags: Mapping[str, str] | None = None,
    force: bool = False,
) -> RasterWriter:
    """Return the writer of a class map: uint8 class ids, nodata 255, colours, the schema in its tags.

    Raises:
        OutputError: If the target exists without ``force`` or cannot be written.
    """
    return RasterWriter(class_map_spec(path, grid, schema, tags or {}), force=force)


def scores_writer(
    path: str | Path,
    grid: Grid,
    names: Sequence[str],
    *,
    tags: Mapping[str, str] | None = None,
    force: bool = False,
) -> RasterWriter:
    """Return the writer of a score raster: float32 logits, one band a class under its name, nodata NaN.

    Raises:
        OutputError: If the target exists without ``force`` or cannot be written.
    """
    return RasterWriter(scores_spec(path, grid, names, tags or {}), force=force)


def read_class_schema(path: str | Path) -> ClassSchema | None:
    """Return the class schema a class map carries in its tags, or None where it carries none.

    Raises:
        SceneError: If the file cannot be opened, or carries a schema that cannot be read.
    """
    with open_dataset(path) as dataset:
        text = dataset.tags().get(CLASSES_TAG)
    if text is None:
        return None
    try:
        return ClassSchema.from_json(text)
    except SchemaError as error:
        raise SceneError(
            f"{path} carries class names that cannot be read: {error.given}",
            expected=f"a class schema in its tag {CLASSES_TAG}",
            remedy="The file is damaged; make the map again.",
        ) from error
