"""Samples: how large, how shared out, drawn where every square metre is as likely, and read back when labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from area_inputs import CORNER, PLACE, SCHEMA, UTM, ids, write_map
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pyproj import CRS, Transformer
from scipy import stats

from crispmap.areas import maps
from crispmap.areas.accuracy import ReferenceSample, map_accuracy
from crispmap.areas.design import allocated, sample_size
from crispmap.areas.draw import DrawnSample, SampleRules, draw_sample
from crispmap.areas.run import AreaOptions, areas_of
from crispmap.areas.sample_file import read_sample, write_sample
from crispmap.errors import AreaError, CrispmapWarning, LabelError, OutputError, SchemaError

OLOFSSON_SHARES = np.array([0.02, 0.015, 0.32, 0.645])
OLOFSSON_ACCURACY = np.array([0.7, 0.6, 0.9, 0.95])
MANY = np.full(4, 10**6)


class TestDesign:
    def test_the_size_of_the_paper(self) -> None:
        assert sample_size(OLOFSSON_SHARES, OLOFSSON_ACCURACY, 0.01) == 641  # Olofsson et al. 2014, section 5.1.1

    def test_the_size_reaches_the_standard_error(self) -> None:
        size = sample_size(OLOFSSON_SHARES, OLOFSSON_ACCURACY, 0.02)
        spread = np.sqrt(OLOFSSON_ACCURACY * (1 - OLOFSSON_ACCURACY))
        shares = OLOFSSON_SHARES * spread / (OLOFSSON_SHARES * spread).sum()  # the allocation it is least for
        error = np.sqrt((OLOFSSON_SHARES**2 * spread**2 / (shares * size)).sum())
        assert 0.0199 < error <= 0.02

    @pytest.mark.parametrize(
        ("by", "least", "expected"),
        [
            ("proportional", 2, [13, 10, 205, 413]),
            ("proportional", 75, [75, 75, 163, 328]),
            ("equal", 2, [161, 160, 160, 160]),
            ("optimal", 2, [23, 19, 243, 356]),
        ],
    )
    def test_allocations(self, by: Any, least: int, expected: list[int]) -> None:
        found = allocated(641, OLOFSSON_SHARES, MANY, by=by, least=least, expected=OLOFSSON_ACCURACY)
        assert found.tolist() == expected

    @settings(deadline=None)
    @given(
        st.integers(1, 2000), arrays.arrays(np.int64, 5, elements=st.integers(0, 3000)), st.integers(2, 60),
        st.sampled_from(["proportional", "equal", "optimal"]),
    )  # fmt: skip
    def test_every_stratum_gets_its_least_and_none_more_than_it_has(
        self, total: int, units: Any, least: int, by: Any
    ) -> None:
        if not units.any():
            return
        found = allocated(total, units * 900.0, units, by=by, least=least, expected=np.full(5, 0.8))
        assert (found >= np.minimum(least, units)).all()
        assert (found <= units).all()
        assert found.sum() == min(max(total, int(np.minimum(least, units).sum())), int(units.sum()))

    @pytest.mark.parametrize(
        "wrong",
        [
            lambda: sample_size(OLOFSSON_SHARES, OLOFSSON_ACCURACY, 0.0),
            lambda: sample_size(OLOFSSON_SHARES, OLOFSSON_ACCURACY, 0.5),
            lambda: sample_size(OLOFSSON_SHARES, OLOFSSON_ACCURACY + 1, 0.1),
            lambda: allocated(10, OLOFSSON_SHARES, MANY, by="equal", least=1, expected=OLOFSSON_ACCURACY),
            lambda: allocated(0, OLOFSSON_SHARES, MANY, by="equal", least=2, expected=OLOFSSON_ACCURACY),
            lambda: allocated(9, OLOFSSON_SHARES, 0 * MANY, by="equal", least=2, expected=OLOFSSON_ACCURACY),
            SampleRules,
            lambda: SampleRules(size=5, standard_error=0.01),
        ],
    )
    def test_what_makes_no_sample_is_refused(self, wrong: Any) -> None:
        with pytest.raises(AreaError):
            wrong()


def drawn_from(path: Path, size: int = 90, **rules: Any) -> DrawnSample:
    return draw_sample([path], SampleRules(size=size, **{"least": 10, **rules}))


class TestDraw:
    def test_places_are_different_pixels_of_their_class(self, tmp_path: Path) -> None:
        values = ids()
        values[:, :10] = 255
        sample = drawn_from(write_map(tmp_path / "map.tif", values))
        assert (values[sample.rows, sample.cols] == sample.stratum).all()
        assert len(set(zip(sample.rows, sample.cols, strict=True))) == len(sample.stratum) == 90
        assert sample.units.tolist() == [int((values == one).sum()) for one in range(3)]

    @pytest.mark.parametrize("rows", [3, 7])
    def test_it_does_not_depend_on_how_the_map_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
    ) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        whole = drawn_from(path)
        monkeypatch.setattr(maps, "_STRIP_PIXELS", rows * 60)
        cut = drawn_from(path)
        assert (whole.rows == cut.rows).all()
        assert (whole.cols == cut.cols).all()

    def test_the_seed_decides(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        one, same, other = (drawn_from(path, seed=seed) for seed in (1, 1, 2))
        assert (one.rows == same.rows).all()
        assert not (one.rows == other.rows).all()

    def test_every_square_metre_is_as_likely(self, tmp_path: Path) -> None:
        """In degrees from the equator to 75 north, where a pixel is a quarter as large as at the equator."""
        shape, place = (75, 400), Affine(0.01, 0, 0, 0, -1.0, 75)
        path = write_map(tmp_path / "map.tif", np.ones(shape, np.uint8), place, CRS.from_epsg(4326))
        sample = draw_sample([path], SampleRules(size=3000))
        bands = np.bincount(sample.rows // 15, minlength=5)
        expected = sample.grids[0].pixel_areas_m2(sample.grids[0].block).sum(axis=1).reshape(5, 15).sum(axis=1)
        assert stats.chisquare(bands, 3000 * expected / expected.sum()).pvalue > 0.001
        assert stats.chisquare(np.bincount(sample.cols // 40, minlength=10)).pvalue > 0.001

    def test_a_rare_class_is_taken_whole(self, tmp_path: Path) -> None:
        values = np.zeros((40, 60), np.uint8)
        values[3, 5:8] = 2
        sample = drawn_from(write_map(tmp_path / "map.tif", values))
        assert sorted(sample.cols[sample.stratum == 2].tolist()) == [5, 6, 7]
        assert [one["points"] for one in sample.by_stratum()] == [87, 0, 3]

    @pytest.mark.parametrize("squares", [False, True])
    def test_parts_of_a_map_in_two_crs_are_sampled_as_one(self, tmp_path: Path, squares: bool) -> None:
        lon, lat = Transformer.from_crs(UTM, 4326, always_xy=True).transform(*(PLACE @ (300, 0)))
        place = Affine(0.0002, 0, lon, 0, -0.0001, lat)
        paths = [
            write_map(tmp_path / "one.tif", ids()),
            write_map(tmp_path / "two.tif", ids(seed=3), place, CRS.from_epsg(4326)),
        ]
        sample = draw_sample(paths, SampleRules(size=200, least=20))
        assert sample.area_m2 == pytest.approx(areas_of(paths).mapped_m2[0], rel=1e-9)
        assert 40 < (sample.part == 0).sum() < 160
        places = write_sample(tmp_path / "s.gpkg", sample, squares=squares)
        labelled(places, np.array(SCHEMA.names, object)[sample.stratum])
        accuracy = areas_of(paths, AreaOptions(sample=places)).accuracy
        assert accuracy is not None
        assert accuracy.overall.value == 1.0  # every place is found again on the map it was drawn from

    def test_ground_in_two_parts_is_sampled_once(self, tmp_path: Path) -> None:
        paths = [write_map(tmp_path / f"{n}.tif", np.full((40, 60), n, np.uint8)) for n in (0, 1)]
        with pytest.raises(AreaError, match="same ground"):
            draw_sample(paths, SampleRules(size=50, least=2))
        found = [draw_sample(paths, SampleRules(size=50, least=2), overlap=way).units for way in ("first", "last")]
        assert [one.tolist() for one in found] == [[2400, 0, 0], [0, 2400, 0]]

    def test_a_map_without_a_class_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(AreaError):
            drawn_from(write_map(tmp_path / "map.tif", np.full((4, 4), 255, np.uint8)))

    def test_accuracies_of_unknown_classes_are_refused(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        with pytest.raises(SchemaError, match="moor"):
            draw_sample([path], SampleRules(standard_error=0.05, expected_of=(("moor", 0.9),)))


def labelled(path: Path, names: Any = None) -> None:
    """Fill in the column of a sample: the class of the map, or what is given."""
    frame = gpd.read_file(path, layer="sample")
    if names is None:
        places = shapely.get_coordinates(shapely.centroid(frame.geometry.to_numpy()))
        cols, rows = np.floor((places - CORNER) / (10, -10)).astype(int).T
        names = np.array(SCHEMA.names, object)[ids()[rows, cols]]
    frame["reference"] = names
    pyogrio.write_dataframe(frame, path, layer="sample")


class TestFile:
    @pytest.fixture
    def written(self, tmp_path: Path) -> tuple[Path, Path]:
        path = write_map(tmp_path / "map.tif", ids())
        return path, write_sample(tmp_path / "sample.gpkg", drawn_from(path))

    def test_the_layer_to_label_shows_nothing_of_the_map(self, written: tuple[Path, Path]) -> None:
        frame = gpd.read_file(written[1], layer="sample")
        assert list(frame.columns) == ["id", "reference", "geometry"]
        assert frame["reference"].isna().all()
        assert frame.crs == UTM
        assert [str(name) for name, _ in pyogrio.list_layers(written[1])] == ["sample", "design", "strata"]

    @pytest.mark.parametrize("squares", [False, True])
    def test_places_lie_on_their_pixels(self, tmp_path: Path, squares: bool) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        sample = drawn_from(path)
        frame = gpd.read_file(write_sample(tmp_path / "s.gpkg", sample, squares=squares), layer="sample")
        with rasterio.open(path) as raster:
            for place, row, col in zip(frame.geometry, sample.rows, sample.cols, strict=True):
                assert raster.index(place.centroid.x, place.centroid.y) == (row, col)
                assert place.area == (pytest.approx(100) if squares else 0)

    def test_read_back_it_gives_accuracies(self, written: tuple[Path, Path]) -> None:
        labelled(written[1])
        accuracy = areas_of([written[0]], AreaOptions(sample=written[1])).accuracy
        assert accuracy is not None
        assert accuracy.overall.value == 1.0
        assert [one.value for one in accuracy.area_m2] == pytest.approx(areas_of([written[0]]).mapped_m2[0], rel=1e-9)

    def test_on_a_later_map_its_strata_are_those_of_the_first(self, written: tuple[Path, Path], tmp_path: Path) -> None:
        """The estimates are those of Stehman (2014) from the same counts."""
        labelled(written[1])
        later = ids(seed=5)
        other = write_map(tmp_path / "later.tif", later)
        found = areas_of([other], AreaOptions(sample=written[1])).accuracy
        sample = drawn_from(written[0])
        counts = np.zeros((3, 3, 3), np.int64)
        np.add.at(counts, (sample.stratum, later[sample.rows, sample.cols], sample.stratum), 1)
        expected = map_accuracy(ReferenceSample(SCHEMA.names, SCHEMA.names, counts, sample.area_m2, sample.units))
        assert found is not None
        assert found.to_dict() == expected.to_dict()

    @pytest.mark.filterwarnings("ignore:'crs' was not provided:UserWarning")
    def test_a_map_without_a_crs_has_samples_too(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids(), crs=None)
        places = write_sample(tmp_path / "s.gpkg", drawn_from(path))
        labelled(places)
        accuracy = areas_of([path], AreaOptions(sample=places)).accuracy
        assert accuracy is not None
        assert accuracy.overall.value == 1.0

    def test_names_in_any_case_and_ids_are_read(self, written: tuple[Path, Path]) -> None:
        frame = gpd.read_file(written[1], layer="sample")
        labelled(written[1], ["FOREST", " cut ", "2"] * (len(frame) // 3))
        assert read_sample(written[1], SCHEMA).reference.tolist() == [0, 1, 2] * (len(frame) // 3)

    def test_places_without_a_label_are_counted_and_said(self, written: tuple[Path, Path]) -> None:
        labelled(written[1], [None, ""] + ["forest"] * 88)
        with pytest.warns(CrispmapWarning, match="2 points .* 2.2 %"):
            assert len(read_sample(written[1], SCHEMA).reference) == 88

    def test_labels_are_never_replaced(self, written: tuple[Path, Path]) -> None:
        sample = drawn_from(written[0])
        write_sample(written[1], sample, force=True)
        labelled(written[1], [None, "cut"] + [" "] * 88)
        content = written[1].read_bytes()
        with pytest.raises(OutputError) as caught:
            write_sample(written[1], sample, force=True)
        assert "1 place" in caught.value.given
        assert written[1].read_bytes() == content

    def test_places_that_were_deleted_are_counted_too(self, written: tuple[Path, Path]) -> None:
        labelled(written[1])
        frame = gpd.read_file(written[1], layer="sample")
        frame.loc[frame.index[-1], "geometry"] = None
        pyogrio.write_dataframe(frame[2:], written[1], layer="sample")
        with pytest.warns(CrispmapWarning, match="3 points .* 3.3 %"):
            assert len(read_sample(written[1], SCHEMA).reference) == 87

    @pytest.mark.parametrize("kind", [str, float])
    def test_ids_of_another_type_are_the_same(self, written: tuple[Path, Path], kind: type) -> None:
        labelled(written[1])
        frame = gpd.read_file(written[1], layer="sample")
        before = read_sample(written[1], SCHEMA).stratum
        pyogrio.write_dataframe(frame.assign(id=frame["id"].astype(kind)), written[1], layer="sample")
        assert np.array_equal(read_sample(written[1], SCHEMA).stratum, before)

    def test_none_labelled_is_refused(self, written: tuple[Path, Path]) -> None:
        with pytest.raises(AreaError, match="No point"):
            read_sample(written[1], SCHEMA)

    def test_a_class_of_no_map_is_refused(self, written: tuple[Path, Path]) -> None:
        labelled(written[1], ["moor"] + ["forest"] * 89)
        with pytest.raises(AreaError, match="moor") as caught:
            read_sample(written[1], SCHEMA)
        assert "forest" in caught.value.expected

    def test_a_stratum_with_one_label_is_refused(self, written: tuple[Path, Path]) -> None:
        stratum = drawn_from(written[0]).stratum
        names = np.full(90, None, object)
        names[stratum != 1] = "forest"
        names[np.flatnonzero(stratum == 1)[0]] = "cut"
        labelled(written[1], names)
        with pytest.warns(CrispmapWarning), pytest.raises(AreaError, match=r"cut \(1 point\)"):
            areas_of([written[0]], AreaOptions(sample=written[1]))

    @pytest.mark.parametrize(("shift", "hole", "told"), [(1000, False, "outside"), (0, True, "no class")])
    def test_places_off_the_maps_are_refused(
        self, written: tuple[Path, Path], tmp_path: Path, shift: int, hole: bool, told: str
    ) -> None:
        labelled(written[1])
        values = ids()
        if hole:
            values[:20] = 255
        other = write_map(tmp_path / "other.tif", values, PLACE @ Affine.translation(shift, 0))
        with pytest.raises(AreaError, match=told):
            areas_of([other], AreaOptions(sample=written[1]))

    def test_places_on_either_of_two_maps(self, written: tuple[Path, Path], tmp_path: Path) -> None:
        labelled(written[1])
        halves = [
            write_map(tmp_path / "west.tif", ids()[:, :30]),
            write_map(tmp_path / "east.tif", ids()[:, 30:], PLACE @ Affine.translation(30, 0)),
        ]
        whole = areas_of([written[0]], AreaOptions(sample=written[1])).accuracy
        assert areas_of(halves, AreaOptions(sample=written[1])).accuracy == whole

    def test_changed_ids_are_refused(self, written: tuple[Path, Path]) -> None:
        labelled(written[1])
        frame = gpd.read_file(written[1], layer="sample")
        for wrong in (frame.assign(id=frame["id"] + 1), frame.assign(id=1), frame.drop(columns="id")):
            pyogrio.write_dataframe(wrong, written[1], layer="sample")
            with pytest.raises(AreaError, match="do not fit together"):
                read_sample(written[1], SCHEMA)

    def test_a_design_without_its_columns_is_refused(self, written: tuple[Path, Path]) -> None:
        labelled(written[1])
        pyogrio.write_dataframe(pd.DataFrame({"stratum": ["cut"]}), written[1], layer="strata")
        with pytest.raises(AreaError, match="strata"):
            read_sample(written[1], SCHEMA)

    def test_several_dates_are_refused(self, written: tuple[Path, Path], tmp_path: Path) -> None:
        labelled(written[1])
        paths = [write_map(tmp_path / f"m_2022-0{one}.tif", ids()) for one in (1, 2)]
        with pytest.raises(AreaError, match="2 dates"):
            areas_of(paths, AreaOptions(sample=written[1], date_from="filename"))

    def test_a_file_of_another_kind_or_that_exists_is_refused(self, written: tuple[Path, Path], tmp_path: Path) -> None:
        sample = drawn_from(written[0])
        for path in (tmp_path / "s.shp", written[1], tmp_path / "nowhere" / "s.gpkg"):
            with pytest.raises(OutputError):
                write_sample(path, sample)
        write_sample(written[1], sample, force=True)

    @pytest.mark.parametrize("name", ["nowhere.gpkg", "bad.gpkg"])
    def test_a_file_that_cannot_be_read_is_refused(self, tmp_path: Path, name: str) -> None:
        (tmp_path / "bad.gpkg").write_text("no")
        with pytest.raises(LabelError):
            read_sample(tmp_path / name, SCHEMA)


class TestOwnPoints:
    def points(self, path: Path, names: Any, crs: CRS | None = UTM, **columns: Any) -> Path:
        rows, cols = np.divmod(np.arange(len(names)) * 37 % 2400, 60)
        places = [shapely.Point(PLACE @ (col + 0.5, row + 0.5)) for row, col in zip(rows, cols, strict=True)]
        gpd.GeoDataFrame({"reference": names, **columns}, geometry=places, crs=crs).to_file(path, engine="pyogrio")
        return path

    def test_they_count_as_random_within_each_class_of_the_map(self, tmp_path: Path) -> None:
        values = ids()
        path = write_map(tmp_path / "map.tif", values)
        names = np.array(SCHEMA.names, object)[np.random.default_rng(0).integers(0, 3, 120)]
        points = self.points(tmp_path / "points.geojson", names)
        with pytest.warns(CrispmapWarning, match="no design"):
            table = areas_of([path], AreaOptions(sample=points))
        matrix = np.zeros((3, 3), np.int64)
        mapped = values.ravel()[np.arange(120) * 37 % 2400]
        np.add.at(matrix, (mapped, [SCHEMA.id_of(name) for name in names]), 1)
        expected = map_accuracy(ReferenceSample.of_matrix(SCHEMA.names, matrix, table.mapped_m2[0]))
        assert table.accuracy is not None
        assert table.accuracy.to_dict() == expected.to_dict()

    def test_in_degrees_they_are_the_same_places(self, tmp_path: Path) -> None:
        path = write_map(tmp_path / "map.tif", ids())
        names = np.array(SCHEMA.names, object)[np.random.default_rng(0).integers(0, 3, 120)]
        points = self.points(tmp_path / "points.gpkg", names)
        gpd.read_file(points).to_crs(4326).to_file(tmp_path / "degrees.geojson", engine="pyogrio")
        with pytest.warns(CrispmapWarning, match="no design"):
            one, other = (
                areas_of([path], AreaOptions(sample=tmp_path / name)).accuracy
                for name in ("points.gpkg", "degrees.geojson")
            )
        assert one == other

    def test_without_the_column_they_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "p.gpkg"
        gpd.GeoDataFrame({"class": ["cut"]}, geometry=[shapely.Point(CORNER)], crs=UTM).to_file(path, engine="pyogrio")
        with pytest.raises(AreaError, match="class"):
            read_sample(path, SCHEMA)
