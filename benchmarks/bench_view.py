"""``crispmap view`` on a large map: the first view, further views, memory; beside another tile server on the same file.

Usage: python benchmarks/bench_view.py [WORK] [--size 30000] [--views 100] [--tiles 1000] [--peer PYTHON]

A scene and its map, Cloud-Optimized GeoTIFFs of size x size pixels, are generated on the tile grid of Web Mercator,
where other servers need not resample. A view is the tiles of both layers that a window of 1,400 x 900 pixels shows,
fetched by six connections as browsers do. ``--peer`` is the Python of an environment with localtileserver and uvicorn.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.windows import Window

from crispmap.classes import ClassDef, ClassSchema
from crispmap.raster.spec import CLASSES_TAG
from processes import WORK
from tables import print_table_head, print_table_row

CONNECTIONS = 6
WINDOW = 1400, 900
ZOOM = 18  # of the pixels
TILE = 256
ORIGIN = 2 * math.pi * 6378137 / 2
CORNER = 131072, 90112  # the tile of that zoom in which the rasters begin: a multiple of 2^12
SCHEMA = ClassSchema((ClassDef("background", "#f0f0e8"), ClassDef("building", "#d7191c"), ClassDef("road", "#fdae61")))


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast a large map is viewed.")
    parser.add_argument("work", nargs="?", type=Path, default=WORK)
    parser.add_argument("--size", type=int, default=30_000)
    parser.add_argument("--views", type=int, default=100)
    parser.add_argument("--tiles", type=int, default=1000)
    parser.add_argument("--peer", type=Path)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    image, labels = made(given.work, given.size)
    begun = time.perf_counter()
    with served([sys.executable, "-m", "crispmap", "view", str(image), str(labels), "--no-open"]) as (process, url):
        ready = time.perf_counter() - begun
        page = Page(url)
        page.first_view()
        first = time.perf_counter() - begun
        times = sorted(page.timed_view(seed) for seed in range(given.views))
        print_table_head("first view, s", "address after, s", "view, median, ms", "95th percentile, ms", "peak, MB")
        p95 = times[min(len(times) - 1, math.ceil(0.95 * len(times)) - 1)]
        row = [f"{first:.2f}", f"{ready:.2f}", f"{1000 * statistics.median(times):.0f}", f"{1000 * p95:.0f}",
               f"{peak_mb(process.pid):.0f}"]  # fmt: skip
        print_table_row(*row)
    print()
    places = some_places(given.size, given.tiles)
    print_table_head("server", "tiles a second, three turns", "peak, MB")
    ours, theirs = list[float](), list[float]()
    for _ in range(3):  # in turns, each with servers of its own that have nothing in memory yet
        with served([sys.executable, "-m", "crispmap", "view", str(labels), "--no-open"]) as (process, url):
            ours.append(rate(Page(url).tile_paths(places), url))
            memory = peak_mb(process.pid)
        if given.peer is not None:
            with peer_served(given.peer, labels) as (process, url):
                theirs.append(rate(peer_paths(places, labels), url))
                other = peak_mb(process.pid)
    print_table_row("crispmap view", " ".join(f"{one:.0f}" for one in ours), f"{memory:.0f}")
    if given.peer is not None:
        print_table_row("localtileserver", " ".join(f"{one:.0f}" for one in theirs), f"{other:.0f}")


def made(work: Path, size: int) -> tuple[Path, Path]:
    """Return a scene and a map, made where they are not there yet."""
    image, labels = work / f"view_image_{size}.tif", work / f"view_map_{size}.tif"
    pixel = 2 * ORIGIN / 2**ZOOM / TILE
    transform = Affine(pixel, 0, -ORIGIN + CORNER[0] * TILE * pixel, 0, -pixel, ORIGIN - CORNER[1] * TILE * pixel)
    place = {"height": size, "width": size, "crs": "EPSG:3857", "transform": transform, "dtype": "uint8"}
    for path, count in ((image, 3), (labels, 1)):
        if not path.exists():
            write(path, count, place)
    return image, labels


def write(path: Path, count: int, place: dict[str, object]) -> None:
    """Write a COG of lumps of a few sizes, strip by strip."""
    rng, strip = np.random.default_rng(count), 512
    plain = path.with_suffix(".plain.tif")
    options = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "DEFLATE", "ZLEVEL": 1}
    with rasterio.open(plain, "w", driver="GTiff", count=count, nodata=255 if count == 1 else None, **options,
                       **place) as target:  # fmt: skip
        width = target.width
        if count == 1:
            target.update_tags(**{CLASSES_TAG: SCHEMA.to_json()})
            target.write_colormap(1, {index: (*one.rgb, 255) for index, one in enumerate(SCHEMA)})
        for row in range(0, target.height, strip):
            height, side = min(strip, target.height - row), int(rng.integers(8, 40))
            lumps = rng.integers(0, 3 if count == 1 else 200, (count, -(-height // side), -(-width // side)), np.uint8)
            values = lumps.repeat(side, axis=1).repeat(side, axis=2)[:, :height, :width]
            if count == 3:
                values = values + rng.integers(0, 30, values.shape, np.uint8)
            target.write(values, window=Window(0, row, width, height))
    compress = {"COMPRESS": "DEFLATE", "OVERVIEW_RESAMPLING": "MODE"} if count == 1 else {"COMPRESS": "JPEG"}
    with rasterio.Env(GDAL_CACHEMAX=256 * 2**20):
        rasterio.shutil.copy(plain, path, driver="COG", BLOCKSIZE="512", NUM_THREADS="2", **compress)
    plain.unlink()


@contextmanager
def served(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the command, and give the process and the address that it prints."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        if process.stdout is None:
            raise SystemExit("no output")
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


@contextmanager
def peer_served(python: Path, path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Serve a file by localtileserver, with one worker, as its own server runs it."""
    code = (
        "import sys, uvicorn; from localtileserver.web import create_app; "
        "uvicorn.run(create_app(), host='127.0.0.1', port=int(sys.argv[1]), log_level='error')"
    )
    port = 20_000 + random.SystemRandom().randrange(20_000)
    with subprocess.Popen([str(python), "-c", code, str(port)], text=True) as process:
        url = f"http://127.0.0.1:{port}/"
        for _ in range(300):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port)
                connection.request("GET", "/")
                connection.getresponse().read()
                break
            except OSError:
                time.sleep(0.1)
        try:
            yield process, url
        finally:
            process.terminate()


