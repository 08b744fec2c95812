"""Where chips lie on a scene."""

from __future__ import annotations

from dataclasses import dataclass

from crispmap.errors import InputError
from crispmap.geo.grid import Block, Grid


@dataclass(frozen=True)
class ChipCut:
    """Squares cut from a scene, row by row from its first corner; none reaches beyond it."""

    size_px: int = 256  # side of a chip
    stride_px: int | None = None  # from one to the next, less for chips that overlap; by default side by side

    @property
    def step_px(self) -> int:
        """The pixels from one chip to the next."""
        return self.size_px if self.stride_px is None else self.stride_px

    def blocks(self, grid: Grid) -> list[Block]:
        """Return the chips of a grid, row by row.

        Raises:
            InputError: If side or stride are below 1, or a chip is larger than the grid.
        """
        for name, value in (("size_px", self.size_px), ("stride_px", self.step_px)):
            if value < 1:
                raise InputError(f"{name} is {value}.", expected="1 pixel or more")
        if self.size_px > min(grid.shape):
            raise InputError(
                f"Chips of {self.size_px} pixels are larger than the scene, {grid.height} x {grid.width} pixels.",
                expected="chips that fit into the scene", remedy=f"Give size_px={min(grid.shape)} or less.",
            )  # fmt: skip
        rows, cols = (range(0, length - self.size_px + 1, self.step_px) for length in grid.shape)
        return [Block(row, col, self.size_px, self.size_px) for row in rows for col in cols]

    def beyond(self, grid: Grid) -> int:
        """Return how many pixels at the last rows and columns lie in no chip because a whole one does not fit."""
        rows, cols = (length - (length - self.size_px) % self.step_px for length in grid.shape)
        return grid.height * grid.width - rows * cols
