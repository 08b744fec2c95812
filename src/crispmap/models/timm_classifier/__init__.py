"""Any classifier of timm as a classifier of squares."""

from typing import Annotated

from pydantic import AfterValidator, Field

from crispmap.models.architecture import Architecture, Preset
from crispmap.models.settings import TrainingSettings
from crispmap.models.smp import WEIGHTS, Weights
from crispmap.models.smp.names import LITE0
from crispmap.models.square_options import SquareOptions
from crispmap.models.timm_classifier.names import checked_model


class _Options(SquareOptions):
    model: Annotated[str, AfterValidator(checked_model)] = Field(
        LITE0, description="the classifier: a name of timm, such as resnet18 or convnext_tiny"
    )
    weights: Weights = Field("random", description=WEIGHTS)


ARCHITECTURES = (
    Architecture(
        name="timm",
        kind="coarse",
        summary="any classifier of timm, which gives one class to each square of the scene",
        builder="crispmap.models.timm_classifier.network:timm_classifier",
        options=_Options,
        patch_multiple=128,
        encoder=True,
        presets={
            "fast": Preset(
                TrainingSettings(
                    optimizer="adamw",
                    learning_rate=1e-3,
                    weight_decay=1e-2,
                    schedule="one-cycle",
                    max_steps=300,
                    batch=16,
                    patch_px=128,
                    sampling="balanced",
                    validate_every=50,
                    precision="auto",
                )
            ),
        },
    ),
)
