"""Vectors read once for a whole run, however many trainings, pixel sizes and reports ask for them."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

from geopandas import GeoDataFrame

from crispmap.classes import ClassSchema
from crispmap.files.address import is_address
from crispmap.geo.grid import Grid
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors


class KeptVectors:
    """The features of vector files, kept by file and by what decides how they are read.

    A file on a disk that is written meanwhile is read again; what lies at an address is read once.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[Hashable, GeoDataFrame]] = {}

    def read(
        self, path: Path, schema: ClassSchema, *, grid: Grid, options: LabelOptions, points: bool = False
    ) -> GeoDataFrame:
        """Return what ``read_vectors`` does, not to be changed; it warns of what is left out when a file is read."""
        how = options.layer, options.encoding, options.assume_crs, options.all_as, options.unknown
        key, state = (path, schema, grid, how, points), _state_of(path)
        if key not in self._kept or self._kept[key][0] != state:
            self._kept[key] = state, read_vectors(path, schema, grid=grid, options=options, points=points)
        return self._kept[key][1]


def _state_of(path: Path) -> Hashable:
    """Return what changes when a file is written; None of one at an address, or that is missing."""
    if is_address(path):
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
