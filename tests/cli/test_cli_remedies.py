"""Remedies name arguments in Python's words; the command line shows them as its options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

import crispmap
from crispmap.cli.failures import in_options
from crispmap.cli.main import VERBS, app

SOURCE = Path(crispmap.__file__).parent
ARGUMENT = re.compile(r"(?<![\w.-])[a-z_]+=(?:True\b|(?=[\s.,;:)]|$))")
"""An argument that a remedy names, such as ``force=True`` or ``classes=``."""


PYTHON_ONLY = ("arrays.py", "own_module.py")
"""What they check is never given on the command line."""


def remedies() -> Iterator[tuple[str, str]]:
    """Every text of the library that says what is expected or what to do, with the file it is in."""
    for path in SOURCE.rglob("*.py"):
        if path.relative_to(SOURCE).parts[0] not in ("cli", "api") and path.name not in PYTHON_ONLY:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.keyword) and node.arg in ("remedy", "expected"):
                    parts = [one for one in ast.walk(node.value) if isinstance(one, ast.Constant | ast.FormattedValue)]
                    texts = (str(one.value) if isinstance(one, ast.Constant) else "0" for one in parts)
                    yield path.name, "".join(texts)


@pytest.fixture(scope="module")
def options() -> set[str]:
    """The options of all verbs."""
    pages = (CliRunner().invoke(app, [verb, "--help"]).output for verb in VERBS)
    return {option for page in pages for option in re.findall(r"--[a-z][a-z0-9-]*", page)}


def test_every_argument_that_a_remedy_names_is_an_option_of_a_verb(options: set[str]) -> None:
    found = 0
    for name, text in remedies():
        shown = in_options(text)
        assert not ARGUMENT.search(shown), (name, shown)
        if shown != text:
            found += 1
            own = re.sub(r"rio edit-info [^;]*", "", shown)  # the options of rasterio's command are its own
            assert set(re.findall(r"(?<!\w)--[a-z][a-z0-9-]*", own)) <= options, (name, shown)
    assert found > 20


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("choose another name, or replace it with force=True", "choose another name, or replace it with --force"),
        (
            "give resume=True to go on, or force=True to train again",
            "give --resume to go on, or --force to train again",
        ),
        ("Write them like bands=3,2,1; info lists them.", "Write them like --bands 3,2,1; info lists them."),
        ("Give the CRS as assume_crs=EPSG:...", "Give the CRS as --assume-crs EPSG:..."),
        ("Choose bands (bands=, or scene: bands:).", "Choose bands (--bands, or scene: bands:)."),
        ("make blocks smaller with block_px=; wait", "make blocks smaller with --block; wait"),
        ("such as gsd_m=0.3.", "such as --gsd-m 0.3."),
        ("Write a rule such as building=*, or [highway=road]", "Write a rule such as building=*, or [highway=road]"),
    ],
)
def test_arguments_are_shown_as_options(text: str, shown: str) -> None:
    assert in_options(text) == shown
