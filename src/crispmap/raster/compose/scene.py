"""A scene computed when it is read: bands of files on different grids, and indices of them, on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import GeoreferenceWarning
from crispmap.files.address import shown
from crispmap.files.quiet import ignoring
from crispmap.geo.grid import Block, Grid
from crispmap.raster.compose.checks import (
    check_reflectance,
    checked_indices,
    chosen,
    common_nodata,
    needed,
    target,
    warn,
)
from crispmap.raster.compose.composition import SourceBand
from crispmap.raster.compose.grid import coverage
from crispmap.raster.compose.placed import placed
from crispmap.raster.compose.sources import with_facts
from crispmap.raster.compose.values import BandValues, index_values, of_lowest_date
from crispmap.raster.files import FileScene
from crispmap.raster.nodata import NodataRule, stored_value
from crispmap.raster.refs import SceneRef
from crispmap.raster.scene import Scene
from crispmap.types import BoolArray, FloatArray

_DIFFERENT = 0.01  # share of the scene's ground by which files may differ in what they cover


class ComposedScene(Scene):
    """Bands of files, and indices of them, on one grid.

    Values are of the common type of the bands, ``nodata`` where a band has none: NaN for float32 reflectance and
    indices. Which pixels are valid follows from these values as from those of a file (decision 0008): ``read`` is that
    of the file written with ``filled``. Values depend on the pixel alone, never on the block.

    Args:
        ref: A reference with a composition.
        grid: Where it is seen; by default what the composition says.

    Attributes:
        coverage: How the ground of each file and that of the scene fit.
        nodata: The value of a band without data; None where all have data everywhere.

    Raises:
        SceneError: If a file cannot be read, a name is given twice or is neither a band nor an index, an index lacks a
            band, or reflectance is asked for of bands whose product does not state it.
        GridError: If files share no ground, or one has no CRS while others have one.

    Warns:
        CrispmapWarning: If types or nodata values of the bands differ, or ground of a file is left out.
    """

    def __init__(self, ref: SceneRef, *, grid: Grid | None = None) -> None:
        if ref.composition is None:
            raise ValueError("the reference has no composition")
        self.composition = chosen(ref.composition, ref.bands)
        self.path, self.band_names = ref.path, self.composition.names
        self._indices, self._lowest = checked_indices(self.composition)
        self._dates = sorted({one.date for one in self.composition.sources})
        self._opened = ExitStack()
        try:
            files = self._open_files(ref)
            self._scenes = [file for file, _ in files]
            grids = {shown(file.path): file.grid for file, _ in files}
            self.grid = grid or target(self.composition, grids)
            self.coverage = coverage(grids, self.grid)
            self._files = [(placed(file, self.grid, self.composition.method), bands) for file, bands in files]
            self._settle(files)
        except BaseException:
            self._opened.close()
            raise

    def _open_files(self, ref: SceneRef) -> list[tuple[FileScene, list[SourceBand]]]:
        """Open each file of the bands that are read, once, and return it with these."""
        found: list[tuple[FileScene, list[SourceBand]]] = []
        wanted = needed(self.composition).sources
        for (file, _), group in groupby(sorted(wanted, key=_place), key=lambda one: (one.file, one.date)):
            bands = list(group)
            nodata = bands[0].nodata if ref.nodata is None else ref.nodata
            numbers = tuple(one.band for one in bands)
            own = replace(ref, files=(file,), band_names=(), bands=numbers, nodata=nodata, composition=None)
            with ignoring(GeoreferenceWarning) if found else nullcontext():  # told once
                scene = self._opened.enter_context(FileScene(own))
            found.append((scene, with_facts(bands, scene)))
        known = tuple(one for _, bands in found for one in bands)
        self.composition = replace(self.composition, sources=known)
        return found

    def _settle(self, files: Sequence[tuple[FileScene, list[SourceBand]]]) -> None:
        """Decide the type of the values and the nodata value."""
        composition = self.composition
        dtypes = {one.name: file.dtype for file, bands in files for one in bands}
        direct = [name for name in self.band_names if name in dtypes]
        check_reflectance(composition, self._indices, dtypes)
        self._computed = composition.reflectance or bool(self._indices)
        kinds = [] if composition.reflectance else [dtypes[name] for name in direct]
        self._dtype = np.result_type(*kinds, *([np.float32] if self._computed else []))
        if len(set(kinds)) > 1:
            warn(f"{', '.join(f'{name} is {dtypes[name]}' for name in direct)}: the scene is {self._dtype}.")
        lacking = any(file.has_mask for file, _ in files) or any(one.covered < 1 - 1e-9 for one in self.coverage)
        lacking = lacking or any(not file.copied for file, _ in self._files)
        declared = [value for file, _ in files for value in file.nodata_values]
        self.nodata = common_nodata(composition.nodata, declared, self._dtype, self._computed, lacking)
        same = {stored_value(value, self._dtype) for value in declared} == {stored_value(self.nodata, self._dtype)}
        exact = same and all(file.copied for file, _ in self._files)
        self._may_collide = self.nodata is not None and not np.isnan(self.nodata) and not exact
        self._rule = NodataRule.of([self.nodata] * len(self.band_names), [self._dtype] * len(self.band_names))
        self._warn_of_missing(direct)

    def _warn_of_missing(self, direct: Sequence[str]) -> None:
        """Warn if pixels that lack some bands would read as if they had them."""
        shares = [one.covered for one in self.coverage]
        if self._rule.plausible and len(direct) > 1 and max(shares) - min(shares) > _DIFFERENT:
            warn(
                f"Some files cover a part of the scene alone, and its nodata value is {self.nodata:g}: where bands are "
                "missing it reads as their value. out_nodata=65535, or another that no sensor measures, makes such "
                "pixels invalid."
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        return self._dtype

    def filled(self, block: Block) -> NDArray[Any]:
        """Return the values (band, row, col) of a block inside the grid, ``nodata`` where a band has none."""
        read = self._read_bands(block)
        values = np.empty((len(self.band_names), *block.shape), self._dtype)
        lacks = np.zeros(values.shape, np.bool_)
        for place, name in enumerate(self.band_names):
            band = index_values(*self._indices[name], read) if name in self._indices else read[name]
            found = band.reflectance if self.composition.reflectance else band.values
            values[place], lacks[place] = _cast(found, self._dtype), ~band.valid
        if self._may_collide:
            self._avoid_nodata(values, lacks)
        np.copyto(values, self._dtype.type(0 if self.nodata is None else self.nodata), where=lacks)
        return values

    def read_stored(self, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return one block that lies inside the grid in the type of the scene, 0 where invalid, and its valid pixels.

        Raises:
            SceneError: If a file cannot be read there.
        """
        values = self.filled(block)
        valid = self._rule.valid(values)
        if values.dtype.kind == "f":
            with np.errstate(over="ignore"):  # beyond float32: becomes infinite, hence invalid
                valid &= np.isfinite(values.astype(np.float32, copy=False)).all(axis=0)
        np.copyto(values, 0, where=~valid)
        return values, valid

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        values, valid = self.read_stored(block)
        return values.astype(np.float32, copy=False), valid

    def _read_bands(self, block: Block) -> dict[str, BandValues]:
        """Return the bands that are needed, of several dates those of that with the lowest index."""
        dates: dict[int, dict[str, BandValues]] = {date: {} for date in self._dates}
        for file, bands in self._files:
            values, valid = file.read_stored(block)
            for place, one in enumerate(bands):
                dates[one.date][one.name] = BandValues(values[place], valid, one.reflectance)
        if self._lowest is None:
            return {name: band for bands in dates.values() for name, band in bands.items()}
        return of_lowest_date(*self._lowest, list(dates.values()))

    def _avoid_nodata(self, values: NDArray[Any], lacks: BoolArray) -> None:
        """Move values with data that would read as nodata to the next one, towards the middle of their type."""
        held = np.asarray(values == self._dtype.type(self.nodata)) & ~lacks
        if not self._rule.sentinels:  # a value of single bands may be the nodata value: not of all
            held &= held.all(axis=0)
        if held.any():
            if self._dtype.kind in "iu":
                values[held] = int(self.nodata or 0) + (-1 if self.nodata == np.iinfo(self._dtype).max else 1)
            else:
                values[held] = np.nextafter(self._dtype.type(self.nodata), self._dtype.type(np.inf))

    def warn_about_pixels(self) -> None:
        """Warn about files whose pixels are probably not what they seem; see ``crispmap.raster.band_checks``."""
        for scene in self._scenes:
            scene.warn_about_pixels()

    def close(self) -> None:
        """Close the files."""
        self._opened.close()


def _place(one: SourceBand) -> tuple[int, str, int]:
    return one.date, one.file, one.band


def _cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return values in a type; floats become the nearest whole number that it can hold."""
    if values.dtype.kind == "f" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.clip(np.rint(values.astype(np.float64)), limits.min, limits.max).astype(dtype)
    return values.astype(dtype, copy=False)
