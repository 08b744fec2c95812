"""Files that appear whole or not at all, written by one run at a time."""

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
            remedy="choose another name, or replace it with force (--force)",
        )
    return target


def write_atomically(target: Path, content: bytes) -> None:
    """Write a file beside its name and rename it: the file under the name is whole, or what it was before.

    Its folder is made where missing; it may be read by whom the process's umask lets read.

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
            os.fsync(file.fileno())  # what is renamed must be on the disk, not on its way there
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
    """Take a lock that one process at a time has, or refuse at once; return what lets it go.

    The system lets it go with the process, however that ends.

    Args:
        target: What is written under the lock, as messages name it.
        lock: The file of the lock. It stays.

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
