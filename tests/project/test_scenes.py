"""Projects of several scenes: different coordinate systems and pixel sizes, one set of models, figures that add up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import transform
from typer.testing import CliRunner

from crispmap.cli.main import app
from crispmap.errors import CrispmapError, OutputError, ProjectError, SceneError
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.files import ScoringRules, evaluate_file
from crispmap.geo.area_pieces import AreaPiece
from crispmap.models.file import load_model, read_card
from crispmap.project.compare.comparison import compare_methods
from crispmap.project.compare.report import write_comparison_report
from crispmap.project.compare.rows import table_of
from crispmap.project.file import load_project
from crispmap.project.inputs import open_sources
from crispmap.project.results import evaluate_project
from crispmap.project.run import Products, predict_project, train_project
from small_project import make_project

HEAD = """\
crispmap: 2
name: valley
classes:
- {name: background, colour: "#cccccc"}
- {name: building, colour: "#d7191c"}
- {name: road, colour: "#2b83ba"}
coarse: {kind: fcn-rnn, max_steps: 8, batch: 4, patch_px: 16}
"""
ONE = "refiner: {iterations: 2, max_steps: 8, batch: 2, patch_px: 16}\n"
AREAS = (
    "{coarse: [{window: [100, 0, 60, 160]}], refiner: [{window: [0, 0, 100, 80]}], test: [{window: [0, 80, 100, 80]}]}"
)
FILES = "labels: {path: imprecise.tif}\nreference: {path: precise.tif}\n"
NORTH = f"""\
scenes:
- path: scene.tif
  labels: {{path: imprecise.tif}}
  reference: {{path: precise.tif}}
  areas: {AREAS}
"""
SOUTH = f"""\
- path: south/scene.tif
  name: south
  labels: {{path: south/imprecise.tif}}
  reference: {{path: south/precise.tif}}
  areas: {AREAS}
"""


def move(folder: Path, crs: str, gsd_m: float) -> None:
    """Put the rasters of a folder elsewhere, with pixels of another size."""
    for path in folder.glob("*.tif"):
        with rasterio.open(path, "r+") as file:
            file.crs, file.transform = crs, from_origin(5e5, 5e6, gsd_m, gsd_m)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scenes of one town: in UTM zone 31 at 1 m, and in zone 32 at 2 m."""
    (tmp_path / "south").mkdir()
    make_project(tmp_path, HEAD + ONE + NORTH + SOUTH)
    make_project(tmp_path / "south", "")
    move(tmp_path / "south", "EPSG:32632", 2.0)
    return tmp_path


def counts_of(folder: Path, name: str) -> Evaluation:
    """The figures of both scenes' maps, scored one by one and added."""
    products, areas = Products(folder / "valley"), {"test": [AreaPiece(window=(0, 80, 100, 80))]}
    north = Products(products.folder / "maps" / "scene").folder / name
    south = Products(products.folder / "maps" / "south").folder / name
    one = evaluate_file(south, folder / "south/precise.tif", ScoringRules(areas=areas, widths_m=(2.0, 6.0)))
    areas = {"test": [AreaPiece(window=(0, 40, 50, 40))]}  # of the map, at 2 m
    return one + evaluate_file(north, folder / "precise.tif", ScoringRules(areas=areas, widths_m=(2.0, 6.0)))


def test_figures_over_scenes_are_the_sum_of_each(folder: Path) -> None:
    train_project(folder)
    results = predict_project(folder)
    assert [one.paths[2].relative_to(folder) for one in results] == [
        Path("valley/maps/scene/refined.tif"), Path("valley/maps/south/refined.tif")
    ]  # fmt: skip
    found = evaluate_project(folder)
    for name, file in (("coarse map", "coarse.tif"), ("refined map", "refined.tif")):
        expected = counts_of(folder, file)
        np.testing.assert_array_equal(found.methods[name].confusion.counts, expected.confusion.counts)
        np.testing.assert_array_equal(found.methods[name].boundary_f1, expected.boundary_f1)
    assert found.steps[-1].counts.sum() == found.steps[0].counts.sum() == 100 * 80 + 50 * 40
    report = (folder / "valley/report.html").read_text()
    assert "south, rows" in report
    for model in ("coarse", "refiner"):
        assert read_card(folder / f"valley/{model}.safetensors").gsd_m == pytest.approx(2.0, rel=1e-3)  # the coarsest


