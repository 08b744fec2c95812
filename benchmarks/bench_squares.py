"""Classifiers of squares on ground they did not learn: the lower 40 % of images of which they learned the upper half.

Each square of 128 pixels (64 m) counts once, with the class of most of its labelled pixels. Beside every accuracy
stands the share of the most frequent class, which a map of that class alone would reach.

Usage: python benchmarks/bench_squares.py [FOLDER_OF_DEEPGLOBE] [--seeds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from crispmap.metrics import ConfusionMatrix
from crispmap.project.results import evaluate_project
from crispmap.project.run import COARSE, predict_project, train_project

DEEPGLOBE = Path(__file__).resolve().parents[2] / "shared" / "data" / "deepglobe"
CLASSIFIERS = {
    "CerraNet, 16 filters": "kind: cerranet, width: 16, max_steps: 300",
    "EfficientNet-lite0, random": "kind: timm, max_steps: 150",
    "EfficientNet-lite0, ImageNet": "kind: timm, max_steps: 150, weights: imagenet-lite0",
}
PROJECT = """\
crispmap: 2
name: squares
seed: {seed}
dataset: {{path: {images}, layout: deepglobe, split: {{by: within, validation: 0.1, test: 0.4}}}}
coarse: {{{network}, label: majority, batch: 16}}
output: {{folder: results}}
"""


def confusion_of(network: str, images: Path, seed: int, folder: Path) -> ConfusionMatrix:
    """Return the confusion matrix of a classifier on the squares of the test ground."""
    (folder / "project.yaml").write_text(PROJECT.format(seed=seed, images=images.resolve(), network=network))
    train_project(folder)
    predict_project(folder)
    return evaluate_project(folder).methods[COARSE].confusion


def main() -> None:
    """Train, map and score every classifier, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="?", default=DEEPGLOBE)
    parser.add_argument("--seeds", type=int, default=3)
    chosen = parser.parse_args()
    if not chosen.images.is_dir():
        print(f"{chosen.images} is not here: give a folder of images of the DeepGlobe land cover set")
        return
    warnings.simplefilter("ignore")  # the images have no georeference, and rare classes are not on all ground
    print("| classifier | seed | accuracy | most frequent class | mean F1 | squares | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, network in CLASSIFIERS.items():
        found = []
        for seed in range(chosen.seeds):
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                one = confusion_of(network, chosen.images, seed, Path(folder))
            found.append(one.overall_accuracy)
            share = one.reference_px.max() / one.valid_px
            print(
                f"| {name} | {seed} | {100 * one.overall_accuracy:.1f} | {100 * share:.1f} | {100 * one.mean_f1:.1f} | "
                f"{one.valid_px} | {time.perf_counter() - began:.0f} |"
            )
        print(f"| {name} | mean of {chosen.seeds} | {100 * np.mean(found):.1f} | | | | |")


if __name__ == "__main__":
    main()
