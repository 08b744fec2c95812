"""The refiner for everyone: any classes, any bands, weights shipped with the package."""

from crispmap.models.architecture import Architecture, Preset
from crispmap.models.settings import TrainingSettings

FAST = TrainingSettings(
    # It starts from the shipped weights, which need few steps.
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=1e-2,
    schedule="one-cycle",
    max_steps=400,
    batch=4,
    patch_px=96,
    sampling="balanced",
    augmentation="flips-and-rotations",
    validate_every=100,
    gradient_clip=1.0,
    loss="cross-entropy+overlap",
)

ARCHITECTURES = (
    Architecture(
        name="general",
        kind="refiner",
        summary="the shipped refiner for any classes and bands, trained on generated towns",
        builder="crispmap.refiners.general.network:GeneralRefiner",
        presets={"fast": Preset(FAST)},
        patch_multiple=4,
        tile_px=512,
        any_shape=True,
    ),
)
