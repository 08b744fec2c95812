"""The dense CRF and the hand-written equations, fitted on a project's refiner ground and scored on its test ground.

Usage: python benchmarks/refiners_by_hand.py myproject [--only crf,heat] [--unbalanced] [--save FOLDER] [--tries N]

The project must be trained and predicted: coarse scores, coarse and refined map and refiner are read from its folder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from crispmap.data.scaling import Scaling, scaled_input
from crispmap.evaluate.readers import UnitedGround
from crispmap.evaluate.recalibration import apply_biases, fit_biases
from crispmap.geo.grid import Block
from crispmap.labels.reader import LabelReader
from crispmap.metrics import ConfusionMatrix
from crispmap.models.card import ModelCard
from crispmap.models.file import load_model, save_model
from crispmap.project.file import load_project
from crispmap.project.inputs import Sources, open_sources
from crispmap.project.run import Products
from crispmap.raster.scene import Scene
from crispmap.raster.scores import open_scores
from crispmap.refine.base import Refiner
from crispmap.refine.hand_written import HandWrittenRefiner
from crispmap.refine.pde.refiner import PDES
from crispmap.training.grid_fit import FitRecord, fit_crf, fit_pde
from crispmap.types import IGNORE, FloatArray, LabelArray
from tables import print_table_head, print_table_row

TILE_PX = 256


class Ground(NamedTuple):
    """Everything about the project's ground that is read here."""

    sources: Sources
    scores: Scene
    reference: LabelReader
    scaling: Scaling

    def read(self, block: Block) -> tuple[FloatArray, FloatArray]:
        """Return the coarse scores and the scaled image of a block."""
        scores, valid = self.scores.read(block)
        pixels, _ = self.sources.image.read(block)
        return scores, scaled_input(pixels, valid, self.scaling)

    def labels(self, role: str, block: Block) -> LabelArray:
        """Return the precise labels of a block, 255 outside the areas of a role."""
        areas = UnitedGround(self.sources.areas(self.sources.image.grid)[role])
        return np.where(areas.mask(block), self.reference.read(block), np.uint8(IGNORE))

    def blocks(self, role: str) -> Iterator[Block]:
        """Yield the tiles of the areas of a role."""
        for area in self.sources.areas(self.sources.image.grid)[role]:
            yield from area.block.pieces(TILE_PX)


def scored(ground: Ground, refiner: Refiner) -> ConfusionMatrix:
    """Return the confusion matrix of a refiner on the test ground."""
    count = ConfusionMatrix(ground.sources.project.schema.names)
    for block in ground.blocks("test"):
        scores, image = ground.read(block.padded(refiner.margin_px))
        with torch.inference_mode():
            refined = refiner(torch.from_numpy(scores)[None], torch.from_numpy(image)[None])[0].numpy()
        count.update(refined.argmax(0).astype(np.uint8), ground.labels("test", block))
    return count


def unrefined(ground: Ground, biases: list[float]) -> ConfusionMatrix:
    """Return the confusion matrix of the coarse scores plus biases on the test ground."""
    count = ConfusionMatrix(ground.sources.project.schema.names)
    for block in ground.blocks("test"):
        count.update(apply_biases(ground.read(block)[0], biases), ground.labels("test", block))
    return count


def show(name: str, count: ConfusionMatrix, record: FitRecord | None = None) -> None:
    cells = [name, f"{100 * count.overall_accuracy:.2f}", f"{100 * count.mean_iou:.2f}"]
    cells += [f"{100 * value:.2f}" for value in count.iou]
    if record is not None:
        numbers = ", ".join(f"{key} {value:.3g}" for key, value in record.parameters.items())
        cells += [f"{100 * record.mean_iou:.2f}", f"{len(record.tries)}", f"{record.seconds:.0f} s", numbers]
    print_table_row(*cells)


def save(folder: Path, refiner: HandWrittenRefiner, record: FitRecord, like: ModelCard) -> None:
    card = replace(
        like,  # another refiner of the same project
        architecture=refiner.architecture,
        arguments=refiner.arguments,
        radius_px=refiner.radius_px,
        provenance={"fit": record.to_dict(), "class_biases": record.biases},
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / f"{refiner.architecture}.safetensors", refiner, card, force=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--only", default=",".join(("crf", *PDES)))
    parser.add_argument("--unbalanced", action="store_true", help="fit no class biases")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--tries", type=int, default=20)
    options = parser.parse_args()
    project = load_project(options.project)
    products = Products(project.output_folder)
    learned, card = load_model(products.refiner_model, kind="refiner")
    with open_sources(project) as sources, open_scores(products.coarse_scores, kind="logit") as scores:
        ground = Ground(sources, scores, sources.reference(sources.image.grid), Scaling.of(card))
        (area,) = sources.areas(sources.image.grid)["refiner"]
        given, image = ground.read(area.block)
        labels = ground.labels("refiner", area.block)
        print_table_head(
            "map", "accuracy", "mean IoU", *project.schema.names, "mean IoU fitted", "tries", "time", "numbers"
        )
        show("coarse", unrefined(ground, [0.0] * len(project.schema)))
        show("re-thresholded", unrefined(ground, fit_biases(given, labels).tolist()))
        for name in options.only.split(","):
            how = {"balance": not options.unbalanced, "most_tries": options.tries}
            fitted = (
                fit_crf(given, image, labels, **how) if name == "crf" else fit_pde(name, given, image, labels, **how)
            )
            refiner, record = fitted
            show(name, scored(ground, refiner), record)
            if options.save:
                save(options.save, refiner, record, card)
        begun = time.perf_counter()
        show("learned", scored(ground, learned))
        print(f"\nscored in {time.perf_counter() - begun:.0f} s; {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
