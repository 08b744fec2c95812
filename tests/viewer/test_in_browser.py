"""The page in Chromium, as it comes with Debian (``make browser``): looked at, clicked through, driven by keys."""

from __future__ import annotations

import functools
import http.server
import io
import re
import threading
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from pyproj import CRS, Transformer
from rasters_to_view import PLACE, SCHEMA, class_map, some_ids, some_image, write

from browser_pages import Watched
from crispmap.errors import InputError
from crispmap.events import Listener, progress
from crispmap.geo.grid import Grid
from crispmap.raster.block_store import BlockStore
from crispmap.raster.spec import class_map_spec
from crispmap.viewer.answers import Answers
from crispmap.viewer.base_map import BaseMap
from crispmap.viewer.export import export_view
from crispmap.viewer.live.start import LiveOptions, LivePage, followed
from crispmap.viewer.run import ViewOptions, assemble
from crispmap.viewer.server import ViewServer
from crispmap.viewer.view import Arrow, Outline, View

pytestmark = pytest.mark.slow
SIZE = 1200, 1600


@pytest.fixture(scope="module")
def view(tmp_path_factory: pytest.TempPathFactory) -> View:
    """An image, a map and its reference, with areas and an arrow."""
    folder = tmp_path_factory.mktemp("viewed")
    mapped, reference = some_ids(*SIZE), some_ids(*SIZE, 1)
    mapped[:300], reference[:300] = 1, 1
    paths = write(folder / "image.tif", some_image(*SIZE)), class_map(folder / "map.tif", mapped)
    view = assemble(paths, ViewOptions(reference=class_map(folder / "reference.tif", reference)))
    square = ((100.0, 100.0), (900.0, 100.0), (900.0, 700.0), (100.0, 700.0))
    view.outlines.append(Outline("test", (square,)))
    view.arrows.append(Arrow((400.0, 400.0), (430.0, 380.0), 0.9))
    view.notes.append("<b>markup</b> is shown as it is")
    return view


