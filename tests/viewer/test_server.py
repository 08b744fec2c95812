"""The server of a view: what it serves, what it refuses, and that nothing brings it down."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasters_to_view import class_map, some_ids, some_image, write

from crispmap.errors import InputError
from crispmap.viewer.answers import Answers
from crispmap.viewer.run import assemble
from crispmap.viewer.server import Presence, ViewServer, wait_until_over

SECRET = b"nobody may read this"
FUZZ_S = float(os.environ.get("CRISPMAP_FUZZ_S", "3"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "secret.txt").write_bytes(SECRET)
    write(folder / "image.tif", some_image(600, 700))
    class_map(folder / "map.tif", some_ids(600, 700))
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ViewServer]:
    view = assemble([folder / "image.tif", folder / "map.tif"])
    with ViewServer(Answers(view)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: ViewServer, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def send(server: ViewServer, content: bytes) -> bytes:
    """Send bytes as they are, and return the answer."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        parts = []
        try:
            while part := connection.recv(65536):
                parts.append(part)
        except ConnectionResetError:
            pass
    return b"".join(parts)


def test_it_listens_on_this_machine_alone(server: ViewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url.startswith(f"http://127.0.0.1:{server.port}/{server.token}")


def test_the_page_and_its_tiles_are_served(server: ViewServer) -> None:
    start = f"/{server.token}/"
    status, page, headers = ask(server, start)
    assert status == 200
    assert b"viewer.js" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    facts = json.loads(ask(server, f"{start}view.json")[1])
    for layer in facts["layers"]:
        status, content, headers = ask(server, f"{start}tiles/{layer['id']}/{layer['stamp']}/0/0/0")
        assert status == 200
        assert headers["Content-Type"].startswith("image/")
        assert "immutable" in headers["Cache-Control"]
        assert int(headers["Content-Length"]) == len(content)
    assert json.loads(ask(server, f"{start}point/3/4")[1])["row"] == 4
    assert set(json.loads(ask(server, f"{start}alive")[1])) == {one["id"] for one in facts["layers"]}
    for name in ("viewer.js", "viewer.css", "icon.svg", "licences.txt"):
        assert ask(server, start + name)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"])
def test_nothing_but_get_is_answered(method: str, server: ViewServer) -> None:
    status, _, headers = ask(server, f"/{server.token}/", method)
    assert (status, headers["Allow"]) == (405, "GET")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "", "localhost"])
def test_another_host_is_refused(host: str, server: ViewServer) -> None:
    status, content, _ = ask(server, f"/{server.token}/", Host=host.format(port=server.port))
    assert status == 403
    assert server.token.encode() not in content


def test_a_host_named_twice_or_not_at_all_and_a_foreign_origin_are_refused(server: ViewServer) -> None:
    line, host = f"GET /{server.token}/ HTTP/1.1\r\n", f"Host: 127.0.0.1:{server.port}\r\n"
    assert b" 403 " in send(server, f"{line}\r\n".encode())
    assert b" 403 " in send(server, f"{line}{host}Host: evil.example\r\n\r\n".encode())
    assert b" 403 " in send(server, f"{line}{host}Origin: http://evil.example\r\n\r\n".encode())
    assert b" 200 " in send(server, f"{line}{host}Connection: close\r\n\r\n".encode())


@pytest.mark.parametrize("path", ["/", "/view.json", "/wrong/view.json", "/{token}", "/{token}x/", "*"])
def test_without_the_token_there_is_nothing(path: str, server: ViewServer) -> None:
    status, content, _ = ask(server, path.format(token=server.token))
    assert status in (400, 404)
    assert b"layers" not in content
    assert b"viewer.js" not in content


@pytest.mark.parametrize("path", [
    "../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", "static/../../secret.txt", "/etc/passwd", "//etc/passwd",
    "tiles/../secret.txt", "tiles/l0/0/0/0/../../../secret.txt", "tiles/l0/0/-1/0/0", "tiles/l0/0/0/0/999999",
    "tiles/l9/0/0/0/0", "tiles/l0/0/99/0/0", "point/-1/0", "point/1e9/0", "point/999999/0", "worst/l0", "secret.txt",
    "map.tif", "index.html/", "viewer.js%00.txt", "tiles/l0/0/٣/0/0",
])  # fmt: skip
def test_what_is_not_in_the_table_is_not_found(path: str, server: ViewServer) -> None:
    line = f"GET /{server.token}/{path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n\r\n"
    answer = send(server, line.encode())
    assert b" 404 " in answer or b" 400 " in answer
    assert SECRET not in answer
    assert b"root:" not in answer


