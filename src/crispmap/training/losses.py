"""Losses of logits (batch, class, row, col) and labels (batch, row, col), over labelled pixels alone; float32.

A training minimises a weighted sum of them, which its settings name, such as ``cross-entropy+0.5*dice``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from crispmap.types import IGNORE

_FOCUS = 2.0  # the exponent of the focal loss, as in its paper
_BOUNDARY_PX = 3  # pixels this near to another class lie at a boundary: Chebyshev distance


@dataclass(frozen=True)
class LossChoice:
    """What a loss needs beside scores and labels."""

    class_weights: Tensor | None = None  # of the cross-entropies; None: all alike
    label_smoothing: float = 0.0  # share of the cross-entropy's target that all classes get alike


def weighted_loss(scores: Tensor, labels: Tensor, terms: dict[str, float], choice: LossChoice) -> Tensor:
    """Return the weighted sum of losses by name, of labels with at least one labelled pixel."""
    scores = scores.float()
    total = scores.new_zeros(())
    for name, weight in terms.items():
        total = total + weight * LOSSES[name](scores, labels, choice)
    return total


def cross_entropy(scores: Tensor, labels: Tensor, choice: LossChoice) -> Tensor:
    """Return the mean negative logarithm of the probability of the labels, by weight of their classes."""
    return functional.cross_entropy(
        scores, labels, choice.class_weights, ignore_index=IGNORE, label_smoothing=choice.label_smoothing
    )


def focal_loss(scores: Tensor, labels: Tensor, choice: LossChoice) -> Tensor:
    """Return the mean of (1 - p)^2 times the cross-entropy without label smoothing, p the probability of the label.

    Pixels that are sure already count for little. Source: Lin et al. 2017, "Focal Loss for Dense Object Detection".
    """
    each = functional.cross_entropy(scores, labels, choice.class_weights, ignore_index=IGNORE, reduction="none")
    p_true = (-functional.cross_entropy(scores, labels, ignore_index=IGNORE, reduction="none")).exp()
    return ((1 - p_true) ** _FOCUS * each).sum() / _weight(labels, choice).sum()


def boundary_loss(scores: Tensor, labels: Tensor, choice: LossChoice) -> Tensor:
    """Return the mean cross-entropy, without label smoothing, of pixels near another class; 0 where there is none.

    In the spirit of the border weights of Ronneberger et al. 2015, equation 2.
    """
    classes = torch.arange(scores.shape[1], device=labels.device)[:, None, None]
    here = (labels.unsqueeze(1) == classes).float()
    near = functional.max_pool2d(here, 2 * _BOUNDARY_PX + 1, stride=1, padding=_BOUNDARY_PX)
    at_boundary = (near.sum(1) > 1) & (labels != IGNORE)
    each = functional.cross_entropy(scores, labels, choice.class_weights, ignore_index=IGNORE, reduction="none")
    weight = (_weight(labels, choice) * at_boundary).sum()
    return (each * at_boundary).sum() / weight.clamp(min=torch.finfo(weight.dtype).tiny)


def dice_loss(scores: Tensor, labels: Tensor, choice: LossChoice) -> Tensor:
    """Return 1 - the mean over classes of the soft Dice coefficient over all labelled pixels, 0..1.

    One pixel is added to numerator and denominator, as in ``overlap_loss``. Source: Milletari et al. 2016, "V-Net".
    """
    both, mapped, there = _shared(scores, labels)
    return 1 - ((2 * both + 1) / (mapped + there + 1)).mean()


def overlap_loss(scores: Tensor, labels: Tensor, choice: LossChoice = LossChoice()) -> Tensor:
    """Return 1 - the mean over classes of the soft intersection over union over all labelled pixels, 0..1.

    The intersection is the sum of a class's probabilities on its pixels. One pixel is added to intersection and union,
    so that a class that is neither there nor mapped counts as right.

    Source: Rahman and Wang 2016, "Optimizing Intersection-Over-Union in Deep Neural Networks for Image Segmentation".
    """
    both, mapped, there = _shared(scores, labels)
    return 1 - ((both + 1) / (mapped + there - both + 1)).mean()


def lovasz_loss(scores: Tensor, labels: Tensor, choice: LossChoice) -> Tensor:
    """Return the Lovasz extension of 1 - intersection over union, the mean over the classes that are labelled.

    Source: Berman et al. 2018, "The Lovasz-Softmax loss", algorithm 1 and equation 12, over the pixels of the batch.
    """
    known = labels != IGNORE
    probabilities = scores.softmax(dim=1).movedim(1, -1)[known]
    truth = labels[known]
    losses = []
    for index in range(scores.shape[1]):
        there = (truth == index).float()
        if there.any():
            errors, order = (there - probabilities[:, index]).abs().sort(descending=True)
            losses.append((errors * _lovasz_gradient(there[order])).sum())
    return torch.stack(losses).mean()


def _lovasz_gradient(there: Tensor) -> Tensor:
    """Return how much each pixel adds to 1 - intersection over union, when errors are made in this order."""
    missed, wrong = there.cumsum(0), (1 - there).cumsum(0)
    jaccard = 1 - (there.sum() - missed) / (there.sum() + wrong)
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])


def _shared(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return, of each class, the probability on its pixels, that on all labelled pixels, and how many pixels it has."""
    known = (labels != IGNORE).unsqueeze(1)
    classes = torch.arange(scores.shape[1], device=labels.device)[:, None, None]
    truth = (labels.unsqueeze(1) == classes).float()
    probabilities = scores.float().softmax(dim=1) * known
    both = (probabilities * truth).sum((0, 2, 3))
    return both, probabilities.sum((0, 2, 3)), truth.sum((0, 2, 3))


def _weight(labels: Tensor, choice: LossChoice) -> Tensor:
    """Return the weight of each pixel: that of its class, 0 where nothing is known."""
    known = labels != IGNORE
    if choice.class_weights is None:
        return known.float()
    return choice.class_weights[torch.where(known, labels, 0)] * known


LOSSES: dict[str, Callable[[Tensor, Tensor, LossChoice], Tensor]] = {
    "cross-entropy": cross_entropy,
    "overlap": overlap_loss,
    "dice": dice_loss,
    "focal": focal_loss,
    "lovasz": lovasz_loss,
    "boundary": boundary_loss,
}
