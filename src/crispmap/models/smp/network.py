"""Networks of segmentation-models-pytorch as coarse networks.

They pad: trainings read no context, maps a halo as wide as the influence radius, which is measured when a network is
built for a training and kept in its model card. Source: Iakubovskii, "Segmentation Models Pytorch", 2019.
"""

from __future__ import annotations

import copy
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from crispmap.errors import ModelError
from crispmap.models.base import CoarseNetwork
from crispmap.models.radius import measured_radius
from crispmap.models.smp.names import LITE0, library_name
from crispmap.models.weights.encoder import start_encoder

_MOST_RADIUS_PX = 4096
_LEVELS = 5
_PARTS = {"decoder": "Unet", "encoder": LITE0, "depth": _LEVELS}
Radius = int | None | Literal["measured"]


class SmpNetwork(CoarseNetwork):
    """A decoder on an encoder.

    Args:
        architecture: Its name in the registry.
        arguments: Of the builder of that name, without weights and radius.
        parts: Decoder, encoder and depth.
        weights: What the encoder starts from; see ``start_encoder``.
        radius_px: The influence radius; "measured" where it is not known yet.

    Raises:
        ModelError: If encoder and decoder do not go together, or not with images of any size; if the weights cannot be
            read or are those of another encoder.
        ValueError: If the radius is out of its range.
    """

    def __init__(
        self, architecture: str, arguments: dict[str, Any], parts: tuple[str, str, int], weights: str, radius_px: Radius
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.bands, self.classes = arguments["bands"], arguments["classes"]
        decoder, encoder, depth = parts
        try:
            model: Any = _model(self.bands, self.classes, decoder, encoder, depth)
            self.train_margin_px, self.stride_px = 0, int(model.encoder.output_stride)
            _interpolate_alike_everywhere(model)
            if radius_px == "measured":
                _check_sizes(model, self.bands, self.stride_px)
                radius_px = measured_radius(model, self.bands, self.stride_px)
        except Exception as error:  # as many kinds as there are encoders: of sizes, of levels, of weights by name
            raise _unusable(f"{decoder} on {encoder} of {depth} levels", error) from error
        if radius_px is not None and not (type(radius_px) is int and 0 <= radius_px <= _MOST_RADIUS_PX):
            raise ValueError(f"radius_px is {radius_px!r}")
        self.radius_px = radius_px
        self.halo_px = math.ceil((radius_px or 0) / self.stride_px) * self.stride_px
        self.arguments = {**arguments, "radius_px": radius_px}
        self.encoder_start = start_encoder(model.encoder, encoder, weights, self.bands)
        self.model: Any = model

    @property
    def encoder(self) -> nn.Module:
        """The part that may start from trained weights."""
        encoder: nn.Module = self.model.encoder
        return encoder

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - as the base class
        scores: Tensor = self.model(image)
        return scores

    def for_export(self) -> nn.Module:  # noqa: D102 - as the base class
        other = copy.deepcopy(self)
        _pad_by_numbers(other.model)
        return other.for_inference()


def smp(
    bands: int = 3, classes: int = 2, weights: str = "random", radius_px: Radius = "measured", **parts: Any
) -> SmpNetwork:
    """Any ``decoder`` on any ``encoder`` of any ``depth``; by default a U-Net on an EfficientNet-lite0 of 5 levels.

    Raises:
        TypeError: If another part is named.
    """
    chosen = {**_PARTS, **parts}
    if len(chosen) > len(_PARTS):
        raise TypeError(f"there are no parts {', '.join(set(parts) - set(_PARTS))}")
    arguments = {"bands": bands, "classes": classes, **chosen}
    return SmpNetwork("smp", arguments, (chosen["decoder"], chosen["encoder"], chosen["depth"]), weights, radius_px)


def unet_lite0(
    bands: int = 3, classes: int = 2, depth: int = 5, weights: str = "random", radius_px: Radius = "measured"
) -> SmpNetwork:
    """A U-Net on an EfficientNet-lite0, which has no global pooling: its influence is bounded."""
    arguments = {"bands": bands, "classes": classes, "depth": depth}
    return SmpNetwork("unet-lite0", arguments, ("Unet", LITE0, depth), weights, radius_px)


def unet_resnet50(
    bands: int = 3, classes: int = 2, weights: str = "random", radius_px: Radius = "measured"
) -> SmpNetwork:
    """A U-Net on a ResNet50."""
    arguments = {"bands": bands, "classes": classes}
    return SmpNetwork("unet-resnet50", arguments, ("Unet", "resnet50", 5), weights, radius_px)


def deeplabv3_resnet50(
    bands: int = 3, classes: int = 2, weights: str = "random", radius_px: Radius = "measured"
) -> SmpNetwork:
    """DeepLabV3 on a ResNet50: Chen et al. 2017, "Rethinking Atrous Convolution". Its influence has no bound."""
    arguments = {"bands": bands, "classes": classes}
    return SmpNetwork("deeplabv3-resnet50", arguments, ("DeepLabV3", "resnet50", 5), weights, radius_px)


def _check_sizes(model: nn.Module, bands: int, stride_px: int) -> None:
    """Raise ValueError, or what the network raises, unless each pixel of an image of any size gets a score."""
    model.eval()
    with torch.no_grad():
        for rows, cols in ((2, 3), (5, 4)):
            image = torch.zeros(1, bands, rows * stride_px, cols * stride_px)
            given = tuple(model(image).shape[-2:])
            if given != image.shape[-2:]:
                raise ValueError(f"an image of {tuple(image.shape[-2:])} pixels gets {given} scores")
    model.train()


def _unusable(what: str, error: Exception) -> ModelError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ModelError(
        f"{what} cannot be used: {reason.rstrip('.')}.",
        expected="an encoder with features at several levels that takes images of any size, and a decoder for them",
        remedy="name another encoder, such as resnet34, or another decoder or depth",
    )


def _model(bands: int, classes: int, decoder: str, encoder: str, depth: int) -> Any:
    import segmentation_models_pytorch as library

    options: dict[str, Any] = {"encoder_name": library_name(encoder), "encoder_depth": depth, "encoder_weights": None}
    if decoder in ("Unet", "UnetPlusPlus", "MAnet"):
        options["decoder_channels"] = (256, 128, 64, 32, 16)[:depth]
    if decoder == "PSPNet":
        options["upsampling"] = 2**depth
    model: Any = getattr(library, decoder)(in_channels=bands, classes=classes, **options)
    _leave_out_unused(model.encoder, depth)
    return model


def _leave_out_unused(encoder: nn.Module, depth: int) -> None:
    """Remove the layers of an encoder below its depth, which the library keeps and, of timm's, computes in vain."""
    inner: Any = getattr(encoder, "model", None)
    if isinstance(getattr(inner, "blocks", None), nn.Sequential):
        last = inner.feature_info.module_name()[-1]
        del inner.blocks[int(last.removeprefix("blocks.").split(".")[0]) + 1 :]
    for level in range(depth, _LEVELS):
        if hasattr(encoder, f"layer{level}"):
            setattr(encoder, f"layer{level}", nn.Sequential())


def _interpolate_alike_everywhere(model: nn.Module) -> None:
    """Let upsampling place pixels by their centres: by the corners, each would depend on the size of its tile."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Upsample) and layer.align_corners:
                alike = nn.Upsample(scale_factor=layer.scale_factor, mode="bilinear", align_corners=False)
                setattr(parent, name, alike)


def _pad_by_numbers(model: nn.Module) -> None:
    """Pad by constants before convolutions that compute their padding: for whole strides it is always the same."""
    from timm.layers.conv2d_same import Conv2dSame

    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, Conv2dSame):
                sides = zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
                rows, cols = (max(0, (kernel - 1) * apart + 1 - step) for kernel, step, apart in sides)
                padding = nn.ZeroPad2d((cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))
                plain = nn.Conv2d(1, 1, 1)
                plain.__dict__.update(layer.__dict__)  # the same convolution, by the class that does not pad
                setattr(parent, name, nn.Sequential(padding, plain))
