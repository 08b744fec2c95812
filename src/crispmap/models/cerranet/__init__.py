"""CerraNet, a classifier of squares."""

from typing import Annotated

from pydantic import Field

from crispmap.models.architecture import Architecture, Preset
from crispmap.models.settings import TrainingSettings
from crispmap.models.square_options import SquareOptions


class _Options(SquareOptions):
    square_px: Annotated[int, Field(ge=64, le=1024)] = Field(
        128, description="side of the squares that get one class each, in pixels: a whole number of 64 to 1024"
    )
    width: Annotated[int, Field(ge=1, le=1024)] = Field(
        64, description="filters of the first two blocks, 64 as published: a whole number of 1 to 1024"
    )


ARCHITECTURES = (
    Architecture(
        name="cerranet",
        kind="coarse",
        summary="CerraNet of INPE, six convolutions that give one class to each square of the scene",
        builder="crispmap.models.cerranet.network:cerranet",
        options=_Options,
        patch_multiple=128,
        presets={
            "fast": Preset(
                TrainingSettings(
                    optimizer="adamw",
                    learning_rate=1e-3,
                    weight_decay=1e-2,
                    schedule="one-cycle",
                    max_steps=600,
                    batch=16,
                    patch_px=128,
                    sampling="balanced",
                    validate_every=100,
                    precision="auto",
                )
            ),
        },
    ),
)
