"""The bar on a terminal: one line as wide as the terminal, gone or a plain line when it ends; silent in a pipe."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from crispmap.cli import progress as module
from crispmap.cli.progress import TerminalProgress
from crispmap.events import progress

WIDTHS = (40, 80, 120, 200)
CONTROL = re.compile(r"\x1b\[[?0-9;]*[a-zA-Z]")


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it."""

    def isatty(self) -> bool:
        return True

    def frames(self) -> list[str]:
        """Return everything that stood in the line of the cursor, in order."""
        return [line for line in re.split(r"[\r\n]+", CONTROL.sub("", self.getvalue())) if line]


def terminal_of(width: int) -> tuple[Terminal, TerminalProgress]:
    file = Terminal()
    return file, TerminalProgress(Console(file=file, width=width, force_terminal=True, color_system="standard"))


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Give a clock that stands still until it is moved."""
    now = [1000.0]

    def pass_time(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return pass_time


def training(events: TerminalProgress, pass_time: Callable[[float], None]) -> None:
    with progress(events, "coarse network", 4000, "steps", done=1000) as running:
        for _ in range(4):
            pass_time(10)
            running.advance(50, loss=0.512, mean_iou=0.25)
        pass_time(20)
        running.summary = "validation mean IoU 0.71"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_line_fills_the_terminal_and_never_breaks(width: int, pass_time: Callable[[float], None]) -> None:
    file, events = terminal_of(width)
    training(events, pass_time)
    *bars, line = file.frames()
    assert {len(bar) for bar in bars} == {width - 2}
    assert all(bar.startswith("coarse network  ━") or bar.startswith("coarse network  ╸") for bar in bars)
    assert line == "coarse network: 4,000 steps, 1 min 00 s, validation mean IoU 0.71"


@pytest.mark.parametrize(
    ("width", "facts"),
    [
        (60, "1,200/4,000 steps  9:20 left"),
        (80, "1,200/4,000 steps  5.0/s  mean IoU 0.250  9:20 left"),
        (200, "1,200/4,000 steps  5.0/s  loss 0.512  mean IoU 0.250  9:20 left"),
    ],
)
def test_what_does_not_fit_is_left_out_the_least_important_first(
    width: int, facts: str, pass_time: Callable[[float], None]
) -> None:
    file, events = terminal_of(width)
    training(events, pass_time)
    assert any(bar.endswith(f"━  {facts}") for bar in file.frames())


@pytest.mark.parametrize("width", [80, 200])
def test_pixels_are_shown_in_millions(width: int, pass_time: Callable[[float], None]) -> None:
    file, events = terminal_of(width)
    with progress(events, "map", 16_800_000) as running:
        pass_time(6)
        running.advance(8_400_000)
        pass_time(6)
    assert any(bar.endswith("8.4/16.8 Mpx  1.4/s  0:06 left") for bar in file.frames())
    assert file.frames()[-1] == "map: 16.8 million pixels, 12 s"


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("name", ["a{b}.tif", "{0}.tif", "[b]x[/b].tif", "数" * 90])
def test_notes_stand_in_the_bar_until_more_is_done(width: int, name: str, pass_time: Callable[[float], None]) -> None:
    file, events = terminal_of(width)
    events.note("before")
    with progress(events, "map", 4) as running:
        running.note(f"Writing {name}")
        noted = file.frames()[-1]
        pass_time(1)
        running.advance(2)
        assert file.frames()[-1].startswith("map  ")
    assert noted.startswith(f"Writing {name}"[:20])
    assert "━" in noted
    assert file.frames()[0] == "before"
    assert file.frames()[-1] == "map: 4 pixels, 1.0 s"


def test_messages_stand_above_the_bar() -> None:
    file, events = terminal_of(80)
    with progress(events, "map", 4):
        events._console.print("warning: a message")
    frames = file.frames()
    assert frames[frames.index("warning: a message") + 1].startswith("map  ━")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_a_failure_nothing_is_left_of_the_bar(error: type[BaseException]) -> None:
    file, events = terminal_of(80)
    with pytest.raises(error), progress(events, "map", 4):
        raise error
    assert file.getvalue().endswith("\x1b[1A\x1b[2K")  # up, and the line erased
    assert file.getvalue().count("\x1b[?25l") == file.getvalue().count("\x1b[?25h") == 1  # the cursor is back


def test_a_fast_loop_is_drawn_ten_times_a_second(pass_time: Callable[[float], None]) -> None:
    file, events = terminal_of(80)
    with progress(events, "map", 100_000) as running:
        for _ in range(1000):
            pass_time(0.001)
            running.advance(1)
    assert len(file.frames()) < 20


@pytest.mark.parametrize("unit", ["steps", "pixels"])
def test_nothing_to_do_and_one_thing_to_do_are_shown_too(unit: str) -> None:
    for total in (0, 1):
        file, events = terminal_of(80)
        with progress(events, "map", total, unit):
            pass
        assert file.frames()[-1].startswith(f"map: {total} {unit}, ")


def test_in_a_pipe_only_notes_between_tasks_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    events = TerminalProgress()
    events.note("[b]fcn-rnn: training")
    with progress(events, "map", 4) as running:
        running.advance(2, loss=0.5)
        running.note("Writing map.tif")
    assert capsys.readouterr() == ("", "[b]fcn-rnn: training\n")


INTERRUPTED = """
import time
from crispmap.cli.console import notify
from crispmap.cli.progress import TerminalProgress
from crispmap.events import progress
try:
    with progress(TerminalProgress(), "map", 4):
        time.sleep(60)
except KeyboardInterrupt:
    notify("Interrupted.")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
def test_ctrl_c_leaves_the_terminal_whole(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, script], stderr=theirs, stdout=subprocess.PIPE, env={**os.environ, "TERM": "xterm"}
    ) as child:
        os.close(theirs)
        written = b""
        while b"0/4" not in written:
            written += os.read(ours, 1 << 16)
        child.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        while b"Interrupted." not in written and time.monotonic() < deadline:
            written += os.read(ours, 1 << 16)
        output, _ = child.communicate(timeout=30)
    os.close(ours)
    assert output == b""
    assert b"\x1b[?25h" in written
    assert b"\x1b[2KInterrupted." in written
