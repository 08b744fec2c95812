"""A run killed with SIGKILL at any moment goes on where it was, to the bytes of a run that was never killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from map_jobs import write_image, write_models

PROGRAM = Path(__file__).with_name("killed.py")
LONGEST_S = 4.0
"""About how long a whole run takes, once it has begun."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    return [write_image(folder / "scene.tif", (500, 620)), *write_models(folder)]


def begun(inputs, out):
    """Return a run that has loaded its libraries and begins its work."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), *map(str, inputs), str(out)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begins\n"
    return process


def finished(inputs, out):
    """Run to the end; return the bytes of the files and how many blocks were taken over."""
    with begun(inputs, out) as process:
        word, _, resumed = process.stdout.readline().partition(" ")
    assert (process.returncode, word) == (0, "done")
    return [path.read_bytes() for path in sorted(out.iterdir())], int(resumed)


@pytest.fixture(scope="module")
def expected(inputs, tmp_path_factory):
    return finished(inputs, tmp_path_factory.mktemp("whole"))[0]


def killed(inputs, out, after_s):
    """Kill a run some time after it has begun; return whether it was still running."""
    with begun(inputs, out) as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.returncode != 0


def check_kills(inputs, expected, folder, kills, seed):
    """Kill runs again and again at random moments, go on each time, and compare what comes out in the end."""
    moments = np.random.default_rng(seed)
    done = resumed = 0
    for number in range(kills):
        out = folder / str(done)
        out.mkdir(exist_ok=True)
        if killed(inputs, out, moments.uniform(0, LONGEST_S / (1 + number % 3))):
            assert sorted(path.name for path in out.iterdir() if path.name.endswith(".tif")) in (
                [], ["m.tif"], ["m.tif", "s.tif"],
            )  # fmt: skip
            continue
        assert [path.read_bytes() for path in sorted(out.iterdir())] == expected
        done += 1
    (folder / str(done)).mkdir(exist_ok=True)
    if not (folder / str(done) / "s.tif").exists():
        content, resumed = finished(inputs, folder / str(done))
        assert content == expected
    return done, resumed


@pytest.mark.slow
def test_three_kills(inputs, expected, tmp_path):
    check_kills(inputs, expected, tmp_path, kills=3, seed=1)


def test_a_run_killed_once_it_has_finished_blocks_takes_them_over(inputs, expected, tmp_path):
    with begun(inputs, tmp_path) as process:
        while len(list(tmp_path.glob(".m.tif.crispmap/blocks/r*"))) < 5:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
    content, resumed = finished(inputs, tmp_path)
    assert resumed >= 5
    assert content == expected


@pytest.mark.slow
def test_fifty_kills(inputs, expected, tmp_path):
    check_kills(inputs, expected, tmp_path, kills=50, seed=2)
