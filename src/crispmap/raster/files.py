"""Scenes from files: any raster GDAL reads, window by window, with a mask of its valid pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from crispmap.errors import SceneError
from crispmap.files.address import is_plain_file, is_remote
from crispmap.files.dataset import GDAL_ERRORS, DatasetPool, open_dataset, reason
from crispmap.files.north_up import as_stored
from crispmap.files.raster_text import descriptions_of, tags_of
from crispmap.files.turn import Turn
from crispmap.geo.grid import Block, Grid
from crispmap.raster.band_checks import warn_about_bands, warn_about_border
from crispmap.raster.georeference import grid_of
from crispmap.raster.nodata import NodataRule, check_nodata
from crispmap.raster.refs import SceneChoices, SceneRef
from crispmap.raster.resample import ResampledScene
from crispmap.raster.scene import Scene
from crispmap.raster.stack import NAMELESS, gdal_source
from crispmap.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from crispmap.raster.compose.scene import ComposedScene

_GSD_TOLERANCE = 0.01
_QUICK_BLOCK_PX = 512
_UNREACHABLE = "Check the network, and run it again: a server may be down for a while. A copy on a disk is safer."


def open_scene(
    source: str | Path | SceneRef,
    *,
    gsd_m: float | None = None,
    **choices: Unpack[SceneChoices],
) -> Scene:
    """Open a raster as a scene, at its own or at another ground sampling distance.

    Args:
        source: Any raster GDAL reads: a file, an address (``https://…``, ``s3://…``, ``/vsicurl/…``), or a reference
            from ``resolve_scenes``.
        gsd_m: Ground sampling distance in metres. If the scene's own differs by more than 1 % along rows or columns,
            the scene is resampled to square pixels of this size (see ``ResampledScene``).
        **choices: ``bands``, their numbers, 1-based, any subset in any order, by default every band but alpha;
            ``assume_gsd_m``, the side of a pixel in metres, for a file without georeference; ``nodata``, the value of
            pixels without data in place of the file's own, NaN for none; ``nodata_tolerance``, how far from it all
            bands of a pixel may be for it to be invalid, for lossy compression.

    Raises:
        SceneError: If the file is missing, cannot be reached or read as a raster, has no band, complex values or
            only ground control points, or if a band number, a distance or a nodata value is out of range.
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
    ref = (source if isinstance(source, SceneRef) else SceneRef.of(source)).choosing(**choices)
    for name, value in (("gsd_m", gsd_m), ("assume_gsd_m", ref.assume_gsd_m)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise SceneError(
                f"{name} is {value}.",
                expected="a finite distance above 0 metres",
                remedy="Give the side of a pixel on the ground, such as 0.5.",
            )
    if ref.composition is None:
        scene: FileScene | ComposedScene = FileScene(ref)
    else:
        from crispmap.raster.compose.scene import ComposedScene  # which is made of files

        scene = ComposedScene(ref)
    try:
        scene.warn_about_pixels()
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


def read_turn(path: str | Path) -> Turn:
    """Return how the pixels of a raster are turned as they are read, from the order they have in the file.

    Raises:
        SceneError: If the file is missing, or cannot be read as a raster.
    """
    with open_dataset(path) as dataset:
        return as_stored(dataset)[1]


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

    Nodata values are the file's, or the one given; with a tolerance, values no farther from it hold it too.

    Values are as stored; scale and offset of the file are not applied, nor its colour table. Several threads
    may read one scene at once.

    Attributes:
        grid: Where the pixels lie, from north to south whatever their order in the file (see ``north_up``). Without
            georeference, CRS None and one unit per pixel.
        band_names: The file's band descriptions, else colours (``red``), else ``band_3``.
        bands: The band numbers it is read with, 1-based.
        path: The file; the first of several.
        tags: The file's metadata.
        scaling: Scale and offset that the file declares for each of the bands; 1 and 0 where it declares none.
    """

    def __init__(self, source: str | Path | SceneRef, **choices: Unpack[SceneChoices]) -> None:
        ref = (source if isinstance(source, SceneRef) else SceneRef.of(source)).choosing(**choices)
        self.path = ref.path
        self._ref = ref
        self._pool = DatasetPool(gdal_source(ref))
        try:
            with self._pool.handle() as dataset:
                alpha = [i for i, c in enumerate(dataset.colorinterp, 1) if c is ColorInterp.alpha]
                self._bands = _checked_bands(dataset, ref, alpha)
                self._masks = _MaskRule(dataset, ref, self._bands, [band for band in alpha if band not in self._bands])
                self.grid, self.turn = grid_of(dataset, self.path, ref.assume_gsd_m), as_stored(dataset)[1]
                self.band_names = _names_of(dataset, self._bands, ref.band_names)
                self.tags: dict[str, str] = tags_of(dataset)
                self.scaling = _scaling_of(dataset, self._bands)
                self.quick_windows = len(ref.files) == 1 and _has_quick_windows(dataset)
        except BaseException:
            self._pool.close()
            raise

    @property
    def bands(self) -> tuple[int, ...]:
        """The band numbers it is read with, 1-based."""
        return tuple(self._bands)

    @property
    def nodata_values(self) -> tuple[float | None, ...]:
        """The nodata value of each band."""
        return self._masks.values

    @property
    def has_mask(self) -> bool:
        """Whether pixels may be invalid whatever their values: by alpha or a mask."""
        return self._masks.has_mask

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type the file stores its values in (the widest, where bands differ)."""
        return self._masks.dtype

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        """Return one block that lies inside the grid."""
        raw, valid = self.read_stored(block)
        with np.errstate(over="ignore"):  # beyond float32: becomes infinite, hence invalid
            image = raw.astype(np.float32, copy=False)
        return image, valid

    def read_stored(self, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return one block that lies inside the grid in the type of the file, 0 where invalid, and its valid pixels.

        Raises:
            SceneError: If the file cannot be read there.
        """
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
        if raw.dtype.kind == "f":
            with np.errstate(over="ignore"):  # beyond float32: becomes infinite, hence invalid
                valid &= np.isfinite(raw.astype(np.float32, copy=False)).all(axis=0)
        if not valid.all():
            np.copyto(raw, 0, where=~valid)
        return raw, valid

    def warn_about_pixels(self) -> None:
        """Warn about bands and borders that are probably not what they seem; see ``crispmap.raster.band_checks``."""
        with self._pool.handle() as dataset:
            warn_about_bands(dataset, self.path, self._bands, chosen=self._ref.bands is not None)
            if not any(is_remote(file) for file in self._ref.files):  # where a few windows cost seconds
                warn_about_border(dataset, self.path, self._bands, self._masks.nodata, exact=self._masks.is_exact)

    def close(self) -> None:
        """Close the file."""
        self._pool.close()


class _MaskRule:
    """Which pixels of the selected bands are valid, by nodata values, alpha bands and mask bands."""

    def __init__(self, dataset: DatasetReader, ref: SceneRef, bands: list[int], alpha: list[int]) -> None:
        dtypes = [dataset.dtypes[band - 1] for band in bands]
        declared = [dataset.nodatavals[band - 1] for band in bands]
        check_nodata(ref.nodata, ref.nodata_tolerance, declared, dtypes)
        self.values = tuple(declared if ref.nodata is None else [ref.nodata] * len(bands))
        self.dtype = np.dtype(np.result_type(*dtypes))
        self.nodata = NodataRule.of(self.values, dtypes, ref.nodata_tolerance)
        self._alpha = alpha
        self._mask_bands = _bands_with_masks(dataset, [band for band in bands if band not in alpha])
        # whether no pixel without data is taken for one with data, as far as a person has said
        denied = ref.nodata is not None and math.isnan(ref.nodata)
        self.has_mask = bool(alpha or self._mask_bands)
        self.is_exact = bool(self.has_mask or ref.nodata_tolerance or denied)

    def valid(self, dataset: DatasetReader, raw: Any, window: Window) -> BoolArray:
        """Return the valid pixels (row, col) of a window whose raw values (band, row, col) are given."""
        valid = self.nodata.valid(raw)
        for band in self._alpha:
            valid &= dataset.read(band, window=window) != 0
        for band in self._mask_bands:
            valid &= dataset.read_masks(band, window=window) != 0
        return valid


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


def _scaling_of(dataset: DatasetReader, bands: list[int]) -> tuple[tuple[float, float], ...]:
    """Return the scale and the offset that a raster declares for bands."""
    return tuple((dataset.scales[band - 1], dataset.offsets[band - 1]) for band in bands)


def _names_of(dataset: DatasetReader, bands: list[int], given: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each band: its description, else its colour, else the given one, else its number."""
    names, descriptions = [], descriptions_of(dataset)
    for band in bands:
        colour = dataset.colorinterp[band - 1]
        name = given[band - 1] if len(given) == dataset.count else f"band_{band}"
        fallback = name if colour in NAMELESS else colour.name
        names.append(descriptions[band - 1] or fallback)
    return tuple(names)
