"""What a project says of its labels reaches the reading of them."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from crispmap.errors import CrispmapWarning, LabelError
from crispmap.labels import layers, nearby
from crispmap.labels.kept import KeptVectors
from crispmap.project.compare.record import data_facts
from crispmap.project.file import load_project
from crispmap.project.inputs import open_sources
from crispmap.types import IGNORE, LabelArray
from range_server import RangeServer

PROJECT = """\
crispmap: 2
name: small
scene: {path: scene.tif, assume_gsd_m: 1.0}
classes:
  - {name: ground, colour: "#000000"}
  - {name: house, colour: "#ff0000", osm: building}
  - {name: road, colour: "#0000ff", osm: road}
labels: {path: lines.gpkg}
reference: {path: mask.tif}
areas:
  coarse: [{window: [0, 0, 20, 30]}]
  refiner: [{window: [20, 0, 20, 30]}]
  test: [{window: [40, 0, 20, 30]}]
"""
SHAPE = (60, 30)


def write(path: Path, values: np.ndarray, **place: object) -> None:
    with rasterio.open(path, "w", driver="GTiff", count=1, height=60, width=30, dtype="uint8", **place) as file:
        file.write(values[None])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A scene without CRS at one metre, lines drawn in its coordinates, and a mask with a strange value."""
    place = {"transform": Affine(1, 0, 0, 0, -1, 60)}
    write(tmp_path / "scene.tif", np.full(SHAPE, 7, np.uint8), **place)
    mask = (np.arange(60)[:, None] % 3 + np.zeros(SHAPE)).astype(np.uint8)
    mask[5] = 77
    write(tmp_path / "mask.tif", mask, **place)
    lines = gpd.GeoDataFrame({"highway": ["residential"]}, geometry=[shapely.LineString([(0, 30), (30, 30)])])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lines.set_crs("EPSG:32631").to_file(tmp_path / "lines.gpkg")
    (tmp_path / "project.yaml").write_text(PROJECT)
    return tmp_path / "project.yaml"


def labels(project: Path, old: str, new: str) -> LabelArray:
    """The labels of the whole scene with the project changed."""
    assert old in PROJECT
    project.write_text(PROJECT.replace(old, new))
    with open_sources(load_project(project)) as sources:
        (scene,) = sources.scenes
        grid = scene.image.grid
        return scene.labels(grid).read(grid.block)


@pytest.mark.parametrize("noise", ["", ", noise: {shift_m: 0}"])
def test_vectors_in_the_coordinates_of_a_scene_without_crs(project: Path, noise: str) -> None:
    with pytest.raises(LabelError, match="scene has no coordinate reference system"):
        labels(project, "{path: lines.gpkg}", f"{{path: lines.gpkg{noise}}}")
    found = labels(project, "lines.gpkg}", f"lines.gpkg, assume_crs: scene, road_width_m: 4{noise}}}")
    expected = np.zeros(SHAPE, np.uint8)
    expected[28:32] = 2
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("noise", ["", ", noise: {shift_m: 0}"])
def test_every_feature_may_be_of_one_class(project: Path, noise: str) -> None:
    given = f"lines.gpkg, assume_crs: scene, all_as: house, road_width_m: 2{noise}}}"
    found = labels(project, "lines.gpkg}", given)
    np.testing.assert_array_equal(np.flatnonzero((found == 1).all(axis=1)), [29, 30])
    assert not (found == 2).any()


def test_a_width_that_is_noise_wins(project: Path) -> None:
    given = "lines.gpkg, assume_crs: scene, road_width_m: 2, noise: {road_width_m: 8}}"
    assert (labels(project, "lines.gpkg}", given) == 2).all(axis=1).sum() == 8


def test_noise_on_a_mask_is_refused(project: Path) -> None:
    with pytest.raises(LabelError, match=r"mask\.tif, a raster"):
        labels(project, "lines.gpkg}", "mask.tif, noise: {shift_m: 1}}")


def test_strange_values_of_a_reference_are_left_out_when_asked(project: Path) -> None:
    for text, message in ((PROJECT, "77"), (PROJECT.replace("mask.tif}", "mask.tif, unknown: ignore}"), None)):
        project.write_text(text)
        with open_sources(load_project(project)) as sources:
            (scene,) = sources.scenes
            grid = scene.image.grid
            if message is not None:
                with pytest.raises(LabelError, match=message):
                    scene.reference(grid)
                continue
            with pytest.warns(CrispmapWarning, match="30 of 1800 pixels"):
                found = scene.reference(grid).read(grid.block)
    assert (found[5] == IGNORE).all()
    np.testing.assert_array_equal(np.delete(found, 5, axis=0)[:, 0], np.delete(np.arange(60) % 3, 5))


