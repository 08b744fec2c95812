from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crispmap import ClassDef, ClassSchema
from crispmap.classes import ROAD_WIDTH_M, TagRule
from crispmap.errors import SchemaError

WORDS = st.text("abcdefghijklmnopqrstuvwxyz_:", min_size=1, max_size=6)
NAMES = st.text(min_size=1, max_size=8).filter(lambda text: text.strip() and text.isprintable())


@st.composite
def rules(draw: st.DrawFn) -> str:
    def term() -> str:
        values = draw(st.one_of(st.just("*"), st.lists(WORDS, min_size=1, max_size=3).map("|".join)))
        return f"{draw(WORDS)}{draw(st.sampled_from(['=', '!=', ' = ']))}{values}"

    return " & ".join(term() for _ in range(draw(st.integers(1, 3))))


@st.composite
def schemas(draw: st.DrawFn) -> ClassSchema:
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    colours = draw(st.lists(st.integers(0, 0xFFFFFF), min_size=len(names), max_size=len(names), unique=True))
    return ClassSchema(
        tuple(
            ClassDef(
                name,
                f"#{colour:06X}",
                tuple(draw(st.lists(rules(), max_size=3))),
                draw(st.floats(0.1, 100)),
            )
            for name, colour in zip(names, colours, strict=True)
        )
    )


TOWN = ClassSchema(
    (
        ClassDef("background", "#ffffff"),
        ClassDef("road", "#808080", ("highway=primary|secondary & tunnel!=yes", "railway=rail")),
        ClassDef("building", "#D7191C", ("building=*",)),
    )
)


# --- rules --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "tags", "hit"),
    [
        ("building=*", {"building": "yes"}, True),
        ("building=*", {"building": "house"}, True),
        ("building=*", {"building": "no"}, False),
        ("building=*", {"building": ""}, False),
        ("building=*", {"building": None}, False),
        ("building=*", {"building": float("nan")}, False),
        ("building=*", {"building": np.float64("nan")}, False),
        ("building=*", {}, False),
        ("building!=*", {}, True),
        ("building!=*", {"building": "no"}, True),
        ("building!=*", {"building": "yes"}, False),
        ("building=no", {"building": "no"}, True),
        ("highway=primary|secondary", {"highway": "secondary"}, True),
        ("highway=primary|secondary", {"highway": "primary|secondary"}, False),
        ("highway=primary|secondary", {"highway": "tertiary"}, False),
        ("highway=primary", {"highway": "Primary"}, False),
        ("highway=primary", {}, False),
        ("tunnel!=yes", {}, True),
        ("tunnel!=yes|culvert", {"tunnel": "culvert"}, False),
        ("tunnel!=yes", {"tunnel": "no"}, True),
        ("a=b & c=d", {"a": "b", "c": "d"}, True),
        ("a=b & c=d", {"a": "b"}, False),
        ("a=b & c!=d", {"a": "b", "c": "e"}, True),
        ("layer=1", {"layer": 1}, True),
        *(
            ("building=*", {"building": no}, False)
            for no in (0, 0.0, "0", "0.0", "false", "FALSE", "No", False, "no;0")
        ),
        ("building!=*", {"building": "0"}, True),
        ("building=*", {"building": "no;yes"}, True),
        ("ref=A 1;A 2", {"ref": "A 1;A 2"}, True),
        ("ref=None", {"ref": None}, False),
        ("building=*", {"building": 1}, True),
        ("building=*", {"building": "0.5"}, True),
        (" addr:street = Via Roma ", {"addr:street": "Via Roma"}, True),
    ],
)
def test_rules_match_as_told(rule: str, tags: dict[str, Any], hit: bool) -> None:
    assert TagRule.parse(rule).matches(tags) is hit


