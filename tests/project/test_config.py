"""Project files: what a good one gives, and that every bad one is a ProjectError that helps."""

from __future__ import annotations

import copy
import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.classes import ROAD_WIDTH_M
from crispmap.errors import ProjectError
from crispmap.files.address import typed
from crispmap.geo.area_pieces import AreaPiece
from crispmap.labels.osm import OSM_PRESETS, PRESET_WIDTHS_M
from crispmap.models.registry import architectures
from crispmap.project.file import Project, load_project
from crispmap.project.file.sections import NoiseSection

TEXT = """\
crispmap: 2
name: banepa
seed: 3
scene:
  path: data/scene.tif
  bands: [3, 2, 1]
  gsd_m: 0.5
  assume_gsd_m: 1.0
classes:
  - {name: background, colour: "#f2efe9"}
  - {name: building, colour: "#D7191C", osm: [building=*]}
  - {name: road, colour: "#4d4d4d", osm: road, width_m: 9}
  - {name: rail, colour: "#000000", osm: [railway, "man_made=pier & tunnel!=yes"]}
labels:
  path: data/osm.gpkg
  layer: lines
  assume_crs: EPSG:4326
  noise: {shift_m: 3, smooth_m: 100, offset_m: [1, -1], omission: 0.1, road_width_m: 7, generalise_m: 0}
reference:
  path: data/precise.gpkg
areas:
  coarse: [{window: [0, 0, 512, 512]}, {window: [0, 512, 512, 512]}]
  refiner: [{bounds: [85.1, 27.2, 85.3, 27.4], crs: EPSG:4326}]
  test:
    - {polygon: [[0, 0], [0, 1], [1, 1]]}
    - file: data/areas.geojson
      layer: areas
  validation: [{window: [600, 0, 64, 64]}]
coarse:
  kind: fcn-igarss
  gsd_m: 1.0
  preset: paper
  max_steps: 1000
  batch: 64
  learning_rate: 1e-4
  patch_px: 64
  sampling: uniform
  class_weights: none
refiner:
  variant: untied
  iterations: 4
  features: derivatives
  preset: fast
  max_steps: 500
  batch: 8
  learning_rate: 0.01
  patch_px: 32
  sampling: balanced
  class_weights: inverse
output: {folder: maps}
"""
FILES = ("scene.tif", "osm.gpkg", "precise.gpkg", "areas.geojson", "coarse.tif")
GOOD: dict[str, Any] = yaml.safe_load(TEXT.replace("1e-4", "0.0001"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files the project names."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "data").mkdir()
    for name in FILES:
        (folder / "data" / name).touch()
    return folder


@pytest.fixture
def load(folder: Path) -> Callable[[str | dict[str, Any]], Project]:
    """Load a project from text, or from values."""

    def load(content: str | dict[str, Any]) -> Project:
        path = folder / "p.yaml"
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
        return load_project(path)

    return load


def changed(**changes: Any) -> dict[str, Any]:
    """The good project with values set by dotted path (``__`` for the dot); None removes."""
    values = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *way, last = path.split("__")
        place = values
        for key in way:
            place = place[key]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return values


class TestGood:
    def test_everything_given_is_there(self, load: Callable[[str], Project], folder: Path) -> None:
        project = load(TEXT)
        assert (project.name, project.seed, project.path) == ("banepa", 3, folder / "p.yaml")
        assert project.scenes[0].path == folder / "data/scene.tif"
        assert project.scenes[0].ref.bands == (3, 2, 1)
        assert (project.gsd_m, project.scenes[0].ref.assume_gsd_m) == (0.5, 1.0)
        assert project.schema.names == ("background", "building", "road", "rail")
        assert project.schema[1].osm == ("building=*",)
        assert project.schema[1].width_m == ROAD_WIDTH_M
        assert (project.schema[2].osm, project.schema[2].width_m) == (OSM_PRESETS["road"], 9)
        assert project.schema[3].osm == (*OSM_PRESETS["railway"], "man_made=pier & tunnel!=yes")
        assert project.schema[3].width_m == PRESET_WIDTHS_M["railway"]
        assert project.scenes[0].labels is not None
        assert project.scenes[0].labels.noise == NoiseSection(
            shift_m=3.0, smooth_m=100.0, offset_m=(1.0, -1.0), omission=0.1, road_width_m=7.0, generalise_m=0.0
        )
        assert project.scenes[0].reference is not None
        assert project.scenes[0].reference.path == folder / "data/precise.gpkg"
        assert {role: len(pieces) for role, pieces in project.scenes[0].areas.items()} == {
            "coarse": 2,
            "refiner": 1,
            "validation": 1,
            "test": 2,
        }
        assert project.scenes[0].areas["test"][1] == AreaPiece(
            file=folder / "data/areas.geojson", layer="areas", origin="areas.test[1] (p.yaml, line 26)"
        )
        assert project.coarse.learning_rate == 1e-4
        assert project.coarse.kind == "fcn-igarss"
        assert project.refiner is not None
        assert (project.refiner.variant, project.refiner.iterations) == ("untied", 4)
        assert project.output_folder == folder / "maps"

    def test_little_is_enough(self, load: Callable[[str], Project], folder: Path) -> None:
        project = load(
            "crispmap: 2\nname: a\nscene: {path: data/scene.tif}\nlabels: {path: data/osm.gpkg}\nclasses:\n"
            '- {name: no, colour: "#000000"}\n- {name: b, colour: "#ffffff"}\n'.replace("no", "none")
            + "areas: {coarse: [{window: [0, 0, 1, 1]}]}"
        )
        assert project.coarse.kind == "unet-lite0"
        assert project.coarse.preset == "fast"
        assert project.refiner is None
        assert project.scenes[0].reference is None
        assert project.output_folder == folder / "a"
        assert project.seed == 0

    @pytest.mark.parametrize("section", ["labels", "reference"])
    def test_labels_and_reference_say_how_they_are_read(
        self, load: Callable[[dict[str, Any]], Project], section: str
    ) -> None:
        given = {"assume_crs": "scene", "all_as": "rail", "road_width_m": 4.5, "unknown": "ignore"}
        values = changed()
        values[section] |= given
        read = getattr(load(values).scenes[0], section)
        assert {key: getattr(read, key) for key in given} == given

    def test_a_reference_brings_a_refiner(self, load: Callable[[dict[str, Any]], Project]) -> None:
        project = load(changed(refiner=None))
        assert project.refiner is not None
        assert project.refiner.variant == "class-specific"

    def test_scores_of_another_tool_need_no_labels(self, load: Callable[[dict[str, Any]], Project]) -> None:
        values = changed(coarse={"scores": {"path": "data/coarse.tif", "kind": "probability"}}, labels=None)
        del values["areas"]["coarse"]
        project = load(values)
        assert project.scores_given
        assert project.scenes[0].scores.kind == "probability"
        assert project.scenes[0].labels is None

    def test_a_folder_stands_for_the_project_file_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "project.yaml").write_text(TEXT, encoding="utf-8")
        assert load_project(str(tmp_path), check_files=False).path == tmp_path / "project.yaml"
        with pytest.raises(ProjectError, match=r"There is no file .*project\.yaml"):
            load_project(tmp_path.parent)

    def test_paths_count_from_the_file_and_not_from_where_one_is(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (folder / "q.yaml").write_text(TEXT, encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        project = load_project(os.path.relpath(folder / "q.yaml", tmp_path))
        assert project.scenes[0].path.exists()
        monkeypatch.setenv("HOME", str(folder))
        assert load_project(folder / "q.yaml").scenes[0].path == folder / "data/scene.tif"

    def test_home_absolute_and_virtual_paths_are_understood(
        self, load: Callable[[dict[str, Any]], Project], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HOME", str(folder / "data"))
        assert load(changed(scene__path="~/scene.tif")).scenes[0].path == folder / "data/scene.tif"
        absolute = str(folder / "data/osm.gpkg")
        labels = load(changed(labels__path=absolute)).scenes[0].labels
        assert labels is not None
        assert str(labels.path) == absolute
        assert str(load(changed(scene__path="/vsizip/x.zip/a.tif")).scenes[0].path) == "/vsizip/x.zip/a.tif"

    @pytest.mark.parametrize(
        "address",
        ["https://host/a/b.tif?sig=a/b&c=d", "s3://bucket/b.tif", "/vsicurl/https://host/b.tif", "/vsis3/bucket/b.tif"],
    )
    def test_addresses_stay_whole_and_are_not_looked_for(self, load: Callable[[Any], Project], address: str) -> None:
        values = changed(scene__path=address, labels__path=address, reference__path=address)
        values["areas"]["coarse"] = [{"file": address}]
        project = load(values)
        assert project.scenes[0].labels is not None
        assert project.scenes[0].reference is not None
        paths = [
            project.scenes[0].path,
            project.scenes[0].labels.path,
            project.scenes[0].reference.path,
            project.scenes[0].areas["coarse"][0].file,
        ]
        assert {typed(path) for path in paths if path is not None} == {address}

    def test_a_name_with_a_colon_is_a_files(self, load: Callable[[Any], Project], folder: Path) -> None:
        (folder / "data" / "s3:b.tif").touch()
        assert load(changed(scene__path="data/s3:b.tif")).scenes[0].path == folder / "data" / "s3:b.tif"
        with pytest.raises(ProjectError, match="does not exist"):
            load(changed(scene__path="data/s3:c.tif"))

    @pytest.mark.parametrize("address", ["https://host/maps", "s3://bucket/maps", "/vsimem/maps"])
    def test_results_go_to_no_address(self, load: Callable[[Any], Project], address: str) -> None:
        with pytest.raises(ProjectError, match=re.escape(f"names {address}, an address")):
            load(changed(output__folder=address))

    def test_a_project_is_frozen(self, load: Callable[[str], Project]) -> None:
        project = load(TEXT)
        with pytest.raises(ValueError, match="frozen"):
            project.coarse.gsd_m = 3.0  # type: ignore[misc]
        with pytest.raises(AttributeError):
            project.seed = 4  # type: ignore[misc]

    def test_noise_is_what_can_be_simulated(self) -> None:
        from crispmap.labels.noise import LabelNoise

        noise = {field.name: field.default for field in dataclasses.fields(LabelNoise)}
        assert dict(NoiseSection()) == noise

    @pytest.mark.parametrize("role", ["coarse", "refiner"])
    def test_every_architecture_has_a_section_of_its_own(self, load: Callable[[Any], Project], role: str) -> None:
        for name, one in architectures(role, trainable=True).items():
            section = getattr(load(changed(**{role: {"kind": name}})), role)
            assert (section.kind, section.preset) == (name, next(iter(one.presets)))
            assert section.options == one.options().model_dump()
            if one.learner == "gradient":
                assert section.settings(7) == one.presets[section.preset].settings.but(seed=7)

    @pytest.mark.parametrize(
        ("given", "names"),
        [
            ("none", "none"), ("flips-and-rotations", "flips-and-rotations"), ("[elastic, noise]", "elastic+noise"),
            ("scale+colour", "scale+colour"), ("[blur]", "blur"),
        ],
    )  # fmt: skip
    def test_augmentation_is_a_list_or_a_text(self, given: str, names: str, load: Callable[[str], Project]) -> None:
        project = load(TEXT.replace("  max_steps: 500", f"  max_steps: 500\n  augmentation: {given}"))
        assert project.refiner is not None
        assert project.refiner.settings(0).augmentation == names
        assert project.refiner.as_kind("wide").settings(0).augmentation == names
        again = type(project.refiner).from_values(project.refiner.chosen())
        assert again.augmentation == names

    @pytest.mark.parametrize(
        ("given", "remedy"),
        [
            ("[elastic, blurr]", "Did you mean blur?"), ("flips", ""), ("[]", ""), ("[1]", ""), ("7", ""),
            ("[none, blur]", ""), ("blur+blur", ""), ("true", ""), ("{blur: 2}", ""),
        ],
    )  # fmt: skip
    def test_other_augmentation_is_refused(self, given: str, remedy: str, load: Callable[[str], Project]) -> None:
        with pytest.raises(ProjectError, match=r"line \d+: refiner\.augmentation is") as refused:
            load(TEXT.replace("  max_steps: 500", f"  max_steps: 500\n  augmentation: {given}"))
        assert "elastic" in refused.value.expected
        assert remedy in refused.value.remedy

    def test_a_file_of_format_1_is_read(self, load: Callable[[str], Project]) -> None:
        before = (
            TEXT.replace("crispmap: 2", "crispmap: 1")
            .replace("  kind: fcn-igarss", "  network: fcn-igarss")
            .replace("  max_steps: 1000", "  steps: 1000")
            .replace("  sampling:", "  balance:")
            .replace("  iterations: 4", "  steps: 4")
            .replace("  max_steps: 500", "  training_steps: 500\n  symmetries: true\n  aligned_labels: true")
        )
        now = TEXT.replace(
            "  max_steps: 500", "  max_steps: 500\n  augmentation: flips-and-rotations\n  corrected_labels: true"
        )
        assert load(before) == load(now)
        with pytest.raises(ProjectError, match=r"line 41: refiner\.iterations is 0"):
            load(before.replace("  steps: 4", "  steps: 0"))


BAD_VALUES = [
    ("name: banepa", "name: 7", 2, "name is 7", "quotes"),
    ("name: banepa", "name: a/b", 2, "name is 'a/b'", "letters, digits"),
    ("name: banepa", "name: ..", 2, "name is '..'", "letters, digits"),
    ("name: banepa", "name: 2016-01-01", 2, "name is 2016-01-01", "quotes"),
    ("name: banepa", f"name: {'a' * 101}", 2, "name is 'aaa", "letters"),
    ("name: banepa", "name:", 2, "name is empty", "Give a value"),
    ("name: banepa\n", "", 1, "name is missing", "Add the key name"),
    ("crispmap: 2\n", "", 1, "crispmap is missing", "Add the key crispmap"),
    ("crispmap: 2", "crispmap: 3", 1, "format 3", "newer crispmap"),
    ("crispmap: 2", "crispmap: 0", 1, "crispmap is 0", "format of the file: 2"),
    ("crispmap: 2", "crispmap: yes", 1, "crispmap is true", "format of the file: 2"),
    ("crispmap: 2", "crispmap: one", 1, "crispmap is 'one'", "format of the file: 2"),
    ("seed: 3", "seed: -1", 3, "seed is -1", "from 0"),
    ("seed: 3", "seed: 1.5", 3, "seed is 1.5", "whole number"),
    ("seed: 3", "seed: true", 3, "seed is true", "whole number"),
    ("seed: 3", f"seed: {10**30}", 3, "seed is 1000", "whole number"),
    ("seed: 3", "sead: 3", 3, "sead is not a known key", "Did you mean seed"),
    ("scene:\n", "scene: x\nzzz:\n", 4, "scene is 'x'", "mapping"),
    ("data/scene.tif", "data/scen.tif", 5, "data/scen.tif, which does not exist", "folder of the project file"),
    ("data/scene.tif", "7", 5, "scene.path is 7", "quotes"),
    ("data/scene.tif", "''", 5, "scene.path is ''", "as text"),
    ("data/scene.tif", "~nobodyatall/x", 5, "scene.path is '~nobodyatall/x'", "path"),
    ("data/scene.tif", '"a\\0b"', 5, "scene.path is", "path"),
    ("data/scene.tif", "a" * 5000, 5, "does not exist", "path"),
    ("[3, 2, 1]", "3", 6, "scene.bands is 3", "in \\[ \\]"),
    ("[3, 2, 1]", "[]", 6, "scene.bands is \\[\\]", "counted from 1"),
    ("[3, 2, 1]", "[0]", 6, "scene.bands\\[0\\] is 0", "counted from 1"),
    ("gsd_m: 0.5", "gsd_m: 0", 7, "scene.gsd_m is 0", "above 0"),
    ("gsd_m: 0.5", "gsd_m: .nan", 7, "scene.gsd_m is nan", "above 0"),
    ("gsd_m: 0.5", "gsd_m: .inf", 7, "scene.gsd_m is inf", "above 0"),
    ("gsd_m: 0.5", "gsd_m: 0.5m", 7, "scene.gsd_m is '0.5m'", "without quotes or units"),
    ("gsd_m: 0.5", "gsd_m: 2", 31, "coarse.gsd_m is 1, finer than scene.gsd_m, 2", "Raise coarse.gsd_m"),
    ("name: background", "name: ' '", 10, "classes\\[0\\].name is", "short text"),
    ("name: background", "name: no", 10, "classes\\[0\\].name is false", "quotes"),
    ("name: background", "name: road", 9, "'road'", "of its own"),
    ("#f2efe9", "#000000", 9, "'background' and 'rail' have the same colour", "of its own"),
    ('"#f2efe9"', "grey", 10, "colour 'grey'", "hexadecimal"),
    ('colour: "#f2efe9"}', "}", 10, "classes\\[0\\].colour is missing", "Add the key colour"),
    ('colour: "#f2efe9"', 'color: "#f2efe9"', 10, "color is not a known key", "Did you mean colour"),
    ('{name: background, colour: "#f2efe9"}', "name: background\n    colour: #f2efe9", 11, "is empty", "in quotes"),
    ('{name: background, colour: "#f2efe9"}', "background", 10, "classes\\[0\\] is 'background'", "list of classes"),
    ("[building=*]", "[buildings]", 11, "neither a rule nor a preset", "Did you mean building"),
    ("[building=*]", "[a=]", 11, "cannot be read", "terms like"),
    ("[building=*]", "[7]", 11, "osm\\[0\\] is 7", "tag rules"),
    ("width_m: 9", "width_m: -1", 12, "width_m is -1", "above 0"),
    ("EPSG:4326\n  noise", "EPSG:1\n  noise", 17, "labels.assume_crs is 'EPSG:1', which is not known", "epsg.io"),
    ("EPSG:4326\n  noise", "4326\n  noise", 17, "labels.assume_crs is 4326", "quotes"),
    ("EPSG:4326\n  noise", "scenes\n  noise", 17, "'scenes', which is not known", "EPSG:4326"),
    ("layer: lines", "unknown: skip", 16, "labels.unknown is 'skip'", "error or ignore"),
    ("layer: lines", "road_width_m: 0", 16, "labels.road_width_m is 0", "above 0"),
    ("layer: lines", "all_as: 1", 16, "labels.all_as is 1", "quotes"),
    ("crs: EPSG:4326}]\n  test", "crs: scene}]\n  test", 23, "'scene', which is not known", "EPSG:4326"),
    ("omission: 0.1", "omission: 10", 18, "omission is 10", "from 0 to 1"),
    ("[1, -1]", "[1]", 18, "offset_m is \\[1\\]", "\\[east, north\\]"),
    ("[1, -1]", "[1, 2, 3]", 18, "offset_m is \\[1, 2, 3\\]", "\\[east, north\\]"),
    ("smooth_m: 100", "smooth_m: 0", 18, "smooth_m is 0", "above 0"),
    ("{window: [0, 0, 512, 512]}", "[0, 0, 512, 512]", 22, "areas.coarse\\[0\\] is \\[0, 0", "list of pieces"),
    ("{window: [0, 0, 512, 512]}", "{}", 22, "areas.coarse\\[0\\] gives no area", "one of window"),
    ("[0, 0, 512, 512]", "[0, 0, 512]", 22, "window is \\[0, 0, 512\\]", "row, col, height, width"),
    ("[0, 0, 512, 512]", "[0, 0, 512, 0]", 22, "window \\[0, 0, 512, 0\\]", "row, col, height, width"),
    ("[0, 0, 512, 512]", "[0, 0, 51.5, 9]", 22, "window\\[2\\] is 51.5", "row, col, height, width"),
    ("[85.1, 27.2, 85.3, 27.4]", "[85.3, 27.2, 85.1, 27.4]", 23, "bounds \\[85.3", "left below right"),
    ("27.4], crs: EPSG:4326", "27.4], crs: WGS", 23, "'WGS', which is not known", "EPSG:4326"),
    ("[[0, 0], [0, 1], [1, 1]]", "[[0, 0], [0, 1]]", 25, "2 different points", "three or more"),
    ("[[0, 0], [0, 1], [1, 1]]", "[[0, 0], [1, 1], [1, 0], [0, 1]]", 25, "Self-intersection", "cross itself"),
    ("[[0, 0], [0, 1], [1, 1]]", "[[0, 0], [0, 1], [.nan, 1]]", 25, "is nan", "list of points"),
    ("[[0, 0], [0, 1], [1, 1]]", "[0, 0, 0, 1]", 25, "polygon\\[0\\] is 0", "in \\[ \\]"),
    ("data/areas.geojson", "nowhere.geojson", 26, "does not exist", "path"),
    ("  validation: [{window: [600, 0, 64, 64]}]", "  validation: []", 28, "validation is \\[\\]", "list of pieces"),
    ("  validation:", "  valid:", 28, "areas.valid is not a known key", "Did you mean validation"),
    ("fcn-igarss", "fcn-igars", 30, "'fcn-igars'", "Did you mean fcn-igarss"),
    ("fcn-igarss", "svm", 33, "coarse.max_steps is not a known key", "a key of unet-lite0, cerranet, fcn-rnn"),
    ("preset: paper", "preset: papr", 32, "'papr'", "Did you mean paper"),
    ("max_steps: 1000", "max_steps: 1e3", 33, "coarse.max_steps is 1000.0", "whole number"),
    ("batch: 64", "batch: 0", 34, "coarse.batch is 0", "above 0"),
    ("1e-4", "'1e-4'", 35, "learning_rate is '1e-4'", "without quotes"),
    ("class_weights: none", "class_weights: [1, 2]", 38, "class_weights is \\[1, 2\\]", "none, inverse"),
    ("iterations: 4", "iterations: 0", 41, "refiner.iterations is 0", "from 1 to 100"),
    ("iterations: 4", "kind: wid", 41, "refiner.kind is 'wid'", "Did you mean wide"),
    ("iterations: 4", "kind: wide", 40, "refiner.variant is not a known key", "a key of rnn"),
    ("{folder: maps}", "maps", 50, "output is 'maps'", "key folder"),
]


class TestBad:
    @pytest.mark.parametrize(("old", "new", "line", "said", "helped"), BAD_VALUES)
    def test_a_bad_value_is_told_with_line_expectation_and_remedy(
        self, load: Callable[[str], Project], old: str, new: str, line: int, said: str, helped: str
    ) -> None:
        assert old in TEXT
        with pytest.raises(ProjectError, match=said) as caught:
            load(TEXT.replace(old, new, 1))
        error = caught.value
        assert error.given.startswith("p.yaml, line ")
        if "zzz" not in new:
            assert error.given.startswith(f"p.yaml, line {line}: "), error.given
        assert error.expected
        assert error.remedy
        assert re.search(helped, str(error)), str(error)

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"labels": None}, "neither labels nor coarse.scores"),
            ({"areas__coarse": None}, "areas.coarse is missing"),
            ({"areas__test": None}, "areas.test is missing"),
            ({"areas__refiner": None}, "areas.refiner is missing"),
            ({"areas": None}, "areas.coarse is missing"),
            ({"reference": None}, "areas.refiner is given, but there is no reference"),
            ({"coarse__scores": {"path": "data/coarse.tif"}}, "gives scores and batch, class_weights"),
            (
                {"coarse": {"scores": {"path": "data/coarse.tif"}}, "reference": None},
                "coarse gives scores, but there is no reference",
            ),
            ({"coarse": {"scores": {"path": "data/coarse.tif", "kind": "logits"}}}, "kind is 'logits'"),
            ({"refiner": {"kind": "wide", "preset": "paper"}}, "refiner.preset is 'paper'"),
            ({"refiner": {"kind": "crf", "corrected_labels": True}}, "crf is fitted to a few numbers"),
            ({"classes": [{"name": "a", "colour": "#000000"}]}, "1 class."),
            ({"classes": []}, "0 classes"),
            ({"labels__all_as": "rode"}, "labels.all_as is 'rode', which is not a class"),
            ({"reference__all_as": "moat"}, "reference.all_as is 'moat', which is not a class"),
        ],
    )
    def test_what_does_not_fit_together_is_told(
        self, load: Callable[[dict[str, Any]], Project], changes: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(ProjectError, match=said) as caught:
            load(changed(**changes))
        assert caught.value.expected
        assert caught.value.remedy

    def test_all_that_is_wrong_is_told_at_once_in_the_order_of_lines(self, load: Callable[[str], Project]) -> None:
        text = TEXT.replace("seed: 3", "seed: x").replace("iterations: 4", "iterations: 0").replace("EPSG:4326", "moon")
        with pytest.raises(ProjectError) as caught:
            load(text)
        assert caught.value.given == "p.yaml, line 3: seed is 'x'."
        told = [line.split(":")[0].strip() for line in caught.value.remedy.splitlines()[2:]]
        assert told == ["line 17", "line 23", "line 41"]

    def test_a_long_list_of_faults_is_cut(self, load: Callable[[str], Project]) -> None:
        pieces = ", ".join(f"{{window: [{i}, 0, 0, 0]}}" for i in range(30))
        with pytest.raises(ProjectError, match="and 21 more"):
            load(TEXT.replace("{window: [0, 0, 512, 512]}", pieces))

    @pytest.mark.parametrize("text", ["", "# nothing\n", "7", "[1, 2]", "hello", "- a: 1\n"])
    def test_what_is_no_mapping_is_told(self, load: Callable[[str], Project], text: str) -> None:
        with pytest.raises(ProjectError, match=r"p\.yaml holds") as caught:
            load(text)
        assert "crispmap init" in caught.value.remedy


ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**400),
    st.floats(),
    st.text(max_size=10),
    st.sampled_from(
        ["", "~", "~x", "/", "..", "a\0b", "\ud800", "EPSG:4326", "EPSG:", "#ffffff", "road", "=", "a=b&c", "x" * 300]
    ),
    st.just([]),
    st.just({}),
    st.lists(st.one_of(st.integers(), st.floats(), st.none(), st.text(max_size=3)), max_size=5),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.dates(),
    st.binary(max_size=3),
)


