"""Files that appear complete or not at all, written by one run at a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from crispmap.errors import OutputError


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
    """Write a file under a temporary name and rename it: the target is complete, or what it was before.

    A missing folder is created; permissions follow the process's umask.

    Raises:
        OutputError: If it cannot be written.
    """
    beside: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
            beside = file.name
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # the content must be on the disk before the name is
        Path(beside).chmod(0o666 & ~_umask())
        Path(beside).replace(target)
        beside = None
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}.",
            expected="a writable folder with room",
            remedy="free some space, or choose another folder",
        ) from error
    finally:
        if beside is not None:
            Path(beside).unlink(missing_ok=True)


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


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
