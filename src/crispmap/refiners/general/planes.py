"""The planes of an image that a general refiner reads: its grey, and the first two components of its colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.types import DoubleArray

BRIGHTEST = 4.0
"""Planes are read within so many standard deviations of their mean."""

_COLOURS = 2
_LEAST = 0.15  # deviation of a component, as a share of the grey's, that is still brought to 1: below it is noise


def planes_from(mean: DoubleArray, covariance: DoubleArray) -> list[list[float]]:
    """Return for grey and two components the weight of every band, and a constant; see ``GeneralRefiner``.

    Grey is the mean of the bands. Components are those of the bands less their grey, in the order of their variance,
    signed so that their largest weight is above 0. Each has mean 0, and standard deviation 1 where it is more than
    noise. Images of fewer bands have components that are 0 everywhere.

    Args:
        mean: (band,) of the scaled image.
        covariance: (band, band) of it.
    """
    bands = len(mean)
    grey = np.full(bands, 1.0 / bands)
    apart = np.eye(bands) - 1.0 / bands
    values, vectors = np.linalg.eigh(apart @ covariance @ apart)
    deviation = float(np.sqrt(grey @ covariance @ grey)) or 1.0
    rows = [_row(grey / deviation, mean)]
    for index in range(1, _COLOURS + 1):
        weights = np.zeros(bands)
        if index < bands:
            vector = vectors[:, -index]
            vector = vector * (1 if vector[np.abs(vector).argmax()] > 0 else -1)
            weights = vector / max(float(np.sqrt(max(values[-index], 0.0))), _LEAST * deviation)
        rows.append(_row(weights, mean))
    return rows


def planes_of(image: Tensor, planes: Sequence[Sequence[float]]) -> Tensor:
    """Return the planes (batch, plane, row, col) of a scaled image (batch, band, row, col), within ``BRIGHTEST``.

    Args:
        planes: As from ``planes_from``.
    """
    table = torch.tensor(planes, dtype=image.dtype, device=image.device)
    mixed = F.conv2d(image, table[:, :-1, None, None], table[:, -1])
    return mixed.clamp(-BRIGHTEST, BRIGHTEST)


def _row(weights: DoubleArray, mean: DoubleArray) -> list[float]:
    return [float(f"{one:.9g}") for one in (*weights, -float(weights @ mean))]
