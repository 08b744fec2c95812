"""An area that is all of a block."""

from __future__ import annotations

import numpy as np

from crispmap.geo.areas import Area
from crispmap.geo.grid import Block


def area_of(block: Block) -> Area:
    corners = [(block.col, block.row), (block.col_stop, block.row), (block.col_stop, block.row_stop)]
    ring = np.array([*corners, (block.col, block.row_stop)], np.float64)
    return Area("a piece", block, (ring,))
