"""The package is built as ARCHITECTURE.md says, and every name it exports is there.

That importing it and its help load neither torch nor rasterio is tested in test_grid.py and cli/test_cli_main.py.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

import crispmap

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "crispmap"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


EXPORTING = sorted(
    module_of(path) for path in PACKAGE.rglob("*.py") if "\n__all__ = [" in path.read_text(encoding="utf-8")
)


def kind_and_name(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by name: the order the linter keeps."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


@pytest.mark.parametrize("name", EXPORTING)
def test_exported_names_are_sorted_and_there(name: str) -> None:
    module = importlib.import_module(name)
    assert sorted(set(module.__all__), key=kind_and_name) == list(module.__all__)
    assert [one for one in module.__all__ if not hasattr(module, one)] == []


def test_the_version_stands_in_one_place_and_is_the_newest_entry_in_the_changes() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\d+\.\d+\.\d+)", changes, re.MULTILINE)
    assert newest is not None
    assert crispmap.__version__ == importlib.metadata.version("crispmap") == newest[1]
    assert "version" not in PROJECT["project"]  # it is read from the package


def test_the_page_shows_the_layers_that_are_held() -> None:
    (contract,) = (one for one in PROJECT["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    held = [layer.replace("crispmap.", "") for layer in contract["layers"]]
    (shown,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert shown.splitlines() == held
    there = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {name for layer in held for name in layer.split(" | ")} == there - {"__init__", "__main__"}


def test_the_page_lists_every_module_and_folder() -> None:
    listed = set(re.findall(r"^\| `([\w.]+/?)` \|", PAGE, re.MULTILINE))
    modules = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    folders = {f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
    assert listed == modules | folders


def test_files_the_page_names_are_there() -> None:
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE)
    assert len(named) > 10
    assert [name for name in named if not (PACKAGE / name).exists()] == []
