"""Rasters opened with GDAL: bounded memory and timeouts, readable errors, handles for several threads."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from crispmap.errors import SceneError
from crispmap.files.address import gdal_name, is_plain_file, is_remote, reaches_network_only, shown
from crispmap.files.archive import archive_remedy
from crispmap.files.north_up import north_up
from crispmap.files.quiet import ignoring

_CACHE_BYTES = 128_000_000
"""GDAL's block cache: by default it is 5 % of the memory, more than the rest of crispmap uses."""

ONCE_CACHE_BYTES = 16 * 2**20  # room for a row of tiles 512 high, of a byte raster 32,768 pixels wide
GDAL_ERRORS = (RasterioError, CPLE_BaseError, OSError, UnicodeDecodeError)
"""What rasterio raises for a damaged file; the last where GDAL's own message, or a name in it, is not UTF-8."""
_OPTIONS = {
    # GDAL's fast path for whole PNG files returns uninitialised memory, without an error, for a truncated file.
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO"
}
REMOTE_OPTIONS = {
    # A dead server fails within minutes, a short interruption does not.
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "120",
    "GDAL_HTTP_LOW_SPEED_TIME": "30",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "1",
    "GDAL_HTTP_MAX_RETRY": "3",
    "GDAL_HTTP_RETRY_DELAY": "1",
    # Sidecar files are requested by name: the listing of a remote folder may be endless, or forbidden.
    "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE",
}
"""GDAL's defaults over a network; the environment overrides them."""
_CACHED_AS_MISSING = "does not exist in the file system"
"""GDAL's message for a file that it takes for missing without a request to the server."""

_VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp", ".fgb", ".kml", ".gml", ".osm", ".pbf", ".parquet")
_IN_ARCHIVES = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".img", ".vrt")
_FORMATS = "a GeoTIFF, JPEG, PNG or another raster GDAL reads"


def open_dataset(path: str | Path) -> DatasetReader:
    """Open a file, an address or any name GDAL opens, without rasterio's own warning about georeference.

    Its pixels are read from north to south and from west to east, whatever their order in the file; see ``north_up``.
    GDAL's block cache for the process, and retries and timeouts over a network, are bounded, unless the environment or
    a surrounding ``rasterio.Env`` sets them.

    Raises:
        SceneError: If it is missing, a folder, unreadable, unreachable, or not a raster with bands.
    """
    name = gdal_name(path)
    if (error := local_error(name)) is not None:
        raise error
    if not is_chosen("GDAL_CACHEMAX"):
        _bound_cache()
    with ignoring(NotGeoreferencedWarning):
        dataset = _opened(name)
    if dataset.count == 0:
        inner = ", ".join(dataset.subdatasets)
        dataset.close()
        raise SceneError(
            f"{name} has no bands.",
            expected="a raster with at least one band",
            remedy=f"Give one of the rasters inside it: {inner}" if inner else "",
        )
    return dataset


def _opened(name: str) -> DatasetReader:
    """Open a raster, or raise SceneError; rasterio warns where it has no georeference.

    GDAL remembers for the life of the process that a server could not be reached, and takes its files for missing from
    then on; then the request is repeated without that cache.
    """
    try:
        with gdal_settings(name):
            try:
                dataset: DatasetReader = rasterio.open(name)
            except GDAL_ERRORS as error:
                if not is_remote(name) or _CACHED_AS_MISSING not in reason(error):
                    raise
                with rasterio.Env(CPL_VSIL_CURL_NON_CACHED=name):
                    dataset = rasterio.open(name)
            turned = north_up(dataset)  # before the facts: it may leave an error of PROJ behind, which they raise
            if dataset.count:
                _load_facts(dataset)
    except GDAL_ERRORS as error:
        raise _failure(name, error) from error
    _refuse_local_sources(name, dataset)
    return turned


def _refuse_local_sources(name: str, dataset: DatasetReader) -> None:
    """Raise SceneError for a virtual raster from the network that is made of files of this machine."""
    if not is_remote(name) or dataset.driver != "VRT" or name.startswith("<"):  # XML of our own making
        return
    local = [file for file in dataset.files if not reaches_network_only(file)]
    if local:
        dataset.close()
        raise SceneError(
            f"{shown(name)} comes from the network and names {local[0]}, which does not.",
            expected="a virtual raster of files from the network",
            remedy="Download it, if you trust it.",
        )


def _load_facts(dataset: DatasetReader) -> None:
    """Make GDAL read what it reads only when asked, so that damage is found where the raster is opened.

    Raises:
        RasterioError, CPLE_BaseError: If it is damaged.
    """
    try:
        with suppress(UnicodeDecodeError):  # see ``crispmap.files.raster_text``
            dataset.tags()
        _ = dataset.nodatavals, dataset.mask_flag_enums, dataset.block_shapes, dataset.crs
        _ = dataset.colorinterp  # last: it raises what GDAL found wrong before, too
    except BaseException:
        dataset.close()
        raise


def gdal_settings(name: str) -> rasterio.Env:
    """Return the GDAL options to open and read a raster with; those set in the environment stay."""
    options = _OPTIONS | REMOTE_OPTIONS if is_remote(name) else _OPTIONS
    return rasterio.Env(**{key: value for key, value in options.items() if not is_chosen(key)})


