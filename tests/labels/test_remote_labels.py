"""Labels at addresses: read as those on a disk are; errors name what failed and show no secret."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from pyproj import CRS
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import LabelError, ProjectError
from crispmap.files.vector_file import reading, vector_name
from crispmap.geo.area_pieces import AreaPiece, resolve_areas
from crispmap.geo.grid import Grid
from crispmap.labels.mask import open_labels
from crispmap.labels.osm import preset_schema
from crispmap.labels.rasterize import rasterize_file
from crispmap.labels.vectors import read_vectors
from range_server import RangeServer

SCHEMA = preset_schema()
UTM = CRS.from_epsg(32631)
GRID = Grid(UTM, Affine(1, 0, 450_000, 0, -1, 5_400_040), (40, 60))
HOUSES = gpd.GeoDataFrame(
    {"building": ["yes", "yes"]},
    geometry=[shapely.box(450_004, 5_400_004, 450_020, 5_400_020), shapely.box(450_030, 5_400_010, 450_050, 5_400_030)],
    crs=UTM,
)
FORMATS = ("a.gpkg", "a.geojson", "a.fgb", "a.shp")
FORMS = ("{}/{}", "/vsicurl/{}/{}", "{}/{}?sig=a/b&c=secret")
READABLE = [
    (name, form)
    for name in (*FORMATS, "a.zip")
    for form in FORMS
    if name != "a.shp" or "?" not in form  # each file of a Shapefile would need a signature of its own
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The houses in many formats, and a mask of them."""
    folder = tmp_path_factory.mktemp("made")
    for name in FORMATS:
        pyogrio.write_dataframe(HOUSES.to_crs(4326) if "json" in name else HOUSES, folder / name)
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        for suffix in ("shp", "shx", "dbf", "prj"):
            archive.write(folder / f"a.{suffix}", f"a.{suffix}")
    HOUSES.to_parquet(folder / "a.parquet")
    reader = open_labels(folder / "a.gpkg", SCHEMA, GRID)
    rasterize_file(reader, folder / "mask.tif")
    reader.close()
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The folder the server gives, with all of these."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.mark.parametrize(("name", "form"), READABLE)
@pytest.mark.parametrize("kind", [str, Path])
def test_vectors_at_an_address_read_as_the_file(
    folder: Path, server: RangeServer, name: str, form: str, kind: type
) -> None:
    address = kind(form.format(server.address, name))
    found = read_vectors(address, SCHEMA, grid=GRID)
    assert_geodataframe_equal(found, read_vectors(folder / name, SCHEMA, grid=GRID))
    assert "GET /" not in server.asked(), "the folder was listed"


@pytest.mark.parametrize("name", ["a.gpkg", "mask.tif"])
@pytest.mark.parametrize("form", FORMS)
def test_labels_at_an_address_are_distinguished_from_masks_by_their_name(
    folder: Path, server: RangeServer, name: str, form: str
) -> None:
    remote = open_labels(form.format(server.address, name), SCHEMA, GRID)
    local = open_labels(folder / name, SCHEMA, GRID)
    assert type(remote) is type(local)
    np.testing.assert_array_equal(remote.read(GRID.block), local.read(GRID.block))
    remote.close()
    local.close()


@pytest.mark.parametrize("name", ["nowhere.gpkg", "nowhere.tif", "nowhere.geojson", "broken.gpkg"])
def test_what_cannot_be_read_is_reported_without_its_secret(folder: Path, server: RangeServer, name: str) -> None:
    (folder / "broken.gpkg").write_bytes(b"no vectors")
    with pytest.raises(LabelError) as error:
        open_labels(f"{server.address}/{name}?sig=secret", SCHEMA, GRID)
    assert f"{server.address}/{name}" in error.value.given
    assert "address" in error.value.remedy or "download" in error.value.remedy
    assert "secret" not in str(error.value)


