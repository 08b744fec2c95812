"""Pretrained networks, fine-tuned and refined, beside the papers' chain, and what each choice brings, on real grounds.

Each figure is the mean IoU on the test ground of an example, of several seeds; figures of one seed are anecdotes on
grounds of hectares. Every run is kept in ``benchmarks/.work/networks`` and not made again.

Usage: python benchmarks/networks_on_grounds.py {methods,choices} [--grounds banepa,kampala] [--seeds 3]
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path

from crispmap.project.compare.comparison import Seeds, compare_methods
from crispmap.project.compare.methods import Method
from tables import print_table_head, print_table_row

HERE = Path(__file__).resolve().parent
WORK = HERE / ".work" / "networks"
PAPERS = {"banepa": 1.0, "kampala": 0.6, "zanzibar": 0.6, "nairobi": 0.6}  # pixel size of the papers' network
METHODS = ("unet-lite0", "finetune", "rnn", "finetune+rnn")
AS_IT_IS = "kind: unet-lite0"
# What each choice brings, one at a time: the sections of the project file.
CHOICES = {
    "as it is": (AS_IT_IS, ""),
    "random start": ("kind: unet-lite0, weights: random", ""),
    "cross-entropy alone": ("kind: unet-lite0, loss: cross-entropy", "loss: cross-entropy"),
    "no augmentation": ("kind: unet-lite0, augmentation: none", "augmentation: none"),
    "with brightness": ("kind: unet-lite0, augmentation: [flips-and-rotations, brightness]",
                        "augmentation: [flips-and-rotations, brightness]"),
    "with scale and brightness": ("kind: unet-lite0, augmentation: [flips-and-rotations, scale, brightness]",
                                  "augmentation: [flips-and-rotations, scale, brightness]"),
    "fine-tuned at 0.0002": (AS_IT_IS, "learning_rate: 0.0002"),
    "fine-tuned at 0.001": (AS_IT_IS, "learning_rate: 0.001"),
    "fine-tuned for 40 steps": (AS_IT_IS, "max_steps: 40"),
    "fine-tuned for 160 steps": (AS_IT_IS, "max_steps: 160"),
    "encoder frozen at first": ("kind: unet-lite0, frozen_steps: 50", "frozen_steps: 30"),
    "encoder frozen at first, imprecise labels alone": ("kind: unet-lite0, frozen_steps: 50", ""),
    "encoder frozen throughout, imprecise labels alone": ("kind: unet-lite0, frozen_steps: 150", ""),
    "encoder at a tenth of the rate": ("kind: unet-lite0, encoder_rate: 0.1", "encoder_rate: 0.1"),
    "encoder of 4 levels": ("kind: unet-lite0, depth: 4", ""),
    "ResNet34, random": ("kind: smp, encoder: resnet34", ""),
}  # fmt: skip


def project_of(ground: str, name: str, sections: str) -> Path:
    """Write the example's project with other networks, and return its file."""
    text = (HERE.parent / "examples" / f"{ground}.yaml").read_text()
    text = text.replace("../../shared", str((HERE.parent.parent / "shared").resolve()))
    text = re.sub(r"(?m)^(# )?(coarse: \{kind|refiner: \{kind|output:).*\n", "", text)
    path = WORK / f"{ground}-{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}{sections}output: {{folder: {WORK / f'{ground}-{name}'}}}\n")
    return path


def mean_iou(path: Path, methods: Sequence[str], seed: int) -> dict[Method, float]:
    """Return the mean IoU of each method in percent."""
    outcome = compare_methods(path, methods=methods, seeds=Seeds(seed))
    for method, failure in outcome.failures.items():
        print(f"{method.name}: {failure.reason}", flush=True)
    return {method: 100 * record.scores.evaluation.mean_iou for method, record in outcome.finished.items()}


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation of some seeds."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {deviation:.1f}"


def methods_table(grounds: Sequence[str], seeds: int) -> None:
    """Print the mean IoU of the methods on every ground."""
    print_table_head("ground", "method", "mean IoU")
    for ground in grounds:
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            papers = f"coarse: {{kind: fcn-rnn, gsd_m: {PAPERS[ground]}}}\nrefiner: {{kind: rnn}}\n"
            for name, sections, methods in (
                ("lite0", "coarse: {kind: unet-lite0}\n", METHODS), ("papers", papers, ("fcn-rnn", "rnn"))
            ):  # fmt: skip
                path = project_of(ground, f"{name}-{seed}", sections)
                for method, value in mean_iou(path, methods, seed).items():
                    found.setdefault(method.name, []).append(value)
        for name, values in found.items():
            print_table_row(ground, name, spread(values))


def reuse_coarse(made: Path, folder: Path) -> None:
    """Put a finished coarse network into the folder of another comparison, which then goes on from it."""
    kept = folder / "compare" / "unet-lite0"
    if not kept.exists():
        shutil.copytree(made / "compare" / "unet-lite0", kept)


def choices_table(grounds: Sequence[str], seeds: int, names: Sequence[str]) -> None:
    """Print what each choice of some names brings: the mean IoU before and after fine-tuning."""
    print_table_head("choice", *(f"{ground}, {what}" for ground in grounds for what in ("imprecise", "fine-tuned")))
    for choice in names:
        (coarse, finetune), cells = CHOICES[choice], []
        for ground in grounds:
            found: list[list[float]] = []
            for seed in range(seeds):
                name = f"{re.sub(r'[^a-z0-9]+', '-', choice.lower())}-{seed}"
                sections = f"coarse: {{{coarse}}}\nfinetune: {{{finetune}}}\n"
                path = project_of(ground, name, sections)
                network = coarse.split(",")[0].removeprefix("kind: ")
                if coarse == AS_IT_IS and choice != "as it is":  # only the fine-tuning differs
                    reuse_coarse(WORK / f"{ground}-as-it-is-{seed}", WORK / f"{ground}-{name}")
                found.append(list(mean_iou(path, (network, "finetune"), seed).values()))
            cells += [spread(values) for values in zip(*found, strict=True)]
        print_table_row(choice, *cells)


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("methods", "choices"))
    parser.add_argument("--grounds", default=",".join(PAPERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--choices", default="", help="only those whose names contain this text")
    chosen = parser.parse_args()
    grounds = chosen.grounds.split(",")
    if chosen.what == "methods":
        methods_table(grounds, chosen.seeds)
    else:
        wanted = [name for name in CHOICES if name == "as it is" or chosen.choices in name]
        choices_table(grounds, chosen.seeds, wanted)


if __name__ == "__main__":
    main()