@pytest.fixture(scope="module")
def server(view: View) -> Iterator[ViewServer]:
    with ViewServer(Answers(view)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def watched(chromium: Any, server: ViewServer) -> Iterator[Watched]:
    found = Watched(chromium, server.url, reduced_motion="reduce")
    yield found
    found.context.close()
    assert found.problems == []
    assert all(one.startswith((server.url, "data:", "blob:")) for one in found.asked)


def test_the_legend_counts_what_is_in_view(watched: Watched) -> None:
    watched.until_text("#legend", "road")
    rows = re.findall(r"(background|building|road)\s+([\d.]+) %", watched.text("#legend"))
    ids = some_ids(*SIZE)
    ids[:300] = 1
    expected = [100 * np.mean(ids[ids != 255] == index) for index in range(3)]
    # At this zoom one pixel in so many is shown.
    assert [float(share) for _, share in rows] == pytest.approx(expected, abs=2)


def test_a_click_asks_all_layers(watched: Watched) -> None:
    box = watched.page.locator("#map").bounding_box()
    watched.page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    watched.settle()
    watched.until_text("#here", "row")
    here = watched.text("#here")
    assert re.search(r"row \d+, column \d+", here)
    assert "image" in here
    assert re.search(r"(background|building|road), object of|no data", here)


def test_layers_are_chosen_and_the_address_keeps_it(watched: Watched, chromium: Any, server: ViewServer) -> None:
    page = watched.page
    page.select_option("#left", label="reference (reference)")
    page.select_option("#right", label="errors of map")
    page.fill("#opacity", "0.4")
    watched.until_text("#legend", "missed")
    assert page.inner_text("#badge-right") == "errors of map"
    page.click(".ol-zoom-in")
    watched.settle()
    watched.until("!crispmap.map.ol.getView().getAnimating()")
    watched.until("location.hash.includes(crispmap.map.ol.getView().getResolution().toPrecision(4))")
    again = Watched(chromium, page.url)
    assert again.page.input_value("#opacity") == "0.4"
    assert again.page.inner_text("#badge-left") == "reference (reference)"
    at = "crispmap.map.ol.getView().getResolution()"
    assert again.page.evaluate(at) == pytest.approx(page.evaluate(at), rel=1e-3)
    again.context.close()


def test_a_worst_place_is_flown_to(watched: Watched) -> None:
    page = watched.page
    before = page.evaluate("crispmap.map.ol.getView().getResolution()")
    page.click("#worst button >> nth=0")
    watched.until(f"crispmap.map.ol.getView().getResolution() < {before}")
    assert page.evaluate("crispmap.map.ol.getView().getResolution()") < before
    assert page.inner_text("#badge-right") == "errors of map"


def test_keys_alone_do_it(watched: Watched) -> None:
    page = watched.page
    page.focus("#map")
    place = "crispmap.map.ol.getView().getCenter()[0]"
    before = page.evaluate(place), page.evaluate("crispmap.map.ol.getView().getResolution()")
    page.keyboard.press("+")
    page.wait_for_timeout(400)
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(400)
    assert page.evaluate("crispmap.map.ol.getView().getResolution()") < before[1]
    assert page.evaluate(place) > before[0]
    page.keyboard.press("Enter")
    watched.until_text("#here", "row")
    swiped = page.evaluate("crispmap.state.swipe")
    page.keyboard.press("]")
    assert page.evaluate("crispmap.state.swipe") > swiped
    page.focus("#swipe")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("crispmap.state.swipe") < swiped + 0.05
    page.focus("#map")
    page.keyboard.press("0")
    assert page.evaluate("crispmap.map.ol.getView().getResolution()") == pytest.approx(before[1])


def test_lengths_and_areas_are_those_of_the_ground(watched: Watched) -> None:
    page = watched.page
    square = "[[100, 100], [900, 100], [900, 700], [100, 700]]"
    # Pixels of 0.5 m in UTM, at the central meridian, where its metre is 1 / 0.9996 on the ground.
    assert page.evaluate(f"crispmap.ground.length({square}.slice(0, 2))") == pytest.approx(400 / 0.9996, rel=1e-4)
    assert page.evaluate(f"crispmap.ground.area({square})") == pytest.approx(400 * 300 / 0.9996**2, rel=1e-4)
    page.click("#length")
    box = page.locator("#map").bounding_box()
    for share in (0.3, 0.5):
        page.mouse.click(box["x"] + box["width"] * share, box["y"] + box["height"] * 0.4)
        page.wait_for_timeout(300)
    assert re.fullmatch(r"[\d.,]+ (m|km)", page.inner_text("#measured"))
    page.focus("#map")
    page.keyboard.press("Escape")
    assert page.inner_text("#measured") == ""


def test_the_swipe_line_parts_the_layers(watched: Watched) -> None:
    """Left of the line is the image alone, right of it the map, whose upper part is one class."""
    page = watched.page
    page.fill("#opacity", "1")
    watched.settle()
    share = page.evaluate("crispmap.swipeShare()")
    colours = page.evaluate("""(share) => {
      const drawn = document.querySelector(".ol-right canvas, canvas.ol-right");
      const canvas = new OffscreenCanvas(drawn.width, drawn.height);
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.drawImage(drawn, 0, 0);
      const at = (x) => [...context.getImageData(x * canvas.width, 0.12 * canvas.height, 1, 1).data];
      return [at(share - 0.05), at(share + 0.05)];
    }""", share)  # fmt: skip
    assert colours[0][3] == 0
    assert colours[1] == [0xD7, 0x19, 0x1C, 255]


DRAWN = """() => {
  const drawn = document.querySelector(".ol-right canvas, canvas.ol-right");
  const canvas = new OffscreenCanvas(drawn.width, drawn.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(drawn, 0, 0);
  const found = new Set(), { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] === 255) found.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  }
  return [...found];
}"""  # the colours on the right side
BACKGROUND, BUILDING, ROAD = 0xF0F0E8, 0xD7191C, 0xFDAE61


def test_the_background_is_hidden_until_it_is_ticked(watched: Watched, chromium: Any) -> None:
    page = watched.page
    page.fill("#opacity", "1")
    watched.until_text("#legend", r"road\s+[\d.]+ %")
    watched.until(f"[{BUILDING}, {ROAD}].every((one) => ({DRAWN})().includes(one))")
    assert BACKGROUND not in page.evaluate(DRAWN)
    background, road = (page.get_by_role("checkbox", name=f"Show {name}").first for name in ("background", "road"))
    assert not background.is_checked()
    assert road.is_checked()
    shares = watched.text("#legend")
    background.focus()
    page.keyboard.press("Space")  # by keys alone; the focus stays
    watched.until(f"({DRAWN})().includes({BACKGROUND})")
    assert background.evaluate("(one) => one === document.activeElement")
    road.uncheck()
    watched.until(f"!({DRAWN})().includes({ROAD})")
    assert watched.text("#legend") == shares  # what is hidden is counted all the same
    watched.until("/hide=classes%3Aroad/.test(location.hash)")
    again = Watched(chromium, page.url)
    again.until(f"[{BACKGROUND}, {BUILDING}].every((one) => ({DRAWN})().includes(one))")
    assert ROAD not in again.page.evaluate(DRAWN)
    again.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_it_fits_and_everybody_can_read_it(scheme: str, width: int, chromium: Any, server: ViewServer) -> None:
    found = Watched(chromium, server.url, width, 844, color_scheme=scheme)
    page = found.page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = {one: page.locator(one).bounding_box() for one in ("header", "#map", "#panel")}
    assert boxes["#map"]["height"] > 300
    assert boxes["#map"]["width"] >= (390 if width == 390 else 900)
    assert all(one["x"] >= 0 and one["x"] + one["width"] <= width for one in boxes.values())
    assert "<b>markup</b>" in found.text("#notes")
    assert found.serious() == []
    found.context.close()
    assert found.problems == []


def test_the_exported_folder_shows_the_same(view: View, tmp_path: Path, chromium: Any) -> None:
    folder = export_view(view, tmp_path / "page").parent

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        found = Watched(chromium, f"http://127.0.0.1:{served.server_address[1]}/")
        try:
            found.until_text("#legend", r"building\s+[\d.]+ %")
            box = found.page.locator("#map").bounding_box()
            found.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.12)
            found.until_text("#here", "building")
            found.page.click("#worst button >> nth=0")
            found.settle()
        finally:
            found.context.close()
            served.shutdown()
            thread.join()
    assert found.problems == []
    assert all(one.startswith(("http://127.0.0.1", "data:", "blob:")) for one in found.asked)


