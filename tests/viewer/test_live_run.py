"""What is known of a run from its events, and how they reach the process that shows it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crispmap.events import FilesUnderWay, Listeners, progress
from crispmap.viewer.live.sender import LiveSender
from crispmap.viewer.live.state import LiveRun, thinned

FILES = FilesUnderWay((Path("a.tif"), Path("b.tif")), (None, "[]"), Path("blocks"), 64, (3, 4), (1, 0, 0, 0, -1, 0))


def read_from(pipe: int) -> bytes:
    os.set_blocking(pipe, False)
    read = b""
    try:
        while part := os.read(pipe, 65536):
            read += part
    except BlockingIOError:
        pass
    return read


def events(read: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read.splitlines()]


def test_events_of_a_run_arrive_and_tell_how_it_goes() -> None:
    source, target = os.pipe()
    sender = LiveSender(target)
    with progress(Listeners(sender), "refiner", 40, "steps", done=10) as running:
        running.measure(10, loss=0.5)
        running.write(FILES)
        running.advance(10, loss=0.4)
        running.measure(20, loss=0.4, val_mean_iou=0.25, learning_rate=1e-3, val_accuracy=float("nan"))
        running.advance(20)
        running.summary = "validation mean IoU 0.25"
    sender.note("https://user:secret@example.org/scene.tif is read")
    sender.ended("done", "")
    run = LiveRun("train")
    for event in events(read_from(source)):
        run.take(event)
    facts = run.facts(0)
    (task,) = facts["tasks"]
    assert (task["title"], task["done"], task["total"], task["unit"]) == ("refiner", 40, 40, "steps")
    assert (task["ended"], task["summary"]) == ("done", "validation mean IoU 0.25")
    assert facts["ending"] == "done"
    assert "secret" not in json.dumps(facts)
    (curves,) = facts["curves"]
    assert curves["curves"] == [
        {"name": "loss", "points": [(10, 0.5), (20, 0.4)]}, {"name": "mean IoU", "points": [(20, 0.25)]}
    ]  # fmt: skip
    assert run.facts(facts["revision"])["curves"] is None
    assert run.files == {
        "files": ["a.tif", "b.tif"], "classes": [None, "[]"], "folder": "blocks", "block_px": 64, "shape": [3, 4],
        "transform": [1, 0, 0, 0, -1, 0],
    }  # fmt: skip
    for one in (source, target):
        os.close(one)


def test_the_rate_is_of_what_was_done_lately_in_this_run() -> None:
    run = LiveRun("predict")
    run.take({"event": "started", "time": 100.0, "title": "map", "total": 1000, "unit": "pixels"})
    for second in range(11):
        run.take({"event": "advanced", "time": 100.0 + second, "done": 500 + 20 * second})
    assert run.facts(0)["tasks"][0]["rate"] == pytest.approx(20)


@pytest.mark.parametrize("how", ["failed", "interrupted"])
def test_a_run_that_says_how_it_ended_is_believed_and_one_that_is_silent_was_killed(how: str) -> None:
    said, silent = LiveRun("train"), LiveRun("train")
    said.take({"event": "ended", "time": 1.0, "how": how, "text": "why"})
    for run in (said, silent):
        run.lose()
    assert (said.ending, said.facts(0)["text"]) == (how, "why")
    assert silent.ending == "interrupted"


@pytest.mark.parametrize("event", [{}, {"event": "other"}, {"event": "advanced", "done": 3}, {"event": "finished"}])
def test_events_of_other_kinds_and_out_of_order_are_left_alone(event: dict[str, Any]) -> None:
    run = LiveRun("train")
    run.take(event)
    assert run.facts(0)["tasks"] == []


@given(st.lists(st.tuples(st.integers(), st.floats(allow_nan=False)), max_size=2000))
def test_curves_are_thinned_to_points_that_were_measured(points: list[tuple[int, float]]) -> None:
    kept = thinned(points)
    assert len(kept) <= 300
    assert kept[-1:] == points[-1:]
    assert len(points) > 300 or kept == points
    waiting = iter(points)
    assert all(one in waiting for one in kept)  # in their order


def test_a_process_that_does_not_read_delays_nothing_and_misses_nothing_that_counts() -> None:
    source, target = os.pipe()
    sender = LiveSender(target)
    begun = time.monotonic()
    sender.started("map", 10**6, "pixels")
    for step in range(5000):
        sender.measured(step, loss=1.0)
        sender.advanced(step)
    assert time.monotonic() - begun < 5
    read = read_from(source)
    sender.finished("")
    while b"finished" not in read:
        read += read_from(source)
        sender.note("")
    read += read_from(source)
    assert [one["at"] for one in events(read) if one["event"] == "measured"] == list(range(5000))
    for one in (source, target):
        os.close(one)


def test_a_process_that_is_gone_is_no_error() -> None:
    source, target = os.pipe()
    sender = LiveSender(target)
    os.close(source)
    with progress(sender, "map", 4) as running:
        running.advance(4)
    os.close(target)
