"""The dense conditional random field; its few parameters are fitted on the refiner's area."""

from crispmap.models.architecture import Architecture, Preset
from crispmap.refiners.options import IterationOptions

ARCHITECTURES = (
    Architecture(
        name="crf",
        kind="refiner",
        summary="the dense conditional random field of Krähenbühl and Koltun",
        builder="crispmap.refiners.crf.refiner:CrfRefiner",
        options=IterationOptions,
        learner="grid-fit",
        presets={"fast": Preset()},
        tile_px=384,
    ),
)
