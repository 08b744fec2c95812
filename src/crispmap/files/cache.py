"""What is costly to make again, kept from run to run in the user's cache folder: bounded, and never needed.

Each entry is one file, named after the hash of all that decides its content. Runs and users share a folder without
locks: a file is complete or absent, is read whole, and is checked before it is believed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from crispmap.errors import CrispmapWarning, OutputError
from crispmap.files.atomic import ABANDONED_S, write_atomically

VARIABLE, OFF = "CRISPMAP_CACHE", "off"
"""The environment variable that names the folder, and its value for no cache at all."""
LIMIT_BYTES = 1_000_000_000
"""All entries together; of more, those used least recently are removed."""
_MAGIC = b"crispmap cache 1\n"
_ENTRY, _PART = re.compile(r"[0-9a-f]{64}\.kept"), re.compile(r"\.[0-9a-f]{64}\.kept\..*\.part")

Key: TypeAlias = Mapping[str, object]
"""All that decides a content, as values of JSON; ``what`` says in words what it is."""


@dataclass(frozen=True)
class CacheEntry:
    """A file of the cache."""

    path: Path
    size_bytes: int
    used: float  # when it was read or written last, in seconds since 1970

    @property
    def what(self) -> str:
        """What it holds, in words."""
        with suppress(OSError, ValueError, KeyError, TypeError), self.path.open("rb") as file:
            magic, _, text = file.readline(), file.readline(), file.readline()
            if magic == _MAGIC:
                return str(json.loads(text)["what"])
        return "damaged"


class Cache:
    """Contents by key, in a folder that may be missing, read-only, full, or shared: then nothing is kept, or found."""

    def __init__(self, folder: Path | None, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = folder, limit_bytes

    def get(self, key: Key) -> bytes | None:
        """Return the content that was put under an equal key; None where there is none, or it is damaged."""
        path = self._path(key)
        if path is None:
            return None
        try:
            entry = path.read_bytes()
        except OSError:
            return None
        content = _content(entry, _text(key))
        if content is None:
            _warn(f"{path} was damaged; what it held is made again.")
            with suppress(OSError):
                path.unlink()
        else:
            with suppress(OSError):  # another user's, perhaps
                os.utime(path)
        return content

    def put(self, key: Key, content: bytes) -> None:
        """Keep a content; where that fails a warning says so. What is larger than the limit is not kept."""
        path, text = self._path(key), _text(key)
        if path is None or len(content) > self.limit_bytes:
            return
        try:
            write_atomically(path, b"".join([_MAGIC, _checksum(text, content), b"\n", text, b"\n", content]))
        except OutputError as error:
            given = error.given.replace(str(path), str(self.folder))  # the same of every entry, and so shown once
            _warn(
                f"What would make the next start faster is not kept: {given} Choose another folder with the "
                f"environment variable {VARIABLE}, or none with {VARIABLE}={OFF}."
            )
            return
        self._bound(path)

    def entries(self) -> list[CacheEntry]:
        """Return what is kept, that used last first."""
        found = []
        for path in self._files(_ENTRY):
            with suppress(OSError):
                facts = path.stat()
                found.append(CacheEntry(path, facts.st_size, facts.st_mtime))
        return sorted(found, key=lambda one: one.used, reverse=True)

    def clear(self) -> None:
        """Remove all that is kept, and nothing else.

        Raises:
            OutputError: If a file cannot be removed.
        """
        for path in [*self._files(_ENTRY), *self._files(_PART)]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(
                    f"{path} cannot be removed: {error.strerror or error}.",
                    expected="a folder that may be written",
                    remedy="remove it as its owner",
                ) from error

    def _path(self, key: Key) -> Path | None:
        return None if self.folder is None else self.folder / f"{hashlib.sha256(_text(key)).hexdigest()}.kept"

    def _files(self, name: re.Pattern[str]) -> Iterator[Path]:
        with suppress(OSError):  # it is not there, or may not be read
            yield from (path for path in (self.folder.iterdir() if self.folder else ()) if name.fullmatch(path.name))

    def _bound(self, newest: Path) -> None:
        """Remove the entries used least recently, down to the limit, and what killed processes have left."""
        room = self.limit_bytes
        for one in self.entries():
            room -= one.size_bytes
            if room < 0 and one.path != newest:
                with suppress(OSError):
                    one.path.unlink()
        for part in self._files(_PART):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > ABANDONED_S:
                    part.unlink()


def user_cache() -> Cache:
    """Return the cache of this user, or that which the environment names; one that keeps nothing where it is off."""
    return Cache(cache_folder())


def cache_folder() -> Path | None:
    """Return the folder of the cache; None where it is off, or this user has no home."""
    given = os.environ.get(VARIABLE)
    if given and given.strip().lower() == OFF:
        return None
    with suppress(RuntimeError):  # where no shell has read the variable, the home is still a ~
        return Path(given).expanduser().absolute() if given else _system_folder() / "crispmap"
    return None


def _system_folder() -> Path:
    """Return where this system keeps what programs can make again."""
    named = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    if Path(named).is_absolute():
        return Path(named)
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def _content(entry: bytes, text: bytes) -> bytes | None:
    """Return the content of an entry's file; None where it is damaged, or of another key."""
    head = len(_MAGIC) + 65 + len(text) + 1
    checksum, content = entry[len(_MAGIC) : len(_MAGIC) + 64], entry[head:]
    whole = entry[:head] == b"".join([_MAGIC, checksum, b"\n", text, b"\n"]) and checksum == _checksum(text, content)
    return content if whole else None


def _checksum(text: bytes, content: bytes) -> bytes:
    digest = hashlib.sha256(text)
    digest.update(content)
    return digest.hexdigest().encode()


def _text(key: Key) -> bytes:
    return json.dumps(key, sort_keys=True).encode()


def _warn(message: str) -> None:
    warnings.warn(message, CrispmapWarning, stacklevel=3)