def test_vectors_of_another_place_are_reported_without_their_secret(folder: Path, server: RangeServer) -> None:
    elsewhere = Grid(UTM, Affine(1, 0, 480_000, 0, -1, 5_400_040), (40, 60))
    with pytest.raises(LabelError, match="lies on the scene") as error:
        read_vectors(f"{server.address}/a.gpkg?sig=secret", SCHEMA, grid=elsewhere)
    assert f"{server.address}/a.gpkg lies" in error.value.given


def test_geoparquet_is_to_be_downloaded(folder: Path, server: RangeServer) -> None:
    with pytest.raises(LabelError, match="GeoParquet file at an address"):
        read_vectors(f"{server.address}/a.parquet?sig=1", SCHEMA)
    assert server.asked() == []


@pytest.mark.parametrize(
    ("given", "opened"),
    {
        "a.gpkg": "a.gpkg",
        "data/a.zip": "data/a.zip",  # pyogrio looks inside by itself
        "s3://bucket/a.fgb": "/vsis3/bucket/a.fgb",
        "https://host/a.zip?sig=1": "/vsizip/{/vsicurl/https://host/a.zip?sig=1}",
        "https://host/a.shp.zip": "/vsicurl/https://host/a.shp.zip",
        "/vsizip//vsicurl/https://host/a.zip": "/vsizip//vsicurl/https://host/a.zip",
    }.items(),
)
def test_what_is_opened_for_an_address(given: str, opened: str) -> None:
    assert vector_name(given) == vector_name(Path(given)) == opened


def test_settings_for_a_network_last_no_longer_than_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def settings() -> tuple[object, object]:
        return pyogrio.get_gdal_config_option("GDAL_HTTP_TIMEOUT"), pyogrio.get_gdal_config_option(
            "GDAL_HTTP_MAX_RETRY"
        )

    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "7")
    before = settings()
    with reading("https://host/a.gpkg"):
        assert settings() == (120, 7)
        with reading("s3://bucket/a.gpkg"):
            pass
        assert settings() == (120, 7)
    assert settings() == before == (None, 7)
    with reading("a.gpkg"):
        assert settings() == before


@pytest.mark.parametrize("form", FORMS)
def test_areas_may_lie_at_an_address(folder: Path, server: RangeServer, form: str) -> None:
    def masks(file: Path) -> list[np.ndarray]:
        pieces = {"test": [AreaPiece(file=file)]}
        return [area.mask(GRID.block) for area in resolve_areas(pieces, GRID, GRID)["test"]]

    remote = masks(Path(form.format(server.address, "a.gpkg")))
    np.testing.assert_array_equal(remote, masks(folder / "a.gpkg"))
    assert len(remote) == 2


def test_areas_at_an_address_that_leads_nowhere(server: RangeServer) -> None:
    with pytest.raises(ProjectError, match="404") as error:
        resolve_areas({"test": [AreaPiece(file=Path(f"{server.address}/no.gpkg?sig=secret"))]}, GRID, GRID)
    assert f"{server.address}/no.gpkg" in error.value.given
    assert "secret" not in error.value.given


def run(*args: object) -> str:
    result = CliRunner().invoke(app, [str(one) for one in args])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", [*FORMATS, "a.zip"])
def test_info_describes_vectors_at_an_address_like_the_file(folder: Path, server: RangeServer, name: str) -> None:
    remote = json.loads(run("info", f"{server.address}/{name}", "--json"))
    local = json.loads(run("info", folder / name, "--json"))
    assert (remote.pop("path"), local.pop("path")) == (f"{server.address}/{name}", str(folder / name))
    assert remote == local


def test_verbs_take_labels_and_areas_at_addresses(folder: Path, server: RangeServer) -> None:
    out = folder / "drawn.tif"
    run("rasterize", f"{server.address}/a.gpkg?x=1", "--like", folder / "mask.tif", "--out", out)

    def scores(reference: object, area: object) -> object:
        return json.loads(run("evaluate", out, "--reference", reference, "--area", area, "--json"))["maps"]

    local = scores(folder / "a.gpkg", folder / "a.fgb")
    assert scores(f"{server.address}/a.gpkg", f"{server.address}/a.fgb") == local
