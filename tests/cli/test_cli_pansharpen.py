"""The verb ``pansharpen``, as a person calls it, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from scipy import ndimage
from small_place import run


def write(path: Path, bands: Any, gsd: float, *, crs: str = "EPSG:32631", corner: tuple[float, float] = (0, 0)) -> None:
    transform = Affine(gsd, 0, 500_000 + corner[0], 0, -gsd, 5_000_000 - corner[1])
    profile = {"count": len(bands), "height": bands.shape[1], "width": bands.shape[2], "nodata": 0}
    with rasterio.open(path, "w", crs=crs, transform=transform, dtype="uint16", **profile) as dataset:
        dataset.write(bands.astype(np.uint16))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    sharp = ndimage.gaussian_filter(rng.normal(size=(256, 256)), 2, mode="wrap")
    sharp = 1000 + 150 * sharp / sharp.std()
    low = sharp.reshape(128, 2, 128, 2).mean(axis=(1, 3))
    bands = np.stack([low * factor + rng.normal(0, 5, low.shape) for factor in (0.5, 1.0, 1.5)])
    write(tmp_path / "pan.tif", sharp[None], 1.0)
    write(tmp_path / "ms.tif", bands, 2.0)
    write(tmp_path / "off.tif", bands, 2.0, corner=(1.0, -0.5))
    for number, band in enumerate(bands, 1):
        write(tmp_path / f"b{number}.tif", band[None], 2.0)
    write(tmp_path / "two.tif", np.stack([sharp, sharp]), 1.0)
    write(tmp_path / "elsewhere.tif", sharp[None], 1.0, corner=(9000, 0))
    write(tmp_path / "zone.tif", sharp[None], 1.0, crs="EPSG:32632")
    return tmp_path


def pixels(path: str) -> Any:
    with rasterio.open(path) as dataset:
        return dataset.read()


def test_bands_in_one_file_or_several_give_the_same(place: Path) -> None:
    assert run("pansharpen", "ms.tif", "pan.tif", "--out", "one.tif").exit_code == 0
    assert run("pansharpen", "b1.tif", "b2.tif", "b3.tif", "pan.tif", "--out", "several.tif").exit_code == 0
    np.testing.assert_array_equal(pixels("one.tif"), pixels("several.tif"))
    with rasterio.open("several.tif") as dataset:
        assert dataset.descriptions == ("b1", "b2", "b3")
        assert dataset.shape == (256, 256)
        assert dataset.tags()["CRISPMAP_PANSHARPENED"] == "hpm"


def test_bands_on_different_grids_are_composed_first(place: Path) -> None:
    with rasterio.open("ms.tif") as dataset:
        coarse = dataset.read(3).reshape(64, 2, 64, 2).mean(axis=(1, 3))
    write(place / "coarse.tif", coarse[None], 4.0)
    done = run("pansharpen", "red=b1.tif", "swir=coarse.tif", "pan.tif", "--out", "sharp.tif")
    assert done.exit_code == 0, done.output
    with rasterio.open("sharp.tif") as dataset:
        assert dataset.descriptions == ("red", "swir")
        assert dataset.shape == (256, 256)
    run("pansharpen", "b1.tif", "pan.tif", "--out", "red.tif")
    np.testing.assert_array_equal(pixels("sharp.tif")[0], pixels("red.tif")[0])


def test_registration_and_figures_are_shown(place: Path) -> None:
    done = run(
        "pansharpen", "off.tif", "pan.tif", "--out", "sharp.tif", "--register", "--quality", "--json", "--method", "gsa"
    )
    found = json.loads(done.stdout)
    assert found["method"] == "gsa"
    assert len(found["weights"]) == len(found["gains"]) == 3
    assert found["shift"]["undone"]
    assert found["shift"]["cols_px"] == pytest.approx(0.5, abs=0.03)
    assert found["shift"]["rows_px"] == pytest.approx(-0.25, abs=0.03)
    assert found["degraded"]["ergas"] < 5
    assert 0 < found["without_reference"]["qnr"] <= 1
    with rasterio.open("sharp.tif") as dataset:
        assert dataset.tags()["CRISPMAP_SHIFT_PX"].startswith("0.")
    shown = run("pansharpen", "off.tif", "pan.tif", "--out", "sharp.tif", "--register", "--quality", "--force")
    assert "undone" in shown.stdout
    assert "ergas" in shown.stdout


def test_bands_blocks_weights_and_type_are_chosen(place: Path) -> None:
    options = ["--method", "brovey", "--weights", "0.5,0.5", "--bands", "3,1", "--dtype", "float32", "--block", "64"]
    assert run("pansharpen", "ms.tif", "two.tif", "--pan-band", "2", "--out", "sharp.tif", *options).exit_code == 0
    with rasterio.open("sharp.tif") as dataset:
        assert dataset.dtypes == ("float32", "float32")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["ms.tif"], "One scene is given"),
        (["ms.tif", "b*.tif"], "3 scenes"),
        (["pan.tif", "b1.tif"], "smaller pixels"),
        (["ms.tif", "two.tif"], "--pan-band"),
        (["ms.tif", "elsewhere.tif"], "do not overlap"),
        (["ms.tif", "zone.tif"], "coordinate systems"),
        (["ms.tif", "pan.tif", "--method", "ihs", "--weights", "1,2"], "2 weights given for 3"),
        (["ms.tif", "pan.tif", "--method", "ihs", "--weights", "1,x,2"], "separated by commas"),
        (["ms.tif", "pan.tif", "--weights", "1,1,1"], "--method"),
        (["b1.tif", "b1.tif", "pan.tif"], "b1"),
        (["missing.tif", "pan.tif"], "missing.tif"),
    ],
)
def test_what_does_not_fit_is_refused(words: list[str], said: str, place: Path) -> None:
    done = run("pansharpen", *words, "--out", "sharp.tif")
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (place / "sharp.tif").exists()


def test_an_output_that_is_an_input_or_there_is_refused(place: Path) -> None:
    assert run("pansharpen", "ms.tif", "pan.tif", "--out", "pan.tif", "--force").exit_code == 2
    (place / "there.tif").touch()
    assert run("pansharpen", "ms.tif", "pan.tif", "--out", "there.tif").exit_code == 2
    assert (place / "there.tif").read_bytes() == b""
