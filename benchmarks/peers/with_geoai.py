"""geoai: ``predict_geotiff`` with its defaults: tiles of 256, overlap 64, batches of 4, spline blending.

Usage: python with_geoai.py SCENE MODEL REFINER FOLDER FORM
"""

from __future__ import annotations

from pathlib import Path

import geoai.utils  # type: ignore[import-not-found]  # noqa: F401 - predict_geotiff would load it while it is timed
import numpy as np
from geoai.inference import predict_geotiff  # type: ignore[import-not-found]
from network import Form, SameSize
from numpy.typing import NDArray

from files import Array, timed_main


def predict(scene: Path, model: Path, refiner: Path, folder: Path, form: Form) -> None:
    network = SameSize(model, refiner, form)

    def preprocess(tile: NDArray[np.float32]) -> Array:
        return network.scaling.apply(tile)

    predict_geotiff(
        network, str(scene), str(folder / "scores.tif"), num_classes=network.refiner.classes,
        preprocess_fn=preprocess, device="cpu", verbose=False,
    )  # fmt: skip


if __name__ == "__main__":
    timed_main(predict)
