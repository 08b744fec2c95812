"""What presets of ``vectorize`` gain over plain polygons, and its time beside GDAL's polygons.

Usage: python benchmarks/bench_footprints.py [--demo FOLDER] [--project MAP SCORES REFERENCE AREA] [--only figures time]

FOLDER of --demo is a finished ``crispmap demo``; by default one is made. --project gives another map: a class map,
its scores, a file of polygons, and the window row,col,height,width that no training saw. Footprints count in the test
area of the demo, which no training saw, and everywhere. Asked for: object F1 at IoU 0.5 at least 5 points above the
plain map, at a loss of pixel IoU of 0.5 points at most; 8 corners at the median; centrelines within 5 % of the
streets; vectorize of 8,192 x 8,192 pixels at least as fast as GDAL's polygons, which rasterio.features.shapes gives,
written with pyogrio as gdal_polygonize does, where that command is not installed; gdal_polygonize draws the
background too, as --classes all does. Times are those of one command in a process of its own on two cores, the median
over turns.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from bench_streaming import make_maps
from processes import CRISPMAP, WORK, Run, measured, use_two_cores
from tables import print_table_head, print_table_row

SIDE_PX = 8192


@dataclass(frozen=True)
class Place:
    """A class map of buildings, the scores behind it, and the truth."""

    name: str
    class_map: Path
    scores: Path
    reference: Path
    layer: str | None = None
    area: tuple[int, int, int, int] | None = None  # row, col, height, width


def run(*words: str) -> Run:
    """Run a command of crispmap; SystemExit if it fails."""
    found = measured([str(CRISPMAP), *words])
    if found.failure:
        raise SystemExit(f"crispmap {' '.join(words)}: {found.failure}")
    return found


def footprints(place: Place, folder: Path) -> None:
    """Print the object figures of plain polygons, and of those that the preset makes."""
    from crispmap.evaluation.files import ScoringRules
    from crispmap.geo.area_pieces import AreaPiece
    from crispmap.labels.reader import LabelOptions
    from crispmap.polygons.object_files import evaluate_objects

    ways = {
        "plain": ["--classes", "building"],
        "plain, sieved": ["--classes", "building", "--sieve-m2", "10", "--fill-holes-m2", "10"],
        "preset": ["--preset", "buildings"],
        "preset, scores": ["--preset", "buildings", "--scores", str(place.scores)],
    }
    paths = {}
    for number, (name, options) in enumerate(ways.items()):
        paths[name] = folder / f"{place.name}-{number}.gpkg"
        run("vectorize", str(place.class_map), "--out", str(paths[name]), "--force", *options)
    areas = {"everywhere": None} | ({"test area": place.area} if place.area else {})
    for where, window in areas.items():
        pieces = [] if window is None else [AreaPiece(window=window, origin="area")]
        rules = ScoringRules(areas={"test": pieces}, options=LabelOptions(layer=place.layer, all_as="building"))
        targets = [place.class_map, *paths.values()]
        figures = list(evaluate_objects(targets, place.reference, rules).figures.values())[1:]
        for (name, path), by_class in zip(paths.items(), figures, strict=True):
            one = by_class["building"]
            print_table_row(
                f"{place.name}, {where}", name, f"{one.predicted} of {one.reference}",
                *(f"{100 * share:.1f}" for share in (one.precision, one.recall, one.f1)),
                f"{one.polis_m:.2f}", f"{one.corner_offset_m:.2f}", f"{one.predicted_corners:g}",
                f"{100 * pixel_iou(path, place, window):.2f}",
            )  # fmt: skip


def pixel_iou(path: Path, place: Place, window: tuple[int, int, int, int] | None) -> float:
    """Return the IoU of polygons drawn on the pixels of the map, with the reference drawn there."""
    from crispmap.labels.osm import preset_schema
    from crispmap.labels.rasterize import rasterize
    from crispmap.labels.reader import LabelOptions
    from crispmap.labels.vectors import read_vectors
    from crispmap.raster.files import read_grid

    schema, grid = preset_schema(["building"]), read_grid(place.class_map)
    row, col, height, width = window or (0, 0, *grid.shape)
    drawn = []
    for source, layer in ((path, None), (place.reference, place.layer)):
        options = LabelOptions(layer=layer, all_as="building")
        ids = rasterize(read_vectors(source, schema, grid=grid, options=options), grid, schema)
        drawn.append(ids[row : row + height, col : col + width] == 1)
    ours, theirs = drawn
    return float((ours & theirs).sum() / (ours | theirs).sum())


def streets(demo: Path, folder: Path) -> None:
    """Print the length of centrelines over that of the streets, of the exact reference and of the refined map."""
    import geopandas as gpd

    truth = gpd.read_file(demo / "truth.gpkg", layer="roads_lines")
    for name, class_map in (("truth", demo / "truth.tif"), ("refined map", demo / "results" / "refined.tif")):
        out = folder / "roads.gpkg"
        run("vectorize", str(class_map), "--out", str(out), "--preset", "roads", "--force")
        found = gpd.read_file(out, layer=out.stem)
        near, close = truth.buffer(4).union_all(), found.buffer(4).union_all()
        print_table_row(
            name, len(found), f"{found.length.sum() / truth.length.sum():.3f}",
            f"{100 * found.intersection(near).length.sum() / found.length.sum():.1f}",
            f"{100 * truth.intersection(close).length.sum() / truth.length.sum():.1f}",
            f"{found.width_m.median():.2f} ({truth.width_m.median():.2f})",
        )  # fmt: skip


GDAL_POLYGONS = """
import sys
import geopandas, numpy, rasterio
from rasterio.features import shapes
from shapely.geometry import shape
with rasterio.open(sys.argv[1]) as file:
    values = file.read(1)
    found = list(shapes(values, mask=(values != 255) & (values != 0), connectivity=4, transform=file.transform))
    frame = geopandas.GeoDataFrame(
        {"DN": [int(value) for _, value in found]}, geometry=[shape(one) for one, _ in found], crs=file.crs)
