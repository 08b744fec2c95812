"""Plain torch: the whole image read, both networks run piece by piece with their halos, everything written at the end.

Usage: python with_torch.py SCENE MODEL REFINER FOLDER FORM PIECE_PX
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch
from network import CoarseAndRefined, Form

from crispmap.geo.grid import Block
from crispmap.raster.scene import cut_reflected
from files import Array, timed_main, write_scores_and_map


def predict(scene: Path, model: Path, refiner: Path, folder: Path, form: Form, piece_px: str) -> None:
    network = CoarseAndRefined(model, refiner, form)
    with rasterio.open(scene) as source:
        image = network.scaling.apply(source.read().astype(np.float32))
    coarse = in_pieces(network.coarse, [image], network.coarse.halo_px, network.refiner.classes, int(piece_px))
    refined = in_pieces(network.refined, [coarse, image], network.refiner.margin_px, len(coarse), int(piece_px))
    write_scores_and_map(scene, folder, refined)


def in_pieces(
    function: Callable[..., torch.Tensor], inputs: list[Array], margin_px: int, classes: int, piece_px: int
) -> Array:
    """Return the function's maps of whole inputs, computed in square pieces with a margin of reflected input."""
    height, width = inputs[0].shape[1:]
    result = np.empty((classes, height, width), np.float32)
    for row in range(0, height, piece_px):
        for col in range(0, width, piece_px):
            piece = Block(row, col, min(piece_px, height - row), min(piece_px, width - col))
            windows = [cut_reflected(maps, piece.padded(margin_px)) for maps in inputs]
            with torch.inference_mode():
                maps = function(*(torch.from_numpy(np.ascontiguousarray(window))[None] for window in windows))
            result[:, *piece.slices] = maps[0].numpy()
    return result


if __name__ == "__main__":
    timed_main(predict)
