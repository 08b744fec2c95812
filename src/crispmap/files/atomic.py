"""Files that appear complete or not at all, written by one run at a time."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from crispmap.errors import OutputError

_SCRATCH = ".part"
_LOCK = "lock"
ABANDONED_S = 3600  # a hidden file is written within seconds


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

    A missing folder is created; permissions follow the process's umask. What a killed process left under a hidden name
    more than an hour ago is removed.

    Raises:
        OutputError: If it cannot be written.
    """
    beside: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_old(target)
        with tempfile.NamedTemporaryFile(**_beside(target), delete=False) as file:
            beside = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # the content must be on the disk before the name is
        beside.chmod(0o666 & ~_umask())
        beside.replace(target)
        beside = None
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror or error}.",
            expected="a writable folder with room",
            remedy="free some space, or choose another folder",
        ) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def _beside(target: Path) -> dict[str, Any]:
    """Return where a hidden file or folder beside a target is made, for ``tempfile``."""
    return {"dir": target.absolute().parent, "prefix": f".{target.name[:100]}.", "suffix": _SCRATCH}


def _left_beside(target: Path) -> Iterator[Path]:
    place = _beside(target)
    return Path(place["dir"]).glob(f"{glob.escape(place['prefix'])}*{place['suffix']}")


def _remove_old(target: Path) -> None:
    """Remove hidden files of a target that nobody can still be writing."""
    for old in _left_beside(target):
        with suppress(OSError):
            if old.is_file() and time.time() - old.stat().st_mtime > ABANDONED_S:
                old.unlink()


@contextmanager
def scratch_folder(target: Path) -> Iterator[Path]:
    """Make a hidden, locked folder beside a target for what is written on the way to it; remove it on exit.

    Those that killed processes have left for the same target are removed first.

    Raises:
        OSError: If it cannot be made.
        OutputError: If another process takes it in the same moment.
    """
    clear_scratch(target)
    folder = Path(tempfile.mkdtemp(**_beside(target)))
    try:
        release = file_lock(target, folder / _LOCK)
        try:
            yield folder
        finally:
            release()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clear_scratch(target: Path) -> None:
    """Remove the scratch folders of a target that killed processes have left."""
    for old in _left_beside(target):
        _remove_abandoned(old)


def _remove_abandoned(folder: Path) -> None:
    """Remove a scratch folder that no process holds."""
    with suppress(OutputError, OSError):
        # Without the lock its process was killed before it took it, or as it removed the folder.
        release = file_lock(folder, folder / _LOCK) if (folder / _LOCK).exists() else None
        shutil.rmtree(folder, ignore_errors=True)
        if release is not None:
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


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
