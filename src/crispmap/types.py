"""Names for the arrays that travel between stages.

Axis order is always (batch, class or band, row, col); shapes are (height, width); points are (x, y).
"""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float32]
DoubleArray: TypeAlias = NDArray[np.float64]
LabelArray: TypeAlias = NDArray[np.uint8]
"""Class ids, (row, col), with IGNORE where nothing is known."""
BoolArray: TypeAlias = NDArray[np.bool_]
CountArray: TypeAlias = NDArray[np.int64]

IGNORE = 255
"""The label that means "unknown": never learned from, never scored. Also the nodata value of class maps."""
