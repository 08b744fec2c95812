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
from contextlib import suppress
from pathlib import Path

import numpy as np
import rasterio.crs
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from crispmap.classes import ClassSchema
from crispmap.errors import GeoreferenceWarning, GridError, LabelError, SceneError
from crispmap.files.address import gdal_name, is_missing, shown, suffix_of
from crispmap.files.dataset import GDAL_ERRORS, gdal_settings, open_dataset
from crispmap.geo.grid import Block, Grid
from crispmap.labels import palette
from crispmap.labels.layers import PARQUET_SUFFIXES
from crispmap.labels.nearby import near_boxes
from crispmap.labels.rasterize import VectorLabels
from crispmap.labels.reader import SCENE_COORDINATES, LabelOptions, LabelReader
from crispmap.labels.vectors import read_vectors
from crispmap.types import IGNORE, BoolArray, LabelArray

_SURVEY_PX = 1024
_MOST_VALUES = 1 << 16  # a one-band raster of more distinct values is an image
_LOSSY = {"JPEG", "JP2OPENJPEG", "WEBP", "JPEG2000"}
_VECTOR_SUFFIXES = (
    *PARQUET_SUFFIXES,
    *(".geojson", ".json", ".geojsonl", ".gpkg", ".shp", ".fgb", ".osm", ".pbf"),
    *(".kml", ".kmz", ".gml", ".gpx", ".gdb", ".tab", ".zip"),
    *(".csv", ".tsv", ".dbf", ".xlsx"),
)


def open_labels(
    path: str | Path, schema: ClassSchema, grid: Grid, *, options: LabelOptions | None = None
) -> LabelReader:
    """Return the labels of a file, vectors or a mask, on a grid.

    Args:
        path: A vector file (see ``read_vectors``) or a raster (see this module), or the address of one.

    Raises:
        LabelError: If the file is missing or unreadable, does not overlap the grid, or holds no class.
    """
    options = options or LabelOptions()
    path = Path(path)
    if is_missing(path):
        raise LabelError(
            f"There is no file {path}.", expected="a vector file or a mask raster", remedy="Check the path."
        )
    if not is_vector_file(path):
        return MaskLabels(path, schema, grid, options=options)
    features = read_vectors(path, schema, grid=grid, options=options)
    return VectorLabels(features, grid, schema, road_width_m=options.road_width_m, all_touched=options.all_touched)


