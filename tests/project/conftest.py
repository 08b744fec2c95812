"""A small town and a project on it, trained for a few steps: enough to carry through, not to be good."""

from __future__ import annotations

from pathlib import Path

import pytest

from crispmap.project.run import predict_project, train_project
from crispmap.synth.write import write_town

SIZE_PX = (320, 800)

PROJECT = """\
crispmap: 2
name: hamlet
seed: 3
scene: {path: scene.tif}
classes:
  - {name: background, colour: "#f2efe9"}
  - {name: building, colour: "#d7191c", osm: building}
  - {name: road, colour: "#fdae61", osm: road, width_m: 7}
labels: {path: osm.gpkg}
reference: {path: truth.tif}
areas:
  coarse: [{window: [0, 0, 320, 400]}]
  refiner: [{window: [0, 400, 320, 200]}]
  test: [{window: [0, 600, 320, 200]}]
coarse: {kind: fcn-rnn, gsd_m: 1.0, max_steps: 12, batch: 4, patch_px: 32}
refiner: {iterations: 2, max_steps: 20, batch: 2, patch_px: 24}
output: {folder: results}
"""


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hamlet")
    write_town(folder, size_px=SIZE_PX, seed=1)
    (folder / "project.yaml").write_text(PROJECT)
    return folder


@pytest.fixture(scope="session")
def mapped_town(town: Path) -> Path:
    """The town's folder after training and mapping."""
    train_project(town)
    predict_project(town)
    return town


@pytest.fixture
def project(town: Path, tmp_path: Path) -> Path:
    """A project file of one's own on the shared town, to change at will; its results go to a folder of its own."""
    text = PROJECT
    for name in ("scene.tif", "osm.gpkg", "truth.tif"):
        text = text.replace(name, str(town / name))
    path = tmp_path / "project.yaml"
    path.write_text(text)
    return path
