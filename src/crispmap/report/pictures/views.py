"""Crops of the scene with their maps, checked to fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.errors import InputError
from crispmap.report.pictures.place import Place
from crispmap.types import FloatArray, LabelArray


@dataclass(frozen=True)
class Crop:
    """A small piece of the scene, followed through the refinement steps."""

    title: str
    image: NDArray[np.uint8]  # uint8 (3, row, col), see ``photos.rgb_preview``
    reference: LabelArray  # uint8 (row, col) class ids
    steps: Sequence[LabelArray]  # class ids after each step, the coarse map first, the final map last
    # for any number of classes, by name: the probability (row, col), 0..1, after each step, as many as ``steps``
    heat: Mapping[str, Sequence[FloatArray]] = field(default_factory=dict)
    # uint8 (row, col) class ids of the re-thresholded coarse map, if it is shown
    rethresholded: LabelArray | None = None
    names: Sequence[str] = ()  # of the steps; by default the coarse map, numbers, and the refined map
    place: Place | None = None  # where it lies, if that is known

    def __post_init__(self) -> None:
        if not self.steps:
            raise InputError(f"Crop {self.title!r} has no class map.", expected="at least the coarse one")
        extra = () if self.rethresholded is None else (self.rethresholded,)
        _check_shapes(f"Crop {self.title!r}", self.image, (self.reference, *self.steps, *extra))
        for name, planes in self.heat.items():
            if len(planes) != len(self.steps):
                raise InputError(
                    f"Crop {self.title!r}: {len(planes)} heat maps of {name!r}, {len(self.steps)} steps.",
                    expected="one heat map a step, the coarse one first",
                )
            _check_shapes(f"Crop {self.title!r}, heat of {name!r}", self.image, planes)


@dataclass(frozen=True)
class Overview:
    """The whole scored area, one pixel in so many along each side."""

    image: NDArray[np.uint8]  # uint8 (3, row, col)
    reference: LabelArray  # class ids uint8 (row, col)
    maps: Mapping[str, LabelArray]  # class ids uint8 (row, col) by the name of the map
    place: Place | None = None  # where it lies, if that is known; its block counts all pixels

    def __post_init__(self) -> None:
        _check_shapes("The overview", self.image, (self.reference, *self.maps.values()))


@dataclass(frozen=True)
class Whole:
    """The image of a whole area, one pixel in so many along each side: crops are located on it."""

    image: NDArray[np.uint8]  # uint8 (3, row, col)
    place: Place  # its block counts all pixels


@dataclass(frozen=True)
class Strip:
    """A small piece of the scene, or a whole image, as every method maps it."""

    title: str
    image: NDArray[np.uint8]  # uint8 (3, row, col)
    maps: Mapping[str, LabelArray]  # class ids uint8 (row, col) by name, the reference first
    # for any number of networks, by name: the probability (row, col), 0..1, of each class by name
    activations: Mapping[str, Mapping[str, FloatArray]] = field(default_factory=dict)
    place: Place | None = None  # where it lies, if that is known

    def __post_init__(self) -> None:
        planes = [plane for by_class in self.activations.values() for plane in by_class.values()]
        _check_shapes(f"Strip {self.title!r}", self.image, [*self.maps.values(), *planes])


def _check_shapes(what: str, image: NDArray[np.uint8], planes: Sequence[NDArray[Any]]) -> None:
    """Raise InputError unless maps have the shape of their image."""
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"{what} has an image of shape {image.shape} and type {image.dtype}.",
            expected="uint8 (3, row, col)",
            remedy="make one from any image with photos.rgb_preview",
        )
    shapes = {plane.shape for plane in planes}
    if shapes != {image.shape[1:]}:
        raise InputError(
            f"{what} has maps of shapes {sorted(shapes)} and an image of shape {image.shape[1:]}.",
            expected="one shape for all",
        )
