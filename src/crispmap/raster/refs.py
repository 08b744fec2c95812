"""References to scenes that are not open: their files, their bands and the names of their maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from crispmap.files.address import gdal_name, is_plain_file, name_of, shown
from crispmap.raster.compose.composition import Composition

_FILES_NAMED = 3


class SceneChoices(TypedDict, total=False):
    """How a scene is read; what is left out or None is as the scene has it."""

    bands: Sequence[int] | None
    assume_gsd_m: float | None
    nodata: float | None
    nodata_tolerance: float | None


@dataclass(frozen=True)
class SceneRef:
    """A scene by its files: one raster, several on one grid whose bands follow each other, or any that are composed.

    It can be pickled; ``open_scene`` opens it.
    """

    name: str  # part of its maps' file names
    files: tuple[str, ...]  # names GDAL opens, at least one
    band_names: tuple[str, ...] = ()  # a name for each band of the files, for bands without one; or none at all
    # band numbers, 1-based, counted over all files; by default every band but alpha
    bands: tuple[int, ...] | None = None
    assume_gsd_m: float | None = None  # side of a pixel in metres, for a scene without georeference
    nodata: float | None = None  # of all bands, in place of what the files declare; NaN for none
    nodata_tolerance: float = 0.0  # how far from nodata all bands of a pixel may be for it to be invalid
    composition: Composition | None = None  # how bands of the files make the scene, where they are on several grids

    @classmethod
    def of(cls, path: str | Path) -> SceneRef:
        """Return the scene of one raster: a file, an address, or any name GDAL opens."""
        return cls(name_of(path), (gdal_name(path),))

    @classmethod
    def composed(cls, name: str, composition: Composition) -> SceneRef:
        """Return the scene that bands of several files make."""
        return cls(name, composition.files, composition=composition)

    def choosing(self, **choices: Unpack[SceneChoices]) -> SceneRef:
        """Return the scene read in another way; what is None stays as it is."""
        given = {name: value for name, value in choices.items() if value is not None}
        if "bands" in given:
            given["bands"] = tuple(given["bands"])  # type: ignore[arg-type]
        return replace(self, **given)  # type: ignore[arg-type]

    def absolute(self) -> SceneRef:
        """Return the scene with absolute paths, for processes in other folders."""

        def absolute(file: str) -> str:
            return str(Path(file).absolute()) if is_plain_file(file) else file

        composition = self.composition and self.composition.renamed(absolute)
        return replace(self, files=tuple(map(absolute, self.files)), composition=composition)

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
