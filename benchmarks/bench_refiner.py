"""The folded refiner against the paper's form: training steps and inference, equal results checked first.

Usage: python benchmarks/bench_refiner.py [--device cpu] [--turns 15] [--classes 3] [--bands 4] [--batch 8]
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from crispmap.refiners.rnn.refiner import RecurrentRefiner
from side_by_side import in_turns, machine, ratio_of

PATCH_PX, TILE_PX = 64, 128


def training_step(form: Callable[[Tensor, Tensor], list[Tensor]], refiner: RecurrentRefiner, batch: Tensors) -> None:
    """Do one whole AdaGrad step, the paper's optimiser."""
    optimizer = torch.optim.Adagrad(refiner.parameters(), 0.01)
    scores, image, labels = batch
    loss = F.cross_entropy(form(scores, image)[-1], labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    optimizer.zero_grad()
    if labels.is_cuda:
        torch.cuda.synchronize()


Tensors = tuple[Tensor, Tensor, Tensor]


def random_batch(refiner: RecurrentRefiner, batch: int, side: int, device: str) -> Tensors:
    generator = torch.Generator().manual_seed(0)
    full = side + 2 * refiner.margin_px
    scores = torch.randn(batch, refiner.classes, full, full, generator=generator)
    image = torch.randn(batch, refiner.bands, full, full, generator=generator)
    labels = torch.randint(0, refiner.classes, (batch, side, side), generator=generator)
    return scores.to(device), image.to(device), labels.to(device)


def check_equal(refiner: RecurrentRefiner, batch: Tensors) -> None:
    """Stop unless both forms give the same scores and gradients."""
    scores, image, labels = batch
    found = []
    for form in (refiner.all_iterations, refiner.all_iterations_as_in_paper):
        result = form(scores, image)[-1]
        gradients = torch.autograd.grad(F.cross_entropy(result, labels), list(refiner.parameters()))
        found.append((result, *gradients))
    worst = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*found, strict=True))
    print(f"largest difference of scores and gradients, relative to the largest value: {worst:.1e}")
    if worst > 1e-3:
        raise SystemExit("the two forms differ; nothing was timed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--bands", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=8, help="patches a training step; the paper preset has 64")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    refiner = RecurrentRefiner(given.classes, given.bands).to(given.device)
    batch = random_batch(refiner, given.batch, PATCH_PX, given.device)
    print(f"{machine()}; {given.classes} classes, {given.bands} bands, 5 steps")
    check_equal(refiner, batch)
    forms = {"folded": refiner.all_iterations, "as in the paper": refiner.all_iterations_as_in_paper}

    steps = {name: partial(training_step, form, refiner, batch) for name, form in forms.items()}
    seconds = in_turns(steps, given.turns)
    for name, times in seconds.items():
        print(
            f"training, {given.batch} patches of {PATCH_PX} px, {name:16s} {1 / statistics.median(times):7.2f} steps/s"
        )
    print(f"training: folded is {ratio_of(seconds, 'as in the paper', 'folded'):.2f} times as fast")

    tile = random_batch(refiner, 1, TILE_PX, given.device)[:2]
    with torch.inference_mode():
        seconds = in_turns({name: partial(form, *tile) for name, form in forms.items()}, given.turns)
    for name, times in seconds.items():
        print(f"inference, tiles of {TILE_PX} px, {name:16s} {TILE_PX**2 / 1e6 / statistics.median(times):7.2f} Mpx/s")
    print(f"inference: folded is {ratio_of(seconds, 'as in the paper', 'folded'):.2f} times as fast")


if __name__ == "__main__":
    main()
