"""Tables of areas: INPE's of burnt ground from its own numbers, in every format, and what names can do to files."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crispmap.areas.accuracy import ReferenceSample, map_accuracy
from crispmap.areas.table import AreaTable
from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import AreaError, OutputError
from crispmap.report.pages.area import render_areas
from crispmap.report.tables.area import accuracy_tables, area_tables
from crispmap.report.tables.area_files import check_area_targets, write_areas
from crispmap.report.tables.markdown import markdown_table

BURNT = ClassSchema((ClassDef("other", "#cccccc"), ClassDef("burnt", "#d7191c")))
BIOMES = ("Amazônia", "Caatinga", "Cerrado", "Mata Atlântica", "Pampa", "Pantanal")
# Burnt ground in km2 by biome, January to August 2022, INPE, Programa Queimadas; with the totals printed there.
MONTHS = np.array([
    [2273, 47, 277, 452, 453, 81], [504, 67, 494, 181, 219, 37], [64, 28, 508, 156, 36, 56],
    [409, 67, 1583, 114, 44, 32], [1696, 322, 6783, 371, 85, 408], [2679, 800, 11701, 1006, 30, 272],
    [4154, 1302, 17045, 2856, 46, 545], [24066, 2610, 28234, 2540, 25, 300],
])  # fmt: skip
OF_MONTHS = [3583, 1502, 848, 2249, 9665, 16488, 25948, 57775]
OF_BIOMES = [35845, 5243, 66625, 7676, 938, 1731, 118058]


def table(names: tuple[str, ...] = BIOMES, schema: ClassSchema = BURNT) -> AreaTable:
    area = np.zeros((8, 6, len(schema)))
    area[:, :, 1] = MONTHS * 1e6
    periods = tuple(f"2022-{month:02d}" for month in range(1, 9))
    return AreaTable(schema, periods, names, area, np.zeros((8, 6)), area.sum(axis=1))


def undated() -> AreaTable:
    area = np.array([[[4e6, 1e6], [2.5e6, 0.0]]])
    return AreaTable(BURNT, ("",), ("a", "b"), area, np.array([[0.0, 3e6]]), area.sum(axis=1))


def expected_rows() -> list[list[str]]:
    """Rows as they are printed: year, month, biomes, total of the month."""
    rows = [["2022", str(n + 1), *map(str, MONTHS[n].tolist()), str(OF_MONTHS[n])] for n in range(8)]
    return [*rows, ["Total", "", *map(str, OF_BIOMES)]]


def plain(cells: list[str]) -> list[str]:
    """Cells without zeros before a month and without what fills an empty one."""
    return [re.sub(r"^0(?=\d)", "", cell.strip().replace("\u00a0", "")) for cell in cells]


class TestPublishedTable:
    def test_csv(self, tmp_path: Path) -> None:
        write_areas(tmp_path / "a.csv", table())
        head, *rows = csv.reader(io.StringIO((tmp_path / "a.csv").read_text(encoding="utf-8")))
        assert head == ["class", "year", "month", *BIOMES, "Total"]
        assert [plain(row[1:]) for row in rows if row[0] == "burnt"] == expected_rows()
        assert {row[0] for row in rows} == {"other", "burnt", "Not seen"}

    def test_excel(self, tmp_path: Path) -> None:
        write_areas(tmp_path / "a.xlsx", table())
        book = openpyxl.load_workbook(tmp_path / "a.xlsx")
        assert book.sheetnames == ["other", "burnt", "Not seen"]
        head, *rows = ([cell.value for cell in row] for row in book["burnt"].rows)
        assert head == ["Year", "Month", *BIOMES, "Total"]
        assert rows[:-1] == [[2022, n + 1, *MONTHS[n].tolist(), OF_MONTHS[n]] for n in range(8)]  # numbers
        assert rows[-1][2:] == OF_BIOMES

    def test_page(self) -> None:
        text = re.sub("</?bdi>", "", render_areas(table()))
        (found,) = re.findall(r"<h3>burnt, km2</h3>(.*?)</table>", text, re.DOTALL)
        rows = [
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", found, re.DOTALL)
        ]
        assert rows[0] == ["Year", "Month", *BIOMES, "Total"]
        assert [plain(row) for row in rows[1:]] == expected_rows()
        assert text.count("<svg") == 1  # other is nowhere
        assert "Amazônia, 2022-08: 24066 km2" in text
        assert not re.search(r"(?:src|href)=\"(?!#|data:)", text)

    def test_markdown(self, tmp_path: Path) -> None:
        write_areas(tmp_path / "a.md", table())
        text = (tmp_path / "a.md").read_text(encoding="utf-8").partition("burnt, km2:\n\n")[2].partition("\n\n")[0]
        head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines())
        assert head == ["Year", "Month", *BIOMES, "Total"]
        assert [plain(row) for row in rows] == expected_rows()


class TestShape:
    def test_without_dates_regions_are_rows(self) -> None:
        (one,) = area_tables(undated())
        assert [head.text for head in one.heads] == ["other", "burnt", "Total", "Not seen"]
        rows = [(name, [cell.text for cell in cells]) for name, cells in one.rows]
        assert rows == [
            ("a", ["4.000", "1.000", "5.000", "0.000"]),
            ("b", ["2.500", "0.000", "2.500", "3.000"]),
            ("Total", ["6.500", "1.000", "7.500", "3.000"]),
        ]

    def test_little_is_not_shown_as_none(self) -> None:
        area = np.array([[[5e9, 30.0]]])
        one = AreaTable(BURNT, ("",), ("a",), area, np.zeros((1, 1)), area[0])
        assert [cell.text for cell in area_tables(one)[0].rows[0][1]] == ["5000", "<1", "5000", "0"]

    def test_a_class_of_little_ground_has_digits_too(self) -> None:
        area = np.array([[[107.9e6, 0.1768e6]]])
        one = AreaTable(BURNT, ("",), ("a",), area, np.full((1, 1), 30.0), area[0])
        assert [cell.text for cell in area_tables(one)[0].rows[0][1]] == ["107.900", "0.177", "108.077", "<0.001"]

    def test_what_was_not_seen_has_no_total_of_months(self) -> None:
        assert [len(one.rows) for one in area_tables(table())] == [9, 9, 8]

    def test_shapes_that_do_not_fit_are_refused(self) -> None:
        with pytest.raises(AreaError):
            AreaTable(BURNT, ("",), ("a",), np.zeros((1, 2, 2)), np.zeros((1, 2)), np.zeros((1, 2)))


class TestAccuracy:
    @pytest.fixture
    def accurate(self) -> AreaTable:
        one = undated()
        return one.with_accuracy(
            map_accuracy(ReferenceSample.of_matrix(BURNT.names, np.array([[90, 10], [5, 45]]), one.mapped_m2[0]))
        )

    def test_mapped_stands_beside_corrected(self, accurate: AreaTable) -> None:
        (one,) = accuracy_tables(accurate)
        assert [cell.text for cell in one.rows[0][1]] == ["6.500", "5.950", "0.393", "90.00", "5.91", "98.32", "1.39"]
        assert "150 points" in one.title
        assert accuracy_tables(undated()) == []

    def test_in_every_format(self, accurate: AreaTable, tmp_path: Path) -> None:
        written = write_areas(tmp_path / "a.csv", accurate)
        assert [path.name for path in written] == ["a.csv", "a_accuracy.csv"]
        rows = list(csv.DictReader(io.StringIO(written[1].read_text())))
        assert [row["figure"] for row in rows][:2] == ["overall_accuracy", "users_accuracy"]
        (corrected,) = (row for row in rows if (row["class"], row["figure"]) == ("other", "area_km2"))
        assert float(corrected["value"]) == pytest.approx(5.95)
        write_areas(tmp_path / "a.xlsx", accurate)
        page = openpyxl.load_workbook(tmp_path / "a.xlsx")["Accuracy"]
        assert page.max_row == 8
        assert isinstance(page["C2"].value, float)
        assert "± 95 %" in render_areas(accurate)
        assert render_areas(accurate) == render_areas(accurate)
        write_areas(tmp_path / "a.md", accurate)
        assert markdown_table(accuracy_tables(accurate)[0]) in (tmp_path / "a.md").read_text(encoding="utf-8")


class TestNames:
    def test_names_of_sheets_are_what_excel_allows(self, tmp_path: Path) -> None:
        names = ("a/b*c", "A_B_C", "x" * 40, "x" * 40 + "y", "not seen", "'")
        schema = ClassSchema(tuple(ClassDef(name, f"#00000{index}") for index, name in enumerate(names)))
        write_areas(tmp_path / "a.xlsx", table(schema=schema))
        book = openpyxl.load_workbook(tmp_path / "a.xlsx")
        found = book.sheetnames
        told = [sheet["A1"].comment.text if sheet["A1"].comment else sheet.title for sheet in book]
        assert told == [*names, "Not seen"]
        assert len({one.casefold() for one in found}) == 7
        assert all(0 < len(one) <= 31 for one in found)

    def test_a_name_is_no_formula_and_no_markup(self, tmp_path: Path) -> None:
        names = ("=1+1", "<b>", "a|b", "a,b", '"', "+x")
        for suffix in (".xlsx", ".csv", ".md", ".html"):
            write_areas(tmp_path / f"a{suffix}", table(names))
        sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")["burnt"]
        assert [cell.value for cell in sheet[1]][2:8] == list(names)
        assert {cell.data_type for cell in sheet[1]} == {"s"}
        assert "<b>" not in (tmp_path / "a.html").read_text()
        expected = ["'=1+1", "<b>", "a|b", "a,b", '"', "'+x"]  # a spreadsheet would run the first and the last
        assert next(csv.reader(io.StringIO((tmp_path / "a.csv").read_text())))[3:9] == expected
        assert "<b>" not in (tmp_path / "a.md").read_text()

    @given(st.text(min_size=1, max_size=8))
    def test_any_name_is_one_cell_of_markdown(self, name: str) -> None:
        """As GitHub reads it: bars part cells but for those after an odd number of backslashes."""
        plain = markdown_table(area_tables(undated())[0]).splitlines()
        named = AreaTable(BURNT, ("",), (name, "b"), np.ones((1, 2, 2)), np.zeros((1, 2)), np.ones((1, 2)))
        found = re.split(r"\r\n|\r|\n", markdown_table(area_tables(named)[0]))
        assert len(found) == 5
        bars = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in (found[2], found[3])]
        assert bars[0] == bars[1] == plain[0].count("|")

    def test_negative_figures_stay_numbers(self, tmp_path: Path) -> None:
        area = np.full((1, 1, 2), -2.5e6)
        write_areas(tmp_path / "a.csv", AreaTable(BURNT, ("",), ("-7",), area, np.zeros((1, 1)), area[0]))
        assert (tmp_path / "a.csv").read_text().splitlines()[1].startswith("-7,-2.5,")

    def test_codes_of_regions_stay_text_in_excel(self, tmp_path: Path) -> None:
        codes = "0011", "29274081234567890", "\u0663", "7"
        area = np.ones((1, 4, 2))
        write_areas(tmp_path / "a.xlsx", AreaTable(BURNT, ("",), codes, area, np.zeros((1, 4)), area.sum(axis=1)))
        sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")["Areas"]
        assert [row[0].value for row in sheet.iter_rows(min_row=2, max_row=5)] == list(codes)

    def test_many_regions_share_a_chart(self) -> None:
        area = np.abs(np.random.default_rng(0).normal(1e6, 1e5, (2, 300, 2)))
        names = tuple(f"r{n}" for n in range(300))
        many = AreaTable(BURNT, ("2021", "2022"), names, area, np.zeros((2, 300)), area.sum(axis=1))
        assert "292 others" in render_areas(many)


class TestTargets:
    def test_what_cannot_be_written_is_refused_before_any_work(self, tmp_path: Path) -> None:
        (tmp_path / "there.csv").write_text("")
        (tmp_path / "b_accuracy.csv").write_text("")
        for names in (["a.xls"], ["there.csv"], ["a.csv", "a.csv"], ["no/a.csv"]):
            with pytest.raises(OutputError):
                check_area_targets([tmp_path / name for name in names])
        with pytest.raises(OutputError):
            check_area_targets([tmp_path / "b.csv"], accuracy=True)
        check_area_targets([tmp_path / "b.csv"])
        check_area_targets([tmp_path / "there.csv"], force=True)

    def test_what_tables_are_made_of_is_never_replaced(self, tmp_path: Path) -> None:
        for name in ("a.csv", "a_accuracy.csv"):
            (tmp_path / name).write_text("counted by hand")
            with pytest.raises(OutputError):
                check_area_targets([tmp_path / "a.csv"], [tmp_path / name], accuracy=True, force=True)
        with pytest.raises(OutputError):
            check_area_targets([tmp_path / "a.csv", tmp_path / "a_accuracy.csv"], accuracy=True, force=True)
