"""The contract of progress: done never falls, ends at the total, and every task is finished exactly once."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crispmap.events import SILENT, progress
from recorder import Recorder

parts = st.lists(st.integers(0, 50), max_size=12)


@given(total=st.integers(0, 100), before=st.integers(0, 120), steps=parts)
def test_done_never_falls_and_ends_at_the_total(total: int, before: int, steps: list[int]) -> None:
    recorder = Recorder()  # it holds every call to the contract
    with progress(recorder, "a", total, "steps", done=before) as running:
        for step in steps:
            running.advance(step, loss=float(step))
        running.summary = "well"
    (task,) = recorder.tasks
    assert task.done[0] == min(before, total)
    assert task.done == sorted(task.done)
    assert (task.done[-1], task.finished, task.summary) == (total, True, "well")
    assert task.figures == ({"loss": float(steps[-1])} if steps else {})


@given(totals=parts, share=st.floats(0, 1))
def test_parts_count_toward_their_task_however_much_of_them_was_reported(totals: list[int], share: float) -> None:
    recorder = Recorder()
    with progress(recorder, "whole", sum(totals)) as whole:
        reached = 0
        for total in totals:
            with progress(whole, "part", total, done=int(total * share)) as part:
                part.note("on it")
            reached += total
            assert whole.done == reached
    assert [task.title for task in recorder.tasks] == ["whole"]
    assert recorder.notes == ["on it"] * len(totals)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_failure_ends_the_task_once_without_a_summary_where_it_was(error: type[BaseException], depth: int) -> None:
    recorder = Recorder()

    def fail_inside(events: object, levels: int) -> None:
        with progress(events, "a", 10) as running:  # type: ignore[arg-type]
            if levels > 1:
                fail_inside(running, levels - 1)
            running.advance(4)
            raise error

    with pytest.raises(error):
        fail_inside(recorder, depth)
    (task,) = recorder.tasks
    assert (task.done[-1], task.finished, task.summary) == (4, True, None)


@pytest.mark.parametrize("at", [0, 3, 10])
def test_an_error_of_the_listener_ends_the_task_too(at: int) -> None:
    def stop(done: int) -> None:
        if done >= at:
            raise RuntimeError

    recorder = Recorder(stop)
    with pytest.raises(RuntimeError), progress(recorder, "a", 10) as running:
        running.advance(3)
    assert (recorder.last.finished, recorder.last.summary) == (True, None)


def test_a_fast_loop_does_not_pay_for_it() -> None:
    count = 100_000
    begun = time.perf_counter()
    with progress(SILENT, "a", count) as running:
        for _ in range(count):
            running.advance(1)
    assert (time.perf_counter() - begun) / count < 20e-6


def test_it_needs_neither_torch_nor_a_terminal() -> None:
    code = "import sys, crispmap.events; print(*{'torch', 'rich', 'rasterio'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
