"""A data set of many large images, such as DeepGlobe's 803: training stays in little memory, with few files open."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pair_sets import CLASS_DICT, COLOURS, jpeg, town
from PIL import Image

IMAGES = int(os.environ.get("CRISPMAP_TEST_IMAGES", "200"))
SIDE_PX = int(os.environ.get("CRISPMAP_TEST_SIDE", "2448"))
DISTINCT = 6
PROJECT = """\
crispmap: 2
name: large
dataset: {path: data}
coarse: {kind: fcn-rnn, max_steps: 20, batch: 16, patch_px: 64}
output: {folder: out}
"""
TRAIN = """\
import json
from pathlib import Path
from crispmap.training import loop
from crispmap.project.run import train_project
files = []
record = loop.TrainingRecord.add
def add(self, *given):
    files.append(len(list(Path("/proc/self/fd").iterdir())))
    return record(self, *given)
loop.TrainingRecord.add = add
train_project(Path("project.yaml"))
peak = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")][0].split()[1]
print(json.dumps({"peak": int(peak) * 1024, "files": max(files)}))
"""


def commented(image: bytes, text: str) -> bytes:
    """A JPEG with a comment: another file that shows the same."""
    comment = text.encode()
    return image[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + image[2:]


def write_large(folder: Path) -> None:
    folder.mkdir()
    for kind in range(DISTINCT):
        image, ids = (np.tile(one, (SIDE_PX // 96 + 1, SIDE_PX // 128 + 1, *[1] * (one.ndim - 2)))[:SIDE_PX, :SIDE_PX]
                      for one in town(kind))  # fmt: skip
        content = jpeg(image, quality=70)
        first = folder / f"{kind}_mask.png"
        Image.fromarray(COLOURS[ids]).save(first, compress_level=1)
        for number in range(kind, IMAGES, DISTINCT):
            (folder / f"{number}_sat.jpg").write_bytes(commented(content, f"image {number}"))
            if number != kind:
                (folder / f"{number}_mask.png").hardlink_to(first)
    (folder / "class_dict.csv").write_text(CLASS_DICT)


@pytest.mark.slow
def test_many_large_images_train_within_2_gb(tmp_path: Path) -> None:
    write_large(tmp_path / "data")
    (tmp_path / "project.yaml").write_text(PROJECT)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAIN],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["peak"] < 2e9
    assert found["files"] < 50
