"""What the training loop costs beside a bare torch loop over the same batches; equal weights are checked first.

Usage: python benchmarks/bench_training_overhead.py [--steps 60] [--repeats 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from crispmap.classes import ClassDef, ClassSchema
from crispmap.data.batches import PatchBatches
from crispmap.data.patches import ArrayPatches
from crispmap.data.sampling import PatchPlan, PatchSampler, class_weights
from crispmap.models.base import CoarseNetwork
from crispmap.models.fcn.network import fcn_rnn
from crispmap.models.presets import fast_preset
from crispmap.models.settings import TrainingSettings
from crispmap.training.checkpoint import load_tree
from crispmap.training.options import TrainingRun
from crispmap.training.run import train
from crispmap.training.task import CoarseTask
from crispmap.types import IGNORE

SCHEMA = ClassSchema((ClassDef("a", "#000000"), ClassDef("b", "#ff0000"), ClassDef("c", "#00ff00")))


class OneLayer(CoarseNetwork):
    """Next to no work, so that what remains is the loop's own cost."""

    def __init__(self) -> None:
        super().__init__()
        self.bands, self.classes, self.stride_px = 3, 3, 1
        self.train_margin_px = self.halo_px = self.radius_px = 1
        self.convolution = nn.Conv2d(3, 3, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:  # noqa: D102 - as the base class
        scores: torch.Tensor = self.convolution(image)
        return scores


def settings_of_fast() -> TrainingSettings:
    settings = fast_preset().settings
    if settings is None:
        raise RuntimeError("the preset has no settings")
    return settings


def bare(network: CoarseNetwork, piece: ArrayPatches, settings: TrainingSettings) -> tuple[float, float]:
    """Train in a plain loop; return its seconds and those of them spent on cutting patches."""
    plan = PatchPlan.of(settings, network.train_margin_px, network.stride_px)
    sampler = PatchSampler([piece], SCHEMA.names, plan)
    batches = PatchBatches(sampler, settings.batch, range(settings.max_steps))
    found = class_weights(sampler.class_counts, settings.class_weights)
    weights = None if found is None else torch.from_numpy(found)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.max_steps, cycle_momentum=False
    )
    began, cutting = time.perf_counter(), 0.0
    for step in range(settings.max_steps):
        before = time.perf_counter()
        batch = batches[step]
        cutting += time.perf_counter() - before
        scores = network(batch["image"].contiguous(memory_format=torch.channels_last))
        loss = nn.functional.cross_entropy(scores, batch["labels"], weights, ignore_index=IGNORE)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        schedule.step()
    return time.perf_counter() - began, cutting


def through_loop(network: CoarseNetwork, piece: ArrayPatches, settings: TrainingSettings) -> float:
    """Train as users do, without validation data; return the seconds between first and last step."""
    with tempfile.TemporaryDirectory() as folder:
        result = train(CoarseTask(network, settings, SCHEMA), [piece], [], TrainingRun(Path(folder)))
        network.load_state_dict(load_tree(Path(folder) / "last.safetensors")["network"])
    return result.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (600, 600)).astype(np.uint8)
    piece = ArrayPatches(rng.normal(size=(3, 600, 600)).astype(np.float32), labels)
    print("network    patches   bare ms   loop ms   overhead ms   overhead   cutting share of bare")
    for name, build, batch in (("one layer", OneLayer, 2), ("fcn-rnn", lambda: fcn_rnn(3, 3), 4)):
        settings = settings_of_fast().but(
            max_steps=arguments.steps, batch=batch, validate_every=arguments.steps, log_every=20
        )
        timings = []
        for _ in range(arguments.repeats):
            torch.manual_seed(0)
            plain = build()
            seconds, cutting = bare(plain, piece, settings)
            torch.manual_seed(0)
            looped = build()
            timings.append((seconds, cutting, through_loop(looped, piece, settings)))
            for key, value in plain.state_dict().items():
                torch.testing.assert_close(looped.state_dict()[key], value, rtol=1e-5, atol=1e-6)
        seconds, cutting, whole = np.min(np.array(timings) * 1000 / arguments.steps, axis=0)
        print(
            f"{name:10s} {batch:7d} {seconds:9.2f} {whole:9.2f} {whole - seconds:13.2f} "
            f"{(whole - seconds) / seconds:10.1%} {cutting / seconds:15.1%}"
        )


if __name__ == "__main__":
    main()
