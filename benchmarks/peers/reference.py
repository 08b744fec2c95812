"""The whole-image result, and how far a method's files lie from it. Each runs as a process of its own and prints JSON.

Usage: python reference.py make SCENE MODEL REFINER REFERENCE.npy
       python reference.py compare REFERENCE.npy FOLDER
       python reference.py state FOLDER FINISHED_FOLDER
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from network import CoarseAndRefined, whole_image_scores
from rasterio.errors import RasterioError

from files import Array

TOLERANCE = 1e-4
"""Of the largest score: what float32 sums in another order may differ by. Closer scores than twice that are a tie."""
INSIDE_PX = 64
"""Further from the scene's border than any score reaches: there a difference is a seam, not another padding."""


def make(scene: str, model: str, refiner: str, path: str) -> None:
    """Write the scores of the paper's form, run once on the entire image in torch float32."""
    network = CoarseAndRefined(Path(model), Path(refiner), "paper")
    with rasterio.open(scene) as source:
        image = network.scaling.apply(source.read().astype(np.float32))
    scores = whole_image_scores(network, image)
    np.save(path, scores)
    labels = np.bincount(scores.argmax(axis=0).ravel(), minlength=len(scores)) / scores[0].size
    print(json.dumps({"largest": float(np.abs(scores).max()), "shares": [round(float(share), 4) for share in labels]}))


def compare(path: str, folder: str) -> None:
    """Print the largest difference of scores and the labels changed, over the scene and inside its border."""
    reference: Array = np.load(path)
    scores, classes = _read(Path(folder) / "scores.tif"), Path(folder) / "map.tif"
    labels = _read(classes)[0] if classes.exists() else scores.argmax(axis=0)
    inside = (slice(INSIDE_PX, -INSIDE_PX), slice(INSIDE_PX, -INSIDE_PX))
    found = {"largest": float(np.abs(reference).max()), "tolerance": TOLERANCE}
    found |= _difference(reference, scores, labels)
    found |= {
        f"inside_{name}": value
        for name, value in _difference(reference[:, *inside], scores[:, *inside], labels[inside]).items()
    }
    print(json.dumps(found))


def _difference(reference: Array, scores: Array, labels: Array) -> dict[str, float]:
    """Return the largest difference, the labels changed, and those of them that are ties of the reference."""
    changed = labels != reference.argmax(axis=0)
    top = np.sort(reference, axis=0)
    ties = changed & (top[-1] - top[-2] <= 2 * TOLERANCE * np.abs(reference).max())
    return {
        "difference": float(np.abs(scores - reference).max()), "changed": int(changed.sum()), "ties": int(ties.sum())
    }  # fmt: skip


def state(folder: str, finished: str) -> None:
    """Print the size of every file a killed run left, and of those under a target's name how much is right."""
    found = {}
    for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        right = _share_right(path, Path(finished) / path.name) if path.parent == Path(folder) else ""
        found[str(path.relative_to(folder))] = f"{path.stat().st_size / 2**20:.1f} MiB{right}"
    print(json.dumps(found))


def _share_right(path: Path, finished: Path) -> str:
    if path.suffix != ".tif" or not finished.exists():
        return ""
    try:
        share = float((_read(path) == _read(finished)).mean())
    except RasterioError:
        return ", cannot be read"
    return f", opens, {share:.0%} of its values are right"


def _read(path: Path) -> Array:
    with rasterio.open(path) as source:
        values: Array = source.read()
    return values


if __name__ == "__main__":
    ways: dict[str, Callable[..., None]] = {"make": make, "compare": compare, "state": state}
    ways[sys.argv[1]](*sys.argv[2:])
