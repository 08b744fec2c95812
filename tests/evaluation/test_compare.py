"""Evaluations of arrays, readers and files: no cut changes them, and bad input is refused."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import (
    GeoreferenceWarning,
    GridError,
    InputError,
    LabelError,
    ProjectError,
    SceneError,
    SchemaError,
)
from crispmap.evaluation.boundary import BoundaryRule
from crispmap.evaluation.compare import (
    BLOCK_PX,
    MapComparison,
    boundary_rule,
    default_widths_m,
    evaluate_arrays,
    rows_and_columns_m,
)
from crispmap.evaluation.evaluation import Evaluation
from crispmap.evaluation.files import ScoringRules, evaluate_file, pixels_to_score, schema_of_map
from crispmap.evaluation.readers import AreaComplement, AreaUnion, ArrayLabels, ArrayMask
from crispmap.geo.area_pieces import AreaPiece
from crispmap.geo.grid import Block, Grid
from crispmap.metrics import ConfusionMatrix, ImageDice
from crispmap.raster.writer import class_map_writer
from crispmap.types import IGNORE
from recorder import Recorder

SCHEMA = ClassSchema(
    (
        ClassDef("background", "#202020"),
        ClassDef("building", "#d7191c", ("building=*",)),
        ClassDef("road", "#2c7bb6", ("highway=*",)),
    )
)
TWO = ClassSchema((ClassDef("background", "#000000"), ClassDef("building", "#ffffff", ("building=*",))))
GRID = Grid(CRS.from_epsg(32633), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), (60, 80))
IDS = st.sampled_from([0, 0, 1, 1, 2, IGNORE])


def plain_grid(shape, gsd_y=1.0, gsd_x=1.0):
    return Grid(None, Affine.scale(gsd_x, -gsd_y), shape)


@st.composite
def labelled_pairs(draw):
    shape = draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    predicted, reference = (draw(arrays(np.uint8, shape, elements=IDS)) for _ in range(2))
    predicted[0, 0] = reference[0, 0] = 0
    return predicted, reference


def random_pair(seed=0, shape=GRID.shape):
    rng = np.random.default_rng(seed)
    reference = np.kron(rng.integers(0, 3, (shape[0] // 10, shape[1] // 10)), np.ones((10, 10))).astype(np.uint8)
    predicted = np.roll(reference, (1, 2), (0, 1))
    predicted[rng.random(shape) < 0.02] = 0
    return predicted, reference


class Watched:
    """A label source that remembers what it was asked for."""

    def __init__(self, array):
        self.array, self.blocks = array, []

    def read(self, block):
        self.blocks.append(block)
        return self.array[block.slices]


# --- laws ------------------------------------------------------------------------------------------------


def evaluate_blocks(predicted, reference, grid, schema, *, widths_m=None, area=None, block_px=BLOCK_PX):
    """Compare maps in blocks of a given size."""
    rule = boundary_rule(schema, rows_and_columns_m(grid), widths_m)
    return MapComparison(predicted, reference, grid.block, schema, rule, area).run(block_px)


@given(labelled_pairs(), st.integers(1, 25), st.sampled_from([(1.0, 1.0), (0.5, 0.75)]))
@settings(deadline=None, max_examples=40)
def test_the_block_size_changes_nothing(pair, block_px, gsd_m):
    predicted, reference = pair
    grid = plain_grid(predicted.shape, *gsd_m)
    widths = (1.0, 2.5)
    cut = evaluate_blocks(
        ArrayLabels(predicted), ArrayLabels(reference), grid, SCHEMA, widths_m=widths, block_px=block_px
    )
    assert cut == evaluate_arrays(predicted, reference, gsd_m, SCHEMA, widths_m=widths)
    confusion = ConfusionMatrix(SCHEMA.names)
    confusion.update(predicted, reference)
    assert cut.confusion == confusion
    assert (cut.boundary, cut.relaxed) == BoundaryRule(3, gsd_m, widths).count(predicted, reference)


@given(labelled_pairs(), st.data())
@settings(deadline=None, max_examples=30)
def test_ground_off_the_area_is_as_good_as_unknown(pair, data):
    predicted, reference = pair
    area = data.draw(arrays(np.bool_, predicted.shape))
    area[0, 0] = True
    masked = np.where(area, reference, IGNORE).astype(np.uint8)
    expected = evaluate_arrays(predicted, masked, (1.0, 1.0), SCHEMA)
    assert evaluate_arrays(predicted, reference, (1.0, 1.0), SCHEMA, area=area) == expected
    parts = [ArrayMask(area & (np.arange(area.shape[1]) % 2 == side)) for side in (0, 1)]
    maps = ArrayLabels(predicted), ArrayLabels(reference), plain_grid(predicted.shape), SCHEMA
    in_parts = evaluate_blocks(*maps, area=AreaUnion(parts), block_px=7)
    by_image = [ConfusionMatrix(SCHEMA.names) for _ in parts]
    for matrix, part in zip(by_image, parts, strict=True):
        matrix.update(predicted[part.array], reference[part.array])
    assert in_parts == replace(expected, images=ImageDice.of(by_image, 3))
    assert evaluate_blocks(*maps, area=AreaComplement(ArrayMask(~area))) == expected


def test_evaluations_of_pieces_far_apart_add_up():
    predicted, reference = random_pair()
    gap = np.full((60, 8), IGNORE, np.uint8)
    joined = [np.concatenate([one[:, :40], gap, one[:, 40:]], axis=1) for one in (predicted, reference)]
    left, right = (
        evaluate_arrays(predicted[:, part], reference[:, part], (0.5, 0.5), SCHEMA, widths_m=(1.0,))
        for part in (slice(40), slice(40, None))
    )
    total, whole = left + right, evaluate_arrays(*joined, (0.5, 0.5), SCHEMA, widths_m=(1.0,))
    assert replace(total, images=whole.images) == whole
    assert (total.images.images, whole.images.images) == (2, 1)
    assert total.dice_per_image == pytest.approx((left.mean_dice + right.mean_dice) / 2)
    assert whole.dice_per_image == pytest.approx(whole.mean_dice)
    assert total.mean_dice == whole.mean_dice


def test_figures_from_before_there_was_dice_are_read_and_bad_ones_refused():
    entries = evaluate_arrays(*random_pair(), (0.5, 0.5), SCHEMA, widths_m=(1.0,)).to_dict()
    del entries["counts"]["images"]
    old = Evaluation.from_dict(entries)
    assert old.images.images == 0
    assert np.isnan(old.dice_per_image)
    assert np.isfinite(old.mean_dice)
    for bad in (7, [], {"images": 1}):
        with pytest.raises(InputError):
            Evaluation.from_dict({**entries, "counts": {**entries["counts"], "images": bad}})


def test_json_holds_every_figure_with_null_where_there_is_none():
    reference = np.zeros((12, 12), np.uint8)
    reference[4:8, 4:8] = 1
    predicted = np.roll(reference, 1, axis=1)
    predicted[0] = IGNORE
    evaluation = evaluate_arrays(predicted, reference, (0.5, 0.5), SCHEMA, widths_m=(3, 1, 1.0))
    entries = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    assert Evaluation.from_dict(entries) == evaluation
    assert entries["mean_iou"] == evaluation.mean_iou
    assert entries["unmapped_px"] == 12
    assert entries["unmapped_share"] == evaluation.unmapped_share == 12 / 144
    assert [one["width_m"] for one in entries["boundary"]] == [1.0, 3.0] == list(evaluation.widths_m)
    assert entries["mean_dice"] == entries["mean_f1"] == evaluation.mean_dice
    assert (entries["dice_per_image"], entries["images"]) == (evaluation.dice_per_image, 1)
    assert entries["classes"]["building"]["dice"] == evaluation.dice[1] == pytest.approx(24 / 32)
    assert (entries["classes"]["road"]["dice_per_image"], entries["classes"]["road"]["images"]) == (None, 0)
    assert entries["boundary"][0]["mean_f1"] == evaluation.boundary_f1[0]
    assert entries["classes"]["road"]["iou"] is None
    assert entries["classes"]["road"]["boundary"][0]["f1"] is None
    assert entries["classes"]["building"]["iou"] == evaluation.iou[1] == pytest.approx(12 / 20)
    assert entries["classes"]["building"]["boundary"][1]["iou"] == evaluation.boundary.iou[1, 1]
    assert entries["classes"]["building"]["relaxed"] == {"slack_px": 3.0, "precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert evaluation.kappa == entries["kappa"]
    assert evaluation.overall_accuracy == entries["overall_accuracy"]
    assert evaluation.boundary_iou[1] == entries["boundary"][1]["mean_iou"]
    assert evaluation.class_names == SCHEMA.names


def test_only_ground_with_labels_is_read():
    predicted, reference = random_pair()
    reference[:, 30:] = IGNORE
    ours, theirs = Watched(predicted), Watched(reference)
    evaluate_blocks(ours, theirs, GRID, SCHEMA, widths_m=(1.0,), block_px=20)
    assert max(block.col for block in ours.blocks) <= 20 < max(block.col for block in theirs.blocks)
    chosen = np.zeros(GRID.shape, bool)
    chosen[:10, :10] = True
    theirs = Watched(reference)
    evaluate_blocks(ours, theirs, GRID, SCHEMA, widths_m=(1.0,), block_px=20, area=ArrayMask(chosen))
    assert theirs.blocks == [Block(0, 0, 25, 25)]


@pytest.mark.parametrize(
    ("gsd_m", "widths"),
    [
        ((0.3, 0.3), (1, 3)),
        ((1.001, 0.5), (1, 3)),
        ((2.0, 2.0), (2, 6)),
        ((10.003, 9.99), (10, 30)),
        ((30.004, 30.0), (30, 90)),
        ((1.449, 1.0), (1.5, 4.5)),
        ((4.41, 4.41), (4.5, 13.5)),
        ((14.98, 14.98), (15, 45)),
    ],
)
def test_default_widths_are_metres_or_about_pixels(gsd_m, widths):
    assert default_widths_m(gsd_m) == pytest.approx(widths)


# --- bad arrays ------------------------------------------------------------------------------------------


def test_arrays_that_cannot_be_scored():
    zeros, unknown = np.zeros((4, 4), np.uint8), np.full((4, 4), IGNORE, np.uint8)
    with pytest.raises(LabelError, match="labels no pixel"):
        evaluate_arrays(zeros, unknown, (1, 1), SCHEMA)
    with pytest.raises(LabelError, match="inside the area"):
        evaluate_arrays(zeros, zeros, (1, 1), SCHEMA, area=np.zeros((4, 4), bool))
    with pytest.raises(LabelError, match="no class on any of the 16 labelled pixels"):
        evaluate_arrays(unknown, zeros, (1, 1), SCHEMA)
    with pytest.raises(LabelError, match=r": 9 \(on"):
        evaluate_arrays(np.full((4, 4), 9, np.uint8), zeros, (1, 1), SCHEMA)
    with pytest.raises(GridError, match="reference"):
        evaluate_arrays(zeros, zeros[:3], (1, 1), SCHEMA)
    with pytest.raises(GridError, match="area"):
        evaluate_arrays(zeros, zeros, (1, 1), SCHEMA, area=np.ones((4, 5), bool))
    with pytest.raises(GridError, match="rows and columns"):
        evaluate_arrays(zeros.ravel(), zeros.ravel(), (1, 1), SCHEMA)
    with pytest.raises(LabelError, match="float64"):
        evaluate_arrays(zeros.astype(float), zeros, (1, 1), SCHEMA)  # type: ignore[arg-type]


@pytest.mark.parametrize("gsd_m", [(0.0, 1.0), (-1.0, 1.0), (float("nan"),) * 2, (float("inf"), 1.0)])
def test_impossible_ground_sampling_distances(gsd_m):
    zeros = np.zeros((4, 4), np.uint8)
    with pytest.raises(InputError, match="ground sampling distance"):
        evaluate_arrays(zeros, zeros, gsd_m, SCHEMA)


def test_blocks_without_pixels_and_widths_below_zero():
    maps = ArrayLabels(np.zeros((4, 4), np.uint8)), ArrayLabels(np.zeros((4, 4), np.uint8)), plain_grid((4, 4)), SCHEMA
    with pytest.raises(GridError, match="0 pixels"):
        evaluate_blocks(*maps, block_px=0)
    with pytest.raises(InputError, match="boundary width"):
        evaluate_blocks(*maps, widths_m=(-1.0,))


def test_evaluations_that_cannot_be_pooled():
    pair = random_pair()
    one = evaluate_arrays(*pair, (0.5, 0.5), SCHEMA, widths_m=(1.0,))
    with pytest.raises(GridError, match="pooled"):
        one + evaluate_arrays(*pair, (0.25, 0.5), SCHEMA, widths_m=(1.0,))
    with pytest.raises(InputError, match="widths_m"):
        one + evaluate_arrays(*pair, (0.5, 0.5), SCHEMA, widths_m=(2.0,))


@pytest.mark.parametrize("entries", [{}, {"counts": 3}, {"counts": {"gsd_m": [1]}}])
def test_dictionaries_of_something_else(entries):
    with pytest.raises(InputError, match="Not an evaluation"):
        Evaluation.from_dict(entries)


# --- files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("compare")


def write_map(path, labels, grid=GRID, schema=SCHEMA):
    with class_map_writer(path, grid, schema, force=True) as writer:
        writer.write(grid.block, labels)
    return path


@pytest.fixture(scope="module")
def town(folder):
    """A map, its reference as a raster on the same grid, and both as arrays."""
    predicted, reference = random_pair(3)
    predicted[50:, :10] = IGNORE
    paths = write_map(folder / "map.tif", predicted), write_map(folder / "reference.tif", reference)
    return (*paths, predicted, reference)


def test_files_equal_arrays(town):
    map_path, reference_path, predicted, reference = town
    recorder = Recorder()
    found = evaluate_file(map_path, reference_path, ScoringRules(widths_m=(1.0,)), events=recorder)
    gsd_x, gsd_y = GRID.gsd_m()
    assert found == evaluate_arrays(predicted, reference, (gsd_y, gsd_x), SCHEMA, widths_m=(1.0,))
    assert found.confusion.unmapped_px == 100
    assert recorder.last.done == [0, 4800]


def test_areas_by_role(town):
    map_path, reference_path, predicted, reference = town
    gsd_m = GRID.gsd_m()[::-1]
    test, learned = AreaPiece(window=(0, 0, 20, 30)), AreaPiece(window=(30, 40, 25, 20))
    chosen = np.zeros(GRID.shape, bool)
    chosen[:20, :30] = True
    found = evaluate_file(
        map_path, reference_path, ScoringRules(areas={"test": [test], "refiner": [learned]}, widths_m=(1.0,))
    )
    assert found == evaluate_arrays(predicted, reference, gsd_m, SCHEMA, widths_m=(1.0,), area=chosen)
    chosen[:] = True
    chosen[30:55, 40:60] = False
    found = evaluate_file(
        map_path, reference_path, ScoringRules(areas={"test": [], "refiner": [learned]}, widths_m=(1.0,))
    )
    assert found == evaluate_arrays(predicted, reference, gsd_m, SCHEMA, widths_m=(1.0,), area=chosen)
    with pytest.raises(ProjectError, match="share"):
        evaluate_file(map_path, reference_path, ScoringRules(areas={"test": [learned], "refiner": [learned]}))
    with pytest.raises(ProjectError, match="outside"):
        evaluate_file(map_path, reference_path, ScoringRules(areas={"test": [AreaPiece(window=(0, 0, 20, 300))]}))


def test_all_pixels_are_scored_where_no_area_is_named():
    assert pixels_to_score({}, GRID) is None
    assert pixels_to_score({"test": []}, GRID) is None
    assert not AreaUnion([]).mask(Block(0, 0, 2, 2)).any()


def test_vectors_in_another_crs(folder):
    labels = np.zeros(GRID.shape, np.uint8)
    labels[10:30, 20:50] = 1
    map_path = write_map(folder / "one.tif", labels)
    corners = [GRID.transform @ corner for corner in ((20, 10), (50, 10), (50, 30), (20, 30))]
    frame = gpd.GeoDataFrame({"building": ["yes"]}, geometry=[shapely.Polygon(corners)], crs=GRID.crs)
    vectors = folder / "houses.gpkg"
    frame.to_crs(4326).to_file(vectors)
    found = evaluate_file(map_path, vectors)
    assert found.overall_accuracy == 1.0
    assert found.confusion.reference_px.tolist() == [4800 - 600, 600, 0]
    assert found.widths_m == (1.0, 3.0)


def test_vectors_elsewhere_are_refused(folder, town):
    frame = gpd.GeoDataFrame({"building": ["yes"]}, geometry=[shapely.box(10, 40, 10.001, 40.001)], crs=4326)
    frame.to_file(folder / "elsewhere.gpkg")
    with pytest.raises(LabelError):
        evaluate_file(town[0], folder / "elsewhere.gpkg")


def test_a_raster_elsewhere_is_refused(folder, town):
    far = Grid(GRID.crs, Affine(0.5, 0, 600_000, 0, -0.5, 5_000_000), GRID.shape)
    write_map(folder / "far.tif", town[3], far)
    with pytest.raises(LabelError, match=r"far\.tif"):
        evaluate_file(town[0], folder / "far.tif")


def test_files_that_are_missing_or_name_no_classes(folder, town):
    with pytest.raises(SceneError, match="does not exist"):
        evaluate_file(folder / "missing.tif", town[1])
    with pytest.raises(LabelError, match="no file"):
        evaluate_file(town[0], folder / "missing.gpkg")
    Image.fromarray(town[3]).save(folder / "plain.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeoreferenceWarning)
        with pytest.raises(SchemaError, match="does not name its classes"):
            schema_of_map(folder / "plain.png")


def test_plain_pictures_are_scored_with_a_given_schema(folder):
    predicted, reference = (np.where(one == 1, 255, 0).astype(np.uint8) for one in random_pair(5))
    Image.fromarray(predicted).save(folder / "predicted.png")
    Image.fromarray(reference).save(folder / "truth.png")
    with pytest.warns(GeoreferenceWarning):
        found = evaluate_file(folder / "predicted.png", folder / "truth.png", ScoringRules(TWO))
    expected = evaluate_arrays(predicted // 255, reference // 255, (1.0, 1.0), TWO)
    assert found == expected


# --- real maps -------------------------------------------------------------------------------------------


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("network", "accuracy", "building"), [("fullyconv", 0.9069, 0.5835), ("patchbased", 0.8989, 0.5608)]
)
def test_the_published_coarse_maps_score_as_catalogued(real_data, network, accuracy, building):
    pooled = None
    for tile in (0, 1, 2, 4, 5, 6):
        folder = real_data / "massachusetts_coarse_maps" / network
        soft = np.asarray(Image.open(folder / f"softClassif{tile}.png").convert("L"))
        truth = np.asarray(Image.open(folder / f"reference{tile}.png").convert("L"))
        one = evaluate_arrays((soft > 127).astype(np.uint8), (truth > 127).astype(np.uint8), (1.0, 1.0), TWO)
        pooled = one if pooled is None else pooled + one
    assert pooled.overall_accuracy == pytest.approx(accuracy, abs=5e-5)
    assert pooled.iou[1] == pytest.approx(building, abs=5e-5)
    assert (np.diff(pooled.boundary_f1) > 0).all()
    assert pooled.relaxed.precision[1] > pooled.confusion.precision[1]
