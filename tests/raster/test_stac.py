"""Scenes described by STAC items."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import GeoreferenceWarning, GridError, SceneError
from crispmap.files.address import gdal_name
from crispmap.raster import stac
from crispmap.raster.files import open_scene
from crispmap.raster.scene import read_whole
from crispmap.raster.stac import is_item, item_scenes, split_assets
from range_server import RangeServer

Maker = Callable[..., Path]
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def item(assets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_1",
        "geometry": None,
        "properties": {"datetime": "2020-01-01T00:00:00Z", "proj:epsg": 9999, "proj:shape": [1, 1]},
        "links": [],
        "assets": assets,
        **more,
    }


def band(name: str, common: str | None = None, **more: Any) -> dict[str, Any]:
    told = {"name": name} | ({"common_name": common} if common else {})
    return {"href": f"./{name}.tif", "type": COG, "roles": ["data"], "eo:bands": [told], **more}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(content: Any, name: str = "item.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


@pytest.fixture
def bands(make_raster: Maker) -> np.ndarray:
    """Three single-band files of one grid, B02, B03 and B04, and a finer one, B08."""
    array = np.random.default_rng(0).integers(1, 99, (3, 20, 30)).astype(np.uint16)
    for place, name in enumerate(("B02", "B03", "B04")):
        make_raster(array[place : place + 1], f"{name}.tif")
    finer = Affine(1.0, 0.0, 500_000.0, 0.0, -1.0, 5_000_000.0)
    make_raster(np.ones((1, 40, 60), np.uint16), "B08.tif", transform=finer)
    return array


RGB = {"blue": band("B02", "blue"), "green": band("B03", "green"), "red": band("B04", "red")}
THUMBNAIL = {"thumbnail": {"href": "./t.png", "type": "image/png", "roles": ["thumbnail"]}}


def test_single_bands_on_one_grid_are_one_scene_in_the_items_order(bands: np.ndarray, write: Any) -> None:
    [ref] = item_scenes(str(write(item({**THUMBNAIL, **RGB, "meta": {"href": "m.xml", "roles": ["data"]}}))))
    assert ref.name == "S2A_1"
    with open_scene(ref) as scene:
        assert scene.band_names == ("blue", "green", "red")
        assert scene.grid.shape == (20, 30)
        assert scene.grid.crs is not None
        assert scene.grid.crs.to_epsg() == 32631  # the rasters know, whatever the item says
        np.testing.assert_array_equal(read_whole(scene)[0], bands)


def test_assets_are_chosen_by_name_in_the_order_asked(bands: np.ndarray, write: Any) -> None:
    path = write(item({**RGB, "nir": band("B08", "nir")}))
    address, names = split_assets(f"{path}#red, blue")
    assert names == ("red", "blue")
    [ref] = item_scenes(address, names)
    with open_scene(ref) as scene:
        assert scene.band_names == ("red", "blue")
        np.testing.assert_array_equal(read_whole(scene)[0], bands[[2, 0]])
    [ref] = item_scenes(address, ["nir"])
    with open_scene(ref) as scene:
        assert scene.band_names == ("nir",)


def test_bands_of_several_resolutions_need_a_choice(bands: np.ndarray, write: Any) -> None:
    path = write(item({**RGB, "nir": band("B08")}))
    with pytest.raises(GridError, match=r"B02\.tif .*B08\.tif") as caught:
        item_scenes(str(path))
    assert f"'{path}#blue,green,red' or '{path}#nir'" in caught.value.remedy
    [ref] = item_scenes(str(path), ["red", "nir"])
    with pytest.raises(GridError):
        open_scene(ref)


def test_bands_of_one_shape_elsewhere_are_no_scene(bands: np.ndarray, make_raster: Maker, write: Any) -> None:
    make_raster(np.ones((1, 20, 30), np.uint16), "B05.tif", crs="EPSG:32632")
    with pytest.raises(GridError, match=r"B02\.tif .*B05\.tif") as caught:
        item_scenes(str(write(item({**RGB, "far": band("B05")}))))
    assert "gdalwarp" in caught.value.remedy


def test_several_rasters_of_many_bands_need_a_choice(bands: np.ndarray, make_raster: Maker, write: Any) -> None:
    make_raster(np.ones((4, 20, 30), np.uint8), "all.tif")
    with pytest.raises(SceneError, match="all alone holds 4 bands") as caught:
        item_scenes(str(write(item({**RGB, "all": band("all")}))))
    assert "item.json#all'" in caught.value.remedy


@pytest.mark.parametrize("roles", [["visual"], ["visual", "overview"], None])
def test_a_picture_serves_where_there_is_no_data(make_raster: Maker, write: Any, roles: list[str] | None) -> None:
    make_raster(np.ones((3, 5, 6), np.uint8), "tci.tif", photometric="RGB")
    [ref] = item_scenes(str(write(item({**THUMBNAIL, "tci": {"href": "tci.tif", "roles": roles, "eo:bands": []}}))))
    with open_scene(ref) as scene:
        assert scene.band_names == ("red", "green", "blue")


def test_names_that_are_not_unique_are_not_used(bands: np.ndarray, write: Any) -> None:
    edges = {key: band(key, "rededge") for key in ("B02", "B03")}
    [ref] = item_scenes(str(write(item(edges))))
    assert ref.band_names == ("B02", "B03")
    plain = {f"asset{key}": {**band(key), "eo:bands": []} for key in ("B02", "B03")}
    assert item_scenes(str(write(item(plain))))[0].band_names == ("assetB02", "assetB03")


def test_bands_are_named_the_way_of_stac_1_1_too(bands: np.ndarray, write: Any) -> None:
    assets = {
        key: {"href": f"{key}.tif", "roles": ["data"], "bands": [{"name": key, "eo:common_name": colour}]}
        for key, colour in (("B04", "red"), ("B03", "green"))
    }
    [ref] = item_scenes(str(write(item(assets, stac_version="1.1.0"))))
    assert ref.band_names == ("red", "green")


def test_assets_lie_where_their_addresses_say(write: Any, tmp_path: Path) -> None:
    hrefs = {
        "https://host/a.tif?sig=x": "/vsicurl/https://host/a.tif?sig=x",
        "s3://bucket/a.tif": "/vsis3/bucket/a.tif",
        "file:///data/a%20b.tif": "/data/a b.tif",
        "/data/a.tif": "/data/a.tif",
        "../a.tif": f"{tmp_path}/../a.tif",
    }
    for href, opened in hrefs.items():
        [ref] = item_scenes(str(write(item({"a": {"href": href, "roles": ["data"]}}))))
        assert ref.files == (opened,)


def test_the_answer_to_a_search_is_a_scene_an_item(bands: np.ndarray, write: Any) -> None:
    items = [item({"red": RGB["red"]}, id=name) for name in ("one", "two/2")]
    refs = item_scenes(str(write({"type": "FeatureCollection", "features": items})))
    assert [ref.name for ref in refs] == ["one", "two_2"]


def test_a_remote_item_has_remote_bands(bands: np.ndarray, server: RangeServer, write: Any, tmp_path: Path) -> None:
    (tmp_path / "items").mkdir()
    write(item({key: {**one, "href": f"../{one['href']}"} for key, one in RGB.items()}), "items/S2A_1")
    address = f"{server.address}/items/S2A_1"
    assert is_item(address)
    [ref] = item_scenes(address)
    assert ref.files[0] == f"/vsicurl/{server.address}/B02.tif"
    with open_scene(ref) as scene:
        np.testing.assert_array_equal(read_whole(scene)[0], bands)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("item.json", True),
        ("a/ITEM.GeoJSON", True),
        ("https://host/c/items/S2A_1", True),
        ("https://host/c/items/S2A_1.tif", False),
        ("https://host/item.json?sig=x", True),
        ("scene.tif", False),
        ("items/scene", False),
        ("https://host/scene", False),
    ],
)
def test_items_are_recognised_by_name(text: str, expected: bool) -> None:
    assert is_item(text) is expected


def test_a_file_called_with_a_hash_is_a_file(tmp_path: Path) -> None:
    odd = tmp_path / "item.json#1"
    odd.touch()
    assert split_assets(str(odd)) == (str(odd), None)
    assert split_assets("scene.tif#1") == ("scene.tif#1", None)
    assert split_assets("item.json") == ("item.json", None)


# --- items that cannot be used --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        "", "no JSON", "[1]", "{}", "7", '{"type": "Feature"}', '{"type": "FeatureCollection", "features": []}',
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": null, "properties": {}}]}',
        {**item({}), "assets": [1]}, {**item({}), "id": None}, {**item({}), "type": 5}, "[" * 100_000,
    ],
)  # fmt: skip
def test_a_file_that_is_not_an_item_is_reported(write: Any, content: Any) -> None:
    path = write(content)
    with pytest.raises(SceneError, match=r"item\.json .*STAC item") as caught:
        item_scenes(str(path))
    assert caught.value.expected
    assert caught.value.remedy


@pytest.mark.parametrize("kind", ["Catalog", "Collection"])
def test_a_catalog_of_items_is_reported(write: Any, kind: str) -> None:
    with pytest.raises(SceneError, match=f"a {kind}, which names items"):
        item_scenes(str(write({"type": kind, "stac_version": "1.0.0", "id": "c"})))


def test_items_without_a_raster_list_what_they_have(write: Any) -> None:
    with pytest.raises(SceneError, match="no raster with the role") as caught:
        item_scenes(str(write(item(THUMBNAIL))))
    assert "thumbnail" in caught.value.remedy
    with pytest.raises(SceneError, match="no raster with the role"):
        item_scenes(str(write(item({}))))


def test_assets_there_are_not_are_named(write: Any) -> None:
    with pytest.raises(SceneError, match="has no asset nir, swir") as caught:
        item_scenes(str(write(item(RGB))), ["red", "nir", "swir"])
    assert "blue, green, red" in caught.value.expected
    with pytest.raises(SceneError, match="names no asset"):
        item_scenes(str(write(item(RGB))), ())


def test_items_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"item\.json does not exist"):
        item_scenes(str(tmp_path / "item.json"))
    (tmp_path / "a.json").mkdir()
    with pytest.raises(SceneError, match=r"a\.json cannot be read: .*directory"):
        item_scenes(str(tmp_path / "a.json"))
    with pytest.raises(SceneError, match=r"s3.*bucket"):
        item_scenes("s3://bucket/item.json")


@pytest.mark.parametrize("status", [404, 403, 500, 0])
def test_remote_items_that_cannot_be_read(server: RangeServer, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    monkeypatch.setattr(stac, "_PAUSES_S", (0.0,))
    server.fail(status)
    with pytest.raises(SceneError, match=r"item\.json cannot be read: ") as caught:
        item_scenes(f"{server.address}/item.json?sig=secret")
    assert "secret" not in str(caught.value)
    assert "network" in caught.value.remedy
    assert len(server.asked()) == (1 if 400 <= status < 500 else 2)


def test_a_hitch_is_waited_out_and_half_an_answer_is_none(
    server: RangeServer, bands: np.ndarray, write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stac, "_PAUSES_S", (0.0,))
    write(item({"red": {**RGB["red"]}}))
    server.fail(503, times=1)
    assert len(item_scenes(f"{server.address}/item.json")) == 1
    write(item(RGB), "halved.json")
    with pytest.raises(SceneError, match=r"halved\.json .*bytes"):
        item_scenes(f"{server.address}/halved.json")
    monkeypatch.setattr(stac, "_LARGEST", 10)
    with pytest.raises(SceneError, match="larger than"):
        item_scenes(f"{server.address}/item.json")


def info(text: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["info", text, "--json"])
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(("assets", "names"), [("red", ["red"]), ("red,blue", ["red", "blue"])])
def test_info_describes_assets_as_a_model_reads_them(
    bands: np.ndarray, server: RangeServer, write: Any, remote: bool, assets: str, names: list[str]
) -> None:
    path = write(item(RGB))
    facts = info(f"{server.address}/item.json#{assets}" if remote else f"{path}#{assets}")
    files = [str(path.with_name(file)) for file in ("B04.tif", "B02.tif")][: len(names)]
    assert facts["path"] == ", ".join(files).replace(str(path.parent), server.address if remote else str(path.parent))
    assert (facts["kind"], facts["height_px"], facts["width_px"]) == ("scene", 20, 30)
    assert [band["name"] for band in facts["bands"]] == names
    assert {band["type"] for band in facts["bands"]} == {"uint16"}


def test_info_looks_at_one_scene(bands: np.ndarray, write: Any) -> None:
    found = {"type": "FeatureCollection", "features": [item(RGB), item({"red": band("B02")}, id="S2A_2")]}
    result = CliRunner().invoke(app, ["info", f"{write(found)}#red"])
    assert result.exit_code == 2
    assert "2 scenes" in result.stderr
    missing = CliRunner().invoke(app, ["info", f"{write(item(RGB))}#nir"])
    assert missing.exit_code == 2
    assert "has no asset nir" in missing.stderr


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd", "/vsistdin/", "/vsizip//etc/a.zip/b.tif", "/vsicurl/file:///etc/passwd", "/vsimem/a.tif",
        "/vsicurl?url=file:///etc/passwd", "/vsisubfile/0_9,/etc/passwd", "NETCDF:/etc/a.nc:red",
    ],
)  # fmt: skip
def test_an_item_from_the_network_names_files_from_there_alone(
    write: Any, server: RangeServer, bands: np.ndarray, href: str
) -> None:
    write(item({"B02": band("B02"), "own": {"href": href, "type": COG}}))
    address = f"{server.address}/item.json"
    assert item_scenes(address, ["B02"])[0].files == (f"/vsicurl/{server.address}/B02.tif",)
    with pytest.raises(SceneError) as caught:
        item_scenes(address, ["own"])
    assert href in caught.value.given


@pytest.mark.parametrize(
    "href", ["/vsis3/b/a.tif", "s3://b/a.tif", "/vsizip//vsicurl/https://h/a.zip/b.tif", "https://h/a"]
)
def test_an_item_from_the_network_may_name_other_servers(write: Any, server: RangeServer, href: str) -> None:
    write(item({"own": {"href": href, "type": COG}}))
    assert item_scenes(f"{server.address}/item.json", ["own"])[0].files == (gdal_name(href),)


@pytest.mark.parametrize("href", ["/vsistdin/", "/vsistdin?buffer=1", "/vsizip//vsistdin/"])
def test_no_item_names_the_standard_input(write: Any, href: str) -> None:
    with pytest.raises(SceneError) as caught:
        item_scenes(str(write(item({"own": {"href": href, "type": COG}}))), ["own"])
    assert href in caught.value.given


def test_a_virtual_raster_from_the_network_is_not_made_of_files_here(
    tmp_path: Path, server: RangeServer, bands: np.ndarray
) -> None:
    text = (
        '<VRTDataset rasterXSize="30" rasterYSize="20"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="{}">{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    (tmp_path / "here.vrt").write_text(text.format(0, tmp_path / "B02.tif"))
    (tmp_path / "there.vrt").write_text(text.format(1, "B02.tif"))
    with pytest.warns(GeoreferenceWarning):
        open_scene(f"{server.address}/there.vrt").close()
    with pytest.raises(SceneError) as caught:
        open_scene(f"{server.address}/here.vrt")
    assert str(tmp_path / "B02.tif") in caught.value.given
