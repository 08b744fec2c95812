"""Verbs killed with SIGKILL at any moment show nothing half-written, and end as if never killed when given again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from safetensors.numpy import load_file

from small_project import make_project

PROGRAM = Path(__file__).with_name("forked.py")
PROJECT = """\
crispmap: 2
name: hamlet
seed: 3
scene: {path: scene.tif}
classes:
  - {name: background, colour: "#f2efe9"}
  - {name: building, colour: "#d7191c", osm: building}
  - {name: road, colour: "#fdae61", osm: road, width_m: 7}
labels: {path: imprecise.tif}
reference: {path: precise.tif}
areas:
  coarse: [{window: [0, 0, 160, 64]}]
  refiner: [{window: [0, 64, 160, 48]}]
  test: [{window: [0, 112, 160, 48]}]
coarse: {kind: fcn-rnn, max_steps: 6, batch: 2, patch_px: 16}
refiner: {iterations: 2, max_steps: 40, batch: 2, patch_px: 16}
output: {folder: results}
"""
VERBS = {
    "train": ["train", "project.yaml", "--stage", "refiner", "--resume"],
    "evaluate": ["evaluate", "project.yaml", "--force"],
    "compare": ["compare", "project.yaml", "--methods", "fcn-rnn,rnn"],
    "vectorize": ["vectorize", "results/refined.tif", "--out", "results/polygons.gpkg", "--force"],
}
OF_THE_RUN = (
    "seconds",
    "training_s",
    "mapping",
    "models",
)  # figures of the run, not of the map; models keep their time
KILLS = 20


class Copies:
    """The program that runs the command in copies of itself."""

    def __init__(self, folder: Path) -> None:
        settings = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=folder,
            env=settings,
        )  # fmt: skip
        assert self.line() == "ready"

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def run(self, arguments: list[str], kill_after_s: float | None = None) -> int:
        """Run the command, killed after a time unless it ends before; return its status, -9 where it was killed."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(arguments) + "\n")
        self.process.stdin.flush()
        copy = int(self.line())
        timer = None if kill_after_s is None else threading.Timer(kill_after_s, os.kill, (copy, signal.SIGKILL))
        if timer is not None:
            timer.start()
        status = int(self.line())
        if timer is not None:
            timer.cancel()
        return status


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in ``whole`` that every verb has gone over; in ``before``, what is there without its results."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "whole").mkdir()
    make_project(folder / "whole", PROJECT)
    return folder


@pytest.fixture(scope="module")
def copies(folder: Path) -> Iterator[Copies]:
    made = Copies(folder / "whole")
    with made.process:
        yield made
        made.process.kill()


def shown(folder: Path) -> list[Path]:
    """The files that a person sees."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.parts))


def stamp(path: Path) -> tuple[int, int] | None:
    """When a file was written, and its size; None without a file."""
    return (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else None


def content(path: Path) -> Any:
    """What a file says, without when and how fast it was made; an error for half a file."""
    if path.suffix == ".json":
        return {key: value for key, value in json.loads(path.read_text()).items() if key not in OF_THE_RUN}
    if path.suffix == ".safetensors":
        tensors = {name: value.tobytes() for name, value in load_file(path).items()}
        return "state" if path.name == "last.safetensors" else tensors
    if path.suffix == ".tif":
        with rasterio.open(path) as file:
            return file.read().tobytes()
    if path.suffix == ".gpkg":
        frame = gpd.read_file(path)
        return frame.to_wkt().to_dict()
    if path.suffix == ".html":
        assert path.read_text().rstrip().endswith("</html>")
    if path.suffix == ".csv":
        rows = path.read_text()
        assert rows.endswith("\n")
        return [[cell for number, cell in enumerate(row.split(",")) if number != 1] for row in rows.splitlines()]
    return None


@pytest.mark.slow
@pytest.mark.parametrize("verb", list(VERBS))
def test_a_verb_that_is_killed_loses_nothing(folder: Path, copies: Copies, verb: str) -> None:
    whole, before = folder / "whole", folder / "before"
    for earlier in (["train", "project.yaml", "--force"], ["predict", "project.yaml", "--force"]):
        if not (whole / "results" / "refined.tif").exists():
            assert copies.run(earlier) == 0
    if verb == "train":
        for name in ("refiner.safetensors", "training/refiner"):
            path = whole / "results" / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    shutil.copytree(whole, before)
    begun = time.monotonic()
    assert copies.run(VERBS[verb]) == 0
    lasts_s = time.monotonic() - begun
    made = [path for path in shown(whole) if path.suffix not in (".vm", "") and "tensorboard" not in path.parts]
    expected = {path: content(whole / path) for path in made}
    moments, killed = np.random.default_rng(list(VERBS).index(verb)), 0
    while killed < KILLS:
        for path in whole.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(before, whole, dirs_exist_ok=True)
        status = -9
        while status == -9 and killed < KILLS:
            status = copies.run(VERBS[verb], moments.uniform(0, lasts_s))
            killed += status == -9
            for path in shown(whole):
                if stamp(whole / path) != stamp(before / path):
                    content(whole / path)
        if status == -9:
            assert copies.run(VERBS[verb]) == 0
        else:
            assert status == 0
        assert {path: content(whole / path) for path in expected} == expected
        assert [path for path in shown(whole) if "tensorboard" not in path.parts] == made
    shutil.rmtree(before)
