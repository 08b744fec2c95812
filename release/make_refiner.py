"""Make the refiner that is shipped with the package: train it on generated towns, and write its model file.

The same seed gives the same weights on one kind of machine. It takes about an hour and a half on two cores.

Usage: python release/make_refiner.py [--seed 0] [--out src/crispmap/refiners/general/general.safetensors]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from coarse_like import add_scores
from crispmap.classes import ClassDef, ClassSchema
from crispmap.models.card import ModelCard
from crispmap.models.file import save_model
from crispmap.models.scaling import Scaling
from crispmap.refiners.general.network import GeneralRefiner
from crispmap.refiners.general.planes import BRIGHTEST
from crispmap.synth.chance import Dice
from town_ground import Ground, grounds

OUT = Path(__file__).parents[1] / "src/crispmap/refiners/general/general.safetensors"
TOWNS, SPOILT, BATCH, PATCH_PX, BORDER_PX = 28, 5, 8, 128, 16
STEPS, RATES = (1_500, 7_000), (4e-3, 2e-3)  # of the two phases
_MERGED = ((1,), (1,), (1,), (1,), (2,), None, None)
"""Which classes are told from the rest: buildings, roads; None: all three are told apart."""


def train(pieces: Sequence[Ground], seed: int) -> GeneralRefiner:
    """Return a refiner trained on towns with scores, with averaged weights: at first in larger steps, then finer."""
    torch.manual_seed(seed)
    begun = GeneralRefiner(classes=2, bands=1)
    first = _trained(begun, pieces, Dice.of(seed, 17), Phase(STEPS[0], RATES[0], 0.1, 0.995))
    return _trained(first, pieces, Dice.of(seed, 17), Phase(STEPS[1], RATES[1], 0.02, 0.998))


@dataclass(frozen=True)
class Phase:
    """A run of steps: their number and peak rate, the share of them until the peak, and how slowly weights average."""

    steps: int
    rate: float
    rising: float
    averaging: float


def _trained(given: GeneralRefiner, pieces: Sequence[Ground], dice: Dice, phase: Phase) -> GeneralRefiner:
    """Return a refiner that went on from the given one, its weights averaged over the last steps."""
    refiner = _copy(given, given.state_dict()).train()
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(phase.averaging)  # type: ignore[no-untyped-call]
    averaged = torch.optim.swa_utils.AveragedModel(refiner, multi_avg_fn=average)
    optimizer = torch.optim.AdamW(refiner.parameters(), phase.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, phase.rate, total_steps=phase.steps, pct_start=phase.rising
    )
    refiner.to(memory_format=torch.channels_last)
    begun, lately = time.perf_counter(), 0.0
    for step in range(1, phase.steps + 1):
        scores, planes, alike, truth = batch_of(pieces, dice)
        with torch.autocast("cpu", torch.bfloat16):
            refined = refiner.refined(scores, planes, alike).float()
        loss = loss_of(refined, truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(refiner.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        averaged.update_parameters(refiner)
        lately += (loss.item() - lately) / min(step, 200)
        if step % 200 == 0:
            print(f"step {step} of {phase.steps}: loss {lately:.4f}, {time.perf_counter() - begun:.0f} s", flush=True)
    return _copy(refiner, averaged.module.state_dict()).eval()


def _copy(refiner: GeneralRefiner, weights: dict[str, Tensor]) -> GeneralRefiner:
    copied = GeneralRefiner(**refiner.arguments)
    copied.load_state_dict({name: one.contiguous() for name, one in weights.items()})
    return copied


def loss_of(refined: Tensor, truth: Tensor) -> Tensor:
    """Return cross-entropy plus what the classes' overlap lacks, without the border of the patches."""
    inner = slice(BORDER_PX, -BORDER_PX)
    refined, truth = refined[..., inner, inner], truth[..., inner, inner]
    shares = refined.softmax(1)
    wanted = F.one_hot(truth, refined.shape[1]).movedim(-1, 1).float()
    hits = (shares * wanted).sum((0, 2, 3))
    union = (shares + wanted).sum((0, 2, 3)) - hits
    overlap = 1 - ((hits + 1) / (union + 1)).mean()
    return F.cross_entropy(refined, truth) + overlap


