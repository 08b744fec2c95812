"""Spectral indices by name: formulas over bands under their standard names.

An index is computed from reflectance where the product says how values become it; a normalised difference of values
without an offset is the same from values as they are stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from crispmap.types import BoolArray, DoubleArray

_Bands = Mapping[str, DoubleArray]


@dataclass(frozen=True)
class Index:
    """A spectral index."""

    name: str
    bands: tuple[str, ...]  # standard names of the bands it needs
    formula: str  # for people
    source: str
    parts: Callable[[_Bands], tuple[DoubleArray, DoubleArray]]  # numerator and denominator
    needs_reflectance: bool = False  # whether a factor common to all bands changes it

    def compute(self, bands: _Bands) -> tuple[DoubleArray, BoolArray]:
        """Return the index and where it is defined; it is 0 where the denominator is 0 or the value is not finite."""
        with np.errstate(all="ignore"):
            above, below = self.parts(bands)
            value = above / below
        defined = np.isfinite(value)
        value[~defined] = 0.0
        return value, defined


def _difference(first: str, second: str) -> Callable[[_Bands], tuple[DoubleArray, DoubleArray]]:
    def parts(bands: _Bands) -> tuple[DoubleArray, DoubleArray]:
        return bands[first] - bands[second], bands[first] + bands[second]

    return parts


def _normalised(name: str, first: str, second: str, source: str) -> Index:
    formula = f"({first} - {second}) / ({first} + {second})"
    return Index(name, (first, second), formula, source, _difference(first, second))


def _evi(bands: _Bands) -> tuple[DoubleArray, DoubleArray]:
    return 2.5 * (bands["nir"] - bands["red"]), bands["nir"] + 6.0 * bands["red"] - 7.5 * bands["blue"] + 1.0


def _dnbr(bands: _Bands) -> tuple[DoubleArray, DoubleArray]:
    before, after = (
        (bands[f"{date}nir"] - bands[f"{date}swir2"]) / (bands[f"{date}nir"] + bands[f"{date}swir2"])
        for date in (BEFORE, AFTER)
    )
    return before - after, np.ones_like(before)


BEFORE, AFTER = "before_", "after_"
"""What the names of the bands of two dates begin with."""

_KEY_BENSON = "Key & Benson 2006, FIREMON, RMRS-GTR-164-CD"

INDICES: dict[str, Index] = {
    one.name.upper(): one
    for one in (
        _normalised("NDVI", "nir", "red", "Rouse et al. 1974, Third ERTS Symposium"),
        _normalised("NBR", "nir", "swir2", _KEY_BENSON),
        _normalised("NDWI", "green", "nir", "McFeeters 1996, Int. J. Remote Sensing 17"),
        _normalised("MNDWI", "green", "swir1", "Xu 2006, Int. J. Remote Sensing 27"),
        Index(
            "EVI", ("nir", "red", "blue"), "2.5 (nir - red) / (nir + 6 red - 7.5 blue + 1)",
            "Huete et al. 2002, Remote Sensing of Environment 83", _evi, needs_reflectance=True,
        ),
        Index(
            "dNBR", tuple(f"{date}{band}" for date in (BEFORE, AFTER) for band in ("nir", "swir2")),
            "NBR before - NBR after: above 0 where vegetation has burned", _KEY_BENSON, _dnbr,
        ),
    )
}  # fmt: skip
"""The indices by name in capitals."""


def index_named(name: str) -> tuple[Index, str] | None:
    """Return the index of a name, in any case, and the prefix of the bands it is of (``before_NBR``); None for none."""
    for prefix in ("", BEFORE, AFTER):
        rest = name[len(prefix) :] if name.lower().startswith(prefix) else ""
        found = INDICES.get(rest.upper())
        if found is not None:
            return found, prefix
    return None
