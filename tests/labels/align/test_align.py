"""Objects set right one by one: known shifts are undone, and nothing is moved that is not sure."""

from __future__ import annotations

import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.features import rasterize
from scipy import ndimage
from shapely.affinity import rotate, translate
from typer.testing import CliRunner

import crispmap
from array_scene import ArrayScene
from crispmap.classes import ClassDef, ClassSchema
from crispmap.cli.main import app
from crispmap.errors import InputError, LabelError, OutputError, ProjectError
from crispmap.events import Listener
from crispmap.geo.grid import Block
from crispmap.labels.align.edges import edge_directions, outline_samples, support
from crispmap.labels.align.field import probabilities
from crispmap.labels.align.files import COLUMNS, align_file
from crispmap.labels.align.objects import AlignRules, Reason, Shift, shifts_of
from crispmap.labels.noise import LabelNoise, simulate_noise
from crispmap.project.file import load_project
from crispmap.project.inputs import open_sources
from crispmap.raster.files import open_scene
from crispmap.raster.writer import class_map_writer, scores_writer
from crispmap.types import IGNORE, LabelArray

SIDE, PIXEL_M = 480, 0.5
RULES = AlignRules(max_shift_m=6.0)
UTM = CRS.from_epsg(32631)
CORNER = Affine(PIXEL_M, 0, 500_000, 0, -PIXEL_M, 5_000_000)


def houses(seed: int = 0) -> list[shapely.Polygon]:
    """Turned houses in pixels, apart from one another."""
    rng = np.random.default_rng(seed)
    found = []
    for row in range(40, SIDE - 20, 44):
        for col in range(40, SIDE - 20, 44):
            wide, tall = rng.uniform(12, 24, 2)
            box = shapely.box(col - wide / 2, row - tall / 2, col + wide / 2, row + tall / 2)
            found.append(translate(rotate(box, rng.uniform(0, 90)), *rng.uniform(-4, 4, 2)))
    return found


def picture(shapes: list[shapely.Polygon], seed: int = 0) -> np.ndarray:
    """Houses lighter and darker than a textured ground, with noise."""
    rng = np.random.default_rng(seed)
    image = 120 + ndimage.gaussian_filter(rng.normal(0, 60, (SIDE, SIDE)), 3)
    for shape in shapes:
        image[rasterize([shape], (SIDE, SIDE)).astype(bool)] = 120 + rng.choice([-50, 50])
    image = ndimage.gaussian_filter(image, 0.7) + rng.normal(0, 4, image.shape)
    return np.stack([image, image + 5, image - 5]).astype(np.float32)


def scene_of(image: np.ndarray) -> ArrayScene:
    return ArrayScene(image, transform=CORNER, crs=UTM)


TRUE = houses()
SCENE = scene_of(picture(TRUE))


