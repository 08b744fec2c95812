"""What a network sees of a block of a scene."""

from __future__ import annotations

from crispmap.chips.scaling import Scaling
from crispmap.models.card import ModelCard
from crispmap.types import BoolArray, FloatArray


def scaled_input(pixels: FloatArray, valid: BoolArray, card: ModelCard) -> FloatArray:
    """Return raw pixels scaled by the model's own constants, (band, row, col) float32, 0 where invalid.

    The constants come from the model file, never from the block, so that a scene may be cut anywhere.

    Args:
        pixels: Raw values (band, row, col).
        valid: (row, col).
        card: The model card.
    """
    scaled = Scaling(card.scaling_offset, card.scaling_scale).apply(pixels)
    scaled[:, ~valid] = 0.0
    return scaled
