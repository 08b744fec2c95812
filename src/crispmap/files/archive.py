"""What lies in an archive, and the names by which GDAL opens it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from crispmap.files.address import gdal_name, is_plain_file, shown, suffix_of


def archive_remedy(path: str | Path, suffixes: Iterable[str]) -> str | None:
    """Return how to name a file inside a zip archive, or to unpack a gzip file; None for anything else.

    Args:
        suffixes: Of the files that are meant.
    """
    if suffix_of(path) == ".gz" and is_plain_file(path):
        return f"Unpack it: gunzip --keep {gdal_name(path)}"
    if suffix_of(path) != ".zip":
        return None
    name = gdal_name(path) if is_plain_file(path) else shown(path)
    try:
        with ZipFile(name) as archive:
            found = [one for one in archive.namelist() if Path(one).suffix.lower() in suffixes]
    except (BadZipFile, NotImplementedError, OSError, UnicodeDecodeError):  # the second: of a newer version of zip
        return None
    some = " or ".join(f"/vsizip/{name}/{one}" for one in found[:3])
    return f"Name a file inside the archive: {some}." if found else None
