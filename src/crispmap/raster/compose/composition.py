"""What a scene is composed of: bands of files on different grids, indices of them, and the grid they are seen on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

Extent: TypeAlias = Literal["intersection", "union"]
Method: TypeAlias = Literal["auto", "average", "bilinear", "cubic", "nearest"]


@dataclass(frozen=True)
class Reflectance:
    """How stored values become reflectance, as the product states it: ``value * scale + offset``."""

    scale: float
    offset: float
    # whether the result is reflectance itself; if not, it is short of a factor that all bands of the date share, such
    # as that of the sun's elevation, which leaves normalised differences as they are
    absolute: bool = True


@dataclass(frozen=True)
class SourceBand:
    """One band of a file."""

    file: str  # a name GDAL opens
    name: str  # its name in the scene
    band: int = 1  # its number in the file, from 1
    own_name: str = ""  # what the sensor's product calls it, such as B4
    wavelength_nm: float | None = None  # the centre of what it records
    reflectance: Reflectance | None = None
    nodata: float | None = (
        None  # what the product says that pixels without data hold, in place of what the file declares
    )
    date: int = 0  # bands of one date belong together where ``Composition.lowest`` chooses between dates


@dataclass(frozen=True)
class Composition:
    """Bands and the grid they are seen on.

    The grid is that of ``like``; else that of the finest band, at pixels of ``gsd_m`` where that is given, over the
    ground that all bands share or that any has.
    """

    sources: tuple[SourceBand, ...]
    take: tuple[str, ...] = ()  # names of the bands of the scene, indices among them; by default all sources
    extent: Extent = "intersection"
    like: str | None = None  # a raster whose grid the scene gets
    gsd_m: float | None = None
    method: Method = "auto"  # see ``crispmap.raster.compose.placed``
    reflectance: bool = False  # whether values are reflectance, in place of those stored
    nodata: float | None = None  # nodata value of the scene, by default that of the bands
    lowest: str | None = None  # an index: of several dates, each pixel is of that with the lowest value of it
    names: tuple[str, ...] = field(init=False)  # of the bands of the scene

    def __post_init__(self) -> None:
        every = tuple(dict.fromkeys(one.name for one in self.sources))
        object.__setattr__(self, "names", self.take or every)

    @property
    def files(self) -> tuple[str, ...]:
        """Every file its bands come from, and that whose grid it gets."""
        named = [one.file for one in self.sources] + ([self.like] if self.like else [])
        return tuple(dict.fromkeys(named))

    def renamed(self, change: Callable[[str], str]) -> Composition:
        """Return it with other names of files."""
        sources = tuple(replace(one, file=change(one.file)) for one in self.sources)
        return replace(self, sources=sources, like=self.like and change(self.like))
