"""Text in rasters that is not UTF-8 is read all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from crispmap.files.dataset import open_dataset
from crispmap.files.raster_text import descriptions_of, tags_of
from crispmap.project.describe import describe
from crispmap.raster.files import open_scene
from crispmap.raster.fingerprint import fingerprint


def raster_in_latin_1(path: Path) -> Path:
    """A raster of two bands, whose names and tags a program has written in Latin-1."""
    options = {"driver": "GTiff", "count": 2, "height": 4, "width": 5, "dtype": "uint8", "crs": "EPSG:32631"}
    with rasterio.open(path, "w", transform=Affine(1, 0, 5e5, 0, -1, 5e6), **options) as file:
        file.write(np.ones((2, 4, 5), np.uint8))
        file.descriptions = ("XXinfrarouge", "vert")
        file.update_tags(note="XXté \u4e2d", plain="x<y")
    content = path.read_bytes()
    assert content.count(b"XX") == 2
    path.write_bytes(content.replace(b"XXinfra", b"\xe9\xe8infra").replace(b"XXt", b"\xe9\xe8t"))
    return path


def test_names_and_tags_that_are_not_utf_8_are_read_letter_by_letter(tmp_path: Path) -> None:
    with open_dataset(raster_in_latin_1(tmp_path / "a.tif")) as file:
        assert descriptions_of(file) == ("éèinfrarouge", "vert")
        tags = tags_of(file)
    assert tags["plain"] == "x<y"
    assert tags["note"] == "éètÃ© ä¸\xad"


def test_a_scene_with_such_names_is_a_scene(tmp_path: Path) -> None:
    path = raster_in_latin_1(tmp_path / "a.tif")
    with open_scene(path) as scene:
        assert scene.band_names == ("éèinfrarouge", "vert")
    assert len(fingerprint(path)) == 64
    assert [band["name"] for band in describe(path).to_dict()["bands"]] == ["éèinfrarouge", "vert"]


def test_what_is_utf_8_is_read_as_rasterio_reads_it(tmp_path: Path) -> None:
    options = {"driver": "GTiff", "count": 1, "height": 4, "width": 5, "dtype": "uint8", "crs": "EPSG:32631"}
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", transform=Affine(1, 0, 5e5, 0, -1, 5e6), **options) as file:
        file.write(np.ones((1, 4, 5), np.uint8))
        file.descriptions, _ = ("røad",), file.update_tags(note="中")
    with open_dataset(path) as file:
        assert descriptions_of(file) == tuple(file.descriptions) == ("røad",)
        assert tags_of(file) == file.tags()