def displaced(seed: int) -> tuple[list[shapely.Polygon], np.ndarray]:
    """The houses displaced smoothly by about 2 m and each by itself by 0.7 m; and by what, in metres."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 6, 2)
    centres = shapely.get_coordinates(shapely.centroid(TRUE)) * PIXEL_M
    smooth = 2 * np.stack([np.sin(centres[:, 1] / 60 + phase[0]), np.cos(centres[:, 0] / 60 + phase[1])], axis=1)
    by = smooth + rng.normal(0, 0.5, smooth.shape)
    return [translate(one, x / PIXEL_M, -y / PIXEL_M) for one, (x, y) in zip(TRUE, by, strict=True)], by


def metres(shifts: list[Shift]) -> np.ndarray:
    return np.array([[one.dx_m, one.dy_m] for one in shifts])


class TestShifts:
    @pytest.mark.parametrize("seed", [0, 1, 2])
    def test_known_shifts_are_undone(self, seed: int) -> None:
        shapes, by = displaced(seed)
        found = shifts_of(shapes, SCENE, RULES)
        left = np.hypot(*(metres(found) + by).T)
        sure = np.array([one.reason is Reason.ALIGNED for one in found])
        assert sure.mean() > 0.9
        assert np.median(left) < PIXEL_M / 2
        assert (left[sure] < 1.0).mean() > 0.97
        assert (left > np.hypot(*by.T) + PIXEL_M / 2).mean() <= 0.02

    def test_what_lies_right_stays(self) -> None:
        found = shifts_of(TRUE, SCENE, RULES)
        assert np.hypot(*metres(found).T).max() < PIXEL_M / 2

    def test_where_there_are_no_edges_nothing_moves(self) -> None:
        water = scene_of(np.random.default_rng(0).normal(100, 3, (3, SIDE, SIDE)))
        shapes, _ = displaced(0)
        found = shifts_of(shapes, water, RULES)
        aligned = [one for one in found if one.reason is Reason.ALIGNED]
        assert len(aligned) <= 0.03 * len(found)  # 1 in 100 looks as if

    def test_the_result_does_not_depend_on_tiles_and_order(self) -> None:
        shapes, _ = displaced(1)
        whole = shifts_of(shapes, SCENE, RULES)
        assert shifts_of(shapes, SCENE, RULES, tile_px=64) == whole
        turned = shifts_of(shapes[::-1], SCENE, RULES)
        np.testing.assert_allclose(metres(turned[::-1]), metres(whole), atol=1e-3)

    def test_an_edge_has_the_same_direction_in_every_block(self) -> None:
        whole = edge_directions(SCENE, Block(0, 0, SIDE, SIDE))
        for block in (Block(100, 150, 90, 70), Block(0, 0, 40, 40), Block(430, 300, 50, 180)):
            assert np.array_equal(edge_directions(SCENE, block), whole[block.slices])
        assert not edge_directions(SCENE, Block(-200, -200, 100, 100)).any()

    def test_where_data_are_missing_there_are_no_edges(self) -> None:
        valid = np.ones((SIDE, SIDE), bool)
        valid[200:300] = False
        scene = ArrayScene(SCENE.image, valid, transform=CORNER, crs=UTM)
        assert not edge_directions(scene, Block(196, 0, 108, SIDE)).any()

    @given(st.floats(-5, 5), st.floats(-5, 5), st.integers(0, len(TRUE) - 1))
    @settings(max_examples=10, deadline=None)
    def test_one_object_alone_comes_back(self, x: float, y: float, which: int) -> None:
        (found,) = shifts_of([translate(TRUE[which], x, y)], SCENE, RULES)
        if found.reason is Reason.ALIGNED:
            assert np.hypot(found.cols + x, found.rows + y) < 2

    @pytest.mark.parametrize(
        ("shape", "reason"),
        [
            (shapely.LineString([(50, 50), (90, 90)]), Reason.NO_OUTLINE),
            (shapely.Point(50, 50), Reason.NO_OUTLINE),
            (shapely.Polygon(), Reason.NO_OUTLINE),
            (shapely.box(-3000, 0, 200, 100), Reason.NO_OUTLINE),
            (shapely.box(-90, 100, 10, 120), Reason.OUTSIDE),
            (shapely.box(600, 600, 640, 640), Reason.OUTSIDE),
        ],
    )
    def test_what_cannot_be_compared_says_why_and_stays(self, shape: shapely.Geometry, reason: Reason) -> None:
        found = shifts_of([TRUE[0], shape], SCENE, RULES)[1]
        assert (found.reason, found.dx_m, found.dy_m, found.confidence) == (reason, 0.0, 0.0, 0.0)

    @pytest.mark.parametrize("reach", [0.1, 1000.0])
    def test_a_reach_that_cannot_be_searched_is_refused(self, reach: float) -> None:
        with pytest.raises(InputError, match=str(reach)):
            shifts_of(TRUE, SCENE, AlignRules(max_shift_m=reach))


class TestParts:
    @given(st.integers(0, 20))
    @settings(max_examples=10, deadline=None)
    def test_samples_cover_the_outline(self, which: int) -> None:
        shape = TRUE[which].difference(TRUE[which].buffer(-4))
        samples = outline_samples(shape)
        assert samples[:, 4].sum() == pytest.approx(shape.length)
        assert np.allclose(np.hypot(samples[:, 2], samples[:, 3]), 1)
        assert shapely.distance(shape.boundary, shapely.points(samples[:, :2])).max() < 1e-9

    def test_support_is_that_of_every_shift_by_itself(self) -> None:
        directions, samples, reach = edge_directions(SCENE, Block(0, 0, SIDE, SIDE)), outline_samples(TRUE[30]), 5
        found = support(samples, directions, (0, 0), reach)
        normal = samples[:, 2] + 1j * samples[:, 3]
        for row in range(-reach, reach + 1, 5):
            for col in range(-reach, reach + 1, 5):
                places = np.floor(samples[:, :2]).astype(int) + np.array([col, row])
                seen = directions[places[:, 1], places[:, 0]]
                expected = (np.conj(normal**2) * seen).real @ samples[:, 4] / samples[:, 4].sum()
                assert found[row + reach, col + reach] == pytest.approx(expected, abs=1e-5)

    def test_probabilities_sum_to_one_and_neighbours_help_the_unsure(self) -> None:
        strengths = np.zeros((9, 21, 21), np.float32)
        strengths[:8, 14, 6] = 9  # eight neighbours are sure of a shift, the ninth of none
        places = np.array([[x, y] for x in (0.0, 10, 20) for y in (0.0, 10, 20)])
        found = probabilities(strengths, places, 0.5)
        np.testing.assert_allclose(found.sum(axis=(1, 2)), 1, rtol=1e-4)
        assert np.hypot(*(np.array(np.unravel_index(found[8].argmax(), (21, 21))) - [14, 6])) <= 1.5
        alone = probabilities(strengths[8:], places[8:], 0.5)
        assert np.unravel_index(alone[0].argmax(), (21, 21)) == (10, 10)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, np.ndarray]:
    """A scene and, in degrees, displaced houses with columns, beside a layer of streets."""
    scene, labels = tmp_path / "scene.tif", tmp_path / "osm.gpkg"
    shapes, by = displaced(0)
    with rasterio.open(
        scene, "w", driver="GTiff", width=SIDE, height=SIDE, count=3, dtype="uint8", crs=UTM, transform=CORNER
    ) as file:
        file.write(np.clip(SCENE.image, 0, 255).astype(np.uint8))
    ground = shapely.transform(shapes, lambda points: np.column_stack(CORNER @ points.T))
    frame = gpd.GeoDataFrame({"name": [f"house {n}" for n in range(len(ground))]}, geometry=ground, crs=UTM)
    frame.to_crs(4326).to_file(labels, layer="houses")
    line = shapely.LineString([(500_010, 4_999_990), (500_200, 4_999_800)])
    street = gpd.GeoDataFrame({"kind": ["street"]}, geometry=[line], crs=UTM)
    street.to_file(labels, layer="streets")
    return scene, labels, by


class TestFiles:
    def test_layers_columns_and_all_that_is_not_sure_are_kept(self, files: tuple[Path, Path, np.ndarray]) -> None:
        scene, labels, by = files
        out = labels.with_name("aligned.gpkg")
        found = align_file(labels, scene, out, RULES)
        assert set(pyogrio.list_layers(out)[:, 0]) == {"houses", "streets"}
        before, after = gpd.read_file(labels, layer="houses"), gpd.read_file(out, layer="houses")
        assert list(after["name"]) == list(before["name"])
        assert after.crs == before.crs
        stays = (after["align_reason"] != "aligned").to_numpy()
        assert (after.geometry[stays].to_wkb() == before.geometry[stays].to_wkb()).all()
        assert not after.loc[stays, ["align_dx_m", "align_dy_m"]].any().any()
        moved = after.to_crs(UTM).centroid, before.to_crs(UTM).centroid
        by_metres = np.stack([moved[0].x - moved[1].x, moved[0].y - moved[1].y], axis=1)
        np.testing.assert_allclose(by_metres, after[["align_dx_m", "align_dy_m"]], atol=0.02)
        assert np.median(np.hypot(*(by_metres + by).T)) < 0.3
        street = gpd.read_file(out, layer="streets")
        assert list(street["align_reason"]) == ["no outline"]
        assert found.counts["aligned"] == (~stays).sum()
        assert found.objects == len(after) + 1

    def test_the_verb_says_what_became_of_all(self, files: tuple[Path, Path, np.ndarray]) -> None:
        scene, labels, _ = files
        out = labels.with_name("aligned.gpkg")
        words = ["align", str(labels), "--against", str(scene), "--out", str(out), "--max-shift-m", "6"]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.stderr
        assert "aligned" in result.stdout
        assert "no outline" in result.stdout
        again = CliRunner().invoke(app, words)
        assert again.exit_code == 2
        assert "--force" in again.stderr

    def test_aligned_once_more_the_columns_are_those_of_the_second_time(
        self, files: tuple[Path, Path, np.ndarray]
    ) -> None:
        scene, labels, _ = files
        once, twice = labels.with_name("once.gpkg"), labels.with_name("twice.gpkg")
        align_file(labels, scene, once, RULES)
        align_file(once, scene, twice, RULES)
        after = gpd.read_file(twice, layer="houses")
        assert set(COLUMNS) <= set(after.columns)
        assert np.hypot(after["align_dx_m"], after["align_dy_m"]).median() < 0.25

    def test_bad_input_is_told_before_any_work(self, files: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
        scene, labels, _ = files
        out = tmp_path / "out.gpkg"
        with pytest.raises(OutputError, match="shp"):
            align_file(labels, scene, tmp_path / "out.shp")
        with pytest.raises(OutputError):
            align_file(labels, scene, labels, force=True)
        with pytest.raises(InputError, match="vectors first"):
            align_file(scene, labels, out)
        with pytest.raises(InputError, match="sure is 0"):
            align_file(labels, scene, out, AlignRules(sure=0.0))
        far = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=4326)
        far.to_file(tmp_path / "far.gpkg")
        with pytest.raises(LabelError):
            align_file(tmp_path / "far.gpkg", scene, out)
        assert not out.exists()

    def test_of_rasters_in_the_wrong_place_each_remedy_can_be_followed(
        self, files: tuple[Path, Path, np.ndarray], tmp_path: Path
    ) -> None:
        scene, labels, _ = files
        with open_scene(scene) as one:
            schema = ClassSchema((ClassDef("ground", "#000000"), ClassDef("house", "#ff0000")))
            with class_map_writer(tmp_path / "map.tif", one.grid, schema) as writer:
                writer.write(one.grid.block, np.zeros((SIDE, SIDE), np.uint8))
            with scores_writer(tmp_path / "scores.tif", one.grid, ["ground", "house"]) as writer:
                writer.write(one.grid.block, np.zeros((2, SIDE, SIDE), np.float32))
        given = [(labels, tmp_path / "map.tif"), (labels, tmp_path / "scores.tif"), (tmp_path / "map.tif", scene)]
        help_page = CliRunner().invoke(app, ["align", "--help"]).output
        for first, second in given:
            words = ["align", str(first), "--against", str(second), "--out", str(tmp_path / "out.gpkg")]
            result = CliRunner().invoke(app, words)
            assert result.exit_code == 2
            remedy = result.stderr.partition("Remedy")[2]
            assert remedy
            assert set(re.findall(r"--[a-z-]+", remedy)) <= set(re.findall(r"--[a-z-]+", help_page))
            assert "kind" not in remedy


class TestLabels:
    @pytest.mark.parametrize("align", ["true", "{max_shift_m: 6}", "{max_shift_m: 6, sure: 0.5}"])
    def test_a_project_learns_from_aligned_labels_and_not_from_doubtful_ones(
        self, files: tuple[Path, Path, np.ndarray], align: str
    ) -> None:
        scene, labels, _ = files
        found = {how: labels_of(scene, labels, how)[0] for how in ("false", align)}
        truth = rasterize(TRUE, (SIDE, SIDE)).astype(bool)
        overlap = {how: (mask == 1)[truth].sum() / ((mask == 1) | truth).sum() for how, mask in found.items()}
        assert overlap["false"] < 0.7
        assert overlap[align] > 0.85
        assert not (found["false"] == IGNORE).any()

    def test_what_the_scene_does_not_show_is_left_out_of_the_loss_and_told(
        self, files: tuple[Path, Path, np.ndarray]
    ) -> None:
        scene, labels, _ = files
        with rasterio.open(scene, "r+") as file:  # nothing but noise where the first two rows of houses were
            plain = np.random.default_rng(1).normal(120, 4, (3, 110, SIDE)).astype(np.uint8)
            file.write(plain, window=((0, 110), (0, SIDE)))
        mask, notes = labels_of(scene, labels, "true")
        assert (mask[:110] == IGNORE).sum() > 0.5 * (mask[:110] != 0).sum()
        assert (mask[150:] == IGNORE).mean() < 0.02
        (note,) = notes
        assert "objects aligned" in note
        assert "no support" in note

    @pytest.mark.parametrize("align", ["{sure: 0}", "{sure: 1.5}", "{max_shift_m: -1}", "{max_shift: 3}", "often"])
    def test_settings_out_of_range_are_refused(self, files: tuple[Path, Path, np.ndarray], align: str) -> None:
        scene, labels, _ = files
        with pytest.raises(ProjectError):
            labels_of(scene, labels, align)

    def test_a_raster_cannot_be_aligned(self, files: tuple[Path, Path, np.ndarray]) -> None:
        scene, _, _ = files
        with pytest.raises(LabelError, match="raster"):
            labels_of(scene, scene, "true")


class TestPython:
    @pytest.mark.parametrize("reach", [0.01, 1e9])
    def test_a_reach_that_is_refused_names_bounds_of_the_scene_itself(
        self, files: tuple[Path, Path, np.ndarray], reach: float
    ) -> None:
        scene, labels, _ = files
        with pytest.raises(InputError) as caught:
            crispmap.align(gpd.read_file(labels, layer="houses"), scene, max_shift_m=reach)
        assert f"at least a pixel ({CORNER.a:.3g} m)" in caught.value.expected

    def test_a_frame_and_an_array_give_what_the_files_do(self, files: tuple[Path, Path, np.ndarray]) -> None:
        scene, labels, _ = files
        frame = gpd.read_file(labels, layer="houses").set_index("name")
        by_file = crispmap.align(frame, scene, max_shift_m=6)
        with rasterio.open(scene) as file:
            by_array = crispmap.align(frame, file.read(), max_shift_m=6, transform=CORNER, crs=UTM)
        assert by_file.equals(by_array)
        assert list(by_file.index) == list(frame.index)
        out = labels.with_name("aligned.gpkg")
        align_file(labels, scene, out, RULES)
        assert by_file["align_reason"].tolist() == gpd.read_file(out, layer="houses")["align_reason"].tolist()

    def test_what_is_not_one_layer_in_known_coordinates_is_refused(self, files: tuple[Path, Path, np.ndarray]) -> None:
        scene, labels, _ = files
        with pytest.raises(LabelError, match="houses, streets"):
            crispmap.align(labels, scene)
        with pytest.raises(LabelError, match="no coordinate reference system"):
            crispmap.align(gpd.GeoDataFrame(geometry=TRUE), scene)
        with pytest.raises(InputError, match="sure is 2"):
            crispmap.align(gpd.GeoDataFrame(geometry=TRUE, crs=UTM), scene, sure=2)


class Notes(Listener):
    """Keeps what is told."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def labels_of(scene: Path, labels: Path, align: str) -> tuple[LabelArray, list[str]]:
    """The labels of a project, and what it tells of them."""
    path, notes = scene.with_name("project.yaml"), Notes()
    path.write_text(
        "crispmap: 2\nname: small\n"
        f"scene: {{path: {scene.name}}}\n"
        'classes: [{name: ground, colour: "#000000"}, {name: house, colour: "#ff0000"}]\n'
        f"labels: {{path: {labels.name}, all_as: house, align: {align}}}\n"
        "areas: {coarse: [{window: [0, 0, 400, 400]}]}\n"
    )
    with open_sources(load_project(path), events=notes) as sources:
        (one,) = sources.scenes
        return one.labels(one.image.grid).read(one.image.grid.block), notes.texts


