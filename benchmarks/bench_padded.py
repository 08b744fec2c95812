"""Networks that pad: the share of the bare engine, what a halo costs by tile, and peak memory.

Usage: python benchmarks/bench_padded.py [--size 2240] [--turns 3] [--only share halo memory]

All in float32 on two cores. The bare engine computes the same windows, cut beforehand, and reads and writes nothing;
both ways take turns, and each is rated by its best turn. Asked for: end to end at least 85 % of the bare rate. The
weights are random: what a smaller halo costs in labels is in the tags of a map of a trained network.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from processes import THREADS, WORK, facts_of, measured, use_two_cores
from tables import print_table_head, print_table_row

RADIUS_PX = {"unet-resnet50": 308, "unet-lite0": 520}
TILES_PX, HALOS_PX = (512, 1024, 1472, 1888), (544, 256, 128, 64, 0)


def made(folder: Path, name: str, size_px: int) -> tuple[Path, Path]:
    """Return a scene of noise and a model with random weights, written where missing."""
    import numpy as np
    import rasterio

    from crispmap.labels.osm import preset_schema
    from crispmap.models.card import ModelCard
    from crispmap.models.file import save_model
    from crispmap.models.registry import architectures
    from crispmap.models.scaling import Scaling

    folder.mkdir(parents=True, exist_ok=True)
    scene, model = folder / f"noise-{size_px}.tif", folder / f"{name}.safetensors"
    if not scene.exists():
        image = np.random.default_rng(0).integers(1, 255, (3, size_px, size_px), dtype=np.uint8)
        with rasterio.open(
            scene, "w", driver="GTiff", height=size_px, width=size_px, count=3, dtype="uint8", crs="EPSG:32631",
            transform=rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 5e6), tiled=True, compress="deflate",
        ) as file:  # fmt: skip
            file.write(image)
    if not model.exists():
        schema = preset_schema(["building", "road"])
        network: Any = architectures()[name].build(
            bands=3, classes=len(schema), weights="random", radius_px=RADIUS_PX[name]
        )
        card = ModelCard(
            "coarse", name, network.arguments, schema, ("red", "green", "blue"), Scaling((127.0,) * 3, (64.0,) * 3),
            0.5, network.radius_px, network.stride_px,
        )  # fmt: skip
        save_model(model, network, card)
    return scene, model


def end_to_end(scene: Path, model: Path, out: Path) -> float:
    """Map a scene; return the seconds from the first block to the written map, after models and engine are ready."""
    from crispmap.events import Listener
    from crispmap.inference.options import PredictOptions
    from crispmap.inference.predict import Outputs, predict_scenes
    from crispmap.raster.resolve import resolve_scenes

    class Watch(Listener):
        began = ended = 0.0

        def started(self, title: str, total: int, unit: str) -> None:
            self.began = time.perf_counter()

        def finished(self, summary: str | None) -> None:
            self.ended = time.perf_counter()

    watch, options = Watch(), PredictOptions("openvino", "float32", force=True)
    predict_scenes(resolve_scenes([scene]), model=model, outputs=Outputs(out), options=options, events=watch)
    return watch.ended - watch.began


def bench_share(folder: Path, size_px: int, turns: int) -> None:
    """Compare file to COG with the bare engine."""
    import numpy as np

    from crispmap.inference.engines import EngineChoice, open_engine
    from crispmap.inference.job import MapJob
    from crispmap.inference.network import MapNetwork
    from crispmap.raster.refs import SceneRef

    print_table_head("network", "tile", "halo", "computed for one kept", "bare, Mpx/s", "end to end, Mpx/s", "share")
    for name in RADIUS_PX:
        scene, model = made(folder, name, size_px)
        choice = EngineChoice("openvino", threads=THREADS)
        with MapJob(SceneRef.of(scene), model, engine=choice).opened() as opened:
            side, halo = opened.models.tile_px(choice, opened.image), opened.models.context_px
            network = MapNetwork(opened.models.coarse, None)
        windows = (-(-size_px // side)) ** 2
        window = np.random.default_rng(0).standard_normal((1, 3, side + 2 * halo, side + 2 * halo), np.float32)
        engine = open_engine(network.source, (window,), choice)
        bare, whole = [], []
        with ThreadPoolExecutor(THREADS) as pool:
            engine.run(window)
            for _ in range(turns):
                began = time.perf_counter()
                list(pool.map(lambda _, engine=engine, window=window: engine.run(window), range(windows)))
                bare.append(size_px**2 / 1e6 / (time.perf_counter() - began))
                whole.append(size_px**2 / 1e6 / end_to_end(scene, model, folder / "map.tif"))
        computed = windows * (side + 2 * halo) ** 2 / size_px**2
        rates = max(bare), max(whole)
        print_table_row(
            name, side, halo, f"{computed:.2f}", f"{rates[0]:.3f}", f"{rates[1]:.3f}", f"{rates[1] / rates[0]:.0%}"
        )
    print()


def bench_halo(folder: Path, turns: int) -> None:
    """Show the rate of one core by tile and halo, and how many pixels are computed for one kept."""
    import numpy as np

    from crispmap.inference.engines import EngineChoice, open_engine
    from crispmap.models.file import load_model

    network = load_model(made(folder, "unet-lite0", 64)[1], kind="coarse").network
    print_table_head("unet-lite0, tile", *(f"halo {halo}, Mpx/s (computed for one kept)" for halo in HALOS_PX))
    for side in TILES_PX:
        cells = []
        for halo in HALOS_PX:
            window = np.random.default_rng(0).standard_normal((1, 3, side + 2 * halo, side + 2 * halo), np.float32)
            engine = open_engine(network.reading(halo).for_inference(), (window,), EngineChoice("openvino"))
            engine.run(window)
            seconds = []
            for _ in range(turns):
                began = time.perf_counter()
                engine.run(window)
                seconds.append(time.perf_counter() - began)
            cells.append(f"{side**2 / 1e6 / min(seconds):.3f} ({(1 + 2 * halo / side) ** 2:.2f})")
        print_table_row(side, *cells)
    print()


def bench_memory(folder: Path, size_px: int) -> None:
    """Show the peak memory of the command."""
    print_table_head("network", "options", "seconds", "peak memory, MiB")
    command = [sys.executable, "-m", "crispmap", "predict"]
    for name in RADIUS_PX:
        made_files = facts_of(sys.executable, __file__, "--make", name, str(size_px), "--work", str(folder.parent))
        for options in (["--engine", "openvino"], ["--engine", "openvino", "--halo", "64"]):
            run = measured(
                [*command, made_files["scene"], "--model", made_files["model"], "--out", str(folder / "map.tif"),
                 "--force", "--precision", "float32", *options]
            )  # fmt: skip
            print_table_row(name, " ".join(options), f"{run.seconds:.1f}", run.failure or f"{run.peak_mib:.0f}")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2240, help="side of the scene")
    parser.add_argument("--turns", type=int, default=3, help="turns of each way; the best counts")
    parser.add_argument("--only", nargs="+", default=["memory", "share", "halo"])
    parser.add_argument("--work", type=Path, default=WORK, help="folder for scenes and results")
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.work.resolve() / "padded"
    if given.make:
        scene, model = made(folder, given.make[0], int(given.make[1]))
        print(json.dumps({"scene": str(scene), "model": str(model)}))
        return
    use_two_cores()
    warnings.simplefilter("ignore")
    if "memory" in given.only:  # first: a child's peak starts at the memory of the process it was forked from
        bench_memory(folder, given.size)
    if "share" in given.only:
        bench_share(folder, given.size, given.turns)
    if "halo" in given.only:
        bench_halo(folder, given.turns)


if __name__ == "__main__":
    main()