def test_a_link_to_another_file_is_not_followed_from_an_address(folder: Path, server: ViewServer) -> None:
    (folder / "link.tif").symlink_to(folder / "secret.txt")
    assert ask(server, f"/{server.token}/link.tif")[0] == 404


def test_ten_thousand_requests_at_once_are_answered(server: ViewServer) -> None:
    """As many as it has room for at a time; the others wait."""

    def many(worker: int) -> Counter[int]:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        found = Counter[int]()
        for turn in range(50):
            connection.request("GET", f"/{server.token}/tiles/l{turn % 2}/0/{turn % 2}/{worker % 2}/0")
            answer = connection.getresponse()
            answer.read()
            found[answer.status] += 1
        connection.close()
        return found

    with ThreadPoolExecutor(200) as pool:
        total = sum(pool.map(many, range(200)), Counter[int]())
    assert total == {200: 10_000}
    assert ask(server, f"/{server.token}/")[0] == 200


def test_connections_that_say_nothing_do_not_keep_others_out(server: ViewServer) -> None:
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(40)]
    try:
        assert ask(server, f"/{server.token}/")[0] == 200
    finally:
        for one in silent:
            one.close()


WORDS = st.sampled_from(
    ["tiles", "point", "worst", "l0", "l1", "0", "1", "..", "%2e", "view.json", "alive", "secret.txt", "map.tif", "",
     "\\", "~", "-1", "ff-0", "9" * 400]
)  # fmt: skip
PATHS = st.one_of(st.lists(WORDS, max_size=8).map("/".join), st.text(max_size=80))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=PATHS)
def test_any_path_has_an_answer(path: str, server: ViewServer) -> None:
    answer = server.answers.to(path)
    assert answer.status in (200, 204, 404)
    assert SECRET not in answer.content


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), PATHS.map(lambda one: b"GET /" + one.encode("utf-8", "replace"))))
def test_any_bytes_leave_it_up(content: bytes, server: ViewServer) -> None:
    answer = send(server, content + b"\r\n\r\n")
    assert not answer or answer.startswith(b"HTTP/1.")
    assert SECRET not in answer
    assert server.token.encode() not in answer


def test_fuzzed_for_a_while_it_stays_up(server: ViewServer) -> None:
    """Mutated requests for CRISPMAP_FUZZ_S seconds."""
    import random

    rng = random.Random(0)  # noqa: S311 - no secret
    host = f"HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    seeds = [
        f"GET /{server.token}/{path} {host}\r\n".encode() for path in ("", "view.json", "tiles/l0/0/0/0/0", "point/1/1")
    ]
    until, sent = time.monotonic() + FUZZ_S, 0
    while time.monotonic() < until:
        content = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 6)):
            place = rng.randrange(len(content))
            content[place : place + rng.randint(0, 4)] = rng.randbytes(rng.randint(0, 4))
        answer = send(server, bytes(content))
        assert SECRET not in answer
        sent += 1
    assert sent
    assert ask(server, f"/{server.token}/")[0] == 200


def test_a_port_that_is_taken_is_named(server: ViewServer) -> None:
    with pytest.raises(InputError) as caught:
        ViewServer(server.answers, server.port)
    assert str(server.port) in caught.value.given


def test_it_ends_some_time_after_the_page_is_closed(folder: Path) -> None:
    server = ViewServer(Answers(assemble([folder / "map.tif"])))
    waiting = threading.Thread(target=wait_until_over, args=(server, 60.0, 0.3))
    waiting.start()
    ask(server, f"/{server.token}/alive")
    waiting.join(1)
    assert waiting.is_alive()
    ask(server, f"/{server.token}/bye")
    waiting.join(10)
    assert not waiting.is_alive()


def test_a_page_that_falls_silent_is_over_and_one_never_opened_is_not() -> None:
    presence = Presence()
    assert not presence.is_over(0.0, 0.0)
    presence.note("alive")
    assert not presence.is_over(60.0, 0.0)
    time.sleep(0.02)
    assert presence.is_over(0.01, 60.0)
