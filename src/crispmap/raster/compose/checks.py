"""What must hold of a composition before it is read: its names, its indices, reflectance, grid and nodata value."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from crispmap.errors import CrispmapWarning, SceneError, did_you_mean
from crispmap.files.address import shown
from crispmap.geo.grid import Grid
from crispmap.raster.compose.composition import Composition, SourceBand
from crispmap.raster.compose.grid import check_crs, common_grid, coverage
from crispmap.raster.compose.indices import INDICES, Index, index_named
from crispmap.raster.files import read_grid
from crispmap.raster.nodata import stored_value

_LOST = 0.01  # share of a file's ground outside the scene from which on it is told
_STACK = 5  # from here to the caller of open_scene


def chosen(composition: Composition, numbers: Sequence[int] | None) -> Composition:
    """Return a composition with the bands of some numbers, its names checked."""
    names = composition.names
    if numbers is not None:
        wrong = [number for number in numbers if not 0 < number <= len(names)]
        if wrong:
            raise SceneError(
                f"The scene has no band {', '.join(map(str, wrong))}.",
                expected=f"band numbers 1..{len(names)}: {', '.join(names)}", remedy="Correct the numbers (bands=).",
            )  # fmt: skip
        names = tuple(names[number - 1] for number in numbers)
    seen: dict[tuple[int, str], SourceBand] = {}
    for one in composition.sources:
        other = seen.setdefault((one.date, one.name), one)
        if other is not one:
            raise SceneError(
                f"Two bands are named {one.name}: {shown(other.file)} and {shown(one.file)}.",
                expected="a name of its own for each band",
                remedy="Name the files: NAME=FILE, such as red=B4.tif.",
            )
    return replace(composition, take=names)


Computed: TypeAlias = tuple[Index, str]
"""An index, and what the names of its bands begin with."""


def checked_indices(composition: Composition) -> tuple[dict[str, Computed], Computed | None]:
    """Return the indices among the bands of a scene by name, and that by which dates are chosen.

    Raises:
        SceneError: If a name is neither a band nor an index, or an index lacks a band.
    """
    there = tuple(dict.fromkeys(one.name for one in composition.sources))
    found = {}
    for name in composition.names:
        if name in there:
            continue
        index = index_named(name)
        if index is None:
            known = [*there, *(one.name for one in INDICES.values())]
            raise SceneError(
                f"There is no band and no index {name!r}.", expected=f"some of {', '.join(known)}",
                remedy=did_you_mean(name, [one.lower() for one in known]) or "Correct the name.",
            )  # fmt: skip
        _check_bands_of(index[0], index[1], there)
        found[name] = index
    lowest = None if composition.lowest is None else index_named(composition.lowest)
    if lowest is not None:
        _check_dates(composition, *lowest)
    return found, lowest


def needed(composition: Composition) -> Composition:
    """Return a composition without the bands that neither it has nor an index of it needs.

    Raises:
        SceneError: As ``checked_indices``.
    """
    indices, lowest = checked_indices(composition)
    computed = [*indices.values(), *([lowest] if lowest else [])]
    names = {*composition.names, *(f"{prefix}{band}" for index, prefix in computed for band in index.bands)}
    return replace(composition, sources=tuple(one for one in composition.sources if one.name in names))


def _check_bands_of(index: Index, prefix: str, there: Sequence[str]) -> None:
    missing = [f"{prefix}{band}" for band in index.bands if f"{prefix}{band}" not in there]
    if missing:
        raise SceneError(
            f"{index.name} needs {', '.join(missing)}, which the scene does not have.",
            expected=f"bands for {index.formula}; there are {', '.join(there)}",
            remedy="Name the bands: nir=B5.tif, or give sensor= so that they get their standard names.",
        )


def _check_dates(composition: Composition, index: Index, prefix: str) -> None:
    """Raise SceneError unless the dates an index chooses between have the same bands, and values that can be mixed."""
    dates: dict[int, dict[str, SourceBand]] = {}
    for one in composition.sources:
        dates.setdefault(one.date, {})[one.name] = one
    able = [bands for bands in dates.values() if any(name.startswith(prefix) for name in bands)]
    for bands in able or [{}]:
        _check_bands_of(index, prefix, list(bands))
    for name in {name for bands in able for name in bands}:
        found = [bands.get(name) for bands in able]
        if None in found:
            raise SceneError(
                f"Some of the {len(able)} dates have no band {name}.", expected="dates with the same bands",
                remedy="Choose bands that all of them have: bands=red,nir,swir2",
            )  # fmt: skip
        mixed = len({one.reflectance for one in found if one}) > 1 and not composition.reflectance
        if mixed and name in composition.names:
            raise SceneError(
                f"The values of {name} mean another reflectance on each date.",
                expected="values that can stand side by side", remedy="Add reflectance=True.",
            )  # fmt: skip


def check_reflectance(
    composition: Composition, indices: Mapping[str, Computed], dtypes: Mapping[str, np.dtype[Any]]
) -> None:
    """Raise SceneError if reflectance is needed of bands whose product does not state it; warn of what may lack it."""
    stated = {one.name: one.reflectance for one in composition.sources}
    absolute = {name for name, one in stated.items() if one is not None and one.absolute}
    if composition.reflectance:
        _refuse([name for name in composition.names if name not in indices and name not in absolute], "Reflectance")
    for index, prefix in indices.values():
        names = [f"{prefix}{band}" for band in index.bands]
        # measured numbers are whole: floats are what somebody has computed, reflectance
        without = [name for name in names if name not in absolute and dtypes[name].kind != "f"]
        if index.needs_reflectance:
            _refuse(without, index.name)
        elif any(stated[name] is None for name in without):
            warn(f"{index.name} is computed from values as they are stored: an offset of the product is not known.")


def _refuse(names: Sequence[str], what: str) -> None:
    if names:
        raise SceneError(
            f"{what} needs the reflectance of {', '.join(names)}, and how values become it is not known.",
            expected="bands of a product that states its scale and offset",
            remedy="Keep the product's metadata (MTL.txt, MTD_MSIL2A.xml) beside its bands, and give sensor=.",
        )


def target(composition: Composition, grids: Mapping[str, Grid]) -> Grid:
    """Return the grid a composition asks for, and tell what ground of the files is left out."""
    if composition.like is not None:
        grid = read_grid(composition.like)
        check_crs({**grids, shown(composition.like): grid})
    else:
        grid = common_grid(grids, composition.extent, composition.gsd_m)
    lost = [one for one in coverage(grids, grid) if one.left_out > _LOST and one.beyond_px >= 1]
    if lost:
        shares = ", ".join(f"{100 * one.left_out:.1f} % of {Path(one.file).name}" for one in lost)
        warn(
            f"The scene leaves out {shares}: ground that "
            f"{'the grid asked for does' if composition.like else 'other files do'} not cover."
        )
    return grid


def common_nodata(
    given: float | None, declared: Sequence[float | None], dtype: np.dtype[Any], computed: bool, lacking: bool
) -> float | None:
    """Return the nodata value of a scene: that of its bands where they have one, NaN of computed floats.

    Raises:
        SceneError: If the type cannot hold the one given.

    Warns:
        CrispmapWarning: If bands declare different values.
    """
    if given is not None:
        if stored_value(given, dtype) is None and not (np.isnan(given) and dtype.kind == "f"):
            raise SceneError(
                f"out_nodata is {given:g}, which values of type {dtype.name} cannot be.",
                expected="a value of that type", remedy="Give for example out_nodata=0.",
            )  # fmt: skip
        return given
    own = list(dict.fromkeys(float(v) for v in declared if v is not None and stored_value(v, dtype) is not None))
    if computed or (dtype.kind == "f" and len(own) != 1):
        return float("nan")
    if len(own) > 1:
        sentinels = [value for value in own if value != 0 and dtype != np.uint8]
        chosen = (sentinels or own)[0]
        warn(f"The bands have the nodata values {', '.join(f'{v:g}' for v in own)}: the scene has {chosen:g}.")
        return chosen
    if own or not lacking:
        return own[0] if own else None
    return float(np.iinfo(dtype).min)


def warn(text: str) -> None:
    """Warn a person, who has opened a scene."""
    warnings.warn(text, CrispmapWarning, stacklevel=_STACK)
