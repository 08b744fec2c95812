"""An answer to a request, and the files of the page: what a server has at hand before anything is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol

PAGE_FILES: Mapping[str, str] = {
    "index.html": "text/html; charset=utf-8",
    "viewer.js": "text/javascript; charset=utf-8",
    "viewer.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "licences.txt": "text/plain; charset=utf-8",
}
"""The files of the page and their media types."""


@dataclass(frozen=True)
class Answer:
    """An answer to a request."""

    status: int
    kind: str = "text/plain; charset=utf-8"  # its media type
    content: bytes = b""
    caching: str = "no-store"


NOT_FOUND = Answer(404, content=b"There is nothing here.\n")
FAREWELL = Answer(204)


class Answering(Protocol):
    """What has an answer to every path; threads may ask at once."""

    def to(self, path: str) -> Answer:
        """Return the answer to a path that comes after the token; what is not in its table is not found."""


def page_answer(path: str) -> Answer | None:
    """Return a file of the page; None where the path is none."""
    name = path or "index.html"
    return Answer(200, PAGE_FILES[name], page_file(name), "no-cache") if name in PAGE_FILES else None


@cache
def page_file(name: str) -> bytes:
    """Return a file of the page."""
    return (resources.files("crispmap.viewer") / "static" / name).read_bytes()


def json_answer(value: Any, *, status: int = 200) -> Answer:
    """Return plain values as an answer."""
    return Answer(status, "application/json", json.dumps(value, allow_nan=False).encode())
