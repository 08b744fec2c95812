"""Memory and time of the verbs that read and write class maps, by the width of the map.

Usage: python benchmarks/bench_streaming.py [--widths 2048 4096 8192 32768] [--only vectorize evaluate rasterize]

Every figure is of one command in a process of its own on two cores. Towns of 1,024 pixels lie all over the smaller maps
and along the diagonal of those wider than DENSE_PX, whose other tiles are nodata. Asked for: peak memory within 10 %
from 4,096 to 32,768 pixels, where what a verb must hold (the features of a reference, a region that crosses the seam)
stays the same: compare maps of as many towns.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from processes import CRISPMAP, WORK, Run, facts_of, measured, use_two_cores
from tables import print_table_head, print_table_row

TOWN_PX = 1024
DENSE_PX = 8192
SPARSE_TOWNS = 4


def make_maps(folder: Path, width: int, dense: bool) -> dict[str, str]:
    """Write a class map and a reference two pixels beside it; return their paths."""
    import numpy as np
    import rasterio
    from rasterio.windows import Window

    from crispmap.labels.osm import preset_schema
    from crispmap.raster.spec import CLASSES_TAG

    rng = np.random.default_rng(0)
    town = np.zeros((TOWN_PX, TOWN_PX), np.uint8)
    for row, col, height, width_px in zip(
        *rng.integers(8, TOWN_PX - 40, (2, 900)), *rng.integers(8, 32, (2, 900)), strict=True
    ):
        town[row : row + height, col : col + width_px] = 1
    town[::128], town[:, ::128] = 2, 2
    town[500:514], town[:, 500:514] = 2, 2
    towns = width // TOWN_PX
    places = [(row, col) for row in range(towns) for col in range(towns)]
    if not dense:
        places = [(place, place) for place in np.linspace(0, towns - 1, SPARSE_TOWNS).round().astype(int).tolist()]
    profile = {
        "driver": "GTiff", "width": width, "height": width, "count": 1, "dtype": "uint8", "nodata": 255,
        "crs": "EPSG:32631", "transform": rasterio.Affine(0.5, 0, 440_000, 0, -0.5, 5_420_000), "tiled": True,
        "blockxsize": 256, "blockysize": 256, "compress": "deflate", "sparse_ok": True,
    }  # fmt: skip
    paths = {}
    for name, shift in (("map", 0), ("reference", 2)):
        path = folder / f"{name}-{width}-{'dense' if dense else 'sparse'}.tif"
        with rasterio.open(path, "w", **profile) as file:
            file.update_tags(**{CLASSES_TAG: preset_schema(["building", "road"]).to_json()})
            for row, col in places:
                file.write(
                    np.roll(town, shift, (0, 1)), 1, window=Window(col * TOWN_PX, row * TOWN_PX, TOWN_PX, TOWN_PX)
                )
        paths[name] = str(path)
    return paths


def commands(paths: dict[str, str], folder: Path) -> dict[str, list[str]]:
    """Return the command lines by name; rasterize and the reference of vectors need what vectorize has written."""
    polygons = paths["map"].replace(".tif", ".gpkg")
    return {
        "vectorize": ["vectorize", paths["map"], "--out", polygons, "--force"],
        "vectorize simplified": [
            "vectorize", paths["map"], "--out", str(folder / "simple.gpkg"), "--simplify-m", "0.7", "--force"
        ],
        "vectorize all": ["vectorize", paths["map"], "--out", str(folder / "a.fgb"), "--classes", "all", "--force"],
        "evaluate raster": ["evaluate", paths["map"], "--reference", paths["reference"], "--json"],
        "evaluate vectors": ["evaluate", paths["map"], "--reference", polygons, "--json"],
        "rasterize": ["rasterize", polygons, "--like", paths["map"], "--out", str(folder / "drawn.tif"), "--force"],
    }  # fmt: skip


def run(words: list[str]) -> Run:
    """Run one command.

    Raises:
        SystemExit: If it fails.
    """
    found = measured([str(CRISPMAP), *words])
    if found.failure:
        raise SystemExit(f"crispmap {' '.join(words)}: {found.failure}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="+", default=[2048, 4096, 8192, 32768])
    parser.add_argument("--only", nargs="+", default=["vectorize", "evaluate", "rasterize"])
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--make", nargs=2, metavar=("WIDTH", "KIND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.make:
        print(json.dumps(make_maps(options.work, int(options.make[0]), options.make[1] == "dense")))
        return
    use_two_cores()
    print_table_head("command", "map", "seconds", "peak MiB")
    for width in options.widths:
        for kind in ("sparse", "dense"):
            if (kind == "dense") > (width <= DENSE_PX):
                continue
            paths = facts_of(sys.executable, __file__, "--work", str(options.work), "--make", str(width), kind)
            for name, words in commands(paths, options.work).items():
                if words[0] in options.only:
                    found = run(words)
                    print_table_row(name, f"{width} {kind}", f"{found.seconds:.1f}", f"{found.peak_mib:.0f}")


if __name__ == "__main__":
    main()
