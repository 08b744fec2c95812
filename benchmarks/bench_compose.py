"""Composing a scene of bands on different grids beside GDAL doing the same: equality first, then time and memory.

Usage: python benchmarks/bench_compose.py [--widths 5000 20000] [--turns 3]

Four generated bands of 16 bits: two on the grid of the scene, one of pixels twice as large, one half a pixel off. GDAL
warps the last two onto the grid (bilinear), stacks all four as a virtual raster and copies that into a Cloud-Optimized
GeoTIFF with the same settings: what gdalwarp, gdalbuildvrt and gdal_translate do, through rasterio, in one process.
Every figure is of one process on two cores, in turns. Asked for: peak memory of at most 1 GiB and within 10 % between
5,000 and 20,000 pixels, and at least the rate of GDAL.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from processes import CRISPMAP, WORK, Run, facts_of, measured, use_two_cores
from tables import print_table_head, print_table_row

BANDS = ("red", "green", "nir", "swir2")
ALIKE = 1  # by how much values that are interpolated may differ: both round to whole numbers


def make_bands(folder: Path, width: int) -> None:
    """Write the bands, smooth ground with noise, unless they are there."""
    import numpy as np
    import rasterio
    from rasterio.windows import Window

    rng = np.random.default_rng(0)
    grids = {
        "red": (width, 10.0, 0.0),
        "green": (width, 10.0, 0.0),
        "nir": (width // 2, 20.0, 0.0),
        "swir2": (width, 10.0, 5.0),
    }
    for place, (name, (side, gsd, off)) in enumerate(grids.items()):
        path = folder / f"{name}-{width}.tif"
        if path.exists():
            continue
        with rasterio.open(
            path, "w", driver="GTiff", width=side, height=side, count=1, dtype="uint16", nodata=0, crs="EPSG:32631",
            transform=rasterio.Affine(gsd, 0, 440_000 - off, 0, -gsd, 5_420_000 + off), tiled=True, blockxsize=512,
            blockysize=512, compress="deflate", predictor=2,
        ) as file:  # fmt: skip
            for row in range(0, side, 512):
                height = min(512, side - row)
                rows, cols = np.mgrid[row : row + height, :side]
                ground = 8_000 + 2_000 * np.sin(rows / 97 + place) * np.cos(cols / 131) + rng.normal(0, 40, rows.shape)
                file.write(ground.astype(np.uint16), 1, window=Window(0, row, side, height))


def with_gdal(given: list[str], out: str) -> None:
    """Do with GDAL alone what compose does."""
    import rasterio
    import rasterio.shutil
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    from crispmap.raster.refs import SceneRef
    from crispmap.raster.stack import gdal_source

    paths = [one.partition("=")[2] for one in given]
    with rasterio.open(paths[0]) as first:
        place = {"crs": first.crs, "transform": first.transform, "width": first.width, "height": first.height}
    for number in (2, 3):
        warped = f"{out}.{number}.vrt"
        with rasterio.open(paths[number]) as source, WarpedVRT(source, resampling=Resampling.bilinear, **place) as view:
            rasterio.shutil.copy(view, warped, driver="VRT")
        paths[number] = warped
    options = {"COMPRESS": "DEFLATE", "PREDICTOR": "YES", "BLOCKSIZE": "256", "OVERVIEW_RESAMPLING": "AVERAGE"}
    with rasterio.Env(GDAL_CACHEMAX=128_000_000):
        rasterio.shutil.copy(
            gdal_source(SceneRef("scene", tuple(paths))), out, driver="COG", NUM_THREADS="ALL_CPUS", BIGTIFF="IF_SAFER",
            **options,
        )  # fmt: skip


def largest_difference(one: Path, other: Path) -> list[int]:
    """Return by how much two scenes differ at most, band by band, but for their border."""
    import numpy as np
    import rasterio
    from rasterio.windows import Window

    worst = [0] * len(BANDS)
    with rasterio.open(one) as mine, rasterio.open(other) as theirs:
        for row in range(2, mine.height - 2, 1024):
            window = Window(2, row, mine.width - 4, min(1024, mine.height - 2 - row))
            off = np.abs(mine.read(window=window).astype(int) - theirs.read(window=window))
            worst = [max(a, int(b)) for a, b in zip(worst, off.max(axis=(1, 2)), strict=True)]
    return worst


def in_own_process(task: str, *words: str) -> dict[str, Any]:
    """Do a task of this file in a process of its own, so that this one stays small; return what it found."""
    return facts_of(sys.executable, __file__, task, *words)


def compare(width: int, turns: int) -> list[str]:
    """Compose in turns; return a row of figures of both ways."""
    given = [f"{name}={WORK}/{name}-{width}.tif" for name in BANDS]
    mine, theirs = WORK / "composed.tif", WORK / "gdal.tif"
    in_own_process("make", str(width))
    like = given[0].partition("=")[2]
    ways = {
        "crispmap": [str(CRISPMAP), "compose", *given, "--like", like, "--out", str(mine), "--force"],
        "gdal": [sys.executable, __file__, "gdal", *given, str(theirs)],
    }
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for turn in range(turns):
        for name, command in ways.items():
            runs[name].append(measured(command))
            if runs[name][-1].failure:
                raise SystemExit(f"{name}: {runs[name][-1].failure}")
        if turn == 0:
            worst = in_own_process("differ", str(mine), str(theirs))["worst"]
            if worst != [0, 0, *[min(one, ALIKE) for one in worst[2:]]]:
                raise SystemExit(f"the scenes differ: {worst}")
    megapixels = width * width * len(BANDS) / 1e6
    ratio = statistics.median(b.seconds / a.seconds for a, b in zip(runs["crispmap"], runs["gdal"], strict=True))
    rates = [megapixels / statistics.median(one.seconds for one in found) for found in runs.values()]
    peaks = [max(one.peak_mib for one in found) for found in runs.values()]
    return [str(width), *(f"{one:.1f}" for one in rates), f"{ratio:.2f}", *(f"{one:.0f}" for one in peaks)]


def main() -> None:
    """Compare, or do one of the tasks of a process of its own."""
    task, words = (sys.argv[1:2] or [""])[0], sys.argv[2:]
    if task == "make":
        make_bands(WORK, int(words[0]))
        print(json.dumps({}))
    elif task == "gdal":
        with_gdal(words[:-1], words[-1])
    elif task == "differ":
        print(json.dumps({"worst": largest_difference(Path(words[0]), Path(words[1]))}))
    else:
        parser = argparse.ArgumentParser(description=__doc__)
        parser.add_argument("--widths", nargs="*", type=int, default=[5000, 20000])
        parser.add_argument("--turns", type=int, default=3)
        options = parser.parse_args()
        use_two_cores()
        WORK.mkdir(exist_ok=True)
        print_table_head("width", "crispmap Mpx/s", "GDAL Mpx/s", "times as fast", "crispmap MiB", "GDAL MiB")
        for width in options.widths:
            print_table_row(*compare(width, options.turns))


if __name__ == "__main__":
    main()
