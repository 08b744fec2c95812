"""Many small scenes in one command: scenes a second and memory by their number, beside the bare engine's rate.

Usage: python benchmarks/bench_many_scenes.py [--counts 64 256] [--side 512] [--before FOLDER]

Every figure is of one ``crispmap predict`` with a coarse network and a refiner in a process of its own on two cores,
start-up and all. The bare engine computes tiles cut beforehand, and reads and writes nothing. FOLDER is a checkout of
another commit. The scenes are the same, and so must be their maps. Asked for: at least 80 % of the bare rate, and
memory that does not grow.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from bench_scene import __file__ as scene_script
from processes import HERE, WORK, Run, facts_of, made_fixture, measured, use_two_cores
from tables import print_table_head, print_table_row

PRECISIONS = ("float32", "bfloat16")


def scenes_of(folder: Path, scene: str, count: int) -> Path:
    """Return a folder with one scene under some names."""
    many = folder / f"many-{count}"
    shutil.rmtree(many, ignore_errors=True)
    many.mkdir()
    for number in range(count):
        (many / f"{number:05}.tif").hardlink_to(scene)  # links by name would be one scene
    return many


def mapped(tree: Path, scenes: Path, files: dict[str, str], precision: str) -> Run:
    """Map all scenes with the code of a checkout; SystemExit if it fails."""
    out = scenes.with_name("many-maps")
    shutil.rmtree(out, ignore_errors=True)
    os.environ["PYTHONPATH"] = str(tree / "src")
    models = ["--model", files["model"], "--refiner", files["refiner"]]
    run = measured(
        [sys.executable, "-m", "crispmap", "predict", str(scenes / "*.tif"), *models, "--out", str(out),
         "--precision", precision]
    )  # fmt: skip
    if run.failure:
        raise SystemExit(f"{tree}: {run.failure}")
    check_maps(out, len(list(scenes.iterdir())))
    return run


def check_maps(folder: Path, count: int) -> None:
    """Stop unless there are so many maps, of the same labels as the scenes are the same."""
    import rasterio

    maps = sorted(folder.glob("*.tif"))
    labels = set()
    for path in maps:
        with rasterio.open(path) as file:
            labels.add(file.read().tobytes())
    if len(maps) != count or len(labels) != 1:
        raise SystemExit(f"{count} scenes give {len(maps)} maps with {len(labels)} different contents")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--work", type=Path, default=WORK)
    given = parser.parse_args()
    use_two_cores()
    work = given.work.resolve()
    files = made_fixture(work, given.side)
    trees = {"now": HERE.parent} | ({"before": given.before.resolve()} if given.before else {})
    print_table_head("precision", "of", "scenes", "seconds", "scenes a second", "share of the bare engine", "peak MiB")
    for precision in PRECISIONS:
        os.environ["PYTHONPATH"] = str(HERE.parent / "src")
        bare = facts_of(sys.executable, scene_script, "--bare", files["model"], files["refiner"], precision)
        if "refused" in bare:
            print_table_row(precision, bare["refused"], *[""] * 5)
            continue
        for count in given.counts:
            scenes = scenes_of(work, files["scene"], count)
            for name, tree in trees.items():
                run = mapped(tree, scenes, files, precision)
                rate = count / run.seconds
                share = rate * given.side**2 / 1e6 / bare["rate"]
                print_table_row(
                    precision, name, count, f"{run.seconds:.1f}", f"{rate:.1f}", f"{share:.0%}", f"{run.peak_mib:.0f}"
                )


if __name__ == "__main__":
    main()
