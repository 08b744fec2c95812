"""The server of a view: for this machine alone, for those who know its token, and for nothing but reading."""

from __future__ import annotations

import errno
import hmac
import secrets
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from crispmap.errors import InputError
from crispmap.viewer.answer import NOT_FOUND, Answer, Answering

ADDRESS = "127.0.0.1"
_TOKEN_BYTES = 16
_MOST_CONNECTIONS = 64  # at once; others wait in the queue of the system
_QUEUE = 1024
_IDLE_S = 20.0  # after which a connection that says nothing is closed
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def _with_pictures_of(outside: str) -> dict[str, str]:
    """Return the headers that let the page show pictures of another server."""
    policy = _HEADERS["Content-Security-Policy"].replace("img-src 'self'", f"img-src 'self' {outside}")
    return {**_HEADERS, "Content-Security-Policy": policy}


class ViewServer(ThreadingHTTPServer):
    """Serves the answers of a view on a port of this machine.

    Args:
        outside: A server elsewhere whose pictures the page may show; by default it may ask nobody else.

    Raises:
        InputError: If the port is taken or may not be used.
    """

    daemon_threads = True
    allow_reuse_address = False
    request_queue_size = _QUEUE

    def __init__(self, answers: Answering, port: int = 0, *, outside: str | None = None) -> None:
        self.answers, self.token = answers, secrets.token_urlsafe(_TOKEN_BYTES)
        self.presence = Presence()
        self.headers = _HEADERS if outside is None else _with_pictures_of(outside)
        self._room = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            why = "is taken by another program" if error.errno == errno.EADDRINUSE else "may not be used"
            raise InputError(
                f"Port {port} {why}.", expected="a free port",
                remedy="Give another one, or none: then a free one is chosen.",
            ) from error  # fmt: skip

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://{ADDRESS}:{self.port}/{self.token}/"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread of its own, once there is room for it."""
        self._room.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, then make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that were broken off."""


class Presence:
    """Whether the page is open: it says so now and then, and when it is closed."""

    def __init__(self) -> None:
        self._seen, self._left = 0.0, False

    def note(self, path: str) -> None:
        """Note a request of the page."""
        self._seen, self._left = time.monotonic(), path == "bye"

    @property
    def was_seen(self) -> bool:
        """Whether a page was ever open."""
        return bool(self._seen)

    def is_over(self, patience_s: float, farewell_s: float) -> bool:
        """Return whether a page was open, and is not any more: after a farewell, or long silence."""
        if not self._seen:
            return False
        return time.monotonic() - self._seen > (farewell_s if self._left else patience_s)


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: ViewServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "crispmap", ""
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body leave together
    timeout = _IDLE_S

    def parse_request(self) -> bool:
        """Read a request; refuse all but GET, and those that were meant for another host."""
        if not super().parse_request():
            return False
        if self.command != "GET":
            self.close_connection = True
            self._send(Answer(405, content=b"Only GET is answered.\n"), {"Allow": "GET"})
            return False
        if not self._is_for_us():
            self.close_connection = True
            self._send(Answer(403, content=b"This address is not served.\n"))
            return False
        return True

    def do_GET(self) -> None:
        """Answer."""
        path = urlsplit(self.path).path if self.path.startswith("/") else ""
        token, slash, rest = path.removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._send(NOT_FOUND)
            return
        self.server.presence.note(rest)
        self._send(self.server.answers.to(rest))

    def _is_for_us(self) -> bool:
        """Return whether a request names this server: a page elsewhere may point a name of its own at it."""
        hosts = self.headers.get_all("Host") or []
        known = [f"{name}:{self.server.port}" for name in (ADDRESS, "localhost")]
        if len(hosts) != 1 or hosts[0].lower() not in known:
            return False
        origin = self.headers.get("Origin")
        return origin is None or origin in [f"http://{one}" for one in known]

    def _send(self, answer: Answer, more: dict[str, str] | None = None) -> None:
        self.request_version = "HTTP/1.1"  # whatever was asked in: the oldest has no head
        self.send_response(answer.status)
        for name, value in {**self.server.headers, "Cache-Control": answer.caching, **(more or {})}.items():
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.content)
        self.wfile.flush()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is none, without saying anything of it."""
        self.close_connection = True
        self.command = getattr(self, "command", None) or "GET"
        self._send(Answer(code, content=b"This is no request.\n"))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: what is looked at is nobody's business."""


def wait_until_over(server: ViewServer, patience_s: float, farewell_s: float) -> None:
    """Serve until the page has been closed for a while; Ctrl-C ends it at once."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
    thread.start()
    try:
        while not server.presence.is_over(patience_s, farewell_s):
            time.sleep(0.2)
    finally:
        server.shutdown()
        server.server_close()


def is_taken(port: int) -> bool:
    """Return whether something listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex((ADDRESS, port)) == 0
