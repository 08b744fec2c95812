"""What the server answers to a path: one of a fixed table of things. No path from outside reaches the file system."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from crispmap.errors import CrispmapError
from crispmap.viewer.errors_layer import worst_places
from crispmap.viewer.layers import Layer
from crispmap.viewer.points import facts_at
from crispmap.viewer.tiles import TileCache, TilePlace
from crispmap.viewer.view import View, facts_of

PAGE_FILES: Mapping[str, str] = {
    "index.html": "text/html; charset=utf-8",
    "viewer.js": "text/javascript; charset=utf-8",
    "viewer.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "licences.txt": "text/plain; charset=utf-8",
}
"""The files of the page and their media types."""

_NUMBER = r"(0|[1-9]\d{0,8})"
_TILE = re.compile(rf"tiles/(l\d{{1,5}})/[0-9a-f-]{{1,400}}/{_NUMBER}/{_NUMBER}/{_NUMBER}")
_POINT = re.compile(rf"point/{_NUMBER}/{_NUMBER}")
_WORST = re.compile(r"worst/(l\d{1,5})")
_FOREVER = "private, max-age=31536000, immutable"
_NEVER = "no-store"


@dataclass(frozen=True)
class Answer:
    """An answer to a request."""

    status: int
    kind: str = "text/plain; charset=utf-8"  # its media type
    content: bytes = b""
    caching: str = _NEVER


NOT_FOUND = Answer(404, content=b"There is nothing here.\n")


class Answers:
    """Answers to paths, of one view. Threads may ask at once."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._tiles = TileCache(view.pyramid)
        self._lock = threading.Lock()
        self._worst: dict[tuple[str, str], Answer] = {}

    def to(self, path: str) -> Answer:
        """Return the answer to a path that comes after the token; what is not in the table is not found."""
        try:
            return self._looked_up(path)
        except CrispmapError as error:  # a file that is gone, or damaged: the page says which
            return _json({"problem": str(error)}, status=410)

    def _looked_up(self, path: str) -> Answer:
        if path in ("", *PAGE_FILES):
            name = path or "index.html"
            return Answer(200, PAGE_FILES[name], page_file(name), "no-cache")
        if path == "view.json":
            return _json(facts_of(self._view))
        if path == "alive":
            return _json(self._stamps())
        if path == "bye":
            return Answer(204)
        if found := _TILE.fullmatch(path):
            return self._tile(found)
        if found := _POINT.fullmatch(path):
            facts = facts_at(self._view, int(found[1]), int(found[2]))
            return NOT_FOUND if facts is None else _json(facts)
        if (found := _WORST.fullmatch(path)) and (layer := self._view.layer(found[1])) and layer.kind == "errors":
            return self._places(layer)
        return NOT_FOUND

    def _stamps(self) -> dict[str, str | None]:
        """Return the state of each layer's files; None where one is gone."""
        stamps: dict[str, str | None] = {}
        for layer in self._view.layers:
            try:
                stamps[layer.id] = layer.stamp()
            except CrispmapError:
                stamps[layer.id] = None
        return stamps

    def _tile(self, found: re.Match[str]) -> Answer:
        layer = self._view.layer(found[1])
        if layer is None:
            return NOT_FOUND
        place = TilePlace(int(found[2]), int(found[3]), int(found[4]))
        picture = self._tiles.tile(layer, place)
        return NOT_FOUND if picture is None else Answer(200, picture.kind, picture.content, _FOREVER)

    def _places(self, layer: Layer) -> Answer:
        key = layer.id, layer.stamp()
        with self._lock:  # two that ask at once need not both count
            if key not in self._worst:
                self._worst[key] = _json(places_of(self._view, layer))
            return self._worst[key]


def places_of(view: View, layer: Layer) -> list[dict[str, Any]]:
    """Return the worst places of a layer of errors as plain values."""
    return [
        {"row": one.block.row, "col": one.block.col, "height": one.block.height, "width": one.block.width,
         "missed": one.missed, "false": one.false, "wrong": one.wrong}
        for one in worst_places(layer.source, view.pyramid)
    ]  # fmt: skip


@cache
def page_file(name: str) -> bytes:
    """Return a file of the page."""
    return (resources.files("crispmap.viewer") / "static" / name).read_bytes()


def _json(value: Any, *, status: int = 200) -> Answer:
    return Answer(status, "application/json", json.dumps(value, allow_nan=False).encode())