GROUNDS = {
    "kampala": ("A_z20_rgb.tif", "A_buildings.geojson"),
    "zanzibar": ("zanzibar_rgb.tif", "zanzibar_osm_buildings.geojson"),
}


@pytest.mark.realdata
@pytest.mark.parametrize("name", GROUNDS)
def test_on_real_ground_known_shifts_are_undone(real_data: Path, tmp_path: Path, name: str) -> None:
    image, labels = (real_data / name / one for one in GROUNDS[name])
    given_crs = gpd.read_file(labels)
    true = given_crs[given_crs.geom_type.isin(["Polygon", "MultiPolygon"])].reset_index(drop=True)
    with rasterio.open(image) as file:
        frame = shapely.box(*file.bounds)
        true = true[true.to_crs(file.crs).centroid.within(frame)].reset_index(drop=True)
    wrong = simulate_noise(true, LabelNoise(shift_m=3, smooth_m=60, jitter_m=1.5), seed=1)
    wrong.to_file(tmp_path / "wrong.gpkg")
    align_file(tmp_path / "wrong.gpkg", image, tmp_path / "aligned.gpkg")
    ground = true.estimate_utm_crs()
    right = gpd.read_file(tmp_path / "aligned.gpkg").to_crs(ground).centroid
    left, before = (
        one.distance(true.to_crs(ground).centroid).to_numpy() for one in (right, wrong.to_crs(ground).centroid)
    )
    assert np.median(before) > 2
    assert np.median(left) < 0.5
    assert (left < 1).mean() > 0.8
    assert (left > before + 0.1).mean() < 0.04
