"""Items of maps and models, held to the schemas that they state, and the catalogue of a folder."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from safetensors.numpy import save_file
from typer.testing import CliRunner

from crispmap.catalogue.fields import MLM, classes_of
from crispmap.catalogue.folder import CATALOGUE, item_of_file, write_catalogue
from crispmap.catalogue.footprint import footprint
from crispmap.classes import CONTROL, ClassDef, ClassSchema, class_colour
from crispmap.cli.main import app
from crispmap.errors import AreaError, GeoreferenceWarning, InputError, ModelError, OutputError, SceneError
from crispmap.geo.grid import Grid
from crispmap.models.card import CARD_KEY, ModelCard, model_hash
from crispmap.models.scaling import Scaling
from crispmap.raster.resolve import resolve_scenes
from crispmap.raster.writer import class_map_writer, scores_writer

SCHEMAS = Path(__file__).with_name("schemas")
SCHEMA = ClassSchema(
    (ClassDef("ground", "#ffffff"), ClassDef('a "b", <c>', "#d7191c"), ClassDef("a 'b' c", "#00aa00"),
     ClassDef("שביל", "#0000ff"))
)  # fmt: skip
GRID = Grid(CRS.from_epsg(32631), Affine(0.5, 0, 448_000, 0, -0.5, 5_411_000), (60, 80))
NAMES = st.text(min_size=1, max_size=200).filter(lambda name: name.strip() and not CONTROL.search(name))


def write_map(path: Path, grid: Grid = GRID, **tags: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with class_map_writer(path, grid, SCHEMA, tags=tags) as writer:
        writer.write(grid.block, np.ones(grid.shape, np.uint8))
    return path


def write_model(path: Path, kind: Any = "coarse", **arguments: Any) -> Path:
    card = ModelCard(
        kind, "fcn-rnn" if kind == "coarse" else "rnn", arguments, SCHEMA, ("red", "nir", "band 3"),
        Scaling((120.0, 90, 1), (60.0, 30, 2)), 0.5, 31, 4, {"project": path.stem},
    )  # fmt: skip
    save_file({"weight": np.zeros((3, 5), np.float32)}, path, {CARD_KEY: card.to_json()})
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two maps, one by the models beside them, and what is no map."""
    home = tmp_path / "out"
    (home / "models").mkdir(parents=True)
    coarse = write_model(home / "models" / "coarse.safetensors", side_px=3)
    refiner = write_model(home / "models" / "refiner.safetensors", "refiner")
    write_map(home / "map.tif", CRISPMAP_COARSE_SHA256=model_hash(coarse), CRISPMAP_REFINER_SHA256=model_hash(refiner),
              CRISPMAP_ENGINE="openvino float32")  # fmt: skip
    write_map(home / "east" / "map.tif", CRISPMAP_COARSE_SHA256="0" * 64)
    write_map(home / ".hidden" / "map.tif")
    with scores_writer(home / "scores.tif", GRID, SCHEMA.names) as writer:
        writer.write(GRID.block, np.zeros((4, *GRID.shape), np.float32))
    save_file({"a": np.zeros(1, np.float32)}, home / "other.safetensors")
    (home / "torn.tif").write_bytes(b"II*\0torn")
    return home


def check(item: dict[str, Any]) -> None:
    """Hold an item to the schema of STAC, and to those of the extensions that it states."""
    pystac = pytest.importorskip("pystac")
    validators = pytest.importorskip("jsonschema").validators
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = {json.loads(one.read_text())["$id"].rstrip("#"): one for one in SCHEMAS.glob("*.json")}
        pystac.validation.validate_dict({**item, "stac_extensions": []})
        for extension in item["stac_extensions"]:
            if extension != MLM:
                validators.Draft7Validator(json.loads(kept[extension].read_text())).validate(item)


