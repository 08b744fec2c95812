"""What every refiner promises, whatever its rule."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Refiner(nn.Module):
    """A map from image + scores to sharper scores, one step at a time, exact on any ground it is given.

    Scores and image reach ``margin_px`` further than the result on every side: nothing is invented at a border.

    Attributes:
        architecture: Name in the model registry.
        arguments: Keyword arguments that build the refiner again.
        classes: Score maps.
        bands: Bands of the image.
        steps: Steps taken by ``forward``.
        margin_px: Pixels the inputs reach beyond the result on every side.
        radius_px: Influence radius, of scores and of image. None if unbounded.
        torch_only: Whether PyTorch alone is to run it: written out as a graph for another engine, its operations would
            be too many.
    """

    architecture: str
    arguments: dict[str, Any]
    classes: int
    bands: int
    steps: int
    margin_px: int
    radius_px: int | None
    torch_only: bool = False

    def forward(self, scores: Tensor, image: Tensor) -> Tensor:
        """Return the refined scores (batch, class, row, col), logits.

        Args:
            scores: (batch, class, row + 2 margin_px, col + 2 margin_px), logits.
            image: (batch, band, row + 2 margin_px, col + 2 margin_px), scaled as the model card says.
        """
        return self.all_steps(scores, image)[-1]

    def all_steps(self, scores: Tensor, image: Tensor) -> list[Tensor]:
        """Return the scores after 0, 1, .. ``steps`` steps, each (batch, class, row, col); the first is the input."""
        raise NotImplementedError

    def for_inference(self) -> nn.Module:
        """Return a module with the ``forward`` of this refiner as it is now, in the form engines run fastest.

        By default the refiner itself. What is returned is not trained: later changes of the refiner may not reach it.
        """
        return self


def crop(maps: Tensor, margin_px: int) -> Tensor:
    """Return maps without a margin on each of the four sides."""
    if margin_px == 0:
        return maps
    return maps[..., margin_px : maps.shape[-2] - margin_px, margin_px : maps.shape[-1] - margin_px]
