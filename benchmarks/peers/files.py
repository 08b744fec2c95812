"""Reading scenes and writing maps with rasterio alone, as a script beside any of the tools would."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import rasterio
from numpy.typing import NDArray

Array = NDArray[np.float32]


def write_scores_and_map(scene: Path, folder: Path, scores: Array) -> None:
    """Write scores (class, row, col) and their arg max as tiled, compressed GeoTIFFs on the scene's grid."""
    with rasterio.open(scene) as source:
        profile = {"driver": "GTiff", "height": source.height, "width": source.width, "tiled": True,
                   "blockxsize": 512, "blockysize": 512, "crs": source.crs, "transform": source.transform}  # fmt: skip
    with rasterio.open(
        folder / "scores.tif", "w", **profile, count=len(scores), dtype="float32", compress="lzw"
    ) as out:
        out.write(scores)
    write_map(folder / "map.tif", scores, profile)


def write_map(path: Path, scores: Array, profile: dict[str, object]) -> None:
    with rasterio.open(path, "w", **profile, count=1, dtype="uint8", compress="deflate") as out:
        out.write(scores.argmax(axis=0).astype(np.uint8), 1)


def timed_main(work: Callable[..., None]) -> None:
    """Do a method's work on the arguments of the command line; print as JSON the seconds before it and within it.

    Args:
        work: Takes the scene, the coarse model, the refiner, the output folder, and the method's own settings.
    """
    scene, model, refiner, folder, *settings = sys.argv[1:]
    startup = time.time() - psutil.Process().create_time()
    began = time.perf_counter()
    work(Path(scene), Path(model), Path(refiner), Path(folder), *settings)
    print(json.dumps({"startup_s": startup, "work_s": time.perf_counter() - began}))
