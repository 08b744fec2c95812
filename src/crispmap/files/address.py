"""Paths and addresses of rasters and vectors, as a person types them and as GDAL opens them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from crispmap.errors import without_secrets

_SCHEMES = {
    "http": "/vsicurl/http://",
    "https": "/vsicurl/https://",
    "ftp": "/vsicurl/ftp://",
    "s3": "/vsis3/",
    "gs": "/vsigs/",
    "az": "/vsiaz/",
}
_SCHEME = re.compile(rf"({'|'.join(_SCHEMES)})://")
_ONE_SLASH = re.compile(rf"(^|/)({'|'.join(_SCHEMES)}):/(?=[^/])")
_IN_ANOTHER = re.compile(r"^(/vsi(?:zip|tar|gzip|7z|rar))/(?=vsi\w+/)")
_ARCHIVE = re.compile(r"^/vsi(?:zip|tar|gzip|7z|rar)/(?=[^/{])")
_REMOTE = re.compile(r"/vsi(curl|s3|gs|az|adls|oss|swift|hdfs|webhdfs)(_streaming)?[/?]")
_NETWORK_ONLY = re.compile(
    r"(?:/vsi(?:zip|tar|gzip|7z|rar)/\{?)*"
    r"(?:/vsi(?:s3|gs|az|adls|oss|swift)(?:_streaming)?/|/vsicurl(?:_streaming)?/(?:https?|ftp)://)"
)
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')
_LONGEST_NAME = 150  # bytes; file systems take 255, and a map's name and suffix come after


def gdal_name(path: str | Path) -> str:
    """Return the name under which GDAL opens a path or an address.

    An address ``https://…`` is read through ``/vsicurl/``, ``s3://…`` through ``/vsis3/``, and so on. Slashes that
    ``Path`` has dropped (``https:/host``) are put back. Any other name GDAL takes, such as ``NETCDF:file.nc:red``,
    stays as it is.
    """
    name = typed(path)
    scheme = _SCHEME.match(name)
    return _SCHEMES[scheme[1]] + name[scheme.end() :] if scheme else name


def is_remote(path: str | Path) -> bool:
    """Return whether GDAL would read a path over a network."""
    return _REMOTE.search(gdal_name(path)) is not None


def reaches_network_only(path: str | Path) -> bool:
    """Return whether GDAL would read a path over a network and nowhere else, an archive there included."""
    return _NETWORK_ONLY.match(gdal_name(path)) is not None


def is_address(path: str | Path) -> bool:
    """Return whether GDAL reads a path through one of its virtual file systems: over a network, or in an archive.

    Unlike a path, an address is not relative to any folder, and whether it exists cannot be checked on the disk.
    """
    return gdal_name(path).startswith("/vsi")


def is_plain_file(path: str | Path) -> bool:
    """Return whether a path can only be a file or folder, not an address or a data set inside a file."""
    name = gdal_name(path)
    return not name.startswith(("/vsi", "<")) and ":" not in name


def is_missing(path: str | Path) -> bool:
    """Return whether a path can only be a file or folder, and does not exist."""
    return is_plain_file(path) and not Path(path).exists()


def web_address(path: str | Path) -> str | None:
    """Return the ``http`` or ``https`` address of a path, or None if it is not one."""
    name = gdal_name(path).removeprefix("/vsicurl/")
    return name if name.startswith(("http://", "https://")) else None


def suffix_of(path: str | Path) -> str:
    """Return the suffix of a file or address (without its query), in lower case."""
    return Path(shown(path)).suffix.lower()


def unpacked_suffix(path: str | Path) -> str:
    """Return the suffix of what a path or address holds: that before ``.gz`` where it is gzipped."""
    suffix = suffix_of(path)
    return (Path(shown(path)).with_suffix("").suffix.lower() or suffix) if suffix == ".gz" else suffix


def name_of(path: str | Path) -> str:
    """Return the last part of a path or address, without suffix and query, as ``fit_name`` makes it."""
    address = web_address(path)
    text = unquote(urlsplit(address).path) if address else gdal_name(path)
    return fit_name(Path(text.rstrip("/")).stem)


def fit_name(text: str) -> str:
    """Return a text as part of a file name: at most 150 bytes, no character a file system refuses, never empty."""
    cut = _FORBIDDEN.sub("_", text).strip(" .").encode(errors="replace")[:_LONGEST_NAME]
    return cut.decode(errors="ignore").rstrip(" .") or "scene"


def shown(path: str | Path) -> str:
    """Return a path as messages show it: an address without its query and without a password."""
    name = web_address(path) or gdal_name(path)
    return without_secrets(name.split("?", 1)[0]) if is_remote(name) else name


def file_name(path: str | Path) -> str:
    """Return the last part of a path or address as reports show it, without a query."""
    return shown(path).rstrip("/").rpartition("/")[2]


def typed(path: str | Path) -> str:
    """Return a path or address as a person types it, with the slashes that ``Path`` has dropped."""
    text = _ONE_SLASH.sub(r"\1\2://", os.fspath(path))
    text = _IN_ANOTHER.sub(r"\1//", text)
    archive = _ARCHIVE.match(text)
    if archive:
        inner = text[archive.end() :]
        first = inner.split("/")[0]
        if not Path(first).exists() and Path("/", first).exists():
            return f"{archive[0]}/{inner}"
    return text
