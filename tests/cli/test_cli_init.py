"""``init``: a project file that is right from the start."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from typer.testing import CliRunner, Result

from crispmap.cli.main import app
from crispmap.geo.area_pieces import resolve_areas
from crispmap.geo.grid import Grid
from crispmap.labels.osm import OSM_PRESETS, PRESET_COLOURS
from crispmap.project.file import load_project
from crispmap.raster.files import open_scene
from crispmap.raster.spec import RasterSpec
from crispmap.raster.writer import RasterWriter
from range_server import RangeServer

UTM = CRS.from_epsg(32631)


def run(*args: str | Path) -> Result:
    return CliRunner().invoke(app, ["init", *map(str, args)])


def write_scene(path: Path, height: int, width: int, gsd_m: float | None = 0.5) -> Path:
    """A scene of zeros; without ``gsd_m``, one without georeference."""
    transform = Affine.identity() if gsd_m is None else Affine(gsd_m, 0, 500_000, 0, -gsd_m, 5_400_000)
    grid = Grid(None if gsd_m is None else UTM, transform, (height, width))
    with RasterWriter(RasterSpec(path, grid, count=3, dtype=np.uint8, nodata=None)) as writer:
        writer.write(grid.block, np.ones((3, height, width), dtype=np.uint8))
    return path


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with a scene, labels and a reference."""
    folder = tmp_path / "in puts"
    folder.mkdir()
    write_scene(folder / "scene.tif", 300, 500)
    for name in ("osm.gpkg", "precise.gpkg"):
        (folder / name).touch()
    return folder


