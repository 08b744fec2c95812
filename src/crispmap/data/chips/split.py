"""What chips are for: training, validation and test, far from each other on the ground."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.data.chips.survey import Chip
from crispmap.errors import InputError
from crispmap.geo.grid import Block, Grid

_CHIPS_A_BLOCK = 4


@dataclass(frozen=True)
class ChipSplit:
    """Which share of the chips is for what; the rest is for training."""

    validation: float = 0.0
    test: float = 0.0
    buffer_m: float = 0.0  # least distance on the ground between chips of different roles
    block_px: int | None = None  # side of the blocks of ground that have one role; by default four chips
    seed: int = 0  # of the draw

    @property
    def shares(self) -> dict[str, float]:
        """The shares that are not 0, by role."""
        return {name: one for name, one in (("test", self.test), ("validation", self.validation)) if one}


def split_chips(chips: Sequence[Chip], grid: Grid, split: ChipSplit) -> list[Chip]:
    """Return chips with their roles; those that are too near to the ground of another role are dropped.

    The scene is cut into square blocks of ground, which are drawn for a role until they hold its share of the chips
    not dropped before. A chip is kept where all ground within half the buffer has its role, so that chips of
    different roles are at least the buffer apart, and share no pixel.

    Raises:
        InputError: If shares or distances are out of range, there is too little ground, or a role is left without chip.
    """
    _check(split)
    if not split.shares:
        return list(chips)
    size = chips[0].block.height if chips else 1
    side = split.block_px or _CHIPS_A_BLOCK * size
    margin = math.ceil(split.buffer_m / min(grid.gsd_m()) / 2 - 1e-9)
    roles = _ground_roles([chip for chip in chips if not chip.dropped], grid, side, split)
    placed = []
    for chip in chips:
        around = chip.block.padded(margin).intersection(grid.block)
        found = set(roles[_cells(around, side)].ravel().tolist())
        whole = replace(chip, role=found.pop()) if len(found) == 1 else replace(chip, dropped=chip.dropped or "buffer")
        placed.append(whole)
    there = {chip.role for chip in placed if not chip.dropped}
    lacking = [role for role in ("train", *split.shares) if role not in there]
    if lacking:
        raise InputError(
            f"The split leaves no chip for {' and '.join(lacking)}: of {len(chips)} chips "
            f"{sum(one.dropped == 'buffer' for one in placed)} are too near to ground of another role, with blocks of "
            f"{side} pixels, a buffer of {split.buffer_m:g} m and chips of {size} pixels.",
            expected="chips for every role", remedy="Give a smaller buffer_m= or other split_block_px=.",
        )  # fmt: skip
    return placed


def _check(split: ChipSplit) -> None:
    shares = (split.validation, split.test)
    if not all(0 <= one < 1 for one in shares) or sum(shares) >= 1:
        raise InputError(
            f"The shares are {split.validation:g} for validation and {split.test:g} for test.",
            expected="shares of 0 or more that sum up to less than 1",
        )
    if not 0 <= split.buffer_m < math.inf:
        raise InputError(f"buffer_m is {split.buffer_m}.", expected="a finite distance of 0 metres or more")
    if split.block_px is not None and split.block_px < 1:
        raise InputError(f"split_block_px is {split.block_px}.", expected="1 pixel or more")


def _ground_roles(chips: Sequence[Chip], grid: Grid, side: int, split: ChipSplit) -> NDArray[Any]:
    """Return the role of each block of ground (row, col)."""
    shape = tuple(-(-length // side) for length in grid.shape)
    weights = np.zeros(shape)
    for chip in chips:  # by where its centre is
        block = chip.block
        weights[(block.row + block.height // 2) // side, (block.col + block.width // 2) // side] += 1
    cells = np.argwhere(weights > 0)
    if len(cells) <= len(split.shares):
        raise InputError(
            f"Chips lie in {len(cells)} blocks of ground of {side} pixels.",
            expected=f"more than {len(split.shares)}, one for each role",
            remedy="Give smaller blocks as split_block_px=, or a larger scene.",
        )
    roles = np.full(shape, "train", object)
    waiting = [tuple(cell) for cell in np.random.default_rng(split.seed).permutation(cells).tolist()]
    for later, (role, share) in zip(range(len(split.shares))[::-1], split.shares.items(), strict=True):
        wanted, taken = share * len(chips), 0.0
        while len(waiting) > later + 1 and (taken == 0 or taken + weights[waiting[0]] / 2 < wanted):
            cell = waiting.pop(0)
            roles[cell], taken = role, taken + weights[cell]
    return roles


def _cells(block: Block, side: int) -> tuple[slice, slice]:
    """Return the blocks of ground that a block of pixels touches."""
    return slice(block.row // side, -(-block.row_stop // side)), slice(block.col // side, -(-block.col_stop // side))
