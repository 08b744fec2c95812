"""Paths that files are written to: whether they may be, how a finished file gets there, why it could not."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from crispmap.errors import OutputError
from crispmap.files.atomic import check_free

_SUFFIXES = (".tif", ".tiff")
RASTER_SIDECARS = (".aux.xml", ".ovr", ".msk")
GEOPACKAGE_SIDECARS = ("-wal", "-shm", "-journal")
_NAME_BYTES = 200
"""File systems allow names of 255 bytes; ours add to that of the target."""


def check_target(path: str | Path, *, force: bool = False) -> Path:
    """Return the path of a file to be written, once it is sure that it may be.

    Nothing is created or changed.

    Raises:
        OutputError: If the target is a folder, exists and ``force`` is not given, or its folder is missing or
            cannot be written to.
    """
    target = check_free(path, force=force)
    folder = target.absolute().parent
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(
                f"{folder} is not a folder.", expected="a path in a folder that is there", remedy="Choose another path."
            )
        raise OutputError(
            f"The folder {folder} does not exist.",
            expected="a path in a folder that is there",
            remedy=f"Create it: mkdir -p {shlex.quote(str(folder))}",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"The folder {folder} cannot be written to.",
            expected="a folder you may write to",
            remedy="Choose another folder.",
        )
    return target


def check_raster_target(path: str | Path, *, force: bool = False) -> Path:
    """Return the path of a raster to be written, once it is sure that it may be.

    Raises:
        OutputError: As ``check_target``; or if the name does not end as that of a GeoTIFF, for programs go by it.
    """
    target = Path(path)
    if target.suffix.lower() not in _SUFFIXES and not target.is_dir():
        raise OutputError(
            f"{target} is to be a GeoTIFF, but is not called like one.",
            expected="a name that ends in .tif",
            remedy=f"Name it {target.with_suffix('.tif')}.",
        )
    return check_target(target, force=force)


def check_paths(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Check that every output has a path of its own that is no input's.

    Raises:
        OutputError: If a path is given twice.
    """
    seen = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in seen:
            raise OutputError(
                f"{path} is to be written but is also an input or another output.",
                expected="a path of its own for every file",
                remedy="Give another path.",
            )
        seen.add(path.resolve())


def hidden_beside(target: Path, ending: str) -> Path:
    """Return a hidden path in the folder of a target, called after it or, where its name is too long, after its hash.

    Args:
        target: A file to write.
        ending: What our name ends in, at most 50 bytes.
    """
    name = target.name
    if len(os.fsencode(name)) > _NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return target.absolute().with_name(f".{name}{ending}")


def put_in_place(finished: Path, target: Path, sidecars: Sequence[str] = RASTER_SIDECARS) -> None:
    """Move a finished file onto its target, in one step and for good.

    Files that programs keep beside an older one of that name are removed: they describe that, and would be taken for
    this one's.

    Args:
        finished: The file; see ``sync_file``.
        target: Its target.
        sidecars: What the names of such files add to the target's.

    Raises:
        OSError: If the file system refuses.
    """
    finished.replace(target)
    sync_folder(target.absolute().parent)
    for suffix in sidecars:
        sidecar = f"{target}{suffix}"
        if os.path.lexists(sidecar):  # false too where the name would be too long
            Path(sidecar).unlink()


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk.

    Raises:
        OSError: If it cannot be brought there, as on a disk that is full.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can be asked to.

    Raises:
        OSError: If they cannot be brought there.
    """
    if not hasattr(os, "O_DIRECTORY"):  # Windows has no such call
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_failure(target: Path, error: BaseException, *, kept: str) -> OutputError:
    """Return the error to raise for a write that failed.

    Args:
        target: The file that was to be written.
        error: What went wrong.
        kept: What has become of the work so far, as the end of a sentence.
    """
    free = "an unknown amount"
    with suppress(OSError):
        free = size_text(shutil.disk_usage(target.absolute().parent).free)
    return OutputError(
        f"{target} cannot be written: {error.__cause__ or error}. The disk has {free} free.",
        expected="a folder you may write to, with enough space",
        remedy=f"Free some space or choose another disk; {kept}.",
    )


def size_text(count: int) -> str:
    """Return a number of bytes for people, such as ``1.5 GB``."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
