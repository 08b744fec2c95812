"""Handles of a raster that is looked at: a few for several threads, new ones once the file has changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crispmap.errors import SceneError
from crispmap.files.address import is_plain_file
from crispmap.files.dataset import GDAL_ERRORS, gdal_settings, reason

Stamp = tuple[int, int, int]
"""What tells one state of a file from another: when it was written, its size and its place on the disk."""


def stamp_of(path: Path) -> Stamp:
    """Return the state of a file; zeros where it is none of this machine.

    Raises:
        SceneError: If there is no such file any more.
    """
    if not is_plain_file(path):
        return 0, 0, 0
    try:
        found = path.stat()
    except OSError as error:
        raise SceneError(
            f"{path} cannot be read: {error.strerror}.", expected="the file that was given",
            remedy="It was moved or removed while it was viewed; put it back, or end the view.",
        ) from error  # fmt: skip
    return found.st_mtime_ns, found.st_size, found.st_ino


class Handles:
    """Handles of one raster, each used by one thread at a time."""

    def __init__(self, path: Path, opened: Callable[[], Any]) -> None:
        self._path, self._opened = path, opened
        self._lock = threading.Lock()
        self._stamp: Stamp | None = None
        self._free: list[Any] = []

    @contextmanager
    def handle(self) -> Iterator[Any]:
        """Lend a handle of the file as it is now.

        Raises:
            SceneError: If the file is gone, or cannot be opened or read.
        """
        stamp = stamp_of(self._path)
        with gdal_settings(str(self._path)):
            try:
                dataset = self._taken(stamp)
                yield dataset
            except GDAL_ERRORS as error:
                raise SceneError(
                    f"{self._path} cannot be read: {reason(error)}.", expected="a raster that is complete",
                    remedy="Check it with gdalinfo; it may have been written anew while it was viewed.",
                ) from error  # fmt: skip
            self._give_back(dataset, stamp)

    def _taken(self, stamp: Stamp) -> Any:
        with self._lock:
            if stamp != self._stamp:
                self._close_free()
                self._stamp = stamp
            if self._free:
                return self._free.pop()
        return self._opened()

    def _give_back(self, dataset: Any, stamp: Stamp) -> None:
        with self._lock:
            if stamp == self._stamp:
                self._free.append(dataset)
                return
        dataset.close()

    def _close_free(self) -> None:
        for dataset in self._free:
            dataset.close()
        self._free = []

    def close(self) -> None:
        """Close the handles that are not in use."""
        with self._lock:
            self._close_free()