@given(WORDS, st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=4))
@settings(deadline=None, max_examples=100)
def test_several_values_match_by_each(key: str, wanted: list[str], held: list[str]) -> None:
    rule = TagRule.parse(f"{key}={'|'.join(wanted)}")
    for value in (";".join(held), " ; ".join(held), held, tuple(held), str(held), json.dumps(held)):
        assert rule.matches({key: value}) is any(one in wanted for one in held)


@given(WORDS, st.lists(WORDS, min_size=1, max_size=4), st.dictionaries(WORDS, WORDS, max_size=3))
@settings(deadline=None, max_examples=100)
def test_a_negated_term_is_the_opposite(key: str, values: list[str], tags: dict[str, str]) -> None:
    text = "|".join(values)
    for those in (tags, {**tags, key: values[0]}):
        assert TagRule.parse(f"{key}={text}").matches(those) is not TagRule.parse(f"{key}!={text}").matches(those)
        assert TagRule.parse(f"{key}={text}").matches(those) is (those.get(key) in values)


@given(rules(), rules(), st.dictionaries(WORDS, WORDS, max_size=3))
@settings(deadline=None, max_examples=100)
def test_a_conjunction_holds_where_both_hold_and_spaces_mean_nothing(one: str, two: str, tags: dict[str, str]) -> None:
    both = TagRule.parse(f"{one} & {two}")
    assert both.matches(tags) is (TagRule.parse(one).matches(tags) and TagRule.parse(two).matches(tags))
    assert TagRule.parse(f"{one}&{two}".replace(" ", "")).terms == both.terms


@pytest.mark.parametrize(
    "rule", ["", "building", "=yes", "building=", "building!=", "a=b &", "& a=b", "a=b=c", "a==b", "a b=c", "!a=b"]
)
def test_a_rule_that_cannot_be_read_is_an_error(rule: str) -> None:
    with pytest.raises(SchemaError, match=r"OSM tag rule .*cannot read .*\nExpected: terms like building=\*"):
        TagRule.parse(rule)


@pytest.mark.parametrize("rule", ["highway=primary|", "highway=|primary", "highway=a||b", "highway!=*|yes"])
def test_an_empty_alternative_is_an_error(rule: str) -> None:
    """``highway=primary|`` would otherwise match every feature that is no highway."""
    with pytest.raises(SchemaError, match="cannot read the values"):
        TagRule.parse(rule)


# --- classes ------------------------------------------------------------------------------------------------


