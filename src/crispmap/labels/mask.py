"""Labels from rasters: class ids, class colours or binary masks, on a scene's grid.

The meaning of the values is inferred from all of them on the grid:

* with a threshold: grey values, of which those of the threshold or more are class 1;
* three or four bands: colours of the schema; if not all are and the schema has two classes, black and white; ids that
  are repeated in every band;
* one band whose colour table gives every value a colour of the schema: those colours;
* one band of 0 and 255 only (or lossily compressed), and a schema of two classes: 255 is class 1, unless 255
  is the file's nodata value;
* one band otherwise: class ids, 255 for unknown.

Colours that are exact come first; a mask that can be read in two other ways is an error.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapWarning, GeoreferenceWarning, GridError, LabelError, SceneError
from crispmap.files.address import gdal_name, is_missing, shown, unpacked_suffix
from crispmap.files.dataset import GDAL_ERRORS, gdal_settings, open_dataset
from crispmap.files.north_up import in_order_of
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import turns_between
from crispmap.labels import palette
from crispmap.labels.mask_checks import check_threshold, refuse_class_as_nodata, warn_of_black_and_white
from crispmap.labels.mask_values import count_codes, read_codes, read_grey, traits_of
from crispmap.labels.osm import default_schema
from crispmap.labels.reader import PARQUET_SUFFIXES, SCENE_COORDINATES, LabelOptions, LabelReader
from crispmap.labels.warped import WarpedRaster
from crispmap.raster.writer import read_class_schema
from crispmap.types import IGNORE, BoolArray, LabelArray

if TYPE_CHECKING:  # masks are read without what vectors need
    from crispmap.labels.kept import KeptVectors

_SURVEY_PX = 1024
_MOST_VALUES = 1 << 16  # a one-band raster of more distinct values is an image
_VECTOR_SUFFIXES = (
    *PARQUET_SUFFIXES,
    *(".geojson", ".json", ".gpkg", ".shp", ".fgb", ".osm", ".pbf"),
    *(".kml", ".kmz", ".gml", ".gpx", ".gdb", ".tab", ".zip"),
    *(".geojsonl", ".geojsons", ".ndjson", ".jsonl"),
    *(".csv", ".tsv", ".dbf", ".xlsx"),
)


def open_labels(
    path: str | Path,
    schema: ClassSchema,
    grid: Grid,
    *,
    options: LabelOptions | None = None,
    vectors: KeptVectors | None = None,
    about: Grid | None = None,
) -> LabelReader:
    """Return the labels of a file, vectors or a mask, on a grid.

    Args:
        path: A vector file (see ``read_vectors``) or a raster (see this module), or the address of one.
        vectors: Vectors that were read before, or are to be kept for others.
        about: The grid that vectors are read about, by default the same: of grids over one scene one is enough.

    Raises:
        LabelError: If the file is missing or unreadable, does not overlap the grid, or holds no class.
    """
    options = options or LabelOptions()
    path = Path(path)
    if is_missing(path):
        raise LabelError(
            f"There is no file {path}.", expected="a vector file or a mask raster", remedy="Check the path."
        )
    try:
        if not is_vector_file(path):
            return MaskLabels(path, schema, grid, options=options)
    except LabelError as error:
        if not isinstance(error.__cause__, SceneError) or not _holds_vectors(path):
            raise
    from crispmap.labels.kept import KeptVectors
    from crispmap.labels.rasterize import VectorLabels

    features = (vectors or KeptVectors()).read(path, schema, grid=about or grid, options=options, points=True)
    return VectorLabels(
        features, grid, schema, road_width_m=options.road_width_m, all_touched=options.all_touched,
        point_px=options.point_px,
    )  # fmt: skip


def _holds_vectors(path: Path) -> bool:
    """Return whether a file that is no raster, and whose name does not show what it is, holds vectors."""
    from crispmap.labels.layers import drawn_layers

    try:
        return bool(drawn_layers(path, points=True))
    except LabelError:
        return False


def is_vector_file(path: Path) -> bool:
    """Return whether labels in a file of this name are vectors rather than a mask."""
    return unpacked_suffix(path) in _VECTOR_SUFFIXES


def schema_of_labels(path: Path, all_as: str | None = None) -> ClassSchema:
    """Return the classes that a class map of crispmap carries, else the default ones, with the preset ``all_as``.

    Raises:
        SceneError: If its classes cannot be read.
    """
    if is_missing(path) or is_vector_file(path):
        return default_schema(all_as)
    return read_class_schema(path) or default_schema(all_as)


class MaskLabels:
    """A mask raster as class ids on a grid; a ``LabelReader``.

    A mask on another grid is warped to this one by nearest neighbour; outside the mask, and at its nodata, the label is
    IGNORE.

    Args:
        options: ``assume_crs``, ``unknown``, ``tolerance`` and ``threshold`` apply.

    Raises:
        LabelError: If the file cannot be read, is of another place, holds values or colours of no class, or can be
            read in two ways; with a threshold, if the schema has more than two classes.
    """

    def __init__(
        self, path: str | Path, schema: ClassSchema, grid: Grid, *, options: LabelOptions | None = None
    ) -> None:
        self.path = Path(path)
        self._name = shown(path)
        self.schema = schema
        self.grid = grid
        self._options = options or LabelOptions()
        try:
            self._file = open_dataset(self.path)
        except SceneError as error:
            raise LabelError(error.given, expected=error.expected, remedy=error.remedy) from error
        self._source = self._file
        try:
            self._traits = _traits_of(self._file, self._name)
            self._source = self._on_grid()
            self._decode = self._choose_decoder()
        except BaseException:
            self.close()
            raise

    def read(self, block: Block) -> LabelArray:
        """Return the class ids (row, col) of a block inside the grid.

        Raises:
            GridError: If the block reaches outside the grid.
            LabelError: If the file cannot be read there.
        """
        if self.grid.block.intersection(block) != block:
            raise GridError(f"{block} reaches outside a grid of shape {self.grid.shape}.", expected="a block inside")
        if block.is_empty:
            return np.zeros(block.shape, dtype=np.uint8)
        codes, valid = self._codes(block)
        ids = np.take(self._id_of_byte, codes) if codes.dtype == np.uint8 else self._ids(codes)
        return ids if valid.all() else np.where(valid, ids, np.uint8(IGNORE))

    @cached_property
    def _id_of_byte(self) -> LabelArray:
        """The class id of every code of one byte."""
        return self._ids(np.arange(256))

    def _ids(self, codes: palette.Codes) -> LabelArray:
        ids = self._decode(codes)
        return np.where(ids == palette.UNKNOWN, IGNORE, ids).astype(np.uint8)

    def close(self) -> None:
        """Close the file."""
        if isinstance(self._source, WarpedRaster):
            self._source.close()
        self._file.close()

    def _on_grid(self) -> DatasetReader | WarpedRaster:
        """Return the file itself if it lies on our grid, else a warped view of it."""
        crs = _crs_of(self._file, self._options.assume_crs, self.grid, self._name)
        if crs is None:
            self._file = in_order_of(self._file, self._options.turn)
        shape = (self._file.height, self._file.width)
        if crs is None or self.grid.crs is None:
            self._require_same_pixels(crs)
            return self._file
        own = Grid(crs, self._file.transform, shape)
        if own.is_close(self.grid):
            return self._file
        self._require_overlap(own)
        return WarpedRaster(self._file, own, self.grid)

    def _require_overlap(self, own: Grid) -> None:
        """Raise LabelError unless mask and grid overlap; GDAL's own error is obscure."""
        from crispmap.labels.layers import grid_box

        (left, bottom, right, top), wanted = own.bounds, grid_box(self.grid, own.crs)
        if wanted is None or (
            turns_between(wanted[::2], (left, right), own.crs) and wanted[1] < top and bottom < wanted[3]
        ):
            return
        raise self._empty_error()

    def _require_same_pixels(self, crs: CRS | None) -> None:
        """Check that mask and scene, one of them without a CRS, match pixel by pixel.

        A mask with a CRS can only be the scene's where that is not placed, and of its shape; likewise the other way.
        """
        grid = self.grid
        own = Grid(crs, self._file.transform, (self._file.height, self._file.width))
        if own.shape != grid.shape:
            raise LabelError(
                f"{self._name} ({own.height} x {own.width} pixels) and the scene ({grid.height} x {grid.width}) "
                "are not both georeferenced, and differ in shape.",
                expected="a mask of the scene's shape, or a CRS on both sides",
                remedy="Georeference the mask (gdal_edit.py), or cut it to the scene.",
            )
        if not own.has_pixels_of(grid):
            raise LabelError(
                f"{self._name} and the scene both have coordinates, which differ, and not both a coordinate reference "
                f"system. Mask: {own.bounds}; scene: {grid.bounds}.",
                expected="a CRS on both sides, or no georeference on one",
                remedy="Give the CRS of the mask as assume_crs=EPSG:..., or the scene one (gdal_edit.py -a_srs).",
            )
        if own.is_placed != grid.is_placed or (crs is None) != (grid.crs is None):
            warnings.warn(
                f"Only one of {self._name} and the scene is georeferenced; they have the same shape and are matched "
                "pixel by pixel.",
                GeoreferenceWarning,
                stacklevel=4,
            )

    def _codes(self, block: Block) -> tuple[palette.Codes, BoolArray]:
        """Return the codes of a block's pixels, and which of them are valid."""
        window, threshold = Window(block.col, block.row, block.width, block.height), self._options.threshold
        with self._readable(f" at {block}"):
            if threshold is None:
                return read_codes(self._source, self._traits, window)
            grey, valid = read_grey(self._source, self._traits, window)
        return np.where(np.isnan(grey), palette.NOT_WHOLE, grey >= threshold).astype(np.int64), valid

    @contextmanager
    def _readable(self, where: str = "") -> Iterator[None]:
        """Raise an error of reading as LabelError."""
        try:
            with gdal_settings(gdal_name(self.path)):
                yield
        except GDAL_ERRORS as error:
            raise LabelError(
                f"{self._name} cannot be read{where}: {error}",
                expected="a complete file",
                remedy="Copy or download the file again; check it with gdalinfo -checksum.",
            ) from error

    def _choose_decoder(self) -> palette.Decoder:
        """Return the decoder for the mask's codes on the grid, or raise LabelError for none, or codes of no class."""
        found = self._survey()
        if not found:
            raise self._empty_error()
        codes, options = np.array(sorted(found), dtype=np.int64), self._options
        check_threshold(found, self._name, self.schema, options)
        decode: palette.Decoder = partial(palette.by_id, classes=2)  # with a threshold the codes are ids
        if options.threshold is None:
            decode = palette.choose_decoder(codes, self._traits, self.schema, options.tolerance)
        unknown = {int(code): found[int(code)] for code in codes[decode(codes) == palette.UNKNOWN]}
        if len(unknown) == len(codes) or (unknown and self._options.unknown == "error"):
            raise self._unknown_error(unknown)
        with self._readable():
            refuse_class_as_nodata(self._file, decode, self.schema, options)
            warn_of_black_and_white(self._file, set(found), self.schema)
        if unknown:
            warnings.warn(
                f"{self._name}: {sum(unknown.values())} of {sum(found.values())} pixels hold "
                f"{self._most_common(unknown)}, of no class, and are left out.",
                CrispmapWarning,
                stacklevel=3,
            )
        return decode

    def _survey(self) -> dict[int, int]:
        """Return the number of pixels of each code on the grid."""
        found: dict[int, int] = {}
        for block in self.grid.blocks(_SURVEY_PX):
            codes, valid = self._codes(block)
            count_codes(codes if valid.all() else codes[valid], found)
            if len(found) > _MOST_VALUES:
                break
        return found

    def _empty_error(self) -> LabelError:
        scene = self.grid.crs.to_string() if self.grid.crs else "no CRS"
        mask = self._file.crs.to_string() if self._file.crs else "no CRS"
        return LabelError(
            f"{self._name} has no label on the scene: it is of another place, or holds nodata only. "
            f"Mask: {mask}, {tuple(self._file.bounds)}; scene: {scene}, {self.grid.bounds}.",
            expected="a mask that overlaps the scene",
            remedy="Check that the two files show the same place, and the CRS of each.",
        )

    def _unknown_error(self, unknown: dict[int, int]) -> LabelError:
        """Return the error that lists the most frequent codes of no class."""
        colour = self._traits.colour
        classes = (f"{one.colour if colour else index} {one.name}" for index, one in enumerate(self.schema))
        return LabelError(
            f"{self._name} holds {'colours' if colour else 'values'} of no class: {self._most_common(unknown)}.",
            expected=", ".join(classes),
            remedy="Add the classes, or leave such pixels out with unknown=ignore"
            + (", or read grey values with a threshold, such as threshold=128." if len(self.schema) == 2 else "."),
        )

    def _most_common(self, codes: dict[int, int]) -> str:
        common = sorted(codes.items(), key=lambda item: -item[1])[:5]
        most = ", ".join(f"{palette.show_code(code, self._traits.colour)} ({count} pixels)" for code, count in common)
        return most + (f" and {len(codes) - 5} more" if len(codes) > 5 else "")


def _traits_of(file: DatasetReader, name: str) -> palette.MaskTraits:
    """Return the traits of a mask's file; other than one, three or four bands are an error."""
    traits = traits_of(file, name)
    if traits is None:
        raise LabelError(
            f"{name} has {file.count} bands.",
            expected="a label mask: one band of class ids, or three or four bands of colours",
            remedy="This looks like an image; give a label mask.",
        )
    return traits


def _crs_of(file: DatasetReader, assumed: str | None, grid: Grid, name: str) -> CRS | None:
    """Return the CRS of a mask: its own, else the assumed one; None for a mask without georeference."""
    if assumed == SCENE_COORDINATES:
        return grid.crs
    if file.transform.is_identity:
        return None
    try:
        code = file.crs.to_epsg() if file.crs else None
        text = f"EPSG:{code}" if code else file.crs.to_wkt() if file.crs else assumed
        return CRS.from_user_input(text) if text else None
    except CRSError as error:
        raise LabelError(
            f"The CRS of {name} cannot be understood: {error}",
            expected="a code such as EPSG:32631",
            remedy="Give the CRS it is in as assume_crs=EPSG:..., or assign it again (gdal_edit.py).",
        ) from error
