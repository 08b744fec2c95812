"""Standard output and standard error, whatever stands behind them.

A work does not fail, and loses no file, because nobody can read what it says: a closed stream, a pipe whose reader has
gone, a full disk, or a terminal whose encoding lacks a letter.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

_NOBODY_READS = (errno.EPIPE, errno.EBADF)


class _Guarded(io.FileIO):
    """A file descriptor that takes what cannot be written as written."""

    failure: OSError | None = None  # why something is lost that somebody may miss

    def write(self, data: Any) -> int:
        """Write, or drop what cannot be written."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _NOBODY_READS:
                self.failure = error
            return len(data)


def guard_streams() -> None:
    """Make standard output and error streams that never fail, and take the numbers of closed ones.

    Otherwise the next file that is opened, such as a map, would have the number of a closed stream, and libraries would
    write their messages into it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout, sys.stderr = _guarded(sys.stdout, 1), _guarded(sys.stderr, 2)


def lost_output() -> str:
    """Flush standard output; return why some of it is lost, or "" where nothing is that anybody could read."""
    sys.stdout.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    failure = raw.failure if isinstance(raw, _Guarded) else None
    return "" if failure is None else str(failure.strerror)


def _guarded(stream: Any, number: int) -> io.TextIOWrapper:
    """Return a stream in place of another, which is None where it was closed; letters it lacks are escaped."""
    if stream is not None:
        stream.flush()
    raw = _Guarded(number, "w", closefd=False)
    encoding = getattr(stream, "encoding", None) or "utf-8"
    lines = number == 2 or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=lines)
