"""The SVM baseline as a coarse network: support vector machines with a Gaussian kernel."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from crispmap.models.base import CoarseNetwork

_REACH_PX = 2  # reach of the window of texture, 5x5 pixels
_KERNEL_VALUES = 1 << 20  # values of the kernel held at once: 8 MB, which stay in or near the cache
_TRACED_KERNEL_VALUES = 1 << 23  # in a traced graph, which has separate operations for every piece


class SupportVectorNetwork(CoarseNetwork):
    """One classifier per class against the rest, each calibrated to probabilities; for two classes a single one.

    With standardised features x, classifier k gives f_k = sum_v w_kv exp(-gamma |x - v|^2) + b_k and the probability
    p_k = sigmoid(a_k f_k + c_k) (Platt 1999). Probabilities are ``p_k`` divided by their sum; scores are their
    logarithms less the mean over the classes. Pixels are evaluated independently and in pieces, so memory is bounded
    and any window gives the scores of the whole. Computed in float64, because hundreds of terms of either sign nearly
    cancel. Fitted by ``crispmap.training.svm``, without gradients.

    Args:
        texture: Whether the features are the bands alone, or with them their mean and standard deviation in 5x5.
        vectors: Support vectors of all machines together.
    """

    mean: Tensor  # (feature,) subtracted from the features
    scale: Tensor  # (feature,) the divisor afterwards
    vectors: Tensor  # (vector, feature) support vectors, standardised
    weights: Tensor  # (classifier, vector) w, 0 for vectors of other classifiers
    intercepts: Tensor  # (classifier,) b
    gamma: Tensor  # scalar, above 0
    slopes: Tensor  # (classifier,) a
    shifts: Tensor  # (classifier,) c

    def __init__(self, architecture: str, texture: bool, bands: int, classes: int, vectors: int) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"an SVM classifier needs 2 classes or more, not {classes}")
        self.architecture = architecture
        self.arguments = {"bands": bands, "classes": classes, "vectors": vectors}
        self.bands, self.classes, self.texture = bands, classes, texture
        self.stride_px = 1
        self.train_margin_px = self.halo_px = self.radius_px = _REACH_PX if texture else 0
        features = 3 * bands if texture else bands
        machines = 1 if classes == 2 else classes
        shapes = {
            "mean": (features,),
            "scale": (features,),
            "vectors": (vectors, features),
            "weights": (machines, vectors),
            "intercepts": (machines,),
            "gamma": (),
            "slopes": (machines,),
            "shifts": (machines,),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.ones(shape, dtype=torch.float64))

    def features(self, image: Tensor) -> Tensor:
        """Return the features, not standardised, (batch, feature, row, col) of an image with its margin.

        Bands first; with texture, then the mean of each band in 5x5 pixels, then its standard deviation there.
        """
        if not self.texture:
            return image
        side = 2 * _REACH_PX + 1
        height, width = image.shape[-2] - 2 * _REACH_PX, image.shape[-1] - 2 * _REACH_PX
        mean = functional.avg_pool2d(image, side, stride=1)
        # Squared deviations, not the difference of squares: flat areas then have no texture from rounding.
        squares = torch.zeros_like(mean)
        for row in range(side):
            for col in range(side):
                squares = squares + (image[..., row : row + height, col : col + width] - mean) ** 2
        own = image[..., _REACH_PX : _REACH_PX + height, _REACH_PX : _REACH_PX + width]
        return torch.cat([own, mean, (squares / side**2).sqrt()], dim=1)

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - as the base class
        features = self.features(image).permute(0, 2, 3, 1)
        traced = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        values = _TRACED_KERNEL_VALUES if traced else _KERNEL_VALUES
        pixels = torch.split(features.flatten(0, 2), max(1, values // self.vectors.shape[0]))
        scores = torch.cat([self._centred(self.logits(some)).to(image.dtype) for some in pixels])
        return scores.view(*features.shape[:-1], self.classes).permute(0, 3, 1, 2).contiguous()

    def logits(self, features: Tensor) -> Tensor:
        """Return log(p_k / (1 - p_k)), (pixel, machine) float64, of features (pixel, feature), not standardised."""
        x = (features.to(self.mean.dtype) - self.mean) / self.scale
        # -gamma |x - v|^2 as one product of matrices, raised in place: several times as fast as term by term.
        left = torch.cat([x, x.square().sum(dim=1, keepdim=True), torch.ones_like(x[:, :1])], dim=1)
        lengths = self.vectors.square().sum(dim=1, keepdim=True)
        right = self.gamma * torch.cat([2 * self.vectors, -torch.ones_like(lengths), -lengths], dim=1).T
        kernel = torch.exp_(left @ right)
        return (kernel @ self.weights.T + self.intercepts) * self.slopes + self.shifts

    def _centred(self, logits: Tensor) -> Tensor:
        """Return scores (pixel, class)."""
        if self.classes == 2:
            return torch.cat([-logits / 2, logits / 2], dim=1)
        logarithms = functional.logsigmoid(logits)
        return logarithms - logarithms.mean(dim=1, keepdim=True)


def svm(bands: int = 3, classes: int = 2, vectors: int = 1) -> SupportVectorNetwork:
    """The baseline of the IGARSS paper: a machine with Gaussian kernel on the bands of single pixels.

    Source: Maggiori, Tarabalka, Charpiat, Alliez, "Fully Convolutional Neural Networks for Remote Sensing Image
    Classification", IGARSS 2016, section 5.
    """
    return SupportVectorNetwork("svm", False, bands, classes, vectors)


def svm_texture(bands: int = 3, classes: int = 2, vectors: int = 1) -> SupportVectorNetwork:
    """The same baseline with a little context: mean and standard deviation of each band in 5x5 pixels as well."""
    return SupportVectorNetwork("svm-texture", True, bands, classes, vectors)
