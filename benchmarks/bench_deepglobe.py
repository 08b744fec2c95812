"""U-Nets on land cover: Dice of each class on patches of 612 pixels of images that no training saw, as far as can be.

Images of the DeepGlobe land cover set are cut into patches of 612 x 612 pixels, as is usual with this set. With ten
images or more, no image is in two roles: its patches all train, validate or test. Of fewer images, the patches of the
upper half of each train, every fifth of them validates, and those of the lower half test: neighbours of what was
learned, on which every network does better than on images it never saw.

Usage: python benchmarks/bench_deepglobe.py [FOLDER_OF_DEEPGLOBE] [--seeds 3] [--steps 300] [--patch-px 608] [--batch 2]
       [--test-patches 1000] [--only ResNet50]
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded

import numpy as np
import torch
from PIL import Image

from crispmap.evaluation.evaluation import Evaluation
from crispmap.project.results import evaluate_project
from crispmap.project.run import COARSE, predict_project, train_project
from tables import print_table_head, print_table_row

DEEPGLOBE = Path(__file__).resolve().parents[2] / "shared" / "data" / "deepglobe"
SIDE_PX = 612
FEWEST_IMAGES = 10  # that have every class in each role
NETWORKS = {
    "U-Net, ResNet50, random weights": "kind: unet-resnet50",
    "U-Net, EfficientNet-lite0, ImageNet": "kind: unet-lite0, weights: imagenet-lite0",
    "U-Net as published, 16 filters": "kind: unet, width: 16",
}
PROJECT = """\
crispmap: 2
name: deepglobe
seed: {seed}
dataset:
  path: {patches}
  images: '*_sat.png'
  masks: '{{id}}_mask.png'
  assume_gsd_m: 0.5
  split: {{validation: {validation}, test: {test}}}
coarse: {{{network}, max_steps: {steps}, patch_px: {patch_px}, batch: {batch}, loss: cross-entropy+dice}}
output: {{folder: results}}
"""


def cut(images: Path, folder: Path, rng: np.random.Generator) -> tuple[dict[str, list[str]], int]:
    """Write the patches of all images; return their ids by role, and how many images there are."""
    names = sorted(path.name.removesuffix("_sat.jpg") for path in images.glob("*_sat.jpg"))
    drawn = dict(zip(rng.permutation(names).tolist(), range(len(names)), strict=True))
    roles: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    learned = 0
    for name in names:
        image, mask = (Image.open(images / f"{name}_{part}") for part in ("sat.jpg", "mask.png"))
        for top in range(0, image.height - SIDE_PX + 1, SIDE_PX):
            for left in range(0, image.width - SIDE_PX + 1, SIDE_PX):
                patch, box = f"{name}-{top}-{left}", (left, top, left + SIDE_PX, top + SIDE_PX)
                image.crop(box).save(folder / f"{patch}_sat.png", compress_level=1)
                mask.crop(box).save(folder / f"{patch}_mask.png", compress_level=1)
                if len(names) >= FEWEST_IMAGES:
                    place = drawn[name] / len(names)
                    role = "test" if place < 0.2 else "validation" if place < 0.3 else "train"
                elif 2 * top + SIDE_PX > image.height:
                    role = "test"
                else:
                    learned += 1
                    role = "validation" if learned % 5 == 0 else "train"
                roles[role].append(patch)
    shutil.copy(images / "class_dict.csv", folder)
    return roles, len(names)


def leave_few(ids: list[str], folder: Path, most: int) -> None:
    """Remove patches until there are no more than ``most``, spread over all."""
    kept = {ids[round(index)] for index in np.linspace(0, len(ids) - 1, min(most, len(ids)))}
    for patch in [one for one in ids if one not in kept]:
        ids.remove(patch)
        for part in ("sat", "mask"):
            (folder / f"{patch}_{part}.png").unlink()


def figures_of(network: str, patches: Path, roles: Mapping[str, list[str]], chosen: argparse.Namespace) -> Evaluation:
    """Train, map and score one network; return the figures of its maps."""
    with tempfile.TemporaryDirectory() as folder:
        text = PROJECT.format(
            network=network, patches=patches, validation=roles["validation"], test=roles["test"], seed=chosen.seed,
            steps=chosen.steps, patch_px=chosen.patch_px, batch=chosen.batch,
        )  # fmt: skip
        (Path(folder) / "project.yaml").write_text(text)
        train_project(Path(folder))
        predict_project(Path(folder))
        return evaluate_project(Path(folder)).methods[COARSE]


def main() -> None:
    """Train, map and score every network, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="?", default=DEEPGLOBE)
    for name, default in (("seeds", 3), ("steps", 300), ("patch-px", 608), ("batch", 2), ("test-patches", 1000)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", default="", help="a part of the name of the networks to train")
    chosen = parser.parse_args()
    if not chosen.images.is_dir():
        print(f"{chosen.images} is not here: give a folder of images of the DeepGlobe land cover set")
        return
    warnings.simplefilter("ignore")  # rare classes are not on all ground
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        roles, images = cut(chosen.images, Path(folder), np.random.default_rng(0))
        leave_few(roles["test"], Path(folder), chosen.test_patches)
        print(f"{images} images, in patches: {', '.join(f'{role} {len(ids)}' for role, ids in roles.items())}.")
        wanted = {name: network for name, network in NETWORKS.items() if chosen.only in name}
        compared = [(name, seed, network) for name, network in wanted.items() for seed in range(chosen.seeds)]
        for number, (name, seed, network) in enumerate(compared):
            chosen.seed, began = seed, time.perf_counter()
            found = figures_of(network, Path(folder), roles, chosen)
            if number == 0:
                print_table_head("network", "seed", "mean Dice", "Dice per patch", *found.class_names, "seconds")
            shares = [found.mean_dice, found.dice_per_image, *found.dice]
            took = f"{time.perf_counter() - began:.0f}"
            print_table_row(name, seed, *("–" if np.isnan(one) else f"{100 * one:.1f}" for one in shares), took)


if __name__ == "__main__":
    main()