frame.to_file(sys.argv[2], driver="GPKG")
"""


def times(folder: Path, turns: int) -> None:
    """Print the time and the memory of vectorize beside GDAL's polygons."""
    class_map = make_maps(folder, SIDE_PX, dense=True)["map"]
    out, gdal = folder / "timed.gpkg", shutil.which("gdal_polygonize.py")
    theirs = [sys.executable, "-c", GDAL_POLYGONS, class_map, str(folder / "gdal.gpkg")]
    if gdal is not None:
        theirs = [gdal, "-q", "-overwrite", class_map, str(folder / "gdal.gpkg")]
    ways = {
        "gdal_polygonize" if gdal else "rasterio.features.shapes": theirs,
        **{
            f"vectorize {' '.join(options)}".strip(): [
                str(CRISPMAP), "vectorize", class_map, "--out", str(out), "--force", *options]
            for options in (
                [], ["--classes", "all"], ["--simplify-m", "0.6"], ["--sieve-m2", "10"], ["--preset", "landcover"],
                ["--preset", "buildings"], ["--preset", "roads"],
            )
        },
    }  # fmt: skip
    found: dict[str, list[Run]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, words in ways.items():
            (folder / "gdal.gpkg").unlink(missing_ok=True)  # GDAL takes far longer to replace a layer
            found[name].append(measured(words))
    for name, runs in found.items():
        failures = [one.failure for one in runs if one.failure]
        seconds = statistics.median(one.seconds for one in runs)
        peak = statistics.median(one.peak_mib for one in runs)
        print_table_row(name, failures[0] if failures else f"{seconds:.1f}", f"{peak:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=WORK / "demo")
    parser.add_argument("--project", type=Path, nargs=4, metavar=("MAP", "SCORES", "REFERENCE", "AREA"))
    parser.add_argument("--only", nargs="+", default=["figures", "time"])
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--work", type=Path, default=WORK)
    options = parser.parse_args()
    folder = options.work / "footprints"
    folder.mkdir(parents=True, exist_ok=True)
    use_two_cores()
    if "time" in options.only:  # first: a process counts the memory of the one that starts it
        print_table_head("command", "seconds", "peak MiB")
        times(folder, options.turns)
        print()
    if "figures" in options.only:
        if not (options.demo / "results" / "refined.tif").exists():
            run("demo", "--out", str(options.demo))
        results = options.demo / "results"
        places = [Place("demo", results / "refined.tif", results / "refined_scores.tif",
                        options.demo / "truth.gpkg", "buildings", (800, 1440, 800, 960))]  # fmt: skip
        if options.project:
            *paths, area = options.project
            row, col, height, width = (int(number) for number in str(area).split(","))
            places.append(Place("project", paths[0], paths[1], paths[2], None, (row, col, height, width)))
        print_table_head("map", "polygons", "objects", "precision", "recall", "F1", "PoLiS m", "corner offset m",
                         "corners", "pixel IoU")  # fmt: skip
        for place in places:
            footprints(place, folder)
        print()
        print_table_head("streets of", "lines", "length / truth", "correct %", "complete %", "width (truth) m")
        streets(options.demo, folder)


if __name__ == "__main__":
    main()
