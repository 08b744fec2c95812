"""Time of ``rasterize`` and ``evaluate`` beside those of another commit, and of GDAL's own gdal_rasterize.

Usage: python benchmarks/bench_vectors.py [--before FOLDER] [--turns 3] [--gdal-rasterize COMMAND]

FOLDER is a checkout of another commit (git worktree add FOLDER COMMIT). 153,304 turned houses are drawn on 8,192 x
8,192 pixels, and a map of as many pixels is scored. Every figure is of one command in a process of its own on two
cores, the median over turns; the commands take turns, and what they write and print must be the same. gdal_rasterize
makes tiles compressed with DEFLATE; what crispmap writes is a Cloud-Optimized GeoTIFF with overviews, as GDAL makes
one with gdal_translate, and was read back. Asked for: rasterize at most 1.5 times gdal_rasterize, evaluate at least
2 times as fast as before.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import statistics
import sys
from functools import partial
from pathlib import Path

from bench_streaming import make_maps
from processes import WORK, Run, measured, use_two_cores
from tables import print_table_head, print_table_row

HERE = Path(__file__).resolve().parent
SIDE_PX, PIXEL_M = 8192, 0.5
LEFT, TOP = 440_000, 5_420_000
HOUSES = 153_304


def make_houses(path: Path) -> None:
    """Write turned rectangles of 4 to 16 m all over the map, with tags as OpenStreetMap has them."""
    import geopandas as gpd
    import numpy as np
    import shapely

    rng, side_m = np.random.default_rng(0), SIDE_PX * PIXEL_M
    centre = rng.uniform(0, side_m, (HOUSES, 1, 2)) * [1, -1] + [LEFT, TOP]
    half, turn = rng.uniform(2, 8, (HOUSES, 1, 2)), rng.uniform(0, np.pi, HOUSES)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    turned = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], -1).reshape(-1, 2, 2)
    houses = shapely.polygons(np.einsum("nij,nkj->nki", turned, corners) + centre)
    tags = {"building": rng.choice(["yes", "house", "shed"], HOUSES), "name": ["x"] * HOUSES}
    gpd.GeoDataFrame(tags, geometry=houses, crs=32631).to_file(path, driver="GPKG")


def crispmap(tree: Path, words: list[str]) -> Run:
    """Run a command with the code of a checkout; SystemExit if it fails."""
    os.environ["PYTHONPATH"] = str(tree / "src")
    found = measured([sys.executable, "-m", "crispmap", *words])
    if found.failure:
        raise SystemExit(f"{tree}: crispmap {' '.join(words)}: {found.failure}")
    return found


def in_turns(
    trees: dict[str, Path], words: list[str], others: dict[str, list[str]], turns: int
) -> dict[str, list[Run]]:
    """Return the runs of a verb in every tree and of other commands, one after the other, after one to warm up."""
    ways = {name: partial(crispmap, tree, [word.format(name=name) for word in words]) for name, tree in trees.items()}
    ways |= {name: partial(measured, command) for name, command in others.items()}
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            run = way()
            if turn:
                runs[name].append(run)
    return runs


def show(what: str, runs: dict[str, list[Run]]) -> None:
    """Print the medians, and how many times the present takes of each."""
    for name, some in runs.items():
        cells = [statistics.median(getattr(one, of) for one in some) for of in ("seconds", "cpu_s", "peak_mib")]
        ratios = [
            statistics.median(getattr(a, of) / getattr(b, of) for a, b in zip(runs["now"], some, strict=True))
            for of in ("seconds", "cpu_s")
        ]
        print_table_row(
            what, name, *(f"{cell:.1f}" for cell in cells[:2]), f"{cells[2]:.0f}", *(f"{one:.2f}" for one in ratios)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--gdal-rasterize", default=shutil.which("gdal_rasterize"))
    parser.add_argument("--work", type=Path, default=WORK)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    use_two_cores()
    maps, houses = make_maps(options.work, SIDE_PX, dense=True), options.work / "houses.gpkg"
    if not houses.exists():
        make_houses(houses)
    trees = {"now": HERE.parent}
    if options.before:
        trees["before"] = options.before.resolve()
    print_table_head("command", "of", "seconds", "CPU s", "peak MiB", "now takes, seconds", "now takes, CPU")

    gdal_out, side_m = options.work / "gdal.tif", SIDE_PX * PIXEL_M
    plain = [str(options.gdal_rasterize), "-q", "-burn", "1", "-ot", "Byte", "-ts", *[str(SIDE_PX)] * 2]
    plain += ["-te", *map(str, (LEFT, TOP - side_m, LEFT + side_m, TOP)), "-co", "TILED=YES"]
    plain += ["-co", "COMPRESS=DEFLATE", str(houses), str(gdal_out)]
    cog = ["-of", "COG", "-co", "COMPRESS=DEFLATE", "-co", "OVERVIEW_RESAMPLING=MODE", str(gdal_out)]
    cog = ["gdal_translate", "-q", *cog, str(options.work / "gdal_cog.tif")]
    gdal = {
        "gdal_rasterize": shlex.join(plain),
        "and gdal_translate to a COG": f"{shlex.join(plain)} && {shlex.join(cog)}",
    }
    if not options.gdal_rasterize:
        gdal = {}
    words = [
        "rasterize",
        str(houses),
        "--like",
        maps["map"],
        "--out",
        str(options.work / "{name}.tif"),
        "--force",
        "--json",
    ]
    gdal_runs = {name: ["sh", "-c", f"rm -f {gdal_out}; {command}"] for name, command in gdal.items()}
    runs = in_turns(trees, words, gdal_runs, options.turns)
    drawn = {hashlib.sha256((options.work / f"{name}.tif").read_bytes()).hexdigest() for name in trees}
    require(len(drawn) == 1, "the commits draw other maps")
    if options.gdal_rasterize:
        require(same_houses(options.work / "now.tif", gdal_out), "GDAL draws other pixels")
    show("rasterize", runs)

    words = ["evaluate", maps["map"], "--reference", maps["reference"], "--json"]
    runs = in_turns(trees, words, {}, options.turns)
    require(len({json.dumps(some[0].facts, sort_keys=True) for some in runs.values()}) == 1, "the figures differ")
    show("evaluate", runs)


def same_houses(ours: Path, theirs: Path) -> bool:
    """Return whether all but a few pixels are the same: GDAL's command does not round corners to 1/1024 pixel."""
    import rasterio

    with rasterio.open(ours) as mine, rasterio.open(theirs) as other:
        return int((mine.read(1) != other.read(1)).sum()) < SIDE_PX


def require(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"bench_vectors: {what}")


if __name__ == "__main__":
    main()
