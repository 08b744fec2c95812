"""From prompt to file: one small scene mapped by a process of its own, cold, warm and without the cache.

Usage: python benchmarks/bench_startup.py [WORK] [--size 512] [--turns 3] [--before SRC]

``--before`` is the folder ``src`` of an older checkout, run in turns with this one. Equal maps are checked first. The
time of the processor is told too: another process on the same cores does not change it much.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from processes import WORK, Run, made_fixture, measured, use_two_cores
from tables import print_table_head, print_table_row

HERE = Path(__file__).resolve().parents[1] / "src"
VARIABLE, OFF = "CRISPMAP_CACHE", "off"
Command = tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description="From prompt to file, cold and warm.")
    parser.add_argument("work", nargs="?", type=Path, default=WORK)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--unet", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.unet:
        write_unet(given.work)
        return
    use_two_cores()
    files = made_fixture(given.work, given.size)
    if not (given.work / "unet.safetensors").exists():
        measured([sys.executable, __file__, str(given.work.absolute()), "--unet"])
    print_table_head("network", "start", "seconds, median (all)", "of the processor", "peak MiB")
    fine = ("--model", files["model"], "--refiner", files["refiner"])
    unet = ("--model", str(given.work.absolute() / "unet.safetensors"))
    for name, models in (("fcn-rnn with rnn", fine), ("unet-lite0", unet)):
        found: dict[str, list[Run]] = {}
        maps: set[bytes] = set()
        for _ in range(given.turns):
            for way, done in ways(
                given.work.absolute(),
                given.before,
                ("predict", files["scene"], *models, "--precision", "float32"),
                maps,
            ):
                found.setdefault(way, []).append(done)
        if len(maps) != 1:
            raise SystemExit(f"{name}: {len(maps)} different maps")
        for way, runs in found.items():
            show(name, way, runs)


def ways(work: Path, before: Path | None, command: Command, maps: set[bytes]) -> Iterator[tuple[str, Run]]:
    """Yield one run of each way to start."""
    kept = str(work / "kept")
    shutil.rmtree(kept, ignore_errors=True)
    if before is not None:
        yield "before", run(work, before, OFF, command, maps)
    for way, cache in (("cold", kept), ("warm", kept), ("cache off", OFF)):
        yield way, run(work, HERE, cache, command, maps)


def show(name: str, way: str, runs: list[Run]) -> None:
    seconds, cpu = ([getattr(one, what) for one in runs] for what in ("seconds", "cpu_s"))
    each = ", ".join(f"{one:.1f}" for one in seconds)
    peak = max(one.peak_mib for one in runs)
    middle = statistics.median(seconds), statistics.median(cpu)
    print_table_row(name, way, f"{middle[0]:.2f} ({each})", f"{middle[1]:.2f}", f"{peak:.0f}")


def run(work: Path, source: Path, cache: str, command: Command, maps: set[bytes]) -> Run:
    """Map the scene with the sources of one checkout, and add the bytes of its map."""
    out = work / "startup.tif"
    paths = os.pathsep.join([str(source), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = measured(
        [sys.executable, "-m", "crispmap", *command, "--out", str(out), "--force", "--device", "cpu"],
        {VARIABLE: cache, "PYTHONPATH": paths},
    )
    if done.failure:
        raise SystemExit(done.failure)
    maps.add(out.read_bytes())
    return done


def write_unet(work: Path) -> None:
    """Write an untrained U-Net for the scene of the fixture."""
    import torch

    from crispmap.models.card import read_card
    from crispmap.models.file import save_model
    from crispmap.models.smp.network import unet_lite0

    card = read_card(work / "coarse.safetensors")
    torch.manual_seed(0)
    network = unet_lite0(len(card.band_names), len(card.schema)).eval()
    card = dataclasses.replace(
        card, architecture="unet-lite0", arguments=network.arguments, radius_px=network.radius_px,
        stride_px=network.stride_px,
    )  # fmt: skip
    save_model(work / "unet.safetensors", network, card)


if __name__ == "__main__":
    main()
