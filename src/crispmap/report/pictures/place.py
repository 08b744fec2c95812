"""Where a picture lies, in words, and the bar that shows its scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from crispmap.errors import GridError
from crispmap.geo.crs import to_lonlat
from crispmap.geo.grid import Block, Grid

_LONGEST_BAR = 0.3  # of the width of the picture
_KM = 1000.0


class ScaleBar(NamedTuple):
    """A length on the ground."""

    share: float  # of the width of the picture, 0..1
    text: str  # the length with its unit


@dataclass(frozen=True)
class Place:
    """Where a picture lies in its scene."""

    scene: str  # name of the scene; any text, or empty where there is one alone
    block: Block  # the pixels of the scene that the picture shows
    gsd: tuple[float, float] = (1.0, 1.0)  # height and width of a pixel
    unit: str = "px"  # of these lengths: "m", or "px" where the scene has no coordinate reference system
    lonlat: tuple[float, float] | None = None  # longitude and latitude of the middle, in degrees

    @classmethod
    def of(cls, scene: str, grid: Grid, block: Block) -> Place:
        """Return the place of a block of a grid, measured at its middle."""
        if grid.crs is None:
            return cls(scene, block)
        here = grid.window(block)
        gsd_x, gsd_y = here.gsd_m()
        try:
            middle = to_lonlat(grid.crs).transform(*(here.transform @ (here.width / 2, here.height / 2)))
        except GridError:
            middle = (math.inf, math.inf)
        known = all(math.isfinite(degrees) for degrees in middle)
        return cls(scene, block, (gsd_y, gsd_x), "m", (float(middle[0]), float(middle[1])) if known else None)

    @property
    def ratio(self) -> float:
        """Width divided by height, on the ground."""
        return self.block.width * self.gsd[1] / (self.block.height * self.gsd[0])

    @property
    def bar(self) -> ScaleBar:
        """The longest bar of 1, 2 or 5 times a power of ten that takes up to three tenths of the width."""
        width = self.block.width * self.gsd[1]
        power = 10.0 ** math.floor(math.log10(_LONGEST_BAR * width))
        length = max(power * factor for factor in (1, 2, 5) if power * factor <= _LONGEST_BAR * width)
        return ScaleBar(length / width, _length_text(length, self.unit))

    @property
    def text(self) -> str:
        """The scene, rows and columns, where on earth, and the size on the ground."""
        one = self.block
        parts = [self.scene] if self.scene else []
        parts.append(f"rows {one.row} to {one.row_stop}, columns {one.col} to {one.col_stop}")
        if self.lonlat is not None:
            parts.append(_degrees_text(*self.lonlat))
        if self.unit == "m":
            width, height = one.width * self.gsd[1], one.height * self.gsd[0]
            parts.append(f"{_length_text(width, 'm')} x {_length_text(height, 'm')}")
        return ", ".join(parts)


def _length_text(length: float, unit: str) -> str:
    if unit == "m" and length >= _KM:
        return f"{length / _KM:.3g} km"
    return f"{length:.3g} {unit}" if length < _KM else f"{length:.0f} {unit}"


def _degrees_text(lon: float, lat: float) -> str:
    return f"{abs(lat):.4f}° {'N' if lat >= 0 else 'S'} {abs(lon):.4f}° {'E' if lon >= 0 else 'W'}"
