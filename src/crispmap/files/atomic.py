"""Files that appear complete or not at all, written by one run at a time."""

from __future__ import annotations

import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from crispmap.errors import OutputError

_SCRATCH = ".part"
_LOCK = "lock"


def check_free(path: str | Path, *, force: bool = False) -> Path:
    """Return a path under which a file may be written.

    Raises:
        OutputError: If it is a folder, or exists and ``force`` is not given.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"{target} is a folder.", expected="the name of a file", remedy="choose another name")
    if target.exists() and not force:
        raise OutputError(
            f"{target} exists.",
            expected="a name that is free",
            remedy="choose another name, or replace it with force=True",
        )
    return target


def write_atomically(target: Path, content: bytes) -> None:
    """Write a file under a hidden name and rename it: the target is complete, or what it was before.

    A missing folder is created; permissions follow the process's umask. What a killed process has left under the hidden
    name is written over.

    Raises:
        OutputError: If it cannot be written.
    """
    beside = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _opened_alone(beside) as file:
            try:
                file.truncate()
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # the content must be on the disk before the name is
                beside.replace(target)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}.",
            expected="a writable folder with room",
            remedy="free some space, or choose another folder",
        ) from error


@contextmanager
def _opened_alone(path: Path) -> Iterator[BinaryIO]:
    """Open a file to write while no other process does; the system ends that with the process."""
    while True:
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(file.fileno()).st_ino:  # else another process has renamed it
                    yield file
                    return


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Make a hidden folder beside a target for what is written on the way to it, removed in the end.

    Those that killed processes have left for the same target are removed first.

    Raises:
        OSError: If it cannot be made.
    """
    home, beginning = target.absolute().parent, f".{target.name[:100]}."
    for old in home.glob(f"{glob.escape(beginning)}*{_SCRATCH}"):
        _remove_abandoned(old)
    folder = Path(tempfile.mkdtemp(prefix=beginning, suffix=_SCRATCH, dir=home))
    try:
        release = file_lock(target, folder / _LOCK)
        try:
            yield folder
        finally:
            release()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(folder: Path) -> None:
    """Remove a scratch folder that no process holds."""
    if (folder / _LOCK).exists():
        with suppress(OutputError, OSError):
            release = file_lock(folder, folder / _LOCK)
            shutil.rmtree(folder, ignore_errors=True)
            release()


def file_lock(target: Path, lock: Path) -> Callable[[], object]:
    """Take a lock, or fail at once if another process holds it; return the function that releases it.

    The system releases the lock when the process ends. The lock's file stays; messages name ``target``.

    Raises:
        OutputError: If another run holds it.
        OSError: If it cannot be written.
    """
    held = FileLock(lock, timeout=0, thread_local=False)
    try:
        held.acquire()
    except Timeout as error:
        raise OutputError(
            f"{target} is being written by another run.",
            expected="one run at a time",
            remedy="Wait until it has finished, or choose another name.",
        ) from error
    return held.release
