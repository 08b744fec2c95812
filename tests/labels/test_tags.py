"""Tags, however a file spells them, and the classes they make."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap.classes import ClassDef, ClassSchema
from crispmap.errors import SchemaError
from crispmap.labels import tags
from crispmap.labels.osm import OSM_PRESETS, PRESET_COLOURS, preset_schema

SCHEMA = ClassSchema(
    (
        ClassDef("background", "#000000"),
        ClassDef("building", "#ff0000", ("building=*",)),
        ClassDef("Road", "#00ff00", ("highway=primary|residential & tunnel!=yes",)),
    )
)


def table(layer: str = "x", **columns: list) -> tags.TagTable:
    return tags.tag_table(pd.DataFrame(columns), SCHEMA, layer)


def hstore(pairs: dict[str, str]) -> str:
    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return ",".join(f"{quoted(key)}=>{quoted(value)}" for key, value in pairs.items())


pairs = st.dictionaries(st.text(max_size=6), st.text(max_size=8), max_size=5)


@given(pairs)
@settings(max_examples=80, deadline=None)
def test_packed_tags_come_back(pairs: dict[str, str]) -> None:
    assert tags.parse_many_tags(hstore(pairs)) == pairs
    assert tags.parse_many_tags(json.dumps(pairs)) == pairs


@pytest.mark.parametrize("text", [None, math.nan, 7, "", "rubbish", '"a"=>', "{broken"])
def test_what_holds_no_tags(text: object) -> None:
    assert tags.parse_many_tags(text) == {}


def test_own_columns_win_over_packed_tags() -> None:
    found = table(
        highway=["primary", None, ""], other_tags=['"highway"=>"x","lanes"=>"3"', '"highway"=>"primary"', None]
    )
    assert list(found["highway"]) == ["primary", "primary", ""]
    assert list(found["lanes"]) == ["3", None, None]


def test_columns_match_in_any_case_but_the_exact_one_first() -> None:
    assert tags.match_columns(["BUILDING", "building"], ["building"]) == {"building": "building"}
    assert tags.match_columns(["BUILDING", "Other"], ["building", "highway"]) == {"building": "BUILDING"}


def test_values_of_any_type_become_text() -> None:
    found = table(building=[True, False, np.True_, 2.0, 2.5, 3, None, math.nan, pd.NA, {"a": "b"}])
    expected = ["yes", "no", "yes", "2", "2.5", "3", None, None, None, '{"a": "b"}']
    assert list(found["building"]) == expected


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([2.0, 2.5, math.nan, -0.0, 2.0, 1e20]),
        pd.Series([0.1, 3.0, 0.1], dtype=np.float32),
        pd.Series([3, -1, 3, 2**40]),
        pd.Series([True, False, True]),
        pd.Series(["yes", None, "", "yes"], dtype="str"),
        pd.Series([1, None, 1], dtype="Int64"),
        pd.Series([True, None], dtype="boolean"),
        pd.Series(["a", "b", None], dtype="category"),
        pd.to_datetime(pd.Series(["2020-01-01", None, "2020-01-01"])),
    ],
    ids=lambda column: str(column.dtype),
)
def test_columns_of_one_type_become_the_text_that_their_values_do(column: pd.Series) -> None:
    values = pd.Series([None if pd.isna(value) else value for value in column], dtype=object)
    assert list(table(building=column)["building"]) == list(table(building=values)["building"])


def test_lists_and_pairs_become_text() -> None:
    found = table(building=[["a", "b"], np.array(["a", 2.0], object), [], ("a", None), [("k", "v")]])
    assert list(found["building"]) == ["a;b", "a;2", "", "a", '{"k": "v"}']


def test_packed_values_of_any_type_become_text() -> None:
    packed = '{"a": null, "b": 0, "c": false, "d": true, "e": ["x", "y"]}'
    assert tags.parse_many_tags(packed) == {"b": "0", "c": "no", "d": "yes", "e": "x;y"}


def test_a_column_of_classes_may_repeat_a_class() -> None:
    ids, unknown = tags.class_column_ids(table(class_name=["road", "road;2", "road;building"]), SCHEMA)
    assert ids.tolist() == [2, 2, -1]
    assert unknown.tolist() == [None, None, "road;building"]


def test_rules_decide_and_the_later_class_wins() -> None:
    found = table(
        building=["yes", "no", None, "yes", None],
        highway=[None, None, "primary", "residential", "primary"],
        tunnel=[None, None, None, "no", "yes"],
    )
    assert tags.tag_ids(found, SCHEMA).tolist() == [1, -1, 2, 2, -1]


def test_class_columns_hold_names_or_ids_in_any_case() -> None:
    found, unknown = tags.class_column_ids(
        table(**{"class": ["BUILDING", " road ", 2, 1.0, "7", None, "ignore", 255, "hut", -1]}), SCHEMA
    )
    assert found.tolist() == [1, 2, 2, 1, -1, -1, 255, 255, -1, -1]
    assert unknown.tolist() == [None] * 4 + ["7"] + [None] * 3 + ["hut", "-1"]
    two = tags.class_column_ids(table(Class_Name=["road", None], CLASS=[None, "building"]), SCHEMA)
    assert two[0].tolist() == [2, 1]
    assert tags.missing(two[1]).all()


def test_pairs_of_class_and_type_are_tags() -> None:
    found = table(**{"class": ["highway", "building", "other"], "type": ["residential", "house", "x"]})
    assert tags.tag_ids(found, SCHEMA).tolist() == [2, 1, -1]
    ids, unknown = tags.class_column_ids(found, SCHEMA)
    assert ids.tolist() == [-1, 1, -1]
    assert tags.missing(unknown).all()


def test_layers_named_after_a_key_give_their_class_by_fclass() -> None:
    assert tags.tag_ids(table("gis_osm_roads_free_1", fclass=["primary", "path"]), SCHEMA).tolist() == [2, -1]
    assert tags.tag_ids(table("gis_osm_buildings_a_free_1", fclass=["building"]), SCHEMA).tolist() == [1]
    assert tags.tag_ids(table("gis_osm_pois_free_1", fclass=["primary"]), SCHEMA).tolist() == [-1]
    assert tags.tag_ids(table("roads", fclass=["primary"]), SCHEMA).tolist() == [-1]


def test_no_rules_no_ids() -> None:
    bare = ClassSchema((ClassDef("a", "#000000"), ClassDef("b", "#ffffff")))
    assert tags.tag_ids(tags.tag_table(pd.DataFrame({"x": [1, 2]}), bare, ""), bare).tolist() == [-1, -1]


# --- presets -----------------------------------------------------------------------------------------------------


def test_every_preset_is_a_class_of_its_own_colour() -> None:
    schema = preset_schema(tuple(OSM_PRESETS))
    assert schema.names == ("background", *OSM_PRESETS)
    assert set(PRESET_COLOURS) == set(schema.names)
    assert preset_schema().names == ("background", "building", "road")
    assert preset_schema(["background", "water"]).names == ("background", "water")


@pytest.mark.parametrize(
    ("name", "found", "left"),
    [
        ("building", {"building": "yes"}, {"building": "no"}),
        ("building", {"building": "house"}, {"building": "yes", "location": "underground"}),
        ("road", {"highway": "residential"}, {"highway": "footway"}),
        ("road", {"highway": "motorway_link", "bridge": "yes"}, {"highway": "residential", "tunnel": "yes"}),
        ("road", {"highway": "service"}, {"highway": "service", "tunnel": "building_passage"}),
        ("road", {"highway": "pedestrian"}, {"highway": "track"}),
        ("road", {"highway": "unclassified"}, {"highway": "construction"}),
        ("track", {"highway": "track"}, {"highway": "path"}),
        ("path", {"highway": "steps"}, {"highway": "track"}),
        ("water", {"natural": "water"}, {"waterway": "river"}),
        ("waterway", {"waterway": "river"}, {"waterway": "dam"}),
        ("forest", {"natural": "wood"}, {"landuse": "meadow"}),
        ("vegetation", {"landuse": "forest"}, {"landuse": "residential"}),
        ("parking", {"amenity": "parking"}, {"amenity": "parking", "parking": "underground"}),
    ],
)
def test_presets_take_what_one_sees(name: str, found: dict[str, str], left: dict[str, str]) -> None:
    schema = preset_schema([name])
    assert schema.class_of(found) == 1
    assert schema.class_of(left) is None


@pytest.mark.parametrize("names", [["house"], ["road", "road"], []])
def test_bad_presets(names: list[str]) -> None:
    with pytest.raises(SchemaError):
        preset_schema(names)
