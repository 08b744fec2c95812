"""The verb ``evaluate`` and what it runs: maps side by side, and the re-thresholded coarse map beside them."""

from __future__ import annotations

import json
import re
import types

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS
from scipy import ndimage
from typer.testing import CliRunner

from crispmap.classes import ClassDef, ClassSchema
from crispmap.cli.main import app
from crispmap.errors import InputError, LabelError
from crispmap.evaluation.compare import evaluate_arrays
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.files import Recalibration, ScoringRules, evaluate_coarse_file
from crispmap.evaluation.recalibration import apply_biases, fit_biases
from crispmap.geo.area_pieces import AreaPiece
from crispmap.geo.grid import Grid
from crispmap.models.card import ModelCard
from crispmap.models.file import save_model
from crispmap.models.scaling import Scaling
from crispmap.raster.writer import class_map_writer, scores_writer
from crispmap.refiners.rnn.refiner import RecurrentRefiner
from crispmap.types import IGNORE
from recorder import Recorder

SCHEMA = ClassSchema((ClassDef("background", "#202020"), ClassDef("building", "#d7191c", ("building=*",))))
GRID = Grid(CRS.from_epsg(32633), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), (80, 100))
GSD = GRID.gsd_m()[::-1]


def write_map(path, labels, grid=GRID, schema=SCHEMA):
    with class_map_writer(path, grid, schema, force=True) as writer:
        writer.write(grid.block, labels)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Files of one place: reference, timid scores, a map with a hole, a map of another size."""
    folder = tmp_path_factory.mktemp("place")
    rng = np.random.default_rng(0)
    field = ndimage.gaussian_filter(rng.normal(size=GRID.shape), 3) * 10
    reference = (field > 0).astype(np.uint8)
    blurred = ndimage.gaussian_filter(field, 1) + rng.normal(0, 0.05, GRID.shape) - 0.4  # too few buildings
    scores = np.stack([-blurred / 2, blurred / 2]).astype(np.float32)
    holed = reference.copy()
    holed[70:, :7] = IGNORE
    with scores_writer(folder / "scores.tif", GRID, SCHEMA.names) as writer:
        writer.write(GRID.block, scores)
    wide = Grid(GRID.crs, GRID.transform @ Affine.scale(4), (20, 25))
    box = shapely.box(500_000, 5_000_000 - 40, 500_020, 5_000_000)  # columns 0 to 39
    gpd.GeoDataFrame(geometry=[box], crs=GRID.crs).to_crs(4326).to_file(folder / "piece.gpkg")
    return types.SimpleNamespace(
        folder=folder,
        reference=write_map(folder / "reference.tif", reference),
        map=write_map(folder / "map.tif", holed),
        wide=write_map(folder / "wide.tif", reference[2::4, 2::4], wide),
        scores=folder / "scores.tif",
        piece=folder / "piece.gpkg",
        arrays=types.SimpleNamespace(reference=reference, map=holed, scores=scores),
    )


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def figures(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# --- the coarse map --------------------------------------------------------------------------------------


def fit_and_score(place):
    """The same by arrays: biases from the left 40 columns, figures of the others."""
    arrays = place.arrays
    biases = fit_biases(arrays.scores[:, :, :40], arrays.reference[:, :40])
    rest = np.zeros(GRID.shape, bool)
    rest[:, 40:] = True
    maps = (apply_biases(arrays.scores, one) for one in ((0, 0), biases))
    return biases, [evaluate_arrays(one, arrays.reference, GSD, SCHEMA, area=rest) for one in maps]


def test_the_coarse_map_is_rethresholded_on_the_fit_area_and_scored_off_it(place):
    biases, (coarse, rethresholded) = fit_and_score(place)
    areas = {"refiner": [AreaPiece(window=(0, 0, 80, 40))]}
    told = Recorder()
    found = evaluate_coarse_file(place.scores, place.reference, SCHEMA, ScoringRules(areas=areas), events=told)
    assert any(str(place.scores) in note and ", ".join(SCHEMA.names) in note for note in told.notes)
    assert np.array_equal(found.biases, biases)
    assert found.coarse == coarse
    assert found.rethresholded == rethresholded
    assert found.rethresholded.mean_iou > found.coarse.mean_iou


def test_biases_may_be_fitted_to_labels_of_their_own(place):
    odd = write_map(place.folder / "odd.tif", 1 - place.arrays.reference)
    areas = {"refiner": [AreaPiece(window=(0, 0, 80, 40))]}
    found = evaluate_coarse_file(place.scores, place.reference, SCHEMA, ScoringRules(areas=areas), Recalibration(odd))
    assert np.array_equal(found.biases, fit_biases(place.arrays.scores[:, :, :40], 1 - place.arrays.reference[:, :40]))


def test_the_fit_area_must_have_pixels_of_every_class(place):
    with pytest.raises(InputError, match="no area"):
        evaluate_coarse_file(place.scores, place.reference, SCHEMA, ScoringRules(areas={"refiner": []}))
    row, col = np.argwhere(place.arrays.reference == 0)[0].tolist()
    areas = {"refiner": [AreaPiece(window=(row, col, 1, 1))]}
    with pytest.raises(LabelError, match="building"):
        evaluate_coarse_file(place.scores, place.reference, SCHEMA, ScoringRules(areas=areas))


# --- the verb --------------------------------------------------------------------------------------------


def test_one_map_as_json(place):
    found = figures(run(place.map, "--reference", place.reference, "--json", "--width-m", 2))
    expected = evaluate_arrays(place.arrays.map, place.arrays.reference, GSD, SCHEMA, widths_m=(2.0,))
    assert found["reference"] == str(place.reference)
    assert found["biases"] is None
    assert list(found["maps"]) == ["map.tif"]
    assert Evaluation.from_dict(found["maps"]["map.tif"]) == expected


@pytest.mark.parametrize("form", ["window", "file"])
def test_rows_of_the_coarse_map_stand_before_the_maps(place, form):
    area = "0,0,80,40" if form == "window" else place.piece
    result = run(place.map, "--reference", place.reference, "--scores", place.scores, "--fit-area", area, "--json")
    found = figures(result)
    biases, (coarse, rethresholded) = fit_and_score(place)
    assert found["biases"] == dict(zip(SCHEMA.names, biases.tolist(), strict=True))
    assert list(found["maps"]) == ["coarse", "re-thresholded", "map.tif"]
    assert Evaluation.from_dict(found["maps"]["coarse"]) == coarse
    assert Evaluation.from_dict(found["maps"]["re-thresholded"]) == rethresholded
    assert found["maps"]["map.tif"]["valid_px"] == 80 * 60, "the fit area is never scored"


def test_biases_may_come_from_a_refiners_card_on_any_scene(place, tmp_path):
    refiner = RecurrentRefiner(2, 1, iterations=1, filters=2, hidden=2)
    facts = {
        "kind": "refiner", "architecture": "rnn", "arguments": refiner.arguments, "band_names": ("grey",),
        "scaling": Scaling((0.0,), (1.0,)), "gsd_m": 1.0, "radius_px": refiner.radius_px, "stride_px": 1,
    }  # fmt: skip
    biases = {"class_biases": [0.0, 0.75]}
    path = save_model(tmp_path / "refiner.safetensors", refiner, ModelCard(schema=SCHEMA, provenance=biases, **facts))
    call = (place.map, "--reference", place.reference, "--scores", place.scores)
    found = figures(run(*call, "--refiner", path, "--json"))
    assert found["biases"] == {"background": 0.0, "building": 0.75}
    rethresholded = apply_biases(place.arrays.scores, (0, 0.75))
    expected = evaluate_arrays(rethresholded, place.arrays.reference, GSD, SCHEMA)
    assert Evaluation.from_dict(found["maps"]["re-thresholded"]) == expected
    assert found["maps"]["coarse"]["valid_px"] == 80 * 100, "nothing was fitted here, so all is scored"
    assert run(*call, "--refiner", path, "--fit-reference", place.reference).exit_code == 2
    assert run(place.map, "--reference", place.reference, "--refiner", path).exit_code == 2
    other = ClassSchema((ClassDef("background", "#202020"), ClassDef("water", "#0000ff")))
    save_model(path, refiner, ModelCard(schema=other, provenance=biases, **facts), force=True)
    assert run(*call, "--refiner", path).exit_code == 2


def test_a_table_names_holes(place):
    result = run(place.map, place.reference, "--reference", place.reference)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[1].startswith("map.tif")
    assert lines[2].startswith("reference.tif")
    assert "100.00" in lines[2]
    assert re.search(r"map\.tif .* 70 ", result.stderr)


def test_a_class_the_reference_lacks_is_named(place, tmp_path):
    bare = write_map(tmp_path / "bare.tif", np.zeros(GRID.shape, np.uint8))
    result = run(place.map, "--reference", bare)
    assert result.exit_code == 0
    assert "no building" in result.stderr
    assert "has no" not in run(place.reference, "--reference", place.reference).stderr


def test_maps_of_one_name_are_distinguished_by_path(place):
    other = place.folder / "other"
    other.mkdir()
    twin = write_map(other / "map.tif", place.arrays.reference)
    found = figures(run(place.map, twin, "--reference", place.reference, "--json"))
    assert list(found["maps"]) == [str(place.map), str(twin)]


def test_maps_of_other_pixels_share_widths_that_suit_the_largest(place):
    found = figures(run(place.map, place.wide, "--reference", place.reference, "--json"))
    for one in found["maps"].values():
        assert [at["width_m"] for at in one["boundary"]] == [2.0, 6.0]


def test_classes_may_come_from_a_project_file(place, tmp_path):
    project = tmp_path / "project.yaml"
    project.write_text(
        "crispmap: 1\nname: town\nscene: {path: scene.tif}\nlabels: {path: osm.gpkg}\n"
        "classes:\n"
        "  - {name: background, colour: '#202020'}\n"
        "  - {name: house, colour: '#d7191c', osm: ['building=*']}\n"
        "areas:\n  coarse:\n    - {window: [0, 0, 64, 64]}\n"
    )
    found = figures(run(place.map, "--reference", place.reference, "--classes", project, "--json"))
    assert list(found["maps"]["map.tif"]["classes"]) == ["background", "house"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{map}"], "{map}"),
        (["a.yaml", "b.yaml"], "a.yaml"),
        (["{map}", "--reference", "{reference}", "--scores", "{scores}"], "--fit-area"),
        (["{map}", "--reference", "{reference}", "--fit-reference", "{reference}"], "--scores"),
        (["{map}", "--reference", "{reference}", "--area", "nowhere.gpkg"], "nowhere.gpkg"),
        (["{map}", "--reference", "{reference}", "--area", "0,0,90,10"], "[0, 0, 90, 10]"),
        (["{map}", "--reference", "{reference}", "--area", "0,0,9,9", "--fit-area", "5,5,9,9"], "--fit-area 5,5,9,9"),
        (["{map}", "{wide}", "--reference", "{reference}", "--area", "0,0,9,9"], "--area 0,0,9,9"),
        (["{map}", "--reference", "{reference}", "--width-m", "-1"], "-1"),
        (["{map}", "--reference", "{reference}", "--slack-px", "-1"], "-1"),
        (["{map}", "--reference", "missing.gpkg"], "missing.gpkg"),
        (["missing.tif", "--reference", "{reference}"], "missing.tif"),
        (["{map}", "{other}", "--reference", "{reference}"], "a, b"),
        (["{scores}", "--reference", "{reference}"], "{scores}"),
    ],
)
def test_bad_input_is_refused_with_status_2(place, arguments, message):
    other = ClassSchema((ClassDef("a", "#202020"), ClassDef("b", "#d7191c")))
    paths = {
        "map": place.map,
        "wide": place.wide,
        "reference": place.reference,
        "scores": place.scores,
        "other": write_map(place.folder / "other.tif", place.arrays.reference, schema=other),
    }
    result = run(*(argument.format(**paths) for argument in arguments))
    assert result.exit_code == 2
    assert message.format(**paths) in result.stderr


def test_help_shows_an_example():
    result = run("--help")
    assert result.exit_code == 0
    assert "crispmap evaluate" in result.stdout
    assert "--fit-area" in result.stdout
