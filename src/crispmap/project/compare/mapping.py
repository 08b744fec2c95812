"""A method's scores on the test areas, mapped by a process of its own whose time and peak memory are measured.

The process loads only the method's models, so its peak memory is the method's own, libraries included. Linux reports it
(VmHWM); Python does not see what libraries take.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crispmap.errors import CrispmapError, SceneError
from crispmap.evaluation.readers import AreaUnion
from crispmap.files.dataset import few_blocks_kept
from crispmap.geo.areas import Area, box_of
from crispmap.geo.grid import Block, Grid
from crispmap.inference.engines import EngineChoice
from crispmap.inference.plan import BLOCK_PX
from crispmap.inference.work import ScoreWork
from crispmap.project.file import load_project
from crispmap.project.inputs import open_sources
from crispmap.project.run import map_job
from crispmap.raster.pipeline import available_cores
from crispmap.raster.scene import Scene
from crispmap.types import BoolArray, FloatArray

_STATUS = Path("/proc/self/status")


class MappingError(CrispmapError):
    """A map that could not be made, with the message of the process."""


@dataclass(frozen=True)
class MapOrder:
    """What the process is to map."""

    project: str  # the project file
    models: dict[str, str]  # the model files by "coarse" and "refiner", as far as the method has them
    folder: str  # where the scores go, those of every scene in a folder of its name
    device: str = "auto"


@dataclass(frozen=True)
class MappingCost:
    """The cost of mapping the test areas."""

    seconds: float  # reading and computing on all cores; without starting the process, loading models and writing
    pixels: int  # computed: the test areas and their surroundings, in whole tiles
    peak_mib: float  # peak resident memory of the process
    engine: str
    blended: str = ""  # why the scores are not those of the models on the whole scene, or empty

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise ValueError(f"{self.pixels} pixels were mapped")

    @property
    def seconds_per_mpx(self) -> float:
        """Seconds for a million pixels."""
        return self.seconds / self.pixels * 1e6


class BoxScores(Scene):
    """Scores that ``map_apart`` left in a folder, as a raster on the working grid; invalid outside the test areas."""

    def __init__(self, folder: Path, grid: Grid, box: Block, class_names: tuple[str, ...]) -> None:
        self.grid, self.band_names, self.path = grid, class_names, folder / "scores.npy"
        self._box = box
        self._scores = np.load(self.path, mmap_mode="r")
        self._valid = np.load(folder / "valid.npy", mmap_mode="r")

    def _read_inside(self, block: Block) -> tuple[FloatArray, BoolArray]:
        scores = np.zeros((self.band_count, *block.shape), np.float32)
        valid = np.zeros(block.shape, np.bool_)
        shared = block.intersection(self._box)
        if not shared.is_empty:
            target, source = shared.relative_to(block).slices, shared.relative_to(self._box).slices
            scores[:, *target], valid[target] = self._scores[:, *source], self._valid[source]
        return scores, valid

    def close(self) -> None:
        """Release the files."""
        self._scores, self._valid = self._scores[:0], self._valid[:0]


def map_apart(order: MapOrder) -> MappingCost:
    """Map the test areas in a process of its own, which writes the scores to the order's folder."""
    command = [sys.executable, "-W", "ignore", "-m", __name__, json.dumps(asdict(order))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return MappingCost(**json.loads(lines[-1]))
    message = (done.stderr.strip().splitlines() or [""])[-1]
    if done.returncode < 0:
        message = f"The process that mapped the test areas was ended by signal {-done.returncode}: memory may be short."
    raise MappingError(message or f"The process that mapped the test areas ended with status {done.returncode}.")


def map_here(order: MapOrder) -> MappingCost:
    """Map the test areas in this process; see ``map_apart``."""
    project = load_project(order.project)
    with few_blocks_kept(), open_sources(project) as sources:
        gsd_m = sources.gsd_m if len(sources.scenes) > 1 else project.gsd_m
        areas = {one.scene.name: one.areas["test"] for one in sources.scenes if one.areas.get("test")}
    models = {name: Path(path) for name, path in order.models.items()}
    engine = EngineChoice(device=order.device, threads=available_cores())
    found = []
    for scene in project.scenes:
        if scene.name in areas:
            job = replace(map_job(project, scene, models, gsd_m), engine=engine, by_square=False)
            with few_blocks_kept(), job.opened() as opened:
                found.append(_mapped(opened.work(), areas[scene.name], Path(order.folder) / scene.name))
    pixels = sum(one.pixels for one in found)
    if not pixels:
        raise SceneError("The test areas hold no pixel.", expected="areas: test: on the scene")
    seconds = round(sum(one.seconds for one in found), 4)
    return replace(found[0], seconds=seconds, pixels=pixels, peak_mib=round(peak_mib(), 1))


def _mapped(work: ScoreWork, areas: list[Area], folder: Path) -> MappingCost:
    """Compute the blocks of a scene's test areas, on whole tiles, and write their pixels."""
    box = box_of(areas)
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {"scores": ((work.classes, *box.shape), np.float32), "valid": (box.shape, np.bool_)}
    for name, (shape, dtype) in shapes.items():
        # Created as holes: what is not written reads as 0, and invalid.
        np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=dtype, shape=shape)
    seconds, pixels = 0.0, 0
    with ThreadPoolExecutor(available_cores()) as pool:
        for block in _blocks(work, areas, box):
            begun = time.perf_counter()
            layers = work.compute(block, pool)
            seconds += time.perf_counter() - begun
            pixels += block.height * block.width
            if layers is not None:
                _write(folder, box, block, layers[0])
    return MappingCost(seconds, pixels, peak_mib(), work.engine, work.blended)


def _blocks(work: ScoreWork, areas: list[Area], box: Block) -> Iterator[Block]:
    side = max(1, BLOCK_PX // work.tile_px) * work.tile_px
    union = AreaUnion(areas)
    for row in range(box.row // work.tile_px * work.tile_px, box.row_stop, side):
        for col in range(box.col // work.tile_px * work.tile_px, box.col_stop, side):
            block = _trimmed(Block(row, col, side, side), box, work)
            if union.mask(block).any():
                yield block


def _trimmed(block: Block, box: Block, work: ScoreWork) -> Block:
    """Return the block without the tiles beyond the box, cut to the scene."""
    spans = (block.row, block.row_stop, box.row_stop), (block.col, block.col_stop, box.col_stop)
    height, width = (-(-(min(stop, end) - start) // work.tile_px) * work.tile_px for start, stop, end in spans)
    return replace(block, height=height, width=width).intersection(work.grid.block)


def _write(folder: Path, box: Block, block: Block, pixels: tuple[FloatArray, BoolArray]) -> None:
    # Opened for each block, so that pages written do not stay in this process's memory and count.
    shared = block.intersection(box)
    source, target = shared.relative_to(block).slices, shared.relative_to(box).slices
    for name, values in zip(("scores", "valid"), pixels, strict=True):
        file: Any = np.lib.format.open_memmap(folder / f"{name}.npy", mode="r+")
        file[(..., *target)] = values[(..., *source)]


def peak_mib() -> float:
    """Return the peak resident memory of this process so far, in MiB."""
    if _STATUS.exists():
        # The peak of getrusage includes the process this one was forked from; VmHWM does not.
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def main(text: str) -> int:
    """Map what an order in JSON asks for, print its cost as JSON, and return the exit status."""
    try:
        print(json.dumps(asdict(map_here(MapOrder(**json.loads(text))))))  # noqa: T201 - it answers its parent
    except CrispmapError as error:
        print(error.given, file=sys.stderr)  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