def is_vector_file(path: Path) -> bool:
    """Return whether labels in a file of this name are vectors rather than a mask."""
    return suffix_of(path) in _VECTOR_SUFFIXES


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
        ids = self._decode(codes)
        ids[(ids == palette.UNKNOWN) | ~valid] = IGNORE
        return ids.astype(np.uint8)

    def close(self) -> None:
        """Close the file."""
        if self._source is not self._file:
            self._source.close()
        self._file.close()

    def _on_grid(self) -> DatasetReader:
        """Return the file itself if it lies on our grid, else a warped view of it."""
        crs = _crs_of(self._file, self._options.assume_crs, self.grid, self._name)
        shape = (self._file.height, self._file.width)
        if crs is None or self.grid.crs is None:
            self._require_same_pixels(crs)
            return self._file
        if Grid(crs, self._file.transform, shape).is_close(self.grid):
            return self._file
        self._require_overlap(crs)
        return WarpedVRT(
            self._file,
            src_crs=rasterio.crs.CRS.from_wkt(crs.to_wkt()),
            crs=rasterio.crs.CRS.from_wkt(self.grid.crs.to_wkt()),
            transform=self.grid.transform,
            height=self.grid.height,
            width=self.grid.width,
            resampling=Resampling.nearest,
            tolerance=1e-6,  # pixels; rasterio has no exact mode
            add_alpha=self._file.nodata is None and not _has_alpha(self._file),  # marks pixels outside the mask
        )

    def _require_overlap(self, crs: CRS) -> None:
        """Raise LabelError unless mask and grid overlap; GDAL's own error is obscure."""
        file = Grid(crs, self._file.transform, (self._file.height, self._file.width)).bounds
        wanted = [box for box, _ in near_boxes(self.grid, crs, 0.0) if box is not None]
        if wanted and not any(
            one[0] < file[2] and file[0] < one[2] and one[1] < file[3] and file[1] < one[3] for one in wanted
        ):
            raise self._empty_error()

    def _require_same_pixels(self, crs: CRS | None) -> None:
        """Check that mask and scene, one of them not georeferenced, match pixel by pixel."""
        file, grid = self._file, self.grid
        placed = crs is None and grid.crs is not None and not file.transform.is_identity
        if placed and not Grid(grid.crs, file.transform, (file.height, file.width)).is_close(grid):
            raise LabelError(
                f"{self._name} has a transform but no coordinate reference system, and the scene has both.",
                expected="a CRS on both sides, or no georeference on one",
                remedy="Give the CRS of the mask as assume_crs=EPSG:...",
            )
        if (file.height, file.width) != grid.shape:
            raise LabelError(
                f"{self._name} ({file.height} x {file.width} pixels) and the scene ({grid.height} x {grid.width}) "
                "are not both georeferenced, and differ in shape.",
                expected="a mask of the scene's shape, or a CRS on both sides",
                remedy="Georeference the mask (gdal_edit.py), or cut it to the scene.",
            )
        if (crs is None) != (grid.crs is None):
            warnings.warn(
                f"Only one of {self._name} and the scene is georeferenced; they have the same shape and are matched "
                "pixel by pixel.",
                GeoreferenceWarning,
                stacklevel=4,
            )

    def _codes(self, block: Block) -> tuple[palette.Codes, BoolArray]:
        """Return the codes of a block's pixels, and which of them are valid."""
        window = Window(block.col, block.row, block.width, block.height)
        try:
            with gdal_settings(gdal_name(self.path)):
                bands = self._source.read([1, 2, 3] if self._traits.colour else [1], window=window)
                valid = self._source.dataset_mask(window=window) > 0
        except GDAL_ERRORS as error:
            raise LabelError(
                f"{self._name} cannot be read at {block}: {error}",
                expected="a complete file",
                remedy="Copy or download the file again; check it with gdalinfo -checksum.",
            ) from error
        finite = np.isfinite(bands).all(axis=0)
        whole = finite & (bands == np.trunc(bands)).all(axis=0) & (np.abs(bands) < 1 << 53).all(axis=0)
        if self._traits.colour:
            whole &= ((bands >= 0) & (bands <= 255)).all(axis=0)
        numbers = np.where(whole, bands, 0).astype(np.int64)
        codes = numbers[0]
        if self._traits.colour:
            codes = (numbers[0] << 16) | (numbers[1] << 8) | numbers[2]
        return np.where(whole, codes, palette.NOT_WHOLE), valid & finite

    def _choose_decoder(self) -> palette.Decoder:
        """Return the decoder for the mask's codes on the grid, or raise LabelError for none, or codes of no class."""
        found = self._survey()
        if not found:
            raise self._empty_error()
        codes, options = np.array(sorted(found), dtype=np.int64), self._options
        if options.threshold is not None and len(self.schema) != 2:
            raise LabelError(
                f"{self._name} is to be read with the threshold {options.threshold}, for {len(self.schema)} classes.",
                expected="two classes: below the threshold, and from it on",
                remedy="Leave the threshold out, or give two classes.",
            )
        decode = palette.choose_decoder(codes, self._traits, self.schema, options.tolerance, options.threshold)
        unknown = {int(code): found[int(code)] for code in codes[decode(codes) == palette.UNKNOWN]}
        if len(unknown) == len(codes) or (unknown and self._options.unknown == "error"):
            raise self._unknown_error(unknown)
        return decode

    def _survey(self) -> dict[int, int]:
        """Return the number of pixels of each code on the grid."""
        found: dict[int, int] = {}
        for block in self.grid.blocks(_SURVEY_PX):
            codes, valid = self._codes(block)
            values, counts = np.unique(codes[valid], return_counts=True)
            for value, count in zip(values.tolist(), counts.tolist(), strict=True):
                found[value] = found.get(value, 0) + count
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
        common = sorted(unknown.items(), key=lambda item: -item[1])[:5]
        most = ", ".join(f"{palette.show_code(code, colour)} ({count} pixels)" for code, count in common)
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        classes = (f"{one.colour if colour else index} {one.name}" for index, one in enumerate(self.schema))
        return LabelError(
            f"{self._name} holds {'colours' if colour else 'values'} of no class: {most}{more}.",
            expected=", ".join(classes),
            remedy="Add the classes, or leave such pixels out with unknown=ignore"
            + (", or read grey values with a threshold, such as threshold=128." if len(self.schema) == 2 else "."),
        )


def _traits_of(file: DatasetReader, name: str) -> palette.MaskTraits:
    """Return the traits of a mask's file; other than one, three or four bands are an error."""
    bands = file.count - int(_has_alpha(file))
    if bands not in (1, 3, 4):
        raise LabelError(
            f"{name} has {file.count} bands.",
            expected="a label mask: one band of class ids, or three or four bands of colours",
            remedy="This looks like an image; give a label mask.",
        )
    colours = None
    if bands == 1 and file.colorinterp[0] == ColorInterp.palette:
        with suppress(ValueError):  # the file says that it has a colour table, and has none
            colours = {value: palette.colour_code(rgba[:3]) for value, rgba in file.colormap(1).items()}
    compression = file.compression.value.upper() if file.compression else ""
    return palette.MaskTraits(bands >= 3, colours, bool(_LOSSY & {file.driver.upper(), compression}), file.nodata, name)


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


def _has_alpha(file: DatasetReader) -> bool:
    return ColorInterp.alpha in file.colorinterp
