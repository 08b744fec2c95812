"""The page of a run, started beside it by the process that does the work."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

from crispmap.events import Listener, Listeners
from crispmap.viewer.live.sender import LiveSender

_ADDRESS_WITHIN_S = 20.0
_AT_ONCE_S = 1.0  # within which the process ends where no page is open


@dataclass(frozen=True)
class LiveOptions:
    """What a page shows, and where."""

    title: str  # what is done, such as "train"
    subject: dict[str, Any] = field(default_factory=dict)  # the arguments of ``views.Subject``
    port: int = 0  # 0 for any that is free; another one where it is taken
    browser: bool = True  # whether to open the page in one


class LivePage:
    """The process that shows a run, as the run sees it. Nothing that happens to it is an error here."""

    def __init__(self, process: subprocess.Popen[bytes], pipe: IO[bytes], url: str, note: str) -> None:
        self._process, self._pipe = process, pipe
        self.url, self.note = url, note
        self.sender = LiveSender(pipe.fileno())

    @classmethod
    def start(cls, options: LiveOptions) -> LivePage | None:
        """Start the process and return once its address is known; None where it cannot be started."""
        # Away from Ctrl-C, which is for the run. -P: no module is taken from the folder the command is called in.
        command = [sys.executable, "-P", "-m", "crispmap.viewer.live.process"]
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                start_new_session=True, bufsize=0,
            )  # fmt: skip
        except OSError:
            return None
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the pipes were asked for")
        given = {"title": options.title, "subject": options.subject, "port": options.port, "browser": options.browser}
        with suppress(OSError):
            process.stdin.write(json.dumps(given).encode() + b"\n")
        line = _line_within(process.stdout, _ADDRESS_WITHIN_S)
        process.stdout.close()
        if not line:
            process.stdin.close()
            process.kill()
            process.wait()
            return None
        said = json.loads(line)
        return cls(process, process.stdin, said["url"], said["note"])

    def is_open(self) -> bool:
        """Return whether a page is still open shortly after the end of the run."""
        try:
            self._process.wait(_AT_ONCE_S)
        except subprocess.TimeoutExpired:
            return True
        self.leave()
        return False

    def wait(self) -> None:
        """Wait until no page is open any more; Ctrl-C ends it at once."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            self.end()
        self.leave()

    def end(self) -> None:
        """End the process now."""
        self._process.kill()
        self._process.wait()
        self.leave()

    def leave(self) -> None:
        """Let the process end by itself, soon."""
        with suppress(OSError):
            self._pipe.close()
        if self._process.poll() is None:
            self._process.returncode = 0  # nobody waits for it


def _line_within(source: IO[bytes], seconds: float) -> bytes:
    """Return the first line of a pipe, nothing where none comes in time."""
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(source.readline()), daemon=True)
    reader.start()
    reader.join(seconds)
    return found[0] if found else b""


@contextmanager
def followed(page: LivePage | None, listener: Listener) -> Iterator[Listener]:
    """Give the listener of a run that a page shows too, and tell the page how the work inside ended."""
    if page is None:
        yield listener
        return
    try:
        yield Listeners(listener, page.sender)
    except (KeyboardInterrupt, SystemExit) as stop:
        page.sender.ended("interrupted", " ".join(getattr(stop, "__notes__", [])))
        page.leave()
        raise
    except BaseException as error:
        page.sender.ended("failed", str(error))
        page.leave()
        raise
    page.sender.ended("done", "")