def test_maps_of_both_have_the_same_pixel_size_each_in_its_own_coordinates(folder: Path) -> None:
    train_project(folder, stage="coarse")
    text = (folder / "project.yaml").read_text().replace(ONE, "")
    for key in ("refiner", "test", "reference"):
        text = "\n".join(line for line in text.splitlines() if not line.strip().startswith(key))
    (folder / "project.yaml").write_text(text.replace(AREAS, "{coarse: [{window: [100, 0, 60, 160]}]}"))
    predict_project(folder)
    for name, crs, shape in (("scene", 32631, (80, 80)), ("south", 32632, (160, 160))):
        with rasterio.open(folder / f"valley/maps/{name}/coarse.tif") as file:
            assert (file.crs.to_epsg(), file.shape) == (crs, shape)
            assert file.transform.a == pytest.approx(2.0, rel=1e-3)


def test_a_list_of_one_scene_trains_the_same_weights_as_one_scene(tmp_path: Path) -> None:
    tensors = []
    for name, scenes in (("list", NORTH), ("one", f"scene: {{path: scene.tif}}\n{FILES}areas: {AREAS}\n")):
        (tmp_path / name).mkdir()
        make_project(tmp_path / name, HEAD + ONE + scenes)
        train_project(tmp_path / name)
        tensors.append(load_model(tmp_path / name / "valley/refiner.safetensors").network.state_dict())
    assert all(bool((tensors[0][key] == tensors[1][key]).all()) for key in tensors[1])


def test_scenes_that_are_mapped_are_skipped_and_the_others_made(folder: Path) -> None:
    train_project(folder)
    made = [path for one in predict_project(folder) for path in one.paths]
    stamps = {path: path.stat().st_mtime_ns for path in made}
    for path in made[4:]:
        path.unlink()
    results = predict_project(folder)
    assert [one.blocks > 0 for one in results] == [False, True]
    assert {path: path.stat().st_mtime_ns for path in made[:4]} == {path: stamps[path] for path in made[:4]}
    assert all(path.exists() for path in made)
    made[5].unlink()
    with pytest.raises(OutputError, match=made[4].name):
        predict_project(folder)


def test_labels_at_the_top_are_those_of_every_scene_without_its_own(folder: Path) -> None:
    text = (folder / "project.yaml").read_text().replace("  labels: {path: imprecise.tif}\n", "", 1)
    (folder / "project.yaml").write_text(text + "labels: {path: precise.tif}\n")
    with open_sources(load_project(folder)) as sources:
        first, second = sources.pieces("coarse")
        block = first.area.block
        exact = next(one for one in sources.scenes if one.image is first.image).reference(first.image.grid)
        np.testing.assert_array_equal(first.labels.read(block), exact.read(block))
        assert second.scene == "south"


@pytest.mark.slow
def test_corrected_labels_are_kept_scene_by_scene(folder: Path) -> None:
    text = (folder / "project.yaml").read_text()
    (folder / "project.yaml").write_text(text.replace("refiner: {", "refiner: {corrected_labels: true, ", 1))
    train_project(folder)
    found = sorted(path.parent.name for path in (folder / "valley").rglob("corrected_labels.tif"))
    assert found == ["scene", "south"]


@pytest.mark.slow
def test_methods_are_compared_over_all_scenes(folder: Path) -> None:
    comparison = compare_methods(folder, methods=["fcn-rnn", "heat"])
    assert not comparison.failures
    for method, record in comparison.finished.items():
        assert record.scores.evaluation.confusion.valid_px == 100 * 80 + 50 * 40
        np.testing.assert_array_equal(record.scores.blocks.sum(axis=0), record.scores.evaluation.confusion.counts)
        for name in ("scene", "south"):
            assert (comparison.root / method.name / "maps" / f"{name}.tif").exists()
    assert "south, rows" in write_comparison_report(comparison, table_of(comparison)).read_text()


def test_info_names_the_files_of_every_scene(folder: Path) -> None:
    result = CliRunner().invoke(app, ["info", "--json", str(folder)])
    files = {one["for"]: Path(one["path"]).name for one in json.loads(result.stdout)["files"]}
    assert files["scene of south"] == "scene.tif"
    assert files["labels of scene"] == "imprecise.tif"


