"""Values of bands of one block: their indices, their reflectance, and of several dates those of the chosen one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from crispmap.raster.compose.composition import Reflectance
from crispmap.raster.compose.indices import Index
from crispmap.types import BoolArray, DoubleArray


class BandValues(NamedTuple):
    """A band of one block."""

    values: NDArray[Any]  # (row, col)
    valid: BoolArray
    how: Reflectance | None = None  # how they become reflectance, if that is known

    @property
    def reflectance(self) -> DoubleArray:
        """The values as reflectance; as they are where it is not known how."""
        how = self.how or Reflectance(1.0, 0.0)
        return self.values.astype(np.float64) * how.scale + how.offset


def index_values(index: Index, prefix: str, read: Mapping[str, BandValues]) -> BandValues:
    """Return an index of bands whose names begin with a prefix, from reflectance where it is known of all of them."""
    bands = {band: read[f"{prefix}{band}"] for band in index.bands}
    known = all(one.how is not None for one in bands.values())
    numbers = {
        band: np.where(one.valid, one.reflectance if known else one.values.astype(np.float64), np.nan)
        for band, one in bands.items()
    }
    return BandValues(*index.compute(numbers))


def of_lowest_date(index: Index, prefix: str, dates: Sequence[Mapping[str, BandValues]]) -> dict[str, BandValues]:
    """Return each band from the date on which an index is lowest, of equal ones the first; invalid where there is none.

    Dates without the bands of the index have no part in that, and theirs are returned as they are. Bands that the
    dates state differently how to make reflectance of are returned as reflectance.
    """
    first = f"{prefix}{index.bands[0]}"
    able = [bands for bands in dates if first in bands]
    found = [index_values(index, prefix, bands) for bands in able]
    ranked = np.stack([np.where(one.valid, one.values, np.inf) for one in found])
    chosen, known = ranked.argmin(axis=0), np.isfinite(ranked).any(axis=0)
    result = {name: one for bands in dates if first not in bands for name, one in bands.items()}
    for name in able[0]:
        bands = [one[name] for one in able]
        alike = len({one.how for one in bands}) == 1
        values = np.stack([one.values if alike else one.reflectance for one in bands])
        valid = np.stack([one.valid for one in bands])
        taken = [np.take_along_axis(one, chosen[None], axis=0)[0] for one in (values, valid)]
        how = bands[0].how if alike else Reflectance(1.0, 0.0, all(one.how and one.how.absolute for one in bands))
        result[name] = BandValues(taken[0], taken[1] & known, how)
    return result
