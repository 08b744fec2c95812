"""Changes to the text of a project file."""

from __future__ import annotations

from pathlib import Path


def change(project: Path, *replacements: tuple[str, str]) -> Path:
    """Replace every text of each pair, which must be there, by the other; return the project."""
    text = project.read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    project.write_text(text)
    return project
