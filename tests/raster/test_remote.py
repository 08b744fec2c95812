"""Scenes over a network: read as local ones are, and an error names the network or server that fails."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import SceneError
from crispmap.files.dataset import gdal_settings, open_dataset
from crispmap.geo.grid import Block
from crispmap.raster.files import open_scene, read_grid
from crispmap.raster.scene import read_whole
from range_server import RangeServer, serving

Maker = Callable[..., Path]
TILED = {"compress": "deflate", "tiled": True, "blockxsize": 64, "blockysize": 64}


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (3, 320, 320)).astype(np.uint8)


@pytest.mark.parametrize("form", ["{}/scene.tif", "/vsicurl/{}/scene.tif", "{}/scene.tif?sig=a/b&c=d"])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_remote_scene_reads_as_the_local_one(
    make_raster: Maker, server: RangeServer, noise: np.ndarray, form: str, kind: type
) -> None:
    path = make_raster(noise, **TILED)
    address = kind(form.format(server.address))
    with open_scene(address) as scene, open_scene(path) as local:
        assert scene.grid == local.grid == read_grid(address)
        assert "sig" not in str(scene.path)
        for one, other in zip(read_whole(scene), read_whole(local), strict=True):
            np.testing.assert_array_equal(one, other)
    assert "GET /" not in server.asked(), "the folder was listed"


def test_a_mask_beside_a_remote_scene_counts(make_raster: Maker, server: RangeServer, noise: np.ndarray) -> None:
    path = make_raster(noise, **TILED)
    mask = np.ones((320, 320), bool)
    mask[:7] = False
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    assert path.with_suffix(".tif.msk").exists()
    with open_scene(f"{server.address}/scene.tif") as scene:
        np.testing.assert_array_equal(read_whole(scene)[1], mask)


@pytest.mark.parametrize("form", ["{}/scene.tif", "/vsicurl/{}/scene.tif", "{}/scene.tif?sig=secret"])
def test_info_describes_an_address_like_the_file(
    make_raster: Maker, server: RangeServer, noise: np.ndarray, form: str
) -> None:
    def facts(file: object) -> dict[str, object]:
        result = CliRunner().invoke(app, ["info", str(file), "--json"])
        assert result.exit_code == 0, result.output
        told: dict[str, object] = json.loads(result.stdout)
        return told

    path = make_raster(noise, **TILED)
    remote, local = facts(form.format(server.address)), facts(path)
    assert (remote.pop("path"), local.pop("path")) == (f"{server.address}/scene.tif", str(path))
    assert remote == local


def test_info_of_an_address_that_leads_nowhere(server: RangeServer) -> None:
    result = CliRunner().invoke(app, ["info", f"{server.address}/nowhere.tif"])
    assert result.exit_code == 2
    assert "nowhere.tif" in result.stderr
    assert "404" in result.stderr


def test_an_address_that_leads_nowhere(server: RangeServer) -> None:
    with pytest.raises(SceneError, match=r"nowhere\.tif cannot be opened: .*404") as caught:
        open_scene(f"{server.address}/nowhere.tif?sig=secret")
    assert "address" in caught.value.remedy
    assert "secret" not in str(caught.value)


def test_an_address_that_is_forbidden(server: RangeServer) -> None:
    server.fail(403)
    with pytest.raises(SceneError, match="403") as caught:
        open_dataset(f"{server.address}/scene.tif")
    assert "credentials" in caught.value.remedy


def test_an_address_of_a_page(server: RangeServer, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("<html>" * 1000)
    with pytest.raises(SceneError, match=r"page\.html cannot be opened") as caught:
        read_grid(f"{server.address}/page.html?sig=secret")
    assert "download" in caught.value.remedy
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.tif", "http://nowhere.invalid/a.tif"])
def test_no_network(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    for _ in range(2):  # GDAL remembers the first failure, and says something else of it
        with pytest.raises(SceneError, match=r"a\.tif cannot be opened: .*(connect|resolve)") as caught:
            open_scene(address)
        assert "network" in caught.value.remedy


def test_a_server_that_comes_back_is_asked_again(
    make_raster: Maker, tmp_path: Path, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    path = make_raster(noise, **TILED)
    with serving(tmp_path) as running:
        address, port = running.address, running.port
    with pytest.raises(SceneError, match="connect"):
        open_scene(f"{address}/scene.tif")
    with serving(tmp_path, port), open_scene(f"{address}/scene.tif") as scene, open_scene(path) as local:
        np.testing.assert_array_equal(read_whole(scene)[0], read_whole(local)[0])


def test_a_bucket_without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CPL_AWS_AUTODETECT_EC2", "NO")
    with pytest.raises(SceneError, match=r"bucket/a\.tif cannot be opened") as caught:
        open_scene("s3://bucket/a.tif")
    assert "AWS_NO_SIGN_REQUEST" in caught.value.remedy


@pytest.mark.parametrize("fails", [0, 503])
def test_a_server_that_dies_half_way(make_raster: Maker, server: RangeServer, noise: np.ndarray, fails: int) -> None:
    make_raster(noise, **TILED)
    with open_scene(f"{server.address}/scene.tif") as scene:
        scene.read(Block(0, 0, 10, 10))
        server.fail(fails)
        with pytest.raises(
            SceneError, match=r"scene\.tif cannot be read at rows 250\.\.299, columns 200\.\.219"
        ) as caught:
            scene.read(Block(250, 200, 50, 20))
        assert "network" in caught.value.remedy


def test_a_server_that_is_gone(
    make_raster: Maker, tmp_path: Path, noise: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    make_raster(noise, **TILED)
    with serving(tmp_path) as running:
        scene = open_scene(f"{running.address}/scene.tif")
    with scene, pytest.raises(SceneError, match="cannot be read at rows"):
        read_whole(scene)


def test_a_short_hitch_is_waited_out(make_raster: Maker, server: RangeServer, noise: np.ndarray) -> None:
    make_raster(noise, **TILED)
    with open_scene(f"{server.address}/scene.tif") as scene:
        server.fail(503, times=1)
        np.testing.assert_array_equal(read_whole(scene)[0], noise)


def test_a_server_that_answers_never_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        with pytest.raises(SceneError, match="cannot be opened"):
            open_scene(f"http://127.0.0.1:{silent.getsockname()[1]}/a.tif")
        assert time.monotonic() - begun < 30


def test_settings_of_a_person_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "7")
    remote = gdal_settings("/vsicurl/https://host/a.tif").options
    assert "GDAL_HTTP_TIMEOUT" not in remote
    assert int(remote["GDAL_HTTP_MAX_RETRY"]) <= 5
    with rasterio.Env(GDAL_HTTP_MAX_RETRY="9"):
        assert "GDAL_HTTP_MAX_RETRY" not in gdal_settings("/vsicurl/https://host/a.tif").options
    assert not [name for name in gdal_settings("scene.tif").options if "HTTP" in name]
