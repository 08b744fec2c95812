"""Fingerprints of scenes, which change with their content."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, replace
from http.client import HTTPException
from pathlib import Path
from typing import Any

from rasterio.io import DatasetReader

from crispmap.errors import GeoreferenceWarning, SceneError
from crispmap.files.address import is_plain_file, web_address
from crispmap.files.dataset import open_dataset
from crispmap.files.quiet import ignoring
from crispmap.geo.grid import Block
from crispmap.raster.compose.composition import Composition
from crispmap.raster.files import FileScene
from crispmap.raster.refs import SceneRef

_VERSION = 1
_WHOLE_BYTES = 32 * 2**20  # up to here a file is read whole
_PIECES = 64
_PIECE_BYTES = 64 * 1024
_MOST_BYTES = 256 * 2**20  # read of all files together; a mosaic may have thousands
_WINDOWS = (0.1, 0.5, 0.9)
_WINDOW_PX = 64
_TIMEOUT_S = 10
_ASIDE = (".ovr", ".aux.xml")
"""Files without pixels: overviews, and statistics, which viewers write as they show a raster. Grid and nodata values in
an ``.aux.xml`` are taken from the raster as it is read."""
_INSIDE = re.compile(r"^/vsi\w+/\{?(.*)$")


def fingerprint(source: str | Path | SceneRef, *, times: bool = True) -> str:
    """Return 64 hexadecimal digits that change with a scene's pixels, its grid and how it is read.

    They depend on the values of the files, their grid and nodata values, and the bands chosen; not on names, overviews
    or statistics. A file up to 32 MB is hashed as a whole. Of a larger one its size and 64 pieces spread over it count
    and, with ``times``, its modification time: then any change in place is noticed, and a copy counts as another scene.
    All files behind a virtual raster count. Of a file on a web server its size and ETag or date count; without them,
    and for other remote files, 9 windows of its pixels.

    Raises:
        SceneError: If the scene cannot be opened or read.
        GridError: If its files do not lie on one grid.
    """
    ref = source if isinstance(source, SceneRef) else SceneRef.of(source)
    if ref.composition is not None:
        return _of_composition(ref, ref.composition, times)
    with ignoring(GeoreferenceWarning):  # raised when the scene is opened
        scene = FileScene(ref)
    with scene:
        grid = [
            "" if scene.grid.crs is None else scene.grid.crs.to_wkt(),
            list(scene.grid.transform)[:6],
            list(scene.grid.shape),
        ]
        facts: list[Any] = [_VERSION, grid, scene.bands, scene.band_names, scene.dtype.name]
        if ref.nodata is not None or ref.nodata_tolerance:
            facts.append([repr(ref.nodata), ref.nodata_tolerance])
        for file in ref.files:
            with open_dataset(file) as dataset:
                facts.append(_band_facts(dataset))
                names = _files_of(file, dataset)
            share = _MOST_BYTES // len(names) // len(ref.files)
            for name in names:  # None where only the pixels identify a file
                local = _local_file(name)
                facts.append(_server_facts(name) if local is None else _local_facts(local, share, times))
        if None in facts:
            facts.append(_pixel_facts(scene))
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _of_composition(ref: SceneRef, composition: Composition, times: bool) -> str:
    """Return the fingerprint of a composed scene: of its files, and of what is made of them."""
    sources = {one.file for one in composition.sources}  # of another file, its grid is taken
    content = {
        file: fingerprint(
            replace(ref, files=(file,), bands=None, composition=None) if file in sources else file, times=times
        )
        for file in ref.files
    }
    facts = [_VERSION, asdict(composition.renamed(lambda file: content[file])), ref.bands]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _band_facts(dataset: DatasetReader) -> list[Any]:
    """Return everything that affects how the bands of a raster are read, as plain values."""
    masks = [[flag.name for flag in flags] for flags in dataset.mask_flag_enums]
    nodata = [repr(value) for value in dataset.nodatavals]
    return [list(dataset.dtypes), nodata, [colour.name for colour in dataset.colorinterp], masks]


def _files_of(file: str, dataset: DatasetReader) -> list[str]:
    """Return the files a raster's pixels come from, those behind virtual rasters too."""
    found = list(dataset.files) or [file]
    for name in found:  # grows during the loop
        if name.lower().endswith(".vrt") and name != file:
            with open_dataset(name) as inner:
                found.extend(one for one in inner.files if one not in found)
    return [name for name in found if not name.lower().endswith(_ASIDE)]


def _local_file(name: str) -> Path | None:
    """Return the local file of a name: itself, or the archive it is in; None if there is none."""
    if is_plain_file(name):
        path = Path(name)
        return path if path.is_file() else None
    inside = _INSIDE.match(name)
    if inside is None or web_address(name):
        return None
    path = Path(inside[1])
    return next((part for part in (path, *path.parents) if part.is_file()), None)


def _local_facts(path: Path, share: int, times: bool) -> list[Any]:
    """Return size, hash and, for a file too large to be read whole, its modification time; or raise SceneError."""
    try:
        state = path.stat()
        whole = state.st_size <= min(_WHOLE_BYTES, share)
        content = hashlib.sha256()
        with path.open("rb") as file:
            for start, count in [(0, state.st_size)] if whole else _pieces(state.st_size, share):
                file.seek(start)
                content.update(file.read(count))
    except OSError as error:
        raise SceneError(
            f"{path} cannot be read: {error.strerror}.", expected="a file you may read", remedy="Check the file."
        ) from error
    changed = state.st_mtime_ns if times and not whole else None
    return [state.st_size, content.hexdigest(), changed]


def _pieces(size: int, share: int) -> Iterator[tuple[int, int]]:
    """Yield the start and length of pieces spread evenly over a file, the first at its start, the last at its end."""
    count = max(2, min(_PIECES, share // _PIECE_BYTES))
    length = min(_PIECE_BYTES, share // count, size // count)
    for place in range(count):
        yield place * (size - length) // (count - 1), length


def _server_facts(name: str) -> list[Any] | None:
    """Return size and version of a file on a web server, or None if the server does not send them."""
    address = web_address(name)
    if address is None:
        return None
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - only http and https come here
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            size = answer.headers.get("Content-Length")
    except urllib.error.HTTPError as error:  # signed addresses are often valid for GET alone
        error.close()
        return None
    except (OSError, HTTPException):
        return None
    return [size, version] if size and version else None


def _pixel_facts(scene: FileScene) -> str:
    """Return a hash of windows spread over a scene."""
    content = hashlib.sha256()
    height, width = min(_WINDOW_PX, scene.grid.height), min(_WINDOW_PX, scene.grid.width)
    for down in _WINDOWS:
        for across in _WINDOWS:
            row, col = int(down * (scene.grid.height - height)), int(across * (scene.grid.width - width))
            image, valid = scene.read(Block(row, col, height, width))
            content.update(image.tobytes() + valid.tobytes())
    return content.hexdigest()
