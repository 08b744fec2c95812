"""Labels held against scores: what is missing comes back whole, what is gone is named, nothing else changes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
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

from crispmap.cli.main import app
from crispmap.errors import CrispmapError, GridError, InputError, LabelError, OutputError, SceneError, SchemaError
from crispmap.inference.job import GivenScores
from crispmap.labels.align.files import align_file
from crispmap.labels.align.objects import AlignRules, Reason
from crispmap.labels.osm import preset_schema
from crispmap.labels.reader import LabelOptions
from crispmap.labels.vectors import read_vectors
from crispmap.raster.files import open_scene
from crispmap.raster.writer import scores_writer
from crispmap.review.added import confirmed, lacking
from crispmap.review.files import Review, ReviewOutputs, review_file
from crispmap.review.verdicts import GONE, ReviewRules, gone_confidence

SIDE, PIXEL_M = 480, 0.5
RULES = AlignRules(max_shift_m=6.0, sizes=False)
UTM = CRS.from_epsg(32631)
CORNER = Affine(PIXEL_M, 0, 500_000, 0, -PIXEL_M, 5_000_000)
ALL = LabelOptions(all_as="building")


def houses() -> list[shapely.Polygon]:
    """Turned houses in pixels, apart from one another."""
    rng = np.random.default_rng(0)
    found = []
    for row in range(40, SIDE - 20, 44):
        for col in range(40, SIDE - 20, 44):
            wide, tall = rng.uniform(14, 24, 2)
            box = shapely.box(col - wide / 2, row - tall / 2, col + wide / 2, row + tall / 2)
            found.append(translate(rotate(box, rng.uniform(0, 90)), *rng.uniform(-4, 4, 2)))
    return found


EVERY = houses()
INVENTED, LACKED = (8, 34, 61, 77), (20, 45, 52, 90, 70)  # labelled and not there; there and not labelled
THERE = [shape for place, shape in enumerate(EVERY) if place not in INVENTED]


@dataclass(frozen=True)
class Ground:
    """Files of one scene."""

    scene: Path
    labels: Path
    scores: Path
    folder: Path

    def reviewed(self, name: str = "out", *, revise: bool = False, **changes: object) -> Review:
        outputs = ReviewOutputs(self.folder / f"{name}.gpkg", self.folder / f"{name}-review.gpkg", revise)
        options = {"options": ALL, **changes}
        return review_file(self.labels, self.scene, GivenScores(self.scores), outputs, RULES, **options)  # type: ignore[arg-type]

    def read(self, name: str = "out", layer: str = "houses") -> gpd.GeoDataFrame:
        return gpd.read_file(self.folder / f"{name}.gpkg", layer=layer).to_crs(UTM)


def on_ground(shapes: Sequence[shapely.Geometry]) -> np.ndarray:
    return shapely.transform(np.array(shapes, object), lambda points: np.column_stack(CORNER @ points.T))


def write_scene(path: Path, shapes: list[shapely.Polygon]) -> None:
    rng = np.random.default_rng(0)
    image = 120 + ndimage.gaussian_filter(rng.normal(0, 60, (SIDE, SIDE)), 3)
    for shape in shapes:
        image[rasterize([shape], (SIDE, SIDE)).astype(bool)] = 120 + rng.choice([-50, 50])
    image = ndimage.gaussian_filter(image, 0.7) + rng.normal(0, 4, image.shape)
    with rasterio.open(
        path, "w", driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="uint8", crs=UTM, transform=CORNER
    ) as file:
        file.write(np.clip(image, 0, 255).astype(np.uint8), 1)


def log_odds(shapes: list[shapely.Polygon]) -> np.ndarray:
    """What a good map thinks of houses: sure inside and outside, less at outlines."""
    inside = rasterize(shapes, (SIDE, SIDE)).astype(np.float32)
    return np.asarray(8 * ndimage.gaussian_filter(inside, 1.0) - 4, np.float32)


def write_scores(path: Path, scene: Path, odds: np.ndarray, names: Sequence[str] = ("background", "building")) -> Path:
    with open_scene(scene) as one, scores_writer(path, one.grid, list(names), force=True) as writer:
        rest = [np.full_like(odds, -9)] * (len(names) - 2)
        writer.write(one.grid.block, np.stack([-odds / 2, odds / 2, *rest]))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("ground")
    scene, labels = folder / "scene.tif", folder / "osm.gpkg"
    write_scene(scene, THERE)
    rng = np.random.default_rng(1)
    labelled = [place for place in range(len(EVERY)) if place not in LACKED]
    shapes = on_ground([translate(EVERY[place], *rng.normal([3, -2], 1.0)) for place in labelled])
    frame = gpd.GeoDataFrame(
        {"house": labelled, "old": [place % 2 == 0 for place in labelled], "invented": np.isin(labelled, INVENTED)},
        geometry=shapes, crs=UTM,
    )  # fmt: skip
    frame.to_crs(4326).to_file(labels, layer="houses")
    line = shapely.LineString([(500_010, 4_999_990), (500_200, 4_999_800)])
    gpd.GeoDataFrame({"kind": ["street"]}, geometry=[line], crs=UTM).to_file(labels, layer="streets")
    return Ground(scene, labels, write_scores(folder / "scores.tif", scene, log_odds(THERE)), folder)


@pytest.fixture(scope="module")
def revised(made: Ground) -> Review:
    return made.reviewed("revised", revise=True)


@pytest.fixture(scope="module")
def plain(made: Ground) -> Review:
    return made.reviewed("plain")


class TestObjects:
    def test_what_labels_lack_comes_back_whole_and_what_is_not_there_goes(self, made: Ground, revised: Review) -> None:
        after = made.read("revised")
        added = after[after["align_reason"] == "added"]
        for place in LACKED:
            (true,) = on_ground([EVERY[place]])
            iou = added.intersection(true).area / added.union(true).area
            assert iou.max() > 0.75
        assert len(added) == len(LACKED)
        assert (added["class_name"] == "building").all()
        assert (added["align_confidence"] > 0.8).all()
        assert not after["invented"].fillna(0).any()
        assert set(after["house"].dropna()) == set(range(len(EVERY))) - set(LACKED) - set(INVENTED)
        assert revised.statuses == {
            "added": len(LACKED), "left out": len(INVENTED), "moved": revised.alignment.counts["aligned"],
            "unsure": len(EVERY) - len(LACKED) - len(INVENTED) - revised.alignment.counts["aligned"],
        }  # fmt: skip

    def test_without_revise_the_file_holds_every_object_and_no_other(self, made: Ground, plain: Review) -> None:
        before, after = made.read("osm"), made.read("plain")
        assert list(after["house"]) == list(before["house"])
        assert set(after.loc[after["align_reason"] == GONE, "house"]) == set(INVENTED)
        assert plain.statuses["added"] == len(LACKED)
        assert plain.alignment.counts[GONE] == len(INVENTED)
        assert plain.alignment.objects == len(before) + 1

    def test_scores_move_nothing(self, made: Ground, plain: Review) -> None:
        align_file(made.labels, made.scene, made.folder / "aligned.gpkg", RULES, force=True)
        before, after = made.read("aligned"), made.read("plain")
        assert (before.geometry.to_wkb() == after.geometry.to_wkb()).all()
        assert np.array_equal(before["align_dx_m"], after["align_dx_m"])

    def test_columns_keep_their_types_where_objects_are_added(self, made: Ground, revised: Review) -> None:
        kinds = pyogrio.read_info(made.folder / "revised.gpkg", layer="houses")
        types = dict(zip(kinds["fields"], kinds["ogr_subtypes"], strict=True))
        assert types["old"] == "OFSTBoolean"
        assert dict(zip(kinds["fields"], kinds["dtypes"], strict=True))["house"] == "int64"

    @pytest.mark.parametrize("block_px", [64, 200])
    def test_what_is_found_does_not_depend_on_blocks(self, made: Ground, revised: Review, block_px: int) -> None:
        again = made.reviewed(f"blocks{block_px}", revise=True, block_px=block_px)
        assert again == revised
        assert made.read(f"blocks{block_px}").equals(made.read("revised"))

    def test_what_is_added_overlaps_nothing(self, made: Ground, revised: Review, plain: Review) -> None:
        after = made.read("revised")
        added = after.geometry[after["align_reason"] == "added"].to_numpy()
        others = [*made.read("osm").geometry, *made.read("plain").geometry]
        assert shapely.area(shapely.intersection(added[:, None], np.array(others, object)[None])).max() < 1e-6
        pairs = shapely.area(shapely.intersection(added[:, None], added[None])) - np.diag(shapely.area(added))
        assert np.abs(pairs).max() < 1e-6

    def test_lines_and_other_layers_stay_and_are_counted(self, made: Ground, plain: Review) -> None:
        assert plain.not_reviewed == 1
        (street,) = made.read("plain", "streets").geometry
        (before,) = made.read("osm", "streets").geometry
        assert street.equals_exact(before, 0)

    def test_bounds_on_confidence_and_area_leave_out_what_is_less(self, made: Ground) -> None:
        areas = sorted(on_ground([EVERY[place]])[0].area for place in LACKED)
        least = (areas[0] + areas[-1]) / 2
        found = made.reviewed("large", review=ReviewRules(min_area_m2=least))
        assert 0 < found.statuses["added"] < len(LACKED)
        seen = gpd.GeoDataFrame(
            {"confidence": [0.95, 0.7], "area_m2": [90.0, 90]}, geometry=on_ground(THERE[:2]), crs=UTM
        )
        with open_scene(made.scene) as scene:
            kept = confirmed(seen, scene, RULES, ReviewRules(min_confidence=0.8))
        assert list(kept["confidence"]) == [0.95]

    def test_where_no_object_is_confirmed_none_is_left_out(self, made: Ground, tmp_path: Path) -> None:
        water = tmp_path / "water.tif"
        write_scene(water, [])
        odds = write_scores(tmp_path / "none.tif", water, np.full((SIDE, SIDE), -4, np.float32))
        ground = Ground(water, made.labels, odds, tmp_path)
        found = ground.reviewed(revise=True)
        assert found.alignment.counts["aligned"] < 19
        assert (found.statuses["added"], found.statuses["left out"]) == (0, 0)
        assert len(ground.read()) == len(made.read("osm"))

    @given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.floats(0, 1)), max_size=12))
    @settings(max_examples=40, deadline=None)
    def test_of_footprints_that_overlap_the_surest_stay(self, places: list[tuple[int, int, float]]) -> None:
        boxes = [shapely.box(x, y, x + 6, y + 6) for x, y, _ in places]
        seen = gpd.GeoDataFrame({"confidence": [sure for _, _, sure in places]}, geometry=boxes, crs=UTM)
        labelled = np.array([shapely.box(10, 10, 16, 16), shapely.LineString([(0, 0), (30, 30)])], object)
        kept = lacking(seen, labelled)
        expected: list[shapely.Polygon] = []
        for place in sorted(range(len(boxes)), key=lambda one: -places[one][2]):
            if not any(boxes[place].intersection(one).area > 0 for one in [labelled[0], *expected]):
                expected.append(boxes[place])
        assert {one.wkt for one in kept.geometry} == {one.wkt for one in expected}


class TestLayer:
    def test_a_person_can_go_through_it_in_qgis(self, made: Ground, revised: Review) -> None:
        path = made.folder / "revised-review.gpkg"
        rows = gpd.read_file(path, layer="review")
        assert rows["status"].value_counts().to_dict() == {
            key: count for key, count in revised.statuses.items() if count
        }
        assert rows["confidence"].between(0, 1).all()
        assert (rows["reason"] != "").all()
        assert rows.is_valid.all()
        assert rows.crs == UTM
        with sqlite3.connect(path) as database:
            ((table, style, default),) = database.execute(
                "SELECT f_table_name, styleQML, useAsDefault FROM layer_styles"
            )
        assert (table, default) == ("review", 1)
        assert 'attr="status"' in style
        assert all(f'value="{status}"' in style for status in ("added", "left out", "moved", "unsure"))


class TestScores:
    def test_scores_without_a_value_are_refused(self, made: Ground, tmp_path: Path) -> None:
        nothing = write_scores(tmp_path / "nan.tif", made.scene, log_odds(THERE))
        with rasterio.open(nothing, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
            file.write(np.full((2, SIDE, SIDE), np.nan, np.float32))
        with pytest.raises(SceneError) as raised:
            review_file(made.labels, made.scene, GivenScores(nothing), ReviewOutputs(tmp_path / "out.gpkg"), RULES,
                        options=ALL)  # fmt: skip
        assert str(nothing) in raised.value.given
        assert [one.name for one in tmp_path.iterdir()] == ["nan.tif"]

    def test_scores_of_other_tools_say_the_same(self, made: Ground, plain: Review, tmp_path: Path) -> None:
        odds = log_odds(THERE)
        with rasterio.open(
            tmp_path / "p.tif", "w", driver="GTiff", width=SIDE, height=SIDE, count=1, dtype="uint8", crs=UTM,
            transform=CORNER, nodata=None,
        ) as file:  # fmt: skip
            file.write(np.round(255 / (1 + np.exp(-odds))).astype(np.uint8), 1)
        out = tmp_path / "out.gpkg"
        words = ["align", str(made.labels), "--against", str(made.scene), "--out", str(out), "--max-shift-m", "6",
                 "--keep-sizes", "--scores", str(tmp_path / "p.tif"), "--classes", "building", "--all-as", "building",
                 "--json"]  # fmt: skip
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["statuses"] == plain.statuses

    @pytest.mark.parametrize(
        ("names", "error"),
        [
            (("background", "road"), SchemaError),
            (("background", "forest", "water"), SchemaError),
            (("a", "b"), InputError),
        ],
    )
    def test_scores_of_other_classes_are_refused(
        self, made: Ground, tmp_path: Path, names: tuple[str, ...], error: type[CrispmapError]
    ) -> None:
        other = write_scores(tmp_path / "other.tif", made.scene, log_odds(THERE), names)
        ground = Ground(made.scene, made.labels, other, tmp_path)
        with pytest.raises(error):
            ground.reviewed()
        assert not (tmp_path / "out.gpkg").exists()

    @pytest.mark.parametrize("how", ["half", "elsewhere", "other CRS"])
    def test_scores_that_do_not_cover_the_scene_are_refused(self, made: Ground, tmp_path: Path, how: str) -> None:
        crs = CRS.from_epsg(32632) if how == "other CRS" else UTM
        corner = Affine.translation(500, 0) @ CORNER if how == "elsewhere" else CORNER
        height = SIDE // 2 if how == "half" else SIDE
        with rasterio.open(
            tmp_path / "other.tif", "w", driver="GTiff", width=SIDE, height=height, count=2, dtype="float32", crs=crs,
            transform=corner,
        ) as file:  # fmt: skip
            file.write(np.stack([-log_odds(THERE), log_odds(THERE)])[:, :height])
            file.descriptions = ("background", "building")
        with pytest.raises(GridError):
            Ground(made.scene, made.labels, tmp_path / "other.tif", tmp_path).reviewed()

    def test_an_image_in_place_of_scores_is_refused(self, made: Ground, tmp_path: Path) -> None:
        with pytest.raises(CrispmapError) as raised:
            Ground(made.scene, made.labels, made.labels, tmp_path).reviewed()
        assert isinstance(raised.value, SceneError)


class TestBadInput:
    def test_options_that_need_scores_say_so(self, made: Ground, tmp_path: Path) -> None:
        words = ["align", str(made.labels), "--against", str(made.scene), "--out", str(tmp_path / "out.gpkg")]
        for more in (
            ["--revise"],
            ["--review", str(tmp_path / "r.gpkg")],
            ["--full-scale", "255"],
            ["--min-area-m2", "5"],
            ["--min-confidence", "0.5"],
            ["--kind", "logit"],
        ):
            result = CliRunner().invoke(app, [*words, *more])
            assert result.exit_code == 2
            assert "--scores" in result.stderr
        assert not list(tmp_path.iterdir())

    def test_labels_of_no_class_name_the_remedy(self, made: Ground) -> None:
        with pytest.raises(LabelError) as raised:
            made.reviewed("none", options=LabelOptions())
        assert "all_as=building" in raised.value.remedy
        with pytest.raises(SchemaError):
            made.reviewed("none", options=LabelOptions(all_as="lake"))

    def test_no_file_is_written_over_another(self, made: Ground, tmp_path: Path) -> None:
        for outputs in (
            ReviewOutputs(tmp_path / "one.gpkg", tmp_path / "one.gpkg"),
            ReviewOutputs(tmp_path / "one.gpkg", made.labels),
            ReviewOutputs(tmp_path / "one.gpkg", tmp_path / "review.shp"),
            ReviewOutputs(tmp_path / "one.gpkg", tmp_path / "nowhere" / "review.gpkg"),
        ):
            with pytest.raises(OutputError):
                review_file(made.labels, made.scene, GivenScores(made.scores), outputs, RULES, options=ALL, force=True)
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("bounds", [{"min_confidence": 1.1}, {"min_confidence": -0.1}, {"min_area_m2": -1.0}])
    def test_bounds_out_of_range_are_refused(self, bounds: dict[str, float]) -> None:
        with pytest.raises(InputError):
            ReviewRules(**bounds)


class TestGone:
    @given(st.lists(st.tuples(st.sampled_from(list(Reason)), st.floats(0, 1) | st.just(np.nan)), max_size=60))
    @settings(max_examples=60, deadline=None)
    def test_only_what_the_image_does_not_show_is_gone_and_less_seen_is_more_surely_so(
        self, objects: list[tuple[Reason, float]]
    ) -> None:
        reasons = np.array([one.value for one, _ in objects], object)
        seen = np.array([value for _, value in objects], np.float64)
        sure = gone_confidence(reasons, seen)
        assert not sure[reasons != Reason.NO_SUPPORT].any()
        assert not sure[np.isnan(seen)].any()
        assert ((sure == 0) | (sure >= 0.95)).all()
        confirmed = (reasons == Reason.ALIGNED) & np.isfinite(seen)
        if confirmed.sum() < 19:
            assert not sure.any()
        own = np.flatnonzero((reasons == Reason.NO_SUPPORT) & np.isfinite(seen))
        order = own[np.argsort(seen[own])]
        assert (np.diff(sure[order]) <= 0).all()


def test_what_is_added_is_of_its_class_wherever_the_revised_file_is_read(made: Ground, tmp_path: Path) -> None:
    tagged = gpd.read_file(made.labels, layer="houses").assign(building="yes")
    tagged.to_file(tmp_path / "osm.gpkg", layer="houses")
    ground = Ground(made.scene, tmp_path / "osm.gpkg", made.scores, tmp_path)
    ground.reviewed(revise=True, options=LabelOptions())
    found = read_vectors(tmp_path / "out.gpkg", preset_schema(("building", "road")))
    assert len(found) == len(THERE)
    assert (found["class_id"] == 1).all()
