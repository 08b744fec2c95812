"""Pansharpening beside GDAL's: quality on real sensors, rate side by side in one run, memory by width.

Usage: python benchmarks/bench_pansharpen.py [--only quality rate memory] [--size 4096] [--widths 5000 20000]
           [--height 4096] [--turns 3] [--data ../shared/data]

Quality is Wald's protocol: the multispectral scene is degraded, pansharpened, and compared with itself. GDAL's weighted
Brovey is that of its virtual rasters, which gdal_pansharpen runs too, with equal weights and cubic interpolation, on
the same degraded files. Asked for: quality and rate at least GDAL's; at most 1 GiB of memory, within 10 % whatever the
width.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.windows import Window
from scipy import ndimage

from crispmap.errors import CrispmapWarning
from crispmap.geo.grid import Block
from crispmap.raster.files import open_scene
from crispmap.raster.pansharpen.assess import assess, assess_degraded
from crispmap.raster.pansharpen.grids import ratio_of as pixel_ratio
from crispmap.raster.pansharpen.methods import METHODS
from crispmap.raster.pansharpen.mtf import degraded
from crispmap.raster.pansharpen.quality import AgreementSums
from crispmap.raster.pansharpen.registration import MovedScene, estimate_shift
from crispmap.raster.pansharpen.run import undone
from crispmap.raster.pansharpen.scene import open_pansharpened
from crispmap.raster.pipeline import work_through
from crispmap.raster.refs import SceneRef
from crispmap.raster.resample import ResampledScene, SceneOnGrid
from crispmap.raster.scene import Scene, SceneReader, read_whole
from processes import HERE, THREADS, WORK, facts_of, measured, use_two_cores
from side_by_side import in_turns, ratio_of
from tables import print_table_head, print_table_row

SENSORS = {
    "Landsat 8, Momotombo, 30 / 15 m": (
        [f"landsat/momotombo_L1TP_B{band}.tif" for band in (2, 3, 4)], "landsat/momotombo_L1TP_B8.tif",
    ),
    "WorldView-2, Rotterdam, 2 / 0.5 m": (["spacenet/rotterdam_ms1.tif"], "spacenet/rotterdam_pan1.tif"),
    "WorldView-2, Rotterdam 2": (["spacenet/rotterdam_ms2.tif"], "spacenet/rotterdam_pan2.tif"),
    "CBERS-4A WPM, 8 / 2 m": (["cbers4a/MULTISPECTRAL.tif"], "cbers4a/BAND0.tif"),
}  # fmt: skip
BLOCK_PX = 1024
BANDS = 4
EQUAL = (1 / BANDS,) * BANDS
APART = """
import json, sys
sys.path.insert(0, sys.argv[1])
from processes import measured
run = measured(sys.argv[2:])
assert not run.failure, run.failure
print(json.dumps({"seconds": run.seconds, "peak_mib": run.peak_mib}))
"""  # measures a command in a small process: peaks begin at that of the process that starts one
CRISPMAP = [sys.executable, "-m", "crispmap", "pansharpen"]


@contextmanager
def opened(data: Path, name: str) -> Iterator[tuple[Scene, Scene]]:
    """Open both scenes of a sensor."""
    files, pan = SENSORS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CrispmapWarning)
        ref = SceneRef(name, tuple(str(data / file) for file in files))
        with open_scene(ref, nodata=0) as bands, open_scene(data / pan, nodata=0) as sharp:
            # Rotterdam's pixels of 1 m are the sensor's of 2 m, each four times.
            yield (ResampledScene(bands, 2, 2) if "Rotterdam" in name else bands), sharp


def write_raster(path: Path, reader: SceneReader) -> None:
    """Write a scene as float32, as it is."""
    image, valid = read_whole(reader)
    height, width = valid.shape
    profile = {"driver": "GTiff", "count": len(image), "height": height, "width": width, "dtype": "float32"}
    crs = None if reader.grid.crs is None else reader.grid.crs.to_wkt()
    with rasterio.open(path, "w", crs=crs, transform=reader.grid.transform, **profile) as dataset:
        dataset.write(image)


def gdal_pansharpened(multispectral: Path, pan: Path, bands: int, dtype: str) -> str:
    """Return a virtual raster that GDAL pansharpens with equal weights as it is read."""
    numbers = range(1, bands + 1)
    sources = "".join(
        f'<SpectralBand dstBand="{one}"><SourceFilename>{multispectral.absolute()}</SourceFilename>'
        f"<SourceBand>{one}</SourceBand></SpectralBand>"
        for one in numbers
    )
    outputs = "".join(
        f'<VRTRasterBand dataType="{dtype}" band="{one}" subClass="VRTPansharpenedRasterBand"/>' for one in numbers
    )
    return (
        f'<VRTDataset subClass="VRTPansharpenedDataset">{outputs}<PansharpeningOptions>'
        f"<AlgorithmOptions><Weights>{','.join([str(1 / bands)] * bands)}</Weights></AlgorithmOptions>"
        f"<Resampling>Cubic</Resampling><NumThreads>ALL_CPUS</NumThreads><PanchroBand><SourceFilename>{pan.absolute()}"
        f"</SourceFilename><SourceBand>1</SourceBand></PanchroBand>{sources}</PansharpeningOptions></VRTDataset>"
    )


def gdal_agreement(bands: Scene, pan: Scene, work: Path) -> tuple[float, float, float]:
    """Return ERGAS, SAM and Q2n of GDAL's weighted Brovey on degraded scenes."""
    ratio = pixel_ratio(bands.grid, pan.grid)
    write_raster(work / "low.tif", degraded(bands, ratio))
    write_raster(work / "low_pan.tif", SceneOnGrid(pan, bands.grid, "average"))
    vrt = gdal_pansharpened(work / "low.tif", work / "low_pan.tif", bands.band_count, "Float32")
    with rasterio.open(vrt) as dataset:
        fused = dataset.read()
        offset = ~bands.grid.transform @ (dataset.transform.c, dataset.transform.f)
    col, row = round(offset[0]), round(offset[1])
    area = Block(row, col, *fused.shape[1:]).intersection(bands.grid.block)
    inside = area.relative_to(Block(row, col, *fused.shape[1:]))
    reference, valid = bands.read(area)
    _, known = SceneOnGrid(pan, bands.grid, "average").read(area)
    sums = AgreementSums(math.sqrt(ratio[0] * ratio[1]))
    fused = fused[:, *inside.slices]
    sums.add(reference, fused, valid & known & np.isfinite(fused).all(axis=0))
    found = sums.result()
    return found.ergas, found.sam_deg, found.q2n


