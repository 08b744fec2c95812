"""The reference for refined scores: the module run once on the whole, continued by its reflection."""

from __future__ import annotations

import numpy as np
import torch

from crispmap.models.base import Refiner
from crispmap.types import FloatArray


def every_iteration(refiner: Refiner, scores: FloatArray, image: FloatArray) -> list[FloatArray]:
    """Return the scores (class, row, col) after 0, 1, .. iterations of scores and a scaled image."""
    margin = refiner.margin_px
    around = ((0, 0), (margin, margin), (margin, margin))
    inputs = (torch.from_numpy(np.pad(one, around, mode="symmetric"))[None] for one in (scores, image))
    with torch.inference_mode():
        return [step[0].numpy() for step in refiner.all_iterations(*inputs)]
