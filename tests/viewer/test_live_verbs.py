"""``--view`` of train, predict and refine: the same files to the bit, whatever is asked of the page meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from small_project import PROJECT, make_project

pytestmark = pytest.mark.slow
NETWORKS = """\
coarse: {kind: fcn-rnn, max_steps: 30, batch: 4, patch_px: 32}
refiner: {kind: rnn, iterations: 2, max_steps: 20, batch: 2, patch_px: 24}
"""


def crispmap(*arguments: str, folder: Path) -> tuple[int, str]:
    """Run the command; where it prints the address of a page, ask for all of it until the command ends."""
    command = [sys.executable, "-m", "crispmap", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if "--view" in arguments:
            url = process.stdout.readline().strip()
            threading.Thread(target=look, args=(url, process), daemon=True).start()
        _, said = process.communicate(timeout=300)
    return process.returncode, said


def look(url: str, process: subprocess.Popen[str]) -> None:
    """Ask for everything, over and over; at the end of the run say goodbye."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None:
        for path in ("live/1/0/0", "view.json", "tiles/l1/1-1/0/0/0", "alive"):
            try:
                content = opener.open(url + path, timeout=30).read()
            except OSError:
                continue
            if b'"ending": "done"' in content:
                opener.open(f"{url}bye", timeout=30).read()
                return
        time.sleep(0.05)


def test_files_are_the_same_with_and_without_a_page(tmp_path: Path) -> None:
    plain, viewed = tmp_path / "plain", tmp_path / "viewed"
    pages = {plain: [], viewed: ["--view", "--no-open"]}
    for folder, page in pages.items():
        folder.mkdir()
        make_project(folder, PROJECT + NETWORKS)
        status, said = crispmap("train", ".", *page, folder=folder)
        assert status == 0, said
    out = next(plain.glob("*/coarse.safetensors")).parent.name
    for name in ("coarse.safetensors", "refiner.safetensors"):
        one, other = (load_file(folder / out / name) for folder in pages)
        assert one.keys() == other.keys()
        assert all((one[key] == other[key]).all() for key in one)
        # Cards tell how long a training took, and maps the hash of all of the file.
        shutil.copy(plain / out / name, viewed / out / name)
    refine = ["refine", f"{out}/coarse_scores.tif", "--scene", "scene.tif", "--out", "again.tif",
              "--refiner", f"{out}/refiner.safetensors"]  # fmt: skip
    for folder, page in pages.items():
        for verb in (["predict", ".", "--block", "64"], refine):
            status, said = crispmap(*verb, "--engine", "torch", *page, folder=folder)
            assert status == 0, said
    for path in [plain / "again.tif", *(plain / out).glob("*.tif")]:
        assert path.read_bytes() == (viewed / path.relative_to(plain)).read_bytes(), path


def test_a_wrong_project_ends_as_ever(tmp_path: Path) -> None:
    status, said = crispmap("train", "nowhere.yaml", "--view", "--no-open", folder=tmp_path)
    assert status == 2
    assert "nowhere.yaml" in said
