"""What is wrong with the values of a file, in words for the person who wrote it.

Sections are pydantic models; an error shows the description of the innermost field as what is expected.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from crispmap.errors import ProjectError, did_you_mean
from crispmap.project.file.marked_yaml import Location, MarkedYaml

UNION_TAG = "<"
"""How the tags of unions begin: pydantic names them among the keys, and no person does."""
_SHOWN_FINDINGS = 8
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a file."""

    at: Location  # where
    given: str  # a clause without a full stop
    expected: str = ""
    remedy: str = ""  # empty where it is obvious


def bad_value(given: str, expected: str = "", remedy: str = "") -> PydanticCustomError:
    """Return what a validator of a section raises.

    Args:
        given: What is wrong, as a clause that follows the name of the value: "is 7, which ...".
        expected: What would have been accepted; by default the field's description.
    """
    return PydanticCustomError("crispmap", "{given}", {"given": given, "expected": expected, "remedy": remedy})


def findings_of(error: ValidationError, root: type[BaseModel], value: object) -> list[Finding]:
    """Return what pydantic found wrong with the value of a file whose outermost section is ``root``.

    An error of a list is dropped where an entry has one of its own: a list whose entries are wrong counts as empty.
    """
    findings = [_finding_of(one, _Sections(root, value)) for one in error.errors(include_url=False)]
    inner = {one.at[:length] for one in findings for length in range(len(one.at))}
    return [one for one in findings if one.at not in inner]


def _finding_of(error: ErrorDetails, sections: _Sections) -> Finding:
    at: Location = tuple(key for key in error["loc"] if not str(key).startswith(UNION_TAG))
    kind, value = error["type"], error["input"]
    expected = sections.expected(at)
    if kind == "crispmap":
        raised = error["ctx"]
        return Finding(at, f"{named(at)} {raised['given']}", raised["expected"] or expected, raised["remedy"])
    if kind == "missing" and isinstance(at[-1], str):
        return Finding(at, f"{named(at)} is missing", expected, f"Add the key {at[-1]}.")
    if kind == "extra_forbidden":
        section, key = sections.section_at(at[:-1]), str(at[-1])
        known = tuple(section.model_fields)
        explain = getattr(section, "explain_unknown", lambda key: "")
        remedy = explain(key) or did_you_mean(key, known) or "Remove the key."
        return Finding(at, f"{named(at)} is not a known key", f"one of {', '.join(known)}", remedy)
    if kind == "missing":  # a list that is too short names the place of its first missing entry
        at = at[:-1]
    return Finding(at, f"{named(at)} is {shown(value)}", expected, _remedy(at, kind, value, expected))


def _remedy(at: Location, kind: str, value: object, expected: str) -> str:
    if value is None:
        quotes = at[-1:] == ("colour",)
        return "Put the colour in quotes: without them, # starts a comment." if quotes else "Give a value."
    if kind == "string_type" and isinstance(value, int | float):
        return "Put the value in quotes."
    if kind in ("int_type", "float_type") and isinstance(value, str):
        return "Write the number without quotes or units."
    if kind == "tuple_type":
        return "Write a list, in [ ]."
    if kind == "literal_error" and isinstance(value, str):
        return did_you_mean(value, expected.rpartition(": ")[2].replace(" or ", ", ").split(", "))
    return ""


def shown(value: object) -> str:
    """Return a value as it is written in the file, shortened."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        text = f"a mapping with the keys {', '.join(value)}" if value else "an empty mapping"
    elif isinstance(value, tuple):
        text = f"[{', '.join(shown(one) for one in value[:6])}{', ...' if len(value) > 6 else ''}]"
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 4]} ..."


def named(at: Location) -> str:
    """Return a location as a person writes it: ``areas.test[0].window``."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in at)
    return text.removeprefix(".") or "the file"


def project_error(findings: Iterable[Finding], marked: MarkedYaml, path: Path) -> ProjectError:
    """Return one error that lists all findings, in the order of their lines."""
    (line, first), *others = sorted(((marked.line_of(one.at), one) for one in findings), key=lambda pair: pair[0])
    remedy = first.remedy or f"Change line {line} of {path}."
    if others:
        lines = [f"\n  line {number}: {one.given}. {one.remedy}".rstrip() for number, one in others[:_SHOWN_FINDINGS]]
        remedy += f"\nAlso wrong in {path.name}:{''.join(lines)}"
    if len(others) > _SHOWN_FINDINGS:
        remedy += f"\n  and {len(others) - _SHOWN_FINDINGS} more."
    return ProjectError(f"{path.name}, line {line}: {first.given}.", expected=first.expected, remedy=remedy)


class _Sections:
    """The sections of a file: which one a key belongs to may depend on the file's own values."""

    def __init__(self, root: type[BaseModel], value: object) -> None:
        self._root, self._value = root, value

    def expected(self, at: Location) -> str:
        """Return what the innermost key of a location takes."""
        return ["", *(field.description or "" for field, _ in self._fields_at(at))][-1]

    def section_at(self, at: Location) -> type[BaseModel]:
        """Return the section a location is in."""
        return [self._root, *(section for _, section in self._fields_at(at) if section is not None)][-1]

    def _fields_at(self, at: Location) -> Iterator[tuple[FieldInfo, type[BaseModel] | None]]:
        """Yield the fields that lead to a location, from the outside in, and the section inside each."""
        section: type[BaseModel] | None = self._root
        value = self._value
        for key in at:
            value = _inside(value, key)
            if isinstance(key, int) or section is None:
                continue
            field = section.model_fields.get(key)
            if field is None:
                return
            section = _section_of(field.annotation, value)
            yield field, section


def _inside(value: object, key: str | int) -> object:
    if isinstance(value, dict):
        return value.get(key)
    return value[key] if isinstance(value, tuple) and isinstance(key, int) and key < len(value) else None


def _section_of(annotation: Any, value: object) -> type[BaseModel] | None:
    """Return the section inside an annotation such as ``tuple[Section, ...] | None``, if there is one."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.for_value(value) if hasattr(annotation, "for_value") else annotation
    inner = (_section_of(one, value) for one in typing.get_args(annotation))
    return next((one for one in inner if one is not None), None)
