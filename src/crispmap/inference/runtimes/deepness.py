"""What the QGIS plugin Deepness reads of an ONNX file: how it cuts a scene, and what the classes are.

The plugin divides pixels by 255 and then applies mean and standard deviation; those written here undo that, for the
graph itself scales raw pixels. Tiles overlap by so much, in whole percent, that of each only what its border cannot
reach is kept, and begin on the stride of the network: the map is that of crispmap, but for the scene's border.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from crispmap.errors import InputError
from crispmap.inference.runtimes.network import WholeNetwork

_LEAST_TILE_PX = 512
_MOST_PERCENT = 50  # of overlap, of tiles that are chosen here; of others, it may be nearly all


@dataclass(frozen=True)
class Tiles:
    """The tiles in which the plugin computes a scene."""

    side_px: int
    overlap_percent: int

    @property
    def overlap_px(self) -> int:
        """How far two neighbours overlap, as the plugin computes it."""
        return int(self.side_px * self.overlap_percent / 100 * 2) // 2

    def exact(self, network: WholeNetwork) -> bool:
        """Return whether what is kept of each tile is what the whole scene gives."""
        step = self.side_px - self.overlap_px
        return self.overlap_px // 2 >= network.context_px and step % network.stride_px == 0 and step > 0


def tiles_for(network: WholeNetwork, size_px: int | None = None) -> Tiles:
    """Return tiles that give the exact map: of a given side, or the smallest from 512 pixels on.

    Raises:
        InputError: If the side is no multiple of what sides must be, or no overlap in whole percent is exact.
    """
    stride = network.stride_px
    if size_px is None:
        side = math.ceil(_LEAST_TILE_PX / stride) * stride
        while True:
            if found := _of_side(network, side, _MOST_PERCENT):
                return found
            side += stride
    if size_px < 1 or size_px % network.side_px:
        raise InputError(f"The side of the input is {size_px} pixels.", expected=f"a multiple of {network.side_px}")
    found = _of_side(network, size_px, 99)
    if found is None:
        other = tiles_for(network).side_px
        raise InputError(
            f"Tiles of {size_px} pixels cannot overlap so that the map is exact: {network.context_px} pixels at every "
            f"border depend on what lies beyond.",
            expected="a side that some overlap in whole percent suits", remedy=f"give size_px={other}",
        )  # fmt: skip
    return found


def _of_side(network: WholeNetwork, side_px: int, most: int) -> Tiles | None:
    every = (Tiles(side_px, percent) for percent in range(most + 1))
    return next((one for one in every if one.exact(network)), None)


def deepness_metadata(network: WholeNetwork, tiles: Tiles) -> dict[str, str]:
    """Return the entries that the plugin reads, each as JSON text."""
    card = network.card
    facts: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": {str(number): name for number, name in enumerate(card.schema.names)},
        "resolution": round(card.gsd_m * 100, 6),  # centimetres
        "tile_size": tiles.side_px,  # the plugin's code reads this, its documentation names the next
        "tiles_size": tiles.side_px,
        "tiles_overlap": tiles.overlap_percent,
        "standardization_mean": [0.0] * len(card.band_names),
        "standardization_std": [1 / 255] * len(card.band_names),
        "seg_thresh": 0.0,  # the class of a pixel is the most probable one ..
        "seg_small_segment": 0,  # .. and regions stay as they are
    }
    return {name: json.dumps(value, ensure_ascii=False) for name, value in facts.items()}
