"""The verb ``cache``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from crispmap.cli.console import notify, print_json, print_line
from crispmap.cli.options import JsonOption
from crispmap.files.cache import VARIABLE, Cache, user_cache


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove all that is kept.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is kept from run to run so that maps start sooner, and where; or remove it.

    It may be removed at any time: what is needed again is made again.
    """
    kept = user_cache()
    if clear:
        before = kept.entries()
        kept.clear()
        notify(f"Removed {len(before)} entries, {_megabytes(sum(one.size_bytes for one in before))}.")
    if as_json:
        print_json(_facts(kept))
    elif not clear:
        _show(kept)


def _facts(kept: Cache) -> dict[str, object]:
    entries = kept.entries()
    return {
        "folder": kept.folder,
        "bytes": sum(one.size_bytes for one in entries),
        "limit_bytes": kept.limit_bytes,
        "entries": [
            {"file": one.path.name, "what": one.what, "bytes": one.size_bytes, "used": _date(one.used)}
            for one in entries
        ],
    }


def _show(kept: Cache) -> None:
    if kept.folder is None:
        print_line(f"Nothing is kept: {VARIABLE} turns it off, or there is no home.")
        return
    entries = kept.entries()
    print_line(f"folder: {kept.folder}")
    print_line(f"size:   {_megabytes(sum(one.size_bytes for one in entries))} of {_megabytes(kept.limit_bytes)}")
    for one in entries:
        print_line(f"{_date(one.used)}  {_megabytes(one.size_bytes):>11}  {one.what}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.2f} MB"


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
