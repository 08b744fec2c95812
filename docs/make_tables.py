"""Writes the guide's tables from the schema of the project file and the registry of architectures: ``make docs``."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from crispmap.geo.area_pieces import AREA_ROLES
from crispmap.models.architecture import Kind
from crispmap.models.registry import architectures
from crispmap.models.settings import TrainingSettings
from crispmap.project.file.networks import CoarseSection, RefinerSection
from crispmap.project.file.root import ProjectFile

GUIDE = Path(__file__).resolve().parent / "guide.md"
_ROLES = re.compile(rf"areas\.(?:{'|'.join(AREA_ROLES)})\[\]\.")
_SECTIONS: dict[Kind, type[CoarseSection] | type[RefinerSection]] = {"coarse": CoarseSection, "refiner": RefinerSection}


def schema_keys(section: type[BaseModel] = ProjectFile, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield every key of a section with its default and what it takes; the areas' roles are one, called ROLE.

    Of the sections that name a network, the keys of every architecture are yielded, each once.
    """
    for name, field in section.model_fields.items():
        inner = _inner_section(field.annotation)
        if inner is None or not issubclass(inner[0], CoarseSection | RefinerSection):
            yield f"{prefix}{name}", _default(field), field.description or ""
            if inner is not None:
                within = f"{prefix}{name}{'[]' if inner[1] else ''}."
                yield from schema_keys(inner[0], "areas.ROLE[]." if _ROLES.fullmatch(within) else within)
        else:
            yield name, "none", field.description or ""
            yield from _network_keys(inner[0].role)


def _network_keys(role: Kind) -> Iterator[tuple[str, str, str]]:
    seen = set()
    for name in architectures(role, trainable=True):
        for key, default, takes in schema_keys(_SECTIONS[role].for_value({"kind": name}), f"{role}."):
            if key not in seen:
                seen.add(key)
                yield key, default, takes


def keys_table() -> list[str]:
    """Return the rows of the table of keys; a key that labels and reference, or roles, share has one row."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for key, default, takes in schema_keys():
        shared = re.sub(r"^(labels|reference)\.", "", key) if takes else key
        rows.setdefault((re.sub(r"^areas\.\w+$", "areas", shared), default, takes), []).append(key)
    unique = [(", ".join(f"`{key}`" for key in dict.fromkeys(keys)), row[1], row[2]) for row, keys in rows.items()]
    return _table(("key", "default", "takes"), unique)


def architectures_table(kind: Kind) -> list[str]:
    """Return the rows of the table of architectures of a kind."""
    rows = [
        (f"`{name}`", one.summary, ", ".join(f"`{key}`" for key in one.options.model_fields) or "none", _learner(name))
        for name, one in architectures(kind, trainable=True).items()
    ]
    return _table(("kind", "what it is", "options", "learned by"), rows)


def _learner(name: str) -> str:
    told = {"gradient": "training in steps", "svm": "a fit to 1,000 pixels of each class", "grid-fit": "a search"}
    return told[architectures()[name].learner or ""]


def presets_table(kind: Kind) -> list[str]:
    """Return the rows of the table of presets of a kind: the settings in which they differ."""
    presets: dict[str, TrainingSettings] = {}
    for name, one in architectures(kind).items():
        for preset, how in one.presets.items():
            if how.settings is not None and how.settings not in presets.values():
                presets[f"{name}, {preset}"] = how.settings
    values = {column: settings.to_dict() for column, settings in presets.items()}
    names = next(iter(values.values()))
    differing = [name for name in names if len({repr(one[name]) for one in values.values()}) > 1]
    rows = [(name, *(_shown(one[name]) for one in values.values())) for name in differing]
    return _table(("setting", *values), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default is None or isinstance(field.default, BaseModel):
        return "none"
    if isinstance(field.default, tuple):
        return f"[{', '.join(_shown(one) for one in field.default)}]"
    return _shown(field.default)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as YAML has it
    return f"{value:g}" if isinstance(value, float) else str(value)


def _inner_section(annotation: Any) -> tuple[type[BaseModel], bool] | None:
    """Return the section inside an annotation, and whether there is a list of them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    for one in typing.get_args(annotation):
        inner = _inner_section(one)
        if inner is not None:
            return inner[0], inner[1] or typing.get_origin(annotation) is tuple
    return None


TABLES: dict[str, Callable[[], list[str]]] = {
    "keys": keys_table,
    "coarse networks": partial(architectures_table, "coarse"),
    "refiners": partial(architectures_table, "refiner"),
    "coarse presets": partial(presets_table, "coarse"),
    "refiner presets": partial(presets_table, "refiner"),
}
"""What makes each table, by the name between its marks in the guide."""


def with_tables(text: str) -> str:
    """Return the guide's text with every table between its marks made anew.

    Raises:
        ValueError: If the marks of a table are not there.
    """
    for name, make in TABLES.items():
        begin, end = f"<!-- table: {name} -->\n", "<!-- end of table -->"
        start = text.index(begin) + len(begin)
        text = text[:start] + "\n".join(["", *make(), "", ""]) + text[text.index(end, start) :]
    return text


if __name__ == "__main__":
    GUIDE.write_text(with_tables(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
