"""The command told to stop, by the system or by Ctrl-C: it cleans up behind itself."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from small_place import CRISPMAP, contents, write_models, write_raster, write_vectors

from crispmap.cli.failures import INTERRUPTED, TERMINATED, termination_raised


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with more ground than is mapped before a signal arrives."""
    folder = tmp_path_factory.mktemp("wide")
    side = 6000
    write_raster(folder / "scene.tif", np.broadcast_to(np.uint8(7), (3, side, side)), compress="deflate", tiled=True)
    write_raster(folder / "scores.tif", np.broadcast_to(np.float32(1), (3, side, side)), compress="deflate", tiled=True)
    write_raster(folder / "like.tif", np.broadcast_to(np.uint8(7), (1, 4 * side, 4 * side)), compress="deflate")
    write_vectors(folder / "osm.gpkg")
    write_models(folder)
    return folder


MAPPING = {
    "predict": "predict scene.tif --model coarse.safetensors --out map.tif --scores u.tif --precision float32",
    "refine": "refine scores.tif --kind logit --scene scene.tif --refiner refiner.safetensors --out map.tif "
    "--precision float32",
}
RASTERIZE = "rasterize osm.gpkg --like like.tif --out map.tif --road-width-m 3000"


def stopped(folder: Path, command: str, sign: str, number: int) -> tuple[int, str, str]:
    """Run a command, signal it when a file of that pattern is there, and return its status and what it said."""
    with subprocess.Popen(
        [*CRISPMAP, *command.split()], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        until = time.monotonic() + 60
        while not list(folder.glob(sign)) and child.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        child.send_signal(number)
        output, errors = child.communicate(timeout=60)
    return child.returncode, output, errors


@pytest.mark.slow
def test_a_command_terminated_leaves_nothing_behind(wide: Path) -> None:
    before = contents(wide)
    assert stopped(wide, RASTERIZE, ".*.part/scratch.tif", signal.SIGTERM) == (TERMINATED, "", "Terminated.\n")
    assert contents(wide) == before


@pytest.mark.parametrize(
    ("verb", "number", "status", "said"),
    [
        *(
            pytest.param(verb, signal.SIGTERM, TERMINATED, "Terminated.", marks=pytest.mark.slow if more else ())
            for more, verb in enumerate(MAPPING)
        ),
        ("predict", signal.SIGINT, INTERRUPTED, "Interrupted."),
    ],
)
def test_mapping_stopped_keeps_its_blocks_and_says_so(
    wide: Path, verb: str, number: int, status: int, said: str
) -> None:
    before = contents(wide)
    returned, output, errors = stopped(wide, MAPPING[verb], ".map.tif.crispmap/blocks/r*", number)
    assert (returned, output) == (status, "")
    told = errors.splitlines(keepends=True)[-1]  # before it, what scores of another tool are read as
    assert re.fullmatch(
        rf"{said} \d+ of 36 blocks are finished and kept; the same command goes on from there\.\n", told
    )
    assert list(wide.glob(".map.tif.crispmap/blocks/r*"))
    assert not (wide / "map.tif").exists()
    shutil.rmtree(wide / ".map.tif.crispmap")
    assert contents(wide) == before


def test_what_stood_for_the_signal_before_stands_again() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped, termination_raised():
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == TERMINATED
    assert signal.getsignal(signal.SIGTERM) is before
