"""What each class looks like in one scene, as its own coarse scores tell, and how much every pixel looks like it.

A pixel is described by the planes of the image and their means around it. For every class two normal distributions are
fitted to a scene: of the pixels that the scores give to it, and of all others. The logarithm of their ratio is the
likeness: a quadratic form of the description. Coarse scores blur borders, colours do not: a pixel beside a roof that
looks like the ground is told from the roof, whatever class they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional as F

from crispmap.types import FloatArray

AROUND_PX = 3  # how far the means around a pixel reach
_ALIKE = 0.02  # added to variances: a class of one colour is not infinitely unlike its neighbours
_MOST = 6.0  # likeness is kept within this


def description(planes: Tensor) -> Tensor:
    """Return planes and their means around every pixel, (batch, 2 plane, row, col); the border sees less around it."""
    side = 2 * AROUND_PX + 1
    around = F.avg_pool2d(planes, side, 1, AROUND_PX, count_include_pad=False)
    return torch.cat([planes, around], dim=1)


def forms_by(scores: FloatArray, pixels: FloatArray) -> list[list[list[float]]]:
    """Return the likeness of each class, in the form of ``quadratic``, as scores tell it.

    Args:
        scores: (class, n) logits.
        pixels: (description, n).
    """
    described = pixels.astype(np.float64)
    return [quadratic(described, share) for share in softmax(scores.astype(np.float64), axis=0)]


def quadratic(pixels: NDArray[np.float64], share: NDArray[np.float64]) -> list[list[float]]:
    """Return the likeness of a class as the matrix of a quadratic form.

    Args:
        pixels: (description, n).
        share: (n,) probabilities of the class.

    Returns:
        Symmetric (description + 1) x (description + 1), for the description with a 1 at its end.
    """
    size = len(pixels)
    form = np.zeros((size + 1, size + 1))
    for sign, amount in ((1.0, share**2), (-1.0, (1 - share) ** 2)):
        weight = amount / max(float(amount.sum()), 1e-9)
        mean = pixels @ weight
        apart = pixels - mean[:, None]
        inverse = np.linalg.inv((apart * weight) @ apart.T + _ALIKE * np.eye(size))
        log_det = float(np.linalg.slogdet(inverse)[1])
        form[:size, :size] -= sign * 0.5 * inverse
        form[:size, size] += sign * 0.5 * inverse @ mean
        form[size, :size] += sign * 0.5 * inverse @ mean
        form[size, size] += sign * 0.5 * (log_det - float(mean @ inverse @ mean))
    return [[float(f"{one:.7g}") for one in row] for row in form]


def likeness(described: Tensor, forms: Sequence[Sequence[Sequence[float]]]) -> Tensor:
    """Return how much every pixel looks like each class, (batch, class, row, col), within ±6.

    Args:
        described: (batch, description, row, col).
        forms: Of every class, as ``quadratic`` gives them.
    """
    table = torch.tensor(forms, dtype=described.dtype, device=described.device)
    size = described.shape[1]
    # x A x + 2 b x + c, class by class
    weights = table[:, :size, :size].reshape(-1, size, 1, 1)
    constants = 2 * table[:, :size, size].reshape(-1)
    mixed = F.conv2d(described, weights, constants)
    products = mixed.reshape(len(mixed), len(forms), size, *mixed.shape[2:]) * described[:, None]
    found: Tensor = products.sum(2) + table[:, size, size][:, None, None]
    return found.clamp(-_MOST, _MOST)
