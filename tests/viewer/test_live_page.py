"""The process that shows a run under way: what it serves, and that the run neither waits for it nor dies with it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from pyproj import CRS
from rasters_to_view import PLACE, SCHEMA, some_ids, some_image, write

from crispmap.errors import InputError
from crispmap.events import Listener, progress
from crispmap.geo.grid import Grid
from crispmap.raster.block_store import BlockStore
from crispmap.raster.spec import class_map_spec
from crispmap.viewer.live.start import LiveOptions, LivePage, followed

SIZE = 300, 420


def ask(url: str, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(method, parts.path + path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def told(url: str, path: str) -> Any:
    status, content = ask(url, path)
    assert status == 200, content
    return json.loads(content)


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Wait until something is so, however busy the machine is, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def view_of(url: str) -> dict[str, Any]:
    """Return the view, once it is put together."""
    found: dict[str, Any] = until(lambda: (one := told(url, "view.json")) and not one.get("preparing") and one)
    return found


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write(tmp_path / "scene.tif", some_image(*SIZE))


@pytest.fixture
def page(scene: Path) -> Iterator[LivePage]:
    page = LivePage.start(LiveOptions("predict", {"scenes": [str(scene)]}, browser=False))
    assert page is not None
    yield page
    page.end()


def store_of(folder: Path) -> BlockStore:
    grid = Grid(CRS.from_epsg(32631), PLACE, SIZE)
    return BlockStore.open([class_map_spec(folder / "map.tif", grid, SCHEMA, {})], identity={}, block_px=128)


@pytest.mark.slow  # it waits as long as a page may be silent
def test_a_map_grows_on_the_page_and_in_the_end_is_the_file(page: LivePage, tmp_path: Path) -> None:
    url, ids = page.url, some_ids(*SIZE)
    with followed(page, Listener()) as events:
        assert [one["name"] for one in view_of(url)["layers"]] == ["image"]
        with store_of(tmp_path) as store, progress(events, "map", 4) as running:
            running.write(store.under_way)
            until(lambda: len(view_of(url)["layers"]) == 2)
            view = view_of(url)
            layer = view["layers"][1]
            assert (layer["name"], layer["growing"]) == ("map", True)
            assert told(url, f"live/{view['live']}/0/0")["blocks"] == {
                "shape": [3, 4], "side": 128, "pixels": list(SIZE), "since": 0, "found": []
            }  # fmt: skip
            empty = ask(url, f"tiles/{layer['id']}/1-0/0/0/0")[1]
            first, second, *others = store._specs[0].grid.blocks(128)
            for block in (first, second):
                store.write(block, [ids[block.slices]])
                running.advance(1)
            facts = until(lambda: (one := told(url, f"live/{view['live']}/0/0"))["blocks"]["found"] and one)
            assert facts["tasks"][0]["done"] in (1, 2)
            found = until(lambda: len(one := told(url, f"live/{view['live']}/0/0")["blocks"]["found"]) == 2 and one)
            assert found == [[0, 0], [0, 1]]
            assert told(url, f"live/{view['live']}/1/0")["blocks"]["found"] == [[0, 1]]
            assert ask(url, f"tiles/{layer['id']}/1-2/0/0/0")[1] != empty
            assert told(url, "point/5/7")["layers"][1]["value"] in (None, int(ids[7, 5]))
            for block in others:
                store.write(block, [ids[block.slices]])
            store.finish()
    last = until(lambda: (one := told(url, "live/0/0/0"))["last"] and one)
    assert last["ending"] == "done"
    view = view_of(url)
    assert [(one["name"], one["growing"]) for one in view["layers"]] == [("image", False), ("map", False)]
    ask(url, "bye")
    page.wait()
    with pytest.raises(OSError, match="refused"):
        ask(url, "alive")


@pytest.mark.parametrize("path", [
    "live", "live/0", "live/0/0", "live/0/0/x", "live/-1/0/0", "live/0/0/0/", "live/../map.tif", "scene.tif",
    "../scene.tif", "live/0/0/9999999999",
])  # fmt: skip
def test_it_refuses_what_the_viewer_refuses(path: str, live_url: str) -> None:
    assert ask(live_url, path)[0] == 404
    for url in (live_url, live_url[:-2] + "/"):
        assert ask(url, "live/0/0/0", "POST")[0] == 405
        assert ask(url, "live/0/0/0", Host="evil.example")[0] == 403
        assert ask(url, "live/0/0/0", Origin="http://evil.example")[0] == 403
    assert ask(live_url[:-2] + "/", "live/0/0/0")[0] == 404


@pytest.fixture(scope="module")
def live_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    scene = write(tmp_path_factory.mktemp("live") / "scene.tif", some_image(*SIZE))
    page = LivePage.start(LiveOptions("predict", {"scenes": [str(scene)]}, browser=False))
    assert page is not None
    yield page.url
    page.end()


def test_a_run_that_nobody_looks_at_ends_at_once(page: LivePage) -> None:
    with followed(page, Listener()):
        pass
    assert until(lambda: not page.is_open())


def test_a_port_in_use_is_left_to_its_owner(scene: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        page = LivePage.start(LiveOptions("predict", {"scenes": [str(scene)]}, port, browser=False))
        assert page is not None
        assert urlsplit(page.url).port != port
        assert str(port) in page.note
        page._process.kill()
        page._process.wait()
        page.leave()


def test_a_page_process_that_is_killed_is_not_noticed_by_the_run(page: LivePage) -> None:
    class Counted(Listener):
        done = 0

        def advanced(self, done: int, **figures: float) -> None:
            self.done = done

    counted = Counted()
    with followed(page, counted) as events, progress(events, "map", 100) as running:
        os.kill(page._process.pid, signal.SIGKILL)
        page._process.wait()
        for _ in range(100):
            running.advance(1)
    assert counted.done == 100
    assert not page.is_open()


@pytest.mark.slow  # it waits as long as a page may be silent
def test_the_page_tells_why_a_run_failed_and_ends_soon(page: LivePage) -> None:
    def fail() -> None:
        with followed(page, Listener()) as events, progress(events, "map", 4):
            ask(page.url, "alive")
            raise InputError("The <b>scene</b> is gone.", expected="a scene", remedy="Put it back.")

    with pytest.raises(InputError):
        fail()
    facts = until(lambda: (one := told(page.url, "live/0/0/0"))["ending"] and one)
    assert facts["ending"] == "failed"
    assert facts["text"].startswith("The <b>scene</b> is gone.")
    assert facts["tasks"][0]["ended"] == "failed"

    def is_gone() -> bool:
        try:
            ask(page.url, "alive")
        except OSError:
            return True
        return False

    until(is_gone)


def test_a_scene_that_cannot_be_shown_leaves_the_progress(tmp_path: Path) -> None:
    (tmp_path / "scene.tif").write_bytes(b"no raster")
    page = LivePage.start(LiveOptions("predict", {"scenes": [str(tmp_path / "scene.tif")]}, browser=False))
    assert page is not None
    page.sender.started("map", 4, "pixels")
    view = view_of(page.url)
    assert view["layers"] == []
    assert any("scene.tif" in one for one in view["notes"])
    assert until(lambda: told(page.url, "live/0/0/0")["tasks"])[0]["title"] == "map"
    page.end()


def test_it_is_started_without_modules_of_the_folder_it_is_called_in(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken from the folder')")
    monkeypatch.chdir(tmp_path)
    page = LivePage.start(LiveOptions("predict", {"scenes": [str(scene)]}, browser=False))
    assert page is not None
    page.end()
