"""A trained refiner with a wider receptive field."""

from crispmap.models.architecture import Architecture, Preset
from crispmap.models.settings import TrainingSettings
from crispmap.refiners.options import IterationOptions

FAST = TrainingSettings(
    # A few minutes on two cores. Patches are flipped and rotated: it sees whole buildings, and overfits on small areas.
    # The last weights are kept: at the height of the rate a good score on a small strip is chance (512 x 230 pixels of
    # Kampala: mean IoU 58 % with the weights that did best on the strip, 64 % with the last; the demo with corrected
    # labels: 70 % and 78 %).
    optimizer="adamw",
    learning_rate=6e-3,
    weight_decay=1e-2,
    schedule="one-cycle",
    max_steps=1_200,
    batch=4,
    patch_px=96,
    sampling="balanced",
    augmentation="flips-and-rotations",
    validate_every=400,
    keep_last=True,
    gradient_clip=1.0,
    loss="cross-entropy+overlap",
    deep_supervision=0.3,
)

ARCHITECTURES = (
    Architecture(
        name="wide",
        kind="refiner",
        summary="our refiner with a wider receptive field: dilated features, gated iterations, all classes together",
        builder="crispmap.refiners.wide.refiner:WideRefiner",
        options=IterationOptions,
        presets={"fast": Preset(FAST)},
        tile_px=256,
    ),
)
