"""The dense conditional random field; a few numbers of it are fitted on the refiner's area."""

from typing import Annotated

from pydantic import Field

from crispmap.models.architecture import Architecture, ArchitectureOptions, Preset


class _Options(ArchitectureOptions):
    iterations: Annotated[int, Field(ge=1, le=100)] = Field(5, description="a whole number from 1 to 100")


ARCHITECTURES = (
    Architecture(
        name="crf",
        kind="refiner",
        summary="the dense conditional random field of Krähenbühl and Koltun",
        builder="crispmap.refine.crf.refiner:CrfRefiner",
        options=_Options,
        learner="grid-fit",
        presets={"fast": Preset()},
        tile_px=384,
    ),
)
