"""Rasters to files: written block by block in any order, complete or not there at all.

The pixels gather in an uncompressed scratch file inside a hidden folder beside the target; on success they
become a Cloud-Optimized GeoTIFF, which is read back, compared with what was written and only then renamed
onto the target. So the bytes of the file depend on the pixels alone, not on the order or the cut of the
writing, and neither a crash nor a full disk leaves half a map behind. (GDAL itself keeps quiet about a disk
that fills up while it closes a file or compresses in several threads: hence the reading back.)
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import rasterio
import rasterio.crs
import rasterio.shutil
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import OutputError, SceneError, SchemaError
from crispmap.grid import Block, Grid
from crispmap.scene.raster import open_dataset
from crispmap.types import IGNORE
from crispmap.whole_file import check_free

CLASSES_TAG = "CRISPMAP_CLASSES"
"""The tag of a class map that holds its class schema as JSON."""

SCORES_TAG = "CRISPMAP_SCORES"
"""The tag of a score raster that tells what its values are: ``logit``."""

_CLASSES_IN_LEGEND = 16
_SUFFIXES = (".tif", ".tiff")
_SIDECARS = (".aux.xml", ".ovr", ".msk")


def check_target(path: str | Path, *, force: bool = False) -> Path:
    """Return the path of a file to be written, once it is sure that it may be.

    Nothing is created or changed.

    Raises:
        OutputError: If the target is a folder, exists and ``force`` is not given, or its folder is missing or
            cannot be written to.
    """
    target = check_free(path, force=force)
    folder = target.absolute().parent
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(
                f"{folder} is no folder.", expected="a path in a folder that is there", remedy="Choose another path."
            )
        raise OutputError(
            f"The folder {folder} does not exist.",
            expected="a path in a folder that is there",
            remedy=f"Create it: mkdir -p {shlex.quote(str(folder))}",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"The folder {folder} cannot be written to.",
            expected="a folder you may write to",
            remedy="Choose another folder.",
        )
    return target


def check_raster_target(path: str | Path, *, force: bool = False) -> Path:
    """Return the path of a raster to be written, once it is sure that it may be.

    Raises:
        OutputError: As ``check_target``; or if the name does not end as that of a GeoTIFF, for programs go by it.
    """
    target = Path(path)
    if target.suffix.lower() not in _SUFFIXES and not target.is_dir():
        raise OutputError(
            f"{target} is to be a GeoTIFF, but is not called like one.",
            expected="a name that ends in .tif",
            remedy=f"Name it {target.with_suffix('.tif')}.",
        )
    return check_target(target, force=force)


def check_paths(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Check that every output has a path of its own that is no input's.

    Raises:
        OutputError: If a path is given twice.
    """
    seen = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in seen:
            raise OutputError(
                f"{path} is to be written but is also an input or another output.",
                expected="a path of its own for every file",
                remedy="Give another path.",
            )
        seen.add(path.resolve())


