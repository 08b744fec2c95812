"""The options that all classifiers of squares share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from crispmap.geo.squares import LabelRule
from crispmap.models.architecture import ArchitectureOptions


class SquareOptions(ArchitectureOptions):
    """Options of classifiers of squares."""

    square_px: Annotated[int, Field(ge=8, le=1024)] = Field(
        128, description="side of the squares that get one class each, in pixels: a whole number of 8 to 1024"
    )
    context_px: Annotated[int, Field(ge=0, le=512)] = Field(
        0, description="pixels around a square that the network sees as well: a whole number of 0 to 512"
    )
    label: LabelRule = Field(
        "centre", description="what labels a square: centre, its middle pixel, or majority, most of its labelled pixels"
    )
