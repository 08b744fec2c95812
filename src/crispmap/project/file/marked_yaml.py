"""YAML text as plain values, each with its line.

Only plain data is read: mappings with text keys, lists, text, numbers, booleans and null. Aliases, tags and repeated
keys are errors, so that the file means what it seems to mean.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from crispmap.errors import ProjectError

Location = tuple[str | int, ...]
"""Keys and places in lists that lead to a value, such as ``("classes", 1, "name")``."""

MAX_BYTES = 4_000_000  # a larger file is not a project file but a raster given by mistake

_PLAIN = "tag:yaml.org,2002:"
_ODD_SCALARS = (ValueError, ArithmeticError, LookupError, AttributeError, TypeError)
_UNQUOTED_COLOUR = re.compile(r"colou?r['\"]?\s*:\s*#")


@dataclass(frozen=True)
class MarkedYaml:
    """Plain values and their lines."""

    value: Any  # mappings as dict with text keys, lists as tuple, and scalars
    lines: Mapping[Location, int]  # of every key and list entry, counted from 1

    def line_of(self, location: Location) -> int:
        """Return the line of a location, or of the nearest thing around it that is in the file."""
        while location and location not in self.lines:
            location = location[:-1]
        return self.lines.get(location, 1)


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses aliases and reads 1e-4 as a number, as YAML 1.2 does."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="found an alias (a word that starts with *)", problem_mark=mark)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(
    f"{_PLAIN}float", re.compile(r"^[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$"), list("-+.0123456789")
)


def read_marked_yaml(path: Path) -> MarkedYaml:
    """Return the values of a YAML file, each with its line."""
    return parse_marked_yaml(_read_text(path), path.name)


def parse_marked_yaml(text: str, name: str) -> MarkedYaml:
    """Return the values of YAML text, each with its line; ``name`` is what errors call the file."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        lines: dict[Location, int] = {}
        value = None if node is None else _plain(loader, node, (), lines)
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, name) from error
    except RecursionError as error:
        remedy = "Write a new project file with: crispmap init"
        raise ProjectError(f"{name} is nested too deeply to read.", expected="a project file", remedy=remedy) from error
    finally:
        if loader is not None:
            loader.dispose()
    return MarkedYaml(value, lines)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ProjectError(
            f"There is no file {path}.", expected="the path of a project file",
            remedy="Check the path, or write a new project file with: crispmap init",
        ) from error  # fmt: skip
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProjectError(
            f"Cannot read {path}: {reason}.", expected="the path of a readable project file",
            remedy="Check the path and the rights of the file.",
        ) from error  # fmt: skip
    if len(raw) > MAX_BYTES or b"\0" in raw:
        raise ProjectError(
            f"{path} is not a text file of at most {MAX_BYTES // 1_000_000} MB.", expected="a YAML project file",
            remedy="Give the project file here, and the scene inside it under scene: path.",
        )  # fmt: skip
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ProjectError(
            f"{path.name}, line {line}: the text is not UTF-8.", expected="a text file in UTF-8",
            remedy="Save the file again with the encoding UTF-8.",
        ) from error  # fmt: skip


def _plain(loader: _Loader, node: yaml.Node, location: Location, lines: dict[Location, int]) -> Any:
    """Return the plain value of a node, and record the lines of what it holds."""
    lines.setdefault(location, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode) and node.tag == f"{_PLAIN}map":
        return _plain_mapping(loader, node, location, lines)
    if isinstance(node, yaml.SequenceNode) and node.tag == f"{_PLAIN}seq":
        return tuple(_plain(loader, item, (*location, i), lines) for i, item in enumerate(node.value))
    if isinstance(node, yaml.ScalarNode):
        try:
            return loader.construct_object(node)
        except _ODD_SCALARS as error:
            raise _marked(f"cannot read the value {node.value[:40]!r}", node) from error
    raise _marked(f"found the tag {node.tag!r}", node)


def _plain_mapping(
    loader: _Loader, node: yaml.MappingNode, location: Location, lines: dict[Location, int]
) -> dict[str, Any]:
    """Return a mapping node as a dict; its keys must be text and differ."""
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != f"{_PLAIN}str":
            raise _marked("found a key that is not plain text", key_node)
        key = key_node.value
        if key in result:
            raise _marked(f"the key {key!r} is given twice (first on line {lines[*location, key]})", key_node)
        lines[*location, key] = key_node.start_mark.line + 1
        result[key] = _plain(loader, value_node, (*location, key), lines)
    return result


def _marked(problem: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _syntax_error(error: yaml.YAMLError, text: str, name: str) -> ProjectError:
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = ", ".join(part for part in (error.context, error.problem) if part)
    else:
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position if isinstance(position, int) else 0) + 1
        problem = "found a character that may not stand in a text file"
    colour = _UNQUOTED_COLOUR.search(text)
    if colour is not None:
        line = text.count("\n", 0, colour.start()) + 1
    return ProjectError(
        f"{name}, line {line}: {problem}.",
        expected="plain YAML: keys, colons and values, indented with spaces; no aliases or tags",
        remedy=_syntax_remedy(problem, colour is not None),
    )


def _syntax_remedy(problem: str, colour_unquoted: bool) -> str:
    if "twice" in problem:
        return "Keep one of the two."
    if "\\t" in problem:
        return "Indent with spaces, not tabs."
    if colour_unquoted:
        return 'Put colours in quotes: colour: "#d7191c" (without quotes, # starts a comment).'
    return "Check the colon, indentation and brackets there; put text with special characters in quotes."