class TestMaps:
    def test_an_item_is_valid(self, folder: Path) -> None:
        check(item_of_file(folder / "map.tif"))

    @pytest.mark.parametrize("field", ["datetime", "proj:shape", "classification:classes", "processing:level"])
    def test_the_schemas_find_what_is_wrong(self, folder: Path, field: str) -> None:
        """Else a valid item would say nothing."""
        refused = (
            pytest.importorskip("jsonschema").exceptions.ValidationError,
            pytest.importorskip("pystac").errors.STACValidationError,
        )
        item = item_of_file(folder / "map.tif")
        item["properties"][field] = {"a": 1}
        with pytest.raises(refused):
            check(item)

    def test_it_says_what_the_map_is(self, folder: Path) -> None:
        item = item_of_file(folder / "map.tif")
        facts, (band,) = item["properties"], item["assets"]["map"]["bands"]
        assert (facts["proj:code"], facts["proj:shape"]) == ("EPSG:32631", [60, 80])
        assert Affine(*facts["proj:transform"][:6]) == GRID.transform
        assert facts["proj:bbox"] == list(GRID.bounds)
        assert (band["data_type"], band["nodata"]) == ("uint8", 255)
        assert [one["title"] for one in band["classification:classes"]] == list(SCHEMA.names)
        assert [one["color_hint"].lower() for one in band["classification:classes"]] == [c.colour[1:] for c in SCHEMA]
        assert facts["crispmap:engine"] in facts["processing:lineage"]
        assert facts["crispmap:coarse_sha256"] in facts["processing:lineage"]
        assert {name: (folder / one["href"]).is_file() for name, one in item["assets"].items()} == {
            "map": True, "style": True, "attributes": True,
        }  # fmt: skip

    @given(st.lists(NAMES, min_size=2, max_size=60, unique_by=str.strip))
    def test_any_classes_have_plain_names_of_their_own(self, names: list[str]) -> None:
        schema = ClassSchema(tuple(ClassDef(name, class_colour(i)) for i, name in enumerate(names)))
        found = classes_of(schema)
        assert [one["title"] for one in found] == names
        assert all(re.fullmatch("[0-9A-Za-z_-]+", one["name"]) for one in found)

    def test_its_time_is_that_of_the_scene_where_it_is_known(self, tmp_path: Path) -> None:
        plain = item_of_file(write_map(tmp_path / "a_2022-08.tif"))["properties"]
        assert plain["crispmap:datetime_from"] == "file"
        assert plain["datetime"] == plain["updated"]
        month = item_of_file(tmp_path / "a_2022-08.tif", "filename")
        check(month)
        assert [month["properties"][one] for one in ("datetime", "start_datetime", "end_datetime")] == [
            None, "2022-08-01T00:00:00Z", "2022-08-31T23:59:59Z",
        ]  # fmt: skip
        year = item_of_file(write_map(tmp_path / "2021.tif"), "filename")["properties"]
        assert year["end_datetime"] == "2021-12-31T23:59:59Z"
        tagged = write_map(tmp_path / "b.tif", TIFFTAG_DATETIME="2020:12:31 10:00:00")
        for dates in (None, "tag"):
            facts = item_of_file(tagged, dates)["properties"]
            assert (facts["datetime"], facts["crispmap:datetime_from"]) == ("2020-12-31T00:00:00Z", "tag")

    def test_a_date_asked_for_and_missing_is_refused(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif")
        for dates in ("filename", "tag"):
            with pytest.raises(AreaError) as caught:
                item_of_file(path, dates)
            assert "dates=" not in caught.value.remedy  # an option of area that stac lacks
        odd = write_map(tmp_path / "odd.tif", TIFFTAG_DATETIME="no date")
        with pytest.raises(AreaError):
            item_of_file(odd, "tag")
        assert item_of_file(odd)["properties"]["crispmap:datetime_from"] == "file"

    def test_a_map_without_georeference_has_no_place(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", Grid(None, Affine.identity(), (60, 80)))
        with pytest.warns(GeoreferenceWarning):
            item = item_of_file(path)
        check(item)
        assert item["geometry"] is None
        assert "bbox" not in item
        assert not [key for key in item["properties"] if key.startswith("proj:")]

    def test_what_is_no_class_map_is_refused(self, folder: Path) -> None:
        with pytest.raises(SceneError):
            item_of_file(folder / "scores.tif")

    def test_crispmap_reads_its_own_items(self, folder: Path) -> None:
        write_catalogue(folder)
        (scene,) = resolve_scenes([str(folder / "map.tif.stac.json")])
        assert Path(scene.files[0]).resolve() == (folder / "map.tif").resolve()


class TestFootprints:
    @pytest.mark.parametrize(
        ("epsg", "transform"),
        [(32631, GRID.transform), (4326, Affine(0.01, 0, 5, 0, -0.01, 50)), (3031, Affine(900, 0, 1e6, 0, -900, 1e6)),
         (3857, Affine(50, 0, -7e6, 0, -50, -2e6))],
    )  # fmt: skip
    def test_every_pixel_lies_in_it(self, epsg: int, transform: Affine) -> None:
        grid = Grid(CRS.from_epsg(epsg), transform, (60, 80))
        found = footprint(grid)
        outline = shapely.buffer(shapely.geometry.shape(found["geometry"]), 1e-4)
        cols, rows = np.meshgrid(np.arange(80) + 0.5, np.arange(60) + 0.5)
        x, y = transform @ (cols.ravel(), rows.ravel())
        lon, lat = Transformer.from_crs(grid.crs, 4326, always_xy=True).transform(x, y)
        assert shapely.contains_xy(outline, lon, lat).mean() > 0.999
        west, south, east, north = found["bbox"]
        assert west <= lon.min() <= lon.max() <= east
        assert south <= lat.min() <= lat.max() <= north
        assert shapely.geometry.shape(found["geometry"]).exterior.is_ccw

    def test_across_180_degrees_it_is_two_and_its_box_runs_east(self) -> None:
        found = footprint(Grid(CRS.from_epsg(32601), Affine(1000, 0, 250_000, 0, -1000, 5_000_000), (60, 80)))
        outline = shapely.geometry.shape(found["geometry"])
        assert outline.geom_type == "MultiPolygon"
        assert outline.bounds[0] == -180
        assert outline.bounds[2] == 180
        west, _, east, _ = found["bbox"]
        assert west > 0 > east

    @pytest.mark.parametrize("epsg", [3031, 3413])
    def test_around_a_pole_it_reaches_the_pole(self, epsg: int) -> None:
        found = footprint(Grid(CRS.from_epsg(epsg), Affine(10_000, 0, -4e5, 0, -10_000, 4e5), (80, 80)))
        west, south, east, north = found["bbox"]
        assert (west, east) == (-180, 180)
        assert (south == -90) if epsg == 3031 else (north == 90)

    def test_the_whole_earth(self) -> None:
        found = footprint(Grid(CRS.from_epsg(4326), Affine(1, 0, -180, 0, -1, 90), (180, 360)))
        assert found["bbox"] == [-180, -90, 180, 90]

    def test_nowhere_on_earth_is_no_place(self) -> None:
        local = CRS.from_wkt('LOCAL_CS["site",UNIT["metre",1]]')
        assert footprint(Grid(local, Affine.identity(), (60, 80))) == {"geometry": None}
        assert footprint(Grid(CRS.from_epsg(32631), Affine(1, 0, 1e30, 0, -1, 1e30), (6, 8))) == {"geometry": None}


class TestModels:
    @pytest.mark.parametrize("kind", ["coarse", "refiner"])
    @pytest.mark.parametrize("arguments", [{}, {"side px": 3, "nested": {"a": [1]}}, {"square_px": 64}])
    def test_an_item_is_valid(self, tmp_path: Path, kind: str, arguments: dict[str, Any]) -> None:
        item = item_of_file(write_model(tmp_path / "m.safetensors", kind, **arguments))
        check(item)
        check_mlm(item)

    def test_it_is_what_the_authors_of_the_extension_take(self, tmp_path: Path) -> None:
        """Their classes are for schema 1.5.1, which 1.5.2 does not narrow."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            schema = pytest.importorskip("stac_model.schema")
            for kind in ("coarse", "refiner"):
                facts = item_of_file(write_model(tmp_path / f"{kind}.safetensors", kind))["properties"]
                own = {key.removeprefix("mlm:"): value for key, value in facts.items() if key.startswith("mlm:")}
                for one in own["output"][0]["classification:classes"]:
                    del one["title"]  # of classification 2.0, which they do not know
                read = schema.MLModelProperties.model_validate(own)
                assert len(read.input) == (1 if kind == "coarse" else 2)

    def test_it_says_what_the_model_takes_and_gives(self, tmp_path: Path) -> None:
        path = write_model(tmp_path / "m.safetensors", "refiner")
        facts = item_of_file(path)["properties"]
        image, scores = facts["mlm:input"]
        assert image["bands"] == [one["name"] for one in facts["bands"]] == ["red", "nir", "band 3"]
        assert [(one["mean"], one["stddev"]) for one in image["value_scaling"]] == [(120, 60), (90, 30), (1, 2)]
        assert scores["input"]["shape"] == facts["mlm:output"][0]["result"]["shape"] == [-1, 4, -1, -1]
        assert (facts["crispmap:sha256"], facts["mlm:total_parameters"]) == (model_hash(path), 15)
        assert facts["mlm:tasks"] == ["semantic-segmentation"]
        squares = item_of_file(write_model(tmp_path / "s.safetensors", square_px=64))["properties"]
        assert squares["mlm:tasks"] == ["classification"]

    def test_a_model_of_another_tool_is_refused(self, folder: Path) -> None:
        with pytest.raises(ModelError):
            item_of_file(folder / "other.safetensors")


def check_mlm(item: dict[str, Any]) -> None:
    """Hold an item to what schema 1.5 of the extension asks for, rule by rule."""
    facts = item["properties"]
    assert MLM in item["stac_extensions"]
    assert {"mlm:name", "mlm:architecture", "mlm:tasks", "mlm:input", "mlm:output"} <= set(facts)
    assert not {"mlm:artifact_type", "mlm:compile_method", "mlm:entrypoint"} & set(facts)
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", facts["mlm:name"])
    assert all(re.fullmatch(r"[0-9a-zA-Z_.-]+", key) for key in facts["mlm:hyperparameters"])
    for one, tensor in [(i, i["input"]) for i in facts["mlm:input"]] + [(o, o["result"]) for o in facts["mlm:output"]]:
        assert ("bands" in tensor["dim_order"]) == bool(one["bands"])
        assert len(set(tensor["dim_order"])) == len(tensor["shape"])
        assert all(re.fullmatch("[a-z-_]+", name) for name in tensor["dim_order"])
        assert min(tensor["shape"]) >= -1
    for scaling in facts["mlm:input"][0]["value_scaling"]:
        assert set(scaling) == {"type", "mean", "stddev"}
    # bands that an input names are described in the item, as STAC 1.1 does
    assert re.match(r"1\.[1-9]", item["stac_version"])
    assert set(facts["mlm:input"][0]["bands"]) == {one["name"] for one in facts["bands"]}
    assert all({"value", "description"} <= set(one) for one in facts["mlm:output"][0]["classification:classes"])
    models = [one for one in item["assets"].values() if "mlm:model" in one["roles"]]
    assert models == [one for one in item["assets"].values() if "mlm:artifact_type" in one]
    assert len(models) == 1


class TestCatalogues:
    def test_a_folder_is_listed_with_what_is_left_out(self, folder: Path) -> None:
        found = write_catalogue(folder)
        assert [one.relative_to(folder).as_posix() for one in found.paths] == [
            CATALOGUE, "map.tif.stac.json", "east/map.tif.stac.json",
            "models/coarse.safetensors.stac.json", "models/refiner.safetensors.stac.json",
        ]  # fmt: skip
        assert [one.name for one, _ in found.left_out] == ["other.safetensors", "scores.tif", "torn.tif"]

    def test_pystac_walks_it_wherever_it_lies(self, folder: Path, tmp_path: Path) -> None:
        pystac = pytest.importorskip("pystac")
        write_catalogue(folder)
        moved = Path(shutil.move(folder, tmp_path / "moved"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            catalogue = pystac.Catalog.from_file(str(moved / CATALOGUE))
            catalogue.validate()
            items = {one.id: one for one in catalogue.get_items(recursive=True)}
        assert set(items) == {"map", "east-map", "models-coarse", "models-refiner"}
        for item in items.values():
            assert item.get_root() is catalogue
            assert all(Path(one.get_absolute_href()).is_file() for one in item.assets.values())

    def test_a_map_is_linked_with_the_models_that_made_it(self, folder: Path) -> None:
        write_catalogue(folder)
        links = {}
        for name in ("map.tif.stac.json", "east/map.tif.stac.json"):
            item = json.loads((folder / name).read_text())
            links[name] = {one["title"]: one["href"] for one in item["links"] if one["rel"] == "derived_from"}
        assert links == {
            "map.tif.stac.json": {
                "coarse model": "./models/coarse.safetensors.stac.json",
                "refiner": "./models/refiner.safetensors.stac.json",
            },
            "east/map.tif.stac.json": {},
        }

    def test_names_of_one_stem_have_ids_of_their_own(self, tmp_path: Path) -> None:
        write_map(tmp_path / "a.tif")
        write_map(tmp_path / "a.tiff")
        write_model(tmp_path / "a.safetensors")
        found = write_catalogue(tmp_path)
        ids = [json.loads(one.read_text())["id"] for one in (*found.maps, *found.models)]
        assert len(set(ids)) == 3

    def test_what_exists_is_replaced_by_force_alone(self, folder: Path) -> None:
        (folder / "map.tif.stac.json").write_text("mine")
        with pytest.raises(OutputError):
            write_catalogue(folder)
        assert not (folder / CATALOGUE).exists()
        write_catalogue(folder, force=True)
        assert json.loads((folder / "map.tif.stac.json").read_text())["id"] == "map"

    def test_a_folder_without_maps_or_none_is_refused(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "absent"):
            with pytest.raises(InputError):
                write_catalogue(path)
        assert not list(tmp_path.iterdir())


class TestVerbs:
    def test_stac(self, folder: Path) -> None:
        result = CliRunner().invoke(app, ["stac", str(folder)])
        assert result.exit_code == 0, result.output
        assert f"Wrote {folder / CATALOGUE}" in result.stderr
        assert "scores.tif" in result.stderr
        again = CliRunner().invoke(app, ["stac", str(folder)])
        assert again.exit_code == 2
        assert "--force" in again.stderr
        figures = json.loads(CliRunner().invoke(app, ["stac", str(folder), "--force", "--json"]).stdout)
        assert (len(figures["maps"]), len(figures["models"]), len(figures["left_out"])) == (2, 2, 3)

    def test_a_date_that_is_missing_is_told_in_options(self, folder: Path) -> None:
        result = CliRunner().invoke(app, ["stac", str(folder), "--date-from", "tag"])
        assert result.exit_code == 2
        assert "--date-from" in result.stderr

    def test_info_shows_the_item_of_either(self, folder: Path) -> None:
        for name in ("map.tif", "models/refiner.safetensors"):
            result = CliRunner().invoke(app, ["info", str(folder / name), "--stac"])
            assert result.exit_code == 0, result.output
            assert json.loads(result.stdout) == item_of_file(folder / name)
        assert CliRunner().invoke(app, ["info", str(folder / "scores.tif"), "--stac"]).exit_code == 2
