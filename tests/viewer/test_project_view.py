"""The view of a project: all that its file names, and what is in its output folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasters_to_view import write

from crispmap.errors import ProjectError
from crispmap.geo.grid import Block
from crispmap.project.file import load_project
from crispmap.raster.spec import CLASSES_TAG, SCORES_TAG
from crispmap.viewer.run import ViewOptions, assemble
from small_project import PROJECT, make_project


def made(folder: Path) -> Path:
    """Make a project with a coarse map and scores."""
    make_project(folder, PROJECT)
    project = load_project(folder)
    out = project.output_folder
    out.mkdir()
    with rasterio.open(folder / "imprecise.tif") as labels:
        ids, place = labels.read(1), labels.transform
    write(out / "coarse.tif", ids, nodata=255, transform=place, tags={CLASSES_TAG: project.schema.to_json()})
    scores = np.eye(3, dtype=np.float32)[ids].transpose(2, 0, 1)
    write(out / "coarse_scores.tif", scores, transform=place, tags={SCORES_TAG: "logit"})
    return folder


def test_all_of_a_project_is_shown(tmp_path: Path) -> None:
    view = assemble([made(tmp_path)])
    assert [(one.name, one.kind) for one in view.layers] == [
        ("image", "image"), ("coarse map", "classes"), ("reference", "classes"), ("labels", "classes"),
        ("coarse scores: band 2", "amount"), ("coarse scores: band 3", "amount"), ("errors of coarse map", "errors"),
    ]  # fmt: skip
    roles = [one.role for one in view.outlines]
    assert set(roles) >= {"coarse", "refiner", "test"}
    test = next(one for one in view.outlines if one.role == "test")
    assert {(x, y) for ring in test.rings for x, y in ring} == {(120, 0), (160, 0), (160, 160), (120, 160)}
    whole = Block(0, 0, 160, 160)
    read = {one.name: one.source.read(0, whole)[0][0] for one in view.layers if one.kind in ("classes", "errors")}
    with rasterio.open(tmp_path / "precise.tif") as precise:
        assert (read["reference"] == precise.read(1)).all()
    assert ((read["errors of coarse map"] > 0) == (read["coarse map"] != read["reference"])).all()
    view.close()


def test_without_maps_the_labels_are_shown_and_a_note_says_what_makes_maps(tmp_path: Path) -> None:
    make_project(tmp_path, PROJECT)
    view = assemble([tmp_path / "project.yaml"])
    assert [one.name for one in view.layers] == ["image", "reference", "labels"]
    assert any("crispmap predict" in one for one in view.notes)


def test_a_scene_that_is_not_there_is_refused(tmp_path: Path) -> None:
    make_project(tmp_path, PROJECT)
    with pytest.raises(ProjectError) as caught:
        assemble([tmp_path], ViewOptions(scene="elsewhere"))
    assert "elsewhere" in caught.value.given


def test_labels_that_are_gone_are_named_in_a_note(tmp_path: Path) -> None:
    folder = made(tmp_path)
    project = (folder / "project.yaml").read_text()
    (folder / "imprecise.tif").rename(folder / "moved.tif")
    (folder / "project.yaml").write_text(project.replace("imprecise.tif", "moved.tif"))
    (folder / "moved.tif").write_bytes(b"no raster")
    view = assemble([folder])
    assert "labels" not in [one.name for one in view.layers]
    assert any(note.startswith("The labels cannot be shown") for note in view.notes)
