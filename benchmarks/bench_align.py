"""How well ``crispmap align`` undoes shifts: known ones put into good labels, and those of real labels.

Usage: python benchmarks/bench_align.py DATA [--seeds 3]

DATA holds the folders kampala, zanzibar, banepa and nairobi. Objects whose centre lies on the scene are shifted
smoothly by 3 m (over 60 m) and each by itself by 1.5 m; one in ten is left out. Figures are of all that remain, moved
or not: how far they lie from where they were. Of Nairobi, whose labels are really off, the roofs of the western half
were drawn by hand; those that the labels lack altogether are not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from crispmap.labels.align.files import align_file
from crispmap.labels.noise import LabelNoise, simulate_noise
from tables import print_table_head, print_table_row

GROUNDS = {
    "kampala": ("A_z20_rgb.tif", "A_buildings.geojson"),
    "zanzibar": ("zanzibar_rgb.tif", "zanzibar_osm_buildings.geojson"),
    "banepa": ("banepa_rgb.tif", "banepa_osm_buildings.geojson"),
}
NOISE = LabelNoise(shift_m=3, smooth_m=60, jitter_m=1.5)
LACKED = 0.3  # a roof of which less is covered by any label is one that the labels lack


def on_the_scene(labels: Path, image: Path) -> gpd.GeoDataFrame:
    """Return the polygons whose centre lies on the scene, in metres of a zone."""
    found = gpd.read_file(labels)
    found = found[found.geom_type.isin(["Polygon", "MultiPolygon"])]
    with rasterio.open(image) as file:
        inside = found.to_crs(file.crs).centroid.within(shapely.box(*file.bounds))
    kept = found[inside].reset_index(drop=True)
    return kept.to_crs(kept.estimate_utm_crs())


def distances(one: gpd.GeoDataFrame, other: gpd.GeoDataFrame) -> NDArray[np.float64]:
    return np.asarray(one.to_crs(other.crs).centroid.distance(other.centroid))


def known_shifts(name: str, data: Path, folder: Path, seed: int) -> list[str]:
    """Return the cells of a row: what is left of known shifts."""
    image, labels = (data / name / one for one in GROUNDS[name])
    true = on_the_scene(labels, image)
    kept = true[np.random.default_rng(seed).random(len(true)) >= 0.1].reset_index(drop=True)
    wrong, out = simulate_noise(kept, NOISE, seed=seed), folder / "aligned.gpkg"
    wrong.to_crs(4326).to_file(folder / "wrong.gpkg")
    begun = time.perf_counter()
    align_file(folder / "wrong.gpkg", image, out, force=True)
    seconds = time.perf_counter() - begun
    right = gpd.read_file(out)
    before, left = distances(wrong, kept), distances(right, kept)
    sure = (right["align_reason"] == "aligned").to_numpy()
    return [
        str(len(kept)), f"{np.median(before):.2f}", f"{np.median(left):.2f}", f"{100 * (left < 1).mean():.0f} %",
        f"{100 * (left > before + 0.01).mean():.1f} %", f"{100 * sure.mean():.0f} %",
        f"{100 * (left[sure] < 1).mean():.0f} %", f"{seconds:.1f}",
    ]  # fmt: skip


def real_shifts(data: Path, folder: Path) -> tuple[float, float]:
    """Return the IoU of the labels of Nairobi with its roofs, as given and aligned."""
    image, labels, out = data / "nairobi_rgb.tif", data / "nairobi_osm_buildings.geojson", folder / "nairobi.gpkg"
    align_file(labels, image, out, force=True)
    with rasterio.open(image) as file:
        crs, transform, shape = file.crs, file.transform, file.shape
    given, aligned, roofs = (
        gpd.read_file(path).to_crs(crs) for path in (labels, out, data / "nairobi_precise_west.geojson")
    )

    def drawn(shapes: Any) -> NDArray[np.bool_]:
        if not len(shapes):
            return np.zeros(shape, bool)[:, : shape[1] // 2]
        mask: NDArray[np.bool_] = rasterize(list(shapes), shape, transform=transform).astype(bool)
        return mask[:, : shape[1] // 2]

    either = shapely.union_all([*given.geometry, *aligned.geometry])
    lacked = roofs.intersection(either).area < LACKED * roofs.area
    truth, counts = drawn(roofs.geometry), ~drawn(roofs.geometry[lacked])

    def iou(labels: gpd.GeoDataFrame) -> float:
        mask = drawn(labels.geometry)
        return float((mask & truth & counts).sum() / ((mask | truth) & counts).sum())

    return iou(given), iou(aligned)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    print_table_head(
        "ground", "seed", "objects", "off, m", "after, m", "within 1 m", "worse", "moved", "of those within 1 m", "s"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in GROUNDS:
            for seed in range(given.seeds):
                print_table_row(name, str(seed), *known_shifts(name, given.data, Path(folder), seed))
        before, after = real_shifts(given.data / "nairobi", Path(folder))
    print(f"\nnairobi, western half: IoU with the roofs {before:.3f} as given, {after:.3f} aligned")


if __name__ == "__main__":
    main()