@pytest.mark.filterwarnings("ignore:.*of no class:crispmap.errors.CrispmapWarning")
@pytest.mark.parametrize("query", ["", "?sig=a/b"])
def test_all_that_is_read_may_lie_at_addresses(project: Path, server: RangeServer, query: str) -> None:
    def read(text: str) -> tuple[np.ndarray, ...]:
        project.write_text(text)
        with open_sources(load_project(project)) as sources:
            (scene,) = sources.scenes
            grid = scene.image.grid
            labels, reference = (reader.read(grid.block) for reader in (scene.labels(grid), scene.reference(grid)))
            return *scene.image.read(grid.block), labels, reference

    local = PROJECT.replace("lines.gpkg", "lines.gpkg, assume_crs: scene, noise: {shift_m: 2}").replace(
        "mask.tif}", "mask.tif, unknown: ignore}"
    )
    remote = local
    for name in ("scene.tif", "mask.tif", "lines.gpkg"):
        remote = remote.replace(name, f'"{server.address}/{name}{query}"')
    assert remote.count("http") == 3
    for one, other in zip(read(remote), read(local), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_inputs_at_addresses_are_known_by(project: Path, server: RangeServer) -> None:
    def facts(query: str) -> dict[str, str]:
        text = PROJECT
        for name in ("scene.tif", "mask.tif", "lines.gpkg"):
            text = text.replace(name, f'"{server.address}/{name}{query}"')
        project.write_text(text)
        return data_facts(load_project(project))

    signed = facts("?sig=secret")
    assert signed == facts("?sig=renewed")
    assert "secret" not in str(signed)
    with rasterio.open(project.parent / "mask.tif", "r+") as mask:
        values = mask.read()
        mask.write(np.where(values == 1, 2, values).astype(values.dtype))
    changed = facts("?sig=later")
    assert {name for name in signed if signed[name] != changed[name]} == {"reference"}


class Readings:
    """Counts how often the features of a vector file are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files: list[str] = []
        real = layers.read_layer

        def read(layer: layers.VectorLayer, wanted: tuple[str, ...], box: layers.Box | None) -> gpd.GeoDataFrame:
            self.files.append(layer.path.name)
            return real(layer, wanted, box)

        monkeypatch.setattr(nearby, "read_layer", read)


@pytest.mark.parametrize("noise", ["", ", noise: {shift_m: 0}"])
def test_vectors_are_read_once_for_all_stages_and_pixel_sizes(
    project: Path, monkeypatch: pytest.MonkeyPatch, noise: str
) -> None:
    text = PROJECT.replace("lines.gpkg}", f"lines.gpkg, assume_crs: scene, road_width_m: 4{noise}}}")
    project.write_text(text.replace("mask.tif", "lines.gpkg, assume_crs: scene"))
    readings, vectors = Readings(monkeypatch), KeptVectors()
    for _ in range(2):  # as for several methods
        with open_sources(load_project(project), vectors) as sources:
            for gsd_m in (None, 1.0, 2.0):
                coarse, refiner = (sources.pieces(role, gsd_m=gsd_m)[0] for role in ("coarse", "refiner"))
                shape = coarse.image.grid.shape
                assert shape == refiner.image.grid.shape == ((30, 15) if gsd_m == 2.0 else (60, 30))
                roads = [one.labels.read(one.image.grid.block) == 2 for one in (coarse, refiner)]
                assert [one.sum() * (gsd_m or 1) ** 2 for one in roads] == [4 * 30, pytest.approx(7 * 30, rel=0.2)]
    assert readings.files == ["lines.gpkg"] * (2 if noise else 1), "of a file of points alone noise is an error"


def test_a_vector_file_that_is_written_meanwhile_is_read_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write_text(PROJECT.replace("lines.gpkg", "lines.geojson, assume_crs: scene, road_width_m: 4"))
    readings, vectors = Readings(monkeypatch), KeptVectors()
    for row, number in ((30, 1), (10, 2)):
        line = f'{{"type": "LineString", "coordinates": [[0, {row}], [30, {row}]]}}'
        features = f'{{"type": "Feature", "properties": {{"highway": "residential"}}, "geometry": {line}}}'
        (project.parent / "lines.geojson").write_text(
            f'{{"type": "FeatureCollection", "features": [{", ".join([features] * number)}]}}'
        )
        with open_sources(load_project(project), vectors) as sources:
            (scene,) = sources.scenes
            found = scene.labels(scene.image.grid).read(scene.image.grid.block)
        assert np.flatnonzero((found == 2).all(axis=1)).tolist() == [58 - row + more for more in range(4)]
    assert readings.files == ["lines.geojson"] * 2
