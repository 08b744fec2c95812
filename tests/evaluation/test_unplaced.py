"""Rasters without georeference beside others: pixels at one row and column are the same unless a file says more."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import GeoreferenceWarning, GridError, InputError, LabelError
from crispmap.evaluation.files import ScoringRules
from crispmap.evaluation.side_by_side import evaluate_side_by_side
from crispmap.geo.area_pieces import AreaPiece
from crispmap.geo.grid import Grid
from crispmap.inference.align import scores_on_scene
from crispmap.raster.writer import class_map_writer

pytestmark = pytest.mark.filterwarnings("ignore:A random map")  # these maps are random
SCHEMA = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ff0000")))
SHAPE = (30, 40)
UTM = CRS.from_epsg(32631)
HERE, THERE = (Affine(0.5, 0.0, 5e5 + east, 0.0, -0.5, 5e6) for east in (0.0, 100.0))
GRIDS = {
    "none": Grid(None, Affine.identity(), SHAPE),
    "assumed": Grid(None, Affine.scale(0.5, -0.5), SHAPE),
    "coordinates": Grid(None, HERE, SHAPE),
    "georeferenced": Grid(UTM, HERE, SHAPE),
}
RULES = ScoringRules(areas={"test": [AreaPiece(window=(0, 0, 20, 30))]})


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    ids = np.random.default_rng(0).integers(0, 2, SHAPE).astype(np.uint8)

    def write(name, grid, values=ids):
        with class_map_writer(folder / f"{name}.tif", grid, SCHEMA) as writer:
            writer.write(grid.block, values)
        return folder / f"{name}.tif"

    found = {name: write(name, grid) for name, grid in GRIDS.items()}
    found["there"] = write("there", Grid(None, THERE, SHAPE))
    found["far away"] = write("far", Grid(UTM, THERE, SHAPE))
    found["larger"] = write("larger", Grid(None, Affine.identity(), (31, 40)), np.zeros((31, 40), np.uint8))
    return found


@pytest.mark.parametrize(("one", "other"), list(itertools.product(GRIDS, GRIDS)))
def test_maps_of_one_scene_are_scored_on_a_window_whatever_they_say_of_their_place(maps, one, other):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeoreferenceWarning)
        found = evaluate_side_by_side([maps[one], maps[other]], maps[other], RULES)
    for evaluation in found.evaluations.values():
        assert evaluation.mean_iou == 1.0
        assert evaluation.confusion.valid_px == 600


def test_a_pair_of_which_one_is_placed_is_told(maps):
    with pytest.warns(GeoreferenceWarning, match="Only one of"):
        evaluate_side_by_side([maps["georeferenced"]], maps["assumed"])
    with warnings.catch_warnings():
        warnings.simplefilter("error", GeoreferenceWarning)
        evaluate_side_by_side([maps["assumed"]], maps["assumed"])


@pytest.mark.parametrize(
    ("one", "other"),
    [("coordinates", "there"), ("georeferenced", "there"), ("coordinates", "far away"), ("assumed", "larger")],
)
def test_coordinates_that_differ_and_other_shapes_are_refused(maps, one, other):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeoreferenceWarning)
        with pytest.raises(LabelError):
            evaluate_side_by_side([maps[one]], maps[other])
        with pytest.raises(InputError):
            evaluate_side_by_side([maps[one], maps[other]], maps[one], RULES)


class Pixels:
    """What the check of places needs of a scene."""

    band_names, band_count, path = ("a", "b"), 2, "pixels"

    def __init__(self, grid):
        self.grid = grid


@pytest.mark.parametrize("scene", GRIDS)
@pytest.mark.parametrize("scores", GRIDS)
def test_scores_lie_on_a_scene_of_their_shape_where_one_is_not_placed(scene, scores):
    def place():
        return scores_on_scene(Pixels(GRIDS[scores]), Pixels(GRIDS[scene])).grid

    if {scene, scores} == {"coordinates", "georeferenced"}:
        with pytest.raises(GridError) as refused:
            place()
        assert f"assign the {'scores' if scores == 'coordinates' else 'scene'} the" in refused.value.remedy
    else:
        assert place() == GRIDS[scene]


def test_scores_elsewhere_and_of_another_shape_are_refused():
    larger = Grid(UTM, HERE, (31, 40))
    for scores, scene in (
        (Grid(UTM, THERE, SHAPE), GRIDS["georeferenced"]),
        (larger, GRIDS["assumed"]),
        (Grid(None, THERE, SHAPE), GRIDS["coordinates"]),
    ):
        with pytest.raises(GridError):
            scores_on_scene(Pixels(scores), Pixels(scene))
