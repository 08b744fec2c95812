"""What ``crispmap align --scores --revise`` adds to labels and leaves out, and whether it is right.

Usage: python benchmarks/bench_review.py DATA GROUND SCORES [--seed 0]

GROUND is kampala, zanzibar, banepa or nairobi; SCORES are those of any map of its scene. Of the first three, whose
labels are good, one object in ten is left out, and as many are put where there is none; both are moved as in
``bench_align.py``. Counted are the objects left out that come back, footprints added that are no object of the labels,
invented objects found gone, and true ones wrongly taken to be. Of Nairobi, whose labels are really off, the IoU with
the roofs of the western half, all counted: of the labels as given, aligned, and revised.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.features import rasterize

from bench_align import GROUNDS, NOISE, on_the_scene
from crispmap.inference.job import GivenScores
from crispmap.labels.noise import simulate_noise
from crispmap.labels.reader import LabelOptions
from crispmap.review.files import ReviewOutputs, review_file
from tables import print_table_head, print_table_row

FOUND = 0.3  # IoU from which on a footprint is that of an object
AWAY_M = 80.0  # how far from where it is an object is invented, at most
ALL = LabelOptions(all_as="building")


def invented(true: gpd.GeoDataFrame, image: Path, count: int, rng: np.random.Generator) -> list[shapely.Geometry]:
    """Return copies of objects on ground where the labels have none."""
    with rasterio.open(image) as file:
        frame = gpd.GeoSeries([shapely.box(*file.bounds)], crs=file.crs).to_crs(true.crs).iloc[0]
    taken = shapely.union_all(shapely.make_valid(true.geometry.to_numpy())).buffer(3)
    found: list[shapely.Geometry] = []
    for _ in range(100 * count):
        shape = shapely.affinity.translate(
            true.geometry.iloc[int(rng.integers(len(true)))], *rng.uniform(-AWAY_M, AWAY_M, 2)
        )
        if len(found) < count and frame.contains(shape) and not shape.intersects(taken):
            found.append(shape)
            taken = taken.union(shape.buffer(3))
    return found


def simulated(name: str, data: Path, scores: Path, folder: Path, seed: int) -> list[str]:
    """Return the cells of a row: objects that came back and went, and those that should not have."""
    image, labels = (data / name / one for one in GROUNDS[name])
    true, rng = on_the_scene(labels, image), np.random.default_rng(seed)
    lacked = rng.random(len(true)) < 0.1
    fakes = invented(true, image, int(lacked.sum()), rng)
    given = gpd.GeoDataFrame(
        {"fake": [False] * int((~lacked).sum()) + [True] * len(fakes)},
        geometry=[*true.geometry[~lacked], *fakes], crs=true.crs,
    )  # fmt: skip
    simulate_noise(given, NOISE, seed=seed).to_crs(4326).to_file(folder / "wrong.gpkg")
    outputs = ReviewOutputs(folder / "revised.gpkg", folder / "review.gpkg", revise=True)
    review_file(folder / "wrong.gpkg", image, GivenScores(scores), outputs, options=ALL, force=True)
    revised = gpd.read_file(folder / "revised.gpkg").to_crs(true.crs)
    added = shapely.make_valid(revised.geometry[revised["align_reason"] == "added"].to_numpy())
    shapes = shapely.make_valid(true.geometry.to_numpy())
    ious = np.array(
        [shapely.area(shapely.intersection(one, shapes)) / shapely.area(shapely.union(one, shapes)) for one in added]
    )
    ious = ious.reshape(len(added), len(shapes))
    kept = revised["fake"].fillna(0).astype(bool).sum()
    true_kept = (revised["align_reason"] != "added").sum() - kept
    return [
        name, str(seed), str(int(lacked.sum())), str(int((ious[:, lacked] >= FOUND).any(axis=0).sum())),
        str(len(added)), str(int((ious < FOUND).all(axis=1).sum())), str(len(fakes)), str(int(len(fakes) - kept)),
        f"{int((~lacked).sum() - true_kept)} of {int((~lacked).sum())}",
    ]  # fmt: skip


def real(data: Path, scores: Path, folder: Path) -> list[float]:
    """Return the IoU of the labels of Nairobi with all its roofs: as given, aligned, revised."""
    image, labels = data / "nairobi_rgb.tif", data / "nairobi_osm_buildings.geojson"
    for name, revise in (("aligned", False), ("revised", True)):
        review_file(labels, image, GivenScores(scores), ReviewOutputs(folder / f"{name}.gpkg", revise=revise))
    with rasterio.open(image) as file:
        crs, transform, shape = file.crs, file.transform, file.shape

    def drawn(path: Path) -> np.ndarray:
        mask = rasterize(list(gpd.read_file(path).to_crs(crs).geometry), shape, transform=transform)
        return np.asarray(mask[:, : shape[1] // 2], bool)

    truth = drawn(data / "nairobi_precise_west.geojson")
    masks = [drawn(path) for path in (labels, folder / "aligned.gpkg", folder / "revised.gpkg")]
    return [float((mask & truth).sum() / (mask | truth).sum()) for mask in masks]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("ground", choices=[*GROUNDS, "nairobi"])
    parser.add_argument("scores", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.ground == "nairobi":
            before, after, revised = real(given.data / "nairobi", given.scores, Path(folder))
            print(f"nairobi west, all roofs: IoU {before:.3f} as given, {after:.3f} aligned, {revised:.3f} revised")
            return
        print_table_head(
            "ground",
            "seed",
            "lacked",
            "came back",
            "added",
            "of these wrong",
            "invented",
            "found gone",
            "true ones taken to be gone",
        )
        print_table_row(*simulated(given.ground, given.data, given.scores, Path(folder), given.seed))


if __name__ == "__main__":
    main()
