"""The fully convolutional network of the IGARSS paper beside the patch network it replaced: speed, and border jumps.

Speed: both label the same square of a scene with random weights (weights change no time). The patch network is also
timed with features shared by neighbouring patches: the same map, checked first, and what is gained by sharing alone.
Jumps: networks are trained briefly on a generated town, map it at their own pixel size, and the jumps of their
probabilities across the borders of 16 x 16 squares are told beside those within: beside all of them, and beside those
at the same place within a network's stride. A network whose stride is the square has no such place within; the patch
network, which computes features at every fourth pixel, is told at that stride as well.

Usage: python benchmarks/bench_patch_network.py [--engine torch] [--device cpu] [--tile 512] [--turns 7] [--steps 200]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from crispmap.evaluation.discontinuity import measure_discontinuity
from crispmap.inference.engines import Engine, EngineChoice, open_engine
from crispmap.models.base import CoarseNetwork
from crispmap.models.fcn.network import fcn_igarss
from crispmap.models.file import read_card
from crispmap.models.patch_network.network import PatchNetwork
from crispmap.project.run import Products, predict_project, train_project
from crispmap.raster.scores import open_scores
from crispmap.synth.write import write_town
from side_by_side import in_turns, machine, ratio_of

FEATURES_PX = 4
"""Stride of the first layer of all three networks."""
FCN, PATCHES, SHARED = "fully convolutional", "patch by patch", "patches, shared"

PROJECT = """\
crispmap: 1
name: {name}
scene: {{path: scene.tif, gsd_m: 1.0}}
classes:
  - {{name: background, colour: "#f2efe9"}}
  - {{name: building, colour: "#d7191c", osm: building}}
  - {{name: road, colour: "#fdae61", osm: road, width_m: 7}}
labels: {{path: osm.gpkg}}
areas: {{coarse: [{{window: [0, 0, {height}, {left}]}}]}}
coarse: {{network: {network}, steps: {steps}}}
"""


class Shared(nn.Module):
    """The patch network with shared features, as a network of its own."""

    def __init__(self, network: PatchNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:  # noqa: D102 - as the base class
        return self.network.shared(image)


def opened(network: CoarseNetwork, side: int, choice: EngineChoice, module: nn.Module) -> tuple[Engine, np.ndarray]:
    full = side + 2 * network.halo_px
    image = np.random.default_rng(0).normal(0, 0.25, (1, network.bands, full, full)).astype(np.float32)
    return open_engine(module.eval(), (image,), choice), image


def compare_speed(side: int, choice: EngineChoice, turns: int) -> None:
    torch.manual_seed(0)
    fcn, patches = fcn_igarss(3).eval(), PatchNetwork(3).eval()
    ways = {
        FCN: opened(fcn, side, choice, fcn),
        PATCHES: opened(patches, side, choice, patches),
        SHARED: opened(patches, side, choice, Shared(patches)),
    }
    apart, together = (engine.run(image)[0] for engine, image in (ways[PATCHES], ways[SHARED]))
    worst = np.abs(apart - together).max() / np.abs(apart).max()
    print(f"patch network, shared beside patch by patch: largest difference {worst:.1e} of the largest score")
    if worst > 1e-4:
        raise SystemExit("they differ; nothing was timed")
    seconds = in_turns({name: partial(engine.run, image) for name, (engine, image) in ways.items()}, turns)
    print(f"{ways[FCN][0].text}, {side} px a side, one call at a time")
    for name, times in seconds.items():
        rate = side**2 / 1e6 / statistics.median(times)
        print(f"{name:20s} {rate:8.2f} Mpx/s {22.5 / rate:8.1f} s for 22.5 square km at 1 m")
    for slow in (PATCHES, SHARED):
        print(f"fully convolutional beside {slow}: {ratio_of(seconds, slow, FCN):.2f} times as fast")


def compare_jumps(folder: Path, steps: int, size_px: tuple[int, int]) -> None:
    write_town(folder, size_px=size_px, seed=0)
    for network in ("fcn-igarss", "fcn-rnn", "mnih"):
        project = folder / f"{network}.yaml"
        height, width = size_px
        project.write_text(
            PROJECT.format(name=network, height=height, left=width * 3 // 5, network=network, steps=steps)
        )
        train_project(project)
        predict_project(project)
        with open_scores(Products(folder / network).coarse_scores) as scores:
            found = measure_discontinuity(scores, period_px=16)
        own_px = read_card(Products(folder / network).coarse_model).stride_px
        alike = [f"{found.ratio_at(stride):.3f} at stride {stride}" for stride in sorted({FEATURES_PX, own_px})]
        print(
            f"{network:12s} {steps} steps: mean jump {found.border_jump:.4f} across borders, {found.inner_jump:.4f} "
            f"within, ratio {found.ratio:.3f}, {', '.join(alike)} (its own: {own_px})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tile", type=int, default=512, help="side of the square that is labelled, in pixels")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--steps", type=int, default=200, help="training steps; 0 compares speed alone")
    parser.add_argument("--size", type=int, nargs=2, default=(800, 1200), help="rows and columns of the town at 0.5 m")
    given = parser.parse_args()
    print(machine())
    compare_speed(given.tile, EngineChoice(given.engine, device=given.device), given.turns)
    if given.steps:
        with tempfile.TemporaryDirectory() as folder:
            compare_jumps(Path(folder), given.steps, tuple(given.size))


if __name__ == "__main__":
    main()