def places(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every value inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(one for key, item in inner for one in places(item, (*way, key)))]


def put(values: Any, way: tuple[Any, ...], new: Any) -> Any:
    """Values with something else at one place."""
    if not way:
        return new
    values = copy.copy(values)
    values[way[0]] = put(values[way[0]], way[1:], new)
    return values


class TestMutations:
    @settings(deadline=None, max_examples=100)
    @given(st.data())
    def test_a_changed_value_is_read_or_is_a_project_error(self, folder: Path, data: st.DataObject) -> None:
        values: Any = GOOD
        for _ in range(data.draw(st.integers(1, 3))):
            values = put(values, data.draw(st.sampled_from(places(values))), data.draw(ODD))
        path = folder / "mutated.yaml"
        path.write_text(yaml.safe_dump(values, allow_unicode=False), encoding="utf-8")
        self.check(path)

    @settings(deadline=None, max_examples=100)
    @given(st.data())
    def test_changed_text_is_read_or_is_a_project_error(self, folder: Path, data: st.DataObject) -> None:
        text = TEXT
        for _ in range(data.draw(st.integers(1, 3))):
            start = data.draw(st.integers(0, len(text)))
            stop = data.draw(st.integers(start, min(len(text), start + 30)))
            new = data.draw(st.text(alphabet=list("\t\n :-,[]{}'\"#&*!%0e.~x\x00é"), max_size=6))
            text = text[:start] + new + text[stop:]
        path = folder / "mutated.yaml"
        path.write_text(text, encoding="utf-8")
        self.check(path)

    @staticmethod
    def check(path: Path) -> None:
        try:
            told = load_project(path).schema[0].name
        except ProjectError as error:
            told = error.given
        assert told