class TestWrites:
    def test_with_all_inputs_the_project_is_ready(self, inputs: Path, tmp_path: Path) -> None:
        folder = tmp_path / "my project"
        scene, labels, reference = (inputs / name for name in ("scene.tif", "osm.gpkg", "precise.gpkg"))
        result = run(folder, "--scene", scene, "--labels", labels, "--reference", reference)
        assert result.exit_code == 0, result.output
        assert f"Wrote {folder / 'project.yaml'}" in result.stderr
        project = load_project(folder)
        assert project.name == "my project"
        assert project.schema.names == ("background", "building", "road")
        assert project.schema[2].osm == OSM_PRESETS["road"]
        assert project.coarse.gsd_m is None
        assert project.scenes[0].labels is not None
        assert project.scenes[0].labels.path.samefile(labels)
        assert project.output_folder == folder / "out"
        text = (folder / "project.yaml").read_text(encoding="utf-8")
        assert f"run: crispmap train '{folder}/project.yaml'" in result.stderr
        assert '"../in puts/scene.tif"' in text
        assert "# 300 rows x 500 columns of pixels of 0.5 m" in text
        with open_scene(project.scenes[0].path) as opened:
            grid = opened.grid
        areas = resolve_areas(project.scenes[0].areas, grid, grid)
        shares = {role: ones[0].pixel_count / (300 * 500) for role, ones in areas.items()}
        assert shares == {"coarse": 0.6, "refiner": 0.2, "test": 0.2}

    def test_addresses_are_written_whole(self, tmp_path: Path, server: RangeServer) -> None:
        write_scene(tmp_path / "scene.tif", 300, 500)
        addresses = f"{server.address}/scene.tif?sig=a/b", "s3://bucket/osm.gpkg", "/vsis3/bucket/precise.gpkg"
        folder = tmp_path / "project"
        result = run(folder, "--scene", addresses[0], "--labels", addresses[1], "--reference", addresses[2])
        assert result.exit_code == 0, result.output
        text = (folder / "project.yaml").read_text()
        for address in addresses:
            assert f'path: "{address}"' in text
        assert "# 300 rows x 500 columns" in text
        with open_scene(load_project(folder).scenes[0].path) as opened:
            assert opened.grid.shape == (300, 500)
        told = CliRunner().invoke(app, ["info", str(folder)]).stdout
        assert f"for scene, path {server.address}/scene.tif, exists yes" in told

    def test_with_nothing_it_is_a_form_to_fill_in(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert run().exit_code == 0
        for name in ("scene.tif", "osm.gpkg", "precise.gpkg"):
            (tmp_path / name).touch()
        project = load_project(tmp_path)
        assert set(project.scenes[0].areas) == {"coarse", "refiner", "test"}
        assert project.finetune is not None
        assert project.refiner is None
        assert "placeholders" in (tmp_path / "project.yaml").read_text()

    def test_what_is_proposed_for_labels_in_comments_is_understood(self, inputs: Path, tmp_path: Path) -> None:
        given = ["--scene", inputs / "scene.tif", "--labels", inputs / "osm.gpkg", "--reference", inputs / "osm.gpkg"]
        assert run(tmp_path, *given).exit_code == 0
        path = tmp_path / "project.yaml"
        keys = "layer|encoding|assume_crs|all_as|road_width_m|unknown|tolerance|threshold"
        opened, count = re.subn(rf"(?m)^  # (?=({keys}): )", "  ", path.read_text())
        assert count == 8
        path.write_text(opened)
        labels = load_project(tmp_path).scenes[0].labels
        assert labels is not None
        assert (labels.all_as, labels.road_width_m, labels.unknown) == ("building", 7, "ignore")

    def test_without_a_reference_what_needs_it_waits_in_comments(self, inputs: Path, tmp_path: Path) -> None:
        assert run(tmp_path, "--scene", inputs / "scene.tif", "--labels", inputs / "osm.gpkg").exit_code == 0
        project = load_project(tmp_path)
        assert project.refiner is None
        assert set(project.scenes[0].areas) == {"coarse"}
        path = tmp_path / "project.yaml"
        opened = re.sub(
            r"(?m)^# (?=reference:|refiner:|  (path|refiner|test|  - window|variant|steps|preset))",
            "",
            path.read_text(),
        )
        path.write_text(opened)
        (tmp_path / "precise.gpkg").touch()
        assert set(load_project(tmp_path).scenes[0].areas) == {"coarse", "refiner", "test"}

    def test_a_scene_without_georeference_gets_a_distance_to_correct(self, tmp_path: Path) -> None:
        scene = write_scene(tmp_path / "plain.png.tif", 40, 30, None)
        result = run(tmp_path, "--scene", scene)
        assert result.exit_code == 0, result.output
        assert "georeference" in result.stderr
        project = load_project(tmp_path, check_files=False)
        assert project.scenes[0].ref.assume_gsd_m == 1.0
        assert project.coarse.gsd_m is None
        assert "without georeference" in (tmp_path / "project.yaml").read_text()

    @settings(deadline=None, max_examples=25)
    @given(st.integers(5, 70), st.integers(5, 70), st.sampled_from([0.1, 0.95, 10.0]))
    def test_the_areas_proposed_part_any_scene(self, height: int, width: int, gsd_m: float) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            scene = write_scene(folder / "scene.tif", height, width, gsd_m)
            (folder / "r.gpkg").touch()
            assert run(folder, "--scene", scene, "--reference", folder / "r.gpkg").exit_code == 0
            project = load_project(folder, check_files=False)
            with open_scene(scene) as opened:
                grid = opened.grid
        areas = resolve_areas(project.scenes[0].areas, grid, grid)
        assert sum(ones[0].pixel_count for ones in areas.values()) == height * width
        assert project.coarse.gsd_m is None  # the default network works at any

    @settings(deadline=None, max_examples=60)
    @given(
        st.lists(
            st.text(
                st.characters(exclude_characters=",", exclude_categories=["Cs", "Cc", "Zl", "Zp"]),
                min_size=1,
                max_size=6,
            ),
            max_size=8,
        )
    )
    def test_any_class_names_are_read_back_or_refused(self, names: list[str]) -> None:
        wanted = [name.strip() for name in names if name.strip() and name.strip() != "background"]
        with tempfile.TemporaryDirectory() as folder:
            result = run(folder, f"--classes={','.join(names)}")
            if len(set(wanted)) < len(wanted) or not wanted:
                assert result.exit_code == 2, result.output
                return
            assert result.exit_code == 0, result.output
            schema = load_project(Path(folder), check_files=False).schema
        assert schema.names == ("background", *wanted)

    def test_every_preset_has_its_colour_and_rules(self, tmp_path: Path) -> None:
        assert run(tmp_path, "--classes", ",".join(OSM_PRESETS)).exit_code == 0
        for one in load_project(tmp_path, check_files=False).schema:
            assert one.colour == PRESET_COLOURS[one.name]
            assert one.osm == OSM_PRESETS.get(one.name, ())

    def test_forty_classes_of_ones_own_have_colours_of_their_own(self, tmp_path: Path) -> None:
        assert run(tmp_path, "--classes", ",".join(f"c{i}" for i in range(40))).exit_code == 0
        assert len(load_project(tmp_path, check_files=False).schema) == 41

    @pytest.mark.parametrize("name", ["...", "-x y-", "ü", "a:b#c", "x" * 120])
    def test_any_folder_gives_the_project_a_name(self, tmp_path: Path, name: str) -> None:
        assert run("--", tmp_path / name).exit_code == 0
        assert load_project(tmp_path / name, check_files=False).name

    @pytest.mark.parametrize("name", ['a"b.tif', "a: b #c.tif", "ß\\n.tif", "'.tif"])
    def test_any_file_name_is_read_back(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).touch()
        assert run(tmp_path, "--labels", tmp_path / name).exit_code == 0
        project = load_project(tmp_path, check_files=False)
        assert project.scenes[0].labels is not None
        assert project.scenes[0].labels.path.samefile(tmp_path / name)

    def test_the_file_is_plain_yaml(self, tmp_path: Path) -> None:
        assert run(tmp_path).exit_code == 0
        assert yaml.safe_load((tmp_path / "project.yaml").read_text(encoding="utf-8"))["crispmap"] == 2


class TestRefuses:
    def test_an_existing_file_is_kept_without_force(self, tmp_path: Path) -> None:
        path = tmp_path / "project.yaml"
        path.write_text("mine")
        result = run(tmp_path)
        assert result.exit_code == 2
        assert "--force" in result.stderr
        assert path.read_text() == "mine"
        assert run(tmp_path, "--force").exit_code == 0
        assert load_project(tmp_path, check_files=False)

    @pytest.mark.parametrize("option", ["--scene", "--labels", "--reference"])
    def test_files_that_are_not_there_are_told_and_nothing_is_written(self, tmp_path: Path, option: str) -> None:
        result = run(tmp_path / "new", option, tmp_path / "absent")
        assert result.exit_code == 2
        assert str(tmp_path / "absent") in result.stderr
        assert not (tmp_path / "new").exists()

    def test_a_scene_that_is_none_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "x.tif").write_text("no raster")
        result = run(tmp_path / "new", "--scene", tmp_path / "x.tif")
        assert result.exit_code == 2
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("classes", ["", " , ", "background", "a,a"])
    def test_classes_that_make_no_schema_are_told(self, tmp_path: Path, classes: str) -> None:
        result = run(tmp_path, "--classes", classes)
        assert result.exit_code == 2
        assert "class" in result.stderr.lower()
        assert not (tmp_path / "project.yaml").exists()

    def test_classes_without_tag_rules_are_named(self, tmp_path: Path) -> None:
        result = run(tmp_path, "--classes", "background,road,castle,moat")
        assert result.exit_code == 0
        assert "castle, moat" in result.stderr

    def test_a_folder_that_is_a_file_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        result = run(tmp_path / "file")
        assert result.exit_code == 2
        assert "bug in crispmap" not in result.stderr


def test_several_scenes_are_refused_and_not_left_out_in_silence(tmp_path: Path) -> None:
    result = run(tmp_path / "two", "--scene", "north.tif", "--scene", "south.tif")
    assert result.exit_code == 2
    assert "2 scenes" in result.output
    assert not (tmp_path / "two").exists()
