"""Scenes as people have them, mapped at the command line: odd ones right, unusable ones told and nothing left behind.

What is told of other input, and of scenes in other verbs, is in ``test_bad_input.py``.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from small_place import SHAPE, contents, image, run, write_models, write_raster

from crispmap.types import IGNORE

PREDICT = "--model coarse.safetensors --refiner refiner.safetensors --out map.tif"

pytestmark = pytest.mark.usefixtures("one_thread")


def refused(scenes: str, *said: str, options: str = PREDICT, status: int = 2) -> None:
    """Check that scenes are refused as bad input, in full, and no file is changed or left."""
    before = contents(Path())
    result = run("predict", *scenes.split(), *options.split())
    assert result.exit_code == status, result.output
    assert contents(Path()) == before
    for one in ("(?m)^error: ", "(?m)^Expected: ", "(?m)^Remedy: ", *said):
        assert re.search(one, result.stderr), result.stderr
    assert "Traceback" not in result.stderr


def mapped(scenes: str, options: str = PREDICT) -> np.ndarray:
    """Return the map ``map.tif`` of a scene."""
    result = run("predict", *scenes.split(), *options.split())
    assert result.exit_code == 0, result.output
    with rasterio.open("map.tif") as file:
        values: np.ndarray = file.read(1)
    return values


def item(**hrefs: str) -> dict[str, object]:
    """Return a STAC item with a raster for each name."""
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "ITEM_1", "geometry": None, "links": [],
        "properties": {"datetime": "2020-01-01T00:00:00Z"},
        "assets": {name: {"href": href, "roles": ["data"]} for name, href in hrefs.items()},
    }  # fmt: skip


# --- odd, but right -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(120, 1), (3000, 3), (3, 3000)])
def test_a_scene_of_any_proportion_is_mapped(place: Path, shape: tuple[int, int]) -> None:
    write_raster(Path("scene.tif"), image(3, shape))
    values = mapped("scene.tif")
    assert values.shape == shape
    assert values.max() < 3


@pytest.mark.parametrize("bands", [1, 2, 13])
def test_a_scene_of_any_bands_is_mapped_by_models_of_as_many(place: Path, bands: int) -> None:
    write_models(place, bands=bands)
    write_raster(Path("scene.tif"), image(bands), photometric="MINISBLACK", alpha="NO")
    assert mapped("scene.tif").max() < 3


@pytest.mark.parametrize(("dtype", "nodata"), [("uint16", 0), ("int16", -9999), ("float32", float("nan"))])
def test_what_has_no_data_has_none_in_the_map(place: Path, dtype: str, nodata: float) -> None:
    values = image().astype(dtype)
    hole = np.zeros(SHAPE, bool)
    hole[20:40, 30:90] = True
    values[:, hole] = nodata
    write_raster(Path("scene.tif"), values, nodata=nodata)
    np.testing.assert_array_equal(mapped("scene.tif") == IGNORE, hole)


def test_a_rotated_scene_has_a_map_that_lies_on_it(place: Path) -> None:
    transform = Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(1, -1)
    write_raster(Path("scene.tif"), image(), transform=transform)
    mapped("scene.tif")
    with rasterio.open("map.tif") as file:
        assert file.transform.almost_equals(transform)
        assert file.crs.to_epsg() == 32631


def test_a_scene_without_crs_is_mapped_in_its_own_units(place: Path) -> None:
    write_raster(Path("scene.tif"), image(), crs=None)
    mapped("scene.tif")
    with rasterio.open("map.tif") as file:
        assert file.crs is None
        assert file.transform.a == 1.0


def test_bands_in_files_of_their_own_are_mapped_as_one_file(place: Path) -> None:
    one_file = mapped("scene.tif")
    for band, name in enumerate(("red", "green", "blue")):
        write_raster(Path(f"{name}.tif"), image()[band : band + 1])
    Path("item.json").write_text(json.dumps(item(blue="blue.tif", green="green.tif", red="red.tif")))
    refused("item.json", "bands blue, green, red", "bands.3,2,1", options=PREDICT.replace("map", "b"))
    for given in ("item.json#red,green,blue", "item.json --bands 3,2,1"):
        np.testing.assert_array_equal(mapped(given, f"{PREDICT} --force"), one_file)


def test_scenes_of_a_pattern_are_mapped_each_under_its_name(place: Path) -> None:
    Path("tiles").mkdir()
    for name in ("a", "b"):
        shutil.copy("scene.tif", f"tiles/{name}.tif")
    Path("tiles/a.tif.aux.xml").write_text("<PAMDataset/>")
    result = run("predict", "tiles/*.tif", *PREDICT.replace("map.tif", "maps").split())
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("maps").glob("*.tif")) == ["a.tif", "b.tif"]


# --- unusable -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        ("nowhere.tif", r"nowhere\.tif does not exist"),
        ("nowhere/*.tif", r"nowhere/\*\.tif"),
        ("folder", r"(?s)folder is a folder.*'folder/\*\.tif'"),
        ("empty.tif", r"empty\.tif .*it is empty"),
        ("text.tif", r"text\.tif cannot be opened as a raster"),
        ("osm.gpkg", r"(?s)osm\.gpkg .*vectors"),
        ("text.json", r"text\.json .*STAC item"),
        ("item.json", r"gone\.tif does not exist"),
        ("item.json#nir", r"item\.json has no asset nir"),
        ("s3://bucket/*.tif", "a pattern of addresses"),
        ("http://127.0.0.1:9/a.tif", r"http://127\.0\.0\.1:9/a\.tif cannot be opened: .*connect"),
        ("http://127.0.0.1:9/a.json", r"http://127\.0\.0\.1:9/a\.json cannot be read"),
        ("http://nowhere.invalid/a.tif", r"nowhere\.invalid/a\.tif cannot be opened"),
    ],
)
def test_a_scene_that_is_none_is_told(place: Path, scene: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    monkeypatch.setattr("crispmap.raster.stac._PAUSES_S", ())
    Path("folder").mkdir()
    Path("empty.tif").touch()
    Path("text.tif").write_text("no raster\n" * 100)
    Path("text.json").write_text("[]")
    Path("item.json").write_text(json.dumps(item(red="gone.tif")))
    refused(scene, said)


def test_one_bad_scene_of_many_is_told_before_any_is_mapped(place: Path) -> None:
    Path("bad.tif").write_text("no raster\n" * 100)
    Path("maps").mkdir()
    refused("scene.tif bad.tif", r"bad\.tif cannot be opened as a raster", options=PREDICT.replace("map.tif", "maps"))


def test_bands_on_different_grids_are_both_named(place: Path) -> None:
    write_raster(Path("red.tif"), image(1))
    write_raster(Path("nir.tif"), image(1, (48, 80)), transform=Affine(2.0, 0.0, 500_000.0, 0.0, -2.0, 5_000_000.0))
    Path("item.json").write_text(json.dumps(item(red="red.tif", nir="nir.tif")))
    refused("item.json", r"red\.tif .*nir\.tif", r"item\.json#red' or 'item\.json#nir'")


@pytest.mark.parametrize(("scene_bands", "model_bands"), [(1, 3), (13, 3), (3, 4)])
def test_a_scene_of_other_bands_than_the_models_is_told(place: Path, scene_bands: int, model_bands: int) -> None:
    write_models(place, bands=model_bands)
    write_raster(Path("scene.tif"), image(scene_bands))
    refused("scene.tif", f"{scene_bands} bands?\\b", str(model_bands), "bands")


def test_bands_that_a_scene_has_beyond_the_models_are_told(place: Path) -> None:
    write_models(place, bands=1)
    write_raster(Path("scene.tif"), image(3))
    result = run("predict", "scene.tif", *PREDICT.split())
    assert result.exit_code == 0, result.output
    assert re.search(
        r"warning: .*3 bands; those of the model are read by their names: red\. .*--bands, as 1", result.stderr
    )


def test_a_block_that_is_damaged_is_named_and_no_map_appears(place: Path) -> None:
    noise = image(3, (512, 512))
    write_raster(Path("scene.tif"), noise, tiled=True, blockxsize=128, blockysize=128, compress="deflate")
    with rasterio.open("scene.tif") as file:
        offset = int(file.get_tag_item("BLOCK_OFFSET_2_2", "TIFF", bidx=1))
    with Path("scene.tif").open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 2000)
    result = run("predict", "scene.tif", *PREDICT.split(), "--block", "128")
    assert result.exit_code == 2, result.output
    assert re.search(r"error: .*scene\.tif cannot be read at rows \d+\.\.\d+, columns \d+\.\.\d+: ", result.stderr)
    assert re.search("(?m)^Remedy: ", result.stderr)
    assert not Path("map.tif").exists()
