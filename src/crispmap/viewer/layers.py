"""The layers of a view: what each shows, of which pixels, and how it is painted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Block
from crispmap.types import BoolArray
from crispmap.viewer.handles import stamp_of
from crispmap.viewer.painting import AmountPainter, ClassPainter, ImagePainter, Painter
from crispmap.viewer.pyramid import Pyramid
from crispmap.viewer.sources import PixelSource


class Growth(Protocol):
    """How far a map has grown that is still being made."""

    def done_in(self, level: int, block: Block) -> int:
        """Return a number that rises with every piece that is finished in a block of a level."""


LayerKind: TypeAlias = Literal["image", "classes", "amount", "errors"]
_SAMPLE_PX = 512
_PERCENTILES = 2.0, 98.0


@dataclass(frozen=True)
class ClassEntry:
    """A class as the legend shows it."""

    value: int
    name: str
    colour: str
    hidden: bool = False  # until a person shows it: what would only veil the layers below


@dataclass(frozen=True)
class Layer:
    """Something to look at."""

    id: str  # in addresses: letters, digits and hyphens
    name: str
    kind: LayerKind
    source: PixelSource = field(repr=False)
    painter_of: Callable[[], Painter] = field(repr=False)  # may read pixels; asked once, for the first picture
    files: tuple[Path, ...] = ()  # what it is made of
    classes: tuple[ClassEntry, ...] = ()
    ramp: tuple[float, float] | None = None  # the lowest and highest amount
    bands: tuple[str, ...] = ()  # names of the bands shown
    growth: Growth | None = field(default=None, repr=False)  # of a map that is being made
    coarsest: int | None = None  # the last level it is computed on, where one step further out is too much work

    @cached_property
    def painter(self) -> Painter:
        """What paints it."""
        return self.painter_of()

    def stamp(self) -> str:
        """Return what tells one state of its files from another.

        Raises:
            SceneError: If one is gone.
        """
        return "-".join(f"{part:x}" for path in self.files for part in stamp_of(path)) or "0"

    def stamp_in(self, level: int, block: Block) -> str:
        """Return what tells one state of a block of a level from another.

        Raises:
            SceneError: If a file is gone.
        """
        return self.stamp() if self.growth is None else f"{self.growth.done_in(level, block):x}"


def stretched(source: PixelSource, pyramid: Pyramid, dtype: str, count: int) -> ImagePainter:
    """Return the painter of an image: bytes of three bands as they are, others from the 2nd to the 98th percentile."""
    if dtype == "uint8" and count == 3:
        return ImagePainter((0.0,) * count, (255.0,) * count)
    bounds = [percentiles(band) for band in sample(source, pyramid)]
    return ImagePainter(tuple(low for low, _ in bounds), tuple(high for _, high in bounds))


def sample(source: PixelSource, pyramid: Pyramid) -> list[NDArray[Any]]:
    """Return the valid values of each band as seen from far away."""
    level = next((one for one in range(pyramid.levels) if max(pyramid.shape(one)) <= _SAMPLE_PX), pyramid.levels - 1)
    values, valid = source.read(level, Block(0, 0, *pyramid.shape(level)))
    return [band[valid] for band in values]


def percentiles(values: NDArray[Any]) -> tuple[float, float]:
    """Return the 2nd and the 98th percentile of values; 0 and 1 of none."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(one) for one in np.percentile(finite, _PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)


def class_painter(colours: Mapping[int, str]) -> Callable[[], Painter]:
    """Return what gives the painter of classes that have these colours."""
    painter = ClassPainter(dict(colours))
    return lambda: painter


def amount_painter(lowest: float, highest: float) -> Callable[[], Painter]:
    """Return what gives the painter of amounts."""
    painter = AmountPainter(lowest, highest)
    return lambda: painter


@dataclass(frozen=True)
class Probability:
    """The probability of one class, of a source of scores whose bands are all classes."""

    scores: PixelSource
    index: int
    full: float | None  # the value of probability 1; None where scores are logits

    def read(self, level: int, block: Block) -> tuple[NDArray[Any], BoolArray]:
        """Return values and valid pixels; see ``PixelSource``."""
        values, valid = self.scores.read(level, block)
        return shares_of(values, self.full)[self.index : self.index + 1], valid

    def close(self) -> None:
        """Release the files."""
        self.scores.close()


def shares_of(values: NDArray[Any], full: float | None) -> NDArray[np.float32]:
    """Return scores (class, ..) as probabilities.

    Args:
        full: The value of probability 1; None where they are logits.
    """
    found = values.astype(np.float32)
    if full is not None:
        return found / np.float32(full)
    with np.errstate(invalid="ignore"):
        powers = np.exp(found - np.nanmax(found, axis=0, keepdims=True, initial=-np.inf))
        shares: NDArray[np.float32] = powers / powers.sum(axis=0, keepdims=True)
    return shares
