"""Change between two maps: a matrix of areas, gross and net, and a map of it that is sampled like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from area_inputs import CORNER, PLACE, SCHEMA, UTM, ids, write_map
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import crispmap
from crispmap.areas.change import ChangeOptions, ChangeTable, change_of
from crispmap.areas.draw import SampleRules, draw_sample
from crispmap.areas.run import AreaOptions, areas_of
from crispmap.areas.sample_file import write_sample
from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import AreaError, CrispmapWarning, OutputError, SchemaError
from crispmap.geo.grid import Grid
from crispmap.report.pages.area import render_areas
from crispmap.report.tables.area import accuracy_tables, area_tables
from crispmap.report.tables.area_files import write_areas

BEFORE, AFTER = ids(seed=1), ids(seed=2)
BEFORE[:3], AFTER[:, :2] = 255, 255


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return write_map(tmp_path / "before.tif", BEFORE), write_map(tmp_path / "after.tif", AFTER)


def by_hand() -> np.ndarray:
    grid = Grid(UTM, PLACE, BEFORE.shape)
    found, area = np.zeros((4, 4)), grid.pixel_areas_m2(grid.block)
    np.add.at(found, (np.minimum(BEFORE, 3), np.minimum(AFTER, 3)), area)
    return found


class TestMatrix:
    def test_areas_by_class_before_and_after(self, pair: tuple[Path, Path]) -> None:
        table = change_of(*pair)
        np.testing.assert_allclose(table.area_m2, by_hand(), rtol=1e-9)
        assert "changed" in table.summary()

    @given(arrays.arrays(np.float64, (4, 4), elements=st.floats(0, 1e9)))
    def test_what_one_class_loses_another_gains(self, area: Any) -> None:
        table, back = ChangeTable(SCHEMA, area), ChangeTable(SCHEMA, area.T)
        assert table.lost_m2.sum() == pytest.approx(table.gained_m2.sum())
        assert table.lost_m2 == pytest.approx(back.gained_m2)
        net = table.known_m2.sum(axis=0) - table.known_m2.sum(axis=1)
        assert table.gained_m2 - table.lost_m2 == pytest.approx(net, abs=1e-3)

    def test_the_table_has_gross_and_net(self) -> None:
        area = np.array([[5, 2, 0, 1], [0, 3, 0, 0], [1, 0, 4, 0], [0, 6, 0, 9]]) * 1e6
        (one,) = area_tables(ChangeTable(SCHEMA, area))
        assert [head.text for head in one.heads] == ["forest", "cut", "water", "Total", "Lost", "Not seen"]
        assert [(name, [cell.text for cell in cells]) for name, cells in one.rows] == [
            ("forest", ["5.00", "2.00", "0.00", "7.00", "2.00", "1.00"]),
            ("cut", ["0.00", "3.00", "0.00", "3.00", "0.00", "0.00"]),
            ("water", ["1.00", "0.00", "4.00", "5.00", "1.00", "0.00"]),
            ("Total", ["6.00", "5.00", "4.00", "15.00", "3.00", ""]),
            ("Gained", ["1.00", "2.00", "0.00", "3.00", "", ""]),
            ("Net", ["-1.00", "2.00", "-1.00", "", "", ""]),
            ("Not seen", ["0.00", "6.00", "0.00", "", "", ""]),
        ]

    def test_every_format_holds_it(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        table = change_of(*pair)
        for suffix in (".csv", ".xlsx", ".md", ".html"):
            write_areas(tmp_path / f"t{suffix}", table)
        assert (tmp_path / "t.csv").read_text().startswith("before,forest,cut,water,Total,Lost,Not seen\nforest,")
        assert "nan" not in (tmp_path / "t.csv").read_text()
        assert "<h1>Change</h1>" in render_areas(table)


class TestMap:
    def test_what_stayed_keeps_its_class_and_every_change_has_one(
        self, pair: tuple[Path, Path], tmp_path: Path
    ) -> None:
        out = tmp_path / "change.tif"
        table = change_of(*pair, ChangeOptions(out=out))
        names = list(table.legend().names)
        assert names[:3] == list(SCHEMA.names)
        assert names[3] == "forest to cut"
        found: Any = crispmap.area(out)
        assert list(found) == names
        assert list(found.values()) == pytest.approx(table.mapped_m2[0].tolist(), rel=1e-9)
        expected = {(one, other): by_hand()[one, other] for one in range(3) for other in range(3) if one != other}
        assert found["water to forest"] == pytest.approx(expected[2, 0], rel=1e-9)

    def test_a_change_that_the_maps_never_show_is_what_a_sample_may_find(self, tmp_path: Path) -> None:
        after = BEFORE.copy()
        after[20, 20:30] = 2
        paths = write_map(tmp_path / "a.tif", np.where(BEFORE == 2, 0, BEFORE)), write_map(tmp_path / "b.tif", after)
        out, places = tmp_path / "change.tif", tmp_path / "s.gpkg"
        table = change_of(*paths, ChangeOptions(out=out))
        omitted = table.legend().id_of("water to cut")
        assert table.mapped_m2[0, omitted] == 0
        sample = draw_sample([out], SampleRules(size=100, least=10))
        write_sample(places, sample)
        frame = gpd.read_file(places, layer="sample")
        frame["reference"] = ["water to cut", *["forest"] * (len(frame) - 1)]
        pyogrio.write_dataframe(frame, places, layer="sample")
        found = change_of(*paths, ChangeOptions(sample=places))
        assert found.accuracy is not None
        assert found.accuracy.area_m2[omitted].value > 0
        corrected = found.corrections()
        assert corrected["Lost"][2].value == pytest.approx(found.accuracy.area_m2[omitted].value)
        shown = [row[0] for row in accuracy_tables(found)[0].sections[0].rows]
        assert "water to cut" in shown
        assert "water to forest" not in shown  # neither mapped nor found

    def test_of_many_classes_only_changes_that_there_are_have_a_class(self, tmp_path: Path) -> None:
        schema = ClassSchema(tuple(ClassDef(f"c{one}", f"#0000{one:02x}") for one in range(17)))
        values = np.zeros((9, 9), np.uint8)
        paths = [write_map(tmp_path / f"{one}.tif", values + one, schema=schema) for one in (2, 5)]
        assert change_of(*paths).legend().names[17:] == ("c2 to c5",)

    def test_it_is_sampled_and_corrected_like_any_map(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        out, places = tmp_path / "change.tif", tmp_path / "s.gpkg"
        table = change_of(*pair, ChangeOptions(out=out))
        write_sample(places, draw_sample([out], SampleRules(size=180, least=20)))
        frame = gpd.read_file(places, layer="sample")
        cols, rows = np.floor((shapely.get_coordinates(frame.geometry) - CORNER) / (10, -10)).astype(int).T
        names = [
            SCHEMA[a].name if a == b else f"{SCHEMA[a].name} to {SCHEMA[b].name}"
            for a, b in zip(BEFORE[rows, cols].tolist(), AFTER[rows, cols].tolist(), strict=True)
        ]
        frame["reference"] = ["forest", *names[1:]]
        pyogrio.write_dataframe(frame, places, layer="sample")
        accuracy = change_of(*pair, ChangeOptions(sample=places)).accuracy
        assert accuracy is not None
        assert accuracy.class_names == table.legend().names
        assert 0.9 < accuracy.overall.value <= 1
        assert accuracy == areas_of([out], AreaOptions(sample=places)).accuracy
        corrected = change_of(*pair, ChangeOptions(sample=places))
        found = {name: [one.value for one in estimates] for name, estimates in corrected.corrections().items()}
        assert list(found) == ["Lost", "Gained", "Net"]
        assert sum(found["Lost"]) == pytest.approx(sum(found["Gained"]))
        assert found["Net"] == pytest.approx(np.subtract(found["Gained"], found["Lost"]), abs=1e-6)
        of_cut = (
            accuracy.area_m2[table.legend().id_of("cut to forest")],
            accuracy.area_m2[table.legend().id_of("cut to water")],
        )
        assert found["Lost"][1] == pytest.approx(sum(one.value for one in of_cut))
        assert len(accuracy_tables(corrected)) == 2
        assert set(corrected.to_dict()["corrected_m2"]) == {"lost", "gained", "net"}
        write_areas(tmp_path / "t.csv", corrected)
        assert "cut,lost_km2," in (tmp_path / "t_accuracy.csv").read_text()
        assert "<h3>Corrected, km2</h3>" in render_areas(corrected)

    def test_too_many_changes_are_refused_where_they_are_drawn(self, tmp_path: Path) -> None:
        schema = ClassSchema(tuple(ClassDef(f"c{one}", f"#0000{one:02x}") for one in range(17)))
        values = np.arange(17 * 17).reshape(17, 17)
        paths = [
            write_map(tmp_path / f"{one}.tif", part.astype(np.uint8), schema=schema)
            for one, part in (("a", values // 17), ("b", values % 17))
        ]
        assert len(change_of(*paths).changes) == 272
        with pytest.raises(AreaError, match="272"):
            change_of(*paths, ChangeOptions(out=tmp_path / "c.tif"))
        assert not (tmp_path / "c.tif").exists()


class TestPixels:
    def test_other_pixels_are_read_at_the_centres_of_the_first(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        fine = write_map(tmp_path / "fine.tif", AFTER.repeat(2, 0).repeat(2, 1), PLACE @ Affine.scale(0.5))
        with pytest.warns(CrispmapWarning, match="centres"):
            table = change_of(pair[0], fine)
        np.testing.assert_allclose(table.area_m2, by_hand(), rtol=1e-9)

    def test_only_common_ground_counts(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        part = write_map(tmp_path / "part.tif", AFTER[:, 30:], PLACE @ Affine.translation(30, 0))
        table = change_of(pair[0], part)  # without a warning: the pixels are the same
        cut = AFTER.copy()
        cut[:, :30] = 255
        whole = change_of(pair[0], write_map(tmp_path / "cut.tif", cut))
        np.testing.assert_allclose(table.area_m2, whole.area_m2, rtol=1e-9)

    def test_no_common_ground_is_refused(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        far = write_map(tmp_path / "far.tif", AFTER, PLACE @ Affine.translation(1000, 0))
        with pytest.raises(AreaError, match="common ground"):
            change_of(pair[0], far)

    def test_without_a_crs_pixels_must_be_the_same(self, tmp_path: Path) -> None:
        one, other = (write_map(tmp_path / f"{n}.tif", ids(seed=n), crs=None) for n in (1, 2))
        assert change_of(one, other).known_m2.sum() == pytest.approx(2400 * 100)
        small = write_map(tmp_path / "small.tif", ids(20, 20), crs=None)
        with pytest.raises(AreaError, match="coordinate reference system"):
            change_of(one, small)


class TestBadInput:
    def test_other_classes_are_refused(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        two = ClassSchema(SCHEMA.classes[:2])
        with pytest.raises(SchemaError):
            change_of(pair[0], write_map(tmp_path / "two.tif", BEFORE % 2, schema=two))

    def test_a_map_in_the_way_is_kept(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        for out in (pair[0], pair[1], tmp_path / "no" / "c.tif", tmp_path / "c.png"):
            with pytest.raises(OutputError):
                change_of(*pair, ChangeOptions(out=out))
        crispmap.change(*pair, tmp_path / "c.tif")
        with pytest.raises(OutputError):
            crispmap.change(*pair, tmp_path / "c.tif")
        crispmap.change(str(pair[0]), str(pair[1]), tmp_path / "c.tif", force=True)

    def test_a_matrix_of_other_classes_is_refused(self, pair: tuple[Path, Path], tmp_path: Path) -> None:
        (tmp_path / "m.csv").write_text("map,forest,cut,water\nforest,9,1,1\ncut,1,9,1\nwater,1,1,9\n")
        with pytest.raises(AreaError, match="rows"):
            change_of(*pair, ChangeOptions(confusion=tmp_path / "m.csv"))
        with pytest.raises(AreaError, match="Both"):
            ChangeOptions(confusion="m.csv", sample="s.gpkg")
