"""Target paths: checks before writing, the move of a finished file, and the error of a failed write."""

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
_NAME_BYTES = 200  # file systems allow names of 255 bytes; ours extend the target's


def check_target(path: str | Path, *, force: bool = False) -> Path:
    """Return the path of a file after checking, without any change, that it may be written.

    Raises:
        OutputError: If the target is a folder, exists without ``force``, or its folder is missing or read-only.
    """
    target = check_free(path, force=force)
    folder = target.absolute().parent
    if not folder.is_dir():
        if folder.exists():
            raise OutputError(
                f"{folder} is not a folder.", expected="a path in an existing folder", remedy="Choose another path."
            )
        raise OutputError(
            f"The folder {folder} does not exist.",
            expected="a path in an existing folder",
            remedy=f"Create it: mkdir -p {shlex.quote(str(folder))}",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"The folder {folder} cannot be written to.",
            expected="a folder you may write to",
            remedy="Choose another folder.",
        )
    return target


def remove(path: Path) -> None:
    """Remove whatever is under a name, if anything is; raise OSError if it cannot be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_raster_target(path: str | Path, *, force: bool = False) -> Path:
    """Return the path of a raster after checking that it may be written.

    Raises:
        OutputError: As ``check_target``; or if the name does not end as that of a GeoTIFF.
    """
    target = Path(path)
    if target.suffix.lower() not in _SUFFIXES and not target.is_dir():
        raise OutputError(
            f"The output {target} does not have the name of a GeoTIFF.",
            expected="a name that ends in .tif",
            remedy=f"Name it {target.with_suffix('.tif')}.",
        )
    return check_target(target, force=force)


def check_paths(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Raise OutputError if an output is also an input or another output."""
    seen = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in seen:
            raise OutputError(
                f"The output {path} is also an input or another output.",
                expected="a different path for every file",
                remedy="Give another path.",
            )
        seen.add(path.resolve())


def hidden_beside(target: Path, ending: str) -> Path:
    """Return a hidden path beside a target, named after it, or after its hash if the name is too long."""
    name = target.name
    if len(os.fsencode(name)) > _NAME_BYTES:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return target.absolute().with_name(f".{name}{ending}")


def put_in_place(finished: Path, target: Path, sidecars: Sequence[str] = RASTER_SIDECARS) -> None:
    """Move a finished, synced file onto its target, atomically and durably.

    Sidecar files of an older target, which would be taken for the new one's, are removed.
    """
    finished.replace(target)
    sync_folder(target.absolute().parent)
    for suffix in sidecars:
        sidecar = f"{target}{suffix}"
        if os.path.lexists(sidecar):  # False too if the name would be too long
            Path(sidecar).unlink()


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk; OSError if it cannot get there, as on a full disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, if the system has such a call."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_failure(target: Path, error: BaseException, *, kept: str) -> OutputError:
    """Return the error for a failed write; ``kept``, the end of a sentence, says what has become of the work so far."""
    free = "an unknown amount"
    with suppress(OSError):
        free = size_text(shutil.disk_usage(target.absolute().parent).free)
    return OutputError(
        f"{target} cannot be written: {error.__cause__ or error}. The disk has {free} free.",
        expected="a folder you may write to, with enough space",
        remedy=f"Free some space or choose another disk; {kept}.",
    )


def size_text(count: int) -> str:
    """Return a number of bytes as text, such as ``1.5 GB``."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
