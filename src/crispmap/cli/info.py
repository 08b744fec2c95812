"""The verb ``info``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import ForceOption
from crispmap.errors import InputError
from crispmap.files.atomic import check_free

if TYPE_CHECKING:
    from crispmap.project.describe import FileFacts
    from crispmap.project.label_view import LabelsOfScene

_MOST_NUMBERS = 30  # of a table of numbers are printed
_FILE = "A scene, class map, model, vector or project file; or the address of a raster or vectors."


def info(
    file: Annotated[Path, typer.Argument(metavar="FILE", help=_FILE)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_stac: Annotated[
        bool, typer.Option("--stac", help="Print the STAC item of a class map or a model, as JSON.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw the scenes of a project beside their labels.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Show what a file holds: a scene, a class map, a model, vectors or a project."""
    from crispmap.project.describe import ProjectFacts, describe

    if picture is not None:
        check_free(picture, force=force)
    if as_stac:
        if picture is not None:
            raise InputError(
                "Both a STAC item and a picture are asked for.", expected="one of them: only projects have a picture",
                remedy="Leave --stac or --picture out.",
            )  # fmt: skip
        from crispmap.catalogue.folder import item_of_file

        print_json(item_of_file(file))
        return
    found = describe(file)
    facts = found.to_dict()
    looked_at: list[LabelsOfScene] = []
    if isinstance(found, ProjectFacts):
        from crispmap.project.label_view import labels_of
        from crispmap.project.problems import problems_of

        facts["problems"] = [vars(one) for one in problems_of(found.project)]
        looked_at = labels_of(found.project)
    if as_json:
        print_json({**facts, **({"labels": [one.to_dict() for one in looked_at]} if looked_at else {})})
    else:
        _print_facts(facts)
        _print_labels(looked_at)
    if picture is not None:
        _draw(picture, found, looked_at, force)


def _print_labels(looked_at: Sequence[LabelsOfScene]) -> None:
    from crispmap.labels.survey import empty_class_advice

    for one in looked_at:
        if one.survey is not None:
            for line in one.survey.lines():
                print_line(line)
            if one.survey.empty_classes:
                print_line(f"  {empty_class_advice(one.survey.empty_classes, one.survey.file)}")


def _draw(picture: Path, found: FileFacts, looked_at: Sequence[LabelsOfScene], force: bool) -> None:
    from crispmap.project.describe import ProjectFacts
    from crispmap.project.label_view import write_labels_picture

    if not isinstance(found, ProjectFacts):
        raise InputError(
            f"A picture is asked for of a file that is no project: {found.kind}.", expected="a project file",
            remedy="Give the project file, or leave --picture out.",
        )  # fmt: skip
    notify(f"Drawn as {write_labels_picture(picture, looked_at, found.project.schema, force=force)}.")


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
    if _is_table(value):
        return f"{_count(value)} numbers"
    if isinstance(value, list | tuple):
        return ", ".join(_text(one) for one in value) or "none"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _is_table(value: Any) -> bool:
    """Return whether a value is numbers in rows, more than anyone reads (``--json`` has them)."""
    return isinstance(value, list | tuple) and _count(value) > _MOST_NUMBERS and isinstance(value[0], list | tuple)


def _count(value: Any) -> int:
    return sum(map(_count, value)) if isinstance(value, list | tuple) else 1
