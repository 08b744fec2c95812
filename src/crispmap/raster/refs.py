"""References to scenes that are not open: their files, their bands and the names of their maps."""

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
    """

    name: str  # part of its maps' file names
    files: tuple[str, ...]  # names GDAL opens, at least one
    band_names: tuple[str, ...] = ()  # a name for each band of the files, for bands without one; or none at all
    # band numbers, 1-based, counted over all files; by default every band but alpha
    bands: tuple[int, ...] | None = None
    assume_gsd_m: float | None = None  # side of a pixel in metres, for a scene without georeference

    @classmethod
    def of(cls, path: str | Path) -> SceneRef:
        """Return the scene of one raster: a file, an address, or any name GDAL opens."""
        return cls(name_of(path), (gdal_name(path),))

    def choosing(self, bands: Sequence[int] | None, assume_gsd_m: float | None) -> SceneRef:
        """Return the scene with other bands and distance; None keeps its own."""
        return replace(
            self,
            bands=self.bands if bands is None else tuple(bands),
            assume_gsd_m=self.assume_gsd_m if assume_gsd_m is None else assume_gsd_m,
        )

    def absolute(self) -> SceneRef:
        """Return the scene with absolute paths, for processes in other folders."""
        files = (str(Path(file).absolute()) if is_plain_file(file) else file for file in self.files)
        return replace(self, files=tuple(files))

    @property
    def path(self) -> Path:
        """Its file, or the first of several."""
        return Path(shown(self.files[0]))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its local files, which no output may replace."""
        return tuple(Path(file) for file in self.files if is_plain_file(file))

    def __str__(self) -> str:
        """Return its files, for messages."""
        named = ", ".join(shown(file) for file in self.files[:_FILES_NAMED])
        more = len(self.files) - _FILES_NAMED
        return f"{named} and {more} more" if more > 0 else named