def bench_quality(data: Path, work: Path) -> None:
    """Show the figures of every method on every sensor, and GDAL's weighted Brovey."""
    head = "sensor", "method", "ERGAS", "SAM, deg", "Q2n", "ERGAS registered", "Q2n registered", "QNR registered"
    print_table_head(*head)
    for name in SENSORS:
        with opened(data, name) as (bands, pan):
            shift = undone(estimate_shift(bands, pan))
            moved = bands if shift is None else MovedScene(bands, shift.applied(bands.grid))
            equal = (1 / bands.band_count,) * bands.band_count
            for method, weights in [*((one, None) for one in METHODS), ("brovey", equal)]:
                plain, there = (assess_degraded(one, pan, method, weights=weights) for one in (bands, moved))
                qnr = assess(open_pansharpened(moved, pan, method, weights=weights)).qnr
                figures = plain.ergas, plain.sam_deg, plain.q2n, there.ergas, there.q2n, qnr
                label = f"{method}, equal weights" if weights else method
                print_table_row(name, label, *(f"{one:.4g}" for one in figures))
            first, second = gdal_agreement(bands, pan, work), gdal_agreement(moved, pan, work)
            theirs = *first, second[0], second[2]
            print_table_row(name, "GDAL, weighted Brovey", *(f"{one:.4g}" for one in theirs), "")
            found = "none that is sure" if shift is None else f"{shift.cols_px:g}, {shift.rows_px:g} pixels"
            print(f"| | shift: {found} | | | | | | |")
    print()


