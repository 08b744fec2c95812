"""Class schema: the ordered classes of a map, their names, colours and OpenStreetMap tag rules.

A tag rule is a conjunction of terms joined by "&"; a term is ``key=value``, ``key=value|value``, ``key=*`` (any value
but those that mean no: no, false, 0) or ``key!=value``. A tag of several values (``a;b``, a list) is matched by each. A
class takes a feature when any of its rules matches; where features of two classes overlap, the class drawn later wins.
"""

from __future__ import annotations

import colorsys
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from crispmap.errors import SchemaError, number_of
from crispmap.types import IGNORE

_NOTHING_MAPPED = ("background", "unburned")  # names of classes that stand for the rest
ROAD_WIDTH_M = 7.0  # total road width where nothing better is known (Maggiori et al. 2016, following Mnih 2013)

_TERM = re.compile(r"^\s*([^=!&|\s]+)\s*(!?=)\s*([^=!&]+?)\s*$")
_NO = re.compile(r"no|false|[+-]?(0+\.?0*|\.0+)|", re.IGNORECASE)
CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class TagTerm:
    """One condition on one OSM key."""

    key: str
    values: tuple[str, ...]
    negated: bool

    def matches(self, tags: Mapping[str, Any]) -> bool:
        """Return whether the tags meet this condition; an absent or empty tag meets only a negated one."""
        whole, any_value = tags.get(self.key), self.values == ("*",)
        values = tag_values(whole)
        hit = (str(whole) in self.values and bool(values)) or any(
            _NO.fullmatch(value) is None if any_value else value in self.values for value in values
        )
        return hit != self.negated


