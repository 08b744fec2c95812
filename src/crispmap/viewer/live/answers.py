"""What the server of a run under way answers: how it goes, and what its present view has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from crispmap.viewer.answer import FAREWELL, NOT_FOUND, Answer, Answering, json_answer, page_answer
from crispmap.viewer.live.state import LiveRun

if TYPE_CHECKING:
    from crispmap.viewer.growing import GrowingMaps

_ASKED = re.compile(r"live/(0|[1-9]\d{0,8})/(0|[1-9]\d{0,8})/(0|[1-9]\d{0,8})", re.ASCII)
_BEFORE = {"view.json": json_answer({"preparing": True, "live": 0}), "alive": json_answer({})}
"""Answers while the first view is put together."""


class LiveAnswers:
    """Answers to paths: of the run at once, of its view once there is one, which changes with what the run makes."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._view: Answering | None = None
        self._growing: GrowingMaps | None = None
        self._number, self._is_last = 0, False

    def show(self, view: Answering, growing: GrowingMaps | None, number: int, *, is_last: bool) -> None:
        """Answer from now on with a view, the ``number``-th, and its maps that grow."""
        self._view, self._growing, self._number, self._is_last = view, growing, number, is_last

    def to(self, path: str) -> Answer:
        """Return the answer to a path that comes after the token; see ``Answering``."""
        if (page := page_answer(path)) is not None:
            return page
        if asked := _ASKED.fullmatch(path):
            return json_answer(self._facts(*map(int, asked.groups())))
        if path == "bye":
            return FAREWELL
        if (view := self._view) is not None:
            return view.to(path)
        return _BEFORE.get(path, NOT_FOUND)

    def _facts(self, number: int, since: int, revision: int) -> dict[str, Any]:
        """Return how the run goes, and the blocks that were finished since, where the page shows this view."""
        facts = self._run.facts(revision)
        growing, same = self._growing, number == self._number
        blocks = _blocks(growing, since if same else 0) if growing is not None else None
        return facts | {"view": self._number, "last": self._is_last, "blocks": blocks}


def _blocks(growing: GrowingMaps, since: int) -> dict[str, Any]:
    blocks = growing.blocks
    blocks.look()
    return {"shape": blocks.shape, "side": blocks.files.block_px, "pixels": blocks.files.shape,
            "since": since, "found": blocks.found[since:]}  # fmt: skip
