"""Scenes held in memory: numpy arrays with a georeference beside them, and xarray DataArrays, which carry their own."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from crispmap.errors import GeoreferenceWarning, GridError, InputError
from crispmap.files.turn import AS_STORED, Turn
from crispmap.geo.grid import Block, Grid
from crispmap.raster.data_arrays import (
    Georeference,
    as_data_array,
    band_names_of,
    is_data_array,
    own_georeference,
    spatial_dims,
)
from crispmap.raster.files import open_scene
from crispmap.raster.nodata import NodataRule, check_nodata
from crispmap.raster.refs import SceneChoices
from crispmap.raster.scene import Scene
from crispmap.types import BoolArray, FloatArray

if TYPE_CHECKING:
    from xarray import DataArray

RasterLike: TypeAlias = "str | Path | Scene | NDArray[Any] | DataArray"
"""A file or address, an open scene, or an array (band, row, col) or, of one band, (row, col)."""
_MOST_BANDS = 1000
_NO_NODATA = NodataRule()
_FEW_BANDS = 16  # an array with fewer columns and more bands than this has its bands last
_BANDS_FIRST = "move the bands to the first axis, for example with np.moveaxis(image, -1, 0)"


class ArrayScene(Scene):
    """A scene held in memory, or of a Dask array, of which only the blocks that are read are computed.

    Args:
        pixels: Real numbers (band, row, col).
        grid: Where they are. They are read from north to south, whatever their order (see ``north_up``).
        band_names: One name a band; "band 1", .. by default.
        valid: Which pixels are known, (row, col); by default those without NaN.
        nodata: Which of these hold a nodata value.

    Raises:
        InputError: If the pixels have another rank or type, or names or valid pixels do not fit them.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        grid: Grid,
        band_names: tuple[str, ...] | None = None,
        valid: BoolArray | None = None,
        nodata: NodataRule = _NO_NODATA,
    ) -> None:
        if pixels.ndim != 3 or pixels.dtype.kind not in "uif" or not 0 < pixels.shape[0] <= _MOST_BANDS:
            raise InputError(
                f"The image is an array of shape {pixels.shape} and type {pixels.dtype}.",
                expected="whole or floating-point numbers (band, row, col)",
                remedy=_BANDS_FIRST,
            )
        self.path = Path("array")
        self.band_names = band_names or tuple(f"band {number}" for number in range(1, len(pixels) + 1))
        for what, given, expected in (
            ("grid", grid.shape, pixels.shape[1:]),
            ("valid pixels", pixels.shape[1:] if valid is None else valid.shape, pixels.shape[1:]),
            ("band names", len(self.band_names), len(pixels)),
        ):
            if given != expected:
                raise InputError(f"The {what} of an image: {given}.", expected=f"{expected}, as its pixels have")
        self.turn = turn_of(grid)
        self.grid = turned_grid(grid)
        self._pixels, self._nodata = self.turn.pixels(pixels), nodata
        self._valid = None if valid is None else self.turn.pixels(valid)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its values."""
        return self._pixels.dtype

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        stored = np.asarray(self._pixels[:, *block.slices])
        valid = self._nodata.valid(stored)
        if self._valid is not None:
            valid &= self._valid[block.slices]
        with np.errstate(over="ignore"):  # beyond float32: becomes infinite, hence invalid
            image = stored.astype(np.float32)
        if stored.dtype.kind == "f":
            valid &= np.isfinite(image).all(axis=0)
        image[:, ~valid] = 0.0
        return image, valid

    def close(self) -> None:
        """Do nothing: the array stays the caller's."""


