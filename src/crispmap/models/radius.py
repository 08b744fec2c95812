"""The influence radius of a padded network, measured by how far gradients reach."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

_WIDTHS_PX = (1024, 4096)  # of the strips it is measured on; what reaches across the widest counts as unbounded
_HEIGHT_PX = 64  # of the strips: a multiple of every stride
_OVER_ALL = (nn.AdaptiveAvgPool2d, nn.GroupNorm, nn.InstanceNorm2d)  # layers that look at the whole map
_SAME = 1e-9  # largest difference, relative to the largest score, between a window and the whole


def measured_radius(network: nn.Module, bands: int, stride_px: int) -> int | None:
    """Return how far, in pixels, a pixel of the image can be from a score it changes; None where there is no bound.

    Measured on a copy in evaluation mode whose activations are left out, whose poolings average and whose weights are
    all positive: there no influence cancels, and the gradient of a cell of ``stride_px`` scores reaches exactly as far
    as the network looks along a row; it is taken to look no further along columns. Where poolings take the largest
    value, the radius is at most ``stride_px - 1`` more than the true one of a single pixel. A network whose
    scores of a window, inside the radius, are not those of the whole image has no bound either: it depends on where it
    is cut.

    Args:
        network: From images (1, band, row, col) to scores of the same height and width.
        bands: Of the image.
        stride_px: Height, width and origin of images are multiples of it.
    """
    if any(isinstance(layer, _OVER_ALL) for layer in network.modules()):
        return None
    plain = _with_positive_weights(copy.deepcopy(network).double().eval())
    for width in _WIDTHS_PX:
        radius = _reach(plain, bands, stride_px, width)
        if radius is not None:
            return radius if _cuts_exactly(network, bands, stride_px, radius) else None
    return None


def _reach(network: nn.Module, bands: int, stride_px: int, width: int) -> int | None:
    """Return how far the gradient of a cell in the middle of a strip reaches; None where it reaches the ends."""
    image = _random_strip(bands, width).requires_grad_()
    first = width // 2 // stride_px * stride_px
    (gradient,) = torch.autograd.grad(network(image)[..., first : first + stride_px].sum(), image)
    columns = gradient.abs().amax((0, 1, 2)).nonzero().flatten()
    if not columns.numel():
        return None  # a normalisation hides the influence
    left, right = int(columns.min()), int(columns.max())
    if left < stride_px or right >= width - stride_px:
        return None
    return max(first + stride_px - 1 - left, right - first)


def _cuts_exactly(network: nn.Module, bands: int, stride_px: int, radius_px: int) -> bool:
    halo = math.ceil(radius_px / stride_px) * stride_px
    plain = copy.deepcopy(network).double().eval()
    image = _random_strip(bands, 2 * halo + 5 * stride_px)
    with torch.no_grad():
        whole = plain(image)[..., halo + stride_px : halo + 3 * stride_px]
        part = plain(image[..., stride_px : 2 * halo + 3 * stride_px])[..., halo : -halo or None]
    return bool((whole - part).abs().max() <= _SAME * whole.abs().max())


def _random_strip(bands: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, bands, _HEIGHT_PX, width, dtype=torch.float64, generator=generator)


def _with_positive_weights(network: nn.Module) -> nn.Module:
    """Return the network, changed to one that is linear with positive weights wherever it is not normalised."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if _is_activation(layer) or isinstance(layer, nn.LayerNorm | nn.modules.dropout._DropoutNd):
                setattr(parent, name, nn.Identity())
            elif isinstance(layer, nn.MaxPool2d):
                pool = nn.AvgPool2d(layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
                setattr(parent, name, pool)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                layer.reset_running_stats()
                _fill(layer, 1.0)
            elif isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                _fill(layer, 1 / layer.weight[0].numel())
    return network


def _fill(layer: nn.Module, weight: float) -> None:
    for name, values in layer.named_parameters(recurse=False):
        values.fill_(weight if name == "weight" else 0.0)


def _is_activation(layer: nn.Module) -> bool:
    return type(layer).__module__ == "torch.nn.modules.activation" and not isinstance(layer, nn.MultiheadAttention)