def made_pair(work: Path, width: int, height: int, ratio: int) -> tuple[Path, Path]:
    """Write scenes of repeated texture, uint16 in tiles, unless they are there; return their files."""
    paths = work / f"ms_{width}_{height}_{ratio}.tif", work / f"pan_{width}_{height}_{ratio}.tif"
    if all(path.exists() for path in paths):
        return paths
    rng, side = np.random.default_rng(0), BLOCK_PX
    sharp = ndimage.gaussian_filter(rng.normal(size=(side, side)), 2, mode="wrap")
    sharp = 3000 + 400 * sharp / sharp.std()
    low = sharp.reshape(side // ratio, ratio, side // ratio, ratio).mean(axis=(1, 3))
    bands = np.stack([low * factor + rng.normal(0, 20, low.shape) for factor in (0.5, 0.9, 1.1, 1.6)[:BANDS]])
    for path, tile, gsd in ((paths[0], bands, float(ratio)), (paths[1], sharp[None], 1.0)):
        shape = int(height / gsd), int(width / gsd)
        profile = {"driver": "GTiff", "count": len(tile), "height": shape[0], "width": shape[1], "dtype": "uint16"}
        tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "crs": "EPSG:32631"}
        transform = Affine(gsd, 0, 500_000, 0, -gsd, 5_000_000)
        with rasterio.open(path, "w", transform=transform, **profile, **tiles) as dataset:
            for row in range(0, shape[0], tile.shape[1]):
                for col in range(0, shape[1], tile.shape[2]):
                    part = tile[:, : shape[0] - row, : shape[1] - col].astype(np.uint16)
                    dataset.write(part, window=Window(col, row, part.shape[2], part.shape[1]))
    return paths


def read_ours(multispectral: Path, pan: Path, method: Any, weights: tuple[float, ...] | None) -> None:
    """Compute a whole scene, block by block, in two threads."""
    with open_scene(multispectral) as bands, open_scene(pan) as sharp:
        scene = open_pansharpened(bands, sharp, method, weights=weights)
        blocks = scene.grid.blocks(BLOCK_PX)
        work_through(blocks, lambda one, _: scene.read(one) and None, threads=1, done=lambda _: None, under_way=THREADS)


def read_gdals(vrt: str, width: int, height: int) -> None:
    """Let GDAL compute a whole scene, block by block, in two threads."""
    with rasterio.open(vrt) as dataset:
        for row in range(0, height, BLOCK_PX):
            for col in range(0, width, BLOCK_PX):
                dataset.read(window=Window(col, row, min(BLOCK_PX, width - col), min(BLOCK_PX, height - row)))


def bench_rate(work: Path, size: int, turns: int) -> None:
    """Compare rates with GDAL's in turns: computed, and written to a COG in a process of its own."""
    print_table_head("ratio", "what", "crispmap, Mpx/s", "GDAL, Mpx/s", "times as fast")
    for ratio in (2, 4):
        multispectral, pan = made_pair(work, size, size, ratio)
        vrt = gdal_pansharpened(multispectral, pan, BANDS, "UInt16")
        difference(multispectral, pan, vrt)
        ways: dict[str, Callable[[], object]] = {
            name: partial(read_ours, multispectral, pan, name, weights)
            for name, weights in (("brovey", EQUAL), ("hpm", None), ("gsa", None))
        }
        seconds = in_turns({**ways, "gdal": partial(read_gdals, vrt, size, size)}, turns)
        for name in ways:
            print_rates(ratio, f"{name}, computed", size, seconds, name)
        (work / "gdal.vrt").write_text(vrt)
        ours = [*CRISPMAP, str(multispectral), str(pan), "--force", "--out", str(work / "ours.tif")]
        theirs = [sys.executable, __file__, "--gdal-to-cog", str(work / "gdal.vrt"), str(work / "theirs.tif")]
        written = in_turns({"hpm": partial(checked, ours), "gdal": partial(checked, theirs)}, turns)
        print_rates(ratio, "hpm, file to COG", size, written, "hpm")
    print()


