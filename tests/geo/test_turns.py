"""Degrees go on at 180: what one file writes at -180 and another at 180 is one place."""

from __future__ import annotations

import itertools

import geopandas as gpd
import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from shapely.geometry import Polygon, box

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import ProjectError
from crispmap.evaluation.files import ScoringRules, evaluate_file
from crispmap.geo.apart import check_apart_on_ground
from crispmap.geo.area_pieces import AreaPiece, resolve_areas
from crispmap.geo.grid import Block, Grid
from crispmap.geo.turns import turns_between, unbroken
from crispmap.inference.align import scores_on_scene
from crispmap.labels.mask import MaskLabels
from crispmap.raster.writer import class_map_writer

DEGREES, UTM = CRS.from_epsg(4326), CRS.from_epsg(32760)
SCHEMA = ClassSchema((ClassDef("ground", "#000000"), ClassDef("roof", "#ff0000")))
STEP = 1e-5
SHAPE = (40, 60)


def grid_at(turn, crs=DEGREES, left=180.0 - 30 * STEP, shape=SHAPE):
    return Grid(crs, Affine(STEP, 0.0, left + turn, 0.0, -STEP, -17.0), shape)


EAST, WEST = grid_at(0.0), grid_at(-360.0)


@given(
    span=st.tuples(st.floats(-700, 700), st.floats(0.1, 400)), onto=st.tuples(st.floats(-700, 700), st.floats(0.1, 400))
)
def test_turns_between_are_all_at_which_two_spans_overlap(span, onto):
    (left, width), (start, length) = span, onto
    found = turns_between((left, left + width), (start, start + length), DEGREES)
    expected = [
        360.0 * turn for turn in range(-9, 10)
        if left + width + 360.0 * turn > start and left + 360.0 * turn < start + length
    ]  # fmt: skip
    assert set(found) == set(expected)
    assert turns_between((0, 1), (0.5, 9), UTM) == turns_between((0, 1), (0.5, 9), None) == [0.0]
    assert turns_between((0, 1), (360, 361), UTM) == []