def test_a_file_that_is_removed_is_named(tmp_path: Path, chromium: Any) -> None:
    path = class_map(tmp_path / "map.tif", some_ids(600, 600))
    with ViewServer(Answers(assemble([path]))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            found = Watched(chromium, server.url)
            path.unlink()
            found.page.evaluate("crispmap.alive()")
            found.until_text("#status", "map")
            found.context.close()
        finally:
            server.shutdown()
            thread.join()


SHORT = 300, 420


@pytest.fixture
def followed_run(tmp_path: Path) -> Iterator[tuple[LivePage, BlockStore]]:
    """A page that follows a training and a map, which stand still until the test goes on with them."""
    scene = write(tmp_path / "scene.tif", some_image(*SHORT))
    page = LivePage.start(LiveOptions("predict", {"scenes": [str(scene)]}, browser=False))
    assert page is not None
    grid = Grid(CRS.from_epsg(32631), PLACE, SHORT)
    with BlockStore.open([class_map_spec(tmp_path / "map.tif", grid, SCHEMA, {})], identity={}, block_px=128) as store:
        yield page, store
    page.end()


def trained(events: Listener) -> None:
    """Report a training of a hundred steps."""
    with progress(events, "coarse network", 100, "steps") as running:
        for step in range(10, 110, 10):
            running.measure(step, loss=1 / step, **({"val_mean_iou": step / 200} if step % 50 == 0 else {}))
            running.advance(10)
        running.summary = "validation mean IoU 0.50"


def write_blocks(store: BlockStore, count: int) -> None:
    ids = np.ones(SHORT, np.uint8)
    missing = [one for one in Grid(None, PLACE, SHORT).blocks(128) if one not in store.finished]
    for block in missing[:count]:
        store.write(block, [ids[block.slices]])


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_a_run_is_followed_to_its_end(
    width: int, scheme: str, chromium: Any, followed_run: tuple[LivePage, BlockStore]
) -> None:
    live, store = followed_run
    with followed(live, Listener()) as events:
        found = Watched(chromium, live.url, width, 844, color_scheme=scheme)
        page = found.page
        trained(events)
        with progress(events, "map", 300 * 420) as running:
            running.write(store.under_way)
            running.advance(12_600)
            found.until_text("#run-state", "Mapping")
            found.until_text("#run-figures", "10 %")
            found.until_text("#run-done", "coarse network, validation mean IoU 0.50")
            assert [one.get_attribute("aria-label") for one in page.locator("svg.chart").all()] == [
                "loss: 0.1 at first, 0.01 now", "mean IoU: 0.25 at first, 0.5 now"
            ]  # fmt: skip
            found.until("window.crispmap && crispmap.view.layers.length === 2")
            assert page.inner_text("#badge-right") == "map"
            page.fill("#opacity", "1")
            assert BUILDING not in page.evaluate(DRAWN)
            write_blocks(store, 3)
            found.until(f"({DRAWN})().includes({BUILDING})")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert found.serious() == []
            write_blocks(store, 100)
            store.finish()
        running.summary = ""
    found.until_text("#run-state", "Finished")
    found.until("window.crispmap && crispmap.view.layers.filter((one) => !one.growing).length === 2")
    found.until_text("#legend", r"building\s+100.0 %")
    assert "Finished" in page.title()
    found.context.close()
    live.wait()
    assert [one for one in found.problems if "ERR_" not in one] == []
    assert all(one.startswith((live.url, "data:", "blob:")) for one in found.asked)


def test_a_failed_run_says_why_and_markup_is_text(chromium: Any, followed_run: tuple[LivePage, BlockStore]) -> None:
    live, _ = followed_run
    found = Watched(chromium, live.url)

    def fail() -> None:
        with followed(live, Listener()) as events, progress(events, "<i>map</i>", 4):
            raise InputError("The <b>scene</b> is gone.")

    with pytest.raises(InputError):
        fail()
    found.until_text("#run-state", "Failed")
    assert "The <b>scene</b> is gone." in found.text("#run-note")
    assert "<i>map</i>" in found.text("#run-done")
    found.context.close()


EAST_OF = 3.0042  # degrees: there the tiles of the test's own server turn from one colour to another


class Tiles(http.server.BaseHTTPRequestHandler):
    """Tiles in Web Mercator that are one colour west of a meridian and another one east of it."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Referer"]))
        z, x, _ = (int(one) for one in re.findall(r"\d+", self.path))
        lon = 360 * (x + (np.arange(256) + 0.5) / 256) / 2**z - 180
        row = np.where((lon < EAST_OF)[:, None], (200, 30, 30), (30, 30, 200)).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(np.broadcast_to(row, (256, 256, 3)).copy()).save(content, "png")
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Length", str(len(content.getvalue())))
        self.end_headers()
        self.wfile.write(content.getvalue())

    def log_message(self, *_: Any) -> None:
        pass


def test_a_base_map_lies_where_it_belongs(tmp_path: Path, chromium: Any) -> None:
    """In a grid turned by 20 degrees: the meridian on the screen is that of pyproj."""
    turned = Affine.translation(500_000, 5_000_000) @ Affine.rotation(20) @ Affine.scale(1, -1)
    image = write(tmp_path / "image.tif", some_image(600, 800), transform=turned)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Tiles) as tiles:
        base = BaseMap(f"http://127.0.0.1:{tiles.server_address[1]}/{{z}}/{{x}}/{{y}}.png", "© <b>Us</b>")
        view = assemble([image], ViewOptions(base_map=base))
        with ViewServer(Answers(view), outside=base.origin) as server:
            threads = [threading.Thread(target=one.serve_forever, args=(0.05,)) for one in (tiles, server)]
            for one in threads:
                one.start()
            try:
                found = Watched(chromium, server.url)
                found.page.select_option("#below", label="nothing")
                found.settle()
                assert found.text("#credit") == "© <b>Us</b>"
                found.page.evaluate("crispmap.map.ol.getView().setResolution(1.2)")
                found.settle()
                across = ((-5, "200,30,30"), (5, "30,30,200"))  # metres across the meridian
                for row, (shift, colour) in product((300.0, -40.0), across):  # in the scene and beyond it
                    place = [meridian_col(turned, row) + shift, -row]
                    at = found.page.evaluate("(place) => crispmap.map.ol.getPixelFromCoordinate(place)", place)
                    found.until(f"({COLOUR_OF_BASE})({at[0]}, {at[1]}) === '{colour}'")
                found.page.uncheck("#base")
                assert not found.page.is_visible("#credit")
                found.context.close()
            finally:
                for one in (tiles, server):
                    one.shutdown()
                for one in threads:
                    one.join()
    assert found.problems == []
    assert all(one.startswith((server.url, base.origin, "data:", "blob:")) for one in found.asked)
    assert {referer for _, referer in Tiles.asked} == {server.url[: -len(server.token) - 1]}


def meridian_col(transform: Affine, row: float) -> float:
    """Return the column at which a row of a grid in UTM crosses the meridian."""
    to_lonlat = Transformer.from_crs(32631, 4326, always_xy=True)
    cols = np.linspace(0, 800, 80_001)
    lon, _ = to_lonlat.transform(*(transform @ (cols, np.full_like(cols, row))))
    return float(cols[np.abs(lon - EAST_OF).argmin()])


COLOUR_OF_BASE = """(x, y) => {
  const drawn = document.querySelector(".ol-base canvas, canvas.ol-base");
  const canvas = new OffscreenCanvas(drawn.width, drawn.height);
  const share = drawn.width / document.querySelector("#map").clientWidth;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(drawn, 0, 0);
  return [...context.getImageData(x * share, y * share, 1, 1).data].slice(0, 3).join();
}"""
