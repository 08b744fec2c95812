"""``info``: what a file holds, for people and for programs."""

from __future__ import annotations

import json
import warnings
from importlib.resources import files
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from crispmap.classes import ClassDef, ClassSchema
from crispmap.cli.main import app
from crispmap.geo.grid import Grid
from crispmap.models.scaling import Scaling
from crispmap.raster.spec import RasterSpec
from crispmap.raster.writer import RasterWriter, class_map_writer
from small_project import HEAD, make_project

GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 500_000, 0, -0.5, 5_400_000), (30, 40))
PROJECT_OFF_SCENE = f"{HEAD}areas: {{coarse: [{{window: [0, 100, 160, 80]}}]}}\n"
SCHEMA = ClassSchema((ClassDef("background", "#000000"), ClassDef("Straße", "#ff0000", ("highway=*",))))


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["info", *map(str, args)])


def facts(path: Path) -> dict[str, Any]:
    result = run(path, "--json")
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    text = run(path)
    assert text.exit_code == 0
    assert text.stdout.startswith(f"kind: {values['kind']}\n")
    return values


def write_features(path: Path, layer: str | None = None, crs: str | None = "EPSG:32631") -> Path:
    frame = gpd.GeoDataFrame(
        {"building": ["yes", None]}, geometry=[shapely.box(500_000, 5_399_990, 500_010, 5_400_000)] * 2, crs=crs
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        frame.to_file(path, layer=layer, engine="pyogrio")
    return path


class TestRasters:
    def test_a_scene(self, tmp_path: Path) -> None:
        path = tmp_path / "scene.tif"
        with RasterWriter(
            RasterSpec(path, GRID, count=2, dtype=np.int16, nodata=-9999, descriptions=("red", "nir"))
        ) as writer:
            writer.write(GRID.block, np.ones((2, 30, 40), dtype=np.int16))
        values = facts(path)
        assert values["kind"] == "scene"
        assert (values["height_px"], values["width_px"]) == (30, 40)
        assert values["crs"] == "EPSG:32631 (WGS 84 / UTM zone 31N)"
        assert values["gsd_m"] == pytest.approx(GRID.gsd_m(), abs=1e-6)
        assert values["bounds"] == list(GRID.bounds)
        assert values["bands"] == [
            {"name": "red", "type": "int16", "nodata": -9999.0},
            {"name": "nir", "type": "int16", "nodata": -9999.0},
        ]

    def test_a_class_map(self, tmp_path: Path) -> None:
        path = tmp_path / "map.tif"
        with class_map_writer(path, GRID, SCHEMA, tags={"CRISPMAP_COARSE": "fcn-rnn"}) as writer:
            writer.write(GRID.block, np.ones((1, 30, 40), dtype=np.uint8))
        values = facts(path)
        assert values["kind"] == "class map"
        assert values["classes"] == [
            {"id": 0, "name": "background", "colour": "#000000"},
            {"id": 1, "name": "Straße", "colour": "#ff0000"},
        ]
        assert values["tags"] == {"CRISPMAP_COARSE": "fcn-rnn"}
        assert "  - id 1, name Straße, colour #ff0000" in run(path).stdout.splitlines()

    def test_a_picture_without_georeference(self, tmp_path: Path) -> None:
        from PIL import Image

        path = tmp_path / "photo.png"
        Image.fromarray(np.zeros((6, 5, 4), dtype=np.uint8)).save(path)
        result = run(path, "--json")
        assert "georeference" in result.stderr
        values = json.loads(result.stdout)
        assert (values["gsd_m"], values["crs"]) == (None, None)
        assert [band["name"] for band in values["bands"]] == ["red", "green", "blue", "alpha"]

    def test_a_picture_beside_a_stac_item_is_refused(self, tmp_path: Path) -> None:
        path, picture = tmp_path / "map.tif", tmp_path / "map.png"
        with class_map_writer(path, GRID, SCHEMA) as writer:
            writer.write(GRID.block, np.ones((1, 30, 40), dtype=np.uint8))
        result = run(path, "--stac", "--picture", picture)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "--picture" in result.stderr

    def test_bands_without_a_name_are_numbered(self, tmp_path: Path) -> None:
        path = tmp_path / "scene.tif"
        with RasterWriter(RasterSpec(path, GRID, count=5, dtype=np.float32, nodata=None)) as writer:
            writer.write(GRID.block, np.ones((5, 30, 40), dtype=np.float32))
        assert [band["name"] for band in facts(path)["bands"]][1:] == ["band_2", "band_3", "band_4", "band_5"]


class TestModels:
    def test_a_model_told_without_its_weights(self, tmp_path: Path) -> None:
        from crispmap.models.card import ModelCard
        from crispmap.models.fcn.network import fcn_rnn
        from crispmap.models.file import save_model

        network = fcn_rnn(bands=1, classes=2)
        card = ModelCard(
            kind="coarse",
            architecture="fcn-rnn",
            arguments={"bands": 1, "classes": 2},
            schema=SCHEMA,
            band_names=("grey",),
            scaling=Scaling((127.0,), (256.0,)),
            gsd_m=1.0,
            radius_px=33,
            stride_px=4,
            provenance={"seed": 7, "data": {"coarse": []}},
        )
        values = facts(save_model(tmp_path / "m.safetensors", network, card))
        assert values["kind"] == "coarse model"
        assert values["weights"] == sum(one.numel() for one in network.state_dict().values())
        assert values["bands"] == [{"name": "grey", "offset": 127.0, "scale": 256.0}]
        assert (values["gsd_m"], values["radius_px"], values["stride_px"]) == (1.0, 33, 4)
        assert [one["name"] for one in values["classes"]] == ["background", "Straße"]
        assert values["provenance"] == {"seed": 7, "data": {"coarse": []}}

    def test_a_model_of_another_tool(self, tmp_path: Path) -> None:
        path = tmp_path / "other.safetensors"
        save_file({"a": np.zeros((2, 3), dtype=np.float32)}, path, metadata={"by": "someone"})
        assert facts(path) == {
            "kind": "model",
            "path": str(path),
            "weights": 6,
            "card": None,
            "metadata": {"by": "someone"},
        }

    def test_damaged_models_are_told(self, tmp_path: Path) -> None:
        path = tmp_path / "m.safetensors"
        save_file({"a": np.zeros((200, 3), dtype=np.float32)}, path, metadata={"crispmap": "{"})
        whole = path.read_bytes()
        damaged = run(path)
        assert damaged.exit_code == 2  # the card is not JSON
        assert str(path) in damaged.stderr
        for raw in (b"", b"\x05", whole[:50], whole[:-8], b"\xff" * 64, b"PK\x03\x04" + b"\0" * 60):
            path.write_bytes(raw)
            result = run(path)
            assert result.exit_code == 2, raw[:10]
            assert str(path) in result.stderr


class TestVectors:
    def test_layers_of_a_geopackage(self, tmp_path: Path) -> None:
        path = write_features(tmp_path / "a.gpkg", "houses")
        write_features(path, "sheds")
        values = facts(path)
        assert values["kind"] == "vectors"
        assert [layer["name"] for layer in values["layers"]] == ["houses", "sheds"]
        assert values["layers"][0] == {
            "name": "houses",
            "geometry": "Polygon",
            "features": 2,
            "crs": "EPSG:32631",
            "bounds": [500_000.0, 5_399_990.0, 500_010.0, 5_400_000.0],
            "fields": ["building"],
        }

    @pytest.mark.parametrize("name", ["a.fgb", "a.geojson", "a.shp"])
    def test_other_formats(self, tmp_path: Path, name: str) -> None:
        (layer,) = facts(write_features(tmp_path / name))["layers"]
        assert (layer["name"], layer["features"], layer["fields"]) == ("a", 2, ["building"])

    def test_vectors_without_crs_or_features(self, tmp_path: Path) -> None:
        assert facts(write_features(tmp_path / "a.fgb", crs=None))["layers"][0]["crs"] is None
        path = tmp_path / "empty.geojson"
        path.write_text('{"type": "FeatureCollection", "features": []}')
        layer = facts(path)["layers"][0]
        assert (layer["features"], layer["bounds"]) == (0, None)

    def test_geoparquet(self, tmp_path: Path) -> None:
        pytest.importorskip("pyarrow")
        path = tmp_path / "a.parquet"
        gpd.GeoDataFrame({"height": [3.0]}, geometry=[shapely.Point(1, 2)], crs="EPSG:4326").to_parquet(path)
        (layer,) = facts(path)["layers"]
        assert layer == {
            "name": None,
            "geometry": "Point",
            "features": 1,
            "crs": "EPSG:4326 (WGS 84)",
            "bounds": [1.0, 2.0, 1.0, 2.0],
            "fields": ["height"],
        }


class TestProjects:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
        (tmp_path / "scene.tif").touch()
        return tmp_path

    def test_a_project_tells_which_of_its_files_are_there(self, folder: Path) -> None:
        values = facts(folder / "project.yaml")
        assert values == facts(folder)
        assert [(one["for"], one["exists"]) for one in values["files"]] == [
            ("scene", True),
            ("labels", False),
            ("reference", False),
        ]
        assert values["areas"] == {"coarse": 1, "refiner": 1, "test": 1}
        assert values["coarse"]["kind"] == "unet-lite0"
        assert values["finetune"] == {"preset": "fast"}
        assert values["refiner"] is None
        assert "  - for labels, path" in run(folder).stdout

    def test_a_project_with_scores_of_another_tool(self, folder: Path) -> None:
        path = folder / "project.yaml"
        text = (
            path.read_text()
            .replace("  kind: unet-lite0", "  scores: {path: c.tif}\n  #")
            .replace("  preset: fast  #", "  #")
            .replace("  weights: imagenet-lite0  #", "  #")
            .replace("  depth: 5  #", "  #")
        )
        path.write_text(text)
        values = facts(path)
        assert values["coarse"] is None
        assert values["files"][-1]["for"] == "coarse scores"

    def test_a_bad_project_is_told(self, folder: Path) -> None:
        path = folder / "project.yaml"
        path.write_text(path.read_text().replace("seed: 0", "seed: x"))
        result = run(path)
        assert result.exit_code == 2
        assert "project.yaml, line 6: seed is 'x'" in result.stderr


class TestRefuses:
    def test_what_is_not_there(self, tmp_path: Path) -> None:
        result = run(tmp_path / "absent.tif")
        assert result.exit_code == 2
        assert str(tmp_path / "absent.tif") in result.stderr

    @pytest.mark.parametrize(
        ("name", "raw"),
        [
            ("a.tif", b""),
            ("a.tif", b"II*\0torn"),
            ("a.geojson", b'{"type": "FeatureCollection", "features": ['),
            ("a.gpkg", b"SQLite format 3\0"),
            ("a.docx", b"PK\x03\x04"),
            ("a", b"\0\1\2"),
            ("a.parquet", b"PAR1"),
        ],
    )
    def test_what_is_of_no_kind(self, tmp_path: Path, name: str, raw: bytes) -> None:
        path = tmp_path / name
        path.write_bytes(raw)
        for args in ([], ["--json"]):
            result = run(path, *args)
            assert result.exit_code == 2, result.output
            assert str(path) in result.stderr
            assert not result.stdout

    def test_a_folder_without_a_project(self, tmp_path: Path) -> None:
        assert run(tmp_path).exit_code == 2


@pytest.mark.realdata
class TestRealData:
    def test_every_file_of_the_real_data_is_told(self, real_data: Path) -> None:
        kinds = set()
        for path in sorted(real_data.glob("*/*")):
            if path.suffix in (".tif", ".geojson", ".gpkg") and path.is_file():
                result = run(path, "--json")
                assert result.exit_code == 0, (path, result.output)
                kinds.add(json.loads(result.stdout)["kind"])
        assert kinds == {"scene", "mask", "vectors"}


def test_a_project_shows_what_is_wrong_with_its_areas(tmp_path: Path) -> None:
    make_project(tmp_path, PROJECT_OFF_SCENE)
    assert [one["where"] for one in facts(tmp_path)["problems"]] == ["scene scene, areas: coarse"]


def test_tables_of_many_numbers_are_counted_and_whole_as_json() -> None:
    shipped = Path(str(files("crispmap"))) / "refiners" / "general" / "general.safetensors"
    assert "forms: 98 numbers" in run(shipped).stdout
    assert "widths: 16, 32, 48" in run(shipped).stdout
    assert len(json.loads(run(shipped, "--json").stdout)["arguments"]["forms"]) == 2
