"""The verbs ``compose``, ``resample`` and ``burned``, as a person calls them; and a composed scene in a project."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from small_place import CORNER, PROJECT, SHAPE, contents, image, run, write_raster

COARSER = {"crs": "EPSG:32631", "transform": Affine(2.0, 0.0, CORNER[0] - 1, 0.0, -2.0, CORNER[1] + 1)}
MAPPED = (
    f"{PROJECT.split('labels:', maxsplit=1)[0]}models: {{coarse: coarse.safetensors, refiner: refiner.safetensors}}\n"
)


def bands() -> str:
    """Write red and green at 1 m and blue at 2 m, half a pixel off; return them as arguments."""
    values = image()
    for name, one, options in (("r", values[:1], {}), ("g", values[1:2], {}), ("b", values[2:, :50, :82], COARSER)):
        write_raster(Path(f"{name}.tif"), one, nodata=0, **options)
    return "red=r.tif green=g.tif blue=b.tif"


def refused(command: str, *said: str) -> None:
    """Check that a command is refused as bad input, in full, and no file is changed or left."""
    before = contents(Path())
    result = run(*command.split())
    assert result.exit_code == 2, result.output
    assert contents(Path()) == before
    for one in ("(?m)^error: ", "(?m)^Expected: ", *said):
        assert re.search(one, result.stderr), result.stderr
    assert "Traceback" not in result.stderr


def stored(path: str) -> np.ndarray:
    with rasterio.open(path) as dataset:
        values: np.ndarray = dataset.read()
    return values


def test_bands_become_a_scene_with_their_names(place: Path) -> None:
    result = run("compose", *bands().split(), "--out", "composed.tif", "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["bands"] == ["red", "green", "blue"]
    assert (facts["height_px"], facts["width_px"], facts["type"], facts["nodata"]) == (*SHAPE, "uint8", 0)
    assert {one["file"] for one in facts["files"]} == {"r.tif", "g.tif", "b.tif"}
    np.testing.assert_array_equal(stored("composed.tif")[:2], image()[:2])
    shown = json.loads(run("info", "composed.tif", "--json").stdout)
    assert [one["name"] for one in shown["bands"]] == ["red", "green", "blue"]
    again = run("compose", *bands().split(), "--out", "composed.tif", "--force", "--index", "NDVI,NBR")
    assert again.exit_code == 2
    assert "nir" in again.stderr


def test_a_composed_scene_of_a_project_is_mapped_like_the_file_that_is_written(place: Path) -> None:
    bands()
    entries = "{file: r.tif, name: red}, {file: g.tif, name: green}, {file: b.tif, name: blue}"
    scene = f"scene: {{bands: [{entries}]}}"
    computed = MAPPED.replace("scene: {path: scene.tif}", scene)
    Path("computed.yaml").write_text(computed + "output: {folder: computed}\n")
    assert run("compose", *bands().split(), "--out", "composed.tif").exit_code == 0
    Path("written.yaml").write_text(MAPPED.replace("scene.tif", "composed.tif") + "output: {folder: written}\n")
    for name in ("computed", "written"):
        result = run("predict", f"{name}.yaml")
        assert result.exit_code == 0, result.output
    maps = sorted(path.name for path in Path("written").glob("*.tif"))
    assert maps
    for name in maps:
        np.testing.assert_array_equal(stored(f"computed/{name}"), stored(f"written/{name}"))


@pytest.mark.parametrize(
    ("scene", "said"),
    [
        ("{path: scene.tif, bands: [{file: r.tif}]}", "beside path"),
        ("{bands: [1, {file: r.tif}]}", "beside path or numbers"),
        ("{bands: [{file: nowhere.tif}]}", "nowhere.tif"),
        ("{bands: [r.tif]}", "texts as bands"),
        ("{bands: [{fil: r.tif}]}", r"bands\[0\].fil is not a known key"),
        ("{bands: [{file: r.tif, index: NDVI}]}", "both file and index"),
        ("{bands: [{index: NDVI}]}", "indices alone"),
        ("{bands: [{file: r.tif, band: 0}]}", r"bands\[0\].band is 0"),
        ("{bands: [{file: r.tif}], extent: all}", "extent"),
        ("{bands: [{file: r.tif}, {file: r.tif}]}", "Two bands are named r"),
        ("{bands: [{file: r.tif, name: red}, {index: NDVI}]}", "NDVI needs nir"),
    ],
)
def test_a_composed_scene_that_cannot_be(place: Path, scene: str, said: str) -> None:
    bands()
    Path("wrong.yaml").write_text(MAPPED.replace("{path: scene.tif}", scene))
    refused("predict wrong.yaml", said)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("compose r.tif --out r.tif --force", "also an input"),
        ("compose r.tif --out scene.tif", "--force"),
        ("compose r.tif --out new.png", "GeoTIFF"),
        ("compose nowhere.tif --out new.tif", "nowhere.tif"),
        ("compose . --out new.tif", "sensor"),
        ("compose . --sensor landsat8 --out new.tif", "no band of landsat8"),
        ("compose . --sensor landsat --out new.tif", "Did you mean landsat"),
        ("compose red=r.tif --bands rot --out new.tif", "no band and no index"),
        ("compose red=r.tif --index NDVI --out new.tif", "NDVI needs nir"),
        ("compose red=r.tif --lowest FIRE --out new.tif", "lowest"),
        ("compose r.tif --gsd-m 0 --out new.tif", "--gsd-m 10"),
        ("compose r.tif --gsd-m -3 --out new.tif", "--gsd-m 10"),
        ("compose r.tif --like osm.gpkg --out new.tif", "osm.gpkg"),
        ("compose r.tif --out-nodata -1 --out new.tif", "--out-nodata 0"),
        ("compose r.tif --reflectance --out new.tif", "--sensor"),
        ("resample r.tif --gsd-m 0 --out new.tif", "--gsd-m 10"),
        ("resample r.tif --gsd-m 4 --method mode --out new.tif", "--classes"),
        ("resample osm.gpkg --gsd-m 4 --out new.tif", "osm.gpkg"),
        ("resample r.tif --gsd-m 4 --out r.tif --force", "also an input"),
        ("burned r.tif g.tif --out new.tif", "nir"),
        ("burned r.tif nowhere.tif --out new.tif", "nowhere.tif"),
        ("burned r.tif g.tif --threshold nan --out new.tif", "threshold"),
    ],
)
def test_what_cannot_be_is_told_and_nothing_is_left(place: Path, command: str, said: str) -> None:
    bands()
    refused(command, said)


def test_an_unfinished_run_of_other_bands_is_refused_until_it_is_discarded(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from crispmap.raster.compose.scene import ComposedScene

    bands()
    own, calls = ComposedScene.filled, [0]

    def stopped(self: ComposedScene, block: object) -> object:
        calls[0] += 1
        if calls[0] > 2:
            raise KeyboardInterrupt
        return own(self, block)  # type: ignore[arg-type]

    command = ["compose", "red=r.tif", "green=g.tif", "--out", "new.tif", "--block", "64", "--workers", "1"]
    monkeypatch.setattr(ComposedScene, "filled", stopped)
    result = run(*command)
    assert result.exit_code == 130
    assert "kept" in result.stderr
    monkeypatch.setattr(ComposedScene, "filled", own)
    refused("compose red=r.tif --out new.tif", "--restart")
    assert "Resumed: 2 of 6 blocks" in run(*command).stderr
    assert run("compose", "red=r.tif", "--out", "new.tif", "--force", "--restart").exit_code == 0


def test_a_class_map_is_resampled_with_its_legend(place: Path) -> None:
    assert run("rasterize", "osm.gpkg", "--like", "scene.tif", "--out", "labels.tif").exit_code == 0
    result = run("resample", "labels.tif", "--gsd-m", "4", "--out", "coarse.tif", "--json")
    assert json.loads(result.stdout)["height_px"] == SHAPE[0] / 4
    assert json.loads(run("info", "coarse.tif", "--json").stdout)["kind"] == "class map"
    assert run("resample", "labels.tif", "--gsd-m", "4", "--out", "share.tif", "--method", "share").exit_code == 0
    np.testing.assert_allclose(stored("share.tif").sum(axis=0), 1, atol=1e-6)
    result = run("resample", "scene.tif", "--gsd-m", "0.5", "--out", "fine.tif")
    assert stored("fine.tif").shape == (3, 192, 320)
    assert "192 x 320 pixels" in result.stdout


def test_burned_area_has_a_legend(place: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("before", "after"):
        values = rng.uniform(0.1, 0.5, (2, *SHAPE)).astype(np.float32)
        values[:, 0, :7] = np.nan
        write_raster(Path(f"{name}.tif"), values)
        with rasterio.open(f"{name}.tif", "r+") as dataset:
            dataset.descriptions = ("nir", "swir2")
    result = run("burned", "before.tif", "after.tif", "--out", "map.tif", "--dnbr", "dnbr.tif", "--force")
    assert result.exit_code == 0, result.output
    assert "moderate-low severity" in result.stdout
    assert re.search(r"no data +7 pixels", result.stdout)
    facts = json.loads(
        run("burned", "before.tif", "after.tif", "--out", "map.tif", "--threshold", "0.27", "--force", "--json").stdout
    )
    assert [one["name"] for one in facts["classes"]] == ["unburned", "burned"]
    assert facts["classes"][1]["pixels"] == (stored("dnbr.tif") >= np.float32(0.27)).sum()