@pytest.mark.parametrize(
    ("old", "new", "offending"),
    [
        ("  name: south\n", "", "scenes[0] has the name 'scene'"),
        ("  name: south\n", "  name: SCENE\n", "'SCENE'"),
        ("  labels: {path: imprecise.tif}\n", "", "scenes[0] has areas.coarse, but no labels"),
        ("  reference: {path: precise.tif}\n", "", "scenes[0].areas.refiner is given"),
        ("scenes:\n", "scene: {path: scene.tif}\nscenes:\n", "scene and scenes"),
        ("scenes:\n", "areas: {test: [{window: [0, 0, 4, 4]}]}\nscenes:\n", "areas"),
        ("scenes:\n", "gsd_m: 0\nscenes:\n", "gsd_m is 0"),
        ("  name: south\n", "  name: south\n  gsd_m: 1.0\n", "scenes[1].gsd_m"),
        ("  name: south\n", "  name: ../south\n", "scenes[1].name"),
        ("  name: south\n", "  name: south\n  scores: {path: south/scene.tif}\n", "scenes[0] has no scores"),
        ("path: south/scene.tif", "path: south/lost.tif", "scenes[1].path"),
    ],
)
def test_what_is_wrong_with_a_list_of_scenes(folder: Path, old: str, new: str, offending: str) -> None:
    path = folder / "project.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ProjectError) as caught:
        load_project(path)
    assert offending in f"{caught.value.given} {caught.value.remedy}"


def test_no_place_is_learned_from_in_one_scene_and_scored_in_another(folder: Path) -> None:
    path = folder / "project.yaml"
    shutil.copytree(folder / "south", folder / "again")
    move(folder / "again", "EPSG:32631", 1.0)  # where the first scene is
    areas = AREAS.replace("{coarse: [{window: [100, 0, 60, 160]}]", "{coarse: [{window: [0, 80, 100, 80]}]").split(
        ", refiner"
    )[0]
    again = SOUTH.replace("south", "again").replace(AREAS, areas + "}")
    path.write_text(HEAD + ONE + NORTH + again)
    with pytest.raises(ProjectError) as caught:
        train_project(folder)
    assert "share 8000 pixels" in caught.value.given


def test_scenes_side_by_side_share_no_place(folder: Path) -> None:
    shutil.copytree(folder / "south", folder / "east")
    for path in (folder / "east").glob("*.tif"):
        with rasterio.open(path, "r+") as file:  # the neighbour of the first scene, in the next zone's coordinates
            left, top = transform("EPSG:32631", "EPSG:32632", [5e5 + 160], [5e6])
            file.crs, file.transform = "EPSG:32632", from_origin(left[0], top[0], 1.0, 1.0)
    (folder / "project.yaml").write_text(HEAD + ONE + NORTH + SOUTH.replace("south", "east"))
    with open_sources(load_project(folder)) as sources:
        assert len(sources.scenes) == 2


def test_bands_that_only_gdal_named_are_known_by_their_place(folder: Path) -> None:
    for path in (folder / "south").glob("scene.tif"):
        with rasterio.open(path) as file:
            values, profile = (
                file.read().astype(np.uint16),
                {**file.profile, "dtype": "uint16", "photometric": "minisblack"},
            )
        with rasterio.open(path, "w", **profile) as file:
            file.write(values)
    with open_sources(load_project(folder)) as sources:
        assert len(sources.pieces("coarse")) == 2


def test_neither_scene_nor_scenes(folder: Path) -> None:
    (folder / "project.yaml").write_text(HEAD + ONE + FILES)
    with pytest.raises(ProjectError) as caught:
        load_project(folder)
    assert "scene" in caught.value.given


@pytest.mark.parametrize("verb", [train_project, predict_project, evaluate_project])
def test_scenes_of_different_bands_are_refused_before_any_work(folder: Path, verb: object) -> None:
    path = folder / "project.yaml"
    path.write_text(path.read_text().replace("path: south/scene.tif", "path: south/scene.tif\n  bands: [1, 2]"))
    with pytest.raises(CrispmapError) as caught:
        verb(folder)  # type: ignore[operator]
    if verb is not evaluate_project:  # which lacks its maps first
        assert isinstance(caught.value, SceneError)
        assert "south/scene.tif" in caught.value.given
    assert not (folder / "valley").exists()