@dataclass
class RasterWriter:
    """A raster being written; a context manager.

    On leaving ``with`` normally the target is a Cloud-Optimized GeoTIFF: tiled, DEFLATE with predictor,
    overviews, BigTIFF where needed. On leaving by an exception, KeyboardInterrupt included, nothing is left
    and an older target stands untouched. Pixels never written hold nodata (0 without nodata).

    While writing, the folder of the target needs room for the uncompressed raster and for the compressed one.

    Attributes:
        path: The file to write.
        grid: Where its pixels lie.
        count: Number of bands.
        dtype: Type of the values, any of GDAL's real types.
        nodata: The value that means "no data", or None.
        force: Whether an existing file may be replaced; sidecar files GDAL keeps for it (.aux.xml, .ovr,
            .msk) are then removed, for they describe the old one.
        descriptions: One text a band, or none.
        colormap: Value -> (red, green, blue[, alpha]) for one-band uint8 rasters.
        tags: Metadata of the file.
        tile_px: Side of the file's tiles, a multiple of 16.

    Raises:
        OutputError: On construction, if the target exists without ``force`` or cannot be written; on
            entering, if the disk has no room for the uncompressed raster; later, if it is full or fails.
    """

    path: Path
    grid: Grid
    _: KW_ONLY
    count: int
    dtype: str | np.dtype[Any] | type[np.generic]
    nodata: float | None
    force: bool = False
    descriptions: Sequence[str] = ()
    colormap: Mapping[int, tuple[int, ...]] | None = None
    tags: Mapping[str, str] | None = None
    tile_px: int = 256
    _folder: Path | None = field(default=None, init=False, repr=False)
    _dataset: DatasetWriter | None = field(default=None, init=False, repr=False)
    _written: list[tuple[Block, int]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self.dtype = np.dtype(self.dtype)
        if self.descriptions and len(self.descriptions) != self.count:
            raise ValueError(f"{len(self.descriptions)} descriptions for {self.count} bands")
        self.path = check_target(self.path, force=self.force)

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
        needed = self.count * self.grid.height * self.grid.width * np.dtype(self.dtype).itemsize
        free = shutil.disk_usage(self.path.absolute().parent).free
        if free < needed:
            raise OutputError(
                f"{self.path} needs {_size(needed)} while it is written; the disk has {_size(free)} free.",
                expected="a disk with enough space",
                remedy="Free some space, or choose another disk.",
            )

    def _create(self, path: Path) -> DatasetWriter:
        """Create the scratch file with all its metadata."""
        crs = None if self.grid.crs is None else rasterio.crs.CRS.from_wkt(self.grid.crs.to_wkt())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset: DatasetWriter = rasterio.open(
                path,
                "w",
                driver="GTiff",
                height=self.grid.height,
                width=self.grid.width,
                count=self.count,
                dtype=np.dtype(self.dtype).name,
                crs=crs,
                transform=self.grid.transform,
                nodata=self.nodata,
                tiled=True,
                blockxsize=self.tile_px,
                blockysize=self.tile_px,
                interleave="band",
                bigtiff="IF_SAFER",
                sparse_ok=True,
            )
        for band, text in enumerate(self.descriptions, 1):
            dataset.set_band_description(band, text)
        if self.colormap:
            dataset.write_colormap(1, dict(self.colormap))
        dataset.update_tags(**(self.tags or {}))
        return dataset

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
        values = self._checked(block, array)
        if block.is_empty:
            return
        try:
            window = Window(block.col, block.row, block.width, block.height)
            self._dataset.write(values, window=window)
        except (RasterioError, OSError) as error:
            raise self._failure(error) from error
        self._written.append((block, zlib.crc32(values.tobytes())))

    def _checked(self, block: Block, array: ArrayLike) -> NDArray[Any]:
        """Return the values as (band, row, col) in the raster's type, or raise ValueError."""
        values = np.asarray(array)
        if values.ndim == 2:
            values = values[None]
        if values.shape != (self.count, *block.shape):
            raise ValueError(f"array of shape {values.shape} for {(self.count, *block.shape)}")
        if block.intersection(self.grid.block) != block and not block.is_empty:
            raise ValueError(f"{block} leaves the grid of shape {self.grid.shape}")
        dtype = np.dtype(self.dtype)
        if not (np.can_cast(values.dtype, dtype, "same_kind") or dtype.kind == "f"):
            raise ValueError(f"{values.dtype} values for a raster of {dtype}")
        return np.ascontiguousarray(values, dtype)

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
            self._optimise(self._folder / "scratch.tif", finished)
            self._verify(finished)
            check_target(self.path, force=self.force)  # somebody may have written it meanwhile
            finished.replace(self.path)
        except (RasterioError, OSError) as error:
            raise self._failure(error) from error
        for suffix in _SIDECARS:
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _optimise(self, scratch: Path, finished: Path) -> None:
        """Copy the scratch file into a Cloud-Optimized GeoTIFF."""
        options = {
            "COMPRESS": "DEFLATE",
            "PREDICTOR": "YES",
            "BLOCKSIZE": str(self.tile_px),
            "BIGTIFF": "IF_SAFER",
            "NUM_THREADS": "ALL_CPUS",
            "OVERVIEW_RESAMPLING": "MODE" if self.colormap else "AVERAGE",
        }
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
                rasterio.shutil.copy(scratch, finished, driver="COG", **options)
        except Exception as error:  # GDAL's errors come out of here raw, without a public base class
            raise self._failure(error) from error

    def _verify(self, finished: Path) -> None:
        """Raise OutputError unless the finished raster holds, pixel by pixel, what was written."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset = rasterio.open(finished)
        with dataset:
            for place, (block, checksum) in enumerate(self._written):
                window = Window(block.col, block.row, block.width, block.height)
                if zlib.crc32(dataset.read(window=window).tobytes()) == checksum:
                    continue
                later = (other for other, _ in self._written[place + 1 :])
                if all(block.intersection(other).is_empty for other in later):
                    raise OSError("the file does not hold what was written to it")

    def _failure(self, error: BaseException) -> OutputError:
        """Return the error to raise for a write that failed."""
        free = "an unknown amount"
        with suppress(OSError):
            free = _size(shutil.disk_usage(self.path.absolute().parent).free)
        return OutputError(
            f"{self.path} cannot be written: {error.__cause__ or error}. The disk has {free} free.",
            expected="a folder you may write to, with enough space",
            remedy="Free some space or choose another disk; what was written so far has been removed.",
        )

    def _discard(self) -> None:
        """Remove the scratch folder; harmless when done already."""
        if self._dataset is not None:
            with suppress(RasterioError, OSError):
                self._dataset.close()
            self._dataset = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _size(count: int) -> str:
    """Return a number of bytes for people, such as ``1.5 GB``."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


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
    colours: dict[int, tuple[int, ...]] = {index: (*one.rgb, 255) for index, one in enumerate(schema)}
    colours[IGNORE] = (0, 0, 0, 0)
    return RasterWriter(
        Path(path),
        grid,
        count=1,
        dtype=np.uint8,
        nodata=IGNORE,
        force=force,
        descriptions=(_legend(schema),),
        colormap=colours,
        tags={**(tags or {}), CLASSES_TAG: schema.to_json()},
    )


def _legend(schema: ClassSchema) -> str:
    """Return a band description that tells the class of each value: QGIS heads the legend with it."""
    if len(schema) > _CLASSES_IN_LEGEND:
        return "class"
    return f"class ({', '.join(f'{index} {one.name}' for index, one in enumerate(schema))})"


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
    return RasterWriter(
        Path(path),
        grid,
        count=len(names),
        dtype=np.float32,
        nodata=float("nan"),
        force=force,
        descriptions=tuple(names),
        tags={**(tags or {}), SCORES_TAG: "logit"},
    )


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
