"""What the server answers to a path: one of a fixed table of things. No path from outside reaches the file system."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

from crispmap.errors import CrispmapError
from crispmap.viewer.answer import FAREWELL, NOT_FOUND, Answer, json_answer, page_answer
from crispmap.viewer.errors_layer import worst_places
from crispmap.viewer.layers import Layer
from crispmap.viewer.points import facts_at
from crispmap.viewer.tiles import TileCache, TilePlace
from crispmap.viewer.view import View, facts_of

_FOREVER = "private, max-age=31536000, immutable"


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
            return json_answer({"problem": str(error)}, status=410)

    def _looked_up(self, path: str) -> Answer:
        if (page := page_answer(path)) is not None:
            return page
        for pattern, answer in _TABLE:
            if found := pattern.fullmatch(path):
                return answer(self, *found.groups()) or NOT_FOUND
        return NOT_FOUND

    def _facts(self) -> Answer:
        return json_answer(facts_of(self._view))

    def _farewell(self) -> Answer:
        return FAREWELL

    def _point(self, col: str, row: str) -> Answer | None:
        facts = facts_at(self._view, int(col), int(row))
        return None if facts is None else json_answer(facts)

    def _stamps(self) -> Answer:
        """Return the state of each layer's files; null where one is gone."""
        stamps: dict[str, str | None] = {}
        for layer in self._view.layers:
            try:
                stamps[layer.id] = layer.stamp()
            except CrispmapError:
                stamps[layer.id] = None
        return json_answer(stamps)

    def _tile(self, name: str, *place: str) -> Answer | None:
        layer = self._view.layer(name)
        picture = None if layer is None else self._tiles.tile(layer, TilePlace(*map(int, place)))
        return None if picture is None else Answer(200, picture.kind, picture.content, _FOREVER)

    def _places(self, name: str) -> Answer | None:
        layer = self._view.layer(name)
        if layer is None or layer.kind != "errors" or layer.coarsest is not None:
            return None
        key = layer.id, layer.stamp()
        with self._lock:  # two that ask at once need not both count
            if key not in self._worst:
                self._worst[key] = json_answer(places_of(self._view, layer))
            return self._worst[key]


_NUMBER = r"(0|[1-9]\d{0,8})"
_TABLE: tuple[tuple[re.Pattern[str], Callable[..., Answer | None]], ...] = (
    (re.compile(r"view\.json"), Answers._facts),
    (re.compile(r"alive"), Answers._stamps),
    (re.compile(r"bye"), Answers._farewell),
    (re.compile(rf"tiles/(l\d{{1,5}})/[0-9a-f-]{{1,400}}/{_NUMBER}/{_NUMBER}/{_NUMBER}", re.ASCII), Answers._tile),
    (re.compile(rf"point/{_NUMBER}/{_NUMBER}", re.ASCII), Answers._point),
    (re.compile(r"worst/(l\d{1,5})", re.ASCII), Answers._places),
)


def places_of(view: View, layer: Layer) -> list[dict[str, Any]]:
    """Return the worst places of a layer of errors as plain values."""
    return [
        {"row": one.block.row, "col": one.block.col, "height": one.block.height, "width": one.block.width,
         "missed": one.missed, "false": one.false, "wrong": one.wrong}
        for one in worst_places(layer.source, view.pyramid)
    ]  # fmt: skip
