"""MONAI: ``sliding_window_inference`` over the whole image, rasterio to read and write, as MONAI's docs show it.

Usage: python with_monai.py SCENE MODEL REFINER FOLDER FORM ROI_PX MODE
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import torch
from monai.inferers import sliding_window_inference  # type: ignore[import-not-found]
from network import Form, SameSize

from files import timed_main, write_scores_and_map


def predict(scene: Path, model: Path, refiner: Path, folder: Path, form: Form, roi_px: str, mode: str) -> None:
    network = SameSize(model, refiner, form).eval()
    with rasterio.open(scene) as source:
        image = torch.from_numpy(network.scaling.apply(source.read().astype(np.float32)))[None]
    with torch.inference_mode():
        scores = sliding_window_inference(
            image, roi_size=int(roi_px), sw_batch_size=1, predictor=network, overlap=0.25, mode=mode
        )
    write_scores_and_map(scene, folder, scores[0].numpy())


if __name__ == "__main__":
    timed_main(predict)
