"""The project file as a whole."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from crispmap.geo.area_pieces import AREA_ROLES
from crispmap.project.file.networks import CoarseField, CoarseSection, RefinerField
from crispmap.project.file.sections import (
    ABOVE_0,
    FORMAT,
    NAME,
    AreasSection,
    ClassEntry,
    LabelSection,
    OutputPath,
    Positive,
    ReferenceSection,
    SceneEntry,
    SceneSection,
    Section,
)


class OutputSection(Section):
    """Where results go."""

    folder: OutputPath | None = Field(None, description="the path of a folder")


class ProjectFile(Section):
    """The project file as a whole, each value checked by itself."""

    crispmap: Annotated[int, Field(ge=FORMAT, le=FORMAT)] = Field(
        description=f"{FORMAT}, the format of project files this version reads"
    )
    name: Annotated[str, StringConstraints(pattern=NAME, max_length=100)] = Field(
        description="text of letters, digits, spaces and . _ + -, in quotes if it reads as a number or a date"
    )
    seed: Annotated[int, Field(ge=0, lt=2**32)] = Field(0, description="a whole number from 0 to 4294967295")
    scene: SceneSection | None = Field(None, description="a mapping with the key path")
    scenes: Annotated[tuple[SceneEntry, ...], Field(min_length=1)] | None = Field(
        None, description="a list of scenes, each a mapping with the keys path, areas and, of its own, labels"
    )
    gsd_m: Positive | None = Field(None, description=f"{ABOVE_0}: metres on the ground a pixel, of several scenes")
    classes: tuple[ClassEntry, ...] = Field(description="a list of classes, the background first")
    labels: LabelSection | None = Field(None, description="a mapping with the key path")
    reference: ReferenceSection | None = Field(None, description="a mapping with the key path")
    areas: AreasSection = Field(AreasSection(), description=f"a mapping of {', '.join(AREA_ROLES)}")
    coarse: CoarseField = Field(CoarseSection.default(), description="a mapping such as {kind: fcn-rnn, gsd_m: 1.0}")
    refiner: RefinerField | None = Field(None, description="a mapping such as {kind: rnn, iterations: 5}")
    output: OutputSection = Field(OutputSection(), description="a mapping with the key folder")
