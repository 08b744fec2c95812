"""What families of products have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crispmap.errors import SceneError
from crispmap.raster.compose.composition import Reflectance

_LARGEST = 16_000_000  # of a metadata file; those of Sentinel-2 have some 100 kB


@dataclass(frozen=True)
class Channel:
    """One band of a sensor."""

    name: str  # its standard name: what it sees
    low_nm: float  # the band it records, between the points of half of its response
    high_nm: float
    usual: bool = True  # whether a scene has it if nothing else is asked for

    @property
    def wavelength_nm(self) -> float:
        """Its centre."""
        return (self.low_nm + self.high_nm) / 2


@dataclass(frozen=True)
class BandFile:
    """A file that by its name is a band of a product."""

    path: Path
    scene: str  # what the names of the files of one product begin with
    own_name: str  # such as B4
    sensor: str | None = None  # if its name says so
    level: int | None = None  # 1: as measured at the sensor; 2: as on the ground
    rank: int = 0  # of several files of one band, the lowest is taken


@dataclass(frozen=True)
class Family:
    """Products whose files are named alike."""

    sensors: Mapping[str, Mapping[str, Channel]]  # by name of the sensor and the band
    parse: Callable[[Path], BandFile | None]  # a file by its name; None where it is no band
    # how values of each band become reflectance, as far as is known; SceneError where metadata contradict the files
    reflectance: Callable[[str, Sequence[BandFile]], Mapping[str, Reflectance]]
    nodata: float | None = None  # value of pixels without data, which files need not declare


def metadata_text(path: Path) -> str:
    """Return the text of a metadata file; SceneError if it cannot be read, or is none by its size."""
    try:
        if path.stat().st_size <= _LARGEST:
            return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise unusable(path, f"it cannot be read: {error.strerror}") from error
    raise unusable(path, "it is larger than any of these files")


def unusable(path: Path, why: str) -> SceneError:
    """Return the error for metadata that cannot be used."""
    return SceneError(
        f"The metadata {path} cannot be used: {why}.",
        expected="the complete metadata file of the product its bands are of",
        remedy="Download it again; without it values stay as they are stored.",
    )