def batch_of(pieces: Sequence[Ground], dice: Dice) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return scores (batch, class, row, col), planes, likeness and truth of random patches of one number of classes."""
    merged = dice.pick(_MERGED)
    found = [_patch(pieces[int(dice.integers(len(pieces)))], merged, dice) for _ in range(BATCH)]
    scores, planes, alike, truth = (torch.from_numpy(np.stack(one)) for one in zip(*found, strict=True))
    return scores, planes, alike, truth


def _patch(piece: Ground, merged: tuple[int, ...] | None, dice: Dice) -> list[Any]:
    """Return scores, planes, likeness and truth of a random patch, varied, flipped and turned."""
    height, width = piece.truth.shape
    row, col = int(dice.integers(0, height - PATCH_PX + 1)), int(dice.integers(0, width - PATCH_PX + 1))
    here = np.s_[row : row + PATCH_PX, col : col + PATCH_PX]
    which = int(dice.integers(len(piece.scores)))
    scores, alike = piece.scores[which][:, *here].astype(np.float32), piece.alike[which][:, *here]
    planes, truth = piece.planes[:, *here], piece.truth[here].astype(np.int64)
    if merged is not None:
        scores, truth = _told_apart(scores, truth, merged[0])
        alike = alike[merged[0]] * np.array([[[-1.0]], [[1.0]]], np.float32)
    scores = scores * np.float32(np.exp(dice.normal(0, 0.25)))
    scores = scores + dice.normal(0, 0.35, (len(scores), 1, 1)).astype(np.float32)
    alike = (alike * dice.between(0.7, 1.2)).astype(np.float32)
    turn, flip = int(dice.integers(4)), dice.chance(0.5)
    turned = [np.rot90(one, turn, (-2, -1)) for one in (scores, _varied(planes, dice), alike, truth)]
    return [np.ascontiguousarray(one[..., ::-1] if flip else one) for one in turned]


def _told_apart(scores: Any, truth: Any, k: int) -> tuple[Any, Any]:
    """Return scores and truth of one class against the rest."""
    known = scores - scores.max(axis=0)
    rest = np.log(np.exp(np.delete(known, k, axis=0)).sum(axis=0))
    return np.stack([rest, known[k]]), (truth == k).astype(np.int64)


def _varied(planes: Any, dice: Dice) -> Any:
    """Return planes as another scene may have them: colours turned, brighter, flatter, noisier, or none."""
    varied = planes * np.exp(dice.normal(0, 0.2, (3, 1, 1))) + dice.normal(0, 0.2, (3, 1, 1))
    angle = dice.between(-0.7, 0.7)
    first, second = varied[1].copy(), varied[2].copy()
    varied[1] = dice.pick((-1, 1)) * (np.cos(angle) * first + np.sin(angle) * second)
    varied[2] = dice.pick((-1, 1)) * (np.cos(angle) * second - np.sin(angle) * first)
    if dice.chance(0.08):
        varied[1:] = 0
    varied = varied + dice.normal(0, dice.between(0.0, 0.12), varied.shape)
    return varied.clip(-BRIGHTEST, BRIGHTEST).astype(np.float32)


def save(refiner: GeneralRefiner, path: Path, seed: int, seconds: float) -> None:
    """Write the model file, with a card of two classes and one band: both are put in the place of a scene's own."""
    schema = ClassSchema((ClassDef("other", "#f2efe9"), ClassDef("class", "#d7191c")))
    facts = {
        "seed": seed, "towns": TOWNS, "steps": sum(STEPS), "seconds": round(seconds),
        "trained_on": "generated towns of random styles, sensors and pixel sizes; no real image",
        "crispmap": importlib.metadata.version("crispmap"), "torch": torch.__version__,
    }  # fmt: skip
    card = ModelCard(
        kind="refiner", architecture=refiner.architecture, arguments=refiner.arguments, schema=schema,
        band_names=("grey",), scaling=Scaling((0.0,), (1.0,)), gsd_m=0.5, radius_px=refiner.radius_px,
        stride_px=refiner.stride_px, provenance=facts,
    )  # fmt: skip
    save_model(path, refiner, card, force=True)


def main() -> None:
    """Make the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    begun, pieces = time.perf_counter(), []
    for number, ground in enumerate(grounds(5 + chosen.seed, TOWNS), 1):
        add_scores(ground, spoilt=SPOILT, networks=number % 2 == 1)
        pieces.append(ground)
        print(f"town {number} of {TOWNS}, {time.perf_counter() - begun:.0f} s", flush=True)
    refiner = train(pieces, chosen.seed)
    save(refiner, chosen.out, chosen.seed, time.perf_counter() - begun)
    print(f"Wrote {chosen.out}, {chosen.out.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