def few_blocks_kept(limit_bytes: int = ONCE_CACHE_BYTES) -> rasterio.Env:
    """Return a context in which GDAL caches at most so much, for work that reads every pixel about once.

    Its peak memory then does not depend on the raster's size. A limit set in the environment or by a surrounding
    ``rasterio.Env`` stays.
    """
    return rasterio.Env(**({} if is_chosen("GDAL_CACHEMAX") else {"GDAL_CACHEMAX": limit_bytes}))


def is_chosen(option: str) -> bool:
    """Return whether a person has set an option of GDAL, in the environment or by a surrounding ``rasterio.Env``."""
    return option in os.environ or (rasterio.env.hasenv() and option in rasterio.env.getenv())


def reason(error: BaseException) -> str:
    """Return GDAL's message from the deepest cause of an error, the one about the file itself."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = getattr(error, "errmsg", None) or str(error)
    if isinstance(error, UnicodeDecodeError):
        text = error.object.decode(errors="replace")
    return str(text).strip().rstrip(".")


def local_error(name: str) -> SceneError | None:
    """Return the error for a file that is missing, a folder, unreadable or empty; None for anything but a file."""
    if not is_plain_file(name):
        return None
    path = Path(name)
    try:
        kind = path.stat().st_mode
        if stat.S_ISREG(kind):
            with path.open("rb") as file:
                empty = not file.read(1)
    except (FileNotFoundError, NotADirectoryError):
        return SceneError(f"{name} does not exist.", expected="a raster file", remedy="Check the path.")
    except OSError as error:
        return SceneError(
            f"{name} cannot be read: {error.strerror}.",
            expected="a file you may read",
            remedy="Check the permissions of the file and of the folders it is in (ls -l).",
        )
    if stat.S_ISDIR(kind):
        return SceneError(
            f"{name} is a folder.",
            expected="a raster file",
            remedy=f"Give the path of a file in it, or of several: '{name.rstrip('/')}/*.tif'.",
        )
    if stat.S_ISREG(kind) and empty:
        return SceneError(
            f"{name} cannot be opened as a raster: it is empty.", expected=_FORMATS, remedy="Copy or download it again."
        )
    return None


class DatasetPool:
    """Handles of one raster for several threads, each handle used by one thread at a time.

    As many are opened as are in use at once; GDAL then decodes for every thread without a lock between them. A forked
    process opens its own: it would share the position in the file with the others.

    Raises:
        SceneError: If it cannot be opened.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._closed = False
        first = open_dataset(name)
        self._free, self._process = [first], os.getpid()
        # With a georeference rasterio does not warn: threads then need not touch the process's warning filters.
        self._open = open_dataset if first.transform.is_identity else _opened

    @contextmanager
    def handle(self) -> Iterator[DatasetReader]:
        """Lend a handle, with GDAL's options set.

        Raises:
            SceneError: If another handle cannot be opened, or the pool is closed.
        """
        with gdal_settings(self._name):
            dataset = self._taken()
            try:
                yield dataset
            finally:
                self._give_back(dataset)

    def close(self) -> None:
        """Close the handles; one that is in use is closed when it is given back."""
        with self._lock:
            self._closed = True
            free, self._free = self._free, []
        for dataset in free:
            dataset.close()

    def _taken(self) -> DatasetReader:
        """Return the free handle used last, or a new one."""
        with self._lock:
            if self._closed:
                raise SceneError(f"{self._name} is closed.", expected="an open scene", remedy="Open it again.")
            if self._process != os.getpid():
                self._free, self._process = [], os.getpid()
            if self._free:
                return self._free.pop()
        return self._open(self._name)

    def _give_back(self, dataset: DatasetReader) -> None:
        with self._lock:
            if not self._closed:
                self._free.append(dataset)
                return
        dataset.close()


@cache
def _bound_cache() -> None:
    """Bound GDAL's cache of blocks for the process, once."""
    with rasterio.Env():
        rasterio.env.setenv(GDAL_CACHEMAX=_CACHE_BYTES)  # unlike an option of Env, this outlasts it


def _failure(name: str, error: BaseException) -> SceneError:
    """Return the error to raise for a raster that cannot be opened."""
    if is_remote(name):
        return _unreachable(name, error)
    vectors = name.lower().endswith(_VECTOR_SUFFIXES)
    return SceneError(
        f"{shown(name)} cannot be opened as a raster: {reason(error)}.",
        expected=_FORMATS,
        remedy=archive_remedy(name, _IN_ARCHIVES)
        or (
            "These seem to be vectors: give the raster here, and check the order of the arguments."
            if vectors
            else "Check with gdalinfo that the file is complete and of the format its name says."
        ),
    )


def _unreachable(name: str, error: BaseException) -> SceneError:
    """Return the error to raise for a remote raster that cannot be opened."""
    message = reason(error).replace(name, shown(name))
    if "404" in message or "does not exist" in message:
        remedy = "Check the address: the server answers, but has no such file."
    elif any(word in message for word in ("AWS_", "401", "403")):
        remedy = (
            "The server requires a login: set the credentials GDAL takes, such as AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_NO_SIGN_REQUEST=YES for a public bucket."
        )
    elif any(word in message for word in ("CURL", "HTTP", "connect", "resolve", "timed out")):
        remedy = "Check the network and the address; GDAL_HTTP_TIMEOUT and GDAL_HTTP_MAX_RETRY set how long it tries."
    else:
        remedy = "The file is not a raster GDAL reads; download and check it."
    return SceneError(
        f"{shown(name)} cannot be opened: {message}.",
        expected="a raster that can be read over the network",
        remedy=remedy,
    )
