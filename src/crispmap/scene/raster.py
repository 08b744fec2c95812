"""Scenes from files: any raster GDAL reads, window by window, with its invalid pixels told."""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from crispmap.errors import GeoreferenceWarning, SceneError
from crispmap.grid import Block, Grid
from crispmap.scene.odd_bands import warn_of_odd_bands
from crispmap.scene.reader import Scene, SceneReader, has_valid, read_whole
from crispmap.scene.resample import ResampledScene
from crispmap.types import BoolArray, FloatArray

__all__ = ["FileScene", "Scene", "SceneReader", "has_valid", "open_dataset", "open_scene", "read_whole"]

# GDAL's fast path for whole PNG files hands out uninitialised memory, without an error, when the file is cut
# short.
_GDAL_OPTIONS = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"}
_NAMELESS = {ColorInterp.undefined, ColorInterp.gray, ColorInterp.palette}
_VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".gml", ".osm", ".pbf", ".parquet")
_GSD_TOLERANCE = 0.01
_DEGREE_LIKE = 1e-3


def open_scene(
    path: str | Path,
    *,
    bands: Sequence[int] | None = None,
    gsd_m: float | None = None,
    assume_gsd_m: float | None = None,
) -> Scene:
    """Open a raster as a scene, at its own or at another ground sampling distance.

    Args:
        path: Any raster GDAL reads.
        bands: Band numbers, 1-based, any subset in any order. By default every band but alpha.
        gsd_m: Wanted ground sampling distance in metres. Where the scene's own differs by more than 1 % along
            rows or columns, the scene is resampled to square pixels of this size (see ``ResampledScene``).
        assume_gsd_m: Side of a pixel in metres, for a file that carries no georeference; elsewhere without
            effect.

    Returns:
        The open scene; close it, or use it in ``with``.

    Raises:
        SceneError: If the file is missing, cannot be read as a raster, has no band, complex values or only
            ground control points, or if a band number or a distance is out of range.
        GridError: If ``gsd_m`` is given and the file's CRS and transform give no distance on the ground.

    Warns:
        GeoreferenceWarning: If the file has no georeference and ``assume_gsd_m`` is not given: a pixel then
            counts as one metre.
        CrispmapWarning: If the values are indices into a colour table, or a band left out as alpha looks
            measured.
    """
    for name, value in (("gsd_m", gsd_m), ("assume_gsd_m", assume_gsd_m)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise SceneError(
                f"{name} is {value}.",
                expected="a finite distance above 0 metres",
                remedy="Give the side of a pixel on the ground, such as 0.5.",
            )
    scene = FileScene(path, bands=bands, assume_gsd_m=assume_gsd_m)
    try:
        scene.warn_of_odd_bands(chosen=bands is not None)
        return scene if gsd_m is None else _at_distance(scene, gsd_m)
    except BaseException:
        scene.close()
        raise


def read_grid(path: str | Path, *, assume_gsd_m: float | None = None) -> Grid:
    """Return where the pixels of a raster lie, whatever they hold: an image, classes, labels.

    Raises:
        SceneError: If the file is missing, or cannot be read as a raster.

    Warns:
        GeoreferenceWarning: If the file has no georeference and ``assume_gsd_m`` is not given.
    """
    with open_dataset(path) as dataset:
        return _grid_of(dataset, Path(path), assume_gsd_m)


def _at_distance(scene: Scene, gsd_m: float) -> Scene:
    """Return a scene resampled to square pixels of a size, or itself where its own are close enough."""
    own_x, own_y = scene.grid.gsd_m()
    if max(abs(own_x / gsd_m - 1), abs(own_y / gsd_m - 1)) <= _GSD_TOLERANCE:
        return scene
    return ResampledScene(scene, gsd_m / own_y, gsd_m / own_x)


class FileScene(Scene):
    """A raster file as a scene, at its own ground sampling distance.

    A pixel is invalid where any of these holds:

    - A selected band is NaN or infinite (also once rounded to float32).
    - An alpha band (told by its colour interpretation) is 0. An alpha band asked for by number is an image band
      like any other and masks nothing.
    - The file's mask band is 0.
    - A selected band holds its nodata value and that value is a sentinel, outside what a sensor measures
      (-9999, 65535): one such band makes the pixel useless.
    - All selected bands hold their nodata value and that value is also a plausible measurement: 0 in any
      type, or any value of 8-bit imagery. Dark or saturated pixels with one band at 0 or 255 are common in
      8-bit scenes, and GDAL's own dataset mask treats them the same way.

    Values are as stored; scale and offset of the file are not applied, nor its colour table. Several threads
    may read one scene; they take turns.

    Attributes:
        grid: Where the pixels lie. Without georeference, CRS None and one unit a pixel.
        band_names: The file's band descriptions, else colours (``red``), else ``band_3``.
        path: The file.
    """

    def __init__(
        self, path: str | Path, *, bands: Sequence[int] | None = None, assume_gsd_m: float | None = None
    ) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._dataset = open_dataset(path)
        try:
            alpha = [i for i, c in enumerate(self._dataset.colorinterp, 1) if c is ColorInterp.alpha]
            self._bands = _checked_bands(self._dataset, self.path, bands, alpha)
            self._masks = _MaskRule(self._dataset, self._bands, [band for band in alpha if band not in self._bands])
            self.grid = _grid_of(self._dataset, self.path, assume_gsd_m)
            self.band_names = _names_of(self._dataset, self._bands)
        except BaseException:
            self._dataset.close()
            raise

    @property
    def tags(self) -> dict[str, str]:
        """The file's metadata."""
        return dict(self._dataset.tags())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type the file stores its values in (the widest, where bands differ)."""
        return self._masks.dtype

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid."""
        window = Window(block.col, block.row, block.width, block.height)
        try:
            with self._lock, rasterio.Env(**_GDAL_OPTIONS):
                raw = self._dataset.read(self._bands, window=window, out_dtype=self._masks.dtype)
                valid = self._masks.valid(self._dataset, raw, window)
        except (RasterioError, OSError) as error:
            raise SceneError(
                f"{self.path} cannot be read at rows {block.row}..{block.row_stop - 1}, "
                f"columns {block.col}..{block.col_stop - 1}: {error.__cause__ or error}",
                expected="a complete raster file",
                remedy="Copy or download the file again; gdalinfo -checksum tells whether it is whole.",
            ) from error
        with np.errstate(over="ignore"):  # beyond float32: becomes infinite, hence invalid
            image = raw.astype(np.float32, copy=False)
        if raw.dtype.kind == "f":
            valid &= np.isfinite(image).all(axis=0)
        image[:, ~valid] = 0.0
        return image, valid

    def warn_of_odd_bands(self, *, chosen: bool) -> None:
        """Warn where the bands are probably not what they seem; see ``crispmap.scene.odd_bands``."""
        warn_of_odd_bands(self._dataset, self.path, self._bands, chosen=chosen)

    def close(self) -> None:
        """Close the file."""
        self._dataset.close()


class _MaskRule:
    """Which pixels of the selected bands are valid, by nodata values, alpha bands and mask bands."""

    def __init__(self, dataset: DatasetReader, bands: list[int], alpha: list[int]) -> None:
        self.dtype = np.dtype(np.result_type(*(dataset.dtypes[band - 1] for band in bands)))
        self._alpha = alpha
        self._sentinels: list[tuple[int, Any]] = []
        self._plausible: list[tuple[int, Any]] = []
        for place, band in enumerate(bands):
            value = _stored_value(dataset.nodatavals[band - 1], np.dtype(dataset.dtypes[band - 1]))
            if value is None:
                continue
            plausible = value == 0 or dataset.dtypes[band - 1] == "uint8"
            (self._plausible if plausible else self._sentinels).append((place, value))
        self._mask_bands = _bands_with_masks(dataset, [band for band in bands if band not in alpha])

    def valid(self, dataset: DatasetReader, raw: Any, window: Window) -> BoolArray:
        """Return the valid pixels (row, col) of a window whose raw values (band, row, col) are given."""
        valid = np.ones(raw.shape[1:], np.bool_)
        for place, value in self._sentinels:
            valid &= raw[place] != value
        if self._plausible:
            valid &= np.any([raw[place] != value for place, value in self._plausible], axis=0)
        for band in self._alpha:
            valid &= dataset.read(band, window=window) != 0
        for band in self._mask_bands:
            valid &= dataset.read_masks(band, window=window) != 0
        return valid


def _stored_value(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """Return a nodata value as this type stores it; None where it is NaN or the type cannot hold it."""
    if nodata is None or not math.isfinite(nodata):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    limits = np.iinfo(dtype)
    return dtype.type(int(nodata)) if nodata == int(nodata) and limits.min <= nodata <= limits.max else None


def _bands_with_masks(dataset: DatasetReader, bands: list[int]) -> list[int]:
    """Return the bands whose mask must be read: one for a mask of the dataset, all for masks of their own."""
    own = []
    for band in bands:
        flags = dataset.mask_flag_enums[band - 1]
        if MaskFlags.alpha in flags or MaskFlags.all_valid in flags or MaskFlags.nodata in flags:
            continue
        own.append(band)
        if MaskFlags.per_dataset in flags:
            break
    return own


def open_dataset(path: str | Path) -> DatasetReader:
    """Open a raster without rasterio's own warning about georeference.

    Raises:
        SceneError: If the file is missing, a folder, or not a raster with bands.
    """
    name = os.fspath(path)
    if Path(name).is_dir() and not name.startswith("/vsi"):
        raise SceneError(f"{name} is a folder.", expected="a raster file", remedy="Give the path of a file in it.")
    try:
        with warnings.catch_warnings(), rasterio.Env(**_GDAL_OPTIONS):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            dataset: DatasetReader = rasterio.open(name)
    except (RasterioError, OSError) as error:
        if not Path(name).exists() and "/vsi" not in name and ":" not in name:
            raise SceneError(f"{name} does not exist.", expected="a raster file", remedy="Check the path.") from error
        vectors = name.lower().endswith(_VECTOR_SUFFIXES)
        raise SceneError(
            f"{name} cannot be opened as a raster: {error}",
            expected="a GeoTIFF, JPEG, PNG or another raster GDAL reads",
            remedy="These seem to be vectors: give the raster here, and check the order of the arguments."
            if vectors
            else "Check that the file is whole and of the format its name says (gdalinfo tells).",
        ) from error
    if dataset.count == 0:
        inner = ", ".join(dataset.subdatasets)
        dataset.close()
        raise SceneError(
            f"{name} has no bands.",
            expected="a raster with at least one band",
            remedy=f"Give one of the rasters inside it: {inner}" if inner else "",
        )
    return dataset


def _checked_bands(dataset: DatasetReader, path: Path, wanted: Sequence[int] | None, alpha: list[int]) -> list[int]:
    """Return the band numbers to read.

    Raises:
        SceneError: If none is left, a number is out of range, or values are complex.
    """
    bands = [b for b in dataset.indexes if b not in alpha] if wanted is None else list(wanted)
    if not bands:
        raise SceneError(
            f"No band of {path} is to be read.",
            expected="at least one band besides alpha",
            remedy="Choose bands by number (--bands, scene: bands:); crispmap info lists them.",
        )
    wrong = [band for band in bands if band not in dataset.indexes]
    if wrong:
        raise SceneError(
            f"{path} has no band {', '.join(map(str, wrong))}.",
            expected=f"band numbers 1..{dataset.count}",
            remedy="Correct the numbers (--bands, scene: bands:); crispmap info lists the bands.",
        )
    bands = [int(band) for band in bands]
    complex_bands = [band for band in bands if "complex" in dataset.dtypes[band - 1]]
    if complex_bands:
        raise SceneError(
            f"Band {complex_bands[0]} of {path} holds complex values.",
            expected="integers or real numbers",
            remedy="Compute amplitude or intensity first.",
        )
    return bands


def _names_of(dataset: DatasetReader, bands: list[int]) -> tuple[str, ...]:
    """Return a name for each band: its description, else its colour, else its number."""
    names = []
    for band in bands:
        colour = dataset.colorinterp[band - 1]
        fallback = f"band_{band}" if colour in _NAMELESS else colour.name
        names.append(dataset.descriptions[band - 1] or fallback)
    return tuple(names)


def _grid_of(dataset: DatasetReader, path: Path, assume_gsd_m: float | None) -> Grid:
    """Return the grid of an open raster, warning where there is no georeference.

    Raises:
        SceneError: If the raster is located only by ground control points or rational polynomials.
    """
    shape = (dataset.height, dataset.width)
    if not dataset.transform.is_identity:
        _warn_of_degrees(dataset, path)
        return Grid(_crs_of(dataset, path), dataset.transform, shape)
    if assume_gsd_m is not None:
        return Grid(None, Affine.scale(assume_gsd_m, -assume_gsd_m), shape)
    located_by = "ground control points" if dataset.gcps[0] else "rational polynomial coefficients"
    if dataset.gcps[0] or dataset.rpcs is not None:
        raise SceneError(
            f"{path} is located only by {located_by}.",
            expected="a raster with a geotransform",
            remedy="Rectify it first (gdalwarp), or give assume_gsd_m to work in plain pixels.",
        )
    warnings.warn(
        f"{path} has no georeference: a pixel counts as one metre. Give assume_gsd_m, the side of a pixel in "
        "metres, if you know it.",
        GeoreferenceWarning,
        stacklevel=4,
    )
    return Grid(None, Affine.identity(), shape)


def _crs_of(dataset: DatasetReader, path: Path) -> CRS | None:
    """Return the raster's CRS; by its EPSG code where it has one, so that equal systems compare equal.

    Raises:
        SceneError: If the CRS cannot be understood.
    """
    if not dataset.crs:
        return None
    try:
        code = dataset.crs.to_epsg(confidence_threshold=90)
        return CRS.from_epsg(code) if code else CRS.from_wkt(dataset.crs.to_wkt())
    except CRSError as error:
        raise SceneError(
            f"The CRS of {path} cannot be understood: {error}",
            expected="a CRS that PROJ knows",
            remedy="Assign it anew (gdal_edit.py -a_srs EPSG:...).",
        ) from error


def _warn_of_degrees(dataset: DatasetReader, path: Path) -> None:
    """Warn where a raster without CRS has pixels so small that its unit must be the degree."""
    transform = dataset.transform
    if (
        not dataset.crs
        and max(abs(value) for value in (transform.a, transform.b, transform.d, transform.e)) < _DEGREE_LIKE
    ):
        warnings.warn(
            f"{path} has a transform but no CRS, and its pixels measure {abs(transform.a):.3g} units. These "
            "are probably degrees, yet count as metres. Assign the CRS (gdal_edit.py -a_srs EPSG:4326).",
            GeoreferenceWarning,
            stacklevel=5,
        )
