"""Whole scenes from compressed file to COG: rate beside the bare engine's, memory by width, bytes by block and worker.

Usage: python benchmarks/bench_scene.py [--full] [--size 4096] [--turns 3] [--only rate memory blocks workers]

Every figure is of ``crispmap predict`` with a coarse network and a refiner, in a process of its own on two cores. The
bare engine computes the same tiles, cut beforehand, and reads and writes nothing. Asked for: end to end at least 85 %
of the bare rate; peak memory that does not grow with the scene; the same bytes whatever the blocks and workers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from processes import CRISPMAP, THREADS, WORK, Run, facts_of, made_fixture, measured, use_two_cores
from tables import print_table_head, print_table_row

if TYPE_CHECKING:
    from crispmap.inference.engines.choice import Precision

TINY_PX, TOWN_PX = 64, 1024
SPARSE_TOWNS = 8
"""Towns along the diagonal of a sparse scene; all else is nodata."""
BARE_TILES = 64


class Bench:
    """Scenes, models and the work folder."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.files = made_fixture(work, TINY_PX)

    def scene(self, size_px: int) -> str:
        """Return a scene that is town all over."""
        return made_fixture(self.work, size_px)["scene"]

    def sparse_scene(self, size_px: int) -> str:
        """Return a scene with a few towns along its diagonal and nodata elsewhere."""
        made = facts_of(sys.executable, __file__, "--make-sparse", self.scene(TOWN_PX), str(size_px), str(self.work))
        return str(made["scene"])

    def predict(self, scene: str, *options: str, scores: bool = True) -> tuple[Run, str]:
        """Map a scene into an empty folder; return the run and the hash of what it writes: the map, scores if wanted.

        Raises:
            SystemExit: If the command fails.
        """
        folder = self.work / "bench-scene"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        outputs = ["--out", str(folder / "map.tif")]
        if scores:
            outputs += ["--scores", str(folder / "scores.tif")]
        models = ["--model", self.files["model"], "--refiner", self.files["refiner"]]
        run = measured([str(CRISPMAP), "predict", scene, *models, *outputs, *options])
        if run.failure:
            raise SystemExit(f"crispmap predict {scene} {' '.join(options)}: {run.failure}")
        digest = hashlib.sha256()
        for path in sorted(folder.glob("*.tif")):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return run, digest.hexdigest()[:12]

    def startup_s(self) -> float:
        """Return the seconds of a command on next to no scene, the least of three."""
        return min(self.predict(self.files["scene"], "--precision", "float32")[0].seconds for _ in range(3))


def bench_rate(bench: Bench, size_px: int, turns: int) -> None:
    """Compare the rate from file to COG with the bare engine's, in turns."""
    print_table_head(
        "precision, written", "bare engine, Mpx/s", f"{size_px} px end to end, Mpx/s", "share", "with start-up"
    )
    scene, startup = bench.scene(size_px), bench.startup_s()
    for precision, scores in (("float32", False), ("float32", True), ("bfloat16", False)):
        name = f"{precision}, map and float32 scores" if scores else f"{precision}, map"
        shares, bare_rates, rates, whole = [], [], [], []
        for _ in range(turns):
            bare = facts_of(sys.executable, __file__, "--bare", bench.files["model"], bench.files["refiner"], precision)
            if "refused" in bare:
                print_table_row(name, bare["refused"], "", "", "")
                break
            seconds = bench.predict(scene, "--precision", precision, scores=scores)[0].seconds
            bare_rates.append(bare["rate"])
            rates.append(size_px**2 / 1e6 / (seconds - startup))
            whole.append(size_px**2 / 1e6 / seconds)
            shares.append(rates[-1] / bare["rate"])
        else:
            middle = [statistics.median(values) for values in (bare_rates, rates, shares, whole)]
            rate, end_to_end, share, with_startup = middle
            print_table_row(name, f"{rate:.2f}", f"{end_to_end:.2f}", f"{share:.0%}", f"{with_startup:.2f}")
    print(f"\nStart-up, a scene of {TINY_PX} px: {startup:.1f} s.\n")


def bench_memory(bench: Bench, sizes: list[int], sparse_px: int) -> None:
    """Show the peak memory of scenes of growing width."""
    print_table_head("scene", "seconds", "peak memory, MiB")
    scenes = {f"{size} x {size}, town all over": bench.scene(size) for size in sizes}
    scenes[f"{sparse_px} x {sparse_px}, {SPARSE_TOWNS} towns of {TOWN_PX}"] = bench.sparse_scene(sparse_px)
    for name, scene in scenes.items():
        run, _ = bench.predict(scene, "--precision", "float32")
        print_table_row(name, f"{run.seconds:.1f}", f"{run.peak_mib:.0f}")
    print()


