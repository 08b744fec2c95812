"""The section of a project file that names a data set of image and mask pairs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from crispmap.project.file.findings import bad_value, shown
from crispmap.project.file.scene_sections import SceneFile
from crispmap.project.file.sections import InputPath, Section, Text, checked_path, key
from crispmap.project.pairs.layout import LAYOUTS

SHARE = "a share such as 0.1, a list of ids, or the path of a text file with an id a line"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def _as_patterns(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _one_star(pattern: str) -> str:
    if pattern.count("*") != 1 or any(sign in pattern for sign in "?["):
        raise bad_value(f"is {pattern!r}", "a pattern with one *, such as images/*.tif")
    return pattern


def _one_id(pattern: str) -> str:
    if pattern.count("{id}") != 1:
        raise bad_value(f"is {pattern!r}", "a pattern with {id}, such as masks/{id}.png")
    return pattern


def _as_members(value: object, info: ValidationInfo) -> object:
    """Return a share, a tuple of ids, or the path of a file of ids."""
    if isinstance(value, str):
        return checked_path(value, info)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not 0 <= value < 1:
            raise bad_value(f"is {shown(value)}", remedy="Give a share of 0 or more, below 1.")
        return float(value)
    if isinstance(value, tuple | list) and all(isinstance(one, str | int) and one is not True for one in value):
        return tuple(str(one) for one in value)
    raise bad_value(f"is {shown(value)}", remedy="Put ids in a list, in [ ].")


def _checked_colour(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and _COLOUR.fullmatch(value):
        return value.lower()
    raise bad_value(f"is {shown(value)}", 'colours such as "#000000", or values such as 255')


def _checked_layout(name: str) -> str:
    if name not in LAYOUTS:
        raise bad_value(f"is {name!r}", f"one of {', '.join(LAYOUTS)}")
    return name


Members = Annotated[Any, BeforeValidator(_as_members)]
_Patterns = Annotated[tuple[Annotated[Text, AfterValidator(_one_star)], ...], BeforeValidator(_as_patterns)]
_MaskPatterns = Annotated[tuple[Annotated[Text, AfterValidator(_one_id)], ...], BeforeValidator(_as_patterns)]


class SplitSection(Section):
    """Which images are for what; the rest trains the coarse network."""

    by: Literal["file", "ground", "within"] = key(
        "how shares are drawn: file (at random), ground (neighbours together) or within (a part of every image)", "file"
    )
    validation: Members | None = key(f"where trainings are validated: {SHARE}")
    test: Members | None = key(f"where maps are scored: {SHARE}")
    refiner: Members | None = key(f"where the refiner learns: {SHARE}")

    @property
    def members(self) -> dict[str, float | tuple[str, ...] | Path]:
        """What is given, by role."""
        given = {"test": self.test, "validation": self.validation, "refiner": self.refiner}
        return {role: value for role, value in given.items() if value is not None}


class DatasetSection(SceneFile):
    """Images and masks in folders, in place of scenes, labels, reference and areas."""

    path: InputPath = Field(description="the folder of the data set")
    layout: Annotated[str, AfterValidator(_checked_layout)] | None = key(
        f"how it is laid out, by default recognised: one of {', '.join(LAYOUTS)}"
    )
    images: _Patterns | None = key("of layout pairs, the images: a pattern with one *, or a list, such as images/*.tif")
    masks: _MaskPatterns | None = key("of layout pairs, the mask of each: a pattern with {id}, such as masks/{id}.png")
    unknown: Literal["error", "ignore"] = key(
        "how to treat colours or values of no class: ignore (they are counted) or error", "ignore"
    )
    tolerance: Annotated[int, Field(ge=0, le=255)] | None = key(
        "how far colours of a mask may be from those of classes, in each channel, by default that of the layout: "
        "a whole number of 0 to 255"
    )
    ignored: tuple[Annotated[Any, BeforeValidator(_checked_colour)], ...] = key(
        "colours or values of pixels that nothing is known of, in a list", ()
    )
    damaged: Literal["stop", "skip"] = key("how to treat pairs that cannot be used: stop or skip", "stop")
    split: SplitSection = key("which images are for what: a mapping of validation, test and refiner", SplitSection())
