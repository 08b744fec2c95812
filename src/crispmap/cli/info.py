"""The verb ``info``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from crispmap.cli.console import print_json, print_line

_FILE = "A scene, class map, model, vector or project file; or the address of a raster or vectors."


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=_FILE)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_stac: Annotated[
        bool, typer.Option("--stac", help="Print the STAC item of a class map or a model, as JSON.")
    ] = False,
) -> None:
    """Show what a file holds: a scene, a class map, a model, vectors or a project."""
    from crispmap.project.describe import ProjectFacts, describe

    if as_stac:
        from crispmap.catalogue.folder import item_of_file

        print_json(item_of_file(file))
        return
    found = describe(file)
    facts = found.to_dict()
    if isinstance(found, ProjectFacts):
        from crispmap.project.problems import problems_of

        facts["problems"] = [vars(one) for one in problems_of(found.project)]
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)


def _print_facts(facts: dict[str, Any], indent: str = "") -> None:
    for key, value in facts.items():
        label = f"{indent}{_words(key)}:"
        if isinstance(value, dict):
            print_line(label if value else f"{label} none")
            _print_facts(value, f"{indent}  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            print_line(label)
            for one in value:
                print_line(f"{indent}  - {', '.join(f'{_words(k)} {_text(v)}' for k, v in one.items())}")
        else:
            print_line(f"{label} {_text(value)}")


def _words(key: str) -> str:
    """Return a key as words; the name of a tag, or of a class, as it is."""
    return key.replace("_", " ") if key.islower() and not re.search(r"_\d", key) else key


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value) or "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
