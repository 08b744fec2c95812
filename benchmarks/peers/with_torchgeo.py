"""TorchGeo: ``RasterDataset``, ``GridGeoSampler`` and a ``DataLoader``, as its docs show them; the stitching is ours.

TorchGeo 0.8 has no stitching. Chips are put where their bounds say; with a stride below the size (the docs advise an
overlap about as wide as the receptive field), half the overlap is clipped off the sides within the scene.

Usage: python with_torchgeo.py SCENE MODEL REFINER FOLDER FORM SIZE_PX STRIDE_PX
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from network import Form, SameSize
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples  # type: ignore[import-not-found]
from torchgeo.samplers import GridGeoSampler  # type: ignore[import-not-found]

from crispmap.geo.grid import Block
from files import Array, timed_main, write_scores_and_map


def predict(scene: Path, model: Path, refiner: Path, folder: Path, form: Form, size_px: str, stride_px: str) -> None:
    network = SameSize(model, refiner, form).eval()
    dataset = RasterDataset(str(scene))
    size, stride = int(size_px), int(stride_px)
    xs, ys, _ = dataset.bounds
    height, width = (round((line.stop - line.start) / line.step) for line in (ys, xs))
    scores = np.zeros((network.refiner.classes, height, width), np.float32)
    loader = DataLoader(
        dataset, batch_size=4, sampler=GridGeoSampler(dataset, size=size, stride=stride), collate_fn=stack_samples
    )
    with torch.inference_mode():
        for batch in loader:
            results = network(torch.stack([scaled(network, chip.numpy()) for chip in batch["image"]])).numpy()
            for result, (x, y, _) in zip(results, batch["bounds"], strict=True):
                chip = Block(round((ys.stop - y.stop) / ys.step), round((x.start - xs.start) / xs.step), size, size)
                kept = clipped(chip, (size - stride) // 2, height, width)
                scores[:, *kept.slices] = result[:, *kept.relative_to(chip).slices]
    write_scores_and_map(scene, folder, scores)


def scaled(network: SameSize, chip: Array) -> torch.Tensor:
    return torch.from_numpy(network.scaling.apply(chip))


def clipped(chip: Block, margin_px: int, height: int, width: int) -> Block:
    """Return a chip without the margin on its sides within the scene, and without what reaches beyond the scene."""
    row = chip.row + (margin_px if chip.row > 0 else 0)
    col = chip.col + (margin_px if chip.col > 0 else 0)
    stop_row = chip.row_stop - margin_px if chip.row_stop < height else height
    stop_col = chip.col_stop - margin_px if chip.col_stop < width else width
    return Block(max(row, 0), max(col, 0), stop_row - max(row, 0), stop_col - max(col, 0))


if __name__ == "__main__":
    timed_main(predict)
