"""A contact sheet: some chips beside their masks, to look at before anything is trained."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from crispmap.classes import ClassSchema
from crispmap.report.pictures.maps import class_rgb
from crispmap.report.pictures.photos import every, rgb_preview
from crispmap.types import BoolArray, FloatArray, LabelArray

MOST = 48
_SIDE_PX = 128
_GAP_PX = 4
_PAPER = 255


def contact_sheet(chips: Sequence[tuple[FloatArray, BoolArray, LabelArray]], schema: ClassSchema) -> bytes:
    """Return images (band, row, col), valid pixels and masks side by side, rows of pairs, as a PNG.

    All images are stretched alike, so that they can be compared.
    """
    images = [every(image, _SIDE_PX) for image, _, _ in chips]
    known = [every(valid, _SIDE_PX) for _, valid, _ in chips]
    stretched = rgb_preview(np.concatenate(images, axis=2), valid=np.concatenate(known, axis=1))
    side = images[0].shape[1]
    across = max(1, math.isqrt(len(chips)))
    cell, down = 2 * side + 2 * _GAP_PX, -(-len(chips) // across)
    sheet = np.full((3, down * (side + _GAP_PX), across * cell), _PAPER, np.uint8)
    for place, (_, _, mask) in enumerate(chips):
        top, left = place // across * (side + _GAP_PX), place % across * cell
        sheet[:, top : top + side, left : left + side] = stretched[:, :, place * side : (place + 1) * side]
        left += side + _GAP_PX // 2
        sheet[:, top : top + side, left : left + side] = class_rgb(every(mask, _SIDE_PX), schema)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.moveaxis(sheet, 0, -1))).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
