"""Classifiers of squares as coarse networks: one class for each square of a scene."""

from __future__ import annotations

from torch import Tensor

from crispmap.geo.squares import Squares
from crispmap.models.base import CoarseNetwork


class SquareClassifier(CoarseNetwork):
    """A classifier that sees one square at a time; all scores of a square are the same.

    Squares begin at multiples of their side, so a scene may be cut anywhere on their grid.

    Args:
        squares: The squares, and what labels one in training.
        context_px: Pixels around a square that it sees as well.
    """

    squares: Squares

    def __init__(self, bands: int, classes: int, squares: Squares, context_px: int) -> None:
        super().__init__()
        self.bands, self.classes, self.squares = bands, classes, squares
        self.train_margin_px = self.halo_px = context_px
        self.stride_px = squares.side_px
        self.radius_px = squares.side_px - 1 + context_px

    def classify(self, squares: Tensor) -> Tensor:
        """Return the scores (square, class) of squares with their context (square, band, row, col)."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - as the base class
        side, context = self.stride_px, self.train_margin_px
        rows, cols = ((length - 2 * context) // side for length in image.shape[-2:])
        cut = image.unfold(2, side + 2 * context, side).unfold(3, side + 2 * context, side)
        squares = cut.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)
        scores = self.classify(squares).reshape(-1, rows, cols, self.classes).permute(0, 3, 1, 2)
        whole = scores[:, :, :, None, :, None].expand(-1, -1, -1, side, -1, side)
        return whole.reshape(-1, self.classes, rows * side, cols * side)
