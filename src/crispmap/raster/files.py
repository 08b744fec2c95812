"""Scenes from files: any raster GDAL reads, window by window, with a mask of its valid pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from crispmap.errors import SceneError
from crispmap.files.address import is_plain_file, is_remote
from crispmap.files.dataset import GDAL_ERRORS, DatasetPool, open_dataset, reason
from crispmap.files.raster_text import descriptions_of, tags_of
from crispmap.geo.grid import Block, Grid
from crispmap.raster.band_checks import warn_about_bands
from crispmap.raster.georeference import grid_of
from crispmap.raster.refs import SceneRef
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene
from crispmap.raster.stack import NAMELESS, gdal_source
from crispmap.types import BoolArray, FloatArray

_GSD_TOLERANCE = 0.01
_QUICK_BLOCK_PX = 512
_UNREACHABLE = "Check the network, and run it again: a server may be down for a while. A copy on a disk is safer."


def open_scene(
    source: str | Path | SceneRef,
    *,
    bands: Sequence[int] | None = None,
    gsd_m: float | None = None,
    assume_gsd_m: float | None = None,
) -> Scene:
    """Open a raster as a scene, at its own or at another ground sampling distance.

    Args:
        source: Any raster GDAL reads: a file, an address (``https://…``, ``s3://…``, ``/vsicurl/…``), or a reference
            from ``resolve_scenes``.
        bands: Band numbers, 1-based, any subset in any order. By default every band but alpha.
        gsd_m: Ground sampling distance in metres. If the scene's own differs by more than 1 % along rows or columns,
            the scene is resampled to square pixels of this size (see ``ResampledScene``).
        assume_gsd_m: Side of a pixel in metres, for a file without georeference.

    Raises:
        SceneError: If the file is missing, cannot be reached or read as a raster, has no band, complex values or
            only ground control points, or if a band number or a distance is out of range.
        GridError: If ``gsd_m`` is given and the file's CRS and transform give no distance on the ground; or if the
            files of one scene do not lie on one grid.

    Warns:
        GeoreferenceWarning: If the file has no georeference and ``assume_gsd_m`` is not given: a pixel then
            counts as one metre.
        CrispmapWarning: See ``crispmap.raster.band_checks``.
    """
    if not isinstance(source, str | Path | SceneRef):
        raise SceneError(
            f"A scene is given as {type(source).__name__}.",
            expected="one path or address, as text or pathlib.Path",
            remedy="open several one by one",
        )
    assumed = source.assume_gsd_m if isinstance(source, SceneRef) and assume_gsd_m is None else assume_gsd_m
    for name, value in (("gsd_m", gsd_m), ("assume_gsd_m", assumed)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise SceneError(
                f"{name} is {value}.",
                expected="a finite distance above 0 metres",
                remedy="Give the side of a pixel on the ground, such as 0.5.",
            )
    scene = FileScene(source, bands=bands, assume_gsd_m=assume_gsd_m)
    try:
        scene.warn_about_bands()
        return scene if gsd_m is None else _at_distance(scene, gsd_m)
    except BaseException:
        scene.close()
        raise


def read_grid(path: str | Path, *, assume_gsd_m: float | None = None) -> Grid:
    """Return the grid of any raster: an image, a class map, labels.

    Raises:
        SceneError: If the file is missing, or cannot be read as a raster.

    Warns:
        GeoreferenceWarning: If the file has no georeference and ``assume_gsd_m`` is not given.
    """
    with open_dataset(path) as dataset:
        return grid_of(dataset, SceneRef.of(path).path, assume_gsd_m)


def _at_distance(scene: Scene, gsd_m: float) -> Scene:
    """Return a scene resampled to square pixels of a size, or itself if its own are close enough."""
    own_x, own_y = scene.grid.gsd_m()
    if max(abs(own_x / gsd_m - 1), abs(own_y / gsd_m - 1)) <= _GSD_TOLERANCE:
        return scene
    return ResampledScene(scene, gsd_m / own_y, gsd_m / own_x)


class FileScene(Scene):
    """A raster file as a scene, at its own ground sampling distance.

    A pixel is invalid where any of these holds:

    - A selected band is NaN or infinite (also once rounded to float32).
    - An alpha band (by its colour interpretation) is 0. An alpha band chosen by number is an image band and masks
      nothing.
    - The file's mask band is 0.
    - A selected band holds its nodata value and that value is a sentinel, outside what a sensor measures
      (-9999, 65535): one such band makes the pixel useless.
    - All selected bands hold their nodata value and that value is also a plausible measurement: 0 in any
      type, or any value of 8-bit imagery. Dark or saturated pixels with one band at 0 or 255 are common in
      8-bit scenes, and GDAL's own dataset mask treats them the same way.

    Values are as stored; scale and offset of the file are not applied, nor its colour table. Several threads
    may read one scene at once.

    Attributes:
        grid: Where the pixels lie. Without georeference, CRS None and one unit per pixel.
        band_names: The file's band descriptions, else colours (``red``), else ``band_3``.
        bands: The band numbers it is read with, 1-based.
        path: The file; the first of several.
        tags: The file's metadata.
    """

    def __init__(
        self, source: str | Path | SceneRef, *, bands: Sequence[int] | None = None, assume_gsd_m: float | None = None
    ) -> None:
        ref = (source if isinstance(source, SceneRef) else SceneRef.of(source)).choosing(bands, assume_gsd_m)
        self.path = ref.path
        self._ref = ref
        self._pool = DatasetPool(gdal_source(ref))
        try:
            with self._pool.handle() as dataset:
                alpha = [i for i, c in enumerate(dataset.colorinterp, 1) if c is ColorInterp.alpha]
                self._bands = _checked_bands(dataset, ref, alpha)
                self._masks = _MaskRule(dataset, self._bands, [band for band in alpha if band not in self._bands])
                self.grid = grid_of(dataset, self.path, ref.assume_gsd_m)
                self.band_names = _names_of(dataset, self._bands, ref.band_names)
                self.tags: dict[str, str] = tags_of(dataset)
                self.quick_windows = len(ref.files) == 1 and _has_quick_windows(dataset)
        except BaseException:
            self._pool.close()
            raise

    @property
    def bands(self) -> tuple[int, ...]:
        """The band numbers it is read with, 1-based."""
        return tuple(self._bands)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type the file stores its values in (the widest, where bands differ)."""
        return self._masks.dtype

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid."""
        window = Window(block.col, block.row, block.width, block.height)
        try:
            with self._pool.handle() as dataset:
                raw = dataset.read(self._bands, window=window, out_dtype=self._masks.dtype)
                valid = self._masks.valid(dataset, raw, window)
        except GDAL_ERRORS as error:
            raise SceneError(
                f"{self._ref} cannot be read at rows {block.row}..{block.row_stop - 1}, "
                f"columns {block.col}..{block.col_stop - 1}: {reason(error)}.",
                expected="a complete raster file",
                remedy=_UNREACHABLE
                if any(is_remote(file) for file in self._ref.files)
                else "Copy or download the file again; check it with gdalinfo -checksum.",
            ) from error
        with np.errstate(over="ignore"):  # beyond float32: becomes infinite, hence invalid
            image = raw.astype(np.float32, copy=False)
        if raw.dtype.kind == "f":
            valid &= np.isfinite(image).all(axis=0)
        if not valid.all():
            np.copyto(image, 0.0, where=~valid)
        return image, valid

    def warn_about_bands(self) -> None:
        """Warn about bands that are probably not what they seem; see ``crispmap.raster.band_checks``."""
        with self._pool.handle() as dataset:
            warn_about_bands(dataset, self.path, self._bands, chosen=self._ref.bands is not None)

    def close(self) -> None:
        """Close the file."""
        self._pool.close()


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
            valid &= ~_all_hold(raw, self._plausible)
        for band in self._alpha:
            valid &= dataset.read(band, window=window) != 0
        for band in self._mask_bands:
            valid &= dataset.read_masks(band, window=window) != 0
        return valid


def _all_hold(raw: Any, nodata: list[tuple[int, Any]]) -> BoolArray:
    """Return where every one of these bands, by place in (band, row, col), holds its nodata value."""
    first, *others = nodata
    held: BoolArray = raw[first[0]] == first[1]
    for place, value in others:
        held &= raw[place] == value
    return held


def _stored_value(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """Return a nodata value as this type stores it; None if it is NaN or the type cannot hold it."""
    if nodata is None or not math.isfinite(nodata):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    limits = np.iinfo(dtype)
    return dtype.type(int(nodata)) if nodata == int(nodata) and limits.min <= nodata <= limits.max else None


def _bands_with_masks(dataset: DatasetReader, bands: list[int]) -> list[int]:
    """Return the bands whose mask must be read: one for a mask of the dataset, all for masks of each band."""
    own = []
    for band in bands:
        flags = dataset.mask_flag_enums[band - 1]
        if MaskFlags.alpha in flags or MaskFlags.all_valid in flags or MaskFlags.nodata in flags:
            continue
        own.append(band)
        if MaskFlags.per_dataset in flags:
            break
    return own


def _checked_bands(dataset: DatasetReader, ref: SceneRef, alpha: list[int]) -> list[int]:
    """Return the band numbers to read.

    Raises:
        SceneError: If none is left, a number is out of range, or values are complex.
    """
    bands = [b for b in dataset.indexes if b not in alpha] if ref.bands is None else list(ref.bands)
    if not bands:
        raise SceneError(
            f"{ref} has no band to read.",
            expected="at least one band besides alpha",
            remedy="Choose bands by number (bands=, or scene: bands:); crispmap info lists them.",
        )
    wrong = [band for band in bands if band not in dataset.indexes]
    if wrong:
        raise SceneError(
            f"{ref} has no band {', '.join(map(str, wrong))}.",
            expected=f"band numbers 1..{dataset.count}",
            remedy="Correct the numbers (bands=, or scene: bands:); crispmap info lists the bands.",
        )
    bands = [int(band) for band in bands]
    complex_bands = [band for band in bands if "complex" in dataset.dtypes[band - 1]]
    if complex_bands:
        raise SceneError(
            f"Band {complex_bands[0]} of {ref} holds complex values.",
            expected="integers or real numbers",
            remedy="Compute amplitude or intensity first.",
        )
    return bands


def _has_quick_windows(dataset: DatasetReader) -> bool:
    """Return whether a raster is a local GeoTIFF of small tiles that are not compressed."""
    plain = is_plain_file(dataset.name) and dataset.driver == "GTiff" and dataset.compression is None
    return plain and max(max(shape) for shape in dataset.block_shapes) <= _QUICK_BLOCK_PX


def _names_of(dataset: DatasetReader, bands: list[int], given: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each band: its description, else its colour, else the given one, else its number."""
    names, descriptions = [], descriptions_of(dataset)
    for band in bands:
        colour = dataset.colorinterp[band - 1]
        name = given[band - 1] if len(given) == dataset.count else f"band_{band}"
        fallback = name if colour in NAMELESS else colour.name
        names.append(descriptions[band - 1] or fallback)
    return tuple(names)