def scene_of(image: RasterLike, read: SceneChoices | None = None, **where: Unpack[Georeference]) -> Scene:
    """Return an image as a scene.

    Args:
        image: A file or address, an open scene, a numpy array, or a DataArray, whose coordinates and ``rio.crs`` give
            the georeference and whose NaN and nodata values are invalid as in a file; one in Dask chunks stays there.
            Of a Dataset, each variable is a band.
        read: How it is read, as ``open_scene`` takes it; of an array its nodata value alone.
        **where: Of a numpy array, or a DataArray without coordinates.

    Raises:
        InputError: If it is none of these, or the array has another rank or type, or no georeference.
        GridError: If the CRS is not known.
        SceneError: If a file cannot be read.
    """
    image = as_data_array(image)
    if isinstance(image, Scene):
        return image
    if isinstance(image, str | Path):
        choices: SceneChoices = {"assume_gsd_m": where.get("gsd_m"), **(read or {})}
        return open_scene(image, **choices)
    if is_data_array(image):
        return _scene_of_data_array(image, where, read or {})
    if isinstance(image, np.ndarray):
        pixels = image[None] if image.ndim == 2 else image
        if pixels.ndim == 3 and len(pixels) > _FEW_BANDS >= pixels.shape[-1]:
            raise InputError(
                f"The image is an array of shape {pixels.shape}.", expected="(band, row, col)", remedy=_BANDS_FIRST
            )
        valid: BoolArray | None = None
        if np.ma.isMaskedArray(pixels):
            valid = np.asarray(~np.ma.getmaskarray(pixels).any(axis=0))
        rule = _nodata_rule(read or {}, None, len(pixels), pixels.dtype)
        return ArrayScene(np.ma.getdata(pixels), grid_for(pixels.shape[-2:], where), None, valid, rule)
    raise InputError(
        f"An image is given as {type(image).__name__}.",
        expected="a path, a scene of open_scene, a numpy array, or an xarray DataArray or Dataset",
        remedy="convert it, for example with numpy.asarray(image)",
    )


def check_keywords(where: Mapping[str, object], others: Iterable[str] = (), *, beside_file: bool = False) -> None:
    """Refuse keyword arguments that are not known, and a georeference beside a file, which has its own.

    Raises:
        TypeError: If one is not known; the message names those that are.
        InputError: If a georeference is given beside a file.
    """
    known = [*others, *Georeference.__annotations__]
    if unknown := sorted(where.keys() - set(known)):
        raise TypeError(f"unexpected keyword arguments: {', '.join(unknown)}; known are {', '.join(known)}")
    if beside_file and where:
        raise InputError(
            f"{', '.join(where)} is given beside a file.", expected="a georeference only for arrays",
            remedy="leave it out: a file has its own",
        )  # fmt: skip


def grid_for(shape: tuple[int, ...], where: Georeference) -> Grid:
    """Return the grid of an array of a shape (row, col).

    Raises:
        InputError: If the shape is no (row, col), or there is no georeference.
        GridError: If the CRS is not known.
    """
    if len(shape) != 2:
        raise InputError(f"An array has the shape {shape}.", expected="(row, col)")
    transform, gsd_m = where.get("transform"), where.get("gsd_m")
    if transform is None and gsd_m is None:
        raise InputError(
            "The array has no georeference.",
            expected="gsd_m=, the side of a pixel in metres, or transform= and crs=",
            remedy="give for example gsd_m=0.5, or a DataArray with coordinates and a CRS",
        )
    if transform is None:
        side = gsd_m if isinstance(gsd_m, float | int) else 0.0
        if not 0 < side < np.inf or where.get("crs") is not None:
            given = (
                f"gsd_m is {gsd_m!r}." if where.get("crs") is None else "crs= and gsd_m= are given without transform=."
            )
            raise InputError(given, expected="gsd_m=, a finite number of metres above 0, or transform= and crs=")
        transform = Affine(side, 0.0, 0.0, 0.0, -side, 0.0)
    numbers = tuple(transform)[:6]
    if len(numbers) < 6:
        raise InputError(f"transform is {transform!r}.", expected="an affine transform, such as rasterio's")
    crs = _crs_of(where.get("crs"))
    if crs is None and gsd_m is None:
        text = "The array has a transform and no CRS: a unit of its coordinates counts as a metre."
        warnings.warn(text, GeoreferenceWarning, stacklevel=2)
    return Grid(crs, Affine(*numbers), (int(shape[0]), int(shape[1])))


def grid_of_array(image: Any, where: Georeference) -> Grid:
    """Return the grid of an array, or of a DataArray, whose own coordinates and CRS count before what is given.

    Raises:
        InputError: If it is neither, or has no georeference.
        GridError: If the CRS is not known, or coordinates are not evenly spaced.
    """
    if not is_data_array(image):
        return grid_for(np.shape(image)[-2:], where)
    shape = tuple(image.sizes[dim] for dim in spatial_dims(image))
    if "gsd_m" in where and not image.rio.crs:  # coordinates without a CRS say less than the size that is given
        return grid_for(shape, where)
    return grid_for(shape, own_georeference(image) or where)


