"""Peak memory of a refiner's training by the size of its data, in memory and in files.

Usage: python benchmarks/bench_patch_source.py [--gigabytes 0.1 1 4] [--steps 20] [--memory 100MB]

Every figure is of a process of its own that opens a scene, loads it as training data and trains. The scene, 4 bands of
uint16 in compressed tiles, is written first and deleted at the end. A pixel takes 22 bytes: the bands, three coarse
scores, validity and a label, of which 1 in 8 is known.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import tempfile
from pathlib import Path

from processes import WORK, Run, measured, use_two_cores
from tables import print_table_head, print_table_row

BANDS, CLASSES = 4, 3
PIXEL_BYTES = BANDS * 2 + CLASSES * 4 + 2
BASE_PX = 1024
LABEL_PX = 32


def write_scene(path: Path, side_px: int) -> None:
    """Write a scene that repeats one square of noise."""
    import numpy as np
    import rasterio
    from rasterio.windows import Window

    base = np.random.default_rng(0).integers(200, 3000, (BANDS, BASE_PX, BASE_PX), dtype=np.uint16) & 0xFFF0
    profile = {
        "driver": "GTiff", "width": side_px, "height": side_px, "count": BANDS, "dtype": "uint16", "crs": "EPSG:32631",
        "transform": rasterio.Affine(0.5, 0, 440_000, 0, -0.5, 5_420_000), "tiled": True, "blockxsize": 256,
        "blockysize": 256, "compress": "deflate", "zlevel": 1, "bigtiff": "yes",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        for row in range(0, side_px, BASE_PX):
            for col in range(0, side_px, BASE_PX):
                file.write(base, window=Window(col, row, BASE_PX, BASE_PX))


def train_on(path: Path, memory: str, steps: int, folder: Path) -> dict[str, float]:
    """Load a scene as training data and train a refiner on it; return where the data lie and the peak memory."""
    import numpy as np

    from crispmap.classes import ClassDef, ClassSchema
    from crispmap.data.budget import DataBudget, parse_bytes
    from crispmap.data.patches import load_training_area
    from crispmap.data.scaling import measure_scaling
    from crispmap.geo.grid import Block
    from crispmap.raster.files import open_scene
    from crispmap.raster.scene import Scene
    from crispmap.refiners.rnn import FAST
    from crispmap.refiners.rnn.refiner import RecurrentRefiner
    from crispmap.training.options import TrainerOptions, TrainingRun
    from crispmap.training.run import train
    from crispmap.training.task import RefinerTask
    from crispmap.types import IGNORE, BoolArray, FloatArray, LabelArray

    class ScoresOfBands(Scene):
        """Scores computed from the scene when they are read, as those of a coarse network are."""

        def __init__(self, scene: Scene) -> None:
            self.grid, self.path, self._scene = scene.grid, scene.path, scene
            self.band_names = tuple("abc")

        def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
            image, valid = self._scene.read(block)
            return (image[:CLASSES] - image[3]) / np.float32(1000), valid

        def close(self) -> None:
            """Do nothing: the scene is closed by its owner."""

    def labels(block: Block) -> LabelArray:
        rows, cols = (np.arange(start, stop) // LABEL_PX for start, stop in
                      ((block.row, block.row_stop), (block.col, block.col_stop)))  # fmt: skip
        place = rows[:, None] * 7 + cols
        return np.where(place % 8 == 0, place // 8 % CLASSES, IGNORE).astype(np.uint8)

    schema = ClassSchema((ClassDef("a", "#000000"), ClassDef("b", "#ff0000"), ClassDef("c", "#00ff00")))
    settings = FAST.but(max_steps=steps, validate_every=steps, batch=8, patch_px=64)
    total = parse_bytes(memory)
    with open_scene(path) as scene:
        scaling = measure_scaling([(scene, Block(0, 0, BASE_PX, BASE_PX))])
        source = load_training_area(
            scene, scene.grid.block, labels, scaling, scores=ScoresOfBands(scene), budget=DataBudget(total, folder)
        )
        task = RefinerTask(RecurrentRefiner(classes=CLASSES, bands=BANDS, iterations=3), settings, schema)
        trainer = TrainerOptions("cpu", memory_bytes=total)
        result = train(task, [source], [], TrainingRun(folder / "training", trainer=trainer))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"held_mb": source.memory_bytes / 1e6, "seconds": result.seconds, "peak_mib": peak}


def run(path: Path, memory: str, steps: int, work: Path) -> Run:
    """Train in a process of its own.

    Raises:
        SystemExit: If it fails.
    """
    with tempfile.TemporaryDirectory(dir=work) as folder:
        found = measured(
            [
                sys.executable,
                __file__,
                "--train",
                str(path),
                "--memory",
                memory,
                "--steps",
                str(steps),
                "--work",
                folder,
            ]
        )
    if found.failure:
        raise SystemExit(found.failure)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.1, 1, 4])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--memory", default="100MB")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    path = options.work / "patch-source.tif"
    if options.train:
        print(json.dumps(train_on(options.train, options.memory, options.steps, options.work)))
        return
    if options.write:
        write_scene(path, options.write)
        return
    options.work.mkdir(parents=True, exist_ok=True)
    use_two_cores()
    print_table_head("data", "kept", "of them in memory, MB", "seconds in all", "of them training", "peak MiB")
    try:
        for number, size in enumerate(options.gigabytes):
            side = round(math.sqrt(size * 1e9 / PIXEL_BYTES) / BASE_PX) * BASE_PX
            written = measured([sys.executable, __file__, "--write", str(side), "--work", str(options.work)])
            if written.failure:
                raise SystemExit(written.failure)
            for kept, memory in ([("in memory", "1TB")] if number == 0 else []) + [("in files", options.memory)]:
                found = run(path, memory, options.steps, options.work)
                print_table_row(
                    f"{side**2 * PIXEL_BYTES / 1e9:.2f} GB", kept, f"{found.facts['held_mb']:.0f}",
                    f"{found.seconds:.1f}", f"{found.facts['seconds']:.1f}", f"{found.peak_mib:.0f}",
                )  # fmt: skip
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
