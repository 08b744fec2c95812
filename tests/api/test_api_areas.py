"""Areas and samples from Python: files, arrays and tables give the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS

import crispmap
from crispmap.errors import AreaError, InputError, OutputError
from crispmap.geo.grid import Grid
from crispmap.labels.osm import preset_schema
from crispmap.raster.writer import class_map_writer

GRID = Grid(CRS.from_epsg(32631), Affine(10.0, 0, 450_000, 0, -10.0, 5_400_000), (40, 50))
VALUES = np.random.default_rng(0).integers(0, 3, GRID.shape).astype(np.uint8)
SCHEMA = preset_schema(["building", "road"])
WHERE: Any = {"crs": 32631, "transform": GRID.transform}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    with class_map_writer(tmp_path / "m_2022-08.tif", GRID, SCHEMA) as writer:
        writer.write(GRID.block, VALUES)
    outline = shapely.Point(450_250, 5_399_800).buffer(150)
    gpd.GeoDataFrame({"region": ["a"]}, geometry=[outline], crs=32631).to_file(tmp_path / "r.gpkg", engine="pyogrio")
    return tmp_path


def test_a_file_and_an_array_give_the_same_table(place: Path) -> None:
    options: Any = {"regions": place / "r.gpkg", "by": "region"}
    of_file: Any = crispmap.area(place / "m_2022-08.tif", **options)
    of_array: Any = crispmap.area(VALUES, classes=SCHEMA, **options, **WHERE)
    assert of_file.to_dict() == of_array.to_dict()
    assert of_file.area_m2.sum() == pytest.approx(np.pi * 150**2, rel=5e-3)


def test_options_or_several_files_give_a_table(place: Path) -> None:
    one = place / "m_2022-08.tif"
    by_class: Any = crispmap.area(one)
    several: Any = crispmap.area([one])
    dated: Any = crispmap.area(str(one), date_from="filename", period="year")
    assert several.area_m2[0, 0].tolist() == pytest.approx(list(by_class.values()), rel=1e-12)
    assert dated.periods == ("2022",)


def test_a_sample(place: Path) -> None:
    one, out = place / "m_2022-08.tif", place / "s.gpkg"
    assert crispmap.sample(one, out, size=60, least=10, expected_of={"road": 0.9}, squares=True) == out
    frame = gpd.read_file(out, layer="sample")
    assert len(frame) == 60
    assert set(frame.geom_type) == {"Polygon"}
    with pytest.raises(OutputError):
        crispmap.sample(one, out, size=60)
    assert crispmap.sample(str(one), str(out), standard_error=0.1, force=True) == out


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda m: crispmap.area(m, region="r.gpkg"), TypeError),
        (lambda m: crispmap.area(m, regions="r.gpkg", gsd_m=1.0), InputError),
        (lambda m: crispmap.area([m, 3]), InputError),
        (lambda m: crispmap.area([]), AreaError),
        (lambda m: crispmap.area(VALUES, classes=SCHEMA, period="year"), InputError),
        (lambda m: crispmap.sample([m, m], "s.gpkg", size=50), AreaError),
        (lambda m: crispmap.sample(m, "s.gpkg", number=5), TypeError),
        (lambda m: crispmap.sample(m, "s.gpkg"), AreaError),
        (lambda m: crispmap.sample(VALUES, "s.gpkg", size=5), InputError),
    ],
)
def test_mistakes(place: Path, monkeypatch: pytest.MonkeyPatch, call: Any, error: type[Exception]) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(error):
        call(place / "m_2022-08.tif")
