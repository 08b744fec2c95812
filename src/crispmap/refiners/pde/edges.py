"""Edges of an image: its gradient at a scale, over all bands, and the edge-stopping function."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def gradient_margin_px(sigma_px: float) -> int:
    """Return how many pixels ``structure_tensor`` removes on every side: three sigma, rounded up."""
    return math.ceil(3 * sigma_px)


def structure_tensor(image: Tensor, sigma_px: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return xx, xy and yy of the mean over bands of grad I_b grad I_b^T, each (batch, 1, row, col).

    Gradients are those of the image smoothed with a Gaussian, in pixels; a ramp has exactly its slope. x is along
    columns, y along rows.

    Args:
        image: (batch, band, row + 2 margin, col + 2 margin), with ``gradient_margin_px`` as margin.
        sigma_px: Standard deviation of the Gaussian, above 0.

    Source: Di Zenzo, "A note on the gradient of a multi-image", 1986.
    """
    reach = gradient_margin_px(sigma_px)
    place = torch.arange(-reach, reach + 1, dtype=image.dtype, device=image.device)
    smooth = torch.exp(-(place / sigma_px).square() / 2)
    smooth = smooth / smooth.sum()
    slope = place * torch.exp(-(place / sigma_px).square() / 2)
    slope = slope / (place * slope).sum()
    dx = _separable(image, smooth, slope)
    dy = _separable(image, slope, smooth)
    xx, xy, yy = ((one * other).mean(1, keepdim=True) for one, other in ((dx, dx), (dx, dy), (dy, dy)))
    return xx, xy, yy


def _separable(image: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """Return every band correlated with a kernel down the columns and one across the rows, without padding."""
    bands = image.shape[1]
    by_rows = F.conv2d(image, down[None, None, :, None].expand(bands, 1, -1, 1), groups=bands)
    return F.conv2d(by_rows, across[None, None, None, :].expand(bands, 1, 1, -1), groups=bands)


def edge_stopping(image: Tensor, sigma_px: float, kappa: float) -> Tensor:
    """Return g = 1 / (1 + |grad I|^2 / kappa^2), (batch, 1, row, col): 1 where the image is flat, towards 0 at edges.

    |grad I|^2 is the trace of the structure tensor; kappa is in units of the scaled image per pixel.

    Source: Perona and Malik, 1990, with the gradient of the smoothed image (Catté et al., 1992).
    """
    xx, _, yy = structure_tensor(image, sigma_px)
    return 1 / (1 + (xx + yy) / kappa**2)
