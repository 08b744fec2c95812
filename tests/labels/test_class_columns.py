"""Columns that would serve as class column: what is named, and that rules find the classes made of one."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import InputError
from crispmap.labels.class_columns import class_columns, classes_of_column
from crispmap.labels.vectors import read_vectors

words = st.text(st.characters(whitelist_categories=("Lu", "Ll", "Nd")), min_size=1, max_size=6).filter(
    lambda word: word.casefold() not in ("background", "none", "nan", "null")
)


def write(path: Path, **columns: list[object]) -> Path:
    count = len(next(iter(columns.values())))
    shapes = [shapely.box(index, 0, index + 0.5, 0.5) for index in range(count)]
    gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32631").to_file(path)
    return path


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(words, min_size=1, max_size=12))
def test_every_feature_gets_the_class_of_its_value(values: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.unlink(missing_ok=True)
    proposed = classes_of_column(write(path, cover=values), "COVER")
    classes = zip(proposed.names, proposed.colours, strict=True)
    schema = ClassSchema(
        tuple(
            ClassDef(name, colour, (proposed.tags[name],) if name in proposed.tags else ()) for name, colour in classes
        )
    )
    ids = read_vectors(path, schema)["class_id"].tolist()
    assert len(schema) == 1 + len({value.casefold() for value in values})
    by_value = {value.casefold(): index for value, index in zip(values, ids, strict=True)}
    assert [by_value[value.casefold()] for value in values] == ids
    assert 0 not in ids
    assert len(set(by_value.values())) == len(by_value)


def test_columns_of_few_values_are_named_with_them(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.gpkg",
        cover=["forest"] * 6 + ["water"] * 4,
        code=[1.0, 2.0] * 5,
        name=[f"n{index}" for index in range(10)],
        height=[0.5, 1.25] * 5,
        same=["x"] * 10,
        rare=[None] * 10,
    )
    found = {one.name: dict(one.values) for one in class_columns(path)}
    assert found == {"cover": {"forest": 6, "water": 4}, "code": {"1": 5, "2": 5}}
    assert classes_of_column(path, "code").names == ("background", "code_1", "code_2")
    assert class_columns(path)[0].text == "cover: forest (6), water (4)"


def test_background_and_several_values_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", cover=["Background", "a;b", "b", "A"])
    proposed = classes_of_column(path, "cover")
    assert sorted(proposed.names) == ["a", "b", "background"]
    assert set(proposed.tags.values()) == {"cover=a|A", "cover=b"}


@pytest.mark.parametrize(
    ("column", "values"),
    [("absent", ["a", "b"]), ("cover", ["a=b", "c"]), ("cover", ["a&b", "c"]), ("cover", [f"v{i}" for i in range(90)])],
)
def test_columns_that_do_not_serve_are_refused(tmp_path: Path, column: str, values: list[object]) -> None:
    with pytest.raises(InputError):
        classes_of_column(write(tmp_path / "a.gpkg", cover=values), column)
    with pytest.raises(InputError):
        classes_of_column(write(tmp_path / "b.gpkg", **{"land cover": ["a", "b"]}), "land cover")


def test_numbers_that_are_no_whole_ones_stay_as_they_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gpkg", code=[1.0, float("inf")] * 5, large=[1e300, 2.0] * 5)
    found = {one.name: dict(one.values) for one in class_columns(path)}
    assert found == {"code": {"1.0": 5, "inf": 5}, "large": {"1e+300": 5, "2.0": 5}}