def bench_variants(bench: Bench, size_px: int, option: str, values: list[int]) -> None:
    """Show seconds, memory and bytes by the values of an option that must change no byte.

    Raises:
        SystemExit: If it changes any.
    """
    print_table_head(option, f"seconds, {size_px} px", "peak memory of a process, MiB", "map and scores")
    hashes = set()
    for value in values:
        run, digest = bench.predict(bench.scene(size_px), option, str(value), "--precision", "float32")
        hashes.add(digest)
        print_table_row(value, f"{run.seconds:.1f}", f"{run.peak_mib:.0f}", digest)
    if len(hashes) > 1:
        raise SystemExit(f"{option} changes the bytes of the map or the scores")
    print(f"\n{option} changes no byte.\n")


def print_bare_rate(model: Path, refiner: Path, precision: Precision) -> None:
    """Print as JSON the million pixels a second of the engine alone, or why it refuses the precision."""
    import numpy as np

    from crispmap.errors import InputError
    from crispmap.geo.grid import Block
    from crispmap.inference.engines import EngineChoice, open_engine
    from crispmap.inference.network import MapNetwork, reflected_places
    from crispmap.models.file import load_model
    from crispmap.models.registry import architectures

    coarse, sharpener = load_model(model, kind="coarse"), load_model(refiner, kind="refiner")
    network, side = MapNetwork(coarse, sharpener), architectures()[sharpener.card.architecture].tile_px
    random = np.random.default_rng(0)
    outer, inner = side + 2 * network.margin_px, side + 2 * network.halo_px
    known = np.ones((1, 1, inner, inner), np.float32)
    places = reflected_places(Block(side, side, side, side), network.halo_px, (3 * side, 3 * side))
    images = (random.standard_normal((1, coarse.network.bands, outer, outer), np.float32) for _ in range(BARE_TILES))
    tiles = [(image, known, *places) for image in images]
    try:
        engine = open_engine(network.source, tiles[0], EngineChoice(precision=precision, threads=THREADS))
    except InputError as error:
        print(json.dumps({"refused": str(error).splitlines()[0]}))
        return
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda tile: engine.run(*tile), tiles[:4]))
        began = time.perf_counter()
        list(pool.map(lambda tile: engine.run(*tile), tiles))
        seconds = time.perf_counter() - began
    print(json.dumps({"rate": BARE_TILES * side**2 / 1e6 / seconds, "engine": engine.text}))


def make_sparse(town: Path, size_px: int, folder: Path) -> None:
    """Write a sparse GeoTIFF with towns along its diagonal, where missing, and print its path as JSON."""
    import rasterio

    path = folder / f"sparse-{size_px}.tif"
    if not path.exists():
        part = path.with_suffix(".part.tif")
        with rasterio.open(town) as source:
            pixels = source.read().clip(1)
            profile = {**source.profile, "driver": "GTiff", "height": size_px, "width": size_px, "nodata": 0,
                       "tiled": True, "sparse_ok": True, "bigtiff": "yes", "photometric": "RGB",
                       "alpha": "unspecified"}  # fmt: skip
        with rasterio.open(part, "w", **profile) as dataset:
            for number in range(SPARSE_TOWNS):
                start = (size_px - TOWN_PX) * number // (SPARSE_TOWNS - 1)
                dataset.write(pixels, window=((start, start + TOWN_PX), (start, start + TOWN_PX)))
        part.replace(path)
    print(json.dumps({"scene": str(path)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="scenes to 8,192 px and 32,768 px sparse: half an hour")
    parser.add_argument("--size", type=int, default=4096, help="side of the largest scene that is town all over")
    parser.add_argument("--turns", type=int, default=3, help="runs of each precision; rates are their median")
    parser.add_argument("--only", nargs="+", default=["rate", "memory", "blocks", "workers"])
    parser.add_argument("--work", type=Path, default=WORK, help="folder for scenes and results")
    parser.add_argument("--bare", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--make-sparse", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        return print_bare_rate(Path(given.bare[0]), Path(given.bare[1]), given.bare[2])
    if given.make_sparse:
        return make_sparse(Path(given.make_sparse[0]), int(given.make_sparse[1]), Path(given.make_sparse[2]))
    use_two_cores()
    bench = Bench(given.work.resolve())
    large, sparse = (8192, 32768) if given.full else (given.size, 2 * given.size)
    if "rate" in given.only:
        bench_rate(bench, large, given.turns)
    if "memory" in given.only:
        bench_memory(bench, [large // 2, large], sparse)
    if "blocks" in given.only:
        bench_variants(bench, large, "--block", [256, 512, 1024])
    if "workers" in given.only:
        bench_variants(bench, large, "--workers", [1, 2, 4])
    return None


if __name__ == "__main__":
    main()
