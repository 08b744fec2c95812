"""Wide scenes pansharpened by processes of their own: in memory that does not grow, killed and resumed."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

CRISPMAP = [sys.executable, "-c", "from crispmap.cli.main import main; main()"]


def write_wide(path: Path, bands: int, height: int, width: int, gsd: float) -> Path:
    """Write noise in tiles, a column of them at a time."""
    rng = np.random.default_rng(0)
    tile = rng.integers(500, 2000, (bands, height, 1000), np.uint16)
    profile = {"count": bands, "height": height, "width": width, "dtype": "uint16", "tiled": True}
    transform = Affine(gsd, 0, 500_000, 0, -gsd, 5_000_000)
    sides = {"blockxsize": 256, "blockysize": 256}
    with rasterio.open(path, "w", crs="EPSG:32631", transform=transform, **profile, **sides) as dataset:
        for col in range(0, width, 1000):
            part = tile[:, :, : width - col]
            dataset.write(part, window=Window(col, 0, part.shape[2], height))
    return path


PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def peak_mib(command: list[str | Path]) -> float:
    """Return the peak memory of a command that succeeds.

    Through a small process: what a process has at most begins at what that has which starts it.
    """
    done = subprocess.run([sys.executable, "-c", PEAK, *command], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


@pytest.mark.slow
def test_memory_does_not_grow_with_the_width(tmp_path: Path) -> None:
    peaks = []
    for width in (5000, 20000):
        multispectral = write_wide(tmp_path / "ms.tif", 4, 2048, width // 2, 2.0)
        pan = write_wide(tmp_path / "pan.tif", 1, 4096, width, 1.0)
        command = [*CRISPMAP, "pansharpen", multispectral, pan, "--out", tmp_path / "out.tif", "--force"]
        # Peaks of equal runs differ by a tenth, by how the threads meet; what grows with the width grows in each.
        peaks.append(min(peak_mib([*command, "--workers", "2"]) for _ in range(4)))
    assert max(peaks) <= 1024
    assert peaks[1] == pytest.approx(peaks[0], rel=0.1)


@pytest.mark.slow
def test_a_run_that_is_killed_ends_with_the_same_bytes(tmp_path: Path) -> None:
    multispectral = write_wide(tmp_path / "ms.tif", 3, 256, 256, 2.0)
    pan = write_wide(tmp_path / "pan.tif", 1, 512, 512, 1.0)
    command = [*CRISPMAP, "pansharpen", multispectral, pan, "--block", "64", "--out"]
    process = subprocess.Popen([*command, tmp_path / "out.tif"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    blocks = tmp_path / ".out.tif.crispmap" / "blocks"
    while process.poll() is None and not list(blocks.glob("r*")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out.tif").exists()
    again = subprocess.run([*command, tmp_path / "out.tif"], capture_output=True, text=True, check=True)
    assert "Resumed" in again.stderr
    subprocess.run([*command, tmp_path / "whole.tif", "--block", "512"], capture_output=True, check=True)
    assert (tmp_path / "out.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()
