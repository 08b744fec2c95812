"""Dates of maps: read where they can be read in one way, else refused with what they could be."""

from __future__ import annotations

import contextlib
from datetime import date
from pathlib import Path

import pytest
from area_inputs import ids, write_map
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.areas.dates import MapDate, periods_of, read_date
from crispmap.errors import AreaError

DAYS = st.dates(date(1900, 1, 1), date(2199, 12, 31))


@given(
    DAYS, st.sampled_from(["%Y%m%d", "%Y-%m-%d", "%Y_%m_%d", "%Y.%m.%d", "%Y:%m:%d"]), st.sampled_from(["", "T", "a_"])
)
def test_a_day_is_read_in_every_form_of_year_first(day: date, form: str, before: str) -> None:
    found = read_date(f"{before}{day.strftime(form)}_v.tif", "it")
    assert found.text == day.isoformat()


@given(DAYS, st.sampled_from(["%Y%m", "%Y-%m", "%Y_%m"]))
def test_a_month_is_read_as_one(day: date, form: str) -> None:
    assert read_date(f"burnt_{day.strftime(form)}.tif", "it") == MapDate((day.year, day.month))


@settings(max_examples=60)
@given(st.text(max_size=30))
def test_any_text_is_a_date_or_a_typed_error(text: str) -> None:
    with contextlib.suppress(AreaError):
        assert read_date(text, "it").parts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2022:08:31 10:11:12", "2022-08-31"),  # as TIFFTAG_DATETIME has it
        ("2022-08-31T10:11:12.5Z", "2022-08-31"),
        ("S2A_MSIL2A_20220831T103021_N0400.tif", "2022-08-31"),
        ("S2A_MSIL2A_20220831T190312_N0400.tif", "2022-08-31"),  # a time that could be a month
        ("2022-08/burnt_20220831.tif", "2022-08-31"),
        ("31.08.2022", "2022-08-31"),  # no month has 31
        ("05/05/2022", "2022-05-05"),  # the same either way
        ("map_2022045.tif", "2022-02-14"),  # day of the year: no month 0
        ("map_2022365.tif", "2022-12-31"),
        ("2022", "2022"),
        ("km2022_2022-08-31", "2022-08-31"),
        ("2022-08-31_20220831.tif", "2022-08-31"),
    ],
)
def test_what_can_be_read_in_one_way_is_read(text: str, found: str) -> None:
    assert read_date(text, "it").text == found


@pytest.mark.parametrize(
    ("text", "readings"),
    [
        ("03.04.2022", ["2022-03-04", "2022-04-03"]),
        ("20220815_20220817.tif", ["2022-08-15", "2022-08-17"]),
        ("2022-08-15_20220817.tif", ["2022-08-15", "2022-08-17"]),
        ("2022213.tif", ["2022-02-13", "2022-08-01"]),
        ("198001_202208.tif", ["1980-01", "2022-08"]),
        ("burnt_2022-08_made_20230115.tif", ["2022-08", "2023-01-15"]),  # a month, and the day the map was made
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_both(text: str, readings: list[str]) -> None:
    with pytest.raises(AreaError) as caught:
        read_date(text, "it")
    assert all(one in caught.value.given for one in readings)


@pytest.mark.parametrize(
    "text", ["", "map.tif", "2022-02-30", "20221331", "123456789", "1", "map_2022999.tif", "2022-13"]
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(AreaError):
        read_date(text, "it")


class TestSources:
    def test_none(self) -> None:
        assert periods_of([Path("a_2022.tif"), Path("b.tif")], None) == [None, None]

    def test_names_are_read_without_their_folders(self) -> None:
        paths = [Path("2020-01/a_2022-08-31.tif"), Path("b_20220901.tif")]
        assert [one and one.text for one in periods_of(paths, "filename")] == ["2022-08", "2022-09"]
        assert [one and one.text for one in periods_of(paths, "filename", period="year")] == ["2022", "2022"]
        assert [one and one.text for one in periods_of(paths, "filename", period="day")] == ["2022-08-31", "2022-09-01"]

    def test_a_date_less_exact_than_the_period_is_refused(self) -> None:
        with pytest.raises(AreaError, match="day"):
            periods_of([Path("a_2022-08.tif")], "filename", period="day")

    def test_tags(self, tmp_path: Path) -> None:
        tags = {"TIFFTAG_DATETIME": "2022:08:31 10:11:12", "TAKEN": "20210102"}
        path = write_map(tmp_path / "map.tif", ids(), tags=tags)
        assert periods_of([path], "tag") == [MapDate((2022, 8))]
        assert periods_of([path], "tag", tag="TAKEN") == [MapDate((2021, 1))]
        with pytest.raises(AreaError, match="SEEN") as caught:
            periods_of([path], "tag", tag="SEEN")
        assert "TAKEN" in caught.value.expected

    def test_a_table_by_path_or_name(self, tmp_path: Path) -> None:
        table = tmp_path / "maps.csv"
        table.write_text("\ufeffmap,date\nx/a.tif,2022-08-31\nb.tif,2022-09\n", encoding="utf-8")
        found = periods_of([Path("x/a.tif"), Path("y/b.tif")], "column", table=table)
        assert found == [MapDate((2022, 8)), MapDate((2022, 9))]

    @pytest.mark.parametrize(
        "text",
        [
            "map;date\n./x/a.tif;2022-08\n",  # as spreadsheets write it where the comma is in numbers
            " Map \tnote\tDATE\nx/../x/a.tif\t\t2022-07\nx/a.tif\tn\t2022-08 \n",
            'map,date,note\na.tif,2022-08,"one; two\nthree",4\nb.tif\n',
        ],
    )
    def test_the_dialect_of_a_table_changes_nothing(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "maps.csv").write_text(text)
        assert periods_of([Path("x/a.tif")], "column", table=tmp_path / "maps.csv") == [MapDate((2022, 8))]

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("map,date\nb.tif,2022\n", "a.tif"),
            ("map,date\na.tif,2022-08\na.tif,2022-09\n", "2022-09"),
            ("map,date\na.tif,\n", "no date"),
            ("map,day\na.tif,2022\n", "day"),
            ("", "no rows"),
        ],
    )
    def test_a_table_that_does_not_say_is_refused(self, tmp_path: Path, text: str, named: str) -> None:
        (tmp_path / "maps.csv").write_text(text, encoding="utf-8")
        with pytest.raises(AreaError, match=named):
            periods_of([Path("a.tif")], "column", table=tmp_path / "maps.csv")

    @pytest.mark.parametrize("table", [None, "nowhere.csv"])
    def test_no_table_is_refused(self, table: str | None) -> None:
        with pytest.raises(AreaError):
            periods_of([Path("a.tif")], "column", table=table)
