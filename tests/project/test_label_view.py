"""`init` and `info` look into labels: they say, warn and draw before anything is trained."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from PIL import Image
from typer.testing import CliRunner, Result

from crispmap.cli.main import app
from crispmap.project.file import load_project
from crispmap.synth.write import write_town


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("town")
    write_town(folder, size_px=(160, 200), gsd_m=0.5)
    return folder


def test_init_says_and_draws_what_of_each_class_lies_on_the_scene(town: Path, tmp_path: Path) -> None:
    result = run("init", tmp_path, "--scene", town / "scene.tif", "--labels", town / "osm.gpkg")
    assert result.exit_code == 0, result.output
    assert "building: " in result.stderr
    assert " objects, " in result.stderr
    with Image.open(tmp_path / "labels.png") as picture:
        assert picture.width <= 740
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24) or ()}
    assert {one.rgb for one in load_project(tmp_path).schema} <= colours
    (looked,) = json.loads(run("info", tmp_path, "--json").stdout)["labels"]
    assert [one["name"] for one in looked["classes"]] == list(load_project(tmp_path).schema.names)
    assert sum(one["percent"] for one in looked["classes"]) == pytest.approx(100, abs=0.01)
    assert run("info", tmp_path, "--picture", tmp_path / "again.png").exit_code == 0
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "labels.png").read_bytes()
    assert run("info", tmp_path, "--picture", tmp_path / "again.png").exit_code == 2  # it exists
    assert run("info", town / "scene.tif", "--picture", tmp_path / "b.png").exit_code == 2  # no project


def test_a_class_of_which_nothing_lies_on_the_scene_is_named(town: Path, tmp_path: Path) -> None:
    words = ("--scene", town / "scene.tif", "--labels", town / "osm.gpkg", "--classes", "building,road,water")
    result = run("init", tmp_path, *words)
    assert result.exit_code == 0
    assert "Nothing of water lies on the scene" in result.stderr
    assert "Nothing of water" in run("info", tmp_path).stdout


def test_labels_that_do_not_fit_are_a_warning_and_the_project_is_kept_to_be_corrected(
    town: Path, tmp_path: Path
) -> None:
    far = gpd.GeoDataFrame({"building": ["yes"]}, geometry=[shapely.box(9, 9, 9.1, 9.1)], crs="EPSG:4326")
    far.to_file(tmp_path / "far.gpkg")
    result = run("init", tmp_path / "p", "--scene", town / "scene.tif", "--labels", tmp_path / "far.gpkg")
    assert result.exit_code == 0
    assert "warning" in result.stderr
    assert "lies on the scene" in result.stderr
    assert (tmp_path / "p/project.yaml").exists()
    assert not (tmp_path / "p/labels.png").exists()
    assert run("info", tmp_path / "p", "--picture", tmp_path / "x.png").exit_code == 2


def test_the_classes_of_a_column(town: Path, tmp_path: Path) -> None:
    labels = gpd.read_file(town / "osm.gpkg", layer="buildings")[["geometry"]]
    labels["cover"] = np.where(np.arange(len(labels)) % 2, "Old roof", "new roof")
    labels.to_file(tmp_path / "l.gpkg")
    given = ("--scene", town / "scene.tif", "--labels", tmp_path / "l.gpkg")
    assert "cover: " in run("init", tmp_path / "a", *given).stderr
    result = run("init", tmp_path / "b", *given, "--class-column", "cover")
    assert result.exit_code == 0, result.output
    names = set(load_project(tmp_path / "b").schema.names)
    assert names == {"background", "Old roof", "new roof"}
    assert "cover" in run("info", tmp_path / "l.gpkg").stdout
    for words in (["--class-column", "no"], ["--class-column", "cover", "--classes", "a"]):
        assert run("init", tmp_path / "c", *given, *words).exit_code == 2
        assert not (tmp_path / "c").exists()


def test_a_picture_that_lies_there_already_is_kept(town: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.png").write_text("mine")
    words = ("init", tmp_path, "--scene", town / "scene.tif", "--labels", town / "osm.gpkg")
    assert run(*words).exit_code == 2
    assert (tmp_path / "labels.png").read_text() == "mine"
    assert not (tmp_path / "project.yaml").exists()
    assert run(*words, "--force").exit_code == 0
