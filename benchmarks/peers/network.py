"""The one network all methods run: coarse network and refiner, in the forms that a user of plain torch would write."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from crispmap.models.base import CoarseNetwork
from crispmap.models.file import load_model
from crispmap.refiners.rnn.refiner import RecurrentRefiner

Form = Literal["paper", "folded"]
FORMS = ("paper", "folded")
Array = NDArray[np.float32]


class CoarseAndRefined(nn.Module):
    """Refined scores of a window that reaches ``margin_px`` further than they do: nothing is invented inside.

    Attributes:
        margin_px: Margin of the coarse network and of the refiner together.
    """

    def __init__(self, model: Path, refiner: Path, form: Form) -> None:
        super().__init__()
        self.coarse: CoarseNetwork
        self.refiner: RecurrentRefiner
        coarse = load_model(model, kind="coarse")
        self.coarse = coarse.network
        self.refiner = cast(RecurrentRefiner, load_model(refiner, kind="refiner").network)
        self.form = form
        self.scaling = coarse.scaling

    def refined(self, scores: Tensor, image: Tensor) -> Tensor:
        """Return the refiner's last step: folded, or with M, N, concatenation and perceptron as the paper writes it."""
        steps = self.refiner.all_iterations if self.form == "folded" else self.refiner.all_iterations_as_in_paper
        return steps(scores, image)[-1]


class SameSize(CoarseAndRefined):
    """The network as sliding-window tools want it: scores (batch, class, row, col) of images of the same rows and cols.

    Our convolutions are valid, so every window is padded by its reflection before the network and before the refiner:
    what a person does who must give a tool a network that keeps sizes.
    """

    def forward(self, image: Tensor) -> Tensor:
        """Return the scores of scaled images (batch, band, row, col)."""
        outer, inner = self.coarse.halo_px, self.refiner.margin_px
        scores = self.coarse(F.pad(image, [outer] * 4, mode="reflect"))
        return self.refined(F.pad(scores, [inner] * 4, mode="reflect"), F.pad(image, [inner] * 4, mode="reflect"))


def whole_image_scores(network: CoarseAndRefined, image: Array) -> Array:
    """Return the scores (class, row, col) of the network run once on an entire scaled image (band, row, col).

    Image and coarse scores are continued by their reflection about the border (the border pixel repeated).
    """
    outer, inner = network.coarse.halo_px, network.refiner.margin_px
    with torch.inference_mode():
        scores = network.coarse(torch.from_numpy(_mirrored(image, outer))[None])[0].numpy()
        refined = network.refined(
            torch.from_numpy(_mirrored(scores, inner))[None], torch.from_numpy(_mirrored(image, inner))[None]
        )
    result: Array = refined[0].numpy()
    return result


def _mirrored(maps: Array, margin_px: int) -> Array:
    return np.pad(maps, ((0, 0), (margin_px, margin_px), (margin_px, margin_px)), "symmetric")
