"""What notebooks show: small, loading nothing, every text escaped, and the figures right."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - brings .rio
import xarray as xr
from affine import Affine
from PIL import Image

import crispmap
import crispmap.xarray
from crispmap.files.notebook import MOST_ROWS, html_table

NASTY = '<script>alert("x")</script> & \u202e'
CLASSES = crispmap.ClassSchema((crispmap.ClassDef(NASTY, "#102030"), crispmap.ClassDef("roof", "#ff0000")))


class Checked(HTMLParser):
    """Raises where a tag is not closed, loads something, or is not one of ours."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []
        self.pictures: list[Image.Image] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"table", "caption", "tr", "th", "td", "p", "figure", "img"}
        self.seen.append(tag)
        if tag == "img":
            source = dict(attrs)["src"] or ""
            assert source.startswith("data:image/png;base64,")
            self.pictures.append(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def data_array(values: np.ndarray, *, south_up: bool = False) -> Any:
    rows, cols = values.shape[-2:]
    y = np.arange(rows, dtype=float)[:: 1 if south_up else -1]
    dims = ("band", "y", "x")[-values.ndim :]
    return xr.DataArray(values, dims=dims, coords={"y": y, "x": np.arange(cols) * 1.0}).rio.write_crs("EPSG:32631")


def map_of(ids: np.ndarray, **options: Any) -> Any:
    array = data_array(ids, **options)
    array.attrs["CRISPMAP_CLASSES"] = CLASSES.to_json()
    return array


@pytest.mark.parametrize("south_up", [False, True])
def test_a_map_is_shown_in_its_colours_with_shares(south_up: bool) -> None:
    ids = np.full((1000, 700), 255, np.uint8)
    ids[:250], ids[250:300] = 1, 0
    text = map_of(ids[::-1] if south_up else ids, south_up=south_up).crispmap._repr_html_()
    found = Checked(text)
    assert len(text) < 20_000
    (picture,) = found.pictures
    assert max(picture.size) <= 320
    assert picture.getpixel((3, 3)) == (255, 0, 0)
    assert picture.getpixel((3, picture.height - 1)) == (255, 255, 255)
    assert NASTY in found.texts
    shares = [float(one) for one in re.findall(r"([\d.]+) %", text)]
    assert shares == pytest.approx([100 / 6, 500 / 6], abs=1)


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_an_image_is_stretched_whatever_it_holds(bands: int, dtype: str) -> None:
    values = np.random.default_rng(0).integers(300, 4000, (bands, 40, 50)).astype(dtype)
    if dtype == "float32":
        values[:, :5] = np.nan
    (picture,) = Checked(data_array(values).crispmap._repr_html_()).pictures
    pixels = np.asarray(picture)[5:]
    assert picture.size == (50, 40)
    assert pixels.min() == 0
    assert pixels.max() == 255


def test_what_has_no_place_no_value_or_one_value_is_shown_too() -> None:
    for values in (np.zeros((2, 3), np.uint8), np.full((1, 2, 2), np.nan), np.zeros((3, 1, 1))):
        array = xr.DataArray(values, dims=("band", "y", "x")[-values.ndim :])
        assert len(Checked(array.crispmap._repr_html_()).pictures) == 1


def test_a_large_array_in_chunks_is_shown_without_loading_it() -> None:
    big = xr.DataArray(da.zeros((200_000, 300_000), chunks=50_000, dtype="uint8"), dims=("y", "x"))
    (picture,) = Checked(big.crispmap._repr_html_()).pictures
    assert max(picture.size) <= 320


def test_a_scene_tells_pixels_bands_and_place_and_no_secret(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "a<b.tif", "w", driver="GTiff", height=30, width=40, count=2, dtype="int16", crs="EPSG:32631",
        transform=Affine(2, 0, 5e5, 0, -2, 5e6),
    ) as file:  # fmt: skip
        file.write(np.ones((2, 30, 40), np.int16))
        file.descriptions = ("red", NASTY)
    with crispmap.open_scene(tmp_path / "a<b.tif") as scene:
        texts = " ".join(Checked(scene._repr_html_()).texts)
    for one in ("30 x 40", "int16", "red", NASTY, "UTM zone 31N", "a<b.tif"):
        assert one in texts


@pytest.mark.filterwarnings("ignore:A random map:UserWarning")
def test_an_evaluation_tells_every_class() -> None:
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 2, (30, 30)).astype(np.uint8)
    predicted = np.where(rng.random((30, 30)) < 0.2, 1 - reference, reference).astype(np.uint8)
    one = crispmap.evaluate(predicted, reference, classes=CLASSES, gsd_m=1.0)
    texts = Checked(one._repr_html_()).texts
    assert NASTY in texts
    for share in (one.mean_iou, one.mean_dice, *one.iou, *one.dice):
        assert f"{100 * share:.2f} %" in texts
    absent = crispmap.evaluate(predicted * 0, reference * 0, classes=CLASSES, gsd_m=1.0)
    assert "–" in Checked(absent._repr_html_()).texts


def test_areas_and_changes_are_tables(tmp_path: Path) -> None:
    paths = []
    for name, share in (("2015", 0.2), ("2025", 0.6)):
        ids = (np.random.default_rng(1).random((50, 50)) < share).astype(np.uint8)
        map_of(ids).rio.to_raster(tmp_path / f"{name}.tif")
        paths.append(tmp_path / f"{name}.tif")
    table = crispmap.area(paths, classes=CLASSES, dates=None, overlap="first")
    found = Checked(table._repr_html_())
    assert NASTY in found.texts
    change = crispmap.change(*paths, classes=CLASSES)
    assert any("roof" in text for text in Checked(change._repr_html_()).texts)


def test_long_tables_say_how_many_rows_are_left_out() -> None:
    found = Checked(html_table(NASTY, [(number, NASTY) for number in range(MOST_ROWS + 5)]))
    assert found.seen.count("tr") == MOST_ROWS + 1
    assert "and 5 more" in found.texts
