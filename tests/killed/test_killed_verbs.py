"""Verbs killed with SIGKILL at any moment: nothing half written is seen, and the same command then ends as ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
from safetensors.numpy import load_file

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS / "cli"))

from small_place import PROJECT, write_place, write_raster  # noqa: E402

pytestmark = pytest.mark.slow

KILLS = {"compare": 8, "train": 12}  # of the verbs that take long; 20 of the others
TRAINED = PROJECT.replace("refiner: {iterations: 2, max_steps: 2,", "refiner: {iterations: 2, max_steps: 20,")


def polygons(path: Path) -> str:
    """What a GeoPackage holds; the file itself has its time of writing in it."""
    return str(gpd.read_file(path, layer=path.stem).to_wkt().to_csv())


def weights(path: Path) -> dict[str, bytes]:
    """The weights of a model."""
    return {name: value.tobytes() for name, value in load_file(path).items()}


def figures(path: Path) -> Any:
    """The figures of a method, without what its training and its mapping cost."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    return {name: entries[name] for name in ("scores", "rethresholded", "biases", "parameters", "steps")}


@dataclass(frozen=True)
class Verb:
    """A verb, how it is taken up again, and how its files are read."""

    command: str
    again: str
    files: dict[str, Callable[[Path], Any]]
    removed: tuple[str, ...] = ()  # what the place has of it already


VERBS = {
    "evaluate": Verb(
        "evaluate project.yaml", "", {"results/figures.json": Path.read_bytes, "results/report.html": Path.read_bytes}
    ),
    "vectorize": Verb("vectorize map.tif --out map.gpkg", "", {"map.gpkg": polygons}),
    "compose": Verb(
        "compose scene.tif --gsd-m 0.4 --block 64 --workers 2 --out composed.tif", "",
        {"composed.tif": Path.read_bytes},
    ),
    "compare": Verb(
        "compare project.yaml --methods fcn-rnn,rnn",
        "",
        {f"results/compare/{name}/figures.json": figures for name in ("fcn-rnn", "fcn-rnn+rnn")},
    ),
    "train": Verb(
        "train project.yaml --stage refiner", " --resume", {"results/refiner.safetensors": weights},
        ("results/refiner.safetensors", "results/training/refiner"),
    ),
}  # fmt: skip


class Forks:
    """Runs of the command in processes forked from one that has imported it."""

    def __init__(self) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self._parent = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forked.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=environment,
        )  # fmt: skip

    def run(self, folder: Path, command: str, kill_after_s: float | None = None) -> int:
        """Run a command to its end, or kill it after a time; return its status."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps([str(folder), command.split()]) + "\n")
        self._parent.stdin.flush()
        child = int(self._parent.stdout.readline())
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with suppress(ProcessLookupError):  # it has ended
                os.kill(child, signal.SIGKILL)
        return int(self._parent.stdout.readline())

    def close(self) -> None:
        """End the process that forks."""
        self._parent.kill()
        self._parent.communicate()


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    running = Forks()
    yield running
    running.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Path:
    """A small place with a map, and a project that is trained and mapped."""
    folder = tmp_path_factory.mktemp("place")
    write_place(folder)
    (folder / "project.yaml").write_text(TRAINED)
    rng = np.random.default_rng(0)
    write_raster(folder / "map.tif", rng.integers(0, 3, (1, 96, 160)).astype(np.uint8))
    for command in ("train project.yaml", "predict project.yaml"):
        assert forks.run(folder, command) == 0, errors_of(folder)
    return folder


def errors_of(folder: Path) -> str:
    return folder.with_suffix(".errors").read_text()


def hidden(folder: Path) -> set[str]:
    """The hidden files and folders below a folder, less single files, which are cleared away after an hour."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if not path.name.endswith(".part") or path.is_dir())
    return {str(one) for one in found if any(part.startswith(".") for part in one.parts)}


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_killed_at_any_moment_ends_as_if_it_never_was(
    name: str, place: Path, forks: Forks, tmp_path: Path
) -> None:
    verb, moments = VERBS[name], np.random.default_rng(sorted(VERBS).index(name))

    def fresh(label: str) -> Path:
        folder = Path(shutil.copytree(place, tmp_path / label))
        for one in verb.removed:
            shutil.rmtree(folder / one) if (folder / one).is_dir() else (folder / one).unlink()
        return folder

    whole, begun = fresh("whole"), time.monotonic()
    assert forks.run(whole, verb.command) == 0, errors_of(whole)
    took = time.monotonic() - begun
    expected = {file: read(whole / file) for file, read in verb.files.items()}
    left = hidden(whole)
    killed, kills = 0, KILLS.get(name, 20)
    for number in range(kills):
        folder = fresh(f"killed {number}")
        killed += forks.run(folder, verb.command, moments.uniform(0, took)) == -signal.SIGKILL
        for file, read in verb.files.items():
            if (folder / file).exists():
                assert read(folder / file) == expected[file]
        done = all((folder / file).exists() for file in verb.files)
        again = " --force" if done and name in ("compose", "evaluate", "vectorize") else verb.again
        assert forks.run(folder, verb.command + again) == 0, errors_of(folder)
        assert {file: read(folder / file) for file, read in verb.files.items()} == expected
        if not hidden(folder) <= left:  # a process that outlived the killed one may have had it in use until now
            assert forks.run(folder, verb.command + again) == 0, errors_of(folder)
        assert hidden(folder) <= left
        shutil.rmtree(folder)
    assert killed > kills // 4
