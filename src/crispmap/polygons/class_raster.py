"""Class ids and class names of any raster, read strip by strip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import SceneError, SchemaError
from crispmap.files.dataset import GDAL_ERRORS, open_dataset
from crispmap.files.raster_text import tags_of
from crispmap.geo.grid import Grid
from crispmap.labels.warped import WarpedRaster
from crispmap.polygons.corners import NOTHING, Values
from crispmap.raster.files import read_grid
from crispmap.raster.spec import SCORES_TAG
from crispmap.raster.writer import read_class_schema
from crispmap.types import BoolArray

ALL = "all"  # all classes, including the background

_STRIP_PIXELS = 1 << 19


class ClassRaster:
    """A raster of class ids; a context manager. Its ``schema`` is None if it does not name its classes.

    Raises:
        SceneError: If the file is missing or not a raster, or its values cannot be class ids.

    Warns:
        GeoreferenceWarning: If it has no georeference: a pixel then counts as one metre.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = open_dataset(path)
        try:
            self._check_kind()
            self.schema: ClassSchema | None = read_class_schema(path)
            self.grid: Grid = read_grid(path)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def on(self, grid: Grid) -> WarpedRaster:
        """Return a view of it on another grid, by nearest neighbour; both have a CRS. Closing is for the caller."""
        return WarpedRaster(self._file, self.grid, grid)

    def name_of(self, class_id: int) -> str:
        """Return the name of a class, or its id if it has none."""
        known = self.schema is not None and 0 <= class_id < len(self.schema)
        return self.schema[class_id].name if known and self.schema is not None else str(class_id)

    def ids_of(self, names: Sequence[str] | None) -> list[int] | None:
        """Return the ids of classes given by name or id, each once; None for all.

        Args:
            names: Names of the schema, or ids; ``["all"]`` for all; None for all but 0, the background.

        Raises:
            SchemaError: If a name is unknown, or none is given.
        """
        if names is None:
            return None
        if not names:
            raise SchemaError(
                "No class is named.",
                expected="names or ids of classes separated by commas",
                remedy="Write them like classes=building,road; crispmap info lists the classes of a map.",
            )
        return sorted({self._id_of(name) for name in names})

    def strips(self, ids: Sequence[int] | None, *, background: bool, rows: int | None = None) -> Iterator[Values]:
        """Yield strips of class ids from the top, int32 (row, col), NOTHING where no wanted class is.

        Args:
            ids: The classes wanted; None for all.
            background: With all, whether id 0 is wanted too.

        Raises:
            SceneError: If the file cannot be read, or holds values that are not ids.
        """
        step = rows or max(1, _STRIP_PIXELS // self.grid.width)
        tall = self._file.block_shapes[0][0]  # whole rows of tiles are read, so that each is decoded once
        for top in range(0, self.grid.height, -(-step // tall) * tall):
            raw, mask = self._read(top, min(-(-step // tall) * tall, self.grid.height - top))
            for row in range(0, len(raw), step):
                values = self._ids(raw[row : row + step], mask[row : row + step] != 0)
                if ids is not None:
                    values[~np.isin(values, ids)] = NOTHING
                elif not background:
                    values[values == 0] = NOTHING
                yield values

    def rows(self, row: int, height: int) -> Values:
        """Return the class ids of whole rows, int32 (row, col), NOTHING where there is none.

        Raises:
            SceneError: As ``strips``.
        """
        raw, mask = self._read(row, height)
        return self._ids(raw, mask != 0)

    def _read(self, row: int, height: int) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        """Return the stored values of rows, and their mask, 0 where invalid."""
        window = Window(0, row, self.grid.width, height)
        try:
            return self._file.read(1, window=window), self._file.read_masks(1, window=window)
        except GDAL_ERRORS as error:
            raise SceneError(
                f"{self.path} cannot be read at rows {row}..{row + height - 1}: {error.__cause__ or error}",
                expected="a complete raster file",
                remedy="Copy or download the file again; check it with gdalinfo -checksum.",
            ) from error

    def _ids(self, raw: NDArray[Any], valid: BoolArray) -> Values:
        """Return stored values as class ids."""
        if raw.dtype.kind == "f":
            valid = valid & ~np.isnan(raw)
        if raw.dtype.kind == "f" or raw.dtype.itemsize > 2:
            self._check_values(raw[valid])
        values = np.full(raw.shape, NOTHING, np.int32)
        np.copyto(values, raw, where=valid, casting="unsafe")
        return values

    def _check_values(self, values: NDArray[Any]) -> None:
        """Raise SceneError unless values are integers within the range of ids."""
        limit = np.iinfo(np.int32).max
        plain = np.asarray(values, np.float64)
        wrong = plain[(plain != np.trunc(plain)) | (np.abs(plain) > limit)]
        if len(wrong):
            raise SceneError(
                f"{self.path} holds the value {wrong[0]:.6g}, which is not a class id.",
                expected="integers",
                remedy="Give a class map; this looks like an image or heights.",
            )

    def _check_kind(self) -> None:
        """Raise SceneError if the file's bands or tags show that it is not class ids."""
        bands = [band for band, kind in enumerate(self._file.colorinterp, 1) if kind is not ColorInterp.alpha]
        scores = SCORES_TAG in tags_of(self._file)
        if len(bands) != 1 or bands != [1] or scores or "complex" in self._file.dtypes[0]:
            what = "scores" if scores else "complex values" if len(bands) == 1 else f"{len(bands)} bands"
            raise SceneError(
                f"{self.path} holds {what}.",
                expected="one band of class ids",
                remedy="Give a class map, such as map.tif of crispmap predict.",
            )

    def _id_of(self, name: str) -> int:
        if self.schema is not None and name in self.schema.names:
            return self.schema.id_of(name)
        if name.lstrip("-").isdecimal() and (self.schema is None or 0 <= int(name) < len(self.schema)):
            return int(name)
        named = f"some of {', '.join(self.schema.names)}, or {ALL}" if self.schema else ""
        raise SchemaError(
            f"{self.path} has no class {name!r}.",
            expected=named or "integers, as the file does not name its classes",
            remedy="Correct the name; crispmap info lists the classes of a map.",
        )
