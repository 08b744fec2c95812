"""Scenes that are told but not open: which files, which bands, and what their maps are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crispmap.files.address import gdal_name, is_plain_file, name_of, shown

_FILES_NAMED = 3


@dataclass(frozen=True)
class SceneRef:
    """A scene by its files: one raster, or several on one grid whose bands follow each other.

    It can be pickled; ``open_scene`` opens it.

    Attributes:
        name: What to call its maps: part of a file name.
        files: What GDAL opens, at least one.
        band_names: A name for each band of the files, for those that say none themselves; or none at all.
        bands: Band numbers, 1-based, counted over all files; by default every band but alpha.
        assume_gsd_m: Side of a pixel in metres, for a scene without georeference.
    """

    name: str
    files: tuple[str, ...]
    band_names: tuple[str, ...] = ()
    bands: tuple[int, ...] | None = None
    assume_gsd_m: float | None = None

    @classmethod
    def of(cls, path: str | Path) -> SceneRef:
        """Return the scene of one raster: a file, an address, or any name GDAL opens."""
        return cls(name_of(path), (gdal_name(path),))

    def choosing(self, bands: Sequence[int] | None, assume_gsd_m: float | None) -> SceneRef:
        """Return the scene with bands and distance as given here; None leaves what it has."""
        return replace(
            self,
            bands=self.bands if bands is None else tuple(bands),
            assume_gsd_m=self.assume_gsd_m if assume_gsd_m is None else assume_gsd_m,
        )

    def absolute(self) -> SceneRef:
        """Return the scene with files that are found from any folder, as for a process elsewhere."""
        return replace(
            self, files=tuple(str(Path(file).absolute()) if is_plain_file(file) else file for file in self.files)
        )

    @property
    def path(self) -> Path:
        """Its file, or the first of several: for messages, and to tell it from other files."""
        return Path(shown(self.files[0]))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Those of its files that lie in a folder here: what no output may replace."""
        return tuple(Path(file) for file in self.files if is_plain_file(file))

    def __str__(self) -> str:
        """What messages call it: its file, or its files."""
        named = ", ".join(shown(file) for file in self.files[:_FILES_NAMED])
        more = len(self.files) - _FILES_NAMED
        return f"{named} and {more} more" if more > 0 else named
