"""A web server of one folder that gives ranges of bytes, as those of imagery do, and that can be made to fail.

It is a process of its own: GDAL holds Python's lock while it looks for files beside a raster, and a server in a thread
could not answer.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_FAILS = ".fails.json"
_ASKED = ".asked.txt"


class RangeServer:
    """A running server, as a test sees it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self._folder = folder

    def fail(self, status: int, times: int = 1_000_000) -> None:
        """Let it answer with a status, or hang up where that is 0, a number of times."""
        (self._folder / _FAILS).write_text(json.dumps([status, times]))

    def asked(self) -> list[str]:
        """Return what it has been asked for, such as ``GET /scene.tif``."""
        log = self._folder / _ASKED
        return log.read_text().splitlines() if log.exists() else []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def log_message(self, format: str, *args: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        with (self.folder / _ASKED).open("a") as log:
            log.write(f"{self.command} {self.path}\n")
        path = self.folder / self.path.partition("?")[0].lstrip("/")
        failure = self._failure()
        if failure == 0:
            self.close_connection = True
        elif failure is not None:
            self._head(failure, 0)
        elif not path.is_file():
            self._head(404, 0)
        else:
            self._give(path.read_bytes(), with_body)

    def _failure(self) -> int | None:
        control = self.folder / _FAILS
        status, times = json.loads(control.read_text()) if control.exists() else (0, 0)
        if times == 0:
            return None
        control.write_text(json.dumps([status, times - 1]))
        return int(status)

    def _give(self, content: bytes, with_body: bool) -> None:
        asked = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
            part = content[first : last + 1]
            self._head(206, len(part), {"Content-Range": f"bytes {first}-{last}/{len(content)}"})
            content = part
        else:
            tag = {} if "untold" in self.path else {"ETag": f'"{hash(content)}"'}
            self._head(200, len(content), tag)
        if with_body:
            self.wfile.write(content[: len(content) // 2] if "halved" in self.path else content)
            self.close_connection = "halved" in self.path

    def _head(self, status: int, length: int, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(length))
        for key, value in (more or {}).items():
            self.send_header(key, value)
        self.end_headers()


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[RangeServer]:
    """Serve a folder from another process, on a free port or a given one.

    What is called ``untold…`` has no ETag; ``halved…`` comes but half.
    """
    with subprocess.Popen(
        [sys.executable, __file__, str(folder), str(port)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield RangeServer(folder, int(process.stdout.readline()))
        finally:
            process.kill()


if __name__ == "__main__":
    _Handler.folder = Path(sys.argv[1])
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), _Handler) as running:
        sys.stdout.write(f"{running.server_address[1]}\n")
        sys.stdout.flush()
        running.serve_forever()
