"""The verb ``offset``, as a person calls it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from scipy import ndimage
from small_place import run, write_raster
from typer.testing import Result

CORNER = 500_000.0, 5_000_000.0
SHAPE = 160, 200
SHIFT = 4.0, -3.0
CLASSES = '- {name: ground, colour: "#000000"}\n- {name: roof, colour: "#ff0000", osm: building}\n'


def roofs() -> list[tuple[int, int]]:
    """Rows and columns of corners of roofs of 8 x 8 pixels of a metre."""
    rng = np.random.default_rng(0)
    return [(row + int(a), col + int(b)) for row in range(8, 140, 20) for col in range(8, 180, 20)
            for a, b in [rng.integers(0, 8, 2)]]  # fmt: skip


def truth() -> np.ndarray:
    ids = np.zeros(SHAPE, np.uint8)
    for row, col in roofs():
        ids[row : row + 8, col : col + 8] = 1
    return ids


def write_osm(path: Path, shift: tuple[float, float] = SHIFT) -> Path:
    left, top = CORNER[0] + shift[0], CORNER[1] + shift[1]
    boxes = [shapely.box(left + col, top - row - 8, left + col + 8, top - row) for row, col in roofs()]
    gpd.GeoDataFrame({"building": ["yes"] * len(boxes)}, geometry=boxes, crs="EPSG:32631").to_file(path)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    rng = np.random.default_rng(0)
    tones = rng.choice([-60, 60], 200)[ndimage.label(truth())[0]] * truth()
    ground = ndimage.gaussian_filter(rng.normal(0, 100, (3, *SHAPE)), (0, 3, 3))
    write_raster(tmp_path / "scene.tif", (120 + tones + ground + rng.normal(0, 4, (3, *SHAPE))).astype(np.uint8))
    scores = ndimage.gaussian_filter(np.stack([1 - truth(), truth()]).astype(np.float32), (0, 2, 2))
    for name, bands in (("scores.tif", ("background", "building")), ("own.tif", ("ground", "roof"))):
        write_raster(tmp_path / name, scores)
        with rasterio.open(tmp_path / name, "r+") as file:
            file.descriptions = bands
            file.update_tags(CRISPMAP_SCORES="logit")
    write_osm(tmp_path / "osm.gpkg")
    (tmp_path / "classes.yaml").write_text(CLASSES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def figures(result: Result) -> dict[str, object]:
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


@pytest.mark.parametrize(
    ("against", "kind"),
    [
        (["scene.tif"], "image"),
        (["scores.tif"], "scores"),
        (["own.tif", "--classes", "classes.yaml"], "scores"),
        (["scores.tif", "--kind", "scores", "--classes", "building"], "scores"),
        (["scores.tif", "--kind", "image"], "image"),
    ],
)
def test_the_offset_is_found_against_images_and_scores(place: Path, against: list[str], kind: str) -> None:
    found = figures(run("offset", "osm.gpkg", "--against", *against, "--json"))
    assert (found["east_m"], found["north_m"]) == pytest.approx(SHIFT, abs=0.5)
    assert found["reliable"] is True
    assert (found["kind"], found["windows"], found["windows_with_labels"]) == (kind, 1, 1)


def test_a_person_is_told_what_to_do(place: Path) -> None:
    result = run("offset", "osm.gpkg", "--against", "scene.tif")
    assert result.exit_code == 0
    assert "m east and " in result.stdout
    assert "m south of the image." in result.stdout
    assert "Move them " in result.stdout
    assert "--out moved.gpkg does so." in result.stdout
    assert "reliable              yes" in result.stdout
    assert not result.stderr
    write_osm(Path("right.gpkg"), (0, 0))
    told = run("offset", "right.gpkg", "--against", "scene.tif").stdout
    assert "The labels match the image" in told


def test_moved_vectors_lie_on_the_scene(place: Path) -> None:
    result = run("offset", "osm.gpkg", "--against", "scene.tif", "--out", "moved.gpkg", "--json")
    assert figures(result)["out"] == "moved.gpkg"
    assert result.stderr == "Wrote moved.gpkg\n"
    found = figures(run("offset", "moved.gpkg", "--against", "scene.tif", "--json"))
    assert (found["east_m"], found["north_m"]) == pytest.approx((0, 0), abs=0.2)
    again = run("offset", "osm.gpkg", "--against", "scene.tif", "--out", "moved.gpkg")
    assert again.exit_code == 2
    assert "moved.gpkg exists" in again.stderr
    assert run("offset", "osm.gpkg", "--against", "scene.tif", "--out", "moved.gpkg", "--force").exit_code == 0


def test_an_offset_not_to_be_trusted_is_told_beside_the_file(place: Path) -> None:
    result = run("offset", "osm.gpkg", "--against", "scene.tif", "--max-shift-m", "1.5", "--out", "moved.gpkg")
    assert result.exit_code == 0
    assert "beyond the search" in result.stdout
    assert "--max-shift-m" in result.stdout
    assert "Do not move" in result.stdout
    assert re.fullmatch(r"warning: moved\.gpkg .*\nWrote moved\.gpkg\n", result.stderr)
    assert (
        figures(run("offset", "osm.gpkg", "--against", "scene.tif", "--max-shift-m", "1.5", "--json"))["reliable"]
        is False
    )


def test_without_georeference_the_axes_are_named(place: Path) -> None:
    with rasterio.open("scene.tif") as file:
        values = file.read()
    write_raster(Path("scene.tif"), values, crs=None, transform=Affine.identity())
    boxes = [shapely.box(col + 3, row - 2, col + 11, row + 6) for row, col in roofs()]
    frame = gpd.GeoDataFrame({"building": ["yes"] * len(boxes)}, geometry=boxes)
    Path("osm.geojson").write_text(frame.to_json())
    result = run("offset", "osm.geojson", "--against", "scene.tif", "--assume-crs", "scene")
    assert result.exit_code == 0, result.output
    assert "m in +x and " in result.stdout
    assert "m in -y of the image." in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("scene.tif --against osm.gpkg", "osm.gpkg first, then --against scene.tif"),
        ("scene.tif --against scores.tif", "scene.tif"),
        ("no.gpkg --against scene.tif", "no.gpkg"),
        ("osm.gpkg --against no.tif", "no.tif"),
        ("osm.gpkg --against .", "is a folder"),
        ("osm.gpkg --against scene.tif --out moved.shp", "moved.gpkg"),
        ("osm.gpkg --against scene.tif --out osm.gpkg", "osm.gpkg"),
        ("osm.gpkg --against scene.tif --out no/moved.gpkg", "mkdir -p"),
        ("osm.gpkg --against scene.tif --max-shift-m 0.5", "--max-shift-m"),
        ("osm.gpkg --against scene.tif --max-shift-m 500", "500"),
        ("osm.gpkg --against scene.tif --classes water", "belongs to a class"),
        ("osm.gpkg --against scene.tif --classes castle", "castle"),
        ("osm.gpkg --against own.tif", "--classes"),
        ("osm.gpkg --against scores.tif --classes building,road", "building, road"),
        ("osm.gpkg --against map.tif", "coarse_scores.tif"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(place: Path, words: str, said: str) -> None:
    write_raster(Path("map.tif"), truth()[None])
    with rasterio.open("map.tif", "r+") as file:
        file.update_tags(CRISPMAP_CLASSES="[]")
    before = sorted(path.name for path in place.iterdir())
    result = run("offset", *words.split())
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert "Remedy: " in result.stderr
    assert sorted(path.name for path in place.iterdir()) == before