def peer_paths(places: Sequence[tuple[int, int, int]], path: Path) -> list[str]:
    """Return the addresses of tiles at localtileserver, each the same pixels as ours."""
    return [
        f"api/tiles/{ZOOM - level}/{(CORNER[0] >> level) + col}/{(CORNER[1] >> level) + row}.png"
        f"?filename={quote(str(path.resolve()))}"
        for level, col, row in places
    ]


def some_places(size: int, count: int) -> list[tuple[int, int, int]]:
    """Return places (level, column, row) of tiles on all levels, drawn alike for every server."""
    rng, levels = random.Random(1), 1 + math.ceil(math.log2(size / TILE))  # noqa: S311 - no secret
    places = []
    for _ in range(count):
        level = min(rng.randrange(levels), rng.randrange(levels))
        side = math.ceil(size / 2**level / TILE)
        places.append((level, rng.randrange(side), rng.randrange(side)))
    return places


def fetched(paths: Sequence[str], url: str) -> float:
    """Return the seconds in which some connections fetch all paths."""
    parts = urlsplit(url)

    def some(first: int) -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        for path in paths[first::CONNECTIONS]:
            connection.request("GET", parts.path + path)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200 or not content:
                raise SystemExit(f"{path}: {answer.status}: {content[:300]!r}")
        connection.close()

    begun = time.perf_counter()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(some, range(CONNECTIONS)))
    return time.perf_counter() - begun


def rate(paths: Sequence[str], url: str) -> float:
    """Return the tiles a second of a server that has answered one already."""
    fetched(paths[:1], url)
    return len(paths) / fetched(paths, url)


class Page:
    """What a browser asks for."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.facts: dict[str, object] = {}

    def _load(self) -> None:
        if not self.facts:
            parts = urlsplit(self.url)
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
            for name in ("", "viewer.css", "viewer.js", "view.json"):
                connection.request("GET", parts.path + name)
                content = connection.getresponse().read()
            self.facts = json.loads(content)

    def first_view(self) -> None:
        """Fetch the page and the tiles that show all."""
        self._load()
        size = max(int(str(self.facts["width"])), int(str(self.facts["height"])))
        level = max(0, math.floor(math.log2(size / min(WINDOW))))
        fetched(self.tile_paths(self._places(level, 0, 0, WINDOW)), self.url)

    def timed_view(self, seed: int) -> float:
        """Return the seconds that a view anywhere on any level takes."""
        rng = random.Random(seed)  # noqa: S311 - no secret
        level = rng.randrange(int(str(self.facts["levels"])) - 2)
        width, height = (max(1, (int(str(self.facts[one])) >> level) - side) for one, side in zip(
            ("width", "height"), WINDOW, strict=True))  # fmt: skip
        places = self._places(level, rng.randrange(width), rng.randrange(height), WINDOW)
        return fetched(self.tile_paths(places), self.url)

    def _places(self, level: int, left: int, top: int, window: tuple[int, int]) -> list[tuple[int, int, int]]:
        """Return the tiles of a level that a window from a pixel of it shows."""
        cols, rows = (math.ceil(math.ceil(int(str(self.facts[one])) / 2**level) / TILE) for one in ("width", "height"))
        return [
            (level, col, row)
            for row in range(top // TILE, min(rows, (top + window[1] - 1) // TILE + 1))
            for col in range(left // TILE, min(cols, (left + window[0] - 1) // TILE + 1))
        ]

    def tile_paths(self, places: Sequence[tuple[int, int, int]]) -> list[str]:
        """Return the addresses of tiles of all layers."""
        self._load()
        layers = self.facts["layers"]
        if not isinstance(layers, list):
            raise SystemExit("no layers")
        return [f"tiles/{one['id']}/{one['stamp']}/{level}/{col}/{row}" for level, col, row in places for one in layers]


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1000


if __name__ == "__main__":
    main()
