"""The original U-Net."""

from typing import Annotated

from pydantic import Field

from crispmap.models.architecture import Architecture, ArchitectureOptions, Preset
from crispmap.models.settings import TrainingSettings


class _Options(ArchitectureOptions):
    width: Annotated[int, Field(ge=1, le=1024)] = Field(
        64, description="filters of the first level, 64 as published; fewer train faster: a whole number of 1 to 1024"
    )


ARCHITECTURES = (
    Architecture(
        name="unet",
        kind="coarse",
        summary="the original U-Net of 23 valid convolutions",
        builder="crispmap.models.unet.network:unet",
        options=_Options,
        patch_multiple=16,
        presets={
            "fast": Preset(
                TrainingSettings(
                    optimizer="adamw",
                    learning_rate=1e-3,
                    weight_decay=1e-2,
                    schedule="one-cycle",
                    max_steps=300,
                    batch=4,
                    patch_px=128,
                    loss="cross-entropy+overlap",
                    validate_every=100,
                    precision="auto",
                )
            ),
            # Ronneberger et al.: large tiles in place of large batches, a high momentum for a batch of one, and
            # elastic deformations, "the key concept to train a segmentation network with very few" images.
            "paper": Preset(
                TrainingSettings(
                    optimizer="sgd",
                    learning_rate=1e-4,
                    momentum=0.99,
                    max_steps=60_000,
                    batch=1,
                    patch_px=384,
                    augmentation="flips-and-rotations+elastic",
                )
            ),
        },
    ),
)
