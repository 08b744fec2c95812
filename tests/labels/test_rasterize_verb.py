"""The verb ``rasterize``, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from typer.testing import CliRunner, Result

from crispmap.cli.main import app

ORIGIN = 450_000, 5_400_200


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    transform = rasterio.Affine(0.5, 0, ORIGIN[0], 0, -0.5, ORIGIN[1])
    with rasterio.open(
        path, "w", driver="GTiff", height=200, width=300, count=3, dtype="uint8", crs="EPSG:32631", transform=transform
    ) as file:
        file.write(np.random.default_rng(0).integers(1, 255, (3, 200, 300), dtype=np.uint8))
    return path


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "osm.gpkg"
    house = shapely.box(450_010, 5_400_110, 450_030, 5_400_130)
    street = shapely.LineString([(449_900, 5_400_150), (450_300, 5_400_150)])
    gpd.GeoDataFrame(
        {"building": ["yes", None], "highway": [None, "residential"]}, geometry=[house, street], crs="EPSG:32631"
    ).to_file(path)
    return path


def call(*words: object) -> Result:
    return CliRunner().invoke(app, ["rasterize", *map(str, words)])


def figures(result: Result) -> dict[str, int]:
    assert result.exit_code == 0, result.output
    return {row["name"]: row["pixels"] for row in json.loads(result.stdout)["classes"]}


def test_presets_by_default(tmp_path: Path, scene: Path, vectors: Path) -> None:
    out = tmp_path / "labels.tif"
    found = figures(call(vectors, "--like", scene, "--out", out, "--json"))
    assert found == {"background": 60_000 - 1600 - 14 * 300, "building": 1600, "road": 14 * 300}
    with rasterio.open(out) as file:
        assert file.shape == (200, 300)
        assert np.bincount(file.read(1).ravel()).tolist() == list(found.values())


def test_options_reach_the_drawing(tmp_path: Path, scene: Path, vectors: Path) -> None:
    base = [vectors, "--like", scene, "--out", tmp_path / "a.tif", "--json", "--force"]
    assert figures(call(*base, "--road-width-m", 4))["road"] == 8 * 300
    assert figures(call(*base, "--classes", "road,building", "--all-as", "building"))["road"] == 0
    assert figures(call(*base, "--classes", "building")) == {"background": 58_400, "building": 1600}
    assert figures(call(*base, "--all-as", "water"))["water"] == 1600 + 14 * 300


def test_a_table_for_people(tmp_path: Path, scene: Path, vectors: Path) -> None:
    result = call(vectors, "--like", scene, "--out", tmp_path / "a.tif")
    assert result.exit_code == 0
    assert "building" in result.stdout
    assert "2.67 %" in result.stdout


@pytest.mark.parametrize("wrapped", [False, True])
def test_classes_from_a_file(tmp_path: Path, scene: Path, vectors: Path, wrapped: bool) -> None:
    entries = '- {name: ground, colour: "#000000"}\n- {name: way, colour: "#ffffff", osm: [road], width_m: 3}\n'
    path = tmp_path / "classes.yaml"
    path.write_text(f"classes:\n{entries}" if wrapped else entries)
    found = figures(call(vectors, "--like", scene, "--out", tmp_path / "a.tif", "--classes", path, "--json"))
    assert found == {"ground": 60_000 - 6 * 300, "way": 6 * 300}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('- {name: a, colour: "#000000"}\n- {name: b, colour: red}\n', "line 2"),
        ('- {name: a, colour: "#000000"}\n', "1 class."),
        ("name: project\nscene: x\n", "line"),
        ("7\n", "holds"),
    ],
)
def test_bad_files_of_classes(tmp_path: Path, scene: Path, vectors: Path, text: str, told: str) -> None:
    path = tmp_path / "classes.yaml"
    path.write_text(text)
    result = call(vectors, "--like", scene, "--out", tmp_path / "a.tif", "--classes", path)
    assert result.exit_code == 2
    assert told in result.output


def test_masks_are_drawn_too(tmp_path: Path, scene: Path, vectors: Path) -> None:
    out = tmp_path / "a.tif"
    figures(call(vectors, "--like", scene, "--out", out, "--json"))
    with rasterio.open(out) as file:
        ids, profile = file.read(1), file.profile
    ids[0, :10] = 9
    with rasterio.open(tmp_path / "mask.tif", "w", **profile) as file:
        file.write(ids, 1)
    again = [tmp_path / "mask.tif", "--like", scene, "--out", tmp_path / "b.tif"]
    assert call(*again).exit_code == 2
    result = call(*again, "--unknown", "ignore")
    assert result.exit_code == 0
    assert "left out" in result.stdout


def test_mistakes_are_reported_and_nothing_is_written(tmp_path: Path, scene: Path, vectors: Path) -> None:
    out = tmp_path / "a.tif"
    for words, told in [
        ([vectors, "--like", scene, "--classes", "hut"], "hut"),
        ([vectors, "--like", scene, "--classes", ","], "--classes"),
        ([vectors, "--like", scene, "--all-as", "hut"], "hut"),
        ([vectors, "--like", tmp_path, "--classes", "road"], str(tmp_path)),
        ([tmp_path / "no.gpkg", "--like", scene], "no.gpkg"),
        ([vectors, "--like", scene, "--road-width-m", 0], "0.0 m"),
        ([vectors, "--like", scene, "--classes", tmp_path], str(tmp_path)),
    ]:
        result = call(*words, "--out", out)
        assert result.exit_code == 2, result.output
        assert told in result.output
        assert not out.exists()
    out.write_text("mine")
    assert call(vectors, "--like", scene, "--out", out).exit_code == 2
    assert out.read_text() == "mine"
