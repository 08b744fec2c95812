"""Vectors as pyogrio opens them: a file, or an address, read over a network as rasters are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crispmap.files.address import gdal_name, is_remote, shown, suffix_of
from crispmap.files.dataset import REMOTE_OPTIONS

FALLBACK_ENCODING = "ISO-8859-1"
"""How text is read that is not in the encoding its file says: it has a letter for every byte."""

_IN_ARCHIVE = ("/vsizip", "/vsitar", "/vsigzip", "/vsi7z", "/vsirar")
_READ_AS_THEY_ARE = (".shp.zip", ".gpkg.zip")


def vector_name(path: str | Path) -> str:
    """Return the name by which pyogrio opens a path or an address; of a remote archive and of gzip, what is in it."""
    name = gdal_name(path)
    packed = suffix_of(path) == ".zip" and not shown(path).lower().endswith(_READ_AS_THEY_ARE)
    if packed and is_remote(name) and not name.startswith(_IN_ARCHIVE):
        return f"/vsizip/{{{name}}}"
    if suffix_of(path) == ".gz" and not name.startswith(_IN_ARCHIVE):
        return f"/vsigzip/{name}"
    return name


def reason_shown(error: BaseException, path: str | Path) -> str:
    """Return pyogrio's message without the query of an address, which may hold a secret."""
    text = str(error)
    for name in (vector_name(path), gdal_name(path)):
        text = text.replace(name, shown(path))
    return text.strip().rstrip(".")


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Read vectors inside: without GDAL's warnings about measures, rings and names, and with timeouts.

    GDAL's network settings apply to the process meanwhile, except those set in the environment or by
    ``pyogrio.set_gdal_config_options``.
    """
    import pyogrio

    options = {}
    if is_remote(path):
        options = {key: val for key, val in REMOTE_OPTIONS.items() if pyogrio.get_gdal_config_option(key) is None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyogrio.set_gdal_config_options(options)
        try:
            yield
        except UnboundLocalError as error:  # pyogrio's own, for a coordinate reference system that has no name in WKT
            raise pyogrio.errors.DataSourceError("its coordinate reference system cannot be understood") from error
        finally:
            pyogrio.set_gdal_config_options(dict.fromkeys(options))


def layer_info(path: str | Path, layer: str | None, encoding: str | None = None, **options: Any) -> dict[str, Any]:
    """Return pyogrio's facts about a layer; names that are not in the file's encoding by FALLBACK_ENCODING."""
    import pyogrio

    try:
        return dict(pyogrio.read_info(vector_name(path), layer=layer, encoding=encoding, **options))
    except UnicodeDecodeError:
        if encoding is not None:
            raise
    info = pyogrio.read_info(vector_name(path), layer=layer, encoding=FALLBACK_ENCODING, **options)
    return {**info, "fields": [as_utf8(str(name)) for name in info["fields"]]}


def as_utf8(text: Any) -> Any:
    """Return text that was read by FALLBACK_ENCODING as the UTF-8 that it may be, anything else as it is."""
    try:
        return text.encode(FALLBACK_ENCODING).decode() if isinstance(text, str) else text
    except UnicodeError:
        return text
