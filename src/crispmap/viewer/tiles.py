"""Tiles as pictures, the last ones kept."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

import numpy as np

from crispmap.viewer.layers import Layer
from crispmap.viewer.painting import Picture
from crispmap.viewer.pyramid import TILE_PX, Pyramid

_KEPT_BYTES = 48 * 2**20


@dataclass(frozen=True)
class TilePlace:
    """Which tile."""

    level: int
    col: int
    row: int


def painted(layer: Layer, pyramid: Pyramid, place: TilePlace, *, lasting: bool = False) -> Picture | None:
    """Return the picture of a tile; None where there is no such tile.

    Raises:
        SceneError: If its file is gone or damaged.
    """
    block = pyramid.tile(place.level, place.col, place.row)
    if block is None or (layer.coarsest is not None and place.level > layer.coarsest):
        return None
    values, valid = layer.source.read(place.level, block)
    if block.shape != (TILE_PX, TILE_PX):  # at the far edges: a page would stretch a smaller picture
        beyond = (0, TILE_PX - block.height), (0, TILE_PX - block.width)
        # The page shows nothing beyond the grid. An image goes on there, and so needs no transparency, which is slow.
        how: Literal["edge", "constant"] = "edge" if layer.kind == "image" else "constant"
        values, valid = np.pad(values, ((0, 0), *beyond), how), np.pad(valid, beyond, how)
    return layer.painter.paint(values, valid, lasting=lasting)


class TileCache:
    """The pictures of tiles asked for last, up to some bytes."""

    def __init__(self, pyramid: Pyramid) -> None:
        self._pyramid = pyramid
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str, TilePlace], Picture] = OrderedDict()
        self._bytes = 0

    def tile(self, layer: Layer, place: TilePlace) -> Picture | None:
        """Return the picture of a tile as its files are now; see ``painted``."""
        block = self._pyramid.tile(place.level, place.col, place.row)
        if block is None:
            return None
        key = layer.id, layer.stamp_in(place.level, block), place
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        picture = painted(layer, self._pyramid, place)
        if picture is not None:
            self._keep(key, picture)
        return picture

    def _keep(self, key: tuple[str, str, TilePlace], picture: Picture) -> None:
        with self._lock:
            if key not in self._kept:
                self._kept[key] = picture
                self._bytes += len(picture.content)
            while self._bytes > _KEPT_BYTES:
                _, old = self._kept.popitem(last=False)
                self._bytes -= len(old.content)
