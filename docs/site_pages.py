"""What mkdocs shows: the project's own pages where they lie, and pages made from the command and the public door.

Pages keep their paths in the project, so that links between them hold on a web site and in a checkout alike.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from typer.testing import CliRunner

import crispmap
from crispmap.cli.main import VERBS, app

ROOT = Path(__file__).resolve().parents[1]
TOP = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/RESULTS.md")
COMMANDS, PYTHON = "docs/commands.md", "docs/python.md"
_NO_PAGE = re.compile(r"\[([^\]]+)\]\((?:LICENSE|\.\./LICENSE)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Return the pages at the top of the project, those of ``docs`` and the two that are made, with the theme's."""
    found = [file for file in files if not file.src_uri.endswith((".md", ".py", ".png"))]
    shown = [*TOP, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.[mp][dn]*")))]
    for path in shown:
        found.append(File(path, str(ROOT), config.site_dir, config.use_directory_urls))
    found.append(File.generated(config, COMMANDS, content=commands_page()))
    found.append(File.generated(config, PYTHON, content=python_page()))
    return Files(found)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the text with links to what is no page as plain words."""
    return _NO_PAGE.sub(r"\1", markdown)


def commands_page() -> str:
    """Return the help of every verb."""
    parts = [
        "# Commands",
        "What `crispmap VERB --help` says of each. The [guide](guide.md#the-verbs-one-by-one) explains them.",
        f"```text\n{_help()}\n```",
    ]
    for name, verb in VERBS.items():
        parts += [f"## {name}", f"{verb.summary}\n\n```text\n{_help(name)}\n```"]
    return "\n\n".join(parts) + "\n"


def _help(*verb: str) -> str:
    shown = CliRunner().invoke(app, [*verb, "--help"], prog_name="crispmap", terminal_width=82)
    if shown.exit_code:
        raise RuntimeError(shown.output)
    return shown.output.strip()


def python_page() -> str:
    """Return a page of all public names, whose docstrings are read from the source."""
    parts = [
        "# Python",
        "All that `import crispmap` offers; every function is loaded when it is first used. The "
        "[guide](guide.md#from-python) shows them at work, [conventions](conventions.md) tell axes and units.",
    ]
    names: list[Any] = sorted(set(crispmap.__all__) - {"__version__"}, key=str.lower)
    parts += [f"::: crispmap.{name}" for name in names]
    parts += ["::: crispmap.xarray"]
    return "\n\n".join(parts) + "\n"
