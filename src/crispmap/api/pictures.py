"""What a DataArray looks like, small: a class map in the colours of its classes, or an image."""

from __future__ import annotations

from contextlib import suppress
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crispmap.classes import ClassSchema
from crispmap.errors import CrispmapError
from crispmap.files.notebook import step_to_show
from crispmap.files.turn import AS_STORED
from crispmap.raster.arrays import grid_of_array, turn_of
from crispmap.raster.data_arrays import spatial_dims
from crispmap.raster.spec import CLASSES_TAG

_SPREAD = 2.0, 98.0  # percentiles that are black and white


def picture_of(array: Any) -> tuple[NDArray[np.uint8], str]:
    """Return a DataArray as pixels (row, col, red green blue), the north above, and of a map a legend as HTML.

    Only the pixels shown are read.
    """
    spatial = spatial_dims(array)
    step = step_to_show(*(array.sizes[dim] for dim in spatial))
    some = array.isel({dim: slice(None, None, step) for dim in spatial}).transpose(..., *spatial).to_numpy()
    turn = AS_STORED
    with suppress(CrispmapError):  # without a place it is shown as it is
        turn = turn_of(grid_of_array(array, {}))
    shown = turn.pixels(some.reshape(-1, *some.shape[-2:]))
    if CLASSES_TAG in array.attrs and len(shown) == 1:
        return _map(shown[0], ClassSchema.from_json(array.attrs[CLASSES_TAG]))
    return _image(shown), ""


def _map(ids: NDArray[Any], schema: ClassSchema) -> tuple[NDArray[np.uint8], str]:
    colours = np.full((256, 3), 255, np.uint8)
    colours[: len(schema)] = [one.rgb for one in schema]
    known = np.where(np.isfinite(ids) & (ids >= 0) & (ids < 256), ids, 255).astype(np.uint8)
    counts = np.bincount(known.ravel(), minlength=256)[: len(schema)]
    shares = 100 * counts / max(1, counts.sum())
    rows = (
        f'<tr><td style="background:{one.colour}">&nbsp;&nbsp;</td><td>{escape(one.name)}</td>'
        f"<td>{share:.1f} %</td></tr>"
        for one, share in zip(schema, shares, strict=True)
    )
    return colours[known], f"<table>{''.join(rows)}</table>"


def _image(bands: NDArray[Any]) -> NDArray[np.uint8]:
    """Return the first three bands, or the first, each stretched to its middle 96 %."""
    chosen = bands[:3] if len(bands) >= 3 else bands[:1].repeat(3, axis=0)
    values = chosen.astype(np.float64)
    values[~np.isfinite(values)] = np.nan
    if np.isnan(values).all():
        return np.full((*values.shape[1:], 3), 255, np.uint8)
    low, high = np.nanpercentile(values, _SPREAD, axis=(1, 2), keepdims=True)
    stretched = np.clip((values - low) / np.where(high > low, high - low, 1.0), 0.0, 1.0) * 255
    pixels: NDArray[np.uint8] = np.where(np.isnan(stretched), 255, stretched).astype(np.uint8)
    return np.moveaxis(pixels, 0, -1)
