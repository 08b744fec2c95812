"""What a person or a program sees: messages on standard error, figures as JSON on standard output."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from crispmap.errors import without_secrets

_COMMANDS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""What a terminal obeys in place of showing it, and what turns the order of letters around: names in files hold it."""

console = Console(stderr=True, highlight=False)
"""Standard error; colours where that is a terminal."""


@dataclass
class Voice:
    """How the process speaks on standard error, as ``--quiet`` and ``--log-json`` say."""

    quiet: bool = False
    """Leave out all but warnings and errors."""
    as_json: bool = False
    """Write every message, and progress, as a line of JSON."""


voice = Voice()


def harmless(text: str) -> str:
    """Return a text in which what would command a terminal is shown as its escape."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def notify(text: str) -> None:
    """Print a line on standard error, as it is."""
    if voice.quiet:
        return
    if voice.as_json:
        log("info", "message", message=text)
    else:
        console.print(Text(harmless(without_secrets(text))), soft_wrap=True)


def notify_problem(kind: str, text: str, style: str) -> None:
    """Print a message on standard error after a coloured word such as "error"."""
    if voice.as_json:
        log(kind, "message", message=text)
    else:
        console.print(Text.assemble((f"{kind}:", style), f" {harmless(without_secrets(text))}"), soft_wrap=True)


def log(level: str, event: str, **facts: Any) -> None:
    """Write a line of JSON on standard error: time (UTC), level, event and facts; texts without secrets."""
    told = {key: without_secrets(one) if isinstance(one, str) else one for key, one in facts.items()}
    line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": event, **told}
    sys.stderr.write(json.dumps(_plain(line), allow_nan=False) + "\n")


def print_line(text: str = "") -> None:
    """Print a line on standard output, with what its encoding lacks, or a terminal would obey, escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(harmless(text).encode(encoding, "backslashreplace").decode(encoding) + "\n")


def print_json(value: Any) -> None:
    """Print plain values, paths and figures as JSON on standard output; what is not finite becomes null."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
