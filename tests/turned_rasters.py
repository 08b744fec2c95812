"""Twins of rasters: the same pixels at the same places, stored in another order of rows and columns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

Order = Callable[[NDArray[Any]], NDArray[Any]]

ORDERS: dict[str, Order] = {
    "south-up": lambda one: one[..., ::-1, :],
    "mirrored": lambda one: one[..., ::-1],
    "turned about": lambda one: one[..., ::-1, ::-1],
    "transposed": lambda one: np.swapaxes(one, -1, -2),
    "turned left": lambda one: np.rot90(one, 1, (-2, -1)),
    "turned right": lambda one: np.rot90(one, -1, (-2, -1)),
    "transposed and turned about": lambda one: np.rot90(np.swapaxes(one, -1, -2), 2, (-2, -1)),
}


def place_in(order: Order, transform: Affine, shape: tuple[int, int]) -> Affine:
    """Return the transform of reordered pixels, found from where the first three are."""
    rows, cols = (order(one) for one in np.indices(shape))
    first, right, below = (np.array(transform @ (cols[at] + 0.5, rows[at] + 0.5)) for at in ((0, 0), (0, 1), (1, 0)))
    (a, d), (b, e) = right - first, below - first
    c, f = first - (a + b) / 2, first - (d + e) / 2
    return Affine(a, b, float(c[0]), d, e, float(f[1]))


def twin(path: Path, order: Order, out: Path) -> Path:
    """Write a raster with its pixels in another order, with its masks, tags and colours."""
    with rasterio.open(path) as one:
        pixels = np.ascontiguousarray(order(one.read()))
        place = place_in(order, one.transform, one.shape)
        profile = one.profile | {"transform": place, "height": pixels.shape[1], "width": pixels.shape[2]}
        for key in ("blockxsize", "blockysize", "tiled"):
            profile.pop(key, None)
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(out, "w", **profile) as other:
            other.write(pixels)
            if "per_dataset" in one.mask_flag_enums[0][0].name and len(one.mask_flag_enums[0]) == 1:
                other.write_mask(np.ascontiguousarray(order(one.dataset_mask())))
            other.colorinterp = one.colorinterp
            other.descriptions = one.descriptions
            other.update_tags(**{k: v for k, v in one.tags().items() if k != "AREA_OR_POINT"})
            if profile["count"] == 1 and one.colorinterp[0].name == "palette":
                other.write_colormap(1, one.colormap(1))
    return out