def tag_values(value: Any) -> list[str]:
    """Return the values of a tag: none if it is absent, those of ``a;b``, of a list or of its text in brackets."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return []
    if isinstance(value, list | tuple):
        return [text for one in value for text in tag_values(one)]
    text = str(value).strip()
    if text.startswith("[") and text.endswith("]"):
        return [one.strip().strip("'\"") for one in text[1:-1].split(",")]
    return [one.strip() for one in text.split(";")]


@dataclass(frozen=True)
class TagRule:
    """A conjunction of conditions on OSM tags, such as ``highway=primary|secondary & tunnel!=yes``."""

    text: str
    terms: tuple[TagTerm, ...]

    @classmethod
    def parse(cls, text: str) -> TagRule:
        """Read a rule from its text form.

        Raises:
            SchemaError: If a term is not ``key=value``, or one of its values is empty.
        """
        terms = []
        for part in text.split("&"):
            match = _TERM.match(part)
            if match is None:
                raise SchemaError(
                    f"OSM tag rule {text!r}: cannot read {part.strip()!r}.",
                    expected="terms like building=*, highway=primary|secondary or tunnel!=yes, joined by &",
                    remedy="Correct the rule; each term takes one key, one = or != and its values.",
                )
            key, operator, alternatives = match.groups()
            values = tuple(value.strip() for value in alternatives.split("|"))
            # An empty alternative would match every feature without the key, a * beside others only itself.
            if "" in values or ("*" in values and len(values) > 1):
                raise SchemaError(
                    f"OSM tag rule {text!r}: cannot read the values {alternatives!r}.",
                    expected="values joined by |, such as primary|secondary, or a single *",
                    remedy="Remove the empty value, or the * beside other values.",
                )
            terms.append(TagTerm(key, values, operator == "!="))
        return cls(text, tuple(terms))

    def matches(self, tags: Mapping[str, Any]) -> bool:
        """Return whether every term holds for these tags."""
        return all(term.matches(tags) for term in self.terms)


@dataclass(frozen=True)
class ClassDef:
    """One class of a map."""

    name: str  # the class name, unique in its schema
    colour: str  # ``#rrggbb``, unique in its schema
    osm: tuple[str, ...] = ()  # tag rules; a feature belongs to the class when any matches. Empty for the background
    # total width, in metres on the ground, given to lines of this class that carry no width of their own
    width_m: float = ROAD_WIDTH_M
    rules: tuple[TagRule, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.name.strip() or CONTROL.search(self.name):
            raise SchemaError(
                f"A class has the name {self.name!r}.",
                expected="a short name such as building, without control characters",
                remedy="Give it one.",
            )
        if not _COLOUR.fullmatch(self.colour):
            raise SchemaError(
                f"Class {self.name!r} has colour {self.colour!r}.",
                expected="six hexadecimal digits such as '#d7191c'",
                remedy="Write the colour as # and two digits each for red, green and blue.",
            )
        if not 0 < self.width_m < math.inf:
            raise SchemaError(
                f"Class {self.name!r} has width_m {self.width_m}.",
                expected="a finite width above 0 metres",
                remedy="Give the total width of its lines on the ground, or leave width_m out.",
            )
        object.__setattr__(self, "colour", self.colour.lower())
        object.__setattr__(self, "osm", tuple(self.osm))
        object.__setattr__(self, "rules", tuple(TagRule.parse(text) for text in self.osm))

    @property
    def rgb(self) -> tuple[int, int, int]:
        """The colour as three values 0..255."""
        return int(self.colour[1:3], 16), int(self.colour[3:5], 16), int(self.colour[5:7], 16)

    def matches(self, tags: Mapping[str, Any]) -> bool:
        """Return whether any rule of the class matches these OSM tags."""
        return any(rule.matches(tags) for rule in self.rules)


@dataclass(frozen=True)
class ClassSchema:
    """Ordered classes; a class's id is its place, 0..len-1, and 255 is the ignore value.

    Classes are drawn in order of id: where they overlap, the later class wins. Class 0 is the background: what no
    feature covers.

    Raises:
        SchemaError: With fewer than two classes, more than 255, or two of one colour or one name;
            spaces around a name make no other.
    """

    classes: tuple[ClassDef, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if not 2 <= len(self.classes) <= IGNORE:
            raise SchemaError(
                f"The schema has {number_of(len(self.classes), 'class')}.",
                expected=f"2 to {IGNORE} classes",
                remedy="Name the background first, then one class or more.",
            )
        for what in ("name", "colour"):
            seen: dict[str, str] = {}
            for one in self.classes:
                value = getattr(one, what).strip()
                if value in seen:
                    raise SchemaError(
                        f"Classes {seen[value]!r} and {one.name!r} have the same {what} {value!r}.",
                        expected=f"a {what} of its own for every class",
                        remedy=f"Give one of them another {what}.",
                    )
                seen[value] = one.name

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[ClassDef]:
        return iter(self.classes)

    def __getitem__(self, class_id: int) -> ClassDef:
        return self.classes[class_id]

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in order of id."""
        return tuple(one.name for one in self.classes)

    @property
    def rest(self) -> int | None:
        """The id of the class that stands for the rest of the ground, over which a map shows what lies below it.

        It is the one called background; else the first, where rules draw all others and none draws it. None where every
        class is something to look at, as in land cover.
        """
        for index, one in enumerate(self.classes):
            if one.name.strip().lower() in _NOTHING_MAPPED:
                return index
        first, *others = self.classes
        return 0 if not first.osm and all(one.osm for one in others) else None

    def id_of(self, name: str) -> int:
        """Return the id of the class with this name.

        Raises:
            SchemaError: If no class has this name.
        """
        if name not in self.names:
            raise SchemaError(
                f"There is no class {name!r}.",
                expected=f"one of {', '.join(self.names)}",
                remedy="Correct the name, or add the class to the schema.",
            )
        return self.names.index(name)

    def class_of(self, tags: Mapping[str, Any]) -> int | None:
        """Return the id of the last class whose rules match these OSM tags, or None."""
        hits = [index for index, one in enumerate(self.classes) if one.matches(tags)]
        return hits[-1] if hits else None

    def legend(self) -> list[dict[str, Any]]:
        """Return id, name and colour of every class as plain values."""
        return [{"id": index, "name": one.name, "colour": one.colour} for index, one in enumerate(self.classes)]

    def to_json(self) -> str:
        """Return the schema as JSON text, read back by ``from_json``."""
        return json.dumps(
            [{"name": c.name, "colour": c.colour, "osm": list(c.osm), "width_m": c.width_m} for c in self.classes]
        )

    @classmethod
    def from_json(cls, text: str) -> ClassSchema:
        """Read a schema written by ``to_json``.

        Raises:
            SchemaError: If the text is not such a schema.
        """
        try:
            entries = _ENTRIES.validate_json(text)
        except ValueError as error:
            raise SchemaError(f"Not a class schema: {error}.", expected="JSON as written by crispmap") from error
        return cls(tuple(ClassDef(one.name, one.colour, one.osm, one.width_m) for one in entries))


class _Entry(BaseModel):
    """A class in JSON."""

    model_config = ConfigDict(strict=True)

    name: str
    colour: str
    osm: tuple[str, ...] = ()
    width_m: float = ROAD_WIDTH_M


_ENTRIES = TypeAdapter(list[_Entry])


def class_colour(index: int) -> str:
    """Return the colour of a class by its number, for classes that come without colours: grey for the first."""
    shades = (0.8, 0.8, 0.8) if index == 0 else colorsys.hsv_to_rgb(index * 0.618034 % 1, 0.75, 0.85)
    return "#" + "".join(f"{round(255 * shade):02x}" for shade in shades)
