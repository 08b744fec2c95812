"""Encoder-decoder networks of segmentation-models-pytorch, with encoders that may start from trained weights."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from crispmap.models.architecture import Architecture, ArchitectureOptions, Preset
from crispmap.models.settings import TrainingSettings
from crispmap.models.smp.names import LITE0, checked_encoder
from crispmap.models.weights.sources import checked_weights

Decoder = Literal[
    "Unet", "UnetPlusPlus", "MAnet", "Linknet", "FPN", "PSPNet", "PAN", "DeepLabV3", "DeepLabV3Plus", "UPerNet",
    "Segformer",
]  # fmt: skip
WEIGHTS = (
    "weights the encoder starts from: random, imagenet-lite0 (of tf_efficientnet_lite0, which comes along), imagenet "
    "(from the Hugging Face hub), or the path of a file"
)


def _with_folder(value: str, info: ValidationInfo) -> str:
    return checked_weights(value, (info.context or {}).get("folder"))


Encoder = Annotated[str, AfterValidator(checked_encoder)]
Weights = Annotated[str, AfterValidator(_with_folder)]
Depth = Annotated[int, Field(ge=3, le=5)]


class _Options(ArchitectureOptions):
    decoder: Decoder = Field(
        "Unet", description="the decoder: Unet, UnetPlusPlus, DeepLabV3Plus or another of segmentation-models-pytorch"
    )
    encoder: Encoder = Field(
        LITE0,
        description="the encoder: a name of segmentation-models-pytorch or timm, such as resnet50 or convnext_tiny",
    )
    weights: Weights = Field("random", description=WEIGHTS)
    depth: Depth = Field(5, description="levels of the encoder; fewer see less far around: 3, 4 or 5")


class _Lite0Options(ArchitectureOptions):
    weights: Weights = Field("imagenet-lite0", description=WEIGHTS)
    depth: Depth = Field(5, description="levels of the encoder; fewer see less far around: 3, 4 or 5")


class _Resnet50Options(ArchitectureOptions):
    weights: Weights = Field("random", description=WEIGHTS)


_FAST = TrainingSettings(
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=1e-2,
    schedule="one-cycle",
    max_steps=150,
    batch=8,
    patch_px=192,
    loss="cross-entropy+dice",
    validate_every=50,
    precision="auto",
)
_LONG = _FAST.but(max_steps=3000, batch=16, patch_px=256, validate_every=250)
_PRESETS = {
    "fast": Preset(_FAST, finetuning=_FAST.but(max_steps=80, learning_rate=5e-4, validate_every=40)),
    "long": Preset(_LONG, finetuning=_LONG.but(max_steps=600, learning_rate=5e-4, validate_every=100)),
}


def _architecture(
    name: str, summary: str, options: type[ArchitectureOptions], stride_px: int = 32, **others: Any
) -> Architecture:
    return Architecture(
        name=name,
        kind="coarse",
        summary=summary,
        builder=f"crispmap.models.smp.network:{name.replace('-', '_')}",
        options=options,
        patch_multiple=stride_px,
        tile_px=1024,
        encoder=True,
        presets=_PRESETS,
        **others,
    )


ARCHITECTURES = (
    _architecture(
        "unet-lite0",
        "a U-Net whose EfficientNet-lite0 encoder knows ImageNet",
        _Lite0Options,
        default=True,
        any_shape=True,
    ),
    _architecture("unet-resnet50", "a U-Net with a ResNet50 encoder", _Resnet50Options, any_shape=True),
    _architecture("deeplabv3-resnet50", "DeepLabV3 on a ResNet50", _Resnet50Options, stride_px=8),
    _architecture("smp", "any decoder and encoder of segmentation-models-pytorch", _Options),
)