@given(st.lists(st.floats(-170, 170), min_size=2, max_size=20), st.floats(-400, 400))
def test_an_outline_cut_at_180_is_whole_again(steps, start):
    whole = np.column_stack([start + np.cumsum(steps), np.zeros(len(steps))])
    cut = whole.copy()
    cut[:, 0] = (cut[:, 0] + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(np.diff(unbroken(cut, DEGREES)[:, 0]), np.diff(whole[:, 0]), atol=1e-9)
    np.testing.assert_array_equal(unbroken(cut, UTM), cut)


def test_grids_a_full_turn_apart_are_one_place():
    assert EAST.is_close(WEST)
    assert WEST.is_close(EAST)
    assert not EAST.is_close(grid_at(-180.0))
    assert not Grid(UTM, EAST.transform, SHAPE).is_close(Grid(UTM, WEST.transform, SHAPE))


def mask_of(grid, **piece):
    return resolve_areas({"test": [AreaPiece(**piece)]}, grid, grid)["test"][0].mask(grid.block)


@pytest.mark.parametrize("grid", [EAST, WEST], ids=["at 180", "at -180"])
@pytest.mark.parametrize("crs", [None, "EPSG:4326", "EPSG:4258"])
@pytest.mark.parametrize("turn", [0.0, -360.0, 360.0])
def test_an_area_written_at_either_end_is_the_same_pixels(grid, crs, turn):
    if crs == "EPSG:4258" and turn == 360.0:
        turn = -360.0
    left, top = 180.0 - 20 * STEP + turn, -17.0 - 5 * STEP
    chosen = mask_of(grid, bounds=(left, top - 20 * STEP, left + 40 * STEP, top), crs=crs)
    expected = np.zeros(SHAPE, np.bool_)
    expected[5:25, 10:50] = True
    np.testing.assert_array_equal(chosen, expected)


def test_an_area_drawn_in_metres_across_180_has_its_hole_on_the_right_side(tmp_path):
    to_metres = gpd.GeoSeries([box(180 - 25 * STEP, -17 - 35 * STEP, 180 + 25 * STEP, -17 - 5 * STEP)], crs=4326)
    outline = to_metres.to_crs(UTM)[0]
    hole = outline.centroid.buffer(6).exterior
    gpd.GeoSeries([Polygon(outline.exterior, [hole])], crs=UTM).to_file(tmp_path / "area.gpkg")
    found = [mask_of(grid, file=tmp_path / "area.gpkg") for grid in (EAST, WEST)]
    np.testing.assert_array_equal(*found)
    assert not found[0][20, 30]
    assert found[0][20, 10]
    assert found[0][20, 50]
    assert not found[0][20, 1]


def test_an_area_around_the_earth_covers_a_scene_across_180():
    assert mask_of(EAST, bounds=(-180.0, -90.0, 180.0, 90.0)).all()
    assert mask_of(WEST, bounds=(0.0, -90.0, 360.0, 90.0), crs="EPSG:4326").all()
    with pytest.raises(ProjectError):
        mask_of(EAST, bounds=(-10.0, -90.0, 10.0, 90.0))


def test_areas_of_scenes_at_either_end_share_the_ground():
    def areas(role, grid):
        return {role: resolve_areas({role: [AreaPiece(window=(0, 0, 20, 60))]}, grid, grid)[role]}, grid

    utm = Grid(UTM, Affine(1.0, 0.0, 819_400.0, 0.0, -1.0, 8_118_000.0), (400, 400))
    for one, other in itertools.permutations((EAST, WEST, utm), 2):
        with pytest.raises(ProjectError):
            check_apart_on_ground(areas("coarse", one), areas("test", other))


def write(path, grid, values):
    with class_map_writer(path, grid, SCHEMA) as writer:
        writer.write(grid.block, values.astype(np.uint8))
    return path


def test_a_map_scores_alike_against_references_at_either_end(tmp_path):
    ids = np.random.default_rng(0).integers(0, 2, SHAPE)
    files = [write(tmp_path / f"{name}.tif", grid, ids) for name, grid in (("east", EAST), ("west", WEST))]
    rules = ScoringRules(areas={"test": [AreaPiece(bounds=(179.9, -18, 180.1, -16), crs="EPSG:4326")]})
    for one, other in itertools.product(files, files):
        found = evaluate_file(one, other, rules)
        assert found.mean_iou == 1.0
        assert found.confusion.valid_px == ids.size


@pytest.mark.parametrize("turn", [-360.0, 0.0, 360.0])
@pytest.mark.parametrize("left", [-180.0, 0.0, 170.0])
def test_a_mask_of_the_whole_earth_covers_a_window_written_at_any_turn(tmp_path, turn, left):
    """The mask has a seam at its own ends, in the middle of the window or elsewhere."""
    earth = Grid(DEGREES, Affine(1.0, 0.0, left, 0.0, -1.0, 30.0), (60, 360))
    ids = (np.mod(np.floor(np.arange(360) + 0.5 + left), 2) * np.ones((60, 1))).astype(np.uint8)
    ids[:, :] = np.mod(np.floor(np.mod(np.arange(360) + 0.5 + left, 360) / 3), 2)
    write(tmp_path / "earth.tif", earth, ids)
    window = Grid(DEGREES, Affine(1.0, 0.0, 165.0 + turn, 0.0, -1.0, 10.0), (10, 30))
    labels = MaskLabels(tmp_path / "earth.tif", SCHEMA, window)
    expected = np.mod(np.floor(np.mod(np.arange(30) + 165.5, 360) / 3), 2)
    np.testing.assert_array_equal(labels.read(window.block), np.broadcast_to(expected, (10, 30)))
    labels.close()


@pytest.mark.parametrize("mask", [EAST, WEST], ids=["at 180", "at -180"])
def test_a_mask_in_degrees_across_180_is_whole_on_a_grid_in_metres_and_the_other_way(tmp_path, mask):
    ids = np.zeros(SHAPE, np.uint8)
    ids[:, 20:40] = 1
    write(tmp_path / "mask.tif", mask, ids)
    utm = Grid(UTM, Affine(0.4, 0.0, 819_400.0, 0.0, -0.4, 8_118_000.0), (900, 600))
    labels = MaskLabels(tmp_path / "mask.tif", SCHEMA, utm)
    drawn = labels.read(utm.block)
    labels.close()
    areas = utm.pixel_areas_m2(utm.block)
    truth = mask.pixel_areas_m2(mask.block)
    assert areas[drawn == 1].sum() == pytest.approx(truth[ids == 1].sum(), rel=0.01)
    assert areas[drawn == 0].sum() == pytest.approx(truth[ids == 0].sum(), rel=0.01)
    write(tmp_path / "metres.tif", utm, drawn)
    labels = MaskLabels(tmp_path / "metres.tif", SCHEMA, mask)
    again = labels.read(mask.block)
    labels.close()
    assert (again != ids).mean() < 0.03


def test_scores_at_the_other_end_lie_on_their_scene(tmp_path):
    class Pixels:
        def __init__(self, grid):
            self.grid, self.path, self.band_names = grid, tmp_path, ("a", "b")
            self.band_count = 2

        def read(self, block):
            return np.ones((2, *block.shape), np.float32), np.ones(block.shape, np.bool_)

    placed = scores_on_scene(Pixels(WEST), Pixels(EAST))
    assert placed.grid == EAST
    values, valid = placed.read(Block(3, 4, 5, 6))
    assert valid.all()
    assert (values == 1).all()
