"""Areas by region beside exactextract and, where installed, rasterstats: equal figures first, then time and memory.

Usage: python benchmarks/bench_area.py [--size 30000] [--regions 5500] [--turns 3]

A generated map of six classes and regions like municipalities, which share wiggly borders and cover it. Each way runs
in a process of its own, in turns, reading the map from its file. In an equal-area CRS, so that the others' counts of
pixels are areas too. Asked for: below 1.5 GiB, faster than rasterstats, within 1.5 times exactextract alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from processes import WORK, facts_of, measured, use_two_cores
from tables import print_table_head, print_table_row

CLASSES, PIXEL_M, CELL_PX, PARTS = 6, 30.0, 8, 60
WAYS = ("crispmap", "exactextract", "rasterstats")


def make(folder: Path, size: int, regions: int) -> dict[str, str]:
    """Write the map and the regions; return their paths."""
    import geopandas as gpd
    import numpy as np
    import rasterio
    import shapely
    from rasterio.windows import Window

    from crispmap.classes import ClassDef, ClassSchema, class_colour
    from crispmap.raster.spec import CLASSES_TAG

    rng = np.random.default_rng(0)
    schema = ClassSchema(tuple(ClassDef(f"class {one}", class_colour(one)) for one in range(CLASSES)))
    paths = {"map": str(folder / f"area-{size}.tif"), "regions": str(folder / f"area-{size}-{regions}.gpkg")}
    profile = {
        "driver": "GTiff", "width": size, "height": size, "count": 1, "dtype": "uint8", "nodata": 255, "tiled": True,
        "crs": "EPSG:6933", "transform": rasterio.Affine(PIXEL_M, 0, -5_500_000, 0, -PIXEL_M, 0), "compress": "deflate",
        "blockxsize": 512, "blockysize": 512,
    }  # fmt: skip
    with rasterio.open(paths["map"], "w", **profile) as file:
        file.update_tags(**{CLASSES_TAG: schema.to_json()})
        for row in range(0, size, 512):
            height = min(512, size - row)
            cells = rng.integers(0, CLASSES, (-(-height // CELL_PX), -(-size // CELL_PX))).astype(np.uint8)
            rows = cells.repeat(CELL_PX, 0).repeat(CELL_PX, 1)[:height, :size]
            file.write(rows, 1, window=Window(0, row, size, height))
    side = round(regions**0.5)
    nodes = np.stack(np.meshgrid(np.linspace(0, 1, side + 1), np.linspace(0, 1, side + 1)), axis=-1)
    nodes[1:-1, 1:-1] += rng.uniform(-0.3, 0.3, nodes[1:-1, 1:-1].shape) / side

    def border(start: Any, end: Any) -> Any:
        """A line that wiggles, but for the ends and the sides of the map."""
        line = start + (end - start) * np.linspace(0, 1, PARTS + 1)[:, None]
        if (start != end).all():
            line[1:-1] += rng.normal(0, 0.001, (PARTS - 1, 2)) / side
        return line

    across = {(r, c): border(nodes[r, c], nodes[r, c + 1]) for r in range(side + 1) for c in range(side)}
    down = {(r, c): border(nodes[r, c], nodes[r + 1, c]) for r in range(side) for c in range(side + 1)}
    rings = [
        np.concatenate([across[r, c], down[r, c + 1][1:], across[r + 1, c][::-1][1:], down[r, c][::-1][1:]])
        for r in range(side) for c in range(side)
    ]  # fmt: skip
    outlines = [shapely.Polygon(ring * (size * PIXEL_M, -size * PIXEL_M) + (-5_500_000, 0)) for ring in rings]
    frame = gpd.GeoDataFrame({"name": [f"r{n}" for n in range(len(rings))]}, geometry=outlines, crs="EPSG:6933")
    frame.to_file(paths["regions"], engine="pyogrio")
    return paths


def run(way: str, paths: dict[str, str], out: Path) -> float:
    """Write square kilometres (region, class) by one way, and return its seconds without start and imports."""
    import geopandas as gpd
    import numpy as np

    if way == "crispmap":
        from crispmap.areas.run import AreaOptions, areas_of

        began = time.perf_counter()
        table = areas_of([paths["map"]], AreaOptions(regions=paths["regions"]))
        found = table.area_m2[0] / 1e6
    elif way == "exactextract":
        from exactextract import exact_extract

        began = time.perf_counter()
        frame = gpd.read_file(paths["regions"])
        rows = exact_extract(paths["map"], frame, ["unique", "frac", "count"], output="pandas")
        found = np.zeros((len(frame), CLASSES))
        for index, (classes, shares, count) in enumerate(zip(rows["unique"], rows["frac"], rows["count"], strict=True)):
            found[index, classes] = shares * count * PIXEL_M**2 / 1e6
    else:
        from rasterstats import zonal_stats

        began = time.perf_counter()
        found = np.zeros((len(gpd.read_file(paths["regions"])), CLASSES))
        for index, counts in enumerate(zonal_stats(paths["regions"], paths["map"], categorical=True)):
            for one, count in counts.items():
                found[index, int(one)] = count * PIXEL_M**2 / 1e6
    seconds = time.perf_counter() - began
    np.save(out, found)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=30_000)
    parser.add_argument("--regions", type=int, default=5_500)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--way", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.make:
        print(json.dumps(make(options.work, options.size, options.regions)))
        return
    if options.way:
        way, class_map, regions = options.way
        took = run(way, {"map": class_map, "regions": regions}, options.work / f"area-{way}.npy")
        print(json.dumps({"seconds": took}))
        return
    use_two_cores()
    here = [sys.executable, __file__, "--work", str(options.work)]
    paths = facts_of(*here, "--size", str(options.size), "--regions", str(options.regions), "--make")
    ways = [way for way in WAYS if importlib.util.find_spec(way) is not None]
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    peaks: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(options.turns):
        for way in ways:
            found = measured([*here, "--way", way, paths["map"], paths["regions"]])
            if found.failure:
                raise SystemExit(f"{way}: {found.failure}")
            seconds[way].append(found.facts["seconds"])
            peaks[way].append(found.peak_mib)
    check_equal(options.work, ways)
    print_table_head("way", "seconds", "ratio to exactextract", "peak MiB")
    for way in ways:
        ratio = statistics.median(a / b for a, b in zip(seconds[way], seconds["exactextract"], strict=True))
        print_table_row(way, f"{statistics.median(seconds[way]):.2f}", f"{ratio:.2f}", f"{max(peaks[way]):.0f}")


def check_equal(folder: Path, ways: list[str]) -> None:
    """Raise SystemExit unless areas agree: to 1e-6 of a region with exact shares, to 5 % with centres of pixels."""
    import numpy as np

    ours = np.load(folder / "area-crispmap.npy")
    for way in ways[1:]:
        rest = np.abs(np.load(folder / f"area-{way}.npy") - ours) / ours.sum(axis=1, keepdims=True)
        if rest.max() > (1e-6 if way == "exactextract" else 0.05):
            raise SystemExit(f"{way} differs by {rest.max():.2g} of a region")
        print(f"{way} differs by at most {rest.max():.1e} of a region")


if __name__ == "__main__":
    main()