def turn_of(grid: Grid) -> Turn:
    """Return the turn that brings the pixels of a grid nearest to north-up."""
    if grid.crs is None:  # y may be counted down the image
        return AS_STORED
    directions = [axis.direction for axis in grid.crs.axis_info[:2]]
    return Turn.to_north_up(grid.transform, "wsu" if directions == ["west", "south"] else "enu")


def turned_grid(grid: Grid) -> Grid:
    """Return the grid of the same pixels, read in the order nearest to north-up."""
    turn = turn_of(grid)
    if turn == AS_STORED:
        return grid
    return Grid(grid.crs, turn.transform(grid.transform, grid.shape), turn.shape(grid.shape))


def values_on(raster: Any, grid: Grid, fill: int, turn: Turn = AS_STORED) -> NDArray[Any]:
    """Return the values of a raster of one band on a grid, (row, col), with ``fill`` where masked or nodata.

    A DataArray may have its rows in another order than the grid; an array is in the order that ``turn`` brings to it.

    Raises:
        InputError: If it has several bands.
        GridError: If a DataArray has coordinates on another grid.
    """
    if not is_data_array(raster):
        values = np.asarray(np.ma.filled(raster, fill) if np.ma.isMaskedArray(raster) else raster)
        return turn.pixels(values[0] if values.ndim == 3 and len(values) == 1 else values)
    spatial = spatial_dims(raster)
    others = {dim: 0 for dim in raster.dims if dim not in spatial}
    if any(raster.sizes[dim] > 1 for dim in others):
        raise InputError(f"A class map has the dimensions {dict(raster.sizes)}.", expected="class ids (row, col)")
    own = own_georeference(raster)
    shape = tuple(raster.sizes[dim] for dim in spatial)
    place = grid_for(shape, own) if own else grid
    if not turned_grid(place).is_close(turned_grid(grid)):
        raise GridError(
            "The coordinates or the CRS of a DataArray are not those of the other.", expected="the same pixels",
            remedy="bring it there, for example with rio.reproject_match",
        )  # fmt: skip
    values, nodata = raster.isel(others).transpose(*spatial).to_numpy(), raster.rio.nodata
    values = turn_of(grid).inverse.pixels(turn_of(place).pixels(values)) if own else turn.pixels(values)
    return values if nodata is None or np.isnan(nodata) else np.where(values == nodata, fill, values)


def _nodata_rule(read: SceneChoices, own: float | None, bands: int, dtype: Any) -> NodataRule:
    """Return which values are no data: the value given, else the image's own."""
    given, tolerance = read.get("nodata"), read.get("nodata_tolerance") or 0.0
    check_nodata(given, tolerance, [own], [dtype])
    return NodataRule.of([own if given is None else given] * bands, [dtype] * bands, tolerance)


def _scene_of_data_array(image: Any, where: Georeference, read: SceneChoices) -> ArrayScene:
    spatial = spatial_dims(image)
    others = [dim for dim in image.dims if dim not in spatial]
    if len(others) > 1:
        raise InputError(
            f"The DataArray has the dimensions {', '.join(map(str, image.dims))}.",
            expected="one dimension of bands beside rows and columns",
            remedy="choose one of the others, for example with isel(time=0)",
        )
    ordered = image.transpose(*others, *spatial)
    pixels = ordered.to_numpy() if image.chunks is None else ordered.data
    names = band_names_of(image, others[0]) if others and others[0] in image.coords else None
    pixels = pixels if others else pixels[None]
    rule = _nodata_rule(read, image.rio.nodata, len(pixels), pixels.dtype)
    return ArrayScene(pixels, grid_of_array(image, where), names, nodata=rule)


def _crs_of(crs: object) -> CRS | None:
    """Return a coordinate reference system as pyproj's; None where there is none."""
    if crs is None:
        return None
    try:
        return CRS.from_user_input(crs.to_wkt() if hasattr(crs, "to_wkt") else crs)
    except (CRSError, TypeError) as error:
        raise GridError(
            f"crs is {crs!r}, which is not known.",
            expected="what pyproj understands, such as 'EPSG:32631', 32631 or a rasterio CRS",
        ) from error
