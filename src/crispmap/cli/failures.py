"""How a failed command ends: a short message that helps, and an exit status.

Status 2 means bad input, which the user can correct; 1 that the work failed; 130 that it was interrupted (Ctrl-C), 143
that it was terminated (SIGTERM). A traceback is shown only with ``--debug``.
"""

from __future__ import annotations

import errno
import re
import signal
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from crispmap.cli.console import notify, notify_problem
from crispmap.errors import CrispmapError, CrispmapWarning

FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130
TERMINATED = 143

_ARGUMENT = re.compile(
    r"(?<![\w.-])("
    r"against|all_as|assume_crs|assume_gsd_m|balance|bands|block_px|buffer_m|by|class_column|classes|"
    r"confidence|date_from|date_tag|dates|device|encoding|extent|fit_area|force|format|full_scale|"
    r"gsd_m|halo_px|kind|layer|lowest|max_nodata|max_shift_m|memory_bytes|method|min_area_m2|min_confidence|nodata|"
    r"nodata_tolerance|out|out_nodata|overlap|overlapping_regions|pan_band|period|precision|preset|"
    r"recalibrated|reference|refiner|reflectance|restart|resume|scene|scheduler|scores|sensor|size_px|split_block_px|"
    r"standard_error|start|threshold|tolerance|unknown|verify_seams|weights|workers"
    r")"
    r"=(\S*?)(?=[.,;:)]*(?:\s|$))"
)
"""Arguments of the library in remedies, such as ``force=True``, ``bands=3,2,1`` or ``classes=`` without a value."""
_OTHER_NAMES = {
    "block_px": "block",
    "halo_px": "halo",
    "memory_bytes": "memory",
    "size_px": "size",
    "split_block_px": "split-block",
    "start": "from",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory")


@contextmanager
def errors_reported(debug: bool) -> Iterator[None]:
    """Turn any error inside into a message on standard error and an exit status."""
    try:
        yield
    except KeyboardInterrupt as error:
        notify(" ".join(["Interrupted.", *_notes(error)]))
        raise typer.Exit(INTERRUPTED) from error
    except SystemExit as stop:
        if stop.code == TERMINATED:
            notify(" ".join(["Terminated.", *_notes(stop)]))
        raise
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise  # typer ends these itself; with a broken pipe nobody is left to notify
    except Exception as error:
        raise typer.Exit(_report_failure(error, debug)) from error


@contextmanager
def termination_raised() -> Iterator[None]:
    """Let SIGTERM end the work inside by an exception, as Ctrl-C does, so that scratch files are removed."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def warnings_reported(debug: bool) -> Iterator[None]:
    """Print every warning meant for a person once, as a line; others only to those who debug."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        ours = issubclass(category, CrispmapWarning)
        text = in_options(str(message)) if ours else f"{category.__name__}: {message}"
        if text not in shown and (debug or ours):
            shown.add(text)
            notify_problem("warning", text, "bold yellow")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=CrispmapWarning)
        warnings.showwarning = show
        yield


def in_options(text: str) -> str:
    """Return a remedy with options in place of arguments: ``force=True`` as ``--force``, ``kind=logit`` likewise."""

    def option(match: re.Match[str]) -> str:
        name, value = _OTHER_NAMES.get(match[1], match[1]).replace("_", "-"), match[2]
        return f"--{name}" if value in ("", "True") else f"--{name} {value}"

    return _ARGUMENT.sub(option, text)


def _notes(error: BaseException) -> list[str]:
    return [in_options(note) for note in getattr(error, "__notes__", [])]


def _report_failure(error: Exception, debug: bool) -> int:
    if debug:
        notify("".join(traceback.format_exception(error)).rstrip())
    status, message = _status_and_message(error)
    notify_problem("error", message, "bold red")
    return status


def _status_and_message(error: Exception) -> tuple[int, str]:
    if isinstance(error, CrispmapError):
        return BAD_INPUT, error.given + in_options(str(error).removeprefix(error.given))
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f" while writing {error.filename}" if error.filename else ""
        return FAILED, f"The disk is full{where}.\nRemedy: Free some space, or write to another disk."
    if isinstance(error, UnicodeEncodeError) and error.reason == "surrogates not allowed":
        return BAD_INPUT, (
            f"The name {error.object!r} cannot be read in the encoding of this system.\n"
            "Expected: file names in UTF-8\nRemedy: Rename the file, or set the locale, such as LANG=C.UTF-8."
        )
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(phrase in text.lower() for phrase in _NO_MEMORY):
        return FAILED, "There is not enough memory.\nRemedy: Use smaller blocks, tiles (--block, --size) or batches."
    if isinstance(error, OSError) and error.filename is not None:
        return FAILED, f"{error.filename}: {error.strerror}."
    return FAILED, (
        f"crispmap failed: {type(error).__name__}: {text}\n"
        "This is a bug in crispmap. Run the command again with --debug to see where it happened."
    )
