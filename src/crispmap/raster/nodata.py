"""Which pixels nodata values make invalid; see decision 0008."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import SceneError
from crispmap.types import BoolArray


@dataclass(frozen=True)
class _BandRule:
    place: int  # of the band among those that are read
    low: Any  # values from here
    high: Any  # to here are nodata

    def holds(self, raw: NDArray[Any]) -> BoolArray:
        """Return where values (band, row, col) hold the nodata value."""
        values = raw[self.place]
        if self.low == self.high:
            return np.asarray(values == self.low)
        return np.asarray((values >= self.low) & (values <= self.high))


@dataclass(frozen=True)
class NodataRule:
    """Pixels are invalid where any band holds a sentinel, or all bands that have a plausible nodata value hold it.

    A sentinel is a value no sensor measures. 0, and any value of unsigned 8-bit bands, may be a real value of one band:
    only pixels that hold it in all bands are invalid.
    """

    sentinels: tuple[_BandRule, ...] = ()
    plausible: tuple[_BandRule, ...] = ()

    @classmethod
    def of(cls, values: Sequence[float | None], dtypes: Sequence[Any], tolerance: float = 0.0) -> NodataRule:
        """Return the rule of bands with these nodata values and types.

        Args:
            values: One per band; None, NaN, infinity and what the type cannot hold make nothing invalid.
            dtypes: The type of each.
            tolerance: How far from it a value still counts as nodata.
        """
        sentinels, plausible = list[_BandRule](), list[_BandRule]()
        for place, (value, kind) in enumerate(zip(values, dtypes, strict=True)):
            dtype = np.dtype(kind)
            stored = stored_value(value, dtype)
            if stored is None:
                continue
            rule = (
                _BandRule(place, *_around(stored, tolerance, dtype)) if tolerance else _BandRule(place, stored, stored)
            )
            (plausible if stored == 0 or dtype == np.uint8 else sentinels).append(rule)
        return cls(tuple(sentinels), tuple(plausible))

    @property
    def is_empty(self) -> bool:
        """Whether it makes nothing invalid."""
        return not (self.sentinels or self.plausible)

    def valid(self, raw: NDArray[Any]) -> BoolArray:
        """Return the valid pixels (row, col) of values (band, row, col)."""
        valid = np.ones(raw.shape[1:], np.bool_)
        for rule in self.sentinels:
            valid &= ~rule.holds(raw)
        if self.plausible:
            held = self.plausible[0].holds(raw)
            for rule in self.plausible[1:]:
                held &= rule.holds(raw)
            valid &= ~held
        return valid


def stored_value(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """Return a nodata value as a type stores it; None if it is not finite or the type cannot hold it."""
    if nodata is None or not math.isfinite(nodata):
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    limits = np.iinfo(dtype)
    return dtype.type(int(nodata)) if nodata == int(nodata) and limits.min <= nodata <= limits.max else None


def check_nodata(nodata: float | None, tolerance: float, own: Sequence[float | None], dtypes: Sequence[Any]) -> None:
    """Check a nodata value that is given for an image, and a tolerance.

    Args:
        nodata: The value given; None where none is.
        tolerance: How far from it a value still counts as nodata.
        own: The nodata value that each band declares itself.
        dtypes: The type of each.

    Raises:
        SceneError: If no band can hold the value, or the tolerance is below 0 or has no value to be near to.
    """
    kinds = [np.dtype(kind) for kind in dtypes]
    if nodata is not None and not math.isnan(nodata) and all(stored_value(nodata, kind) is None for kind in kinds):
        raise SceneError(
            f"nodata is {nodata:g}, which values of type {kinds[0].name} cannot be.",
            expected="a finite value the image holds, or nan for no such value",
            remedy="Give the value of the pixels without data, such as nodata=0.",
        )
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise SceneError(f"nodata_tolerance is {tolerance}.", expected="a finite number of 0 or more")
    chosen = own if nodata is None else [nodata]
    if tolerance and all(value is None or math.isnan(value) for value in chosen):
        raise SceneError(
            f"nodata_tolerance is {tolerance:g}, and the image declares no nodata value.",
            expected="a nodata value that pixels are near to",
            remedy="Give it too, such as nodata=0.",
        )


def _around(value: Any, tolerance: float, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """Return the smallest and the largest value of a type that are within the tolerance of a value."""
    if dtype.kind == "f":
        return dtype.type(value - tolerance), dtype.type(value + tolerance)
    limits = np.iinfo(dtype)
    low, high = int(value) - math.floor(tolerance), int(value) + math.floor(tolerance)
    return dtype.type(max(low, limits.min)), dtype.type(min(high, limits.max))
