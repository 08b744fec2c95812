"""How the grids of a multispectral and a panchromatic scene lie to each other."""

from __future__ import annotations

import numpy as np
from affine import Affine

from crispmap.errors import GridError
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import turn_to


def ratio_of(multispectral: Grid, pan: Grid) -> tuple[float, float]:
    """Return the height and width of a multispectral pixel in panchromatic ones."""
    relative = ~pan.transform @ multispectral.transform
    return float(np.hypot(relative.b, relative.e)), float(np.hypot(relative.a, relative.d))


def overlap(other: Grid, grid: Grid) -> Block:
    """Return the pixels of a grid whose centres lie on another of the same CRS.

    Raises:
        GridError: If there are none.
    """
    turn = turn_to(other.transform.c, grid.transform.c, grid.crs)
    relative = ~grid.transform @ Affine.translation(turn, 0) @ other.transform
    left, top = relative @ (0, 0)
    right, bottom = relative @ (other.width, other.height)
    row, col = max(0, _first(top)), max(0, _first(left))
    height, width = min(grid.height, _first(bottom)) - row, min(grid.width, _first(right)) - col
    if height <= 0 or width <= 0:
        raise GridError(
            f"The scenes do not overlap.\n  multispectral: bounds {_bounds(other)}\n"
            f"  panchromatic: bounds {_bounds(grid)}",
            expected="scenes of one area",
        )
    return Block(row, col, height, width)


def _first(edge: float) -> int:
    """Return the first pixel whose centre is at an edge or beyond, but for rounding."""
    return int(np.ceil(edge - 0.5 - 1e-6))


def _bounds(grid: Grid) -> str:
    return ", ".join(f"{value:.10g}" for value in grid.bounds)
