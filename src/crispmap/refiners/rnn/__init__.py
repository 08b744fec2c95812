"""The recurrent refiner of Maggiori, Charpiat, Tarabalka and Alliez."""

from typing import Annotated, Literal

from pydantic import Field

from crispmap.models.architecture import Architecture, ArchitectureOptions, Preset
from crispmap.models.settings import TrainingSettings


class _Options(ArchitectureOptions):
    variant: Literal["class-specific", "class-agnostic", "untied"] = Field(
        "class-specific",
        description="class-specific (separate weights for every class), class-agnostic (the same for all) or "
        "untied (separate weights for every iteration)",
    )
    iterations: Annotated[int, Field(ge=1, le=100)] = Field(5, description="a whole number from 1 to 100")
    features: Literal["image", "derivatives"] = Field(
        "image", description="image or derivatives: its input from the image"
    )


FAST = TrainingSettings(
    # One to two minutes on two cores. Patches are not flipped or turned, as in the paper: shadows fall one way in a
    # scene, and a refiner may learn which.
    optimizer="adamw",
    learning_rate=1e-2,
    weight_decay=1e-4,
    schedule="one-cycle",
    max_steps=1_500,
    batch=8,
    patch_px=64,
    sampling="balanced",
    augmentation="none",
    validate_every=500,
)
PAPER = TrainingSettings(
    # The paper does not state the patches: batches of 64 of 64x64 outputs were chosen, as for its coarse network.
    optimizer="adagrad",
    learning_rate=1e-2,
    max_steps=50_000,
    batch=64,
    patch_px=64,
    augmentation="none",
)

ARCHITECTURES = (
    Architecture(
        name="rnn",
        kind="refiner",
        summary="the recurrent refiner of the RNN paper",
        builder="crispmap.refiners.rnn.refiner:RecurrentRefiner",
        options=_Options,
        presets={"fast": Preset(FAST), "paper": Preset(PAPER, scaling="paper")},
        tile_px=256,
        any_shape=True,
        default=True,
        variants={"agnostic": {"variant": "class-agnostic"}, "untied": {"variant": "untied"}},
    ),
)
