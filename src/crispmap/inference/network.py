"""Coarse network and refiner as one, from image to map, for engines that run them as one graph: what it reads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crispmap.geo.grid import Block
from crispmap.inference.engines import NetworkSource
from crispmap.models.model import CoarseModel, RefinerModel
from crispmap.raster.scene import reflected_indices

if TYPE_CHECKING:
    from crispmap.inference.modules import MapModule


class MapNetwork:
    """A coarse network, a refiner, or both: from the pixels around one tile to the scores of the tile.

    With both, the refiner sees at the border of the scene what it sees when it is given saved scores: their reflection
    (``reflected_places``), not the network's scores of a reflected image.

    Attributes:
        halo_px: Pixels of scores the refiner reads beyond a tile, rounded up to the network's stride.
        margin_px: Pixels of the image read beyond a tile on every side.
        reach_px: Those of them that the refiner sees.
        stride_px: Tile origins are multiples of it.
    """

    def __init__(self, coarse: CoarseModel | None, refiner: RefinerModel | None) -> None:
        model = coarse or refiner
        if model is None:
            raise ValueError("a map needs a network or a refiner")
        self.coarse, self.refiner = coarse, refiner
        self.scaling, self.classes = model.scaling, model.network.classes
        self.stride_px = stride_of(coarse, refiner)
        self.reach_px = 0 if refiner is None else refiner.network.margin_px
        self.margin_px = context_px(coarse, refiner)
        self.halo_px = self.margin_px - (0 if coarse is None else coarse.network.halo_px)

    @property
    def source(self) -> NetworkSource:
        """What engines compute it with, kept where both models are of files."""
        both = [None if one is None else NetworkSource.of("", one.network) for one in (self.coarse, self.refiner)]
        parts = [part for part in both if part is not None]
        known, any_shape = all(part.identity for part in parts), all(part.any_shape for part in parts)
        identity = tuple(" ".join(part.identity) if part else "none" for part in both) if known else ()
        return NetworkSource("map", self.module, identity, any_shape)

    def module(self) -> MapModule:
        """Return the module that computes it; its networks are loaded now."""
        from crispmap.inference.modules import MapModule

        return MapModule(self)


def context_px(coarse: CoarseModel | None, refiner: RefinerModel | None) -> int:
    """Return the pixels of the image that are read beyond a tile on every side: the refiner's and the network's."""
    reach = 0 if refiner is None else refiner.network.margin_px
    if coarse is None:
        return reach
    stride_px = stride_of(coarse, refiner)
    return math.ceil(reach / stride_px) * stride_px + coarse.network.halo_px


def stride_of(coarse: CoarseModel | None, refiner: RefinerModel | None) -> int:
    """Return what the origins of tiles are multiples of: the stride of both."""
    strides = [1 if model is None else int(model.network.stride_px) for model in (coarse, refiner)]
    return math.lcm(*strides)


def reflected_places(tile: Block, halo_px: int, shape: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where the reflection about the scene's border takes the rows and columns of a window around a tile.

    Inside the scene a row is itself. Rows so far outside that no pixel of the scene sees them stay in the window. The
    tile begins inside the scene.
    """
    window = tile.padded(halo_px)
    places = []
    for start, count, size in ((window.row, window.height, shape[0]), (window.col, window.width, shape[1])):
        place = reflected_indices(start, count, size) - start
        places.append(np.clip(place, 0, count - 1).astype(np.int64))
    return places[0], places[1]
