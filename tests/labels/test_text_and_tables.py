"""Text in another encoding, archives with folders, and tables without geometry: read, or an error that says the way."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pyarrow as pa
import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import CrispmapWarning, LabelError, SceneError
from crispmap.files.dataset import open_dataset
from crispmap.labels.describe import describe_vectors
from crispmap.labels.layers import drawn_layers, layer_box, read_layer
from crispmap.labels.mask import is_vector_file
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors

UTM = CRS.from_epsg(32631)
CHURCH = ClassSchema((ClassDef("background", "#f2efe9"), ClassDef("church", "#d7191c", ("nom=église",))))
BOX = shapely.box(450_100, 5_400_100, 450_120, 5_400_110)


def latin_shapefile(folder: Path) -> Path:
    frame = gpd.GeoDataFrame({"nom": ["église", "forêt"]}, geometry=[BOX, BOX], crs=UTM)
    frame.to_file(folder / "lat.shp", encoding="ISO-8859-1")
    (folder / "lat.cpg").write_text("UTF-8")
    return folder / "lat.shp"


def test_text_that_is_not_as_the_file_says_is_read_with_a_warning(tmp_path: Path) -> None:
    with pytest.warns(CrispmapWarning, match=r"lat\.shp .*encoding"):
        found = read_vectors(latin_shapefile(tmp_path), CHURCH)
    assert len(found) == 1


@pytest.mark.parametrize("encoding", ["latin-1", "ISO-8859-1", "cp1252"])
def test_the_encoding_may_be_given(tmp_path: Path, encoding: str) -> None:
    found = read_vectors(latin_shapefile(tmp_path), CHURCH, options=LabelOptions(encoding=encoding))
    assert len(found) == 1


@pytest.mark.parametrize("encoding", ["UTF-8", "klingon"])
def test_a_wrong_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(LabelError, match=rf"(?i)lat\.shp .*'{encoding}'"):
        read_vectors(latin_shapefile(tmp_path), CHURCH, options=LabelOptions(encoding=encoding))


def test_text_beside_a_damaged_one_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    gpd.GeoDataFrame({"façade": ["forêt", "vWWW"]}, geometry=[BOX, BOX], crs=UTM).to_file(path)
    path.write_bytes(path.read_bytes().replace(b"vWWW", b"v\xe9\x81l"))
    (layer,) = drawn_layers(path)
    with pytest.warns(CrispmapWarning):
        frame = read_layer(layer, layer.columns, None)
    assert frame["façade"].tolist() == ["forêt", "vé\x81l"]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.binary(min_size=3, max_size=3),
    value=st.binary(min_size=3, max_size=3),
    suffix=st.sampled_from([".gpkg", ".geojson", ".fgb", ".shp"]),
)
def test_no_bytes_of_names_and_values_are_a_fault(tmp_path: Path, name: bytes, value: bytes, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    gpd.GeoDataFrame({"nQQQ": ["vWWW"]}, geometry=[BOX], crs=UTM).to_file(path)
    text = path.with_suffix(".dbf") if suffix == ".shp" else path
    text.write_bytes(text.read_bytes().replace(b"nQQQ", b"n" + name).replace(b"vWWW", b"v" + value))
    try:
        (layer,) = drawn_layers(path)
        layer_box(layer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CrispmapWarning)
            frame = read_layer(layer, layer.columns, None)
        assert len(frame) == 1
        assert set(layer.columns) <= set(frame.columns)
        describe_vectors(path)
    except LabelError:
        assert suffix != ".shp"  # the others have a syntax of their own, or check themselves


def test_a_file_in_a_folder_of_an_archive_is_named(tmp_path: Path) -> None:
    path = latin_shapefile(tmp_path)
    archive = tmp_path / "nz.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for one in tmp_path.glob("lat.*"):
            file.write(one, f"in/{one.name}")
    with pytest.raises(LabelError, match=f"/vsizip/{archive}/in/{path.name}"):
        read_vectors(archive, CHURCH)
    with pytest.raises(LabelError, match=f"/vsizip/{archive}/in/{path.name}"):
        describe_vectors(archive)
    inside = Path(f"/vsizip/{archive}/in/{path.name}")
    assert len(read_vectors(inside, CHURCH, options=LabelOptions(encoding="cp1252"))) == 1


def test_a_raster_in_a_folder_of_an_archive_is_named(tmp_path: Path) -> None:
    profile = {"driver": "GTiff", "width": 2, "height": 2, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", **profile, crs="EPSG:32631", transform=(1, 0, 9, 0, -1, 9)):
        pass
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.write(tmp_path / "a.tif", "in/a.tif")
    with pytest.raises(SceneError, match=f"/vsizip/{tmp_path}/z.zip/in/a.tif"):
        open_dataset(tmp_path / "z.zip")


def test_a_table_whose_column_holds_no_geometry_says_how_to_convert_others(tmp_path: Path) -> None:
    path = tmp_path / "gob.csv"
    path.write_text("latitude,geometry,code\n45.5,Polygon,x\n")
    assert is_vector_file(path)
    with pytest.raises(LabelError, match=r"gob\.csv is a table .*latitude, geometry, code") as error:
        read_vectors(path, CHURCH)
    assert "GEOM_POSSIBLE_NAMES=geometry" in error.value.remedy


def test_tables_of_any_format_are_named_as_such(tmp_path: Path) -> None:
    frame = gpd.GeoDataFrame({"nom": ["x"]}, geometry=[BOX], crs=UTM)
    frame.to_file(tmp_path / "a.gpkg", layer="roofs")
    pyogrio.write_dataframe(frame.drop(columns="geometry"), tmp_path / "a.gpkg", layer="notes")
    frame.drop(columns="geometry").to_parquet(tmp_path / "a.parquet")
    with pytest.raises(LabelError, match="table without geometry; its columns: nom"):
        read_vectors(tmp_path / "a.gpkg", CHURCH, options=LabelOptions(layer="notes"))
    with pytest.raises(LabelError, match="table without geometry; its columns: nom"):
        read_vectors(tmp_path / "a.parquet", CHURCH)


def test_column_types_that_pandas_writes_and_cannot_read_are_an_error_of_the_file(tmp_path: Path) -> None:
    names = pd.Series([["x", "y"]], dtype=pd.ArrowDtype(pa.list_(pa.string())))
    gpd.GeoDataFrame({"nom": names}, geometry=[BOX], crs=UTM).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(LabelError):
        read_vectors(tmp_path / "a.parquet", CHURCH)
