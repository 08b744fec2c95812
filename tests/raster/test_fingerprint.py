"""What a scene is known by: the same as long as it is read the same, another once anything it is made of changes."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from crispmap.errors import GridError, SceneError
from crispmap.raster import fingerprint as module
from crispmap.raster.fingerprint import fingerprint
from crispmap.raster.refs import SceneRef
from range_server import RangeServer

Maker = Callable[..., Path]


def ones(count: int = 3, side: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (count, side, side)).astype(np.uint8)


def vrt_over(name: str) -> str:
    return (
        '<VRTDataset rasterXSize="40" rasterYSize="40"><SRS>EPSG:32631</SRS><GeoTransform>0, 1, 0, 0, 0, -1'
        '</GeoTransform><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">{name}</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file count as large."""
    monkeypatch.setattr(module, "_WHOLE_BYTES", 100)
    monkeypatch.setattr(module, "_PIECE_BYTES", 16)


def test_the_same_scene_again_has_the_same(make_raster: Maker) -> None:
    path = make_raster(ones())
    assert len(fingerprint(path)) == 64
    assert fingerprint(path) == fingerprint(str(path)) == fingerprint(SceneRef.of(path))


def test_a_copy_elsewhere_at_another_time_is_the_same_scene(make_raster: Maker, large: None) -> None:
    one, two = make_raster(ones(), "one.tif"), make_raster(ones(), "two.tif")
    os.utime(one, ns=(1, 1))
    os.utime(two, ns=(2, 2))
    assert fingerprint(one) != fingerprint(two)
    assert fingerprint(one, times=False) == fingerprint(two, times=False)


def test_a_small_copy_is_the_same_scene_at_any_time(make_raster: Maker) -> None:
    path = make_raster(ones())
    before = fingerprint(path)
    os.utime(path, ns=(1, 1))
    assert fingerprint(path) == before


@given(row=st.integers(0, 39), col=st.integers(0, 39), band=st.integers(1, 3))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_pixel_changed_in_place_is_noticed(make_raster: Maker, row: int, col: int, band: int) -> None:
    path = make_raster(ones())
    before, state = fingerprint(path), path.stat()
    with rasterio.open(path, "r+") as dataset:
        window = Window(col, row, 1, 1)
        dataset.write(255 - dataset.read(band, window=window), band, window=window)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # even behind the back of the clock
    assert fingerprint(path) != before


def test_a_pixel_of_a_large_file_changed_in_place_is_noticed_by_its_time(make_raster: Maker, large: None) -> None:
    path = make_raster(ones())
    before = fingerprint(path)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    assert fingerprint(path) != before


def test_how_it_is_read_counts(make_raster: Maker) -> None:
    path = make_raster(ones(), transform=None, crs=None)
    ref = SceneRef.of(path)
    ways = [
        ref,
        replace(ref, bands=(1, 2)),
        replace(ref, bands=(2, 1)),
        replace(ref, assume_gsd_m=0.5),
        replace(ref, assume_gsd_m=2.0),
    ]
    assert len({fingerprint(way) for way in ways}) == len(ways)
    assert fingerprint(replace(ref, bands=(1, 2, 3))) == fingerprint(ref)  # the same by another way
    assert fingerprint(replace(ref, name="other")) == fingerprint(ref)