def test_a_class_knows_its_colour_and_width() -> None:
    assert TOWN[2].rgb == (0xD7, 0x19, 0x1C)
    assert TOWN[2].colour == "#d7191c"
    assert TOWN[1].width_m == ROAD_WIDTH_M == 7.0
    assert TOWN[1].matches({"railway": "rail"})
    assert not TOWN[1].matches({"highway": "primary", "tunnel": "yes"})
    assert not TOWN[0].matches({"building": "yes"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "#ffffff"), "has the name"),
        (("  ", "#ffffff"), "has the name"),
        (("a\0b", "#ffffff"), "has the name"),
        (("a", "red"), "Class 'a' has colour 'red'"),
        (("a", "#fff"), "has colour"),
        (("a", "#ffffff00"), "has colour"),
        (("a", "#ffffff\n"), "has colour"),
        (("a", "#ffffff", (), 0.0), "has width_m 0.0"),
        (("a", "#ffffff", (), -3.0), "has width_m"),
        (("a", "#ffffff", (), float("nan")), "has width_m nan"),
        (("a", "#ffffff", ("building",)), "OSM tag rule 'building'"),
    ],
)
def test_a_class_that_makes_no_sense_is_an_error(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        ClassDef(*arguments)


# --- schemas ------------------------------------------------------------------------------------------------


@given(schemas())
@settings(deadline=None, max_examples=50)
def test_json_goes_there_and_back(schema: ClassSchema) -> None:
    again = ClassSchema.from_json(schema.to_json())
    assert again == schema
    assert again.to_json() == schema.to_json()


@given(schemas(), st.dictionaries(WORDS, WORDS, max_size=4))
@settings(deadline=None, max_examples=100)
def test_the_last_matching_class_wins(schema: ClassSchema, tags: dict[str, str]) -> None:
    hits = [index for index, one in enumerate(schema) if one.matches(tags)]
    assert schema.class_of(tags) == (max(hits) if hits else None)


def test_a_schema_is_a_sequence_of_classes() -> None:
    assert len(TOWN) == 3
    assert TOWN.names == ("background", "road", "building")
    assert [one.name for one in TOWN] == list(TOWN.names)
    assert [TOWN.id_of(name) for name in TOWN.names] == [0, 1, 2]
    assert TOWN.class_of({"highway": "primary", "building": "yes"}) == 2
    assert TOWN.class_of({"landuse": "grass"}) is None
    with pytest.raises(SchemaError, match=r"no class 'water'\.\nExpected: one of background, road, building"):
        TOWN.id_of("water")


@pytest.mark.parametrize("count", [0, 1, 256])
def test_too_few_or_too_many_classes_are_an_error(count: int) -> None:
    with pytest.raises(SchemaError, match=f"has {count} class"):
        ClassSchema(tuple(ClassDef(f"c{i}", f"#{i:06x}") for i in range(count)))


def test_two_classes_of_one_name_or_colour_are_an_error() -> None:
    with pytest.raises(SchemaError, match="same name 'a'"):
        ClassSchema((ClassDef("a", "#000000"), ClassDef("a", "#000001")))
    with pytest.raises(SchemaError, match="Classes 'a' and 'b' have the same colour '#0000ff'"):
        ClassSchema((ClassDef("a", "#0000ff"), ClassDef("b", "#0000FF")))


@pytest.mark.parametrize(
    "text",
    ["", "{", "5", "null", "{}", "[]", "[1, 2]", '["a", "b"]', '[{"name": "a"}, {"name": "b"}]',
     '[{"name": 1, "colour": "#000000"}, {"name": "b", "colour": "#000001"}]',
     '[{"name": "a", "colour": 7}, {"name": "b", "colour": "#000001"}]',
     '[{"name": "a", "colour": "#000000", "width_m": "wide"}, {"name": "b", "colour": "#000001"}]'],
)  # fmt: skip
def test_text_that_is_no_schema_is_an_error(text: str) -> None:
    with pytest.raises(SchemaError):
        ClassSchema.from_json(text)


def test_json_without_rules_and_width_takes_the_defaults() -> None:
    entries = [{"name": "a", "colour": "#000000"}, {"name": "b", "colour": "#0000ff"}]
    schema = ClassSchema.from_json(json.dumps(entries))
    assert schema[1] == ClassDef("b", "#0000ff", (), ROAD_WIDTH_M)


def test_a_list_of_classes_will_do() -> None:
    assert ClassSchema(list(TOWN)) == TOWN  # type: ignore[arg-type]
    assert hash(ClassSchema(tuple(TOWN))) == hash(TOWN)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ((ClassDef("background", "#000000"), ClassDef("road", "#ff0000")), 0),
        ((ClassDef("road", "#ff0000"), ClassDef(" Background ", "#000000")), 1),
        ((ClassDef("unburned", "#000000"), ClassDef("burned", "#ff0000")), 0),
        ((ClassDef("elsewhere", "#000000"), ClassDef("road", "#ff0000", ("highway=*",))), 0),
        ((ClassDef("urban", "#000000"), ClassDef("water", "#ff0000")), None),
        ((ClassDef("urban", "#000000", ("a=*",)), ClassDef("water", "#ff0000", ("b=*",))), None),
        ((ClassDef("urban", "#000000"), ClassDef("water", "#ff0000", ("b=*",)), ClassDef("x", "#0000ff")), None),
    ],
)
def test_the_rest_of_the_ground_is_a_class_by_name_or_the_one_no_rule_draws(
    classes: tuple[ClassDef, ...], expected: int | None
) -> None:
    assert ClassSchema(classes).rest == expected
