"""The shipped refiner beside the re-thresholded coarse map, on towns of unseen style and on real grounds.

Nothing of a ground is learned by the refiner: the biases of the re-thresholded map are fitted on the precise piece, and
both are scored on the test area. Coarse networks are kept in ``benchmarks/.work/general`` and not trained again.

Usage: python benchmarks/general_on_grounds.py [--grounds banepa,kampala] [--networks fcn,unet] [--seeds 1] [--towns 4]
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from crispmap.evaluation.recalibration import BiasedLabels, apply_biases, fit_biases
from crispmap.inference.general import general_refiner, reason_to_leave
from crispmap.metrics import ConfusionMatrix
from crispmap.project.coarse import CoarseScores
from crispmap.project.file import load_project
from crispmap.project.general import Rivals
from crispmap.project.inputs import open_sources
from crispmap.project.run import Products, train_project
from crispmap.project.training import fit_biases as fit_project_biases
from crispmap.refiners.general.planes import BRIGHTEST
from crispmap.refiners.general.shipped import shipped_network
from crispmap.types import FloatArray, LabelArray
from tables import print_table_head, print_table_row

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "release"))
from coarse_like import add_scores, likeness_by  # noqa: E402 - where the towns are made that the refiner learned on
from town_ground import CLASSES, Ground, ground_of  # noqa: E402

WORK = HERE / ".work" / "general"
GSD_M = {"banepa": 1.0, "kampala": 0.6, "zanzibar": 0.6, "nairobi": 0.6}  # pixel size of the papers' network
GIVEN = "boston3"  # whose scores are given
FIRST_TOWN = 9_000  # none of these was learned on


def project_of(ground: str, network: str, seed: int) -> Path:
    """Write an example's project with a coarse network alone, and return its file."""
    text = (HERE.parent / "examples" / f"{ground}.yaml").read_text()
    text = text.replace("../../shared", str((HERE.parent.parent / "shared").resolve()))
    text = re.sub(r"(?m)^(# )?(coarse: \{kind|refiner: \{kind|output:).*\n", "", text)
    name = f"{ground}-{network}-{seed}"
    kinds = {"fcn": f"coarse: {{kind: fcn-rnn, gsd_m: {GSD_M.get(ground)}}}\n", "unet": "coarse: {kind: unet-lite0}\n"}
    path = WORK / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    own = f"{kinds.get(network, '')}refiner: {{kind: general}}\nseed: {seed}\n"
    path.write_text(f"{text}{own}output: {{folder: {WORK / name}}}\n")
    return path


def on_ground(ground: str, network: str, seed: int) -> tuple[float, float, float, str]:
    """Return the mean IoU of coarse, re-thresholded and refined map, in percent, and what the gate says."""
    path = project_of(ground, network, seed)
    project = load_project(path)
    model = Products.of(project).coarse_model
    if not project.scores_given and not model.exists():
        train_project(path, stage="coarse")
    with open_sources(project) as sources:
        scores = CoarseScores(project, model, "cpu")
        pieces, test = sources.pieces("refiner"), sources.pieces("test")
        rivals = Rivals(scores, test, fit_project_biases(scores, pieces, project.seed))
        image, coarse = test[0].image, scores.on(test[0].image, test[0].scores)
        scaling = None if scores.card is None else scores.card.scaling
        refiner = general_refiner([(image, coarse)], project.schema, sources.gsd_m, scaling)
        plain = ConfusionMatrix(project.schema.names)
        labels = BiasedLabels(coarse, np.zeros(len(project.schema)))
        for piece in test:
            for block, reference in piece.labelled_blocks():
                plain.update(labels.read(block), reference)
        found = plain.mean_iou, rivals.mean_iou(None), rivals.mean_iou(refiner)
        return (*(100 * float(one) for one in found), reason_to_leave(refiner, image, coarse))  # type: ignore[return-value]


def on_town(ground: Ground) -> Iterator[tuple[float, float, float]]:
    """Yield the same for the scores of a town, biases fitted on its third quarter, all scored on its fourth."""
    half = ground.truth.shape[1] // 2
    quarter = half + half // 2
    for scores in ground.scores:
        biases = fit_biases(scores[..., half:quarter], ground.truth[:, half:quarter])
        refined = refined_town(ground, scores)
        maps = scores.argmax(0), apply_biases(scores, biases), refined.argmax(0)
        coarse, again, sharp = (_mean_iou(one[:, quarter:], ground.truth[:, quarter:]) for one in maps)
        yield coarse, again, sharp


def refined_town(ground: Ground, scores: FloatArray) -> FloatArray:
    """Return the refined scores of a town; its planes are made already."""
    network = shipped_network(CLASSES, 1, [[0.0, 0.0]] * 3)
    alike = torch.from_numpy(likeness_by(scores, ground))[None]
    with torch.inference_mode():
        planes = torch.from_numpy(ground.planes)[None].clamp(-BRIGHTEST, BRIGHTEST)
        refined: FloatArray = network.refined(torch.from_numpy(scores)[None], planes, alike)[0].numpy()
    return refined


def _mean_iou(labels: LabelArray, truth: LabelArray) -> float:
    matrix = ConfusionMatrix([str(one) for one in range(CLASSES)])
    matrix.update(labels.astype(np.uint8), truth)
    return 100 * float(matrix.mean_iou)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grounds", default=",".join((*GSD_M, GIVEN)))
    parser.add_argument("--networks", default="fcn,unet")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--towns", type=int, default=4)
    chosen = parser.parse_args()
    print_table_head("ground", "coarse network", "coarse", "re-thresholded", "shipped refiner", "gain", "gate")
    for number in range(chosen.towns):
        ground = ground_of(FIRST_TOWN + number)
        add_scores(ground, spoilt=5, networks=True)
        rows = list(on_town(ground))
        for name, part in (("spoilt truth", rows[:-1]), ("fcn", rows[-1:])):
            _row(f"town {ground.seed}, {ground.gsd_m:g} m", name, part, "")
    for name in chosen.grounds.split(","):
        for network in ("given",) if name == GIVEN else chosen.networks.split(","):
            found = [on_ground(name, network, seed) for seed in range(chosen.seeds)]
            _row(name, network, [one[:3] for one in found], "; ".join(one[3] for one in found if one[3]) or "passes")


def _row(ground: str, network: str, found: list[tuple[float, float, float]], gate: str) -> None:
    coarse, again, sharp = (statistics.mean(column) for column in zip(*found, strict=True))
    print_table_row(ground, network, *(f"{one:.1f}" for one in (coarse, again, sharp)), f"{sharp - again:+.1f}", gate)


if __name__ == "__main__":
    main()