@pytest.mark.parametrize(
    "change",
    [{"nodata": 0}, {"crs": "EPSG:32632"}, {"transform": Affine(2.0, 0.0, 500_002.0, 0.0, -2.0, 5_000_000.0)}],
)
def test_grid_and_nodata_count(make_raster: Maker, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_local_facts", lambda *_: ["the bytes alone would tell"])
    assert fingerprint(make_raster(ones())) != fingerprint(make_raster(ones(), **change))


def test_overviews_and_statistics_do_not_count(make_raster: Maker) -> None:
    path = make_raster(ones())
    before = fingerprint(path)
    shutil.copy(make_raster(ones(3, 20), "smaller.tif"), path.with_suffix(".tif.ovr"))
    with rasterio.open(path) as dataset:
        assert any(name.endswith(".ovr") for name in dataset.files)
    path.with_suffix(".tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><Metadata><MDI key="STATISTICS_MEAN">9</MDI></Metadata></PAMRasterBand>'
        "</PAMDataset>"
    )
    assert fingerprint(path) == before


def test_a_grid_that_lies_beside_counts(make_raster: Maker) -> None:
    path = make_raster(ones(), transform=None, crs=None)
    prints = {fingerprint(path)}
    for left in (10, 20):
        path.with_suffix(".tif.aux.xml").write_text(
            f"<PAMDataset><GeoTransform>{left}, 1, 0, 5, 0, -1</GeoTransform></PAMDataset>"
        )
        prints.add(fingerprint(path))
    assert len(prints) == 3


@pytest.mark.parametrize("deep", [False, True])
def test_a_source_of_a_virtual_raster_counts(make_raster: Maker, tmp_path: Path, deep: bool) -> None:
    make_raster(ones(1), "source.tif")
    (tmp_path / "scene.vrt").write_text(vrt_over("inner.vrt" if deep else "source.tif"))
    (tmp_path / "inner.vrt").write_text(vrt_over("source.tif"))
    before = fingerprint(tmp_path / "scene.vrt")
    assert fingerprint(tmp_path / "scene.vrt") == before
    make_raster(255 - ones(1), "source.tif")
    assert fingerprint(tmp_path / "scene.vrt") != before


def test_bands_in_files_of_their_own_count_each_and_in_order(make_raster: Maker) -> None:
    array = ones(2)
    files = tuple(str(make_raster(array[band : band + 1], f"{band}.tif")) for band in (0, 1))
    ref = SceneRef("scene", files)
    before = fingerprint(ref)
    assert fingerprint(replace(ref, files=files[::-1])) != before
    make_raster(255 - array[1:], "1.tif")
    assert fingerprint(ref) != before
    make_raster(array[1:, :20], "1.tif")
    with pytest.raises(GridError):
        fingerprint(ref)


def test_an_archive_counts_by_itself(make_raster: Maker, tmp_path: Path) -> None:
    def archived(array: np.ndarray) -> str:
        with zipfile.ZipFile(tmp_path / f"{array[0, 0, 0]}.zip", "w") as archive:
            archive.write(make_raster(array), "in/scene.tif")
        return fingerprint(f"/vsizip/{tmp_path}/{array[0, 0, 0]}.zip/in/scene.tif")

    assert archived(ones()) != archived(255 - ones())


@pytest.mark.parametrize("name", ["scene.tif", "untold.tif"])
def test_a_remote_scene_counts_by_its_version_or_its_pixels(make_raster: Maker, server: RangeServer, name: str) -> None:
    make_raster(ones(), name)
    before = fingerprint(f"{server.address}/{name}?1")
    assert fingerprint(f"{server.address}/{name}?2") == before
    changed = ones()
    changed[0, 20, 20] += 1
    make_raster(changed, name)
    assert fingerprint(f"{server.address}/{name}?3") != before


def test_a_server_that_is_gone_meanwhile_says_nothing(server: RangeServer) -> None:
    server.fail(403)
    assert module._server_facts(f"{server.address}/scene.tif") is None
    server.fail(0)
    assert module._server_facts(f"{server.address}/scene.tif") is None
    assert module._server_facts("/vsis3/bucket/scene.tif") is None


def test_a_scene_that_cannot_be_read_is_reported(
    tmp_path: Path, make_raster: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SceneError, match="does not exist"):
        fingerprint(tmp_path / "nowhere.tif")
    path = make_raster(ones())

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(module.hashlib, "sha256", refuse)
    with pytest.raises(SceneError, match=r"scene\.tif cannot be read: Input/output error"):
        fingerprint(path)


@given(size=st.integers(1000, 10**10), share=st.integers(10_000, 2**28))
@settings(deadline=None, max_examples=100)
def test_pieces_lie_within_the_file_and_reach_both_ends(size: int, share: int) -> None:
    pieces = list(module._pieces(size, share))
    assert pieces[0][0] == 0
    assert sum(pieces[-1]) == size
    assert all(start >= 0 and length > 0 and start + length <= size for start, length in pieces)
    assert sum(length for _, length in pieces) <= share + module._PIECE_BYTES
