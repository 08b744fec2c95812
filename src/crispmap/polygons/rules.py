"""Which polygons are made of a class map, and how; presets of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from crispmap.errors import InputError, SchemaError
from crispmap.polygons.class_raster import ALL, ClassRaster

Preset: TypeAlias = Literal["buildings", "roads", "landcover"]

_AREAS = {"min_area_m2": "smallest area", "sieve_m2": "area to sieve", "fill_holes_m2": "area of holes to fill"}
_LENGTHS = {"simplify_m": "simplification"}


@dataclass(frozen=True)
class PolygonRules:
    """Which polygons are made, and how; what is None is the preset's, or none at all.

    Raises:
        InputError: If a number is below 0 or not finite, or the preset is none.
    """

    # names or ids of classes, or ``("all",)``; None for those of the preset, or all but 0, the background
    classes: tuple[str, ...] | None = None
    min_area_m2: float | None = None  # smaller polygons are left out; square metres on the ground
    simplify_m: float | None = None  # how far outlines may stray to have fewer corners, in metres; 0 keeps them
    sieve_m2: float | None = None  # smaller regions of any class join the neighbour with the longest common border
    fill_holes_m2: float | None = None  # smaller regions within one region of a wanted class become part of it
    preset: Preset | None = None  # outlines with right angles, centrelines, or a coverage; and numbers that suit them
    confidence: Path | None = None  # a confidence raster, or scores, that polygons get their mean confidence from
    scores: Path | None = None  # the scores behind the map, by which touching buildings are split

    def __post_init__(self) -> None:
        for name, what in (_AREAS | _LENGTHS).items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise InputError(f"The {what} is {value}.", expected="a number of 0 or more", remedy="Leave it out.")
        if self.preset is not None and self.preset not in get_args(Preset):
            raise InputError(
                f"The preset is {self.preset!r}.", expected=f"one of {', '.join(get_args(Preset))}",
                remedy="Choose one of them, or leave it out.",
            )  # fmt: skip
        if self.scores is not None and self.preset != "buildings":
            raise InputError(
                "Scores are given without the preset for buildings.",
                expected="scores to split touching buildings by",
                remedy="Add preset=buildings; for the confidence of polygons give them as confidence= instead.",
            )

    def numbers(self, raster: ClassRaster) -> Numbers:
        """Return the numbers to work with on a map: those given, else the preset's, else 0."""
        given = {one.name: getattr(self, one.name) for one in fields(Numbers)}
        known = {name: value for name, value in given.items() if value is not None}
        return replace(_numbers(self.preset, raster), **known)

    def names(self, raster: ClassRaster) -> tuple[str, ...] | None:
        """Return the classes to write: those given, else the preset's.

        Raises:
            SchemaError: If the preset is of buildings or roads and the map does not name one class so.
        """
        if self.classes is not None or self.preset is None:
            return self.classes
        if self.preset == "landcover":
            return (ALL,)
        names = () if raster.schema is None else raster.schema.names
        singular = self.preset.removesuffix("s")
        named = [name for name in names if name.lower() in (singular, self.preset)]
        if not named and len(names) == 2:
            named = [names[1]]
        if len(named) != 1:
            raise SchemaError(
                f"{raster.path} has no class named {singular}.",
                expected=f"a class named {singular} for the preset {self.preset}",
                remedy="Name the class: classes= with its name or id; crispmap info lists the classes of a map.",
            )
        return (named[0],)


@dataclass(frozen=True)
class Numbers:
    """Areas in square metres on the ground, and how far outlines may stray in metres."""

    min_area_m2: float = 0.0
    simplify_m: float = 0.0
    sieve_m2: float = 0.0
    fill_holes_m2: float = 0.0

    @property
    def cleans(self) -> bool:
        """Whether regions join others."""
        return self.sieve_m2 > 0 or self.fill_holes_m2 > 0


def _numbers(preset: Preset | None, raster: ClassRaster) -> Numbers:
    """Return the numbers of a preset on a map: what is worth drawing, and no smaller than its pixels can show."""
    pixel_m = raster.grid.mean_gsd_m()
    pixels = pixel_m * pixel_m
    if preset == "buildings":  # a shed, or half a dozen pixels; a patio
        least = max(5.0, 6 * pixels)
        return Numbers(simplify_m=1.25 * pixel_m, sieve_m2=least, fill_holes_m2=2 * least)
    if preset == "roads":  # a stretch between two trees; a traffic island or the crown of a tree
        least = max(20.0, 6 * pixels)
        return Numbers(simplify_m=1.25 * pixel_m, sieve_m2=least, fill_holes_m2=2.5 * least)
    if preset == "landcover":
        return Numbers(simplify_m=1.25 * pixel_m, sieve_m2=25 * pixels)
    return Numbers()
