"""Feature maps g_j(I) that a refiner may read instead of the image itself (paper, equation 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crispmap.models.base import crop


class ImageFeatures(nn.Module):
    """The image itself, g(I) = I (paper, equation 7)."""

    margin_px = 0

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.maps = bands

    def forward(self, image: Tensor) -> Tensor:
        """Return the image as it is."""
        return image


class DerivativeFeatures(nn.Module):
    """The image, its smoothed gradient magnitude and its local deviation, one map each per band.

    Typical inputs of an edge-stopping function: |grad(G * I)| with a 5x5 binomial G, and |I - G * I|.
    """

    margin_px = 3
    kernel: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.maps = 3 * bands
        line = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        self.register_buffer("kernel", (line[:, None] * line[None, :])[None, None])

    def forward(self, image: Tensor) -> Tensor:
        """Return (batch, 3 band, row - 6, col - 6) maps."""
        smooth = F.conv2d(image, self.kernel.expand(self.bands, 1, 5, 5), groups=self.bands)
        dx = (smooth[..., 1:-1, 2:] - smooth[..., 1:-1, :-2]) / 2
        dy = (smooth[..., 2:, 1:-1] - smooth[..., :-2, 1:-1]) / 2
        magnitude = torch.sqrt(dx * dx + dy * dy + 1e-8)
        inner = crop(image, self.margin_px)
        return torch.cat([inner, magnitude, (inner - crop(smooth, 1)).abs()], dim=1)


FEATURES: dict[str, type[ImageFeatures] | type[DerivativeFeatures]] = {
    "image": ImageFeatures,
    "derivatives": DerivativeFeatures,
}
