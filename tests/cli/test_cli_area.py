"""The verbs ``area``, ``sample`` and ``change``, as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from small_place import run

from crispmap.geo.grid import Grid
from crispmap.labels.osm import preset_schema
from crispmap.raster.writer import class_map_writer

GRID = Grid(CRS.from_epsg(32631), Affine(10.0, 0, 450_000, 0, -10.0, 5_400_000), (60, 80))
VALUES = np.random.default_rng(0).integers(0, 3, GRID.shape).astype(np.uint8)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Maps of two months and two regions, in the folder one is in."""
    monkeypatch.chdir(tmp_path)
    for month in (1, 2):
        with class_map_writer(f"m_2022-0{month}.tif", GRID, preset_schema(["building", "road"])) as writer:
            writer.write(GRID.block, VALUES)
    boxes = [shapely.box(450_000, 5_399_400, 450_395, 5_400_000), shapely.box(450_395, 5_399_400, 450_800, 5_400_000)]
    gpd.GeoDataFrame({"name": ["west", "east"]}, geometry=boxes, crs=32631).to_file("r.gpkg", engine="pyogrio")
    return tmp_path


def test_areas_by_region_and_month(place: Path) -> None:
    words = ["area", "m_2022-02.tif", "m_2022-01.tif", "--regions", "r.gpkg", "--date-from", "filename"]
    result = run(*words, "--out", "a.csv", "--out", "a.xlsx", "--out", "a.md", "--out", "a.html")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "building, km2" in lines
    assert lines[lines.index("building, km2") + 1].split() == ["Year", "Month", "west", "east", "Total"]
    assert all((place / f"a.{suffix}").stat().st_size for suffix in ("csv", "xlsx", "md", "html"))
    figures = json.loads(run(*words, "--json").stdout)
    assert [one["period"] for one in figures["periods"]] == ["2022-01", "2022-02"]
    found = sum(one["area_m2"]["building"] for one in figures["periods"][0]["regions"])
    assert found == pytest.approx(100 * (VALUES == 1).sum(), rel=2e-3)
    assert figures["accuracy"] is None


def test_a_sample_is_drawn_labelled_and_read_back(place: Path) -> None:
    result = run("sample", "m_2022-01.tif", "--standard-error", "0.05", "--expected", "0.9,road=0.8", "--out", "s.gpkg")
    assert result.exit_code == 0, result.output
    assert "background, building, road" in result.stderr
    drawn = json.loads(run("sample", "m_2022-01.tif", "--size", "150", "--out", "s.gpkg", "--force", "--json").stdout)
    assert drawn["points"] == 150 == sum(one["points"] for one in drawn["strata"])
    frame = gpd.read_file("s.gpkg", layer="sample")
    cols, rows = np.floor((shapely.get_coordinates(frame.geometry) - (450_000, 5_400_000)) / (10, -10)).astype(int).T
    frame["reference"] = VALUES[rows, cols].astype(str)
    pyogrio.write_dataframe(frame, "s.gpkg", layer="sample")
    result = run("area", "m_2022-01.tif", "--sample", "s.gpkg", "--out", "a.csv")
    assert result.exit_code == 0, result.output
    assert "Overall accuracy 100.00 ± 0.00 %, from 150 points" in result.stdout
    assert (place / "a_accuracy.csv").exists()
    assert run("area", "m_2022-01.tif", "--sample", "s.gpkg", "--out", "a.csv").exit_code == 2


@pytest.mark.parametrize("shares", ["road=0.9,road=0.8", "0.9,0.8"])
def test_an_accuracy_expected_twice_is_refused(place: Path, shares: str) -> None:
    result = run("sample", "m_2022-01.tif", "--standard-error", "0.05", "--expected", shares, "--out", "s.gpkg")
    assert (result.exit_code, list(place.glob("s.gpkg"))) == (2, [])


def test_a_confusion_matrix(place: Path) -> None:
    (place / "m.csv").write_text("map,background,building,road\nbackground,9,1,0\nbuilding,0,8,2\nroad,1,1,9\n")
    figures = json.loads(run("area", "m_2022-01.tif", "--confusion", "m.csv", "--json").stdout)
    assert figures["accuracy"]["points"] == 31


def test_a_table_never_replaces_what_it_is_made_of(place: Path) -> None:
    counts = "map,background,building,road\nbackground,9,1,0\nbuilding,0,8,2\nroad,1,1,9\n"
    (place / "m.csv").write_text(counts)
    for verb, out in (("area", "--out"), ("change", "--table")):
        maps = ["m_2022-01.tif", "m_2022-02.tif"][: 1 + (verb == "change")]
        assert run(verb, *maps, "--confusion", "m.csv", out, "m.csv", "--force").exit_code == 2
        assert (place / "m.csv").read_text() == counts


def test_change(place: Path) -> None:
    words = ["change", "m_2022-01.tif", "m_2022-02.tif"]
    result = run(*words, "--out", "c.tif", "--table", "c.csv", "--table", "c.html")
    assert result.exit_code == 0, result.output
    assert "0 of 0.48" in result.stderr
    assert result.stdout.splitlines()[0] == "Before and after, km2"
    figures = json.loads(run(*words, "--json").stdout)
    assert figures["lost_m2"] == {"background": 0, "building": 0, "road": 0}
    assert sorted(one.name for one in place.glob("c.*")) == ["c.csv", "c.html", "c.qml", "c.tif", "c.tif.aux.xml"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["area", "m_2022-01.tif", "m_2022-02.tif"], "--overlap first"),
        (["area", "m_2022-01.tif", "--regions", "r.gpkg", "--by", "bioma"], "name"),
        (["area", "m_2022-01.tif", "--date-from", "tag"], "--date-tag"),
        (["area", "m_2022-01.tif", "--date-from", "column"], "--dates"),
        (["area", "m_2022-01.tif", "--date-from", "filename", "--period", "day"], "--period"),
        (["area", "m_2022-01.tif", "--out", "a.pdf"], ".csv"),
        (["area", "m_2022-01.tif", "--out", "no/a.csv"], "does not exist"),
        (["area", "nowhere.tif"], "nowhere.tif"),
        (["area", "m_2022-01.tif", "--confusion", "m.csv", "--sample", "s.gpkg"], "Both"),
        (["sample", "m_2022-01.tif", "--out", "s.gpkg"], "--standard-error"),
        (["sample", "m_2022-01.tif", "--size", "50", "--out", "s.shp"], ".gpkg"),
        (["sample", "m_2022-01.tif", "--size", "50", "--expected", "much", "--out", "s.gpkg"], "much"),
        (["sample", "m_2022-01.tif", "--size", "50", "--expected", "hut=0.9", "--out", "s.gpkg"], "hut"),
        (["change", "m_2022-01.tif", "nowhere.tif"], "nowhere.tif"),
        (["change", "m_2022-01.tif", "m_2022-02.tif", "--out", "m_2022-02.tif"], "m_2022-02.tif"),
        (["change", "m_2022-01.tif", "m_2022-02.tif", "--table", "c.pdf"], ".csv"),
        (["sample", "m_2022-01.tif", "--standard-error", "2", "--out", "s.gpkg"], "0.5"),
    ],
)
def test_mistakes_are_told_in_options(place: Path, words: list[str], told: str) -> None:
    before = sorted(one.name for one in place.iterdir())
    result = run(*words)
    assert result.exit_code == 2, result.output
    assert told in result.output
    assert sorted(one.name for one in place.iterdir()) == before
