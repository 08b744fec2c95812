"""Maps whose networks were exported before load no PyTorch, and neither does what computes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from model_files import mapped, write_files

from crispmap.files.cache import VARIABLE
from crispmap.inference.job import GivenScores
from crispmap.inference.options import PredictOptions
from crispmap.inference.predict import Outputs, refine_scene
from crispmap.raster.resolve import resolve_scenes

HEAVY = {"torch", "lightning", "torchvision", "timm", "segmentation_models_pytorch", "onnx", "onnxscript", "sympy"}
LIGHT = """
import json, sys
from crispmap.cli.main import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["crispmap", *words]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, words
    found = sorted({name.partition(".")[0] for name in sys.modules} & set(%r))
    assert not found, (words, found)
"""


def run_light(folder: Path, heavy: set[str], *commands: list[str]) -> None:
    script = [sys.executable, "-c", LIGHT % sorted(heavy), json.dumps(commands)]
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_warm_maps_and_what_computes_nothing_load_no_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    folder = write_files(tmp_path)
    mapped(folder, tmp_path / "map.tif", "fcn", "rnn")
    refine_scene(
        GivenScores(tmp_path / "map.scores.tif"), resolve_scenes([folder / "scene.tif"]),
        refiner=folder / "rnn.safetensors", outputs=Outputs(tmp_path / "fine.tif"), options=PredictOptions(),
    )  # fmt: skip
    scene, coarse, refiner = (str(folder / name) for name in ("scene.tif", "fcn.safetensors", "rnn.safetensors"))
    run_light(
        tmp_path, HEAVY | {"pandas", "geopandas", "scipy", "pyogrio", "matplotlib"},
        ["predict", scene, "--model", coarse, "--refiner", refiner, "--out", "warm.tif"],
        ["refine", "map.scores.tif", "--scene", scene, "--refiner", refiner, "--out", "warm.tif", "--force"],
    )  # fmt: skip
    run_light(
        tmp_path, HEAVY,
        ["info", coarse],
        ["cache"],
        ["vectorize", "map.tif", "--out", "map.gpkg"],
        ["rasterize", "map.gpkg", "--like", scene, "--all-as", "building", "--out", "drawn.tif"],
        ["evaluate", "map.tif", "--reference", "map.tif"],
        ["area", "map.tif", "--out", "areas.csv"],
    )  # fmt: skip
