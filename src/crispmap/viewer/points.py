"""What all layers say of one point."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from crispmap.errors import CrispmapError, GridError
from crispmap.geo.crs import to_lonlat
from crispmap.geo.grid import Block
from crispmap.viewer.layers import Layer
from crispmap.viewer.view import View

_REACH_PX = 512  # how far from the point an object is followed


def facts_at(view: View, col: int, row: int) -> dict[str, Any] | None:
    """Return what the layers hold at a pixel of the view, as plain values; None outside it."""
    grid = view.pyramid.grid
    if not (0 <= row < grid.height and 0 <= col < grid.width):
        return None
    x, y = grid.transform @ (col + 0.5, row + 0.5)
    found = [_of_layer(view, layer, col, row) for layer in view.layers if layer.coarsest is None]
    return {"col": col, "row": row, "x": x, "y": y, "lonlat": _lonlat(view, x, y), "layers": found}


def _lonlat(view: View, x: float, y: float) -> list[float] | None:
    crs = view.pyramid.grid.crs
    if crs is None:
        return None
    try:
        found = [float(one) for one in to_lonlat(crs).transform(x, y)]
    except GridError:
        return None
    return found if all(math.isfinite(one) for one in found) else None


def _of_layer(view: View, layer: Layer, col: int, row: int) -> dict[str, Any]:
    """Return what one layer holds at a pixel; of one that cannot be read, why."""
    facts: dict[str, Any] = {"id": layer.id, "name": layer.name, "value": None}
    try:
        values, valid = layer.source.read(0, Block(row, col, 1, 1))
        if not valid[0, 0]:
            return facts
        if layer.kind in ("classes", "errors"):
            return facts | _of_class(view, layer, int(values[0, 0, 0]), (col, row))
    except CrispmapError as error:
        return facts | {"problem": error.given}
    at = values[:, 0, 0]
    return facts | {"value": [_plain(one) for one in at], "bands": list(layer.bands)}


def _of_class(view: View, layer: Layer, value: int, place: tuple[int, int]) -> dict[str, Any]:
    """Return the class at a pixel, and how large the object of this class there is."""
    named = next((one for one in layer.classes if one.value == value), None)
    if named is None:
        return {"value": value, "class": f"value {value}"}
    found: dict[str, Any] = {"value": value, "class": named.name, "colour": named.colour}
    if layer.kind == "classes":
        found["object_m2"], found["object_cut"] = _object_area(view, layer, value, place)
    return found


def _object_area(view: View, layer: Layer, value: int, place: tuple[int, int]) -> tuple[float | None, bool]:
    """Return the area of the pixels of a class that hang together with one, and whether it may reach further."""
    from scipy import ndimage

    (col, row), grid = place, view.pyramid.grid
    around = Block(row - _REACH_PX, col - _REACH_PX, 2 * _REACH_PX + 1, 2 * _REACH_PX + 1).intersection(grid.block)
    values, valid = layer.source.read(0, around)
    numbers, _ = ndimage.label((values[0] == value) & valid, structure=np.ones((3, 3)))
    mine = numbers == numbers[row - around.row, col - around.col]
    cut = bool(
        (around.row > 0 and mine[0].any()) or (around.row_stop < grid.height and mine[-1].any())
        or (around.col > 0 and mine[:, 0].any()) or (around.col_stop < grid.width and mine[:, -1].any())
    )  # fmt: skip
    try:
        return float(grid.pixel_areas_m2(around)[mine].sum()), cut
    except GridError:
        return None, cut


def _plain(value: Any) -> float | int | None:
    number = float(value)
    if not math.isfinite(number):
        return None
    return int(value) if np.issubdtype(np.asarray(value).dtype, np.integer) else float(f"{number:.6g}")