def difference(multispectral: Path, pan: Path, vrt: str) -> None:
    """Stop where our weighted Brovey is not GDAL's, to the rounding of both."""
    with open_scene(multispectral) as bands, open_scene(pan) as sharp, rasterio.open(vrt) as dataset:
        scene = open_pansharpened(bands, sharp, "brovey", weights=EQUAL)
        block = Block(16, 16, 512, 512)
        ours, theirs = scene.read(block)[0], dataset.read(window=Window(16, 16, 512, 512))
    most = float(np.abs(np.rint(ours) - theirs).max())
    if most > 2:
        raise SystemExit(f"weighted Brovey differs from GDAL's by {most}")


def print_rates(ratio: int, what: str, size: int, seconds: dict[str, list[float]], ours: str) -> None:
    """Print a row with both rates and the median of their ratios."""
    rates = [size * size / 1e6 / min(seconds[name]) for name in (ours, "gdal")]
    print_table_row(str(ratio), what, *(f"{one:.1f}" for one in rates), f"{ratio_of(seconds, 'gdal', ours):.2f}")


def checked(command: list[str]) -> None:
    """Run a command, or stop."""
    if failure := measured(command).failure:
        raise SystemExit(f"{' '.join(command)}: {failure}")


def single_bands(path: Path) -> list[Path]:
    """Write each band of a raster to a file of its own, a strip at a time; return the files."""
    with rasterio.open(path) as dataset:
        profile = {**dataset.profile, "count": 1}
        paths = [path.with_name(f"{path.stem}_{number}.tif") for number in dataset.indexes]
        for number, one in zip(dataset.indexes, paths, strict=True):
            with rasterio.open(one, "w", **profile) as to:
                for row in range(0, dataset.height, BLOCK_PX):
                    window = Window(0, row, dataset.width, min(BLOCK_PX, dataset.height - row))
                    to.write(dataset.read(number, window=window), 1, window=window)
    return paths


def bench_memory(work: Path, widths: list[int], height: int) -> None:
    """Show seconds and peak memory by width, of bands in one file and of bands composed."""
    print_table_head("scene", "bands", "seconds", "Mpx/s", "peak memory, MiB")
    for width in widths:
        multispectral, pan = made_pair(work, width, height, 2)
        for name, files in (("in one file", [multispectral]), ("composed", single_bands(multispectral))):
            words = [*map(str, files), str(pan), "--force", "--out", str(work / "wide.tif")]
            run = facts_of(sys.executable, "-c", APART, str(HERE), *CRISPMAP, *words)
            rate = width * height / 1e6 / run["seconds"]
            print_table_row(
                f"{width} x {height}", name, f"{run['seconds']:.1f}", f"{rate:.1f}", f"{run['peak_mib']:.0f}"
            )  # fmt: skip
    print()


def main() -> None:
    """Run the parts asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", nargs="+", choices=("quality", "rate", "memory"))
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--widths", type=int, nargs="+", default=[5000, 20000])
    parser.add_argument("--height", type=int, default=4096)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--gdal-to-cog", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    use_two_cores()
    if chosen.gdal_to_cog:
        options = {"COMPRESS": "DEFLATE", "PREDICTOR": "YES", "BLOCKSIZE": "256", "NUM_THREADS": "ALL_CPUS"}
        rasterio.shutil.copy(chosen.gdal_to_cog[0], chosen.gdal_to_cog[1], driver="COG", **options)
        return
    work = WORK / "pansharpen"
    work.mkdir(parents=True, exist_ok=True)
    parts = chosen.only or ("quality", "rate", "memory")
    if "quality" in parts and chosen.data.is_dir():
        bench_quality(chosen.data, work)
    if "rate" in parts:
        bench_rate(work, chosen.size, chosen.turns)
    if "memory" in parts:
        bench_memory(work, chosen.widths, chosen.height)
    shutil.rmtree(work)


if __name__ == "__main__":
    main()
